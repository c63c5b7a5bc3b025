//! Standard errors and what describes a fit, at its revealed coefficients (docs/protocols.md 8.6).

use std::sync::Arc;

use mpc_core::{Fixed, offload};

use super::finish::Information;
use super::labels;
use super::own::Own;
use super::plan::GlmPlan;
use super::start::Totals;
use crate::error::Error;
use crate::model::Run;

/// Significant bits of the smallest variance that there can be.
const VARIANCE_BITS: u32 = 20;
/// Bits of a revealed sum of one a row.
const SUM_BITS: i32 = 34;
/// A row is all but certain when its mean is within this of 0, or of 1.
const CERTAIN: f64 = 1e-8;

/// What is known of the coefficients and of the fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Inference {
    /// Standard errors of the coefficients, the intercept last.
    pub std_errors: Vec<f64>,
    /// Twice the log-likelihood that is missing to a model with a parameter for each row.
    pub deviance: f64,
    /// The same for a model without features.
    pub null_deviance: f64,
    /// The logarithm of the likelihood.
    pub log_likelihood: f64,
    /// Akaike's criterion.
    pub aic: f64,
    /// Rows of all parties that are all but certain: where there are many, columns separate the classes.
    pub certain: u64,
    /// The whole covariance matrix, row by row, if the study asks for it.
    pub covariance: Option<Vec<f64>>,
}

/// The sums of one owner.
struct Sums {
    deviance: f64,
    null: f64,
    likelihood: f64,
    certain: f64,
}

fn sums(own: &Own, w: &[f64], null: impl Fn(usize) -> f64) -> Sums {
    let family = own.family;
    let scores = own.scores(w);
    let certain = |row: usize| {
        let mean = family.mean(scores[row]);
        mean < CERTAIN || family == super::Family::Logistic && mean > 1.0 - CERTAIN
    };
    Sums {
        deviance: own.sum(|row| family.deviance(own.target(row), scores[row])),
        null: own.sum(|row| family.deviance(own.target(row), null(row))),
        likelihood: own.sum(|row| family.log_likelihood(own.target(row), scores[row])),
        certain: (0..own.rows()).filter(|&row| certain(row)).count() as f64,
    }
}

/// Reveals what the study asks for. Two rounds, and one for the covariance.
pub(super) async fn reveal(
    plan: &GlmPlan,
    (own, totals): (&Arc<Own>, Totals),
    coefficients: &[f64],
    information: &Information,
    run: &mut Run<'_>,
) -> Result<Inference, Error> {
    let order = plan.order();
    let x = &information.x;
    // The smallest variance is above 2^-exponent.
    let bits = x.fraction().min(information.exponent + VARIANCE_BITS);
    let diagonal: Vec<usize> = (0..order).map(|j| j * (order + 1)).collect();
    let session = &mut *run.session;
    let missing = |label: &str| Error::Settings(format!("`{label}` is for everybody"));
    let variances = session.reveal_fixed(labels::VARIANCES, &x.select(&diagonal)?, bits).await?;
    let variances = variances.ok_or_else(|| missing(labels::VARIANCES))?;

    let centre = if plan.settings.intercept { totals.centre } else { 0.0 };
    let (rows, w) = (Arc::clone(own), coefficients.to_vec());
    let own = offload(move || sums(&rows, &w, |row| centre + rows.offset(row))).await?;
    let size = libm::log2(totals.weight).max(0.0) as i32;
    let fraction = (SUM_BITS - size).clamp(0, 40) as u32;
    let parts = [own.deviance, own.null, own.likelihood, own.certain];
    let parts = Fixed::own_part(&parts, parts.len(), 1, fraction)?;
    let all = session.reveal_fixed(labels::SUMS, &parts, fraction).await?;
    let [deviance, null_deviance, log_likelihood, certain] = all.unwrap_or_default()[..] else {
        return Err(missing(labels::SUMS));
    };
    let covariance = match plan.settings.covariance {
        true => session.reveal_fixed(labels::COVARIANCE, x, bits).await?,
        false => None,
    };
    Ok(Inference {
        std_errors: variances.iter().map(|variance| libm::sqrt(variance.max(0.0))).collect(),
        deviance,
        null_deviance,
        log_likelihood,
        aic: 2.0 * order as f64 - 2.0 * log_likelihood,
        certain: certain as u64,
        covariance,
    })
}
