//! The expansion of seeds with AES on four blocks at a time, for processors that have vector AES.
//!
//! Trees of seeds are bound by AES, and the way through memory that a cipher of single blocks takes
//! costs as much again: here the input of a block is made in a register, and the output is the
//! first thing that is stored.

#![allow(
    unsafe_code,
    reason = "vector loads and stores take pointers, and a call into #[target_feature] code \
              promises that the processor has it"
)]

use std::arch::x86_64::*;
use std::sync::LazyLock;

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::Level;

const ROUNDS: usize = 10;

/// 128 bits, in the order of bytes of AES.
type Block = [u8; 16];

/// The round keys of AES-128. Exists only where the processor has vector AES. Wiped on drop.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct VectorAes([Block; ROUNDS + 1]);

static HAS: LazyLock<bool> = LazyLock::new(|| {
    matches!(Level::of_processor(), Level::Avx512(_))
        && std::arch::is_x86_feature_detected!("aes")
        && std::arch::is_x86_feature_detected!("vaes")
});

impl VectorAes {
    /// The schedule of a key, if the processor has the instructions.
    pub(crate) fn new(key: &Block) -> Option<Self> {
        // SAFETY: the processor was asked.
        HAS.then(|| Self(unsafe { schedule(key) }))
    }

    /// `count` blocks for each seed s: E(s + j) + s + j for j = 0, 1, .. (+ is xor).
    ///
    /// # Panics
    /// Unless `out` has so many blocks.
    pub(crate) fn expand(&self, seeds: &[Block], count: usize, out: &mut [Block]) {
        assert_eq!(out.len(), seeds.len() * count);
        // SAFETY: self exists, so the processor has the features.
        unsafe {
            if count == 2 {
                expand_twice(&self.0, seeds, out);
            } else {
                for (seed, out) in seeds.iter().zip(out.chunks_exact_mut(count.max(1))) {
                    expand_one(&self.0, seed, out);
                }
            }
        }
    }
}

/// The next round key from the last one, by AESKEYGENASSIST of it.
#[target_feature(enable = "sse2")]
fn next_key(key: __m128i, assist: __m128i) -> __m128i {
    // Every word becomes the sum of itself and all words before it.
    let one = _mm_xor_si128(key, _mm_slli_si128::<4>(key));
    let all = _mm_xor_si128(one, _mm_slli_si128::<8>(one));
    _mm_xor_si128(all, _mm_shuffle_epi32::<0xff>(assist))
}

#[target_feature(enable = "aes,sse2")]
fn schedule(key: &Block) -> [Block; ROUNDS + 1] {
    let mut keys = [*key; ROUNDS + 1];
    // SAFETY: a block has 16 bytes.
    let mut last = unsafe { _mm_loadu_si128(key.as_ptr().cast()) };
    macro_rules! round {
        ($round:literal, $constant:literal) => {
            last = next_key(last, _mm_aeskeygenassist_si128::<$constant>(last));
            // SAFETY: a block has 16 bytes.
            unsafe { _mm_storeu_si128(keys[$round].as_mut_ptr().cast(), last) };
        };
    }
    round!(1, 0x01);
    round!(2, 0x02);
    round!(3, 0x04);
    round!(4, 0x08);
    round!(5, 0x10);
    round!(6, 0x20);
    round!(7, 0x40);
    round!(8, 0x80);
    round!(9, 0x1b);
    round!(10, 0x36);
    keys
}

type Keys = [__m512i; ROUNDS + 1];

#[target_feature(enable = "avx512f")]
fn broadcast(keys: &[Block; ROUNDS + 1]) -> Keys {
    let mut out = [_mm512_setzero_si512(); ROUNDS + 1];
    for (out, key) in out.iter_mut().zip(keys) {
        // SAFETY: a block has 16 bytes.
        *out = _mm512_broadcast_i32x4(unsafe { _mm_loadu_si128(key.as_ptr().cast()) });
    }
    out
}

