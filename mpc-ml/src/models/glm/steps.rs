//! What turns gradients into steps: the inverse of the owners' joint curvature, or the mean of their own
//! inverses; and where the passes begin (docs/protocols.md 8.1, 8.2 and 8.7).

use std::sync::Arc;

use mpc_core::correlations::{OwnRows, OwnedMatrix};
use mpc_core::protocols::solve::Start;
use mpc_core::{Fixed, offload};
use zeroize::Zeroizing;

use super::cholesky;
use super::fit::Fitting;
use super::inversion::{Inversion, determined, no_inverse};
use super::labels;
use super::own::Own;
use super::plan::Preconditioner;
use super::products::{Factor, Matrix, Opening};
use super::scales::W_FRACTION;
use super::settings::{Finish, Iterates};
use super::start::Expected;
use crate::error::Error;
use crate::model::Orders;

/// With more noise than this in standard errors, a pass on shares gains nothing.
const DROWNED: f64 = 1.0;

/// What turns a gradient into a step.
pub(super) enum Steps {
    /// A shared inverse, before it meets its first vector and after.
    Inverse { x: Fixed, left: Option<u32>, factor: Option<Factor> },
    /// The mean of the owners' inverses, stacked.
    Owners(Matrix),
}

impl Fitting<'_, '_> {
    /// Whether no pass is made on shares: the iterates are revealed, or the noise of a pass is larger
    /// than what it could gain.
    pub(super) fn skips(&self) -> bool {
        let drowned = self.plan.finish == Finish::Open && self.scales.tolerance > DROWNED;
        drowned || self.plan.settings.iterates == Iterates::Revealed
    }

    /// Whether the passes begin at P b, and not where an earlier session had come to. Else they begin at the mean of the owners' own fits, which
    /// needs no lift, and must never be seen: it would tell all parties but one the remaining one's.
    fn begins_jointly(&self) -> bool {
        !self.resumed && (self.scales.penalty.is_none() || self.skips())
    }

    /// Makes what turns gradients into steps.
    pub(super) async fn preconditioner(
        &mut self,
        own: &Own,
        expected: &Expected,
    ) -> Result<Steps, Error> {
        let (plan, scales) = (self.plan, self.scales);
        let order = plan.order();
        if plan.preconditioner == Preconditioner::Owners {
            return Ok(Steps::Owners(self.owners(own, expected).await?));
        }
        let inverses = scales.inverses.as_ref().ok_or_else(no_inverse)?;
        let mut requests = Vec::new();
        self.orders.inverse(&inverses.first, &mut requests);
        let mut left = None;
        if self.begins_jointly() {
            let number = self.orders.left(order, order, &mut requests);
            Orders::right(number, 1, false, &mut requests);
            left = Some(number);
        }
        self.run.source.demand(requests)?;
        let inversion = Inversion {
            plan: &inverses.first,
            exponent: scales.exponent,
            slack: inverses.slack,
            pulls: scales.penalty.map_or((0.0, 0.0), |penalty| penalty.pulls),
            start: Start::Identity,
        };
        let (own, label) = (&expected.curvature, labels::INVERSE_CHECK);
        let found = inversion.run(plan, own, label, self.run).await?;
        if !found.reached {
            return Err(determined(plan.order(), &inverses.first, &found.x, self.run).await?);
        }
        let x = found.coarse.truncate(scales.step_fraction, self.run.session)?;
        self.whole = Some(found.x);
        Ok(Steps::Inverse { x, left, factor: None })
    }

    /// The owners' own inverses: (n_i / n) (n / n_i H_i + pulls)^-1 each.
    async fn owners(&mut self, own: &Own, expected: &Expected) -> Result<Matrix, Error> {
        let (plan, order) = (self.plan, self.plan.order());
        let penalty = self.scales.penalty.ok_or_else(no_inverse)?;
        let columns = plan.facts.columns();
        let part = (own.rows() as f64 / plan.total_rows() as f64).max(f64::MIN_POSITIVE);
        let mut matrix = expected.curvature.square();
        matrix.iter_mut().for_each(|entry| *entry /= part);
        for j in 0..order {
            let pull = if j < columns { penalty.pulls.0 } else { penalty.pulls.1 };
            matrix[j * (order + 1)] += pull;
        }
        let fraction = self.scales.step_fraction;
        let unit = libm::ldexp(part, fraction as i32);
        let entries = offload(move || {
            let inverse = cholesky::inverse(&matrix, order);
            // Exactly symmetric, as rounding leaves it.
            let entry = |at: usize| {
                let (i, j) = (at / order, at % order);
                // Half a unit an entry moves the spectrum by less than this.
                let slack = if i == j { (order / 2 + 1) as i32 } else { 0 };
                libm::rint(unit * inverse[i.min(j) * order + i.max(j)]) as i32 + slack
            };
            (0..order * order).map(entry).collect::<Vec<i32>>()
        })
        .await?;
        let rows = vec![order as u64; plan.parties()];
        let mut shape = plan.shape(22);
        shape.rows = rows;
        let own = Arc::new(OwnRows::new(entries));
        let number = self.run.source.register(OwnedMatrix { shape, own: Arc::clone(&own) }).await?;
        let places = (0..plan.parties()).map(|i| i * order..(i + 1) * order).collect();
        Ok(Matrix { number, own, fraction, places })
    }

    /// Where the passes begin.
    pub(super) async fn begin(
        &mut self,
        expected: &Expected,
        steps: &mut Steps,
    ) -> Result<Fixed, Error> {
        let (plan, scales) = (self.plan, self.scales);
        let order = plan.order();
        let jointly = self.begins_jointly();
        match steps {
            Steps::Inverse { x, factor, .. } if jointly => {
                let b = Fixed::own_part(&expected.right, order, 1, scales.gradient_fraction)?;
                let factors = self.run.factors().await?;
                let (opened, w) = Factor::open(x, &b, factors, self.run.session).await?;
                *factor = Some(opened);
                Ok(w.clone().narrow(scales.ring.min(w.ring()))?)
            }
            _ => {
                // The owners' own fits, by their numbers of rows.
                let part = plan.rows[self.run.session.me()] as f64 / plan.total_rows() as f64;
                let own: Vec<f64> = expected.coefficients.iter().map(|w| part * w).collect();
                let own = Zeroizing::new(own);
                Ok(Fixed::own_part(&own, order, 1, W_FRACTION)?)
            }
        }
    }

    /// The step of a gradient. One round.
    pub(super) async fn step(&mut self, g: &Fixed, steps: &mut Steps) -> Result<Fixed, Error> {
        match steps {
            Steps::Inverse { factor: Some(factor), .. } => {
                let right = self.run.source.take().await?.right128()?;
                factor.times(g, right, self.run.session).await
            }
            Steps::Inverse { x, factor, .. } => {
                let factors = self.run.factors().await?;
                let (opened, s) = Factor::open(x, g, factors, self.run.session).await?;
                *factor = Some(opened);
                Ok(s)
            }
            Steps::Owners(matrix) => {
                // Every owner multiplies the same vector by its own matrix.
                let copies: Vec<&Fixed> = vec![g; self.plan.parties()];
                let product = self.run.source.take().await?.transposed()?;
                let opening = Opening::Uniform(128);
                let all = Fixed::stack(&copies)?;
                let all = Fixed::new(all.parts().0.clone(), 128, all.fraction())?;
                let s = matrix.transposed(&all, opening, product, self.run.session).await?;
                Ok(s.clone().narrow(g.ring().min(s.ring()))?)
            }
        }
    }
}
