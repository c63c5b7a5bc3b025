//! `solver = "optimum"`: logistic and Poisson regression to the optimum.

use mpc_core::Session;
use mpc_core::correlations::CorrelationSource;
use mpc_core::protocols::solve::InversePlan;
use mpc_ml::artifact::{
    CheckRecord, FitStatistics, InferenceParts, Likelihood, OptimumRecord, RateRecord, SolverRecord,
};
use mpc_ml::data::{Encoded, Target};
use mpc_ml::plan::linear::{mean_squares, total_mean_square};
use mpc_ml::plan::optimum::{Family, GlmSettings, OptimumPlan};
use mpc_ml::solvers::optimum::{
    self, COEFFICIENTS, CONVERGENCE, DEVIANCE, GlmFit, INFORMATION, INFORMATION_CHECK,
    INVERSE_CHECK, NULL_DEVIANCE, SEPARATION_CHECK, TARGETS,
};
use mpc_ml::{Agreed, Rows, plaintext};

use super::{Account, Fitted, Output, rows_of};
use crate::exit::{Exit, Failure};
use crate::node::phases::Phases;
use crate::node::progress::Progress;
use crate::study::{Link, Optimum, Study};

pub(super) fn outputs(study: &Study, training: &Optimum) -> Vec<Output> {
    let everybody = |label| Output { label, to_everybody: true };
    let recipients = |label| Output { label, to_everybody: false };
    let mut outputs =
        vec![everybody(INVERSE_CHECK), everybody(CONVERGENCE), recipients(COEFFICIENTS)];
    if study.output().inference {
        outputs.extend([INFORMATION_CHECK, SEPARATION_CHECK].map(everybody));
        outputs.extend([INFORMATION, DEVIANCE, TARGETS].map(recipients));
        if matches!(training.link, Link::Poisson(_)) {
            outputs.push(recipients(NULL_DEVIANCE));
        }
    }
    outputs
}

/// The settings of the fit that a study describes, for parties with these numbers of rows.
fn settings(study: &Study, training: &Optimum, rows: Vec<u64>) -> Result<GlmSettings, Failure> {
    let model = study.model();
    let squares = mean_squares(study.schema(), model.clip);
    let columns = u32::try_from(squares.len())
        .map_err(|_| Failure::new(Exit::Configuration, "the study has too many columns"))?;
    let family = match (&training.link, study.schema().target()) {
        (Link::Logistic { prevalence, sigmoid }, Target::Binary(_)) => Family::Logistic {
            prevalence: *prevalence,
            window: sigmoid.window.ilog2(),
            terms: sigmoid.terms,
        },
        (Link::Poisson(rate), Target::Count(target)) => Family::Poisson {
            mean: rate.mean,
            centre: rate.centre,
            halfwidth: rate.halfwidth,
            terms: rate.terms,
            most: target.range.1,
        },
        _ => {
            let what = "the target does not belong to the kind of model";
            return Err(Failure::new(Exit::Internal, what));
        }
    };
    Ok(GlmSettings {
        family,
        rows,
        columns,
        intercept: model.intercept,
        offset: study.schema().offset().is_some(),
        l2: model.l2,
        clip: model.clip,
        mean_square: squares.into_iter().fold(0.0, f64::max),
        trace: total_mean_square(study.schema(), model.clip),
        condition: training.condition,
        tolerance: training.tolerance,
        largest_eigenvalue: training.largest_eigenvalue,
        inference: study.output().inference,
        release_fraction: study.output().release_bits,
    })
}

pub(super) fn plan(
    study: &Study,
    training: &Optimum,
    rows: Vec<u64>,
) -> Result<OptimumPlan, Failure> {
    let origin = study.security().correlations.origin();
    Ok(OptimumPlan::new(&settings(study, training, rows)?, origin)?)
}

pub(super) fn account(plan: &OptimumPlan, me: usize) -> Account {
    let cost = plan.cost(me);
    let precision = plan.precision();
    let settings = plan.settings();
    let unit = libm::ldexp(1.0, -(settings.release_fraction as i32));
    let mut lines = vec![
        format!(
            "a coefficient may be off, in its standard errors, by about {:.1e} for the fitted \
             functions, {:.1e} for fixed point and {:.1e} for the noise of the series, where {} \
             is allowed for each",
            precision.fit,
            precision.fixed_point,
            precision.phasors,
            2.0 * settings.tolerance
        ),
        format!("standardised coefficients are released in steps of {unit:.1e}"),
    ];
    if settings.inference {
        lines.push(format!(
            "a standard error may be off by {:.2}% for the lift of the weights, and the deviance by \
             up to {:.1e} for the fitted functions and the noise of the series",
            100.0 * precision.std_errors,
            precision.deviance
        ));
    }
    Account {
        iterations: plan.passes() as u64,
        rows_dropped: 0,
        sigma: plan.sigma(),
        sigmoid_error: None,
        rounds: cost.rounds,
        bytes_sent: cost.sent(),
        precision: lines,
    }
}

