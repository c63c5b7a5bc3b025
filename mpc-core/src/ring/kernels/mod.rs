//! The inner loops on integer matrices, mod 2^64 or 2^128 or ([`gram`]) over the integers, all
//! exact and in constant time.
//!
//! Matrices are row-major. "Small" matrices hold fixed-point data of at most 31 bits and a sign.
//!
//! The functions here run at the level that the processor offers, found once; with
//! `MPC_PORTABLE=1` in the environment, at [`Level::Portable`]. All levels give the same
//! results, bit for bit. A level has loops of its own only where they were measured to be faster
//! than those below it (`cargo bench -p mpc-core --bench kernels`): AVX-512 everywhere, except
//! for thin products mod 2^128, AVX2 for 64-bit results and for small data.

// The AVX-512 intrinsics are stable since Rust 1.89.
#[clippy::msrv = "1.89"]
#[cfg(target_arch = "x86_64")]
pub(crate) mod aes;
#[cfg(target_arch = "x86_64")]
mod avx2;
// The AVX-512 intrinsics are stable since Rust 1.89.
#[clippy::msrv = "1.89"]
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod blocks;
pub(crate) mod clmul;
pub mod gram;
mod level;
pub mod limbs;
pub mod ntt;
mod portable;

#[cfg(target_arch = "x86_64")]
pub use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub use avx512::Avx512;
pub use level::Level;
pub(super) use level::Product;

use super::Ring;

/// y = M v mod 2^64, for a small matrix of `v.len()` columns.
///
/// # Panics
/// Unless the matrix has whole rows.
#[must_use]
pub fn small_times_vector(matrix: &[i32], v: &[u64]) -> Vec<u64> {
    Level::of_processor().small_times_vector(matrix, v)
}

/// y = M v mod 2^64, for a matrix of `v.len()` columns.
///
/// # Panics
/// Unless the matrix has whole rows.
#[must_use]
pub fn matrix_times_vector(matrix: &[u64], v: &[u64]) -> Vec<u64> {
    Level::of_processor().matrix_times_vector(matrix, v)
}

/// y += M^T v mod 2^128, for a small matrix of `y.len()` columns and `v.len()` rows.
///
/// # Panics
/// Unless the matrix has these rows and columns.
pub fn add_small_transposed(matrix: &[i32], v: &[u128], y: &mut [u128]) {
    Level::of_processor().add_small_transposed(matrix, v, y);
}

/// y += M^T v mod 2^128 for M = high 2^64 + low, of `y.len()` columns and `v.len()` rows.
///
/// # Panics
/// Unless both parts of the matrix have these rows and columns.
pub fn add_wide_transposed(low: &[u64], high: &[i32], v: &[u128], y: &mut [u128]) {
    Level::of_processor().add_wide_transposed(low, high, v, y);
}

/// C += A B for A of m x k and B of k x n.
///
/// # Panics
/// When the lengths do not fit these shapes for any m.
pub fn add_product<R: Ring>(a: &[R], b: &[R], c: &mut [R], k: usize, n: usize) {
    Level::of_processor().add_product(a, b, c, k, n);
}
