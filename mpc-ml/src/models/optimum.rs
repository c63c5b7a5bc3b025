//! Logistic and Poisson regression to the optimum (docs/protocols.md 8): the fits of
//! [`solvers::optimum`](crate::solvers::optimum) as a [`Model`].

mod settings;

use mpc_core::protocols::solve::InversePlan;
use mpc_core::{Cost, Recipients};

pub use settings::{OptimumSettings, Rate, Series};

use crate::agreed::{Agreed, Plan as Described};
use crate::artifact::{CheckRecord, FitStatistics, InferenceParts, Likelihood, ModelKind};
use crate::data::{Dataset, Schema};
use crate::error::Error;
use crate::model::{
    Canonical, Facts, Figures, Model, Output, Plan, Progress, Run, Settings, Summary, has_features,
    passes_indicators,
};
use crate::plaintext;
use crate::plan::optimum::{Family, OptimumPlan};
use crate::solvers::optimum::{
    self, COEFFICIENTS, CONVERGENCE, DEVIANCE, GlmFit, INFORMATION, INFORMATION_CHECK,
    INVERSE_CHECK, NULL_DEVIANCE, SEPARATION_CHECK, TARGETS,
};

/// Logistic or Poisson regression to the optimum of the likelihood.
#[derive(Debug)]
pub struct Optimum;

/// The plan of a fit and the facts that it follows from.
#[derive(Clone, Debug)]
pub struct OptimumStudy {
    plan: OptimumPlan,
    settings: OptimumSettings,
    facts: Facts,
}

impl Plan for OptimumPlan {
    fn outputs(&self) -> Vec<Output> {
        let (settings, to) = (self.settings(), Recipients::All);
        let mut outputs = Vec::new();
        if self.hessian().is_some() {
            let what = "whether the columns allow a solution: how far a computed inverse is from \
                        an exact one, in one figure for all columns together";
            outputs.push(Output::check(INVERSE_CHECK, what));
        }
        let what = "whether the steps have come to an end: how far the last one was from the best \
                    fit, in one figure for all columns and rows together";
        outputs.push(Output::check(CONVERGENCE, what));
        if settings.inference {
            let what = "whether there are standard errors: how far the inverse behind them is from \
                        an exact one, in one figure";
            outputs.push(Output::check(INFORMATION_CHECK, what));
            let what = "whether there are standard errors: how much of what is known of the \
                        coefficients rests on rows that are all but certain, in one figure";
            outputs.push(Output::check(SEPARATION_CHECK, what));
            let what = "how sure each coefficient is: the diagonal of the inverse of the matrix of \
                        the equations, one figure for each coefficient and the intercept";
            let why = "standard errors, tests and confidence intervals of the coefficients are \
                       computed from these figures at the recipients; correlations between \
                       coefficients are not revealed";
            outputs.push(Output::result(INFORMATION, to, what, why));
        }
        let how = format!(
            "to {} binary digits after the point; no coefficient of any step before the last",
            settings.release_fraction
        );
        let columns = settings.columns as usize;
        outputs.push(Output::coefficients(COEFFICIENTS, to, columns, settings.intercept, &how));
        if settings.inference {
            let mut why =
                "how well the model fits is computed from these figures at the recipients"
                    .to_owned();
            if self.parties() == 2 {
                why += ". WARNING: with two parties, each can compute its own part of these sums, \
                        and learns by subtraction the other's part of the deviance, and the sum of \
                        its target; set inference = false to avoid this";
            }
            let mut result = |label, what: &str| {
                outputs.push(Output::result(label, to, what, why.clone()));
            };
            result(DEVIANCE, "how well the model fits: its deviance");
            result(TARGETS, "the sum of the target, and of the exponential of an offset");
            if matches!(settings.family, Family::Poisson { .. }) {
                result(NULL_DEVIANCE, "the deviance of a model without features");
            }
        }
        outputs
    }

    fn canonical(&self) -> Result<Canonical, Error> {
        Canonical::new("optimum", 2).field("settings", &Described::canonical(self))
    }

    fn cost(&self, me: usize) -> Cost {
        Self::cost(self, me)
    }

    fn figures(&self) -> Figures {
        let (precision, settings) = (self.precision(), self.settings());
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
                "a standard error may be off by {:.2}% for the lift of the weights, and the \
                 deviance by up to {:.1e} for the fitted functions and the noise of the series",
                100.0 * precision.std_errors,
                precision.deviance
            ));
        }
        let link = match settings.family {
            Family::Logistic { prevalence, window, terms } => format!(
                "the declared share {prevalence} of the rarer class, the window {} and the {terms} \
                 terms of the logistic function",
                1u64 << window
            ),
            Family::Poisson { mean, centre, halfwidth, terms, .. } => format!(
                "the declared typical count {mean}, the scores from {:.2} to {:.2} and the {terms} \
                 terms of the exponential function",
                centre - halfwidth,
                centre + halfwidth
            ),
        };
        let accuracy = vec![
            format!("the largest condition number {} of the columns", settings.condition),
            format!("the tolerance {}", settings.tolerance),
            link,
        ];
        let (steps, sigma) = (self.passes() as u64, self.sigma());
        Figures { steps, sigma, precision: lines, accuracy, ..Figures::default() }
    }
}

