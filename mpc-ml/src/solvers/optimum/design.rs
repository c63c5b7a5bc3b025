//! A party's own rows as integers: the design matrix, its coarse copy, the products of the copy.

use mpc_core::correlations::OwnRows;
use mpc_core::ring::{Ring, Z128};
use mpc_core::{Shared, fixed};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::plaintext;
use crate::plan::E_FRACTION;
use crate::plan::optimum::{COUNT_SHIFT, Family, Hessian, OptimumPlan, WEIGHT_FRACTION};
use crate::rows::Rows;

/// Refuses rows that do not fit the plan.
pub(super) fn check(
    plan: &OptimumPlan,
    rows: &Rows,
    offsets: &[f64],
    me: usize,
) -> Result<(), Error> {
    let settings = plan.settings();
    let expected = settings.rows[me];
    if rows.len() as u64 != expected || rows.columns() != settings.columns as usize {
        return Err(Error::Data(format!(
            "{} rows of {} columns were given, where the plan has {expected} of {}",
            rows.len(),
            rows.columns(),
            settings.columns
        )));
    }
    let due = if settings.offset { rows.len() } else { 0 };
    if offsets.len() != due || !offsets.iter().all(|offset| offset.abs() <= 64.0) {
        return Err(Error::Data(format!(
            "{} offsets were given, where the plan has {due}; they are at most 64 in magnitude",
            offsets.len()
        )));
    }
    let refused = match settings.family {
        Family::Logistic { .. } => {
            rows.y().iter().any(|&y| y != 0.0 && y != 1.0).then_some("a label is neither 0 nor 1")
        }
        Family::Poisson { most, .. } => rows
            .y()
            .iter()
            .any(|&y| !(0.0..=most).contains(&y))
            .then_some("a target is outside of its range"),
    };
    refused.map_or(Ok(()), |why| Err(Error::Data(why.to_owned())))
}

fn clipped<'a>(plan: &OptimumPlan, rows: &'a Rows) -> impl Iterator<Item = f64> + use<'a> {
    let clip = plan.settings().clip;
    rows.x().iter().map(move |x| x.clamp(-clip, clip))
}

/// The own entries of the design matrix.
pub(super) fn entries(plan: &OptimumPlan, rows: &Rows) -> Result<OwnRows, Error> {
    let entries = clipped(plan, rows)
        .map(|x| Ok(fixed::encode(x, plan.x_fraction(), plan.entry_bits())? as i32))
        .collect::<Result<Vec<_>, Error>>()?;
    Ok(OwnRows::new(entries))
}

/// The own rows of the coarse copy, the intercept's column included; none without a Hessian.
pub(super) fn coarse(plan: &OptimumPlan, rows: &Rows) -> Zeroizing<Vec<i32>> {
    let Some(hessian) = plan.hessian() else { return Zeroizing::default() };
    let fraction = hessian.coarse_fraction as i32;
    let columns = plan.settings().columns as usize;
    let mut all = Zeroizing::new(Vec::with_capacity(rows.len() * plan.settings().weights()));
    for (i, x) in clipped(plan, rows).enumerate() {
        all.push(libm::rint(libm::ldexp(x, fraction)) as i32);
        if plan.settings().intercept && (i + 1) % columns == 0 {
            all.push(1 << fraction);
        }
    }
    all
}

/// The upper triangle of the sum of own outer products.
pub(super) fn gram(plan: &OptimumPlan, coarse: &[i32]) -> Zeroizing<Vec<i128>> {
    let order = plan.settings().weights();
    let mut sums = vec![0i128; if coarse.is_empty() { 0 } else { order * (order + 1) / 2 }];
    for row in coarse.chunks_exact(order) {
        let mut sums = sums.iter_mut();
        for (i, &a) in row.iter().enumerate() {
            for (&b, sum) in row[i..].iter().zip(&mut sums) {
                *sum += i128::from(i64::from(a) * i64::from(b));
            }
        }
    }
    Zeroizing::new(sums)
}

/// The upper triangle of each own row's outer product, row by row: exact integers.
pub(super) fn outer(plan: &OptimumPlan, coarse: &[i32]) -> OwnRows {
    let order = plan.settings().weights();
    let mut products = Vec::with_capacity(coarse.len() / order * (order * (order + 1) / 2));
    for row in coarse.chunks_exact(order) {
        for (i, &a) in row.iter().enumerate() {
            products.extend(row[i..].iter().map(|&b| a * b));
        }
    }
    OwnRows::new(products)
}

