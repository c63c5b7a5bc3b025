//! Whether the revealed coefficients are the optimum of the parties' rows (docs/protocols.md 7.2, The
//! certificate).

use mpc_core::ring::{Ring, Z128};
use mpc_core::{Fixed, Session, Shared};
use zeroize::Zeroizing;

use super::eliminate::{Eliminated, Elimination, Fitted};
use super::fit::Equations;
use super::outputs::CERTIFICATE;
use super::plan::{LinearPlan, X_FRACTION, Y_FRACTION};
use crate::artifact::CheckRecord;
use crate::data::Dataset;
use crate::error::Error;

/// Of what the gradient is computed.
pub(super) enum Source<'a> {
    /// The own rows.
    Rows(&'a Dataset),
    /// Shares of the equations.
    Equations(&'a Equations),
    /// The same, of which a block was eliminated, and what the coefficients give with its basis.
    Eliminated(&'a Eliminated, &'a Elimination, &'a Fitted),
}

/// Reveals the gradient of the objective at the revealed coefficients, `values`, in units of half the
/// target's range and the intercept from its middle. Each party's own gradient, in the clear, is its
/// share; where the parties hold columns it follows from the shares of the equations. One round; [`LinearPlan::certificate_cost`].
///
/// # Errors
/// [`Error::Uncertified`] when it is longer than what rounding can do: the same at all parties.
pub(super) async fn certify(
    plan: &LinearPlan,
    values: &[f64],
    from: Source<'_>,
    session: &mut Session,
) -> Result<CheckRecord, Error> {
    let fraction = plan.gradient_fraction();
    let me = session.me();
    let shared = !matches!(from, Source::Rows(_));
    let own = match from {
        Source::Eliminated(all, how, fitted) => all.gradient((plan, how), values, fitted, me)?,
        Source::Equations(equations) => shared_gradient(plan, values, equations, me)?,
        Source::Rows(data) => {
            let own = own_gradient(plan, values, data, me);
            Fixed::own_part(&own, values.len(), 1, fraction)?
        }
    };
    let revealed = session.reveal_fixed(CERTIFICATE, &own, fraction).await?;
    let revealed = revealed.ok_or_else(|| Error::untold(CERTIFICATE))?;
    let length = norm(&revealed);
    let bound = plan.largest_gradient(norm(values));
    if length <= bound {
        let what = if shared {
            "length of what the coefficients leave of the shared equations"
        } else {
            "length of the gradient of the joint rows at the coefficients"
        };
        let what = what.to_owned();
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

/// c - G v, from shares, for public coefficients v: what was added to the diagonal is no part of it.
fn shared_gradient(
    plan: &LinearPlan,
    values: &[f64],
    equations: &Equations,
    me: usize,
) -> Result<Fixed, Error> {
    let (bits, fraction) = (plan.settings().release_bits, plan.shared_gradient_fraction());
    let matrix = plan.inverse().fraction() + bits;
    // Exact: they were revealed to so many bits.
    let whole = |v: &f64| Z128::from_i128(libm::rint(libm::ldexp(*v, bits as i32)) as i128);
    let v: Vec<Z128> = values.iter().map(whole).collect();
    let (g, right) = (equations.g.as_slice(), plan.solution().right_fraction());
    let shift = if me == 0 { Z128(u128::from(plan.shift())) } else { Z128::ZERO };
    // Both at the larger of their scales.
    let (up, more) = (fraction - right, fraction - matrix);
    let rows = g.chunks_exact(v.len()).zip(equations.c.as_slice()).zip(&v);
    let gradient = rows.map(|((row, &c), &own)| {
        let product = row.iter().zip(&v).fold(Z128::ZERO, |sum, (&g, &v)| sum + g * v);
        c.shl(up) - (product - shift * own).shl(more)
    });
    Ok(Fixed::new(Shared::column(gradient.collect()), 128, fraction)?)
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
