//! Logistic and Poisson regression to the optimum, on rows that stay with their owners
//! (docs/protocols.md 8).
//!
//! What R's `glm` gives. The owners know the curvature of their own fits, and its sum is the joint one:
//! shares by nature, whose inverse turns gradients into steps. Read `fit` from the top: `start` (two
//! rounds), the passes on shares (`pass`, guarded by the `rule`), and `finish`, in which the last steps
//! are made in the clear and checked.

mod certificate;
mod cholesky;
mod columns;
mod cost;
mod cross;
mod distance;
mod family;
mod finish;
mod fit;
mod folds;
mod held;
mod inference;
mod inverses;
mod inversion;
mod labels;
pub(crate) mod link;
mod own;
mod pass;
mod plan;
mod products;
mod resume;
mod rule;
mod scales;
mod settings;
mod start;
mod steps;
pub(crate) mod totals;
mod way;

use mpc_core::Recipients;

pub use cross::{Crossed, HELD_OUT};
pub(super) use cross::{HeldOut, least, of_part, prefix};
pub use family::Family;
pub use finish::GlmFit;
pub use folds::CrossValidation;
pub use inference::Inference;
pub use labels::COEFFICIENTS;
pub use settings::{Finish, GlmSettings, Iterates};
pub use way::{GlmPlan, GlmShares};

pub use crate::inference::{Robust, WaldTest};

use crate::artifact::{
    CheckRecord, FitStatistics, InferenceParts, JointTest, Likelihood, ModelKind, RobustParts,
    RowCount,
};
use crate::data::{Cut, Dataset, Schema};
use crate::error::Error;
use crate::inference::{combined, tested, told};
use crate::model::{
    Agreed, Facts, Model, Orders, Run, Settings, Summary, has_features, passes_indicators,
};
use way::{Shares, Way};

/// Logistic or Poisson regression to the optimum.
#[derive(Debug)]
pub struct Glm;

impl Model for Glm {
    type Settings = GlmSettings;
    type Plan = GlmPlan;
    type Fitted = GlmShares;
    type Fit = GlmResult;

    const NAME: &'static str = "optimum";
    const KINDS: &'static [ModelKind] = &[ModelKind::Logistic, ModelKind::Poisson];

