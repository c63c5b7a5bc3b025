//! Blocks of 128 bits and what AES makes of them.

use aes::Aes128;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use zeroize::Zeroizing;

use crate::rand::Coins;
use crate::ring::PackedBits;

#[cfg(target_arch = "x86_64")]
use crate::ring::kernels::aes::VectorAes;

/// 128 bits; bit r is bit r mod 8 of byte r / 8.
pub(crate) type Block = [u8; 16];

#[inline(always)]
pub(crate) fn xor(a: Block, b: Block) -> Block {
    (u128::from_le_bytes(a) ^ u128::from_le_bytes(b)).to_le_bytes()
}

pub(crate) fn xor_into(to: &mut [Block], from: &[Block]) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to = xor(*to, from);
    }
}

/// Swaps two blocks if `choice` is one; in constant time.
#[inline(always)]
pub(crate) fn swap_if(choice: u32, a: &mut Block, b: &mut Block) {
    let mask = u128::from(choice & 1).wrapping_neg();
    let (x, y) = (u128::from_le_bytes(*a), u128::from_le_bytes(*b));
    let difference = (x ^ y) & mask;
    *a = (x ^ difference).to_le_bytes();
    *b = (y ^ difference).to_le_bytes();
}

/// AES-128 under one key: the `aes` crate, constant-time, in hardware where there is any. Seeds are
/// expanded by a kernel of our own where the processor has vector AES.
pub(crate) struct Cipher {
    aes: Aes128,
    #[cfg(target_arch = "x86_64")]
    vector: Option<VectorAes>,
}

impl Cipher {
    pub(crate) fn new(key: &Block) -> Self {
        Self {
            aes: Aes128::new(&Array::from(*key)),
            #[cfg(target_arch = "x86_64")]
            vector: VectorAes::new(key),
        }
    }

    /// The permutation of a family of public keys: E under the key that is block `index` of the
    /// stream of this cipher.
    pub(crate) fn keyed(&self, index: u64) -> Self {
        let mut key = [u128::from(index).to_le_bytes()];
        self.encrypt(&mut key);
        Self::new(&key[0])
    }

    pub(crate) fn encrypt(&self, blocks: &mut [Block]) {
        self.aes.encrypt_blocks(Array::cast_slice_from_core_mut(blocks));
    }

    /// Blocks `from`, `from` + 1, .. of the counter stream.
    pub(crate) fn stream(&self, from: u64, out: &mut [Block]) {
        for (block, counter) in out.iter_mut().zip(from..) {
            *block = u128::from(counter).to_le_bytes();
        }
        self.encrypt(out);
    }

    /// `count` blocks for each seed s: E(s + j) + s + j for j = 0, 1, .. (+ is xor), one seed
    /// after the other.
    ///
    /// # Security
    /// The key is public. Davies-Meyer in the ideal-cipher model is a pseudorandom generator for
    /// seeds that are uniform and secret: two of the inputs s + j collide with probability below
    /// n^2 / 2^128 for n blocks under one key, and else every output is E at a point of its own
    /// (Guo, Katz, Wang, Weng, Yu, CRYPTO 2020, who also show why each tree needs a key of its own
    /// for security over many instances; every tree here has one).
    pub(crate) fn expand(&self, seeds: &[Block], count: usize, out: &mut Vec<Block>) {
        // Every block is written, so what a buffer held before does not matter.
        out.resize(seeds.len() * count, [0; 16]);
        #[cfg(target_arch = "x86_64")]
        if let Some(vector) = &self.vector {
            return vector.expand(seeds, count, out);
        }
        for (out, &seed) in out.chunks_exact_mut(count).zip(seeds) {
            let seed = u128::from_le_bytes(seed);
            for (block, j) in out.iter_mut().zip(0u128..) {
                *block = (seed ^ j).to_le_bytes();
            }
        }
        self.encrypt(out);
        for (out, &seed) in out.chunks_exact_mut(count).zip(seeds) {
            let seed = u128::from_le_bytes(seed);
            for (block, j) in out.iter_mut().zip(0u128..) {
                *block = (u128::from_le_bytes(*block) ^ seed ^ j).to_le_bytes();
            }
        }
    }
}

/// The tweakable correlation-robust hash H(x, i) = p(p(x) + i) + p(x), p = AES under a public key
/// that belongs to one session, ordered pair and base-OT transcript.
///
/// # Security
/// TMMO of Guo, Katz, Wang, Yu, "Efficient and Secure Multiparty Computation from Fixed-Key Block
/// Ciphers" (S&P 2020, section 7.4): tweakable circular correlation robust for a random
/// permutation, loss about (q + p)^2 / 2^128 for q hashes and p of the adversary's own
/// evaluations. A tweak (index of the OT, block) is used once under one Delta: the index counts
/// all OTs of the instance and never goes back, and every instance (direction, fork, restart) has
/// a Delta and a key of its own.
pub(crate) struct CrHash(Cipher);

impl CrHash {
    const CHUNK: usize = 128;

    pub(crate) fn new(key: &Block) -> Self {
        Self(Cipher::new(key))
    }

    /// Tells batches of tweaks apart that begin at `first`, here and in other instances.
    pub(crate) fn fingerprint(&self, first: u64) -> Block {
        let mut block = [u128::from(first).to_le_bytes()];
        self.0.encrypt(&mut block);
        block[0]
    }

