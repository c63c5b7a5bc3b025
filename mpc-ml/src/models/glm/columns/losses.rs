//! The sum of log(1 + e^z) over all rows at a model of classes (docs/protocols.md 13.4).

use mpc_core::{Cost, Fixed};

use super::super::family::Family;
use super::super::link::Link;
use super::super::plan::X_FRACTION;
use super::super::scales::W_FRACTION;
use super::super::totals::Total;
use super::errors::own_scores;
use super::fit::ColumnsShares;
use super::plan::ColumnsPlan;
use crate::data::Dataset;
use crate::error::Error;
use crate::model::Run;

/// What noise may make of a deviance, as a part of the deviance of a model without features. Models leave a third of that
/// and more.
const NOISE: f64 = 3e-5;
/// The noise of a row that is fine however many there are.
const FINEST: f64 = 2e-3;

/// How it is summed: what is even in the score on shares, and half of the score in the clear.
pub(super) struct Losses {
    even: Total,
    /// What each row has beside its series.
    middle: f64,
}

impl Losses {
    /// For scores between two bounds and a mean target of this score. None of counts, and where noise would show.
    pub(super) fn new(plan: &ColumnsPlan, (low, high): (f64, f64), centre: f64) -> Option<Self> {
        if plan.settings.family != Family::Logistic {
            return None;
        }
        let (link, middle) = Link::losses_up_to(high.abs().max(low.abs()))?;
        // A row's loss by itself: the noise of n of them grows with the root of n.
        let mean = Family::Logistic.mean(centre);
        let own = Family::Logistic.loss(mean, centre);
        let most = (NOISE * own * libm::sqrt(plan.total_rows() as f64)).min(FINEST);
        let even = Total::new(link, (plan.facts.origin, plan.parties()), most).ok()?;
        (even.noise() <= most).then_some(Self { even, middle })
    }

    /// log(1 + e^z) less half of z, summed over all rows, less [`middle`](Self::middle) for each. One round for each
    /// 65,536 rows.
    pub(super) async fn at(
        &self,
        plan: &ColumnsPlan,
        coefficients: &[f64],
        (shares, data): (&ColumnsShares, &Dataset),
        run: &mut Run<'_>,
    ) -> Result<Fixed, Error> {
        let z = own_scores(plan, coefficients, data, (shares, 0.0), run.session.me());
        run.source.demand(self.even.requests(z.len()).collect())?;
        self.even.at((&z, W_FRACTION + X_FRACTION), run).await
    }

    /// What a row has beside the series.
    pub(super) fn middle(&self) -> f64 {
        self.middle
    }

    /// What the angles cost.
    pub(super) fn cost(&self, plan: &ColumnsPlan, me: usize) -> Cost {
        self.even.cost(plan.total_rows() as usize, me, plan.parties())
    }
}
