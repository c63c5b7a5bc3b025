//! The inverse on shares of a joint curvature, and what can be told where there is none
//! (docs/protocols.md 8.2).

use mpc_core::protocols::solve::{InversePlan, Start, inverse};
use mpc_core::ring::Z128;
use mpc_core::{Fixed, Shared};

use super::labels;
use super::plan::RowsPlan;
use crate::error::Error;
use crate::inference::{diagonal, residual};
use crate::model::Run;
use crate::sums::Triangle;

pub(super) fn no_inverse() -> Error {
    Error::Settings("this fit has no joint inverse".to_owned())
}

/// A joint curvature that is to be inverted: how, over which power of two, and from where.
pub(super) struct Inversion<'a> {
    pub(super) plan: &'a InversePlan,
    /// The matrix is the curvature over 2^this.
    pub(super) exponent: u32,
    /// Units on its diagonal for rounding.
    pub(super) slack: i128,
    /// What the penalty adds to the coefficients and to the intercept.
    pub(super) pulls: (f64, f64),
    pub(super) start: Start<'a>,
}

/// What is added to the diagonal of a curvature, over its power of two: `units` 2^-`fraction`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slack {
    pub(super) units: i128,
    pub(super) fraction: u32,
}

/// An inverse.
pub(super) struct Inverted {
    pub(super) x: Fixed,
    /// The same with few fractional bits, for steps.
    pub(super) coarse: Fixed,
    /// The matrix was the curvature over 2^this.
    pub(super) exponent: u32,
    /// What was added to the diagonal of the curvature to outweigh its rounding.
    pub(super) slack: Slack,
    /// Whether it was reached.
    pub(super) reached: bool,
}

impl Inversion<'_> {
    /// This party's share of the matrix at the scale of its inverse, with the penalty and a slack that
    /// outweighs all rounding.
    fn matrix(&self, plan: &RowsPlan, own: &Triangle, me: usize) -> Shared<Z128> {
        let order = plan.order();
        let scale = self.plan.fraction() as i32 - self.exponent as i32;
        let mut matrix = Shared::new(own.rounded(scale).to_vec(), order, order);
        if me == 0 {
            for j in 0..order {
                let pulled = j < plan.facts.columns();
                let pull = if pulled { self.pulls.0 } else { self.pulls.1 };
                let pull = libm::floor(libm::ldexp(pull, scale)) as i128;
                matrix.as_mut_slice()[j * (order + 1)] += Z128((self.slack + pull) as u128);
            }
        }
        matrix
    }

    /// The inverse of the joint curvature, and whether it was reached. The rounds of the inverse, and
    /// one.
    pub(super) async fn run(
        &self,
        plan: &RowsPlan,
        own: &Triangle,
        label: &str,
        run: &mut Run<'_>,
    ) -> Result<Inverted, Error> {
        let matrix = self.matrix(plan, own, run.session.me());
        let result = inverse(self.plan, &matrix, self.start, run.source, run.session).await?;
        let residual = residual(self.plan, result.residual, label, run).await?;
        let x = Fixed::new(result.x, 128, self.plan.inverse_fraction() + self.exponent)?;
        let coarse = InversePlan::COARSE_FRACTION + self.exponent;
        let coarse = Fixed::new(result.coarse, 128, coarse)?;
        let (exponent, reached) = (self.exponent, self.plan.converged(residual));
        let slack = Slack { units: self.slack, fraction: self.plan.fraction() };
        Ok(Inverted { x, coarse, exponent, slack, reached })
    }
}

/// Reveals which columns nearly determine each other: where the inverse that was not reached is large.
/// One round.
pub(super) async fn determined(
    order: usize,
    inverse_plan: &InversePlan,
    x: &Fixed,
    run: &mut Run<'_>,
) -> Result<Error, Error> {
    // In units of 1/64 of the largest that can be.
    let bound = libm::ceil(libm::log2(inverse_plan.bound())) as u32;
    let fraction =
        x.fraction().saturating_sub(inverse_plan.inverse_fraction() + bound.saturating_sub(6));
    let sizes = run.session.reveal_integers(labels::DETERMINED, &diagonal(x)?, fraction).await?;
    let sizes = sizes.unwrap_or_default();
    let most = sizes.iter().copied().max().unwrap_or_default().max(1);
    let columns =
        (0..order).filter(|&j| sizes.get(j).is_some_and(|&size| 16 * size >= most)).collect();
    Ok(Error::Determined { columns })
}
