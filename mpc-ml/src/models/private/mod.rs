//! Linear, logistic and Poisson regression with differential privacy (docs/protocols.md 16): noisy sums over all
//! parties' rows, from which every party computes the same model by a public rule.
//!
//! Nobody ever holds a sum without noise: each party adds its own to what its rows give before it sends anything of
//! it. Nothing is multiplied on shares, so there are no correlations.

mod contribution;
mod newton;
pub mod plaintext;
mod plan;
mod recipe;
mod rule;
mod settings;
mod symmetric;

#[cfg(test)]
mod audit;
#[cfg(test)]
mod coverage;
#[cfg(test)]
mod tests;

use std::fmt;

use mpc_core::ring::{Ring, Z64};
use mpc_core::{Recipients, Shared};
use zeroize::Zeroizing;

use crate::artifact::{FitStatistics, InferenceParts, ModelKind, RowCount};
use crate::data::{Dataset, Feature, FeatureKind, NumericMissing, Scaling, Schema};
use crate::error::Error;
use crate::model::{
    Agreed, Facts, Model, Progress, Run, Settings, Summary, has_features, passes_indicators,
};
use crate::privacy;
pub use crate::privacy::Neighbours;
use contribution::Contributor;
pub use newton::PrivateErrors;
pub use plan::PrivatePlan;
pub use rule::PrivateFit;
pub use settings::PrivateSettings;

const NAME: &str = "private";
/// Binary digits after the point to which the model is rounded: far below its noise.
const RELEASE_BITS: u32 = 24;

/// A regression with differential privacy.
#[derive(Debug)]
pub struct Private;

/// A party's own noise for the whole fit. Never printed, wiped on drop.
pub struct PrivateFitted {
    noise: Vec<Zeroizing<Vec<i64>>>,
}

impl fmt::Debug for PrivateFitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateFitted({} sums)", self.noise.len())
    }
}

impl Model for Private {
    type Settings = PrivateSettings;
    type Plan = PrivatePlan;
    type Fitted = PrivateFitted;
    type Fit = PrivateFit;

    const NAME: &'static str = NAME;
    const KINDS: &'static [ModelKind] =
        &[ModelKind::Linear, ModelKind::Logistic, ModelKind::Poisson];

    fn suits(settings: &PrivateSettings, schema: &Schema, to: Recipients) -> Result<(), Error> {
        has_features(schema)?;
        passes_indicators(schema, settings.clip())?;
        if schema.offset().is_some() {
            let rule = "has no place in a study with [privacy]: remove it";
            return Err(Error::field("offset", rule));
        }
        if to != Recipients::All {
            let rule = "must be \"all\" with [privacy]: every party computes the next step from the noisy \
                        sums, so all know the model";
            return Err(Error::field("recipients", rule));
        }
        schema.features().iter().enumerate().try_for_each(|(at, feature)| declared(at, feature))
    }

    fn plan(settings: &PrivateSettings, facts: &Facts) -> Result<PrivatePlan, Error> {
        settings.validate()?;
        PrivatePlan::new(settings, facts)
    }

    /// Draws the own noise, all of it, before a message depends on a row. No rounds.
    async fn fit(
        plan: &Agreed<PrivatePlan>,
        data: &Dataset,
        run: &mut Run<'_>,
    ) -> Result<PrivateFitted, Error> {
        data.check(&plan.facts, run.session.me(), 1.0)?;
        data.check_plain()?;
        let sums = plan.sums.clone();
        let noise =
            privacy::ahead(run.session, move |stream| plaintext::noise(&sums, stream)).await?;
        let noise = noise.into_iter().map(Zeroizing::new).collect();
        (run.progress)(Progress::Prepared);
        Ok(PrivateFitted { noise })
    }

