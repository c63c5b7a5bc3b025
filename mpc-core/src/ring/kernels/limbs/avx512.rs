//! The same for processors with AVX-512: two leaves and two blocks at a time, whose limbs are
//! interleaved so that one instruction multiplies and adds those of both leaves.

#![allow(
    unsafe_code,
    reason = "vector loads and stores take pointers, and a call into #[target_feature] code \
              promises that the processor has it"
)]

use std::arch::x86_64::*;

use super::super::Avx512;
use super::{LANES, Sums, Tables};

impl Avx512 {
    pub(super) fn limb_sums(self, tables: &Tables, streams: &[[u8; 16]], out: &mut Vec<Sums>) {
        out.resize(tables.blocks, [[0; LANES]; 3]);
        // SAFETY: self exists, so the processor has the features; the caller has compared the
        // lengths, and `out` has an element for each block.
        unsafe { limb_sums(tables, streams, out) }
    }
}

/// Where each of 32 limbs comes from: limb i of the one leaf, then limb i of the other.
const INTERLEAVE: [u16; 32] = {
    let mut places = [0; 32];
    let mut lane = 0;
    while lane < 16 {
        places[2 * lane] = lane as u16;
        places[2 * lane + 1] = 32 + lane as u16;
        lane += 1;
    }
    places
};

/// # Safety
/// `streams` has as many leaves as the tables, and `out` as many elements as a leaf has blocks.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn limb_sums(tables: &Tables, streams: &[[u8; 16]], out: &mut [Sums]) {
    let blocks = tables.blocks;
    let pairs = streams.len() / (2 * blocks);
    // SAFETY: the constant has 64 bytes.
    let interleave = unsafe { _mm512_loadu_si512(INTERLEAVE.as_ptr().cast()) };
    let ones = _mm512_set1_epi16(1);
    for block in (0..blocks).step_by(2) {
        // Of an odd last block the second half is not read and not written.
        let two = block + 1 < blocks;
        let half = if two { u8::MAX } else { 0b0011 };
        let whole: u16 = if two { u16::MAX } else { 0x00ff };
        let (mut s, mut f, mut g) =
            (_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512());
        for pair in 0..pairs {
            let leaf = 2 * pair * blocks + block;
            let entry = pair * blocks + block;
            // SAFETY: blocks `block` and, if the mask has it, the next one of both leaves are
            // within `streams`, and so are the entries in both tables; masked words are not read.
            let (even, odd, of_f, of_g) = unsafe {
                let stream = |at: usize| {
                    let words = streams.as_ptr().add(at).cast::<i64>();
                    _mm512_castsi256_si512(_mm256_maskz_loadu_epi64(half, words))
                };
                let table = |which: usize| {
                    let words = tables.entries[which].as_ptr().add(entry).cast::<i32>();
                    _mm512_maskz_loadu_epi32(whole, words)
                };
                (stream(leaf), stream(leaf + blocks), table(0), table(1))
            };
            let both = _mm512_permutex2var_epi16(even, interleave, odd);
            s = _mm512_add_epi32(s, _mm512_madd_epi16(both, ones));
            f = _mm512_add_epi32(f, _mm512_madd_epi16(both, of_f));
            g = _mm512_add_epi32(g, _mm512_madd_epi16(both, of_g));
        }
        for (which, sums) in [s, f, g].into_iter().enumerate() {
            let mut lanes = [0i32; 2 * LANES];
            // SAFETY: the array has 64 bytes.
            unsafe { _mm512_storeu_si512(lanes.as_mut_ptr().cast(), sums) };
            for (out, lanes) in out[block..].iter_mut().zip(lanes.as_chunks::<LANES>().0) {
                out[which] = *lanes;
            }
        }
    }
}
