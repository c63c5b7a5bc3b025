//! The linear code of the oblivious function: 68 bits become 192, of which any two words differ in
//! 37 at least (docs/protocols.md 11.1).
//!
//! The binary BCH code of length 255 whose generator has alpha, alpha^2, .., alpha^36 among its
//! roots has 131 bits of data and distance 37 (the BCH bound); words whose first 63 bits of data are
//! zero are this code. It is systematic: the word of a polynomial d is d x^124 + (d x^124 mod g).

use std::sync::LazyLock;

use crate::correlations::pairwise::block::{Block, xor_into};

/// Bits of a word of data.
pub(super) const DATA: usize = 68;
/// Bits of a word of the code.
pub(super) const PLACES: usize = 192;
/// Bits of parity.
const PARITY: usize = PLACES - DATA;

/// Bits of data that are taken together when rows of bits are encoded.
const GROUP: usize = 4;

/// For each bit of data the parity that it adds: bit i of the entry is the coefficient of x^i.
static PARITIES: LazyLock<[u128; DATA]> = LazyLock::new(|| {
    let generator = generator();
    let mut parities = [0; DATA];
    // x^124, x^125, .. mod g.
    let mut rest = generator ^ 1 << PARITY;
    for parity in &mut parities {
        *parity = rest;
        rest <<= 1;
        if rest >> PARITY & 1 == 1 {
            rest ^= generator;
        }
    }
    parities
});

/// The field of 256 elements mod x^8 + x^4 + x^3 + x^2 + 1, of which x is primitive.
fn times(a: u8, b: u8) -> u8 {
    (0..8).rev().fold(0u8, |sum, bit| {
        let doubled = sum << 1 ^ (sum >> 7).wrapping_mul(0x1d);
        doubled ^ a.wrapping_mul(b >> bit & 1)
    })
}

/// The product of x - alpha^e over all e that doubling reaches from 1, 3, .., 35: degree 124.
fn generator() -> u128 {
    let mut exponents = [false; 255];
    for first in (1..=35).step_by(2) {
        let mut e = first;
        while !exponents[e] {
            exponents[e] = true;
            e = 2 * e % 255;
        }
    }
    let power = |e: usize| (0..e).fold(1, |power, _| times(power, 2));
    let mut product = vec![1u8];
    for e in (0..255).filter(|&e| exponents[e]) {
        let root = power(e);
        product.push(0);
        for at in (0..product.len()).rev() {
            let lower = if at > 0 { product[at - 1] } else { 0 };
            product[at] = lower ^ times(product[at], root);
        }
    }
    // Conjugates together have coefficients 0 and 1.
    product.iter().rev().fold(0, |bits, &c| bits << 1 | u128::from(c & 1))
}

/// The parity of a word: bit i is place 68 + i. In constant time.
pub(super) fn parity(data: u128) -> u128 {
    PARITIES
        .iter()
        .enumerate()
        .fold(0, |sum, (bit, parity)| sum ^ parity & (data >> bit & 1).wrapping_neg())
}

/// Whether `word` has a one at `place`, given its data and parity.
pub(super) fn place(data: u128, parity: u128, place: usize) -> u128 {
    if place < DATA { data >> place & 1 } else { parity >> (place - DATA) & 1 }
}

/// From 68 rows of n blocks, bit by bit of the data of 128 n words, appends the 124 rows of their
/// parities.
pub(super) fn extend_rows(rows: &mut Vec<Block>, n: usize, scratch: &mut Vec<Block>) {
    debug_assert_eq!(rows.len(), DATA * n);
    rows.resize(PLACES * n, [0; 16]);
    scratch.resize(n << GROUP, [0; 16]);
    let (data, parities) = rows.split_at_mut(DATA * n);
    for (group, data) in data.chunks_exact(GROUP * n).enumerate() {
        // The sums of all choices of the rows of a group.
        scratch[..n].fill([0; 16]);
        for (bit, row) in data.chunks_exact(n).enumerate() {
            let (below, above) = scratch.split_at_mut(n << bit);
            let above = &mut above[..n << bit];
            above.copy_from_slice(below);
            above.chunks_exact_mut(n).for_each(|sum| xor_into(sum, row));
        }
        let columns = &PARITIES[GROUP * group..GROUP * (group + 1)];
        for (at, parity) in parities.chunks_exact_mut(n).enumerate() {
            let chosen = columns
                .iter()
                .enumerate()
                .fold(0, |sum, (bit, column)| sum | ((column >> at & 1) as usize) << bit);
            xor_into(parity, &scratch[chosen * n..(chosen + 1) * n]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correlations::pairwise::block::fresh;
    use crate::rand::Coins;

    #[test]
    fn the_generator_has_degree_124_and_all_roots() {
        let g = generator();
        assert_eq!(128 - g.leading_zeros() as usize, PARITY + 1);
        // Every word is a multiple of g, so it vanishes at alpha^1 .. alpha^36: the BCH bound.
        let mut coins = Coins::fresh().expect("randomness");
        for block in fresh(50, &mut coins).iter() {
            let data = u128::from_le_bytes(*block) & ((1 << DATA) - 1);
            let parity = parity(data);
            for e in 1..=36 {
                let alpha = (0..e).fold(1, |power, _| times(power, 2));
                let value = (0..PLACES).rev().fold(0u8, |sum, i| {
                    // Places in the order of powers: parity first.
                    let bit = if i < PARITY { parity >> i } else { data >> (i - PARITY) };
                    times(sum, alpha) ^ (bit & 1) as u8
                });
                assert_eq!(value, 0, "alpha^{e}");
            }
        }
    }

    #[test]
    fn words_differ_in_37_places() {
        let mut coins = Coins::fresh().expect("randomness");
        let weight = |data: u128| data.count_ones() + parity(data).count_ones();
        let low = (0..DATA).flat_map(|a| (0..a).map(move |b| 1u128 << a | 1 << b));
        let random = fresh(2000, &mut coins);
        let random = random.iter().map(|b| u128::from_le_bytes(*b) & ((1 << DATA) - 1));
        for data in low.chain((0..DATA).map(|a| 1 << a)).chain(random).filter(|&d| d != 0) {
            assert!(weight(data) >= 37, "{data:x}");
        }
    }

    #[test]
    fn rows_of_bits_are_encoded_like_words() {
        let n = 3;
        let mut coins = Coins::fresh().expect("randomness");
        let mut rows = fresh(DATA * n, &mut coins).to_vec();
        extend_rows(&mut rows, n, &mut Vec::new());
        let bit = |row: usize, word: usize| {
            u128::from(rows[row * n + word / 128][word % 128 / 8] >> (word % 8) & 1)
        };
        for word in 0..128 * n {
            let data = (0..DATA).fold(0, |sum, row| sum | bit(row, word) << row);
            let parity = parity(data);
            for at in 0..PLACES {
                assert_eq!(bit(at, word), place(data, parity, at), "word {word}, place {at}");
            }
        }
    }
}
