//! What it costs to tell how sure the coefficients are, beside their usual variances.

use mpc_core::Cost;
use mpc_core::ring::wire::element_bytes;

use super::wald::{RESIDUAL_FRACTION, STATISTIC_FRACTION, statistic_fraction};
use super::{Asked, COVARIANCE_FRACTION, Robust, WaldPlan, contrasts, robust};

/// The cost for party `me` of `parties`, where everything is told to all, with an inverse of so many
/// coefficients at this scale.
pub(crate) fn cost(
    asked: &Asked<'_>,
    tests: &[WaldPlan],
    (order, fraction): (usize, u32),
    (me, parties): (usize, usize),
) -> Cost {
    let to_all = |rounds: u64, bytes: usize| Cost::to_all(me, parties, rounds, bytes as u64);
    let result = |elements: usize, dropped: u32| {
        to_all(1, elements * element_bytes(128 - dropped)).results(1)
    };
    let mut cost = to_all(0, 0);
    for inverse in tests.iter().filter_map(|test| test.inverse.as_ref()) {
        let check = result(1, inverse.residual_fraction() - RESIDUAL_FRACTION);
        let statistic = result(1, statistic_fraction(inverse) - STATISTIC_FRACTION);
        cost = cost + inverse.cost(me) + check + statistic;
    }
    for _ in asked.contrasts {
        cost = cost + result(1, contrasts::dropped(fraction));
    }
    if asked.robust != Robust::None {
        let factors = robust::PRODUCTS as usize * 2 * order * order * element_bytes(128);
        cost = cost
            + result(2, 0)
            + to_all(robust::PRODUCTS, factors)
            + result(order, robust::dropped(fraction));
    }
    if asked.covariance {
        cost = cost + result(order * order, fraction.saturating_sub(COVARIANCE_FRACTION));
    }
    cost
}
