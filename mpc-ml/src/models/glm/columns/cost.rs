//! What a fit on columns costs, if it takes as many passes as most do: how many it takes follows from
//! revealed integers. What the making of correlations needs is not among it.

use mpc_core::Cost;
use mpc_core::ring::wire::element_bytes;

use super::super::plan::X_FRACTION;
use super::super::scales::W_FRACTION;
use super::gradient::groups;
use super::information::Information;
use super::plan::ColumnsPlan;
use super::scales::Scales;

/// Passes of most fits.
const PASSES: u64 = 10;

pub(super) fn expected(
    plan: &ColumnsPlan,
    (scales, information): (&Scales, Option<&Information>),
    me: usize,
) -> Cost {
    let passes = 0..PASSES.min(plan.settings.passes.into());
    let begun = start(plan, me);
    passes.into_iter().fold(begun, |cost, at| cost + pass(plan, scales, me, at))
        + release(plan, me)
        + information.map_or_else(|| to_all(plan, me, 0, 0), |how| errors(plan, how, me))
}

fn to_all(plan: &ColumnsPlan, me: usize, rounds: u64, bytes: usize) -> Cost {
    Cost::to_all(me, plan.parties(), rounds, bytes as u64)
}

/// The mean, the products of all columns, and their inverse with its check.
fn start(plan: &ColumnsPlan, me: usize) -> Cost {
    to_all(plan, me, 1, 2 * 16).results(1)
        + plan.gram.matrix_cost(me)
        + to_all(plan, me, 1, 16).results(1)
}

/// Pass number `at`, from 0.
pub(super) fn pass(plan: &ColumnsPlan, scales: &Scales, me: usize, at: u64) -> Cost {
    let (order, rows) = (plan.order(), plan.total_rows() as usize);
    let weights = element_bytes(W_FRACTION + X_FRACTION + plan.link.period()) * order;
    let angles = element_bytes(scales.phasing.form.angle_bits) * rows;
    let mut cost = to_all(plan, me, 1 + groups(plan), weights + angles);
    // Values to the owners of columns.
    let mut values = to_all(plan, me, 1, 0).bounded(1);
    for part in plan.parts.iter().filter(|part| part.owner != me) {
        values.bytes[part.owner] += scales.values.bytes(rows);
    }
    // Q g, and Q itself the first time; the inner products; these are revealed; the lift.
    let factors = 16 * (order + if at == 0 { order * order } else { 0 });
    let columns = at as usize + 1;
    let products = element_bytes(scales.product_ring()) * (order + columns * order);
    let lift = scales.opening(1.0).map_or(0, |opening| opening.bytes(order)) as usize;
    cost = cost
        + values
        + to_all(plan, me, 2, factors + products)
        + to_all(plan, me, 1, 16 * columns).results(1)
        + to_all(plan, me, 1, lift).bounded(1);
    cost
}

/// Standard errors.
fn errors(plan: &ColumnsPlan, how: &Information, me: usize) -> Cost {
    let (order, rows) = (plan.order(), plan.total_rows() as usize);
    let angles = element_bytes(how.phasing.form.angle_bits) * rows;
    let mut to_owners = to_all(plan, me, 1, 0).bounded(1);
    let chunks = Information::chunks(plan).len() as u64;
    let mut weighed = to_all(plan, me, chunks, 0);
    for (at, part) in plan.parts.iter().enumerate().filter(|(_, part)| part.owner != me) {
        to_owners.bytes[part.owner] += how.variances.bytes(rows);
        let elements = Information::vectors(plan, at) * rows;
        weighed.bytes[part.owner] += (elements * element_bytes(how.ring)) as u64;
    }
    let triangle = order * (order + 1) / 2;
    to_all(plan, me, groups(plan), angles)
        + to_owners
        + weighed
        + to_all(plan, me, 1, how.lift.bytes(triangle) as usize).bounded(1)
        + how.inverse.cost(me)
        + to_all(plan, me, 1, 16).results(1)
        + to_all(plan, me, 2, 2 * 2 * 16 * order * order)
        + to_all(plan, me, 1, 16 * order).results(1)
}

/// The coefficients, and the range of the scores.
fn release(plan: &ColumnsPlan, me: usize) -> Cost {
    let mut cost = match &plan.owners {
        Some(owners) => owners.cost(me, plan.parties(), 16),
        None => to_all(plan, me, 1, 16 * plan.order()).results(1),
    };
    if plan.knows_parts() {
        cost = cost + to_all(plan, me, 1, 2 * 16).results(1);
    }
    cost
}
