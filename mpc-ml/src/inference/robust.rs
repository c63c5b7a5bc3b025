//! Variances that do not trust the model's variance: X M X, M the scatter of the rows' parts of the
//! gradient, of which each owner knows its part (docs/protocols.md 8.6).

use std::collections::BTreeMap;

use mpc_core::protocols::product::multiply_fixed;
use mpc_core::{Fixed, Shared};
use zeroize::Zeroizing;

use super::labels::{ROBUST, ROBUST_SIZE};
use super::{Inverse, Robust, diagonal, sizes, unit};
use crate::error::Error;
use crate::model::{Orders, Run};
use crate::sums::Triangle;

/// Products on shares that robust variances take.
pub(super) const PRODUCTS: u64 = 2;
/// Fractional bits of a scatter whose trace is between 1/2 and 1, and with how few it is still used.
const SCATTER_FRACTION: u32 = 40;
const LEAST_SCATTER_FRACTION: u32 = 16;
/// Bits of a revealed variance, in the units that follow.
const VARIANCE_FRACTION: u32 = 24;
/// The part of a variance that rounding may take, at most.
const MOST_ROUNDING: f64 = 2e-3;
/// A variance below this part of the usual one is what the rounding of the coefficients leaves of none:
/// groups that columns make up, or that are too few.
const LEAST_PART: f64 = 1.0 / 4096.0;
/// The part of a direction's information that what was added to the curvature may take.
const MOST_SLACK: f64 = 5e-3;

/// An owner's scatter of the rows' parts of the gradient.
pub(crate) struct Scatter {
    sum: Triangle,
    /// For rows in groups, the part of each group.
    groups: Option<BTreeMap<u64, Zeroizing<Vec<f64>>>>,
}

impl Scatter {
    pub(crate) fn new(order: usize, kind: Robust) -> Self {
        let groups = (kind == Robust::Cluster).then(BTreeMap::new);
        Self { sum: Triangle::new(order), groups }
    }

    /// Adds a row that counts as `weight` rows.
    pub(crate) fn add(&mut self, residual: f64, weight: f64, entries: &[f64], group: Option<&u64>) {
        let Some(groups) = &mut self.groups else {
            return self.sum.add(weight * residual * residual, entries);
        };
        let sum = groups
            .entry(group.copied().unwrap_or_default())
            .or_insert_with(|| Zeroizing::new(vec![0.0; entries.len()]));
        for (sum, x) in sum.iter_mut().zip(entries) {
            *sum += weight * residual * x;
        }
    }

    /// The scatter, and the number of groups.
    pub(crate) fn finish(mut self) -> (Triangle, u64) {
        let groups = self.groups.take().unwrap_or_default();
        groups.values().for_each(|part| self.sum.add(1.0, part));
        self.sum.fold();
        (self.sum, groups.len() as u64)
    }
}

/// What is known in public before robust variances are made.
pub(crate) struct Expected {
    /// What the scatter's trace is expected to be.
    pub(crate) size: f64,
    /// The sum of the case weights of all rows.
    pub(crate) weight: f64,
    /// Usual variances are the diagonal of the inverse times this, over its unit.
    pub(crate) dispersion: f64,
}

/// Bits that are dropped of variances where they are revealed, for an inverse with so many, where the
/// scatter has all of its own.
pub(super) fn dropped(inverse_fraction: u32) -> u32 {
    2 * inverse_fraction + SCATTER_FRACTION - VARIANCE_FRACTION
}

/// Reveals the size of the scatter and the diagonal of X M X, over the square of the inverse's unit. The
/// scatter's trace is `expected` to be so large; `weight` is the sum of the case weights of all rows, and
/// usual variances are the diagonal of the inverse times `dispersion`, over its unit. None where there is
/// no variance, or rounding, or what was added to the curvature, would show in it. Four rounds.
pub(crate) async fn reveal(
    inverse: &Inverse<'_>,
    kind: Robust,
    (scatter, groups): (Triangle, u64),
    Expected { size: expected, weight, dispersion }: Expected,
    orders: &mut Orders,
    run: &mut Run<'_>,
) -> Result<Option<Vec<f64>>, Error> {
    let Inverse { x, unit: per, slack, .. } = inverse;
    let (order, parties) = (inverse.order(), run.session.parties());
    let units = [unit(expected), 0];
    let sizes = sizes(ROBUST_SIZE, &[scatter.trace(), groups as f64], &units, run.session).await?;
    let [size, groups] = sizes[..] else { return Err(Error::untold(ROBUST_SIZE)) };

    // The trace of the scatter over 2^exponent is at most 1, and so is its largest eigenvalue. So an
    // entry of the result is at most the squared length of a column of X.
    let exponent = libm::ceil(libm::log2(size)) as i32;
    let above = inverse.above(parties);
    let squares: Option<Vec<f64>> = {
        let entries = inverse.diagonal.iter().map(|entry| entry + above);
        let trace: f64 = entries.clone().sum();
        let usable = size > 0.0 && inverse.diagonal.iter().all(|entry| *entry > 0.0);
        usable.then(|| entries.map(|entry| trace * entry).collect())
    };
    let Some(squares) = squares else { return Ok(None) };
    let largest = |values: &[f64]| values.iter().fold(0.0f64, |most, value| most.max(*value));
    let room = 126 - 2 * i64::from(x.fraction()) - libm::ceil(libm::log2(largest(&squares))) as i64;
    let fraction = room.min(i64::from(SCATTER_FRACTION));
    let hidden = slack * (largest(inverse.diagonal) + above) > MOST_SLACK;
    if hidden || fraction < i64::from(LEAST_SCATTER_FRACTION) {
        return Ok(None);
    }
    let fraction = fraction as u32;

    let scatter = scatter.rounded(fraction as i32 - exponent);
    let scatter = Fixed::new(Shared::new(scatter.to_vec(), order, order), 128, fraction)?;
    let mut requests = Vec::new();
    for _ in 0..PRODUCTS {
        let left = orders.left(order, order, &mut requests);
        Orders::right(left, order, true, &mut requests);
    }
    run.source.demand(requests)?;
    let mut product = (*x).clone();
    for factor in [&scatter, x] {
        let (left, right) = run.factors().await?;
        product = multiply_fixed(&product, factor, left, right, run.session).await?;
    }
    // As many bits are dropped whatever the scatter has.
    let kept = VARIANCE_FRACTION - (SCATTER_FRACTION - fraction);
    let revealed = run.session.reveal_fixed(ROBUST, &diagonal(&product)?, kept).await?;
    let revealed = revealed.ok_or_else(|| Error::untold(ROBUST))?;
    // Each party rounds each entry of its scatter, with a variance of a twelfth of a unit: at most ten
    // deviations of what comes of it, the entries off the diagonal counted twice.
    let rounded = libm::ldexp(10.0 * libm::sqrt(parties as f64 / 6.0), -(fraction as i32));
    let last = libm::ldexp(parties as f64, -(kept as i32));
    let factor = libm::ldexp(1.0, exponent) / (per * per);
    let sure = |((variance, square), entry): ((&f64, &f64), &f64)| {
        rounded * square + last <= MOST_ROUNDING * *variance
            && factor * variance >= LEAST_PART * dispersion * entry / per
    };
    if !revealed.iter().zip(&squares).zip(inverse.diagonal).all(sure) {
        return Ok(None);
    }
    let factor = factor * kind.factor(weight, order, groups);
    Ok(Some(revealed.iter().map(|variance| factor * variance).collect()))
}
