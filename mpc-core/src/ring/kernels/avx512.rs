//! Loops for processors with AVX-512, its 64-bit products (DQ) and its 52-bit products (IFMA).
//!
//! Products mod 2^128 are taken on limbs of 52 bits: IFMA adds the low or the high 52 bits of a
//! 104-bit product to a sum. The sums at 2^0 and 2^52 have 12 bits of room, those at 2^104 may
//! wrap, and only the folding of the sums knows carries. Signed data gets 2^31 added, which
//! makes it unsigned, and the result loses 2^31 times the sum of the vector.
//!
//! Never plain loops over data here: the compiler would turn them into slow AVX-512.

#![allow(
    unsafe_code,
    reason = "vector loads and stores take pointers, and a call into #[target_feature] code \
              promises that the processor has it"
)]

use std::arch::x86_64::*;

use zeroize::Zeroizing;

use super::blocks::{array, rows_of};
use super::{Avx2, portable};
use crate::ring::{Z64, Z128};

/// A processor with AVX-512 F, BW, DQ, VL and IFMA. Exists only where one was detected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx512 {
    avx2: Avx2,
}

impl Avx512 {
    /// Asks the processor.
    #[must_use]
    pub fn detect() -> Option<Self> {
        let all = std::arch::is_x86_feature_detected!("avx512f")
            && std::arch::is_x86_feature_detected!("avx512bw")
            && std::arch::is_x86_feature_detected!("avx512dq")
            && std::arch::is_x86_feature_detected!("avx512vl")
            && std::arch::is_x86_feature_detected!("avx512ifma");
        let avx2 = Avx2::detect()?;
        all.then_some(Self { avx2 })
    }

    /// The lower level, which every such processor has too.
    #[must_use]
    pub fn avx2(self) -> Avx2 {
        self.avx2
    }

    pub(super) fn small_times_vector(self, matrix: &[i32], v: &[u64]) -> Vec<u64> {
        // SAFETY: self exists, so the processor has the features.
        unsafe { small_times_vector(matrix, v) }
    }

    pub(super) fn matrix_times_vector(self, matrix: &[u64], v: &[u64]) -> Vec<u64> {
        // SAFETY: self exists, so the processor has the features.
        unsafe { matrix_times_vector(matrix, v) }
    }

    pub(super) fn add_small_transposed(self, matrix: &[i32], v: &[u128], y: &mut [u128]) {
        // SAFETY: self exists, so the processor has the features.
        unsafe { add_small_transposed(matrix, v, y) }
    }

    pub(super) fn add_wide_transposed(self, low: &[u64], high: &[i32], v: &[u128], y: &mut [u128]) {
        // SAFETY: self exists, so the processor has the features.
        unsafe { add_wide_transposed(low, high, v, y) }
    }

    pub(super) fn add_product_64(self, a: &[Z64], b: &[Z64], c: &mut [Z64], k: usize, n: usize) {
        // SAFETY: self exists, so the processor has the features.
        unsafe { add_product_64(a, b, c, k, n) }
    }

    pub(super) fn add_product_128(
        self,
        a: &[Z128],
        b: &[Z128],
        c: &mut [Z128],
        k: usize,
        n: usize,
    ) {
        // SAFETY: self exists, so the processor has the features.
        unsafe { add_product_128(a, b, c, k, n) }
    }
}

/// The first `left` of eight lanes.
fn lanes_8(left: usize) -> __mmask8 {
    if left >= 8 { !0 } else { (1 << left) - 1 }
}

/// The first `left` of sixteen lanes.
fn lanes_16(left: usize) -> __mmask16 {
    if left >= 16 { !0 } else { (1 << left) - 1 }
}

/// Sixteen words from number `at` on, zero where the row has ended.
#[target_feature(enable = "avx512f")]
#[inline]
fn load_words(row: &[i32], at: usize) -> __m512i {
    let lanes = lanes_16(row.len().saturating_sub(at));
    // SAFETY: the mask admits only lanes within the row; the others are not accessed.
    unsafe { _mm512_maskz_loadu_epi32(lanes, row.as_ptr().wrapping_add(at)) }
}

