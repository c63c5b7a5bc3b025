//! What a fit costs, if it takes as many passes and models as most do: how many it takes follows from
//! revealed integers. What the making of correlations needs is not among it.

use mpc_core::Cost;
use mpc_core::ring::wire::element_bytes;

use super::pass::groups;
use super::plan::{Preconditioner, RowsPlan, X_FRACTION};
use super::scales::{Scales, W_FRACTION};
use super::settings::{Finish, Iterates};
use crate::inference;

/// Passes on shares of most fits, and models that are revealed.
const PASSES: (u64, u64) = (2, 4);
const MODELS: u64 = 2;

pub(super) fn expected(plan: &RowsPlan, scales: &Scales, me: usize) -> Cost {
    let all = Costs { plan, scales, me };
    let passes = passes(plan.settings.iterates, plan.finish);
    let mut cost = all.start();
    for pass in 0..passes {
        cost = cost + all.pass(pass);
    }
    if plan.finish == Finish::Hidden {
        return cost + all.to_all(1, 16 * plan.order()).results(1);
    }
    for at in 0..MODELS {
        cost = cost + all.model(at);
    }
    // The gradient at the model, and what follows from it.
    cost + all.to_all(1, 14 * plan.order()).results(1) + all.inference()
}

/// Passes on shares of most fits.
pub(super) fn passes(iterates: Iterates, finish: Finish) -> u64 {
    match (iterates, finish) {
        (Iterates::Revealed, _) => 0,
        (_, Finish::Hidden) => PASSES.1,
        _ => PASSES.0,
    }
}

struct Costs<'a> {
    plan: &'a RowsPlan,
    scales: &'a Scales,
    me: usize,
}

impl Costs<'_> {
    fn to_all(&self, rounds: u64, bytes: usize) -> Cost {
        Cost::to_all(self.me, self.plan.parties(), rounds, bytes as u64)
    }

    /// Totals, sizes, the inverse and where the passes begin.
    fn start(&self) -> Cost {
        let order = self.plan.order();
        let mut cost = self.to_all(2, 6 * 16).results(2);
        if let Some(inverses) = &self.scales.inverses {
            cost = cost + inverses.first.cost(self.me) + self.to_all(1, 16).results(1);
        }
        if self.plan.preconditioner == Preconditioner::Inverse {
            let rounds = u64::from(self.scales.penalty.is_none());
            cost = cost + self.to_all(rounds, 16 * (order * order + order));
        }
        cost
    }

    fn pass(&self, pass: u64) -> Cost {
        let (plan, scales) = (self.plan, self.scales);
        let (order, rows) = (plan.order(), plan.total_rows() as usize);
        let weights = element_bytes(W_FRACTION + X_FRACTION + plan.link.period()) * order;
        let angles = element_bytes(scales.phasing.form.angle_bits) * rows;
        let sent = scales.residuals.map_or(scales.ring, |spec| spec.ring);
        let columns = 1 + usize::from(pass > 0);
        // Weights, angles, gradient and step, length and what follows.
        let mut cost = self.to_all(4 + groups(plan), weights + angles + 16 * order)
            + self.to_all(1, 16 * (order + columns * order + columns)).results(1);
        for (peer, &own) in plan.rows.iter().enumerate().filter(|&(peer, _)| peer != self.me) {
            cost.bytes[peer] += own * element_bytes(sent) as u64;
        }
        if scales.penalty.is_some() {
            // The lift of the step; the values.
            cost = cost + self.to_all(1, 16 * order).bounded(2);
        }
        cost
    }

    /// A model, the inverse of the curvature at it, and how far it is.
    fn model(&self, at: u64) -> Cost {
        let (plan, scales) = (self.plan, self.scales);
        let order = plan.order();
        let again = at > 0 && !plan.settings.inference;
        // The model; its check, which shares the round with the factors, and its distance.
        let mut cost = self.to_all(1, 16 * order).results(1)
            + self.to_all(3, 16 * (2 * order + order + 1)).results(1);
        if again {
            return cost;
        }
        if let Some(inverses) = &scales.inverses {
            let warm = inverses.warm.get(at as usize).map(|warm| &warm.plan);
            cost = cost + warm.unwrap_or(&inverses.first).cost(self.me);
        }
        // The check of the inverse, and what is counted before it.
        let checks = 1 + u64::from(plan.settings.inference && at > 0);
        cost + self.to_all(checks, 16 * (order * order + 2)).results(checks)
    }

    fn inference(&self) -> Cost {
        let (plan, order) = (self.plan, self.plan.order());
        let settings = &plan.settings;
        let mut cost = self.to_all(0, 0);
        if settings.inference {
            cost = cost + self.to_all(3, 16 * (order * order + order + 4)).results(2);
        }
        if let Some(inverses) = &self.scales.inverses {
            let size = (order, inverses.first.inverse_fraction());
            let party = (self.me, plan.parties());
            cost = cost + inference::cost(&settings.asked(), &plan.tests, size, party);
        }
        cost
    }
}
