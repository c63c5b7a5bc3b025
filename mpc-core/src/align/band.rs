//! Key-value stores with random bands (docs/protocols.md 11.1; Bienstock, Patel, Seo, Yeo, USENIX
//! Security 2023; solved row by row as in ribbon filters, Dillinger and Walzer, 2021).
//!
//! A vector P of m elements stores v(x) for each x of a set: <row(x), P> = v(x), where row(x) is a
//! band of 256 bits at a place of x's own. All sums are exclusive or.

use std::ops::{BitAnd, BitXor, BitXorAssign};

use zeroize::{Zeroize, Zeroizing};

/// Bits of a band.
pub(super) const WIDTH: usize = 256;

const WORDS: usize = WIDTH / 64;

/// What a store holds: 64 or 128 bits.
pub(super) trait Element:
    Copy + Default + Zeroize + BitXor<Output = Self> + BitXorAssign + BitAnd<Output = Self>
{
    /// All ones if the bit is one.
    fn spread(bit: u64) -> Self;
}

impl Element for u64 {
    fn spread(bit: u64) -> Self {
        bit.wrapping_neg()
    }
}

impl Element for u128 {
    fn spread(bit: u64) -> Self {
        Self::from(bit).wrapping_neg()
    }
}

/// A row: where it begins, and its 256 bits, of which the first is one.
#[derive(Clone, Copy, Default)]
pub(super) struct Row {
    pub(super) start: u32,
    pub(super) band: [u64; WORDS],
}

/// The elements that `count` values take: a tenth more, and a band.
pub(super) fn elements(count: usize) -> usize {
    (count * 11).div_ceil(10) + WIDTH
}

impl Row {
    /// The sum of the elements that the row has.
    pub(super) fn of<E: Element>(&self, store: &[E]) -> E {
        let store = &store[self.start as usize..self.start as usize + WIDTH];
        let mut sum = E::default();
        for (&word, store) in self.band.iter().zip(store.chunks_exact(64)) {
            for (bit, &element) in store.iter().enumerate() {
                sum ^= element & E::spread(word >> bit & 1);
            }
        }
        sum
    }

    /// Moves the beginning to the first one; `None` if there is none.
    fn settled(mut self) -> Option<Self> {
        let zeros = self.band.iter().enumerate().find(|(_, word)| **word != 0);
        let (words, word) = zeros?;
        let by = 64 * words + word.trailing_zeros() as usize;
        self.start += by as u32;
        let (words, bits) = (by / 64, by % 64);
        let at = |i: usize| self.band.get(i).copied().unwrap_or(0);
        let mut band = [0; WORDS];
        for (i, word) in band.iter_mut().enumerate() {
            let above = if bits > 0 { at(i + words + 1) << (64 - bits) } else { 0 };
            *word = at(i + words) >> bits | above;
        }
        self.band = band;
        Some(self)
    }
}

impl Zeroize for Row {
    fn zeroize(&mut self) {
        self.start.zeroize();
        self.band.zeroize();
    }
}

/// The equations have no solution, or more than one value for a row: with probability below 2^-50 for rows
/// that are random, or when an id comes twice.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unsolvable;

/// A store of `len` elements of the given rows and values; `free` are as many random elements, which
/// stand where no row determines one.
///
/// # Errors
/// When there is none.
pub(super) fn encode<E: Element>(
    equations: &mut [(Row, E)],
    free: Zeroizing<Vec<E>>,
) -> Result<Zeroizing<Vec<E>>, Unsolvable> {
    let len = free.len();
    equations.sort_unstable_by_key(|(row, _)| row.start);
    // At each place the equation whose band begins there, if any has been found.
    let mut pivots: Zeroizing<Vec<(Row, E)>> = Zeroizing::new(vec![Default::default(); len]);
    for &(mut row, mut value) in equations.iter() {
        loop {
            let (pivot, known) = &mut pivots[row.start as usize];
            if pivot.band[0] & 1 == 0 {
                (*pivot, *known) = (row, value);
                break;
            }
            row.band.iter_mut().zip(pivot.band).for_each(|(word, other)| *word ^= other);
            value ^= *known;
            row = row.settled().ok_or(Unsolvable)?;
        }
    }
    let mut store = free;
    for at in (0..len).rev() {
        let (mut row, value) = pivots[at];
        if row.band[0] & 1 == 1 {
            row.band[0] ^= 1;
            // A pivot never reaches beyond the end, but the last ones have fewer than 256 elements
            // after them.
            let sum = tail(&row, &store);
            store[at] = value ^ sum;
        }
    }
    Ok(store)
}

