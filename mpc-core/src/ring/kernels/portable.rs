//! Plain loops for every processor, and the reference that the other levels equal bit for bit.
//!
//! Blocked so that four rows share each pass over the vector or the sums.

use crate::ring::Ring;

const BLOCK: usize = 4;

pub fn small_times_vector(matrix: &[i32], v: &[u64]) -> Vec<u64> {
    dot_rows(matrix, v, |m, x| (i64::from(m) as u64).wrapping_mul(x))
}

pub fn matrix_times_vector(matrix: &[u64], v: &[u64]) -> Vec<u64> {
    dot_rows(matrix, v, u64::wrapping_mul)
}

/// `v` is not empty.
fn dot_rows<T: Copy>(matrix: &[T], v: &[u64], product: impl Fn(T, u64) -> u64) -> Vec<u64> {
    let columns = v.len();
    let mut out = Vec::with_capacity(matrix.len() / columns);
    let blocks = matrix.chunks_exact(BLOCK * columns);
    let rest = blocks.remainder();
    for block in blocks {
        let (r0, block) = block.split_at(columns);
        let (r1, block) = block.split_at(columns);
        let (r2, r3) = block.split_at(columns);
        let mut sums = [0u64; BLOCK];
        for ((((&x, &m0), &m1), &m2), &m3) in v.iter().zip(r0).zip(r1).zip(r2).zip(r3) {
            sums[0] = sums[0].wrapping_add(product(m0, x));
            sums[1] = sums[1].wrapping_add(product(m1, x));
            sums[2] = sums[2].wrapping_add(product(m2, x));
            sums[3] = sums[3].wrapping_add(product(m3, x));
        }
        out.extend(sums);
    }
    out.extend(
        rest.chunks_exact(columns).map(|row| {
            row.iter().zip(v).fold(0u64, |sum, (&m, &x)| sum.wrapping_add(product(m, x)))
        }),
    );
    out
}

pub fn add_small_transposed(matrix: &[i32], v: &[u128], y: &mut [u128]) {
    add_small_transposed_from(0, matrix, v, y);
}

/// The columns from number `first` on only.
pub fn add_small_transposed_from(first: usize, matrix: &[i32], v: &[u128], y: &mut [u128]) {
    let columns = y.len();
    let product = |m: i32, x: u128| (i128::from(m) as u128).wrapping_mul(x);
    let blocks = matrix.chunks_exact(BLOCK * columns);
    let (rest, rest_of_v) = (blocks.remainder(), v.as_chunks::<BLOCK>().1);
    for (block, &[x0, x1, x2, x3]) in blocks.zip(v.as_chunks::<BLOCK>().0) {
        let (r0, block) = block.split_at(columns);
        let (r1, block) = block.split_at(columns);
        let (r2, r3) = block.split_at(columns);
        let rows = r0.iter().zip(r1).zip(r2).zip(r3);
        for (y, (((&m0, &m1), &m2), &m3)) in y.iter_mut().zip(rows).skip(first) {
            let pair = product(m0, x0).wrapping_add(product(m1, x1));
            let other = product(m2, x2).wrapping_add(product(m3, x3));
            *y = y.wrapping_add(pair).wrapping_add(other);
        }
    }
    for (row, &x) in rest.chunks_exact(columns).zip(rest_of_v) {
        for (y, &m) in y.iter_mut().zip(row).skip(first) {
            *y = y.wrapping_add(product(m, x));
        }
    }
}

pub fn add_wide_transposed(low: &[u64], high: &[i32], v: &[u128], y: &mut [u128]) {
    let columns = y.len();
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

/// None of the dimensions is zero.
pub fn add_product<R: Ring>(a: &[R], b: &[R], c: &mut [R], k: usize, n: usize) {
    for (a, c) in a.chunks_exact(k).zip(c.chunks_exact_mut(n)) {
        let blocks = b.chunks_exact(BLOCK * n);
        let (rest, rest_of_a) = (blocks.remainder(), a.as_chunks::<BLOCK>().1);
        for (block, &[a0, a1, a2, a3]) in blocks.zip(a.as_chunks::<BLOCK>().0) {
            let (b0, block) = block.split_at(n);
            let (b1, block) = block.split_at(n);
            let (b2, b3) = block.split_at(n);
            for ((((c, &b0), &b1), &b2), &b3) in c.iter_mut().zip(b0).zip(b1).zip(b2).zip(b3) {
                *c += (a0 * b0 + a1 * b1) + (a2 * b2 + a3 * b3);
            }
        }
        for (b, &a) in rest.chunks_exact(n).zip(rest_of_a) {
            for (c, &b) in c.iter_mut().zip(b) {
                *c += a * b;
            }
        }
    }
}
