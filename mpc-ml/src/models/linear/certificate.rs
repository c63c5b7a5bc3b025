//! Whether the revealed coefficients are the optimum of the parties' rows (docs/protocols.md 7.2, The
//! certificate).

use mpc_core::{Fixed, Session};
use zeroize::Zeroizing;

use super::outputs::CERTIFICATE;
use super::plan::{LinearPlan, X_FRACTION, Y_FRACTION};
use crate::artifact::CheckRecord;
use crate::data::Dataset;
use crate::error::Error;

/// Reveals the gradient of the objective at the revealed coefficients, `values`, in units of half the
/// target's range and the intercept from its middle. Each party's own gradient, in the clear, is its
/// share. One round; [`LinearPlan::certificate_cost`].
///
/// # Errors
/// [`Error::Uncertified`] when it is longer than what rounding can do: the same at all parties.
pub(super) async fn certify(
    plan: &LinearPlan,
    values: &[f64],
    data: &Dataset,
    session: &mut Session,
) -> Result<CheckRecord, Error> {
    let fraction = plan.gradient_fraction();
    let own = own_gradient(plan, values, data, session.me());
    let own = Fixed::own_part(&own, values.len(), 1, fraction)?;
    let revealed = session.reveal_fixed(CERTIFICATE, &own, fraction).await?;
    let revealed = revealed.ok_or_else(|| Error::untold(CERTIFICATE))?;
    let length = norm(&revealed);
    let bound = plan.largest_gradient(norm(values));
    if length <= bound {
        let what = "length of the gradient of the joint rows at the coefficients".to_owned();
        return Ok(CheckRecord { what, value: length, bound });
    }
    Err(Error::Uncertified(format!(
        "the revealed coefficients are not the optimum of the parties' rows: the gradient there is \
         {length:.3e} long, and roundings explain {bound:.3e}. A number was changed on the way, or a \
         party computed with other rows than before. The coefficients may show rows of a party; they are \
         not kept. Have the run audited before these rows are used again"
    )))
}

fn norm(values: &[f64]) -> f64 {
    libm::sqrt(values.iter().map(|v| v * v).sum())
}

/// X^T (y - X w) / (n scale) over the own rows, less the pull of the penalty, which party 0 has: from
/// entries and targets as they went into the sums.
fn own_gradient(
    plan: &LinearPlan,
    values: &[f64],
    data: &Dataset,
    me: usize,
) -> Zeroizing<Vec<f64>> {
    let (settings, encoding) = (plan.settings(), plan.encoding());
    let (middle, half) = encoding.target_scale();
    let rounded = |value: f64, fraction: u32| {
        let fraction = fraction as i32;
        libm::ldexp(libm::rint(libm::ldexp(value, fraction)), -fraction)
    };
    let rows = data.rows();
    let mut gradient = Zeroizing::new(vec![0.0; values.len()]);
    let mut entries = Zeroizing::new(vec![0.0; values.len()]);
    if settings.intercept {
        entries[encoding.columns] = 1.0;
    }
    for (row, &y) in rows.y().iter().enumerate() {
        for (entry, x) in entries.iter_mut().zip(rows.row(row)) {
            *entry = rounded(x.clamp(-settings.clip, settings.clip), X_FRACTION);
        }
        let y = y.clamp(encoding.target.0, encoding.target.1);
        let y = rounded(((y - middle) / half).clamp(-1.0, 1.0), Y_FRACTION);
        let fitted: f64 = entries.iter().zip(values).map(|(x, w)| x * w).sum();
        for (sum, x) in gradient.iter_mut().zip(entries.iter()) {
            *sum += x * (y - fitted);
        }
    }
    let per_row = plan.scale() * plan.total_rows() as f64;
    let pull = if me == 0 { settings.l2 / plan.scale() } else { 0.0 };
    for (j, sum) in gradient.iter_mut().enumerate() {
        let pull = if j < encoding.columns { pull } else { 0.0 };
        *sum = *sum / per_row - pull * values[j];
    }
    gradient
}
