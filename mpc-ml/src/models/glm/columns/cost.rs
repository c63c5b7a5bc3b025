//! What a fit on columns costs, if it takes as many passes as most do: how many it takes follows from
//! revealed integers. What the making of correlations needs is not among it.

use mpc_core::Cost;
use mpc_core::ring::wire::element_bytes;

use super::super::family::Family;
use super::super::plan::X_FRACTION;
use super::super::scales::W_FRACTION;
use super::gradient::groups;
use super::information::Information;
use super::losses::Losses;
use super::plan::ColumnsPlan;
use super::scales::{Scales, Stage};

/// Passes of most fits, and how many of them are the coarse ones.
const PASSES: u64 = 10;
const COARSE: u64 = 6;

pub(super) fn expected(
    plan: &ColumnsPlan,
    chosen: (&Scales, Option<&Information>),
    me: usize,
) -> Cost {
    of(plan, chosen, me, passes(plan))
}

/// The passes of most fits.
pub(super) fn passes(plan: &ColumnsPlan) -> u64 {
    PASSES.min(plan.settings.passes.into())
}

/// That of a fit of so many passes.
fn of(
    plan: &ColumnsPlan,
    (scales, information): (&Scales, Option<&Information>),
    me: usize,
    passes: u64,
) -> Cost {
    let none = || to_all(plan, me, 0, 0);
    (0..passes).fold(start(plan, me), |cost, at| cost + pass(plan, scales, me, at))
        + release(plan, me)
        + information.map_or_else(none, |how| errors(plan, how, me))
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
fn pass(plan: &ColumnsPlan, scales: &Scales, me: usize, at: u64) -> Cost {
    let (order, rows) = (plan.order(), plan.total_rows() as usize);
    let weights = element_bytes(W_FRACTION + X_FRACTION + plan.link.period()) * order;
    let stage = if at < COARSE { Stage::Coarse } else { Stage::Fine };
    let made = scales.values(stage);
    let angles = element_bytes(made.phasing.form.angle_bits) * rows;
    let mut cost = to_all(plan, me, 1 + groups(plan), weights + angles);
    // Values to the owners of columns.
    let mut values = to_all(plan, me, 1, 0).bounded(1);
    for part in plan.parts.iter().filter(|part| part.owner != me) {
        values.bytes[part.owner] += made.opening.bytes(rows);
    }
    // Q g, and Q itself the first time; the inner products; these are revealed; the lift.
    let factors = 16 * (order + if at == 0 { order * order } else { 0 });
    let columns = at as usize + 1;
    let products = element_bytes(scales.product_ring(stage)) * (order + columns * order);
    let lift = scales.opening(1.0, stage).map_or(0, |opening| opening.bytes(order)) as usize;
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
    // As if scores were as far from 0 as they may be, and the mean target were a half.
    let losses = Losses::new(plan, plan.edges(0.0), 0.0);
    let fitted = u64::from(plan.settings.family == Family::Poisson || losses.is_some());
    let losses = losses.map_or_else(|| to_all(plan, me, 0, 0), |losses| losses.cost(plan, me));
    to_all(plan, me, groups(plan), angles)
        + to_owners
        + weighed
        + to_all(plan, me, 1, how.lift.bytes(triangle) as usize).bounded(1)
        + how.inverse.cost(me)
        + to_all(plan, me, 1, 16).results(1)
        + to_all(plan, me, 3, 3 * 2 * 16 * order * order)
        + to_all(plan, me, 1, 16 * order).results(1)
        + losses
        + to_all(plan, me, fitted, 3 * 16 * fitted as usize).results(fitted)
}

/// The coefficients, and the range of the scores.
fn release(plan: &ColumnsPlan, me: usize) -> Cost {
    let mut cost = match &plan.owners {
        Some(owners) => owners.cost(me, plan.parties(), 16),
        None => to_all(plan, me, 1, 16 * plan.order()).results(1),
    };
    if let Some(first) = &plan.first {
        cost = cost + first.cost(me, plan.parties(), 16);
    }
    if plan.knows_parts() {
        cost = cost + to_all(plan, me, 1, 2 * 16).results(1);
    }
    cost
}

#[cfg(test)]
mod tests {

    use mpc_core::correlations::dealer::DealerSource;
    use mpc_core::correlations::{CorrelationSource, Origin};
    use mpc_core::testing::World;
    use ndarray::{ArrayView1, ArrayView2, s};

    use super::*;
    use crate::data::Dataset;
    use crate::error::Error;
    use crate::model::{Agreed, Facts, Model, Plan, Run, ledger};
    use crate::models::glm::{Family, Glm, GlmPlan, GlmSettings};
    use crate::synthetic;

    /// For as many passes as there were, rounds are those of the meter, and bytes within a tenth: results are
    /// counted as if nothing of them were dropped.
    #[test]
    fn costs_are_those_of_the_meter() {
        const WIDTHS: [u32; 3] = [2, 2, 1];
        let whole = synthetic::logistic(400, 5, 1, 3).remove(0);
        let table = ArrayView2::from_shape((400, 5), whole.x()).expect("a table");
        for (family, l2) in
            [(Family::Logistic, 0.0), (Family::Logistic, 0.1), (Family::Poisson, 0.0)]
        {
            let inference = l2 == 0.0;
            let settings = GlmSettings { l2, inference, ..GlmSettings::new(family) };
            let facts = Facts::vertical(400, &WIDTHS, 1, vec![2.0; 5], Origin::Dealer);
            let facts = Facts { target: Some((0.0, 1.0)), ..facts };
            let plan = GlmPlan::new(&settings, &facts).expect("fits");
            let columns = ColumnsPlan::new(&settings, &facts).expect("fits");
            let scales = Scales::new(&columns, 0.0).expect("fits");
            let how = inference.then(|| Information::new(&columns, columns.edges(0.0), 1.0));
            let how = how.map(|how| how.expect("fits"));
            let world = World::new(3).with_dealer().outputs(ledger(&plan.outputs()));
            let told = world.run(async |mut session| {
                let me = session.me();
                let begin: u32 = WIDTHS[..me].iter().sum();
                let own = table.slice(s![.., begin as usize..(begin + WIDTHS[me]) as usize]);
                let data = match me {
                    1 => Dataset::new(own, ArrayView1::from(whole.y())).expect("fits"),
                    _ => Dataset::without_target(own),
                };
                let mut source = DealerSource::start(&mut session)?;
                let plan = Agreed::among(plan.clone(), &mut session).await?;
                session.meter().enter("fit");
                let progress = &mut |_| {};
                let mut run = Run { session: &mut session, source: &mut source, progress };
                let shares = Glm::fit(&plan, &data, &mut run).await?;
                let found = Glm::release(&plan, shares, &data, &mut run).await?;
                let phase = session.meter().phase("fit");
                let passes = found.map_or(0, |found| found.fit.passes);
                let cost = of(&columns, (&scales, how.as_ref()), me, passes.into());
                let cost = cost.under(session.against(), me);
                source.finish().await?;
                Ok::<_, Error>((cost.rounds, phase.rounds, cost.sent(), phase.sent()))
            });
            for told in told {
                let (rounds, metered, sent, truly) = told.expect("fits");
                if family == Family::Poisson {
                    // The steps of the inverse, four rounds each, depend on the range of the scores.
                    assert_eq!(rounds % 4, metered % 4);
                    continue;
                }
                assert_eq!(rounds, metered);
                let off = sent as f64 / truly as f64 - 1.0;
                assert!(off.abs() < 0.1, "{sent} bytes for {truly}");
            }
        }
    }
}
