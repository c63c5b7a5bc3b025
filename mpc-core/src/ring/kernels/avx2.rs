//! Loops for processors with AVX2, which multiplies 32 x 32 bits only.
//!
//! A product mod 2^64 is one exact product of low halves and the products of the halves across,
//! of which 32 bits count. A product of small data mod 2^128 is taken digit by digit, with
//! digits so short that a sum over many rows stays within 64 bits. For products of wide data
//! mod 2^128 the portable loops serve this level too: three scalar multiplications make one,
//! and ten of half the width, with the additions between them, gained a sixth in the cache and
//! nothing beyond it.

#![allow(
    unsafe_code,
    reason = "vector loads and stores take pointers, and a call into #[target_feature] code \
              promises that the processor has it"
)]

use std::arch::x86_64::*;

use zeroize::Zeroizing;

use super::blocks::{array, rows_of};
use super::portable;
use crate::ring::Z64;

/// A processor with AVX2 and fused multiplication and addition. Exists only where one was detected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx2(());

impl Avx2 {
    /// Asks the processor.
    #[must_use]
    pub fn detect() -> Option<Self> {
        let both = std::arch::is_x86_feature_detected!("avx2")
            && std::arch::is_x86_feature_detected!("fma");
        both.then_some(Self(()))
    }

    pub(super) fn small_times_vector(self, matrix: &[i32], v: &[u64]) -> Vec<u64> {
        // SAFETY: self exists, so the processor has AVX2.
        unsafe { small_times_vector(matrix, v) }
    }

    pub(super) fn matrix_times_vector(self, matrix: &[u64], v: &[u64]) -> Vec<u64> {
        // SAFETY: self exists, so the processor has AVX2.
        unsafe { matrix_times_vector(matrix, v) }
    }

    pub(super) fn add_small_transposed(self, matrix: &[i32], v: &[u128], y: &mut [u128]) {
        // SAFETY: self exists, so the processor has AVX2.
        unsafe { add_small_transposed(matrix, v, y) }
    }

    pub(super) fn add_product_64(self, a: &[Z64], b: &[Z64], c: &mut [Z64], k: usize, n: usize) {
        // SAFETY: self exists, so the processor has AVX2.
        unsafe { add_product_64(a, b, c, k, n) }
    }
}

/// Rows that share a pass in products with a vector.
const ROWS: usize = 4;

#[target_feature(enable = "avx2")]
#[inline]
fn load_32(from: &[i32; 8]) -> __m256i {
    // SAFETY: the array has 32 bytes; the load needs no alignment.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
#[inline]
fn load_64(from: &[u64; 4]) -> __m256i {
    // SAFETY: the array has 32 bytes; the load needs no alignment.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
#[inline]
fn store_64(to: &mut [u64; 4], value: __m256i) {
    // SAFETY: the array has 32 bytes; the store needs no alignment.
    unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), value) }
}

#[target_feature(enable = "avx2")]
#[inline]
fn sum_64(value: __m256i) -> u64 {
    let mut lanes = [0; 4];
    store_64(&mut lanes, value);
    lanes.into_iter().fold(0, u64::wrapping_add)
}

/// In each lane, the sum of its two 32-bit words mod 2^32 at the place of the high one.
#[target_feature(enable = "avx2")]
#[inline]
fn words_as_high(value: __m256i) -> __m256i {
    let both = _mm256_add_epi32(value, _mm256_slli_epi64::<32>(value));
    _mm256_blend_epi32::<0b1010_1010>(_mm256_setzero_si256(), both)
}

#[target_feature(enable = "avx2")]
fn small_times_vector(matrix: &[i32], v: &[u64]) -> Vec<u64> {
    let columns = v.len();
    // v = low + 2^32 high with a signed low half, because the multiplication is signed.
    let low: Zeroizing<Vec<i32>> = Zeroizing::new(v.iter().map(|&x| x as i32).collect());
    let high: Zeroizing<Vec<i32>> =
        Zeroizing::new(v.iter().map(|&x| (x.wrapping_sub(x as i32 as u64) >> 32) as i32).collect());
    let (low, high) = (low.as_chunks::<8>().0, high.as_chunks::<8>().0);
    let tail = 8 * low.len();

    let mut out = Vec::with_capacity(matrix.len() / columns);
    for block in matrix.chunks(ROWS * columns) {
        let rows: [&[i32]; ROWS] = rows_of(block, columns);
        let chunks: [&[[i32; 8]]; ROWS] =
            array!(r < ROWS => &rows[r].as_chunks::<8>().0[..low.len()]);
        let mut sums = [_mm256_setzero_si256(); ROWS];
        let mut highs = [_mm256_setzero_si256(); ROWS];
        for i in 0..low.len() {
            let even = load_32(&low[i]);
            let odd = _mm256_srli_epi64::<32>(even);
            let high = load_32(&high[i]);
            for r in 0..ROWS {
                let m = load_32(&chunks[r][i]);
                let first = _mm256_mul_epi32(m, even);
                let second = _mm256_mul_epi32(_mm256_srli_epi64::<32>(m), odd);
                sums[r] = _mm256_add_epi64(sums[r], _mm256_add_epi64(first, second));
                highs[r] = _mm256_add_epi32(highs[r], _mm256_mullo_epi32(m, high));
            }
        }
        let sums = array!(r < ROWS => sum_64(_mm256_add_epi64(sums[r], words_as_high(highs[r]))));
        for (row, sum) in block.chunks_exact(columns).zip(sums) {
            out.push(row[tail..].iter().zip(&v[tail..]).fold(sum, |sum, (&m, &x)| {
                sum.wrapping_add((i64::from(m) as u64).wrapping_mul(x))
            }));
        }
    }
    out
}