/// Eight words from number `at` on plus 2^31 and thereby unsigned, 2^31 where the row has ended.
#[target_feature(enable = "avx512f,avx512vl")]
#[inline]
fn load_unsigned(row: &[i32], at: usize) -> __m512i {
    let lanes = lanes_8(row.len().saturating_sub(at));
    // SAFETY: the mask admits only lanes within the row; the others are not accessed.
    let words = unsafe { _mm256_maskz_loadu_epi32(lanes, row.as_ptr().wrapping_add(at)) };
    _mm512_cvtepu32_epi64(_mm256_xor_si256(words, _mm256_set1_epi32(i32::MIN)))
}

/// Eight words from number `at` on, zero where the row has ended.
#[target_feature(enable = "avx512f")]
#[inline]
fn load_longs(row: &[u64], at: usize) -> __m512i {
    let lanes = lanes_8(row.len().saturating_sub(at));
    // SAFETY: the mask admits only lanes within the row; the others are not accessed.
    unsafe { _mm512_maskz_loadu_epi64(lanes, row.as_ptr().wrapping_add(at).cast()) }
}

/// Eight elements from number `at` on, zero where the row has ended.
#[target_feature(enable = "avx512f")]
#[inline]
fn load_elements(row: &[Z64], at: usize) -> __m512i {
    let lanes = lanes_8(row.len().saturating_sub(at));
    // SAFETY: the mask admits only lanes within the row, whose elements are transparent words.
    unsafe { _mm512_maskz_loadu_epi64(lanes, row.as_ptr().wrapping_add(at).cast()) }
}

/// Replaces the elements from number `at` on by as many of the eight as the row still has.
#[target_feature(enable = "avx512f")]
#[inline]
fn store_elements(row: &mut [Z64], at: usize, value: __m512i) {
    let lanes = lanes_8(row.len().saturating_sub(at));
    // SAFETY: the mask admits only lanes within the row, whose elements are transparent words.
    unsafe { _mm512_mask_storeu_epi64(row.as_mut_ptr().wrapping_add(at).cast(), lanes, value) }
}

/// The limbs of eight elements from number `at` on, zero where the row has ended.
#[target_feature(enable = "avx512f")]
#[inline]
fn load_limbs(row: &[Z128], at: usize) -> [__m512i; 3] {
    let left = row.len().saturating_sub(at);
    let (front, back) = (lanes_8(2 * left), lanes_8((2 * left).saturating_sub(8)));
    let from: *const i64 = row.as_ptr().wrapping_add(at).cast();
    // SAFETY: an element is two words, and the masks admit only words of the row's elements.
    let (front, back) = unsafe {
        (
            _mm512_maskz_loadu_epi64(front, from),
            _mm512_maskz_loadu_epi64(back, from.wrapping_add(8)),
        )
    };
    // x86 is little-endian: the low words have the even places.
    let even = _mm512_set_epi64(14, 12, 10, 8, 6, 4, 2, 0);
    let odd = _mm512_set_epi64(15, 13, 11, 9, 7, 5, 3, 1);
    let low = _mm512_permutex2var_epi64(front, even, back);
    let high = _mm512_permutex2var_epi64(front, odd, back);
    // Bits above a limb's 52 need no clearing: IFMA ignores them.
    [low, middle_limb(low, high), _mm512_srli_epi64::<40>(high)]
}

