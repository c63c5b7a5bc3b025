//! Linear and ridge regression by the normal equations (docs/protocols.md 7.2).
//!
//! A party's own X^T X and X^T y are its additive shares of the joint ones, so the cost does not
//! depend on the number of rows, and nothing of a row is ever opened.

mod certificate;
pub(super) mod columns;
mod cost;
pub(super) mod cross;
mod crossed;
mod eliminate;
mod encoding;
mod fit;
mod moments;
mod outputs;
pub mod plaintext;
mod plan;
mod refusals;
mod release;
mod scatter;
mod settings;

use mpc_core::Recipients;
use mpc_core::protocols::solve::InversePlan;

pub use fit::{LinearShares, Sums, solve, sums};
pub use outputs::{CERTIFICATE, CHECK, COEFFICIENTS, DIAGONAL, SUMS};
pub use plan::{CHECK_FRACTION, CONDITIONS, LinearPlan, X_FRACTION, Y_FRACTION};
pub use release::LinearFit;
pub use settings::LinearSettings;

use crate::artifact::{
    CheckRecord, FitStatistics, InferenceParts, JointTest, ModelKind, RobustParts,
};
use crate::data::{Cut, Dataset, Schema};
use crate::error::Error;
use crate::inference::{combined, tested, told};
use crate::model::{Agreed, Facts, Model, Run, Settings, Summary, has_features, passes_indicators};

/// Linear regression by its normal equations.
#[derive(Debug)]
pub struct Linear;

impl Model for Linear {
    type Settings = LinearSettings;
    type Plan = LinearPlan;
    type Fitted = LinearShares;
    type Fit = LinearFit;

    const NAME: &'static str = "exact";
    const KINDS: &'static [ModelKind] = &[ModelKind::Linear];

    const CUTS: &'static [Cut] = &[Cut::Horizontal, Cut::Vertical];
    const DIVIDES: bool = true;
    const GROUPS_ROWS: bool = true;

    fn suits(
        settings: &LinearSettings,
        schema: &Schema,
        recipients: Recipients,
    ) -> Result<(), Error> {
        has_features(schema)?;
        passes_indicators(schema, settings.clip())?;
        if schema.offset().is_some() {
            return Err(Error::field("offset", "has no place in a linear model: remove it"));
        }
        if settings.inference && settings.l2 > 0.0 {
            let rule = "is not possible with a penalty: it draws the coefficients towards 0, so \
                        tests and intervals from their standard errors would be wrong; set l2 = 0.0";
            return Err(Error::field("inference", rule));
        }
        settings.asked().suits(schema)?;
        refusals::sums_for_all(settings, recipients == Recipients::All)
    }

    fn plan(settings: &LinearSettings, facts: &Facts) -> Result<LinearPlan, Error> {
        LinearPlan::new(settings, facts)
    }

    async fn fit(
        plan: &Agreed<LinearPlan>,
        data: &Dataset,
        run: &mut Run<'_>,
    ) -> Result<LinearShares, Error> {
        fit::fit(plan, data, run).await
    }

    async fn release(
        plan: &Agreed<LinearPlan>,
        fitted: LinearShares,
        data: &Dataset,
        run: &mut Run<'_>,
    ) -> Result<Option<LinearFit>, Error> {
        release::release(plan, fitted, data, run).await
    }

    fn summary(plan: &LinearPlan, fit: LinearFit) -> Summary {
        let settings = plan.settings();
        let split = |errors: &[f64]| {
            let mut coefficients = errors.to_vec();
            let intercept = if settings.intercept { coefficients.pop() } else { None };
            (coefficients, intercept)
        };
        let (robust, untold) = told(settings.robust, fit.robust.as_deref());
        let free = fit.statistics.as_ref().map_or(0, |statistics| statistics.degrees_of_freedom);
        let law = |statistic, tested| JointTest::f(statistic / tested as f64, tested, free);
        let (tests, tests_untold) = tested(&fit.tests, law);
        let (contrasts, contrasts_untold) = combined(&settings.contrasts, &fit.contrasts);
        let inference = fit.statistics.zip(fit.std_errors).map(|(statistics, errors)| {
            let (coefficients, intercept) = split(&errors);
            let robust = robust.map(|errors| {
                let (coefficients, intercept) = split(errors);
                RobustParts { kind: settings.robust.record(), coefficients, intercept }
            });
            InferenceParts {
                coefficients,
                intercept,
                robust,
                covariance: fit.covariance.clone(),
                tests,
                contrasts,
                fit: FitStatistics::LeastSquares(statistics),
            }
        });
        let check = CheckRecord {
            what: "sum of the errors of the inverse's spectrum".to_owned(),
            value: fit.check,
            bound: InversePlan::RESIDUAL_LIMIT,
        };
        Summary {
            l2: fit.crossed.as_ref().map_or(settings.l2, |found| found.l2),
            release_bits: settings.release_bits,
            inference,
            checks: std::iter::once(check)
                .chain(fit.certificate)
                .chain(fit.crossed.iter().map(|it| it.record("squared error")))
                .collect(),
            warnings: untold.into_iter().chain(tests_untold).chain(contrasts_untold).collect(),
            ..Summary::of(fit.coefficients, fit.intercept)
        }
    }
}
