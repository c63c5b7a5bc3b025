//! Logistic regression by mini-batch gradient descent: three rounds an iteration
//! (docs/protocols.md 5).

mod arithmetic;
mod certificate;
mod fit;
mod outputs;
mod parts;
pub mod plaintext;
mod plan;
mod release;
mod resume;
pub mod schedule;
mod settings;
mod steps;
#[cfg(test)]
mod tests;

pub use arithmetic::Opening;
pub use certificate::MOST_LOSS;
pub use fit::{SgdShares, Training};
pub use outputs::{COEFFICIENTS, LOSS};
pub use plan::{SgdPlan, X_FRACTION};
pub use release::SgdFit;
pub use settings::{SgdSettings, Sigmoid, SigmoidFit};
pub use steps::Steps;

use crate::artifact::{CheckRecord, ModelKind};
use crate::data::{Cut, Dataset};
use crate::error::Error;
use crate::model::{Agreed, Facts, Model, Run, Summary};

/// What is checked of a training.
const LOSS_IN_WORDS: &str = "mean log-loss of the training rows of all parties";

/// Logistic regression by mini-batch gradient descent.
#[derive(Debug)]
pub struct Sgd;

impl Model for Sgd {
    type Settings = SgdSettings;
    type Plan = SgdPlan;
    type Fitted = SgdShares;
    type Fit = SgdFit;

    const NAME: &'static str = "sgd";
    const KINDS: &'static [ModelKind] = &[ModelKind::Logistic];
    const DIVIDES: bool = true;
    const CUTS: &'static [Cut] = &[Cut::Horizontal, Cut::Vertical];

    fn plan(settings: &SgdSettings, facts: &Facts) -> Result<SgdPlan, Error> {
        SgdPlan::new(settings, facts)
    }

    async fn fit(
        plan: &Agreed<SgdPlan>,
        data: &Dataset,
        run: &mut Run<'_>,
    ) -> Result<SgdShares, Error> {
        fit::fit(plan, data, run).await
    }

    async fn release(
        plan: &Agreed<SgdPlan>,
        fitted: SgdShares,
        data: &Dataset,
        run: &mut Run<'_>,
    ) -> Result<Option<SgdFit>, Error> {
        release::release(plan, &fitted, data, run.session).await
    }

    fn summary(plan: &SgdPlan, fit: SgdFit) -> Summary {
        let settings = plan.settings();
        let warning = fit.outside.filter(|&outside| outside > 0).map(|outside| {
            let own = fit.rows;
            format!(
                "{outside} of this party's {own} rows have scores beyond +-{}, where the sigmoid of this \
                 study is not exact: use a larger sigmoid.window",
                plan.edge()
            )
        });
        let check = fit.loss.map(|value| CheckRecord {
            what: LOSS_IN_WORDS.to_owned(),
            value,
            bound: MOST_LOSS,
        });
        Summary {
            l2: settings.l2,
            release_bits: settings.release_bits,
            checks: check.into_iter().collect(),
            own_warnings: warning.into_iter().collect(),
            ..Summary::of(fit.coefficients, fit.intercept)
        }
    }
}
