//! What a fit orders of its source of correlations, and in which portions.

use std::ops::Range;

use mpc_core::correlations::{OwnedProductRequest, Request, RightRequest};
use mpc_core::protocols::truncate::BoundedOpening;

use super::OptimumPlan;

/// Scores whose phasors are one item on order.
const BLOCK: u64 = 4096;
/// Scores whose angles are opened in one round: what bounds the memory of a pass.
const GROUP: u64 = 1 << 16;
/// Bytes of products and factors of passes that are ordered at once; what makes them holds some
/// four times as much. Phasors are made within a bound of their own.
const ORDER_BYTES: u64 = 1 << 26;

impl OptimumPlan {
    /// The part of each party's rows in a block of phasors.
    pub(crate) fn block(&self, block: u64) -> Vec<(u64, u64)> {
        let blocks = self.blocks();
        self.settings
            .rows
            .iter()
            .map(|&rows| (rows * block / blocks, rows * (block + 1) / blocks))
            .collect()
    }

    pub(crate) fn blocks(&self) -> u64 {
        self.settings.total_rows().div_ceil(BLOCK)
    }

    /// Blocks whose angles are opened in one round.
    pub(crate) fn groups(&self) -> impl Iterator<Item = Range<u64>> + use<> {
        let (blocks, size) = (self.blocks(), GROUP / BLOCK);
        (0..blocks).step_by(size as usize).map(move |from| from..(from + size).min(blocks))
    }

    /// The correlations of the inverse that a fit begins with; `lefts` counts the left factors.
    pub(crate) fn first_requests(&self, lefts: &mut u32) -> Vec<Request> {
        let Some(hessian) = &self.hessian else { return Vec::new() };
        let requests = hessian.bound.requests(*lefts);
        *lefts += hessian.bound.lefts();
        requests
    }

    /// Passes that are ordered at once. Products with the same rows, and right factors of one left,
    /// cost much less together.
    pub(crate) fn passes_an_order(&self) -> usize {
        let rows = self.settings.total_rows();
        let columns = [
            u64::from(self.settings.columns),
            self.outer_shape().map_or(0, |it| it.columns.into()),
        ];
        let order = self.settings.weights() as u64;
        let elements = |request: &Request| match request {
            Request::OwnedProduct(it) => rows + columns[it.matrix as usize] + 1,
            Request::Left { m, k, .. } => u64::from(*m) * u64::from(*k),
            Request::Right(it) => 2 * order * u64::from(it.n),
            Request::Phasors(_) => 0,
        };
        let outer = (columns[1] > 0).then_some(1);
        // A factor of the first pass may serve in all.
        let pass: u64 = self.requests(self.passes - 1, 0, outer, &mut 1).iter().map(elements).sum();
        ((ORDER_BYTES / (16 * pass)).max(1) as usize).min(self.passes)
    }

    /// The correlations of one pass, in order, for the registered matrices.
    pub(crate) fn requests(
        &self,
        pass: usize,
        matrix: u32,
        outer: Option<u32>,
        lefts: &mut u32,
    ) -> Vec<Request> {
        let last = pass + 1 == self.passes;
        let mut requests = Vec::new();
        if pass > 0 {
            self.scores_requests(pass, matrix, outer, &mut requests);
        }
        let d = self.settings.weights() as u32;
        if self.hessian.is_some() {
            if let Some(refresh) = self.refresh_at(pass) {
                requests.extend(refresh.inverse.requests(*lefts));
                *lefts += refresh.inverse.lefts();
            }
            let refreshes = self.refreshes();
            if refreshes || pass == 0 {
                requests.push(Request::Left { m: d, k: d, ring: 128 });
                *lefts += 1;
            }
            let done = last || refreshes;
            requests.push(Request::Right(RightRequest { left: *lefts - 1, n: 1, last: done }));
        }
        if last {
            // How far the optimum is, and the scores' part of the deviance.
            for _ in 0..1 + u32::from(self.settings.inference) {
                requests.push(Request::Left { m: 1, k: d, ring: 128 });
                requests.push(Request::Right(RightRequest { left: *lefts, n: 1, last: true }));
                *lefts += 1;
            }
            requests.extend(self.information.iter().flat_map(|it| it.requests(lefts)));
        }
        requests
    }

    /// What is ordered to make scores, functions of them and sums over the rows.
    fn scores_requests(
        &self,
        pass: usize,
        matrix: u32,
        outer: Option<u32>,
        requests: &mut Vec<Request>,
    ) {
        let settings = &self.settings;
        let all: Vec<(u64, u64)> = settings.rows.iter().map(|&rows| (0, rows)).collect();
        requests.push(Request::OwnedProduct(OwnedProductRequest {
            matrix,
            rows: all.clone(),
            transposed: false,
            ring: 64,
            // mu is uniform mod 2^64: the opening of the weights is a masked one.
            mask_bits: 128,
            drop: 64,
            public_columns: u32::from(settings.intercept),
        }));
        for block in 0..self.blocks() {
            let count = self.block(block).iter().map(|(from, to)| to - from).sum::<u64>();
            requests.push(Request::Phasors(self.phasors(pass, count as u32)));
        }
        requests.extend(self.penalty_phasors().map(Request::Phasors));
        let transposed = |matrix: u32, opening: &BoundedOpening| {
            Request::OwnedProduct(OwnedProductRequest {
                matrix,
                rows: all.clone(),
                transposed: true,
                ring: 128,
                mask_bits: opening.mask_bits(),
                drop: 0,
                public_columns: 0,
            })
        };
        requests.push(transposed(matrix, &self.residuals));
        if let (Some(outer), Some(refresh)) = (outer, self.refresh()) {
            requests.push(transposed(outer, &refresh.weights));
        }
    }
}
