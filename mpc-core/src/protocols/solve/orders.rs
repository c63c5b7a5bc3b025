//! What was ordered for one inverse.

use crate::correlations::{LeftFactor, Ordered, RightFactor};
use crate::ring::Z128;

/// The correlations of one inverse, on order ([`InversePlan::order`](super::InversePlan::order)).
#[derive(Debug)]
#[must_use = "what is ordered is taken, in the order of the orders"]
pub struct InverseOrders {
    pub(super) matrix: Ordered<LeftFactor<Z128>>,
    pub(super) steps: Vec<StepOrders>,
}

/// Those of one step: the right factors of G X and X (G X), and the left one of the latter.
#[derive(Debug)]
pub(super) struct StepOrders {
    pub(super) gx: Ordered<RightFactor<Z128>>,
    pub(super) x: Ordered<LeftFactor<Z128>>,
    pub(super) xgx: Ordered<RightFactor<Z128>>,
}