    /// The noisy sums, one result each.
    async fn release(
        plan: &Agreed<PrivatePlan>,
        fitted: PrivateFitted,
        data: &Dataset,
        run: &mut Run<'_>,
    ) -> Result<Option<PrivateFit>, Error> {
        let rows = Contributor::new(&plan.recipe, data);
        let mut rule = plan.rule();
        let total = plan.sums.len() as u64;
        for (at, (parts, noise)) in plan.sums.iter().zip(fitted.noise).enumerate() {
            let own = rows.sums(&rule, parts);
            let noisy = own
                .iter()
                .zip(&*noise)
                .map(|(own, noise)| Z64::from_i128(own + i128::from(*noise)));
            let share = Shared::column(noisy.collect());
            let label = plan::label(at);
            let sums = run.session.reveal(&label, &share, Z64::BITS, 0).await?;
            rule.take(&sums.ok_or_else(|| Error::untold(&label))?);
            run.step(at as u64 + 1, total);
        }
        Ok(Some(rule.result()))
    }

    fn summary(plan: &PrivatePlan, fit: PrivateFit) -> Summary {
        let unit = libm::ldexp(1.0, RELEASE_BITS as i32);
        let rounded = fit.coefficients.into_iter().map(|w| libm::round(w * unit) / unit).collect();
        let mut warnings = vec![format!("this model is {}", plan.settings.in_words())];
        warnings.extend(plan.warnings());
        let inference = match fit.errors {
            PrivateErrors::Unasked => None,
            PrivateErrors::None(why) => {
                warnings.push(why);
                None
            }
            PrivateErrors::Covariance(all) => {
                warnings.push(
                    "standard errors, p values and intervals count the noise of all parties beside chance, and are of \
                     rows whose cells and targets are cut to what the study declares"
                        .to_owned(),
                );
                inference(plan, all)
            }
        };
        Summary {
            release_bits: RELEASE_BITS,
            l2: plan.recipe.ridge / plan.recipe.rows,
            inference,
            checks: fit.checks,
            warnings,
            ..Summary::of(rounded, true)
        }
    }
}

/// How sure a model with this covariance matrix is; none without more rows than coefficients.
fn inference(plan: &PrivatePlan, covariance: Vec<f64>) -> Option<InferenceParts> {
    let columns = plan.facts.columns();
    let mut errors: Vec<f64> =
        (0..=columns).map(|j| libm::sqrt(covariance[j * (columns + 2)])).collect();
    let rows = RowCount::new(plan.facts.total_rows(), columns as u64, true)?;
    Some(InferenceParts {
        intercept: errors.pop(),
        coefficients: errors,
        robust: None,
        covariance: Some(covariance),
        tests: Vec::new(),
        contrasts: Vec::new(),
        fit: FitStatistics::Noisy(rows),
    })
}

/// Refuses what would make the encoding of a row depend on data, and says what to write in its place.
fn declared(at: usize, feature: &Feature) -> Result<(), Error> {
    let FeatureKind::Numeric(numeric) = &feature.kind else { return Ok(()) };
    let field = |key: &str| format!("features.{at}.{key}");
    let name = &feature.name;
    match numeric.scale {
        Scaling::Joint => {
            let rule = format!(
                "(of {name:?}) is \"joint\": mean and deviation of the rows would be told without noise. Write \
                 scale = {{ typical = [LOW, HIGH] }} with the values between which nearly all cells lie, from \
                 what is known without these data; values beyond are cut"
            );
            Err(Error::field(field("scale"), rule))
        }
        Scaling::None if numeric.range.is_none_or(|(low, high)| low < -1.0 || high > 1.0) => {
            let rule = format!(
                "(of {name:?}) is \"none\", and entries are cut to -1 and 1 in a study with [privacy]: write \
                 scale = {{ typical = [LOW, HIGH] }}, or a range within [-1, 1]"
            );
            Err(Error::field(field("scale"), rule))
        }
        Scaling::None if numeric.missing == NumericMissing::Mean => {
            let rule = format!("(of {name:?}) is \"mean\": write a number in place of it");
            Err(Error::field(field("missing"), rule))
        }
        _ => Ok(()),
    }
}