impl Plan for OptimumStudy {
    fn outputs(&self) -> Vec<Output> {
        let mut outputs = Plan::outputs(&self.plan);
        for output in outputs.iter_mut().filter(|output| !output.check) {
            output.recipients = self.facts.recipients;
        }
        outputs
    }

    fn canonical(&self) -> Result<Canonical, Error> {
        let plan = Described::canonical(&self.plan);
        let form = Canonical::new("optimum", 2).with(&self.settings)?.with(&self.facts)?;
        form.field("what follows", &plan)
    }

    fn cost(&self, me: usize) -> Cost {
        self.plan.cost(me)
    }

    fn figures(&self) -> Figures {
        self.plan.figures()
    }
}

/// What a fit reveals, and what this party sees by it in its own rows.
pub struct OptimumFit {
    fit: GlmFit,
    own_warnings: Vec<String>,
}

impl Model for Optimum {
    type Settings = OptimumSettings;
    type Plan = OptimumStudy;
    type Fitted = Option<OptimumFit>;
    type Fit = OptimumFit;

    const NAME: &'static str = "optimum";
    const KINDS: &'static [ModelKind] = &[ModelKind::Logistic, ModelKind::Poisson];

    fn suits(settings: &OptimumSettings, schema: &Schema, _: Recipients) -> Result<(), Error> {
        has_features(schema)?;
        passes_indicators(schema, settings.clip())?;
        if settings.kind != ModelKind::Poisson && schema.offset().is_some() {
            let rule = "belongs to a Poisson model, where it is the logarithm of the exposure: \
                        remove it";
            return Err(Error::field("offset", rule));
        }
        Ok(())
    }

    fn plan(settings: &OptimumSettings, facts: &Facts) -> Result<OptimumStudy, Error> {
        settings.validate()?;
        let plan = OptimumPlan::new(&settings.of(facts)?, facts.origin)?;
        Ok(OptimumStudy { plan, settings: settings.clone(), facts: facts.clone() })
    }

    /// Reveals the result as well, since these fits have no shares to give.
    async fn fit(
        plan: &Agreed<OptimumStudy>,
        data: &Dataset,
        run: &mut Run<'_>,
    ) -> Result<Option<OptimumFit>, Error> {
        (run.progress)(Progress::Prepared);
        let plan = plan.part(|study| study.plan.clone());
        let (rows, total) = (data.rows(), plan.passes() as u64);
        let progress = &mut *run.progress;
        let heard = |done, production| progress(Progress::Step { done, total, production });
        let fit = optimum::run(&plan, rows, data.offset(), run.source, run.session, heard).await?;
        Ok(fit.map(|fit| {
            let own_warnings = window_warning(&plan, data, &fit.coefficients);
            OptimumFit { fit, own_warnings: own_warnings.into_iter().collect() }
        }))
    }

    async fn release(
        _: &Agreed<OptimumStudy>,
        fitted: Option<OptimumFit>,
        _: &Dataset,
        _: &mut Run<'_>,
    ) -> Result<Option<OptimumFit>, Error> {
        Ok(fitted)
    }

    fn summary(study: &OptimumStudy, fit: OptimumFit) -> Summary {
        let (settings, plan) = (&study.settings, &study.plan);
        let OptimumFit { fit, own_warnings } = fit;
        Summary {
            l2: settings.l2,
            release_bits: settings.release_bits,
            inference: inference(plan, &fit),
            checks: checks(plan, &fit),
            warnings: distance_warning(plan, &fit).into_iter().collect(),
            own_warnings,
            ..Summary::of(fit.coefficients, settings.intercept)
        }
    }
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
fn window_warning(plan: &OptimumPlan, data: &Dataset, coefficients: &[f64]) -> Option<String> {
    let (own, offsets) = (data.rows(), data.offset());
    let (centre, edge, setting) = match plan.settings().family {
        Family::Logistic { window, .. } => {
            (0.0, libm::ldexp(1.0, window as i32 - 2), "sigmoid.window")
        }
        Family::Poisson { centre, halfwidth, .. } => {
            (centre, halfwidth, "rate.halfwidth or another rate.mean")
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
