//! The inverse of the matrix of the products of all columns: what turns gradients into directions
//! (docs/protocols.md 13.4).

use mpc_core::protocols::solve::{InversePlan, Start, inverse};
use mpc_core::ring::Z128;
use mpc_core::{Fixed, Shared};

use super::super::inversion::determined;
use super::super::labels::INVERSE_CHECK;
use super::plan::ColumnsPlan;
use crate::data::Dataset;
use crate::error::Error;
use crate::inference::residual;
use crate::model::{Progress, Run};
use crate::models::linear::columns::{equations, products};

/// (X^T X + penalty)^-1 at scale `COARSE_FRACTION` beside the power of two that the plan divides by, and the
/// matrix itself and the products with the target, over that power of two. The rounds of the sums of products and of the inverse, and one.
pub(super) async fn directions(
    plan: &ColumnsPlan,
    data: &Dataset,
    run: &mut Run<'_>,
) -> Result<(Fixed, [Shared<Z128>; 2]), Error> {
    let linear = &plan.gram;
    let cross = linear.cross().ok_or_else(|| Error::untold("columns"))?;
    let how = linear.inverse();
    let sums = products(linear, cross, data, &how.requests(0), run).await?;
    (run.progress)(Progress::Prepared);
    let (matrix, right) = equations(linear, cross, &sums, run.session).await?;
    let found = inverse(how, &matrix, Start::Identity, run.source, run.session).await?;
    let residual = residual(how, found.residual, INVERSE_CHECK, run).await?;
    if !how.converged(residual) {
        let x = Fixed::new(found.x, 128, how.inverse_fraction())?;
        return Err(determined(plan.order(), how, &x, run).await?);
    }
    let fraction = InversePlan::COARSE_FRACTION + plan.exponent();
    Ok((Fixed::new(found.coarse, 128, fraction)?, [matrix, right]))
}