#[target_feature(enable = "avx512f")]
#[inline]
fn middle_limb(low: __m512i, high: __m512i) -> __m512i {
    _mm512_or_si512(_mm512_srli_epi64::<52>(low), _mm512_slli_epi64::<12>(high))
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load(from: &[u64; 8]) -> __m512i {
    // SAFETY: the array has 64 bytes; the load needs no alignment.
    unsafe { _mm512_loadu_epi64(from.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn store(to: &mut [u64; 8], value: __m512i) {
    // SAFETY: the array has 64 bytes; the store needs no alignment.
    unsafe { _mm512_storeu_epi64(to.as_mut_ptr().cast(), value) }
}

/// Rows that share a pass in products with a vector.
const ROWS: usize = 4;

#[target_feature(enable = "avx512f")]
fn small_times_vector(matrix: &[i32], v: &[u64]) -> Vec<u64> {
    let columns = v.len();
    // v = low + 2^32 high with a signed low half, because the multiplication is signed.
    let low: Zeroizing<Vec<i32>> = Zeroizing::new(v.iter().map(|&x| x as i32).collect());
    let high: Zeroizing<Vec<i32>> =
        Zeroizing::new(v.iter().map(|&x| (x.wrapping_sub(x as i32 as u64) >> 32) as i32).collect());
    let mut out = Vec::with_capacity(matrix.len() / columns);
    for block in matrix.chunks(ROWS * columns) {
        let rows: [&[i32]; ROWS] = rows_of(block, columns);
        let mut sums = [_mm512_setzero_si512(); ROWS];
        let mut highs = [_mm512_setzero_si512(); ROWS];
        for at in (0..columns).step_by(16) {
            let even = load_words(&low, at);
            let odd = _mm512_srli_epi64::<32>(even);
            let high = load_words(&high, at);
            for r in 0..ROWS {
                let m = load_words(rows[r], at);
                let first = _mm512_mul_epi32(m, even);
                let second = _mm512_mul_epi32(_mm512_srli_epi64::<32>(m), odd);
                sums[r] = _mm512_add_epi64(sums[r], _mm512_add_epi64(first, second));
                highs[r] = _mm512_add_epi32(highs[r], _mm512_mullo_epi32(m, high));
            }
        }
        let sums = array!(r < ROWS => {
            let high = u64::from(_mm512_reduce_add_epi32(highs[r]) as u32) << 32;
            (_mm512_reduce_add_epi64(sums[r]) as u64).wrapping_add(high)
        });
        out.extend_from_slice(&sums[..block.len() / columns]);
    }
    out
}

#[target_feature(enable = "avx512f,avx512dq")]
fn matrix_times_vector(matrix: &[u64], v: &[u64]) -> Vec<u64> {
    let columns = v.len();
    let mut out = Vec::with_capacity(matrix.len() / columns);
    for block in matrix.chunks(ROWS * columns) {
        let rows: [&[u64]; ROWS] = rows_of(block, columns);
        let mut sums = [_mm512_setzero_si512(); ROWS];
        for at in (0..columns).step_by(8) {
            let x = load_longs(v, at);
            for r in 0..ROWS {
                let product = _mm512_mullo_epi64(load_longs(rows[r], at), x);
                sums[r] = _mm512_add_epi64(sums[r], product);
            }
        }
        let sums = array!(r < ROWS => _mm512_reduce_add_epi64(sums[r]) as u64);
        out.extend_from_slice(&sums[..block.len() / columns]);
    }
    out
}

/// Rows that share a pass over the sums in products with a transposed matrix.
const GROUP: usize = 8;

/// A row adds to a sum at most three products below 2^52, so that many sum up within 64 bits.
const FOLD: usize = 1024;

/// The sums at 2^0, 2^52 and 2^104 for eight columns.
type Sums = [[u64; 8]; 3];

/// y += sums, which become zero.
fn fold(sums: &mut [Sums], y: &mut [u128]) {
    for (sums, y) in sums.iter_mut().zip(y.chunks_mut(8)) {
        for (lane, y) in y.iter_mut().enumerate() {
            let [bottom, middle, top] = [0, 1, 2].map(|i| u128::from(sums[i][lane]));
            *y = y.wrapping_add(bottom).wrapping_add(middle << 52).wrapping_add(top << 104);
        }
        *sums = [[0; 8]; 3];
    }
}

/// The limbs of a value, each in all lanes.
#[target_feature(enable = "avx512f")]
#[inline]
fn limbs(x: u128) -> [__m512i; 3] {
    array!(i < 3 => _mm512_set1_epi64((x >> (52 * i)) as i64))
}

/// y -= 2^`place` times the sum of v.
fn subtract_excess(place: u32, v: &[u128], y: &mut [u128]) {
    let excess = v.iter().fold(0, |sum: u128, &x| sum.wrapping_add(x)) << place;
    for y in y {
        *y = y.wrapping_sub(excess);
    }
}

#[target_feature(enable = "avx512f,avx512vl,avx512ifma")]
fn add_small_transposed(matrix: &[i32], v: &[u128], y: &mut [u128]) {
    let columns = y.len();
    let mut sums: Zeroizing<Vec<Sums>> = Zeroizing::new(vec![[[0; 8]; 3]; columns.div_ceil(8)]);
    for (matrix, v) in matrix.chunks(FOLD * columns).zip(v.chunks(FOLD)) {
        for (matrix, v) in matrix.chunks(GROUP * columns).zip(v.chunks(GROUP)) {
            let rows: [&[i32]; GROUP] = rows_of(matrix, columns);
            let x: [[__m512i; 3]; GROUP] =
                array!(r < GROUP => limbs(v.get(r).copied().unwrap_or(0)));
            for (panel, sums) in sums.iter_mut().enumerate() {
                let [mut s0, mut s1, mut s2] = array!(i < 3 => load(&sums[i]));
                for r in 0..GROUP {
                    let m = load_unsigned(rows[r], 8 * panel);
                    s0 = _mm512_madd52lo_epu64(s0, m, x[r][0]);
                    s1 = _mm512_madd52hi_epu64(s1, m, x[r][0]);
                    s1 = _mm512_madd52lo_epu64(s1, m, x[r][1]);
                    s2 = _mm512_madd52hi_epu64(s2, m, x[r][1]);
                    s2 = _mm512_madd52lo_epu64(s2, m, x[r][2]);
                }
                store(&mut sums[0], s0);
                store(&mut sums[1], s1);
                store(&mut sums[2], s2);
            }
        }
        fold(&mut sums, y);
    }
    subtract_excess(31, v, y);
}

#[target_feature(enable = "avx512f,avx512vl,avx512ifma")]
fn add_wide_transposed(low: &[u64], high: &[i32], v: &[u128], y: &mut [u128]) {
    let columns = y.len();
    let mut sums: Zeroizing<Vec<Sums>> = Zeroizing::new(vec![[[0; 8]; 3]; columns.div_ceil(8)]);
    let chunks = low.chunks(FOLD * columns).zip(high.chunks(FOLD * columns));
    for ((low, high), v) in chunks.zip(v.chunks(FOLD)) {
        let groups = low.chunks(GROUP * columns).zip(high.chunks(GROUP * columns));
        for ((low, high), v) in groups.zip(v.chunks(GROUP)) {
            let low: [&[u64]; GROUP] = rows_of(low, columns);
            let high: [&[i32]; GROUP] = rows_of(high, columns);
            let x: [[__m512i; 3]; GROUP] =
                array!(r < GROUP => limbs(v.get(r).copied().unwrap_or(0)));
            for (panel, sums) in sums.iter_mut().enumerate() {
                let [mut s0, mut s1, mut s2] = array!(i < 3 => load(&sums[i]));
                for r in 0..GROUP {
                    // Two limbs hold the 96 bits.
                    let a0 = load_longs(low[r], 8 * panel);
                    let a1 = middle_limb(a0, load_unsigned(high[r], 8 * panel));
                    s0 = _mm512_madd52lo_epu64(s0, a0, x[r][0]);
                    s1 = _mm512_madd52hi_epu64(s1, a0, x[r][0]);
                    s1 = _mm512_madd52lo_epu64(s1, a0, x[r][1]);
                    s1 = _mm512_madd52lo_epu64(s1, a1, x[r][0]);
                    s2 = _mm512_madd52hi_epu64(s2, a0, x[r][1]);
                    s2 = _mm512_madd52hi_epu64(s2, a1, x[r][0]);
                    s2 = _mm512_madd52lo_epu64(s2, a0, x[r][2]);
                    s2 = _mm512_madd52lo_epu64(s2, a1, x[r][1]);
                }
                store(&mut sums[0], s0);
                store(&mut sums[1], s1);
                store(&mut sums[2], s2);
            }
        }
        fold(&mut sums, y);
    }
    subtract_excess(95, v, y);
}

#[target_feature(enable = "avx512f,avx512dq")]
fn add_product_64(a: &[Z64], b: &[Z64], c: &mut [Z64], k: usize, n: usize) {
    if n == 1 {
        for (c, sum) in c.iter_mut().zip(matrix_times_vector(words(a), words(b))) {
            *c += Z64(sum);
        }
    } else if c.len() == n {
        add_row_64(a, b, c);
    } else if n <= 8 {
        add_tiles_64::<1>(a, b, c, k, n);
    } else {
        add_tiles_64::<2>(a, b, c, k, n);
    }
}

/// Elements as words.
#[inline]
fn words(elements: &[Z64]) -> &[u64] {
    // SAFETY: an element is a transparent word.
    unsafe { std::slice::from_raw_parts(elements.as_ptr().cast(), elements.len()) }
}

/// Rows of the result that share the loads of the right factor in [`add_tiles_64`].
const TILE_64: usize = 8;

/// C += A B in tiles of eight rows and `P` vectors.
#[target_feature(enable = "avx512f,avx512dq")]
fn add_tiles_64<const P: usize>(a: &[Z64], b: &[Z64], c: &mut [Z64], k: usize, n: usize) {
    for (a, c) in a.chunks(TILE_64 * k).zip(c.chunks_mut(TILE_64 * n)) {
        let a: [&[Z64]; TILE_64] = rows_of(a, k);
        for at in (0..n).step_by(8 * P) {
            let mut sums = [[_mm512_setzero_si512(); P]; TILE_64];
            for (i, b) in b.chunks_exact(n).enumerate().take(k) {
                let b: [__m512i; P] = array!(p < P => load_elements(b, at + 8 * p));
                for r in 0..TILE_64 {
                    let a = _mm512_set1_epi64(a[r][i].0 as i64);
                    for p in 0..P {
                        let product = _mm512_mullo_epi64(b[p], a);
                        sums[r][p] = _mm512_add_epi64(sums[r][p], product);
                    }
                }
            }
            for (c, sums) in c.chunks_exact_mut(n).zip(sums) {
                for (p, sum) in sums.into_iter().enumerate() {
                    let at = at + 8 * p;
                    store_elements(c, at, _mm512_add_epi64(load_elements(c, at), sum));
                }
            }
        }
    }
}

/// c += a B for rows a and c, reading B once and in order.
#[target_feature(enable = "avx512f,avx512dq")]
fn add_row_64(a: &[Z64], b: &[Z64], c: &mut [Z64]) {
    let n = c.len();
    for (a, b) in a.chunks(GROUP).zip(b.chunks(GROUP * n)) {
        let b: [&[Z64]; GROUP] = rows_of(b, n);
        let a: [__m512i; GROUP] =
            array!(r < GROUP => _mm512_set1_epi64(a.get(r).map_or(0, |a| a.0 as i64)));
        for at in (0..n).step_by(8) {
            let mut sum = load_elements(c, at);
            for r in 0..GROUP {
                let product = _mm512_mullo_epi64(load_elements(b[r], at), a[r]);
                sum = _mm512_add_epi64(sum, product);
            }
            store_elements(c, at, sum);
        }
    }
}

/// Rows of the result that share the limbs of the right factor.
const TILE: usize = 4;

/// The fewest columns for which the lanes of a vector are busy enough in products mod 2^128.
const COLUMNS_128: usize = 4;

#[target_feature(enable = "avx512f,avx512ifma")]
fn add_product_128(a: &[Z128], b: &[Z128], c: &mut [Z128], k: usize, n: usize) {
    if n == 1 {
        add_times_vector_128(a, b, c);
    } else if n < COLUMNS_128 {
        portable::add_product(a, b, c, k, n);
    } else if c.len() == n {
        add_row_128(a, b, c);
    } else {
        add_tiles_128(a, b, c, k, n);
    }
}

/// `sums` += b x, limb by limb.
#[target_feature(enable = "avx512f,avx512ifma")]
#[inline]
fn add_limbs(sums: &mut [__m512i; 3], b: [__m512i; 3], x: [__m512i; 3]) {
    let [s0, s1, s2] = sums;
    *s0 = _mm512_madd52lo_epu64(*s0, b[0], x[0]);
    *s1 = _mm512_madd52hi_epu64(*s1, b[0], x[0]);
    *s1 = _mm512_madd52lo_epu64(*s1, b[0], x[1]);
    *s1 = _mm512_madd52lo_epu64(*s1, b[1], x[0]);
    *s2 = _mm512_madd52hi_epu64(*s2, b[0], x[1]);
    *s2 = _mm512_madd52hi_epu64(*s2, b[1], x[0]);
    *s2 = _mm512_madd52lo_epu64(*s2, b[0], x[2]);
    *s2 = _mm512_madd52lo_epu64(*s2, b[1], x[1]);
    *s2 = _mm512_madd52lo_epu64(*s2, b[2], x[0]);
}

/// c += sums.
#[target_feature(enable = "avx512f")]
#[inline]
fn add_folded(sums: &[__m512i; 3], c: &mut [Z128]) {
    let mut stored = [[0; 8]; 3];
    for (stored, &sums) in stored.iter_mut().zip(sums) {
        store(stored, sums);
    }
    let mut folded = [0; 8];
    fold(&mut [stored], &mut folded);
    for (c, sum) in c.iter_mut().zip(folded) {
        *c += Z128(sum);
    }
}

/// C += A B in tiles of four rows and a vector.
#[target_feature(enable = "avx512f,avx512ifma")]
fn add_tiles_128(a: &[Z128], b: &[Z128], c: &mut [Z128], k: usize, n: usize) {
    let mut tile = Zeroizing::new(vec![[[0u64; 3]; TILE]; k]);
    for (a, c) in a.chunks(TILE * k).zip(c.chunks_mut(TILE * n)) {
        let a: [&[Z128]; TILE] = rows_of(a, k);
        for (i, tile) in tile.iter_mut().enumerate() {
            *tile = array!(r < TILE => {
                let x = a[r][i].0;
                [x as u64, (x >> 52) as u64, (x >> 104) as u64]
            });
        }
        for at in (0..n).step_by(8) {
            for (tile, b) in tile.chunks(FOLD).zip(b.chunks(FOLD * n)) {
                let mut sums = [[_mm512_setzero_si512(); 3]; TILE];
                for (x, b) in tile.iter().zip(b.chunks_exact(n)) {
                    let b = load_limbs(b, at);
                    for r in 0..TILE {
                        let x = array!(i < 3 => _mm512_set1_epi64(x[r][i] as i64));
                        add_limbs(&mut sums[r], b, x);
                    }
                }
                for (c, sums) in c.chunks_exact_mut(n).zip(&sums) {
                    add_folded(sums, &mut c[at..]);
                }
            }
        }
    }
}

/// Rows of the right factor that share a pass over the sums in [`add_row_128`].
const ROW_GROUP: usize = 4;

/// c += a B for rows a and c, reading B once and in order.
#[target_feature(enable = "avx512f,avx512ifma")]
fn add_row_128(a: &[Z128], b: &[Z128], c: &mut [Z128]) {
    let n = c.len();
    let mut sums: Zeroizing<Vec<Sums>> = Zeroizing::new(vec![[[0; 8]; 3]; n.div_ceil(8)]);
    for (a, b) in a.chunks(FOLD).zip(b.chunks(FOLD * n)) {
        for (a, b) in a.chunks(ROW_GROUP).zip(b.chunks(ROW_GROUP * n)) {
            let rows: [&[Z128]; ROW_GROUP] = rows_of(b, n);
            let x: [[__m512i; 3]; ROW_GROUP] =
                array!(r < ROW_GROUP => limbs(a.get(r).map_or(0, |a| a.0)));
            for (panel, sums) in sums.iter_mut().enumerate() {
                let mut s = array!(i < 3 => load(&sums[i]));
                for r in 0..ROW_GROUP {
                    add_limbs(&mut s, load_limbs(rows[r], 8 * panel), x[r]);
                }
                for i in 0..3 {
                    store(&mut sums[i], s[i]);
                }
            }
        }
        for (panel, sums) in sums.iter_mut().enumerate() {
            add_folded(&array!(i < 3 => load(&sums[i])), &mut c[8 * panel..]);
            *sums = [[0; 8]; 3];
        }
    }
}

/// c += A b for a vector b: lanes are columns of A here.
#[target_feature(enable = "avx512f,avx512ifma")]
fn add_times_vector_128(a: &[Z128], b: &[Z128], c: &mut [Z128]) {
    let k = b.len();
    for (a, c) in a.chunks(TILE * k).zip(c.chunks_mut(TILE)) {
        let a: [&[Z128]; TILE] = rows_of(a, k);
        for from in (0..k).step_by(8 * FOLD) {
            let until = k.min(from + 8 * FOLD);
            let mut sums = [[_mm512_setzero_si512(); 3]; TILE];
            for at in (from..until).step_by(8) {
                let b = load_limbs(b, at);
                for r in 0..TILE {
                    add_limbs(&mut sums[r], load_limbs(a[r], at), b);
                }
            }
            let sums = array!(r < TILE => {
                let mut lanes = [Z128(0); 8];
                add_folded(&sums[r], &mut lanes);
                lanes
            });
            for (c, lanes) in c.iter_mut().zip(sums) {
                for lane in lanes {
                    *c += lane;
                }
            }
        }
    }
}