#[target_feature(enable = "avx2")]
fn matrix_times_vector(matrix: &[u64], v: &[u64]) -> Vec<u64> {
    let columns = v.len();
    let (whole, rest) = v.as_chunks::<4>();
    let tail = 4 * whole.len();
    let mut out = Vec::with_capacity(matrix.len() / columns);
    for block in matrix.chunks(ROWS * columns) {
        let rows: [&[u64]; ROWS] = rows_of(block, columns);
        let chunks: [&[[u64; 4]]; ROWS] =
            array!(r < ROWS => &rows[r].as_chunks::<4>().0[..whole.len()]);
        let mut sums = [_mm256_setzero_si256(); ROWS];
        let mut highs = [_mm256_setzero_si256(); ROWS];
        for i in 0..whole.len() {
            let x = load_64(&whole[i]);
            let crossed = _mm256_shuffle_epi32::<0b10_11_00_01>(x);
            for r in 0..ROWS {
                let m = load_64(&chunks[r][i]);
                sums[r] = _mm256_add_epi64(sums[r], _mm256_mul_epu32(m, x));
                highs[r] = _mm256_add_epi32(highs[r], _mm256_mullo_epi32(m, crossed));
            }
        }
        let sums = array!(r < ROWS => sum_64(_mm256_add_epi64(sums[r], words_as_high(highs[r]))));
        for (row, sum) in block.chunks_exact(columns).zip(sums) {
            out.push(
                row[tail..]
                    .iter()
                    .zip(rest)
                    .fold(sum, |sum, (&m, &x)| sum.wrapping_add(m.wrapping_mul(x))),
            );
        }
    }
    out
}

/// Rows that share a pass over the sums in products with a transposed matrix.
const GROUP: usize = 8;

/// The places of the digits in [`add_small_transposed`]. At the last one only the low 32 bits
/// of a product count, and a whole signed 32-bit digit may stand there.
const SMALL_PLACES: [u32; 5] = [0, 24, 48, 72, 96];

/// |product| < 2^31 2^24, so that many sum up within 63 bits.
const SMALL_FOLD: usize = 248;

#[target_feature(enable = "avx2")]
fn add_small_transposed(matrix: &[i32], v: &[u128], y: &mut [u128]) {
    let columns = y.len();
    let panels = columns / 8;
    // For eight columns: a sum for each digit, those of the even columns, then of the odd.
    let mut sums = Zeroizing::new(vec![[[[0u64; 4]; 2]; 5]; panels]);
    for (matrix, v) in matrix.chunks(SMALL_FOLD * columns).zip(v.chunks(SMALL_FOLD)) {
        for (matrix, v) in matrix.chunks(GROUP * columns).zip(v.chunks(GROUP)) {
            let rows: [&[i32]; GROUP] = rows_of(matrix, columns);
            let chunks: [&[[i32; 8]]; GROUP] =
                array!(r < GROUP => &rows[r].as_chunks::<8>().0[..panels]);
            let digits: [[__m256i; 5]; GROUP] = array!(r < GROUP => {
                let x = v.get(r).copied().unwrap_or(0);
                array!(i < 5 => {
                    let kept = if i < 4 { 0xff_ffff } else { u128::MAX };
                    _mm256_set1_epi64x(((x >> SMALL_PLACES[i]) & kept) as i64)
                })
            });
            for (panel, sums) in sums[..panels].iter_mut().enumerate() {
                let mut even: [__m256i; 5] = array!(i < 5 => load_64(&sums[i][0]));
                let mut odd: [__m256i; 5] = array!(i < 5 => load_64(&sums[i][1]));
                for r in 0..GROUP {
                    let m = load_32(&chunks[r][panel]);
                    let m_odd = _mm256_srli_epi64::<32>(m);
                    for i in 0..5 {
                        let x = digits[r][i];
                        even[i] = _mm256_add_epi64(even[i], _mm256_mul_epi32(m, x));
                        odd[i] = _mm256_add_epi64(odd[i], _mm256_mul_epi32(m_odd, x));
                    }
                }
                for i in 0..5 {
                    store_64(&mut sums[i][0], even[i]);
                    store_64(&mut sums[i][1], odd[i]);
                }
            }
        }
        for (y, sums) in y.as_chunks_mut::<8>().0.iter_mut().zip(sums.iter_mut()) {
            for (column, y) in y.iter_mut().enumerate() {
                for (i, place) in SMALL_PLACES.into_iter().enumerate() {
                    let sum = sums[i][column % 2][column / 2] as i64;
                    *y = y.wrapping_add((i128::from(sum) as u128) << place);
                }
            }
            *sums = [[[0; 4]; 2]; 5];
        }
    }
    if 8 * panels < columns {
        portable::add_small_transposed_from(8 * panels, matrix, v, y);
    }
}

