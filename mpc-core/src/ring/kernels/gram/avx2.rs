//! The same for processors with AVX2 and fused multiplication and addition: a tile of both sums
//! at a time, in eight registers.

#![allow(
    unsafe_code,
    reason = "vector loads and stores take pointers, and a call into #[target_feature] code \
              promises that the processor has it"
)]

use std::arch::x86_64::*;

use super::super::Avx2;
use super::super::blocks::array;
use super::{Four, ONES, TILE, Tile};

impl Avx2 {
    pub(super) fn add_gram(self, rows: usize, a: &[Four], b: [&[Four]; 2], c: [&mut [Tile]; 2]) {
        // SAFETY: self exists, so the processor has AVX2 and FMA.
        unsafe { add(rows, a, b, c) }
    }
}

#[target_feature(enable = "avx2,fma")]
fn add(rows: usize, a: &[Four], b: [&[Four]; 2], c: [&mut [Tile]; 2]) {
    let [c0, c1] = c;
    let mut tiles = c0.iter_mut().zip(c1);
    for (i, a) in a.chunks_exact(rows).enumerate() {
        let groups = b[0].chunks_exact(rows).zip(b[1].chunks_exact(rows)).skip(i);
        for ((b0, b1), (c0, c1)) in groups.zip(&mut tiles) {
            add_tile(a, b0, b1, c0, c1);
        }
    }
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn add_tile(a: &[Four], b0: &[Four], b1: &[Four], c0: &mut Tile, c1: &mut Tile) {
    let ones = _mm256_set1_pd(ONES);
    let (mut sums0, mut sums1) = ([ones; TILE], [ones; TILE]);
    for ((a, b0), b1) in a.iter().zip(b0).zip(b1) {
        let (b0, b1) = (load(b0), load(b1));
        let a = array!(i < TILE => _mm256_broadcast_sd(&a[i]));
        for i in 0..TILE {
            sums0[i] = _mm256_fmadd_pd(a[i], b0, sums0[i]);
            sums1[i] = _mm256_fmadd_pd(a[i], b1, sums1[i]);
        }
    }
    for (c, sums) in [(c0, sums0), (c1, sums1)] {
        for (c, sum) in c.iter_mut().zip(sums) {
            let sum = _mm256_sub_epi64(_mm256_castpd_si256(sum), _mm256_castpd_si256(ones));
            add_to(c, sum);
        }
    }
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn load(from: &Four) -> __m256d {
    // SAFETY: the array has 32 bytes; the load needs no alignment.
    unsafe { _mm256_loadu_pd(from.as_ptr()) }
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn add_to(to: &mut [i64; TILE], sum: __m256i) {
    let at = to.as_mut_ptr().cast();
    // SAFETY: the array has 32 bytes; load and store need no alignment.
    unsafe { _mm256_storeu_si256(at, _mm256_add_epi64(_mm256_loadu_si256(at), sum)) }
}
