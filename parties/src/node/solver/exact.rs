//! `solver = "exact"`: linear regression by its normal equations.

use mpc_core::Session;
use mpc_core::correlations::CorrelationSource;
use mpc_core::protocols::solve::InversePlan;
use mpc_ml::artifact::{CheckRecord, ExactRecord, FitStatistics, InferenceParts, SolverRecord};
use mpc_ml::data::{Encoded, Target};
use mpc_ml::plan::linear::mean_squares;
use mpc_ml::solvers::exact::{CHECK, COEFFICIENTS, DIAGONAL, LinearFit, Regression, SUMS};
use mpc_ml::{Agreed, LinearPlan, LinearSettings};

use super::{Account, Fitted, Output, rows_of};
use crate::exit::{Exit, Failure};
use crate::node::phases::Phases;
use crate::node::progress::{Progress, Watched};
use crate::study::{Exact, Study};

pub(super) fn outputs(study: &Study) -> Vec<Output> {
    let mut outputs = vec![
        Output { label: CHECK, to_everybody: true },
        Output { label: COEFFICIENTS, to_everybody: false },
    ];
    if study.output().inference {
        outputs.extend([DIAGONAL, SUMS].map(|label| Output { label, to_everybody: false }));
    }
    outputs
}

/// The settings of the fit that a study describes, for parties with these numbers of rows.
fn settings(study: &Study, training: &Exact, rows: Vec<u64>) -> Result<LinearSettings, Failure> {
    let model = study.model();
    let Target::Numeric(target) = study.schema().target() else {
        return Err(Failure::new(Exit::Internal, "the target of a linear model is no number"));
    };
    let target = target
        .range
        .ok_or_else(|| Failure::new(Exit::Internal, "the target of a linear model has no range"))?;
    Ok(LinearSettings {
        rows,
        mean_squares: mean_squares(study.schema(), model.clip),
        intercept: model.intercept,
        l2: model.l2,
        clip: model.clip,
        condition: training.condition,
        target,
        release_fraction: study.output().release_bits,
        inference: study.output().inference,
    })
}

pub(super) fn plan(study: &Study, training: &Exact, rows: Vec<u64>) -> Result<LinearPlan, Failure> {
    Ok(LinearPlan::new(settings(study, training, rows)?)?)
}

pub(super) fn account(plan: &LinearPlan, me: usize) -> Account {
    let cost = plan.training_cost(me) + plan.release_cost(me);
    let settings = plan.settings();
    let (_, half) = settings.target_scale();
    let unit = libm::ldexp(half, -(settings.release_fraction as i32));
    Account {
        iterations: plan.inverse().steps() as u64,
        rows_dropped: 0,
        sigma: plan.sigma(),
        sigmoid_error: None,
        rounds: cost.rounds,
        bytes_sent: cost.sent(),
        precision: vec![
            format!("standardised coefficients are released in steps of {unit:.1e}"),
            format!(
                "columns with a condition number up to {} are solved; beyond that the study may end \
                 without a model",
                settings.condition
            ),
        ],
    }
}

/// Fits and reveals.
pub(super) async fn fit(
    plan: &Agreed<LinearPlan>,
    encoded: Encoded,
    source: &mut dyn CorrelationSource,
    session: &mut Session,
    phases: &mut Phases,
) -> Result<Fitted, Failure> {
    let rows = rows_of(encoded);
    let regression = Regression::begin(plan, &rows, source, session).await?;

    phases.enter("training", session);
    let progress = Progress::new(plan.inverse().steps() as u64, "training");
    let mut source = Watched::new(source, plan.requests().len() as u64, progress);
    let fit = regression.run(&mut source, session).await;
    source.end();
    let Some(fit) = fit? else { return Ok(Fitted::default()) };
    Ok(Fitted {
        inference: inference(plan, &fit),
        checks: vec![CheckRecord {
            what: "sum of the errors of the inverse's spectrum".to_owned(),
            value: fit.check,
            bound: InversePlan::RESIDUAL_LIMIT,
        }],
        coefficients: Some(fit.coefficients),
        warnings: Vec::new(),
        own_warnings: Vec::new(),
    })
}

fn inference(plan: &LinearPlan, fit: &LinearFit) -> Option<InferenceParts> {
    let statistics = fit.statistics.clone()?;
    let mut coefficients = fit.std_errors.clone()?;
    let intercept = if plan.settings().intercept { coefficients.pop() } else { None };
    let fit = FitStatistics::LeastSquares(statistics);
    Some(InferenceParts { coefficients, intercept, fit })
}

pub(super) fn record(training: &Exact) -> SolverRecord {
    SolverRecord::Exact(ExactRecord { condition: training.condition })
}