#[target_feature(enable = "avx2")]
fn add_product_64(a: &[Z64], b: &[Z64], c: &mut [Z64], k: usize, n: usize) {
    if n == 1 {
        for (c, sum) in c.iter_mut().zip(matrix_times_vector(words(a), words(b))) {
            *c += Z64(sum);
        }
    } else if c.len() == n {
        add_row_64(words(a), words(b), c);
    } else if n.is_multiple_of(4) {
        add_tiles_64(words(a), words(b), c, k, n);
    } else {
        // Columns up to a whole number of vectors.
        let width = n.next_multiple_of(4);
        let mut padded = Zeroizing::new(vec![0; k * width]);
        for (padded, b) in padded.chunks_exact_mut(width).zip(words(b).chunks_exact(n)) {
            padded[..n].copy_from_slice(b);
        }
        add_tiles_64(words(a), &padded, c, k, n);
    }
}

/// Elements as words.
#[inline]
fn words(elements: &[Z64]) -> &[u64] {
    // SAFETY: an element is a transparent word.
    unsafe { std::slice::from_raw_parts(elements.as_ptr().cast(), elements.len()) }
}

/// C += A B in tiles of four rows and four columns. The rows of B have whole vectors.
#[target_feature(enable = "avx2")]
fn add_tiles_64(a: &[u64], b: &[u64], c: &mut [Z64], k: usize, n: usize) {
    let panels = b.len() / k / 4;
    let b = b.as_chunks::<4>().0;
    for (a, c) in a.chunks(ROWS * k).zip(c.chunks_mut(ROWS * n)) {
        let a: [&[u64]; ROWS] = rows_of(a, k);
        for panel in 0..panels {
            let mut sums = [_mm256_setzero_si256(); ROWS];
            let mut highs = [_mm256_setzero_si256(); ROWS];
            for (i, b) in b[panel..].iter().step_by(panels).enumerate().take(k) {
                let b = load_64(b);
                let crossed = _mm256_shuffle_epi32::<0b10_11_00_01>(b);
                for r in 0..ROWS {
                    let a = _mm256_set1_epi64x(a[r][i] as i64);
                    sums[r] = _mm256_add_epi64(sums[r], _mm256_mul_epu32(a, b));
                    highs[r] = _mm256_add_epi32(highs[r], _mm256_mullo_epi32(a, crossed));
                }
            }
            let sums = array!(r < ROWS => {
                let mut sum = [0; 4];
                store_64(&mut sum, _mm256_add_epi64(sums[r], words_as_high(highs[r])));
                sum
            });
            for (c, sums) in c.chunks_exact_mut(n).zip(sums) {
                for (c, sum) in c[4 * panel..].iter_mut().zip(sums) {
                    *c += Z64(sum);
                }
            }
        }
    }
}

/// c += a B for rows a and c, reading B once and in order.
#[target_feature(enable = "avx2")]
fn add_row_64(a: &[u64], b: &[u64], c: &mut [Z64]) {
    let n = c.len();
    let panels = n / 4;
    for (a, b) in a.chunks(GROUP).zip(b.chunks(GROUP * n)) {
        let rows: [&[u64]; GROUP] = rows_of(b, n);
        let chunks: [&[[u64; 4]]; GROUP] =
            array!(r < GROUP => &rows[r].as_chunks::<4>().0[..panels]);
        let factors: [__m256i; GROUP] =
            array!(r < GROUP => _mm256_set1_epi64x(a.get(r).map_or(0, |&a| a as i64)));
        let (whole, rest) = c.as_chunks_mut::<4>();
        for (panel, c) in whole[..panels].iter_mut().enumerate() {
            let mut sum = _mm256_setzero_si256();
            let mut high = _mm256_setzero_si256();
            for r in 0..GROUP {
                let b = load_64(&chunks[r][panel]);
                let crossed = _mm256_shuffle_epi32::<0b10_11_00_01>(b);
                sum = _mm256_add_epi64(sum, _mm256_mul_epu32(b, factors[r]));
                high = _mm256_add_epi32(high, _mm256_mullo_epi32(crossed, factors[r]));
            }
            let mut sums = [0; 4];
            store_64(&mut sums, _mm256_add_epi64(sum, words_as_high(high)));
            for i in 0..4 {
                c[i] += Z64(sums[i]);
            }
        }
        for (&a, b) in a.iter().zip(b.chunks_exact(n)) {
            for (c, &b) in rest.iter_mut().zip(&b[4 * panels..]) {
                *c += Z64(a) * Z64(b);
            }
        }
    }
}