/// Fits and reveals.
pub(super) async fn fit(
    plan: &Agreed<OptimumPlan>,
    mut encoded: Encoded,
    source: &mut dyn CorrelationSource,
    session: &mut Session,
    phases: &mut Phases,
) -> Result<Fitted, Failure> {
    let offset = std::mem::take(&mut encoded.offset);
    let rows = rows_of(encoded);
    phases.enter("training", session);
    let mut progress = Progress::new(plan.passes() as u64, "training");
    let heard = |done, production| progress.at(done, production);
    let fit = optimum::run(plan, &rows, &offset, source, session, heard).await;
    progress.finish();
    let Some(fit) = fit? else { return Ok(Fitted::default()) };
    let window = window_warning(plan, &rows, &offset, &fit.coefficients);
    Ok(Fitted {
        inference: inference(plan, &fit),
        checks: checks(plan, &fit),
        warnings: distance_warning(plan, &fit).into_iter().collect(),
        own_warnings: window.into_iter().collect(),
        coefficients: Some(fit.coefficients),
    })
}

fn inference(plan: &OptimumPlan, fit: &GlmFit) -> Option<InferenceParts> {
    let settings = plan.settings();
    let mut coefficients = fit.std_errors.clone()?;
    let intercept = if settings.intercept { coefficients.pop() } else { None };
    let fit = Likelihood::new(
        settings.total_rows(),
        coefficients.len() as u64,
        settings.intercept,
        fit.deviance?,
        fit.null_deviance?,
    )?;
    Some(InferenceParts { coefficients, intercept, fit: FitStatistics::Likelihood(fit) })
}

fn checks(plan: &OptimumPlan, fit: &GlmFit) -> Vec<CheckRecord> {
    let inverse = |what: &str, value: Option<f64>| {
        let bound = InversePlan::RESIDUAL_LIMIT;
        value.map(|value| CheckRecord { what: what.to_owned(), value, bound })
    };
    let distance = CheckRecord {
        what: "distance of the last pass from the optimum".to_owned(),
        value: fit.checks.distance,
        bound: plan.allowed_distance(),
    };
    inverse("residual of the inverse that the steps begin with", fit.checks.inverse)
        .into_iter()
        .chain([distance])
        .chain(inverse(
            "residual of the inverse behind the standard errors",
            fit.checks.information,
        ))
        .chain(fit.checks.separation.map(|(value, bound)| CheckRecord {
            what: "information that rests on rows that are all but certain".to_owned(),
            value,
            bound,
        }))
        .collect()
}

fn distance_warning(plan: &OptimumPlan, fit: &GlmFit) -> Option<String> {
    (!fit.checks.converged).then(|| {
        format!(
            "the last step was {:.2e} from the optimum, and {:.2e} is within the tolerance of the \
             study. {}",
            fit.checks.distance,
            plan.allowed_distance(),
            plan.advice()
        )
    })
}

/// Outside its window the series bends back; only the owner of a row may know that it left.
fn window_warning(
    plan: &OptimumPlan,
    own: &Rows,
    offsets: &[f64],
    coefficients: &[f64],
) -> Option<String> {
    let (centre, edge, setting) = match plan.settings().family {
        Family::Logistic { window, .. } => {
            (0.0, libm::ldexp(1.0, window as i32 - 2), "training.sigmoid.window")
        }
        Family::Poisson { centre, halfwidth, .. } => {
            (centre, halfwidth, "training.rate.halfwidth or another training.rate.mean")
        }
    };
    let score = |row: usize| {
        let offset = offsets.get(row).copied().unwrap_or_default();
        plaintext::score(coefficients, own.row(row)) + offset
    };
    let outside = (0..own.len()).filter(|&row| (score(row) - centre).abs() > edge).count();
    (outside > 0).then(|| {
        format!(
            "{outside} of this party's {} rows have scores more than {edge} from {centre:.2}, where \
             the function of this study is not exact: use a larger {setting}",
            own.len()
        )
    })
}

pub(super) fn record(training: &Optimum) -> SolverRecord {
    let (prevalence, sigmoid, rate) = match &training.link {
        Link::Logistic { prevalence, sigmoid } => {
            (Some(*prevalence), Some((sigmoid.window, sigmoid.terms)), None)
        }
        Link::Poisson(rate) => (
            None,
            None,
            Some(RateRecord {
                mean: rate.mean,
                centre: rate.centre,
                halfwidth: rate.halfwidth,
                terms: rate.terms,
            }),
        ),
    };
    SolverRecord::Optimum(OptimumRecord {
        condition: training.condition,
        tolerance: training.tolerance,
        prevalence,
        sigmoid,
        rate,
        largest_eigenvalue: training.largest_eigenvalue,
    })
}
