//! What an elimination takes: correlations, rounds and bytes (docs/protocols.md 13.3, The widest block).

use std::ops::Range;

use mpc_core::Cost;
use mpc_core::correlations::{MatrixShape, OwnedProductRequest, Request};
use mpc_core::protocols::solve::{InversePlan, SolutionPlan};
use mpc_core::ring::wire::element_bytes;

use super::super::cross::{CrossPlan, Lift};
use super::plan::{ENTRY_BITS, Elimination, Widest};
use crate::error::Error;
use crate::model::{Facts, Orders};

/// Rows of two matrices of which the products of equal rows are taken from one product.
const BLOCK: usize = 32;

impl Elimination {
    /// The ring of the opening to the owner.
    pub(super) fn ring(&self) -> u32 {
        self.parts.iter().map(|part| part.ring).max().unwrap_or(128).max(65)
    }

    /// The shape of the matrix that is registered.
    pub(super) fn shape(&self) -> MatrixShape {
        let a = self.widest.columns.len();
        let mut rows = vec![0; self.parties];
        rows[self.widest.party] = a as u64;
        let columns = 3 * a as u32;
        MatrixShape { rows, columns, entry_bits: ENTRY_BITS, sigma: self.sigma }
    }

    /// All correlations behind those of the sums of products, as they are taken.
    pub(super) fn requests(
        &self,
        matrix: u32,
        inverse: &InversePlan,
        solution: &SolutionPlan,
    ) -> Vec<Request> {
        let (a, r) = self.orders();
        let mut parts = vec![(0, 0); self.parties];
        parts[self.widest.party] = (0, a as u64);
        let request = OwnedProductRequest {
            matrix,
            rows: parts,
            transposed: true,
            ring: self.ring(),
            mask_bits: self.ring(),
            drop: 0,
            public_columns: 0,
        };
        let mut all = vec![Request::OwnedProduct(request); r + 1];
        let mut orders = Orders::default();
        let product = orders.left(r + 1, a, &mut all);
        Orders::right(product, 2 * (r + 1), !self.checked, &mut all);
        orders.solved((inverse, solution), &mut all);
        let back = orders.left(a, r, &mut all);
        Orders::right(back, 1 + if self.errors { r } else { 0 }, true, &mut all);
        for block in self.blocks() {
            let left = orders.left(block.len(), r, &mut all);
            Orders::right(left, block.len(), true, &mut all);
        }
        if self.checked {
            Orders::right(product, 1, true, &mut all);
        }
        all
    }

    /// Own columns whose variances come of one product.
    pub(super) fn blocks(&self) -> Vec<Range<usize>> {
        let a = self.widest.columns.len();
        let starts = (0..if self.errors { a } else { 0 }).step_by(BLOCK);
        starts.map(|start| start..a.min(start + BLOCK)).collect()
    }

    /// What it costs `me` besides the sums of products, the inverse and the solution: seven rounds, and
    /// one for standard errors.
    pub(in super::super) fn cost(&self, me: usize, cross: &CrossPlan, lifts: &[Lift; 2]) -> Cost {
        let (a, r) = self.orders();
        let to_all = |bytes: u64| Cost::to_all(me, self.parties, 1, bytes);
        let [columns, targets, others, right] = self.sizes;
        let mut cost = Cost::to_all(me, self.parties, 0, 0);
        if cross.chunks() > 0 {
            let lifted = self.lifts[0].opening.bytes(columns)
                + self.lifts[1].opening.bytes(targets)
                + lifts[0].opening.bytes(others)
                + lifts[1].opening.bytes(right);
            cost = cost + to_all(lifted).bounded(1);
        }
        let mut bytes = vec![0; self.parties];
        if me != self.widest.party {
            bytes[self.widest.party] = (a * (r + 1) * element_bytes(self.ring())) as u64;
        }
        let opened = Cost { rounds: 1, bytes, ..Cost::default() };
        let parts = self.parts.iter().map(|part| part.bytes(a * (r + 1))).sum();
        let product = (16 * 3 * a * (r + 1)) as u64;
        let reduced = self.products.iter().map(|it| it.bytes(r * (r + 3) / 2)).sum();
        let back = (16 * r * (a + 1 + if self.errors { r } else { 0 })) as u64;
        cost = cost + opened + to_all(parts).bounded(1) + to_all(product);
        cost = cost + to_all(reduced).bounded(1) + to_all(back);
        if self.errors { cost + to_all((16 * 2 * a * r) as u64) } else { cost }
    }

    /// What it costs to check what is revealed: a round.
    pub(in super::super) fn check_cost(&self, me: usize) -> Cost {
        Cost::to_all(me, self.parties, 1, (16 * self.widest.columns.len()) as u64)
    }
}

/// The sums that come out of products: of the basis with other columns and with the target, and of the others among
/// themselves and with the target.
pub(super) fn sizes(facts: &Facts, widest: &Widest) -> Result<[usize; 4], Error> {
    let a = widest.columns.len();
    let mut widths = Vec::new();
    for party in 0..facts.parties() {
        let width = if party == widest.party { 0 } else { facts.columns_of(party)?.len() };
        widths.push(width);
    }
    let all: usize = widths.iter().sum();
    let squares: usize = widths.iter().map(|width| width * width).sum();
    let holder = facts.holder.unwrap_or(widest.party);
    let targets = if holder == widest.party { 0 } else { a };
    Ok([a * all, targets, (all * all - squares) / 2, all - widths[holder]])
}
