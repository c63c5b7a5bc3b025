//! Figures of models of numbers and of counts on shares of their scores (docs/protocols.md 17.5).

use mpc_core::correlations::{Correlations, Orders, Origin};
use mpc_core::protocols::product;
use mpc_core::ring::wire::element_bytes;
use mpc_core::ring::{Ring, Z128};
use mpc_core::{Cost, Fixed, Session, Shared};

use super::own::{FRACTION, OrderedFactors, Own, next};
use crate::error::Error;
use crate::models::glm::Family;
use crate::models::glm::link::{E_FRACTION, FINE_FRACTION, Link};
use crate::models::glm::totals::{HEADROOM, Total};

/// Fractional bits of residuals in units of half the target's range; what a party adds to one is below 2^this.
const RESIDUAL: u32 = 30;
const RESIDUAL_BITS: i32 = 20;
/// The noise that a row's mean may have, if that can be, and how large a sum of means may be.
const NOISE: f64 = 1e-3;
const LARGEST: f64 = 268_435_456.0;

/// Numbers, in units of half the range of the target.
pub(super) struct Numbers {
    pub(super) unit: f64,
    rows: usize,
}

impl Numbers {
    pub(super) fn new(rows: usize, (low, high): (f64, f64)) -> Self {
        Self { unit: (high - low) / 2.0, rows }
    }

    /// The shares of what is told: the sum of squared residuals, that of residuals, and that of the squared deviations
    /// of the targets from their mean. One round.
    pub(super) async fn shares(
        &self,
        own: &Own,
        from: &mut Correlations<'_>,
        session: &mut Session,
    ) -> Result<Fixed, Error> {
        let mut orders = Orders::new();
        let factors = OrderedFactors::of(self.rows, &mut orders);
        from.demand(orders)?;
        let residual = |row: usize, score: f64| {
            (own.targets.get(row).copied().unwrap_or(0.0) - score) / self.unit
        };
        let limit = libm::ldexp(1.0, RESIDUAL_BITS);
        if own.scores.iter().enumerate().any(|(row, &z)| residual(row, z).abs() >= limit) {
            let rule = "what this party's part of the model adds to a score is too large beside the range of the \
                        target: is a cell far outside of what the model was fitted to?";
            return Err(Error::Data(rule.to_owned()));
        }
        let e: Shared<Z128> = own.placed(residual, RESIDUAL)?;
        let (left, right) = factors.take(from).await?;
        let row = e.clone().reshape(1, self.rows)?;
        let squares = product::multiply(&row, &e, left, right, session).await?;
        let squares = Fixed::new(squares, 128, 2 * RESIDUAL)?.truncate(FRACTION, session)?;
        let sum: f64 = own.scores.iter().enumerate().map(|(row, &z)| residual(row, z)).sum();
        let count = own.targets.len().max(1) as f64;
        let mean = own.targets.iter().sum::<f64>() / count;
        let about = own.targets.iter().map(|y| (y - mean) / self.unit).map(|y| y * y).sum::<f64>();
        Ok(Fixed::stack(&[&squares, &own.part(&[sum, about])?])?)
    }

    /// What it costs, but for the making of correlations.
    pub(super) fn cost(&self, me: usize, parties: usize) -> Cost {
        Cost::to_all(me, parties, 1, 16 * 2 * self.rows as u64)
            + told(3, Z128::BITS + FRACTION - 2 * RESIDUAL, me, parties)
    }
}

/// Counts, whose scores are between two bounds.
pub(super) struct Counts {
    rows: usize,
    means: Option<Means>,
}

/// The mean of each row, as a series.
struct Means {
    total: Total,
    middle: f64,
    /// What has to be added for each row.
    constant: f64,
    error: f64,
}

impl Counts {
    pub(super) fn new(
        rows: usize,
        (low, high): (f64, f64),
        of: (Origin, usize),
    ) -> Result<Self, Error> {
        let largest = libm::exp(high) * rows as f64;
        let means = if largest < LARGEST {
            let (link, middle) = Link::variances(Family::Poisson, (low, high));
            let unit = libm::ldexp(1.0, -(E_FRACTION as i32));
            let constant = link.constant as f64 * unit + link.rest;
            let error = link.error;
            Some(Means { total: Total::new(link, of, NOISE)?, middle, constant, error })
        } else {
            None
        };
        Ok(Self { rows, means })
    }

    /// The standard deviation of what the series and its noise make of a row's mean; none where there are no means.
    pub(super) fn noise(&self) -> Option<f64> {
        self.means.as_ref().map(|means| means.total.noise() + means.error)
    }

    /// The shares of what is told: the sum of the counts, the deviance without features; then, where there are means, their sum and the
    /// deviance.
    pub(super) async fn shares(
        &self,
        own: &Own,
        from: &mut Correlations<'_>,
        session: &mut Session,
    ) -> Result<Fixed, Error> {
        let events: f64 = own.targets.iter().sum();
        let offset = |row: usize| own.offsets.get(row).copied().unwrap_or(0.0);
        let exposure: f64 = (0..own.targets.len()).map(|row| libm::exp(offset(row))).sum();
        let centre = libm::log(events / exposure);
        let targets = own.targets.iter().enumerate();
        let null = if events > 0.0 {
            targets.map(|(row, &y)| Family::Poisson.deviance(y, centre + offset(row))).sum()
        } else {
            0.0
        };
        let known = own.part(&[events, null])?;
        let Some(means) = &self.means else { return Ok(known) };
        let mut orders = Orders::new();
        let factors = OrderedFactors::of(self.rows, &mut orders);
        let phasors: Vec<_> =
            means.total.phasors(self.rows).map(|request| orders.phasors(request)).collect();
        from.demand(orders)?;
        let factors = factors.take(from).await?;
        let common = own.of_targets(factors, session).await?.truncate(FRACTION, session)?;
        let middle = if own.holds { means.middle } else { 0.0 };
        let z = own.placed(|_, z| z - middle, super::PLACED)?;
        let mut phasors = phasors.into_iter();
        let next = async || next(&mut phasors, from).await;
        let sum = means.total.sum((&z, super::PLACED), next, session).await?;
        let beside = if own.holds { means.constant * self.rows as f64 } else { 0.0 };
        let expected = sum.truncate(FRACTION, session)?.plus(&own.part(&[beside])?)?;
        let saturated = |y: f64| if y > 0.0 { y * libm::log(y) - y } else { 0.0 };
        let own_part = own.targets.iter().map(|&y| saturated(y)).sum::<f64>();
        let deviance = expected.clone().minus(&common)?.plus(&own.part(&[own_part])?)?.times(2);
        Ok(Fixed::stack(&[&known, &expected, &deviance])?)
    }

    /// What it costs, but for the making of correlations.
    pub(super) fn cost(&self, me: usize, parties: usize) -> Cost {
        let of_means = self.means.as_ref().map(|means| {
            Cost::to_all(me, parties, 1, 16 * 2 * self.rows as u64)
                + means.total.cost(self.rows, me, parties)
        });
        match of_means {
            Some(means) => means + told(4, HEADROOM - FINE_FRACTION + FRACTION, me, parties),
            None => told(2, Z128::BITS, me, parties),
        }
    }
}

/// What it costs to reveal so many numbers in this ring.
fn told(numbers: usize, ring: u32, me: usize, parties: usize) -> Cost {
    Cost::to_all(me, parties, 1, (element_bytes(ring) * numbers) as u64).results(1)
}