/// E(x) + x of N vectors side by side, so that the rounds of one hide the latency of another.
#[target_feature(enable = "avx512f,vaes")]
fn davies_meyer<const N: usize>(keys: &Keys, x: [__m512i; N]) -> [__m512i; N] {
    let mut state = x;
    for state in &mut state {
        *state = _mm512_xor_si512(*state, keys[0]);
    }
    for key in &keys[1..ROUNDS] {
        for state in &mut state {
            *state = _mm512_aesenc_epi128(*state, *key);
        }
    }
    for (state, x) in state.iter_mut().zip(x) {
        *state = _mm512_xor_si512(_mm512_aesenclast_epi128(*state, keys[ROUNDS]), x);
    }
    state
}

/// Stores the first `blocks` of four blocks.
#[target_feature(enable = "avx512f")]
fn store(value: __m512i, blocks: usize, out: &mut [Block]) {
    let mask = if blocks >= 4 { u8::MAX } else { (1 << (2 * blocks)) - 1 };
    assert!(out.len() >= blocks.min(4));
    // SAFETY: the mask has two words for each of the blocks, which are within `out`.
    unsafe { _mm512_mask_storeu_epi64(out.as_mut_ptr().cast(), mask, value) };
}

/// All blocks of one seed.
#[target_feature(enable = "avx512f,vaes")]
fn expand_one(keys: &[Block; ROUNDS + 1], seed: &Block, out: &mut [Block]) {
    const SIDE: usize = 4;
    let keys = broadcast(keys);
    // SAFETY: a block has 16 bytes.
    let seed = _mm512_broadcast_i32x4(unsafe { _mm_loadu_si128(seed.as_ptr().cast()) });
    let first = _mm512_set_epi64(0, 3, 0, 2, 0, 1, 0, 0);
    let counter = |at: usize| {
        let at = at as i64;
        _mm512_xor_si512(
            seed,
            _mm512_add_epi64(first, _mm512_set_epi64(0, at, 0, at, 0, at, 0, at)),
        )
    };
    let mut at = 0;
    while out.len() - at > 4 * (SIDE - 1) {
        let made =
            davies_meyer(&keys, [counter(at), counter(at + 4), counter(at + 8), counter(at + 12)]);
        for made in made {
            store(made, out.len() - at, &mut out[at..]);
            at = (at + 4).min(out.len());
        }
    }
    while at < out.len() {
        let made = davies_meyer(&keys, [counter(at), counter(at + 4)]);
        for made in made {
            store(made, out.len() - at, &mut out[at..]);
            at = (at + 4).min(out.len());
        }
    }
}

/// Two blocks of each seed: the children of the nodes of a tree.
#[target_feature(enable = "avx512f,vaes")]
fn expand_twice(keys: &[Block; ROUNDS + 1], seeds: &[Block], out: &mut [Block]) {
    let keys = broadcast(keys);
    let twice = _mm512_set_epi64(3, 2, 3, 2, 1, 0, 1, 0);
    let counters = _mm512_set_epi64(0, 1, 0, 0, 0, 1, 0, 0);
    let pair = |seeds: &[Block]| {
        let words = if seeds.len() >= 2 { 0b1111 } else { 0b0011 };
        // SAFETY: the mask has the words of the first two seeds, or of the only one.
        let seeds = unsafe { _mm512_maskz_loadu_epi64(words, seeds.as_ptr().cast()) };
        _mm512_xor_si512(_mm512_permutexvar_epi64(twice, seeds), counters)
    };
    for (seeds, out) in seeds.chunks(8).zip(out.chunks_mut(16)) {
        let mut x = [_mm512_setzero_si512(); 4];
        for (x, seeds) in x.iter_mut().zip(seeds.chunks(2)) {
            *x = pair(seeds);
        }
        for (made, out) in davies_meyer(&keys, x).into_iter().zip(out.chunks_mut(4)) {
            store(made, out.len(), out);
        }
    }
}
