//! Orders of factors for products on shares, by number.

use mpc_core::correlations::{Request, RightRequest};
use mpc_core::protocols::solve::InversePlan;

/// Counts the left factors that were ordered.
#[derive(Debug, Default)]
pub(super) struct Orders(u32);

impl Orders {
    /// A left factor of m x k, and its number.
    pub(super) fn left(&mut self, m: usize, k: usize, to: &mut Vec<Request>) -> u32 {
        to.push(Request::Left { m: m as u32, k: k as u32, ring: 128 });
        self.0 += 1;
        self.0 - 1
    }

    /// A right factor of n columns.
    pub(super) fn right(left: u32, n: usize, last: bool, to: &mut Vec<Request>) {
        to.push(Request::Right(RightRequest { left, n: n as u32, last }));
    }

    /// An inverse.
    pub(super) fn inverse(&mut self, plan: &InversePlan, to: &mut Vec<Request>) {
        to.extend(plan.requests(self.0));
        self.0 += plan.lefts();
    }
}