/// The sum of the elements that a row has, which may begin fewer than 256 from the end.
fn tail<E: Element>(row: &Row, store: &[E]) -> E {
    if row.start as usize + WIDTH <= store.len() {
        return row.of(store);
    }
    let store = &store[row.start as usize..];
    store.iter().enumerate().fold(E::default(), |sum, (at, &element)| {
        sum ^ element & E::spread(row.band[at / 64] >> (at % 64) & 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rand::{MaskSite, Prg, Seed};
    use crate::ring::{Z64, Z128};

    fn equations(count: usize, len: usize, prg: &mut Prg) -> Vec<(Row, u64)> {
        let draws = prg.elements::<Z64>(6 * count, 64);
        draws
            .chunks_exact(6)
            .map(|draw| {
                let places = (len - WIDTH + 1) as u128;
                let start = ((u128::from(draw[0].0) * places) >> 64) as u32;
                let band = [draw[1].0 | 1, draw[2].0, draw[3].0, draw[4].0];
                (Row { start, band }, draw[5].0)
            })
            .collect()
    }

    fn prg() -> Prg {
        Prg::new(&Seed::fresh().expect("randomness"), MaskSite::AlignHint)
    }

    #[test]
    fn what_is_stored_is_read() {
        let mut prg = prg();
        for count in [0, 1, 2, 100, 1000, 5000] {
            let len = elements(count);
            let mut rows = equations(count, len, &mut prg);
            let due = rows.clone();
            let free = prg.elements::<Z64>(len, 64).iter().map(|x| x.0).collect();
            let store = encode(&mut rows, Zeroizing::new(free)).expect("random rows");
            assert_eq!(store.len(), len);
            assert!(due.iter().all(|(row, value)| row.of(&store) == *value));
        }
    }

    #[test]
    fn elements_that_no_row_determines_are_the_free_ones() {
        let mut prg = prg();
        let len = elements(300);
        let mut rows = equations(300, len, &mut prg);
        let store = encode(&mut rows.clone(), Zeroizing::new(vec![0; len])).expect("random rows");
        let zeros = store.iter().filter(|&&x| x == 0).count();
        assert_eq!(zeros, len - 300);
        let ones = vec![u64::MAX; len];
        let other = encode(&mut rows, Zeroizing::new(ones)).expect("random rows");
        assert!(store.iter().zip(other.iter()).all(|(&a, &b)| a != 0 || b == u64::MAX));
    }

    #[test]
    fn a_row_that_comes_twice_is_no_equation() {
        let mut prg = prg();
        let len = elements(50);
        let mut rows = equations(50, len, &mut prg);
        rows[7] = rows[31];
        assert!(encode(&mut rows, Zeroizing::new(vec![0; len])).is_err());
    }

    #[test]
    fn wide_elements_are_stored_alike() {
        let mut prg = prg();
        let len = elements(200);
        let values = prg.elements::<Z128>(200, 128);
        let rows = equations(200, len, &mut prg);
        let mut rows: Vec<_> = rows.iter().zip(values.iter()).map(|(r, v)| (r.0, v.0)).collect();
        let due = rows.clone();
        let store = encode(&mut rows, Zeroizing::new(vec![0; len])).expect("random rows");
        assert!(due.iter().all(|(row, value)| row.of(&store) == *value));
    }
}
