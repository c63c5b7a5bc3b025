//! From shares of the coefficients to a model (docs/protocols.md 13.4).
//!
//! Whether the mean was computed right everywhere is told before the model is: each party learns the
//! coefficients of its own columns, and with them how large its part of a score is.

use mpc_core::Fixed;
use zeroize::Zeroizing;

use super::super::finish::GlmFit;
use super::super::inference::Inference;
use super::super::labels::COEFFICIENTS;
use super::deviance::Sums;
use super::errors::{self, At};
use super::fit::ColumnsShares;
use super::labels::RANGE;
use super::plan::ColumnsPlan;
use crate::data::Dataset;
use crate::error::Error;
use crate::model::Run;

/// Fractional bits of what a score can be.
const RANGE_FRACTION: u32 = 3;
/// No part of a score is told as larger.
const LARGEST: f64 = 65_536.0;

/// Reveals to each party its own coefficients, that no score leaves the window of the series, and then the
/// coefficients to all; where only some parties receive them, these alone and to those. The fit, and whether the
/// last coefficient that this party receives is the intercept.
pub(in super::super) async fn release(
    plan: &ColumnsPlan,
    mut shares: ColumnsShares,
    data: &Dataset,
    run: &mut Run<'_>,
) -> Result<Option<(GlmFit, bool)>, Error> {
    let bits = plan.settings.release_bits;
    let me = run.session.me();
    let w = shares.w.clone().raise(bits.max(shares.w.fraction()))?;
    let mut range = None;
    let mut own = None;
    if let Some(owners) = plan.owners.as_ref().or(plan.first.as_ref()) {
        let told = owners.reveal(&w, bits, run.session).await?;
        let part = own_part(plan, &told, owners.has_intercept(me), data)?;
        range = Some(within(plan, &part, shares.centre, run).await?);
        own = Some((Some(told), owners.has_intercept(me)));
    }
    let (found, intercept) = match own.filter(|_| plan.owners.is_some()) {
        Some(own) => own,
        None => {
            let all = run.session.reveal_fixed(COEFFICIENTS, &w, bits).await?;
            (all, plan.settings.intercept)
        }
    };
    let (mut std_errors, mut inference) = (None, None);
    if let (Some(coefficients), Some((smallest, largest))) = (&found, range)
        && plan.settings.inference
    {
        let less = shares.subtracted;
        let scores = (smallest - less, largest - less);
        let at = At { coefficients, scores };
        if let Some((errors, fitted)) = errors::std_errors(plan, at, &mut shares, data, run).await?
        {
            inference = fitted.map(|fitted| described(&errors, fitted));
            std_errors = Some(errors);
        }
    }
    let ColumnsShares { passes, length: distance, tolerance, .. } = shares;
    Ok(found.map(|coefficients| {
        let fit = GlmFit {
            coefficients,
            distance,
            tolerance,
            gradient: None,
            passes,
            revealed: 1,
            inference,
            std_errors,
        };
        (fit, intercept)
    }))
}

/// What is known of a model that it is known of how well it fits.
fn described(errors: &[f64], fitted: Sums) -> Inference {
    Inference {
        std_errors: errors.to_vec(),
        robust: None,
        deviance: fitted.deviance,
        null_deviance: fitted.null,
        log_likelihood: fitted.likelihood,
        aic: 2.0 * errors.len() as f64 - 2.0 * fitted.likelihood,
        // No rate is below e^-4 times the mean; of classes nobody knows it.
        certain: 0,
        covariance: None,
        tests: Vec::new(),
        contrasts: Vec::new(),
    }
}

/// The largest part that this party's columns have in the score of a row, and minus the smallest, at its own
/// coefficients; the holder of the target adds the intercept, which is the last of them, and offsets.
fn own_part(
    plan: &ColumnsPlan,
    own: &[f64],
    has_intercept: bool,
    data: &Dataset,
) -> Result<Zeroizing<[f64; 2]>, Error> {
    let (slopes, intercept) = match own.split_last() {
        Some((last, slopes)) if has_intercept => (slopes, *last),
        _ => (own, 0.0),
    };
    let most = plan.largest;
    let mut range = Zeroizing::new([f64::NEG_INFINITY; 2]);
    for row in 0..data.len() {
        let entries = data.rows().row(row).iter().map(|x| x.clamp(-most, most));
        let part: f64 = entries.zip(slopes).map(|(x, w)| x * w).sum();
        let part = part + intercept + data.offset().get(row).copied().unwrap_or(0.0);
        range[0] = range[0].max(part);
        range[1] = range[1].max(-part);
    }
    Ok(range)
}

/// Makes sure that no score is beyond the window of the series; gives the smallest and the largest that
/// there can be. One round.
async fn within(
    plan: &ColumnsPlan,
    own: &[f64; 2],
    centre: f64,
    run: &mut Run<'_>,
) -> Result<(f64, f64), Error> {
    let steps = libm::ldexp(1.0, RANGE_FRACTION as i32);
    // Upwards, so that the sum is a bound.
    let up = |part: f64| libm::ceil(part.clamp(-LARGEST, LARGEST) * steps) / steps;
    let own = Zeroizing::new(own.map(up));
    let share = Fixed::own_part(&own[..], 2, 1, RANGE_FRACTION)?;
    let told = run.session.reveal_fixed(RANGE, &share, RANGE_FRACTION).await?;
    let told = told.ok_or_else(|| Error::untold(RANGE))?;
    let (largest, smallest) = (told[0], -told[1]);
    let (low, high) = plan.edges(centre);
    if smallest >= low && largest <= high {
        return Ok((smallest, largest));
    }
    Err(Error::NotConverged(format!(
        "scores may be from {smallest} to {largest} at the coefficients that were found, and the mean is \
         computed right from {low} to {high} only: these coefficients may not be the optimum, and nobody \
         was told those of others' columns. Set a larger l2, a smaller clip, or transform columns with few large values"
    )))
}
