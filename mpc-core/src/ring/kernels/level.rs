//! Which loops run.

use std::sync::LazyLock;

use super::portable;
#[cfg(target_arch = "x86_64")]
use super::{Avx2, Avx512};
use crate::ring::{Ring, Z64, Z128};

/// A set of loops. Its methods are the kernels of this module, run at this very level; tests
/// and benchmarks compare the levels, everything else calls the module's functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Level {
    /// Plain loops for every processor.
    Portable,
    /// Vectors of 256 bits.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// Vectors of 512 bits, with 64-bit and 52-bit products.
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
}

static OF_PROCESSOR: LazyLock<Level> = LazyLock::new(|| {
    let forced = std::env::var_os("MPC_PORTABLE").is_some_and(|value| value == "1");
    let best = if forced { None } else { Level::available().pop() };
    best.unwrap_or(Level::Portable)
});

impl Level {
    /// The levels of this processor, the plainest first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let portable = Some(Self::Portable);
        #[cfg(target_arch = "x86_64")]
        let vectors = [Avx2::detect().map(Self::Avx2), Avx512::detect().map(Self::Avx512)];
        #[cfg(not(target_arch = "x86_64"))]
        let vectors = [];
        portable.into_iter().chain(vectors.into_iter().flatten()).collect()
    }

    /// The highest level of this processor, or the portable one where `MPC_PORTABLE=1` asks for
    /// it. Found once.
    #[must_use]
    pub fn of_processor() -> Self {
        *OF_PROCESSOR
    }

    /// For reports and benchmarks.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => "avx512",
        }
    }

    /// y = M v mod 2^64, for a small matrix of `v.len()` columns.
    ///
    /// # Panics
    /// Unless the matrix has whole rows.
    #[must_use]
    pub fn small_times_vector(self, matrix: &[i32], v: &[u64]) -> Vec<u64> {
        if !has_rows(matrix.len(), v.len()) {
            return Vec::new();
        }
        match self {
            Self::Portable => portable::small_times_vector(matrix, v),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(level) => level.small_times_vector(matrix, v),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(level) => level.small_times_vector(matrix, v),
        }
    }

    /// y = M v mod 2^64, for a matrix of `v.len()` columns.
    ///
    /// # Panics
    /// Unless the matrix has whole rows.
    #[must_use]
    pub fn matrix_times_vector(self, matrix: &[u64], v: &[u64]) -> Vec<u64> {
        if !has_rows(matrix.len(), v.len()) {
            return Vec::new();
        }
        match self {
            Self::Portable => portable::matrix_times_vector(matrix, v),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(level) => level.matrix_times_vector(matrix, v),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(level) => level.matrix_times_vector(matrix, v),
        }
    }

    /// y += M^T v mod 2^128, for a small matrix of `y.len()` columns and `v.len()` rows.
    ///
    /// # Panics
    /// Unless the matrix has these rows and columns.
    pub fn add_small_transposed(self, matrix: &[i32], v: &[u128], y: &mut [u128]) {
        assert_eq!(matrix.len(), v.len() * y.len(), "a row for each value, a column for each sum");
        if matrix.is_empty() {
            return;
        }
        match self {
            Self::Portable => portable::add_small_transposed(matrix, v, y),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(level) => level.add_small_transposed(matrix, v, y),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(level) => level.add_small_transposed(matrix, v, y),
        }
    }

    /// y += M^T v mod 2^128 for M = high 2^64 + low, of `y.len()` columns and `v.len()` rows.
    ///
    /// # Panics
    /// Unless both parts of the matrix have these rows and columns.
    pub fn add_wide_transposed(self, low: &[u64], high: &[i32], v: &[u128], y: &mut [u128]) {
        assert_eq!(low.len(), v.len() * y.len(), "a row for each value, a column for each sum");
        assert_eq!(low.len(), high.len(), "two parts of one matrix");
        if low.is_empty() {
            return;
        }
        match self {
            Self::Portable => portable::add_wide_transposed(low, high, v, y),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => portable::add_wide_transposed(low, high, v, y),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(level) => level.add_wide_transposed(low, high, v, y),
        }
    }

    /// C += A B for A of m x k and B of k x n.
    ///
    /// # Panics
    /// When the lengths do not fit these shapes for any m.
    pub fn add_product<R: Ring>(self, a: &[R], b: &[R], c: &mut [R], k: usize, n: usize) {
        assert_eq!(b.len(), k * n, "B is k x n");
        if b.is_empty() {
            return;
        }
        assert!(a.len().is_multiple_of(k) && c.len().is_multiple_of(n), "A and C have whole rows");
        assert_eq!(a.len() / k, c.len() / n, "A and C have the same rows");
        R::add_product(self, a, b, c, k, n);
    }
}

/// Whether there is anything to multiply.
fn has_rows(elements: usize, columns: usize) -> bool {
    if columns == 0 {
        assert_eq!(elements, 0, "the matrix has no columns");
        return false;
    }
    assert!(elements.is_multiple_of(columns), "the matrix has whole rows");
    elements > 0
}

/// The matrix product of a ring's own loops. None of the dimensions is zero.
pub trait Product: Sized {
    fn add_product(level: Level, a: &[Self], b: &[Self], c: &mut [Self], k: usize, n: usize);
}

impl Product for Z64 {
    fn add_product(level: Level, a: &[Self], b: &[Self], c: &mut [Self], k: usize, n: usize) {
        match level {
            Level::Portable => portable::add_product(a, b, c, k, n),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2(level) => level.add_product_64(a, b, c, k, n),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(level) => level.add_product_64(a, b, c, k, n),
        }
    }
}

impl Product for Z128 {
    fn add_product(level: Level, a: &[Self], b: &[Self], c: &mut [Self], k: usize, n: usize) {
        match level {
            Level::Portable => portable::add_product(a, b, c, k, n),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2(_) => portable::add_product(a, b, c, k, n),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(level) => level.add_product_128(a, b, c, k, n),
        }
    }
}
