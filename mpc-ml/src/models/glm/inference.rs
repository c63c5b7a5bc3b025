//! Standard errors and what describes a fit, at its revealed coefficients (docs/protocols.md 8.6).

use std::sync::Arc;

use mpc_core::protocols::solve::InversePlan;
use mpc_core::{Fixed, offload};
use zeroize::Zeroizing;

use super::finish::Information;
use super::inversion::Inverted;
use super::labels;
use super::own::Own;
use super::plan::RowsPlan;
use super::start::Totals;
use crate::error::Error;
use crate::inference::{
    COVARIANCE, COVARIANCE_FRACTION, ContrastFit, Expected, Inverse, Robust, WaldTest, contrasts,
    diagonal, robust, tests,
};
use crate::model::{Orders, Run};

/// Significant bits of the smallest variance that there can be.
const VARIANCE_BITS: u32 = 16;
/// Bits of a revealed sum of one a row.
const SUM_BITS: i32 = 28;
/// A row is all but certain when its mean is within this of 0, or of 1.
const CERTAIN: f64 = 1e-8;

/// What is known of the coefficients and of the fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Inference {
    /// Standard errors of the coefficients, the intercept last.
    pub std_errors: Vec<f64>,
    /// The same without trust in the family's variance, if the study asks for it.
    pub robust: Option<Vec<f64>>,
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
    /// The joint tests that the study asks for.
    pub tests: Vec<WaldTest>,
    /// The combinations of coefficients that it declares.
    pub contrasts: Vec<ContrastFit>,
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

/// A fit at its revealed coefficients.
pub(super) struct Found<'a> {
    pub(super) plan: &'a RowsPlan,
    pub(super) own: &'a Arc<Own>,
    pub(super) totals: Totals,
    pub(super) w: &'a [f64],
    /// The mean and the standard deviation that each column was scaled by.
    pub(super) columns: &'a [(f64, f64)],
    pub(super) information: &'a Information,
}

/// Reveals what the study asks for. Three rounds, one for the covariance, five for robust variances.
pub(super) async fn reveal(
    found: &Found<'_>,
    inverse: &InversePlan,
    orders: &mut Orders,
    run: &mut Run<'_>,
) -> Result<Inference, Error> {
    let Found { plan, information, .. } = found;
    let order = plan.order();
    let missing = correction(information, order, run).await?;
    let x = &information.inverse.x.clone().plus_raised(&missing)?;
    // The smallest variance is above 2^-exponent.
    let bits = |more: u32| x.fraction().min(information.inverse.exponent + more);
    let few = bits(VARIANCE_BITS);
    let variances = run.session.reveal_fixed(labels::VARIANCES, &diagonal(x)?, few).await?;
    let variances = variances.ok_or_else(|| Error::untold(labels::VARIANCES))?;
    let [deviance, null_deviance, log_likelihood, certain] = describe(found, run).await?;
    let exponent = information.inverse.exponent as i32;
    let entries: Vec<f64> = variances.iter().map(|v| libm::ldexp(*v, exponent)).collect();
    let slack = information.inverse.slack;
    // Without the power of two that is in the scale of the inverse.
    let (share, ring, _) = information.inverse.x.parts();
    let x_units = Fixed::new(share.clone(), ring, inverse.inverse_fraction())?;
    let (share, ring, fraction) = missing.into_parts();
    let missing = Fixed::new(share, ring, fraction - information.inverse.exponent)?;
    let known = Inverse {
        x: &x_units,
        correction: Some(&missing),
        unit: libm::ldexp(1.0, exponent),
        slack: libm::ldexp(slack.units as f64, -(slack.fraction as i32)),
        diagonal: &entries,
    };
    let tests = tests(&plan.tests, &known, (found.w, 1.0), orders, run).await?;
    let columns = found.columns;
    let contrasts = contrasts(&plan.contrasts, &known, (found.w, 1.0), columns, run).await?;
    let robust = match plan.settings.robust {
        Robust::None => None,
        kind => {
            let (own, w) = (Arc::clone(found.own), found.w.to_vec());
            let scatter = offload(move || own.scatter(&w, kind)).await?;
            let Totals { weight, variance, .. } = found.totals;
            let size = weight * order as f64 * variance;
            let expected = Expected { size, weight, dispersion: 1.0 };
            robust(&known, kind, scatter, expected, orders, run).await?
        }
    };
    let covariance = match plan.settings.covariance {
        true => run.session.reveal_fixed(COVARIANCE, x, bits(COVARIANCE_FRACTION)).await?,
        false => None,
    };
    let roots = |variances: Vec<f64>| -> Vec<f64> {
        variances.iter().map(|variance| libm::sqrt(variance.max(0.0))).collect()
    };
    Ok(Inference {
        std_errors: roots(variances),
        robust: robust.map(roots),
        deviance,
        null_deviance,
        log_likelihood,
        aic: 2.0 * order as f64 - 2.0 * log_likelihood,
        certain: certain as u64,
        covariance,
        tests,
        contrasts,
    })
}

/// What is missing of the inverse of the curvature because of what was added to its diagonal: with
/// X = (H + s)^-1 that is s X X, but for the square of s X. One round.
async fn correction(
    information: &Information,
    order: usize,
    run: &mut Run<'_>,
) -> Result<Fixed, Error> {
    let Information { inverse: Inverted { x, exponent, slack, .. }, factor, left, .. } =
        information;
    let mut requests = Vec::new();
    Orders::right(*left, order, true, &mut requests);
    run.source.demand(requests)?;
    let right = run.source.take().await?.right128()?;
    // In units of 2^-exponent, and s as the integer that it is: no part of the sum comes near the ring,
    // because s is small beside the least information that is told.
    let units = Fixed::new(x.parts().0.clone(), x.ring(), x.fraction() - exponent)?;
    let short = units.truncate(InversePlan::COARSE_FRACTION, run.session)?;
    let product = factor.times(&short, right, run.session).await?;
    let (share, ring, fraction) = product.times(slack.units).into_parts();
    Ok(Fixed::new(share, ring, fraction + slack.fraction)?)
}

/// Reveals the sums that describe the fit. One round.
async fn describe(found: &Found<'_>, run: &mut Run<'_>) -> Result<[f64; 4], Error> {
    let centre = if found.plan.settings.intercept { found.totals.centre } else { 0.0 };
    let (rows, w) = (Arc::clone(found.own), found.w.to_vec());
    let own = offload(move || sums(&rows, &w, |row| centre + rows.offset(row))).await?;
    let size = libm::log2(found.totals.weight).max(0.0) as i32;
    let fraction = (SUM_BITS - size).clamp(0, 40) as u32;
    let parts = Zeroizing::new([own.deviance, own.null, own.likelihood, own.certain]);
    let parts = Fixed::own_part(&parts[..], parts.len(), 1, fraction)?;
    let all = run.session.reveal_fixed(labels::SUMS, &parts, fraction).await?;
    all.and_then(|all| all.try_into().ok()).ok_or_else(|| Error::untold(labels::SUMS))
}