    /// out[i per + j] = H(x[i], (first + i, j)).
    pub(crate) fn hash(&self, x: &[Block], first: u64, per: usize, out: &mut [Block]) {
        let mut inner = Zeroizing::new([[0; 16]; Self::CHUNK]);
        let mut index = first;
        for (x, out) in x.chunks(Self::CHUNK).zip(out.chunks_mut(Self::CHUNK * per)) {
            let inner = &mut inner[..x.len()];
            inner.copy_from_slice(x);
            self.0.encrypt(inner);
            for (out, inner) in out.chunks_exact_mut(per).zip(inner.iter()) {
                let inner = u128::from_le_bytes(*inner) ^ u128::from(index);
                for (out, j) in out.iter_mut().zip(0u128..) {
                    *out = (inner ^ (j << 64)).to_le_bytes();
                }
                index += 1;
            }
            self.0.encrypt(out);
            for (out, inner) in out.chunks_exact_mut(per).zip(inner.iter()) {
                for out in out {
                    *out = xor(*out, *inner);
                }
            }
        }
    }
}

impl CrHash {
    /// Adds the first 64 bits of H(x[i], tweak[i]) to sum i, each block being a tweak of its own. The
    /// tweaks are used once under one Delta; they share the key with no other use of it.
    pub(crate) fn tweaked(&self, x: &[Block], tweaks: &[Block], sums: &mut [u64]) {
        let mut inner = Zeroizing::new([[0; 16]; Self::CHUNK]);
        let mut outer = Zeroizing::new([[0; 16]; Self::CHUNK]);
        let chunks = x.chunks(Self::CHUNK).zip(tweaks.chunks(Self::CHUNK));
        for ((x, tweaks), sums) in chunks.zip(sums.chunks_mut(Self::CHUNK)) {
            let (inner, outer) = (&mut inner[..x.len()], &mut outer[..x.len()]);
            inner.copy_from_slice(x);
            self.0.encrypt(inner);
            for ((outer, inner), tweak) in outer.iter_mut().zip(&*inner).zip(tweaks) {
                *outer = xor(*inner, *tweak);
            }
            self.0.encrypt(outer);
            for ((sum, outer), inner) in sums.iter_mut().zip(&*outer).zip(&*inner) {
                *sum ^= u128::from_le_bytes(xor(*outer, *inner)) as u64;
            }
        }
    }
}

/// Secret bits, packed into blocks; the last block is filled up with zeros.
#[derive(Default)]
pub(crate) struct Bits {
    blocks: Zeroizing<Vec<Block>>,
    len: usize,
}

impl Bits {
    pub(crate) fn push(&mut self, bit: u32) {
        if self.len.is_multiple_of(128) {
            self.blocks.push([0; 16]);
        }
        let at = self.len % 128;
        if let Some(block) = self.blocks.last_mut() {
            block[at / 8] |= ((bit & 1) << (at % 8)) as u8;
        }
        self.len += 1;
    }

    pub(crate) fn blocks(&self) -> &[Block] {
        &self.blocks
    }
}

impl From<&PackedBits> for Bits {
    /// The planes one behind the other.
    fn from(bits: &PackedBits) -> Self {
        let blocks = bits.row().iter().map(|word| word.to_le_bytes()).collect();
        Self { blocks: Zeroizing::new(blocks), len: bits.planes() * bits.lanes() }
    }
}

/// 128 fresh bits for each of `count` blocks.
pub(crate) fn fresh(count: usize, coins: &mut Coins) -> Zeroizing<Vec<Block>> {
    let mut blocks = Zeroizing::new(vec![[0; 16]; count]);
    coins.fill("blocks", blocks.as_flattened_mut());
    blocks.iter().for_each(|block| crate::rand::drawn::note("block", block));
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 197, appendix B: the crate underneath is AES-128 in the byte order taken here.
    #[test]
    fn it_is_aes() {
        let key = 0x2b7e_1516_28ae_d2a6_abf7_1588_09cf_4f3c_u128.to_be_bytes();
        let mut block = [0x3243_f6a8_885a_308d_3131_98a2_e037_0734_u128.to_be_bytes()];
        Cipher::new(&key).encrypt(&mut block);
        assert_eq!(block[0], 0x3925_841d_02dc_09fb_dc11_8597_196a_0b32_u128.to_be_bytes());
    }

    #[test]
    fn tweaks_and_inputs_give_hashes_of_their_own() {
        let hash = CrHash::new(&[7; 16]);
        let x = [[1; 16], [1; 16], [2; 16]];
        let mut all = vec![[0; 16]; 6];
        hash.hash(&x, 40, 2, &mut all);
        for i in 0..6 {
            assert!((0..i).all(|j| all[i] != all[j]));
        }
        let mut one = vec![[0; 16]; 2];
        hash.hash(&x[1..2], 41, 2, &mut one);
        assert_eq!(one, all[2..4]);
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn vector_aes_expands_as_the_crate_does() {
        for key in [[0; 16], [7; 16], 0x2b7e_1516_28ae_d2a6_abf7_1588_09cf_4f3c_u128.to_be_bytes()]
        {
            let vector = Cipher::new(&key);
            let plain = Cipher { vector: None, ..Cipher::new(&key) };
            for count in 1..40 {
                for seeds in [1, 2, 3, 9] {
                    let seeds: Vec<Block> =
                        (0..seeds).map(|i: u8| [i.wrapping_mul(31) ^ count as u8; 16]).collect();
                    let (mut a, mut b) = (Vec::new(), vec![[9; 16]; 3]);
                    vector.expand(&seeds, count, &mut a);
                    plain.expand(&seeds, count, &mut b);
                    assert_eq!(a, b, "{count} blocks of {} seeds", seeds.len());
                }
            }
        }
    }

    #[test]
    fn swapping_is_conditional() {
        let (mut a, mut b) = ([1; 16], [2; 16]);
        swap_if(0, &mut a, &mut b);
        assert_eq!((a, b), ([1; 16], [2; 16]));
        swap_if(1, &mut a, &mut b);
        assert_eq!((a, b), ([2; 16], [1; 16]));
    }
}