    const RETIRED: &'static [&'static str] =
        &["condition", "prevalence", "sigmoid", "rate", "largest_eigenvalue"];

    const CUTS: &'static [Cut] = &[Cut::Horizontal, Cut::Vertical];

    const DIVIDES: bool = true;

    const WEIGHS_ROWS: bool = true;

    const GROUPS_ROWS: bool = true;

    fn suits(settings: &GlmSettings, schema: &Schema, _: Recipients) -> Result<(), Error> {
        has_features(schema)?;
        passes_indicators(schema, settings.clip())?;
        settings.asked().suits(schema)?;
        if settings.family == Family::Logistic && schema.offset().is_some() {
            let rule = "belongs to a Poisson model, where it is the logarithm of the exposure: \
                        remove it";
            return Err(Error::field("offset", rule));
        }
        Ok(())
    }

    fn plan(settings: &GlmSettings, facts: &Facts) -> Result<GlmPlan, Error> {
        GlmPlan::new(settings, facts)
    }

    async fn fit(
        plan: &Agreed<GlmPlan>,
        data: &Dataset,
        run: &mut Run<'_>,
    ) -> Result<GlmShares, Error> {
        let agreed = plan.digest();
        Ok(GlmShares(match &plan.0 {
            Way::Rows(plan) => {
                let orders = Orders::default();
                Shares::Rows(Box::new(fit::whole(plan, agreed, data, orders, run).await?))
            }
            Way::Crossed(plan) => {
                Shares::Crossed(Box::new(cross::fit(plan, agreed, data, run).await?))
            }
            Way::Columns(plan) => {
                Shares::Columns(Box::new(columns::fit(plan, agreed, data, run).await?))
            }
        }))
    }

    async fn release(
        plan: &Agreed<GlmPlan>,
        fitted: GlmShares,
        data: &Dataset,
        run: &mut Run<'_>,
    ) -> Result<Option<GlmResult>, Error> {
        let rows = plan.total_rows();
        let mut crossed = None;
        let found = match (&plan.0, fitted.0) {
            (Way::Rows(plan), Shares::Rows(shares)) => {
                let fit = finish::release(plan, *shares, data.scales(), run).await?;
                fit.map(|fit| (fit, plan.settings.intercept))
            }
            (Way::Crossed(plan), Shares::Crossed(shares)) => {
                crossed = Some(plan.found(&shares));
                let plan = plan.chosen(shares.chosen);
                let fit = finish::release(plan, shares.shares, data.scales(), run).await?;
                fit.map(|fit| (fit, plan.settings.intercept))
            }
            (Way::Columns(plan), Shares::Columns(shares)) => {
                columns::release(plan, *shares, data, run).await?
            }
            _ => return Err(Error::Settings("these shares are those of another plan".to_owned())),
        };
        Ok(found.map(|(fit, intercept)| GlmResult { fit, intercept, rows, crossed }))
    }

    fn summary(plan: &GlmPlan, result: GlmResult) -> Summary {
        let GlmResult { fit, intercept, rows, crossed } = result;
        let settings = plan.settings();
        let found = fit.inference.as_ref();
        let robust = found.and_then(|found| found.robust.as_deref());
        let (robust, untold) = told(settings.robust, robust);
        let tests = found.map_or(&[][..], |found| &found.tests);
        let (tests, tests_untold) = tested(tests, JointTest::chi_squared);
        let contrasts = found.map_or(&[][..], |found| &found.contrasts);
        let (contrasts, contrasts_untold) = combined(&settings.contrasts, contrasts);
        let inference = found.and_then(|found| {
            let split = |errors: &[f64]| {
                let mut coefficients = errors.to_vec();
                let intercept = if settings.intercept { coefficients.pop() } else { None };
                (coefficients, intercept)
            };
            let (coefficients, intercept) = split(&found.std_errors);
            let columns = coefficients.len() as u64;
            let (deviance, null) = (found.deviance, found.null_deviance);
            let fit = Likelihood::new(rows, columns, settings.intercept, deviance, null)?;
            let fit = fit.with_likelihood(found.log_likelihood, found.certain);
            let robust = robust.map(|errors| {
                let (coefficients, intercept) = split(errors);
                RobustParts { kind: settings.robust.record(), coefficients, intercept }
            });
            let covariance = found.covariance.clone();
            let fit = FitStatistics::Likelihood(fit);
            Some(InferenceParts {
                coefficients,
                intercept,
                robust,
                covariance,
                tests,
                contrasts,
                fit,
            })
        });
        let untold_fit = (inference.is_none() && fit.std_errors.is_some()).then(|| {
            "deviance and likelihood are not told: the noise of the joint randomness would be above 10^-4 of \
             them. With a dealer there is less of it"
                .to_owned()
        });
        let inference = inference.or_else(|| {
            let mut errors = fit.std_errors.clone()?;
            let intercept = if settings.intercept { errors.pop() } else { None };
            let columns = errors.len() as u64;
            Some(InferenceParts {
                coefficients: errors,
                intercept,
                robust: None,
                covariance: None,
                tests: Vec::new(),
                contrasts: Vec::new(),
                fit: FitStatistics::Rows(RowCount::new(rows, columns, settings.intercept)?),
            })
        });
        let untold_errors = (settings.inference && inference.is_none()).then(|| {
            "standard errors are not told: the noise of the joint randomness would show in them. With \
             a dealer there is less of it"
                .to_owned()
        });
        let certain = fit.inference.iter().filter(|found| found.certain > 0).map(|found| {
            format!(
                "{} fitted rows are all but certain (R warns of fitted values of 0 or 1): a level or a \
                 combination of columns may decide the target by itself",
                found.certain
            )
        });
        Summary {
            l2: crossed.as_ref().map_or(settings.l2, |found| found.l2),
            release_bits: settings.release_bits,
            inference,
            checks: std::iter::once(CheckRecord {
                what: "distance from the optimum in standard errors".to_owned(),
                value: fit.distance,
                bound: fit.tolerance,
            })
            .chain(fit.gradient.map(|value| {
                CheckRecord {
                    what:
                        "gradient of the joint rows at the model, beside what the tolerance allows"
                            .to_owned(),
                    value,
                    bound: 1.0,
                }
            }))
            .chain(crossed.iter().map(|it| it.record("deviance")))
            .collect(),
            warnings: certain
                .chain(untold_errors)
                .chain(untold_fit)
                .chain(untold)
                .chain(tests_untold)
                .chain(contrasts_untold)
                .collect(),
            ..Summary::of(fit.coefficients, intercept)
        }
    }
}

/// A fit, and how many rows it rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct GlmResult {
    /// The fit.
    pub fit: GlmFit,
    /// Whether the last coefficient is the intercept: where each party receives those of its own columns,
    /// it is at one of them.
    pub intercept: bool,
    /// Rows of all parties.
    pub rows: u64,
    /// What cross-validation found, where the study asks for it.
    pub crossed: Option<Crossed>,
}
