//! Orders of factors for products on shares, by number.

use mpc_core::correlations::{Request, RightRequest};
use mpc_core::protocols::solve::{InversePlan, SolutionPlan};

/// Counts the left factors that were ordered.
#[derive(Debug, Default)]
pub(crate) struct Orders(u32);

impl Orders {
    /// After so many that were ordered elsewhere.
    pub(crate) fn after(lefts: u32) -> Self {
        Self(lefts)
    }

    /// A left factor of m x k, and its number.
    pub(crate) fn left(&mut self, m: usize, k: usize, to: &mut Vec<Request>) -> u32 {
        to.push(Request::Left { m: m as u32, k: k as u32, ring: 128 });
        self.0 += 1;
        self.0 - 1
    }

    /// A right factor of n columns.
    pub(crate) fn right(left: u32, n: usize, last: bool, to: &mut Vec<Request>) {
        to.push(Request::Right(RightRequest { left, n: n as u32, last }));
    }

    /// An inverse, and a solution with it.
    pub(crate) fn solved(
        &mut self,
        (inverse, solution): (&InversePlan, &SolutionPlan),
        to: &mut Vec<Request>,
    ) {
        let matrix = self.0;
        self.inverse(inverse, to);
        to.extend(solution.requests(matrix, self.0));
        self.0 += 1;
    }

    /// An inverse.
    pub(crate) fn inverse(&mut self, plan: &InversePlan, to: &mut Vec<Request>) {
        to.extend(plan.requests(self.0));
        self.0 += plan.lefts();
    }
}
