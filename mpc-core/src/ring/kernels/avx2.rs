//! Loops for processors with AVX2, which multiplies 32 x 32 bits only.
//!
//! A product mod 2^64 is one exact product of low halves and the products of the halves across,
//! of which 32 bits count. A product mod 2^128 is taken digit by digit, with digits so short
//! that a sum over many rows stays within 64 bits; only the [`fold`] of the sums knows carries.

#![allow(
    unsafe_code,
    reason = "vector loads and stores take pointers, and a call into #[target_feature] code \
              promises that the processor has it"
)]

use std::arch::x86_64::*;
use std::array::from_fn;

use zeroize::Zeroizing;

use super::portable;
use crate::ring::{Z64, Z128};

/// A processor with AVX2. Exists only where one was detected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx2(());

impl Avx2 {
    /// Asks the processor.
    #[must_use]
    pub fn detect() -> Option<Self> {
        std::arch::is_x86_feature_detected!("avx2").then_some(Self(()))
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

    pub(super) fn add_wide_transposed(self, low: &[u64], high: &[i32], v: &[u128], y: &mut [u128]) {
        // SAFETY: self exists, so the processor has AVX2.
        unsafe { add_wide_transposed(low, high, v, y) }
    }

    pub(super) fn add_product_64(self, a: &[Z64], b: &[Z64], c: &mut [Z64], k: usize, n: usize) {
        // SAFETY: self exists, so the processor has AVX2.
        unsafe { add_product_64(a, b, c, k, n) }
    }

    /// Three scalar multiplications make a product mod 2^128; ten of half the width do not
    /// pay, so this is the portable loop.
    pub(super) fn add_product_128(
        self,
        a: &[Z128],
        b: &[Z128],
        c: &mut [Z128],
        k: usize,
        n: usize,
    ) {
        portable::add_product(a, b, c, k, n);
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

/// Four 32-bit words, zero-extended.
#[target_feature(enable = "avx2")]
#[inline]
fn load_extended(from: &[i32; 4]) -> __m256i {
    // SAFETY: the array has 16 bytes; the load needs no alignment.
    _mm256_cvtepu32_epi64(unsafe { _mm_loadu_si128(from.as_ptr().cast()) })
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
        let chunks: [&[[i32; 8]]; ROWS] = from_fn(|r| &rows[r].as_chunks::<8>().0[..low.len()]);
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
        for r in 0..block.len() / columns {
            let sum = sum_64(_mm256_add_epi64(sums[r], words_as_high(highs[r])));
            out.push(rows[r][tail..].iter().zip(&v[tail..]).fold(sum, |sum, (&m, &x)| {
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
        let chunks: [&[[u64; 4]]; ROWS] = from_fn(|r| &rows[r].as_chunks::<4>().0[..whole.len()]);
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
        for r in 0..block.len() / columns {
            let sum = sum_64(_mm256_add_epi64(sums[r], words_as_high(highs[r])));
            out.push(
                rows[r][tail..]
                    .iter()
                    .zip(rest)
                    .fold(sum, |sum, (&m, &x)| sum.wrapping_add(m.wrapping_mul(x))),
            );
        }
    }
    out
}

/// The rows of a block; the last one again in place of those that are missing.
#[inline]
fn rows_of<T, const N: usize>(block: &[T], columns: usize) -> [&[T]; N] {
    let last = block.len() / columns - 1;
    from_fn(|r| &block[r.min(last) * columns..][..columns])
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
            let chunks: [&[[i32; 8]]; GROUP] = from_fn(|r| &rows[r].as_chunks::<8>().0[..panels]);
            let digits: [[__m256i; 5]; GROUP] = from_fn(|r| {
                let x = v.get(r).copied().unwrap_or(0);
                from_fn(|i| {
                    let kept = if i < 4 { 0xff_ffff } else { u128::MAX };
                    _mm256_set1_epi64x(((x >> SMALL_PLACES[i]) & kept) as i64)
                })
            });
            for (panel, sums) in sums.iter_mut().enumerate() {
                let mut even: [__m256i; 5] = from_fn(|i| load_64(&sums[i][0]));
                let mut odd: [__m256i; 5] = from_fn(|i| load_64(&sums[i][1]));
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

/// Rows that share a pass in [`add_wide_transposed`].
const WIDE_GROUP: usize = 4;

/// The places of the sums in [`add_wide_transposed`]. Sums at 64 and 96 may wrap.
const WIDE_PLACES: [u32; 7] = [0, 16, 32, 48, 64, 96, 96];

/// A place has at most two products below 2^48 for each row.
const WIDE_FOLD: usize = 1 << 14;

#[target_feature(enable = "avx2")]
fn add_wide_transposed(low: &[u64], high: &[i32], v: &[u128], y: &mut [u128]) {
    let columns = y.len();
    let panels = columns / 4;
    let sign = _mm256_set1_epi64x(1 << 31);
    let mut sums = Zeroizing::new(vec![[[0u64; 4]; 7]; panels]);
    let chunks = low.chunks(WIDE_FOLD * columns).zip(high.chunks(WIDE_FOLD * columns));
    for ((low, high), v) in chunks.zip(v.chunks(WIDE_FOLD)) {
        let groups = low.chunks(WIDE_GROUP * columns).zip(high.chunks(WIDE_GROUP * columns));
        for ((low, high), v) in groups.zip(v.chunks(WIDE_GROUP)) {
            let low: [&[u64]; WIDE_GROUP] = rows_of(low, columns);
            let high: [&[i32]; WIDE_GROUP] = rows_of(high, columns);
            let low: [&[[u64; 4]]; WIDE_GROUP] = from_fn(|r| &low[r].as_chunks::<4>().0[..panels]);
            let high: [&[[i32; 4]]; WIDE_GROUP] =
                from_fn(|r| &high[r].as_chunks::<4>().0[..panels]);
            let digits: [WideDigits; WIDE_GROUP] =
                from_fn(|r| wide_digits(v.get(r).copied().unwrap_or(0)));
            for (panel, sums) in sums.iter_mut().enumerate() {
                let mut w: [__m256i; 7] = from_fn(|i| load_64(&sums[i]));
                for r in 0..WIDE_GROUP {
                    let WideDigits { short, whole, crossed } = &digits[r];
                    let a0 = load_64(&low[r][panel]);
                    let a1 = _mm256_srli_epi64::<32>(a0);
                    // The high part plus 2^31, which is not negative.
                    let a2 = _mm256_xor_si256(load_extended(&high[r][panel]), sign);
                    w[0] = _mm256_add_epi64(w[0], _mm256_mul_epu32(a0, short[0]));
                    w[1] = _mm256_add_epi64(w[1], _mm256_mul_epu32(a0, short[1]));
                    w[2] = _mm256_add_epi64(w[2], _mm256_mul_epu32(a0, short[2]));
                    w[2] = _mm256_add_epi64(w[2], _mm256_mul_epu32(a1, short[0]));
                    w[3] = _mm256_add_epi64(w[3], _mm256_mul_epu32(a0, short[3]));
                    w[3] = _mm256_add_epi64(w[3], _mm256_mul_epu32(a1, short[1]));
                    w[4] = _mm256_add_epi64(w[4], _mm256_mul_epu32(a0, whole[2]));
                    w[4] = _mm256_add_epi64(w[4], _mm256_mul_epu32(a1, whole[1]));
                    w[4] = _mm256_add_epi64(w[4], _mm256_mul_epu32(a2, whole[0]));
                    w[5] = _mm256_add_epi64(w[5], _mm256_mul_epu32(a2, whole[1]));
                    w[6] = _mm256_add_epi32(w[6], _mm256_mullo_epi32(a0, *crossed));
                }
                for (sums, w) in sums.iter_mut().zip(w) {
                    store_64(sums, w);
                }
            }
        }
        // The 2^31 too much in every high part.
        let excess = v.iter().fold(0, |sum: u128, &x| sum.wrapping_add(x)) << 95;
        for (y, sums) in y.as_chunks_mut::<4>().0.iter_mut().zip(sums.iter_mut()) {
            for (lane, y) in y.iter_mut().enumerate() {
                *y = y.wrapping_sub(excess);
                for (sum, place) in sums.iter().zip(WIDE_PLACES) {
                    *y = y.wrapping_add(u128::from(sum[lane]) << place);
                }
                *y = y.wrapping_add(u128::from(sums[6][lane] >> 32) << 96);
            }
            *sums = [[0; 4]; 7];
        }
    }
    if 4 * panels < columns {
        portable::add_wide_transposed_from(4 * panels, low, high, v, y);
    }
}

/// The digits of a value in [`add_wide_transposed`], each in all lanes.
struct WideDigits {
    /// Of 16 bits each, from the bottom.
    short: [__m256i; 4],
    /// Of 32 bits each, from the bottom.
    whole: [__m256i; 3],
    /// The digits of 32 bits that meet the halves of the low part at the place 96.
    crossed: __m256i,
}

#[target_feature(enable = "avx2")]
#[inline]
fn wide_digits(x: u128) -> WideDigits {
    let whole = |i: u32| i64::from((x >> (32 * i)) as u32);
    WideDigits {
        short: from_fn(|i| _mm256_set1_epi64x(i64::from((x >> (16 * i)) as u16))),
        whole: from_fn(|i| _mm256_set1_epi64x(whole(i as u32))),
        crossed: _mm256_set1_epi64x(whole(3) | (whole(2) << 32)),
    }
}

#[target_feature(enable = "avx2")]
fn add_product_64(a: &[Z64], b: &[Z64], c: &mut [Z64], k: usize, n: usize) {
    let width = n.next_multiple_of(4);
    if width == n {
        for (a, c) in a.chunks_exact(k).zip(c.chunks_exact_mut(n)) {
            add_row_64(a, b, c);
        }
        return;
    }
    // Columns up to a whole number of vectors.
    let mut padded = Zeroizing::new(vec![Z64(0); k * width]);
    for (padded, b) in padded.chunks_exact_mut(width).zip(b.chunks_exact(n)) {
        padded[..n].copy_from_slice(b);
    }
    let mut sums = Zeroizing::new(vec![Z64(0); width]);
    for (a, c) in a.chunks_exact(k).zip(c.chunks_exact_mut(n)) {
        sums[..n].copy_from_slice(c);
        add_row_64(a, &padded, &mut sums);
        c.copy_from_slice(&sums[..n]);
    }
}

/// c += a B for rows a and c, of which c has a whole number of vectors.
#[target_feature(enable = "avx2")]
#[inline]
fn add_row_64(a: &[Z64], b: &[Z64], c: &mut [Z64]) {
    let n = c.len();
    let panels = n / 4;
    for (a, b) in a.chunks(GROUP).zip(b.chunks(GROUP * n)) {
        let b: [&[Z64]; GROUP] = rows_of(b, n);
        let b: [&[[Z64; 4]]; GROUP] = from_fn(|r| &b[r].as_chunks::<4>().0[..panels]);
        let a: [[__m256i; 2]; GROUP] = from_fn(|r| {
            let a = a.get(r).map_or(0, |a| a.0);
            [_mm256_set1_epi64x(a as i64), _mm256_set1_epi64x(a.rotate_left(32) as i64)]
        });
        for (panel, c) in c.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            let mut sum = load_64(&c.map(|c| c.0));
            let mut high = _mm256_setzero_si256();
            for r in 0..GROUP {
                let b = load_64(&b[r][panel].map(|b| b.0));
                sum = _mm256_add_epi64(sum, _mm256_mul_epu32(b, a[r][0]));
                high = _mm256_add_epi32(high, _mm256_mullo_epi32(b, a[r][1]));
            }
            let mut out = [0; 4];
            store_64(&mut out, _mm256_add_epi64(sum, words_as_high(high)));
            *c = out.map(Z64);
        }
    }
}
