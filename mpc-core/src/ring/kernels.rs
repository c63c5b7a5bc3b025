//! The inner loops on integer matrices, all mod 2^64 or 2^128 and all exact.
//!
//! Matrices are row-major. "Small" matrices hold fixed-point data of at most 31 bits and a sign.

use super::Ring;

/// y = M v mod 2^64, for a small matrix of `v.len()` columns.
#[must_use]
pub fn small_times_vector(matrix: &[i32], v: &[u64]) -> Vec<u64> {
    matrix
        .chunks_exact(v.len().max(1))
        .map(|row| {
            row.iter()
                .zip(v)
                .fold(0u64, |sum, (&m, &x)| sum.wrapping_add((i64::from(m) as u64).wrapping_mul(x)))
        })
        .collect()
}

/// y = M v mod 2^64, for a matrix of `v.len()` columns.
#[must_use]
pub fn matrix_times_vector(matrix: &[u64], v: &[u64]) -> Vec<u64> {
    matrix
        .chunks_exact(v.len().max(1))
        .map(|row| {
            row.iter().zip(v).fold(0u64, |sum, (&m, &x)| sum.wrapping_add(m.wrapping_mul(x)))
        })
        .collect()
}

/// y += M^T v mod 2^128, for a small matrix of `y.len()` columns and `v.len()` rows.
pub fn add_small_transposed(matrix: &[i32], v: &[u128], y: &mut [u128]) {
    for (row, &x) in matrix.chunks_exact(y.len().max(1)).zip(v) {
        for (y, &m) in y.iter_mut().zip(row) {
            *y = y.wrapping_add((i128::from(m) as u128).wrapping_mul(x));
        }
    }
}

/// y += M^T v mod 2^128 for M = high 2^64 + low, of `y.len()` columns and `v.len()` rows.
pub fn add_wide_transposed(low: &[u64], high: &[i32], v: &[u128], y: &mut [u128]) {
    let columns = y.len().max(1);
    for ((low, high), &x) in low.chunks_exact(columns).zip(high.chunks_exact(columns)).zip(v) {
        let (x_low, x_high) = (x as u64, (x >> 64) as u64);
        for ((y, &low), &high) in y.iter_mut().zip(low).zip(high) {
            let bottom = u128::from(low).wrapping_mul(u128::from(x_low));
            let top =
                low.wrapping_mul(x_high).wrapping_add((i64::from(high) as u64).wrapping_mul(x_low));
            *y = y.wrapping_add(bottom).wrapping_add(u128::from(top) << 64);
        }
    }
}

/// C += A B for A of m x k and B of k x n.
pub fn add_product<R: Ring>(a: &[R], b: &[R], c: &mut [R], k: usize, n: usize) {
    for (a, c) in a.chunks_exact(k.max(1)).zip(c.chunks_exact_mut(n.max(1))) {
        for (&a, b) in a.iter().zip(b.chunks_exact(n.max(1))) {
            for (c, &b) in c.iter_mut().zip(b) {
                *c += a * b;
            }
        }
    }
}
