//! Sums over many rows whose rounding is known: blocks of a few rows in double precision, and the
//! blocks added with what each addition loses.

use mpc_core::ring::{Ring, Z128};
use zeroize::Zeroizing;

/// Rows of a block. A sum of products over a block is off by at most (`BLOCK` + 1) 2^-53 of the sum of
/// their magnitudes.
const BLOCK: usize = 16;

/// What a sum may be off by, as a power of two, beside the sum of the magnitudes of its terms: that of
/// a block, and what is lost where blocks are added.
#[cfg(test)]
const PRECISION: i32 = -48;

/// Sums of vectors.
pub(crate) struct Vector {
    block: Zeroizing<Vec<f64>>,
    high: Zeroizing<Vec<f64>>,
    low: Zeroizing<Vec<f64>>,
    count: usize,
}

impl Vector {
    pub(crate) fn new(len: usize) -> Self {
        let zeros = || Zeroizing::new(vec![0.0; len]);
        Self { block: zeros(), high: zeros(), low: zeros(), count: 0 }
    }

    pub(crate) fn add(&mut self, values: &[f64]) {
        self.block.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        self.count += 1;
        if self.count == BLOCK {
            self.fold();
        }
    }

    fn fold(&mut self) {
        fold(&mut self.block, &mut self.high, &mut self.low);
        self.count = 0;
    }

    pub(crate) fn values(mut self) -> Zeroizing<Vec<f64>> {
        self.fold();
        Zeroizing::new(self.high.iter().zip(self.low.iter()).map(|(h, l)| h + l).collect())
    }
}

/// A weighted sum of outer products: the upper triangle, row by row.
pub(crate) struct Triangle {
    order: usize,
    block: Zeroizing<Vec<f64>>,
    high: Zeroizing<Vec<f64>>,
    low: Zeroizing<Vec<f64>>,
    count: usize,
}

impl Triangle {
    pub(crate) fn new(order: usize) -> Self {
        let zeros = || Zeroizing::new(vec![0.0; order * (order + 1) / 2]);
        Self { order, block: zeros(), high: zeros(), low: zeros(), count: 0 }
    }

    /// Adds `weight` row row^T.
    pub(crate) fn add(&mut self, weight: f64, row: &[f64]) {
        let mut block = &mut self.block[..];
        for (i, &x) in row.iter().enumerate() {
            let (line, rest) = block.split_at_mut(self.order - i);
            let factor = weight * x;
            line.iter_mut().zip(&row[i..]).for_each(|(sum, y)| *sum += factor * y);
            block = rest;
        }
        self.count += 1;
        if self.count == BLOCK {
            self.fold();
        }
    }

    /// To be called before the sums are read.
    pub(crate) fn fold(&mut self) {
        fold(&mut self.block, &mut self.high, &mut self.low);
        self.count = 0;
    }

    fn at(&self, i: usize, j: usize) -> usize {
        let (i, j) = (i.min(j), i.max(j));
        i * self.order - i * (i + 1) / 2 + j
    }

    fn entry(&self, i: usize, j: usize) -> f64 {
        let at = self.at(i, j);
        self.high[at] + self.low[at]
    }

    /// The sum of the diagonal.
    pub(crate) fn trace(&self) -> f64 {
        (0..self.order).map(|i| self.entry(i, i)).sum()
    }

    /// The whole symmetric matrix, row by row.
    pub(crate) fn square(&self) -> Zeroizing<Vec<f64>> {
        let order = self.order;
        Zeroizing::new((0..order * order).map(|at| self.entry(at / order, at % order)).collect())
    }

    /// The whole symmetric matrix times 2^`scale`, each entry of the triangle rounded once.
    pub(crate) fn rounded(&self, scale: i32) -> Zeroizing<Vec<Z128>> {
        let order = self.order;
        let entry = |at: usize| {
            let at = self.at(at / order, at % order);
            // Both are integers, and small parts stay beside large ones.
            let (high, low) = (libm::ldexp(self.high[at], scale), libm::ldexp(self.low[at], scale));
            let whole = libm::floor(high);
            let rest = libm::rint((high - whole) + low);
            Z128::from_i128(whole as i128) + Z128::from_i128(rest as i128)
        };
        Zeroizing::new((0..order * order).map(entry).collect())
    }
}

/// Adds a block to a sum and begins a new one.
fn fold(block: &mut [f64], high: &mut [f64], low: &mut [f64]) {
    for ((block, high), low) in block.iter_mut().zip(high).zip(low) {
        // What the addition loses, exactly (Knuth).
        let sum = *high + *block;
        let added = sum - *high;
        *low += (*high - (sum - added)) + (*block - added);
        *high = sum;
        *block = 0.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_integers() {
        // Integers of 26 bits, whose products over many rows exceed 53.
        let (order, rows) = (3, 5000);
        let mut state = 7u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 38) as f64
        };
        let mut triangle = Triangle::new(order);
        let mut exact = vec![0i128; order * order];
        for _ in 0..rows {
            let row: Vec<f64> = (0..order).map(|_| random() - 3e7).collect();
            triangle.add(1.0, &row);
            for i in 0..order {
                for j in 0..order {
                    exact[i * order + j] += row[i] as i128 * row[j] as i128;
                }
            }
        }
        triangle.fold();
        let trace: i128 = (0..order).map(|i| exact[i * (order + 1)]).sum();
        for (got, exact) in triangle.rounded(0).iter().zip(&exact) {
            let off = (got.to_signed(128) - exact).unsigned_abs() as f64;
            assert!(off <= libm::ldexp(trace as f64, PRECISION) + 0.5, "{off}");
        }
        let off = (triangle.trace() - trace as f64).abs();
        assert!(off <= libm::ldexp(trace as f64, -50));
    }
}
