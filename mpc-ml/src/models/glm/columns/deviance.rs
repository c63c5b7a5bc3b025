//! How well a model fits the columns of all parties (docs/protocols.md 13.4).

use mpc_core::ring::{Ring, Z128};
use mpc_core::{Fixed, Shared};

use super::super::family::Family;
use super::super::labels::SUMS;
use super::super::link::E_FRACTION;
use super::errors::At;
use super::fit::ColumnsShares;
use super::plan::ColumnsPlan;
use crate::data::Dataset;
use crate::error::Error;
use crate::model::Run;

/// Fractional bits of the sum of coefficients times what columns have in common with the target, and of public
/// factors.
const COMMON_FRACTION: u32 = 48;
const FACTOR_BITS: u32 = 20;
/// Bits of a revealed sum of one a row.
const SUM_BITS: i32 = 28;
/// Half the range of a target, at most: it is multiplied in parts of it, which are then 2^-4 at most.
const WIDEST: f64 = 16_384.0;
/// What a row adds to a sum is below this times the range of its target: scores, parts of them and logarithms
/// of counts are.
const OF_A_ROW: f64 = 512.0;

/// Twice the log-likelihood that is missing to a model with a parameter for each row, the same for a model
/// without features, and the logarithm of the likelihood.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sums {
    pub(super) deviance: f64,
    pub(super) null: f64,
    pub(super) likelihood: f64,
}

/// What this party adds to y z, summed over the rows, and what else the holder of the target knows by itself: of
/// the deviance without y z and the means, and of the likelihood.
#[derive(Default)]
struct Own {
    common: f64,
    saturated: f64,
    null: f64,
    constant: f64,
}

impl Own {
    fn new(
        plan: &ColumnsPlan,
        coefficients: &[f64],
        data: &Dataset,
        me: usize,
    ) -> Result<Self, Error> {
        let family = plan.settings.family;
        let (middle, _) = plan.gram.target_scale();
        let most = plan.largest;
        let w = &coefficients[plan.facts.columns_of(me)?];
        let of_row = |row: usize| {
            let entries = data.rows().row(row).iter().map(|x| x.clamp(-most, most));
            entries.zip(w).map(|(x, w)| x * w).sum::<f64>()
        };
        // Of classes, half of the score is in what is taken off.
        let half = if family == Family::Logistic { 0.5 } else { 0.0 };
        let scores = (0..data.len()).map(of_row).sum::<f64>();
        let mut own = Self { common: (middle - half) * scores, ..Self::default() };
        let targets = data.rows().y();
        if targets.is_empty() {
            return Ok(own);
        }
        let intercept = plan.settings.intercept;
        let level = if intercept { coefficients[plan.facts.columns()] } else { 0.0 };
        let offset = |row: usize| data.offset().get(row).copied().unwrap_or(0.0);
        let centre = match family {
            _ if !intercept => 0.0,
            Family::Logistic => family.score(targets.iter().sum::<f64>() / targets.len() as f64),
            Family::Poisson => {
                let exposure: f64 = (0..targets.len()).map(|row| libm::exp(offset(row))).sum();
                libm::log(targets.iter().sum::<f64>() / exposure)
            }
        };
        for (row, &y) in targets.iter().enumerate() {
            own.common += (y - half) * (level + offset(row));
            own.null += family.deviance(y, centre + offset(row));
            if family == Family::Poisson {
                own.saturated += if y > 0.0 { y * libm::log(y) - y } else { 0.0 };
                own.constant += libm::lgamma(y + 1.0);
            }
        }
        Ok(own)
    }
}

/// The sum of the means, from shares of the sum of all rows' variances and what each has `beside` itself. None where no
/// fractional bit is left.
pub(super) fn means(
    plan: &ColumnsPlan,
    (variances, beside): (Z128, f64),
    unit: f64,
    me: usize,
) -> Result<Option<Fixed>, Error> {
    let mut means = variances;
    if me == 0 {
        let of_a_row = libm::ldexp(beside, E_FRACTION as i32);
        means -= Z128::from_i128(libm::rint(of_a_row * plan.total_rows() as f64) as i128);
    }
    let means = Fixed::new(Shared::column(vec![means]), Z128::BITS, E_FRACTION)?;
    times_power(means, unit, 0)
}

/// Reveals the sums, from the sum over all rows of what a score makes a likelihood less by, and what each row has `beside`
/// it: of counts the means, of classes log(1 + e^z) but for half of z. None where there is no room for their
/// digits, which all parties see alike. One round.
pub(super) async fn sums(
    plan: &ColumnsPlan,
    at: &At<'_>,
    (taken_off, beside): (Fixed, f64),
    (shares, data): (&ColumnsShares, &Dataset),
    run: &mut Run<'_>,
) -> Result<Option<Sums>, Error> {
    let me = run.session.me();
    // y z but for what is known in the clear: with y in units of half its range, from its middle.
    let bits = plan.settings.release_bits;
    let whole = |w: &f64| Z128::from_i128(libm::rint(libm::ldexp(*w, bits as i32)) as i128);
    let slopes = at.coefficients[..plan.facts.columns()].iter().map(whole);
    let terms = slopes.zip(shares.right.as_slice()).map(|(w, &c)| w * c);
    let common = terms.fold(Z128::ZERO, |sum, term| sum + term);
    let fraction = plan.gram.solution().right_fraction() + bits;
    let common = Fixed::new(Shared::column(vec![common]), Z128::BITS, fraction)?;
    let common = common.truncate(COMMON_FRACTION.min(fraction), run.session)?;
    let (_, half) = plan.gram.target_scale();
    if half > WIDEST {
        return Ok(None);
    }
    let Some(common) = times_power(common, half, plan.exponent() as i32)? else { return Ok(None) };
    let likelihood = common.plus_raised(&taken_off.times(-1))?;
    let (share, ring, fraction) = likelihood.into_parts();
    let size = plan.total_rows() as f64 * 2.0 * half.max(1.0) * OF_A_ROW;
    if libm::ceil(libm::log2(size)) as u32 + 1 > ring.saturating_sub(fraction) {
        return Ok(None);
    }
    let one = share.as_slice()[0];
    let all = Shared::column(vec![-(one + one), Z128::ZERO, one]);
    let mut own = Own::new(plan, at.coefficients, data, me)?;
    if me == 0 {
        own.common -= beside * plan.total_rows() as f64;
    }
    let parts = [2.0 * (own.saturated - own.common), own.null, own.common - own.constant];
    let all = Fixed::own_part(&parts, parts.len(), 1, fraction)?
        .plus(&Fixed::new(all, ring, fraction)?)?;
    let size = libm::log2(plan.total_rows() as f64).max(0.0) as i32;
    let bits = ((SUM_BITS - size).clamp(0, 40) as u32).min(fraction);
    let told = run.session.reveal_fixed(SUMS, &all, bits).await?;
    let told: Option<[f64; 3]> = told.and_then(|told| told.try_into().ok());
    let [deviance, null, likelihood] = told.ok_or_else(|| Error::untold(SUMS))?;
    Ok(Some(Sums { deviance, null, likelihood }))
}

/// A value times a public factor and 2^`more`; none where too few fractional bits are left.
fn times_power(value: Fixed, factor: f64, more: i32) -> Result<Option<Fixed>, Error> {
    let (part, exponent) = libm::frexp(factor);
    let (share, ring, fraction) = value.times_real(part, FACTOR_BITS)?.into_parts();
    let fraction = fraction as i32 - exponent - more;
    if fraction < 1 {
        return Ok(None);
    }
    Ok(Some(Fixed::new(share, ring, fraction as u32)?))
}
