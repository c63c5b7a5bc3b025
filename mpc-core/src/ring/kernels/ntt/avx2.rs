//! Sums of products by four multiplications of 25 bits each, of which AVX2 does four at a time.
//!
//! With x = x_0 + 2^25 x_1 and y likewise, the products x_0 y_0, x_0 y_1 + x_1 y_0 and x_1 y_1 are below 2^51, and
//! so are 2^10 of them below 2^61.

#![allow(
    unsafe_code,
    reason = "vector loads and stores take pointers, and a call into #[target_feature] code \
              promises that the processor has it"
)]

use std::arch::x86_64::*;

use super::super::Avx2;
use super::portable::{self, Reduction};
use super::{Ntt, Panel, few_panels, whole_panels};

/// Numbers in a vector.
const LANES: usize = 4;
/// Vectors whose sums stay in registers.
const VECTORS: usize = 4;
/// Polynomials from which on four short multiplications are cheaper than a long one: what they leave to be reduced is in three parts.
const MANY: usize = 4;
/// Bits of the lower half of a number.
const HALF: i32 = 25;

impl Avx2 {
    pub(super) fn ntt_add_products(self, ntt: &Ntt, x: &[u64], y: &[u64], out: &mut [u64]) {
        if x.len() < MANY * ntt.degree {
            return portable::add_products(ntt, x, y, out);
        }
        // SAFETY: self exists, so the processor has AVX2.
        unsafe { add_products(ntt, x, y, out) }
    }

    pub(super) fn ntt_add_few_products(
        self,
        ntt: &Ntt,
        count: usize,
        x: &[u64],
        y: &[u64],
        out: &mut [u64],
    ) {
        // SAFETY: self exists, so the processor has AVX2.
        unsafe { add_few_products(ntt, count, x, y, out) }
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn load(from: &[u64; LANES]) -> __m256i {
    // SAFETY: the array has 32 bytes; the load needs no alignment.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
#[inline]
fn store(to: &mut [u64; LANES], value: __m256i) {
    // SAFETY: the array has 32 bytes; the store needs no alignment.
    unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), value) }
}

/// The lower 25 bits of each number, and those above.
#[target_feature(enable = "avx2")]
#[inline]
fn halves(x: __m256i) -> [__m256i; 2] {
    let low = _mm256_set1_epi64x((1 << HALF) - 1);
    [_mm256_and_si256(x, low), _mm256_srli_epi64::<HALF>(x)]
}

/// Sums of products of low halves, across, and of high halves.
#[derive(Clone, Copy)]
struct Sums([__m256i; 3]);

impl Sums {
    #[target_feature(enable = "avx2")]
    #[inline]
    fn zero() -> Self {
        Self([_mm256_setzero_si256(); 3])
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn add(&mut self, [x0, x1]: [__m256i; 2], y: __m256i) {
        let [y0, y1] = halves(y);
        let Self([low, middle, high]) = self;
        *low = _mm256_add_epi64(*low, _mm256_mul_epu32(x0, y0));
        *middle = _mm256_add_epi64(*middle, _mm256_mul_epu32(x0, y1));
        *middle = _mm256_add_epi64(*middle, _mm256_mul_epu32(x1, y0));
        *high = _mm256_add_epi64(*high, _mm256_mul_epu32(x1, y1));
    }

    /// Adds the sums to numbers below q.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn add_to(&self, reduction: &Reduction, out: &mut [u64; LANES]) {
        let mut parts = [[0; LANES]; 3];
        for (to, &from) in parts.iter_mut().zip(&self.0) {
            store(to, from);
        }
        for (lane, out) in out.iter_mut().enumerate() {
            let [low, middle, high] = parts.map(|part| u128::from(part[lane]));
            *out = reduction.of(u128::from(*out) + low + (middle << HALF) + (high << (2 * HALF)));
        }
    }
}

/// Some vectors of a panel, and their place in it.
#[target_feature(enable = "avx2")]
#[inline]
fn vectors(panel: &Panel, first: usize) -> &[[u64; LANES]] {
    &panel.as_chunks::<LANES>().0[first..first + VECTORS]
}

#[target_feature(enable = "avx2")]
fn add_products(ntt: &Ntt, x: &[u64], y: &[u64], out: &mut [u64]) {
    let reduction = Reduction::new(ntt.modulus);
    whole_panels(ntt.degree, (x, y), out, |x, y, out| {
        for (part, out) in out.as_chunks_mut::<{ LANES * VECTORS }>().0.iter_mut().enumerate() {
            let mut sums = [Sums::zero(); VECTORS];
            for (x, y) in x.iter().zip(y) {
                let (x, y) = (vectors(x, part * VECTORS), vectors(y, part * VECTORS));
                for ((sum, x), y) in sums.iter_mut().zip(x).zip(y) {
                    sum.add(halves(load(x)), load(y));
                }
            }
            for (sum, out) in sums.iter().zip(out.as_chunks_mut().0) {
                sum.add_to(&reduction, out);
            }
        }
    });
}

#[target_feature(enable = "avx2")]
fn add_few_products(ntt: &Ntt, count: usize, x: &[u64], y: &[u64], out: &mut [u64]) {
    let reduction = Reduction::new(ntt.modulus);
    few_panels((ntt.degree, count), (x, y), out, |x, y, out| {
        for (part, out) in out.as_chunks_mut::<{ LANES * VECTORS }>().0.iter_mut().enumerate() {
            let mut sums = [Sums::zero(); VECTORS];
            for (&x, y) in x.iter().zip(y) {
                let x = halves(_mm256_set1_epi64x(x as i64));
                for (sum, y) in sums.iter_mut().zip(vectors(y, part * VECTORS)) {
                    sum.add(x, load(y));
                }
            }
            for (sum, out) in sums.iter().zip(out.as_chunks_mut().0) {
                sum.add_to(&reduction, out);
            }
        }
    });
}
