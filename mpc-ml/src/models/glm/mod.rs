//! Logistic and Poisson regression to the optimum, on rows that stay with their owners
//! (docs/protocols.md 8).
//!
//! What R's `glm` gives. The owners know the curvature of their own fits, and its sum is the joint one:
//! shares by nature, whose inverse turns gradients into steps. Read `fit` from the top: `start` (two
//! rounds), the passes on shares (`pass`, guarded by the `rule`), and `finish`, in which the last steps
//! are made in the clear and checked.

mod certificate;
mod cholesky;
mod cost;
mod distance;
mod family;
mod finish;
mod fit;
mod inference;
mod inverses;
mod inversion;
mod labels;
mod link;
mod orders;
mod own;
mod pass;
mod plan;
mod products;
mod rule;
mod scales;
mod settings;
mod start;
mod steps;
mod sums;
mod wald;

use mpc_core::Recipients;

pub use family::Family;
pub use finish::GlmFit;
pub use fit::GlmShares;
pub use inference::Inference;
pub use labels::COEFFICIENTS;
pub use plan::GlmPlan;
pub use settings::{Finish, GlmSettings, Iterates, Robust};
pub use wald::WaldTest;

use crate::artifact::{
    CheckRecord, ErrorKind, FeatureTest, FitStatistics, InferenceParts, JointTest, Likelihood,
    ModelKind, RobustParts,
};
use crate::data::{Dataset, Schema};
use crate::error::Error;
use crate::model::Agreed;
use crate::model::{
    Facts, Model, Run, Settings, Summary, features, has_features, passes_indicators,
};

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

    const WEIGHS_ROWS: bool = true;

    fn suits(settings: &GlmSettings, schema: &Schema, _: Recipients) -> Result<(), Error> {
        has_features(schema)?;
        passes_indicators(schema, settings.clip())?;
        if schema.groups().is_some() && settings.robust != Robust::Cluster {
            let rule =
                "are for robust = \"cluster\" alone, and would change nothing here: remove them";
            return Err(Error::field("groups", rule));
        }
        wald::WaldPlan::of(&settings.tests, &features(schema))?;
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
        fit::fit(plan, data, run).await
    }

    async fn release(
        plan: &Agreed<GlmPlan>,
        fitted: GlmShares,
        _: &Dataset,
        run: &mut Run<'_>,
    ) -> Result<Option<GlmResult>, Error> {
        let rows = plan.total_rows();
        let fit = finish::release(plan, fitted, run).await?;
        Ok(fit.map(|fit| GlmResult { fit, rows }))
    }

    fn summary(plan: &GlmPlan, result: GlmResult) -> Summary {
        let GlmResult { fit, rows } = result;
        let settings = plan.settings();
        let inference = fit.inference.as_ref().and_then(|found| {
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
            let kind = match settings.robust {
                Robust::None => ErrorKind::Usual,
                Robust::Hc0 => ErrorKind::Hc0,
                Robust::Hc1 => ErrorKind::Hc1,
                Robust::Cluster => ErrorKind::Cluster,
            };
            let robust = found.robust.as_deref().filter(|errors| usable(errors)).map(|errors| {
                let (coefficients, intercept) = split(errors);
                RobustParts { kind, coefficients, intercept }
            });
            let covariance = found.covariance.clone();
            let fit = FitStatistics::Likelihood(fit);
            let tests = found.tests.iter().filter_map(|test| {
                let joint = JointTest::chi_squared(test.statistic?, test.degrees_of_freedom);
                Some(FeatureTest { feature: test.feature.clone(), joint })
            });
            let tests = tests.collect();
            Some(InferenceParts { coefficients, intercept, robust, covariance, tests, fit })
        });
        let certain = fit.inference.iter().filter(|found| found.certain > 0).map(|found| {
            format!(
                "{} fitted rows are all but certain (R warns of fitted values of 0 or 1): a level or a \
                 combination of columns may decide the target by itself",
                found.certain
            )
        });
        let robust = fit.inference.iter().filter_map(|found| found.robust.as_deref());
        let robust = robust.filter(|errors| !usable(errors)).map(|_| {
            "a robust standard error is 0 (a column that its groups alone make up, or too few \
             groups): the usual standard errors are given in their place"
                .to_owned()
        });
        let untold = fit.inference.iter().flat_map(|found| &found.tests);
        let untold = untold.filter(|test| test.statistic.is_none()).map(|test| {
            format!(
                "the joint test of {:?} is not told: its columns nearly determine each other, or one of \
                 them has too few rows beside the others",
                test.feature
            )
        });
        Summary {
            l2: settings.l2,
            release_bits: settings.release_bits,
            inference,
            checks: std::iter::once(CheckRecord {
                what: "distance from the optimum in standard errors".to_owned(),
                value: fit.distance,
                bound: settings.tolerance,
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
            .collect(),
            warnings: certain.chain(robust).chain(untold).collect(),
            ..Summary::of(fit.coefficients, settings.intercept)
        }
    }
}

/// Whether tests can rest on these standard errors.
fn usable(errors: &[f64]) -> bool {
    errors.iter().all(|error| error.is_finite() && *error > 0.0)
}

/// A fit, and how many rows it rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct GlmResult {
    /// The fit.
    pub fit: GlmFit,
    /// Rows of all parties.
    pub rows: u64,
}