/// This party's share of the bound of all Hessians at the scale of its inverse: the largest weight
/// times the own outer products, the penalty, and a slack that outweighs all rounding.
pub(super) fn bound(
    plan: &OptimumPlan,
    hessian: &Hessian,
    gram: &[i128],
    me: usize,
) -> Shared<Z128> {
    let weight = libm::ldexp(plan.largest_weight(), WEIGHT_FRACTION as i32);
    let fraction = hessian.bound.fraction();
    let triangle = weighted(hessian, gram, libm::ceil(weight) as i128, fraction);
    let slack = if me == 0 { hessian.bound_slack() } else { 0 };
    let penalty = if me == 0 { penalty(plan, hessian.scale, fraction) + 1 } else { 0 };
    square(plan, &triangle, slack, penalty)
}

/// The upper triangle of the own outer products times a weight with [`WEIGHT_FRACTION`] bits, over
/// 2^scale, rounded to `fraction` bits.
pub(super) fn weighted(hessian: &Hessian, gram: &[i128], weight: i128, fraction: u32) -> Vec<Z128> {
    let made = 2 * hessian.coarse_fraction + WEIGHT_FRACTION + hessian.scale;
    gram.iter().map(|&sum| rounded(sum * weight, made, fraction)).collect()
}

/// A number at one scale at another.
pub(super) fn rounded(value: i128, made: u32, fraction: u32) -> Z128 {
    if made <= fraction {
        return Z128::from_i128(value).shl(fraction - made);
    }
    let drop = made - fraction;
    Z128::from_i128((value + (1 << (drop - 1))) >> drop)
}

/// Residuals of the own rows at the scale of residuals, and where a Hessian is made of them, weights,
/// as they are in the first pass: there all coefficients but the intercept are zero, and an owner
/// knows its scores. The residuals are those for the inverse that the pass has: with the bound of all
/// Hessians times what a row's weight is below the largest one, where there is no penalty. Poisson
/// models start like R's, from targets as means: the scores that each row alone would have.
pub(super) fn first_residuals(
    plan: &OptimumPlan,
    labels: &[f64],
    offsets: &[f64],
) -> (Zeroizing<Vec<i128>>, Zeroizing<Vec<i128>>) {
    let settings = plan.settings();
    let start = if settings.intercept { settings.family.start() } else { 0.0 };
    let integer = |v: f64| libm::rint(libm::ldexp(v, E_FRACTION as i32)) as i128;
    let own = |row: usize| (labels[row], offsets.get(row).copied().unwrap_or(0.0));
    let rows = 0..labels.len();
    match settings.family {
        Family::Logistic { .. } => {
            let p = plaintext::sigmoid(start);
            let multiple = plan.refreshes() && settings.l2 == 0.0;
            let factor = if multiple { plan.largest_weight() / (p * (1.0 - p)) } else { 1.0 };
            let residuals = rows.map(|row| integer(factor * (p - own(row).0))).collect();
            (Zeroizing::new(residuals), Zeroizing::default())
        }
        Family::Poisson { .. } => {
            let residual = |row: usize| {
                let (y, offset) = own(row);
                let weight = y + COUNT_SHIFT;
                let score = libm::log(weight) - COUNT_SHIFT / weight;
                (integer(weight * (start + offset - score)), integer(weight))
            };
            let (residuals, weights) = rows.map(residual).unzip();
            (Zeroizing::new(residuals), Zeroizing::new(weights))
        }
    }
}

/// n l2 / 2^scale at a scale, not rounded up.
pub(super) fn penalty(plan: &OptimumPlan, scale: u32, fraction: u32) -> i128 {
    let settings = plan.settings();
    let value = settings.total_rows() as f64 * settings.l2;
    libm::floor(libm::ldexp(value, fraction as i32 - scale as i32)) as i128
}

/// The symmetric matrix of an upper triangle, with a slack on the diagonal and a penalty on the
/// coefficients that have one.
pub(super) fn square(
    plan: &OptimumPlan,
    triangle: &[Z128],
    slack: i128,
    penalty: i128,
) -> Shared<Z128> {
    let (order, penalised) = (plan.settings().weights(), plan.settings().columns as usize);
    let mut matrix = Shared::zero(order, order);
    let out = matrix.as_mut_slice();
    let mut values = triangle.iter();
    for i in 0..order {
        for (j, &value) in (i..order).zip(&mut values) {
            out[i * order + j] = value;
            out[j * order + i] = value;
        }
        let own = slack + if i < penalised && plan.settings().l2 > 0.0 { penalty } else { 0 };
        out[i * order + i] += Z128::from_i128(own);
    }
    matrix
}
