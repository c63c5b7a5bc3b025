//! Whether the revealed model fits the rows that it was made of (docs/protocols.md 5, Certificate).

use mpc_core::{Fixed, Session};

use super::outputs::LOSS;
use super::plan::SgdPlan;
use crate::data::Dataset;
use crate::error::Error;
use crate::plaintext;

/// Fractional bits of the mean loss.
pub(super) const LOSS_FRACTION: u32 = 16;
/// What a model may lose more than one that knows nothing.
const MARGIN: f64 = 1.0 / 16.0;

/// The largest mean loss of a model that is released: ln 2, which is that of the model without any
/// effect, and 1/16.
pub const MOST_LOSS: f64 = std::f64::consts::LN_2 + MARGIN;

/// Reveals the mean loss of all parties' rows under the revealed `coefficients`: each party's own
/// sum, in the clear, is its share. One round; [`SgdPlan::certificate_cost`].
///
/// # Errors
/// [`Error::Misfit`] when the model fits the rows worse than none: the same at all parties.
/// [`Error::Contradicted`] when the others' rows together would have less than no loss.
pub(super) async fn certify(
    plan: &SgdPlan,
    coefficients: &[f64],
    data: &Dataset,
    session: &mut Session,
) -> Result<f64, Error> {
    let own = own_part(plan, coefficients, data);
    let share = Fixed::own_part(&[own], 1, 1, LOSS_FRACTION)?.narrow(plan.loss_ring())?;
    let loss = session.reveal_fixed(LOSS, &share, LOSS_FRACTION).await?;
    let loss =
        loss.and_then(|values| values.first().copied()).ok_or_else(|| Error::untold(LOSS))?;
    // No row has a negative loss, and each party rounds its part once.
    if loss + libm::ldexp(0.75, -(LOSS_FRACTION as i32)) < own {
        return Err(Error::Contradicted(format!(
            "the joint loss of the training rows, {loss:.4}, is less than this party's own part of it: \
             another party did not tell its own. The model cannot be trusted and is not kept; have the \
             run audited before these rows are used again"
        )));
    }
    if loss <= MOST_LOSS {
        return Ok(loss);
    }
    Err(Error::Misfit(format!(
        "the model fits the rows that it was made of worse than no model at all: its mean loss is \
         {loss:.4}, and that of equal odds for every row is {:.4}. Either the training diverged (choose \
         a smaller learning_rate or momentum, or a larger sigmoid.window), or a number was changed on \
         the way, and the model may show rows of a party: if the same study diverges nowhere else, have \
         the run audited before these rows are used again. The model is not kept",
        std::f64::consts::LN_2
    )))
}

/// This party's part of the mean loss of all rows.
fn own_part(plan: &SgdPlan, coefficients: &[f64], data: &Dataset) -> f64 {
    let (rows, clip) = (data.rows(), plan.settings().clip);
    let mut clipped = zeroize::Zeroizing::new(Vec::with_capacity(plan.columns()));
    let mut sum = 0.0;
    for (row, &y) in rows.y().iter().enumerate() {
        clipped.clear();
        clipped.extend(rows.row(row).iter().map(|x| x.clamp(-clip, clip)));
        let z = plaintext::score(coefficients, &clipped);
        // ln(1 + e^z) - y z, which is not negative.
        sum += z.max(0.0) - y * z + libm::log1p(libm::exp(-z.abs()));
    }
    sum / plan.facts().total_rows() as f64
}
