//! What is made of an id (docs/protocols.md 11.1).

use zeroize::{Zeroize, Zeroizing};

use super::band::{Row, WIDTH};
use super::code::DATA;
use crate::correlations::pairwise::block::{Block, Cipher};
use crate::error::Error;
use crate::rand::hash;

/// Ids that a bin has at least on the average, where there are several.
const BIN: u64 = 1 << 18;

/// Blocks of AES that are made of a digest: bin and start, two of the band, value.
const DRAWS: usize = 4;

/// Digests that are expanded together.
const CHUNK: usize = 256;

/// The public random functions of one session.
pub(super) struct Functions {
    session: [u8; 32],
    places: Cipher,
    tags: Cipher,
}

impl Functions {
    pub(super) fn new(session: [u8; 32]) -> Self {
        let cipher = |domain| Cipher::new(&key(domain, &[&session]));
        Self { session, places: cipher("alignment places"), tags: cipher("alignment tags") }
    }

    /// The digest of an encoded id.
    pub(super) fn digest(&self, id: &[u8]) -> Block {
        let mut digest = [0; 16];
        digest.copy_from_slice(&hash("alignment id", &[&self.session, id])[..16]);
        digest
    }

    /// The tag of each digest: random, of 16 bytes.
    pub(super) fn tags(&self, digests: &[Block]) -> Zeroizing<Vec<Block>> {
        let mut tags = Vec::new();
        self.tags.expand(digests, 1, &mut tags);
        Zeroizing::new(tags)
    }

    /// The bin of each digest, of so many.
    pub(super) fn bins(&self, digests: &[Block], bins: usize) -> Vec<u32> {
        let mut all = Vec::with_capacity(digests.len());
        self.each(digests, |draw| {
            let wide =
                u64::from(u32::from_le_bytes([draw[0][0], draw[0][1], draw[0][2], draw[0][3]]));
            all.push(((wide * bins as u64) >> 32) as u32);
        });
        all
    }

    /// The row of each digest in a store of `len` elements, and its value of 68 bits.
    pub(super) fn rows(&self, digests: &[Block], len: usize, mut take: impl FnMut(Row, u128)) {
        let places = (len - WIDTH + 1) as u128;
        self.each(digests, |draw| {
            let [first, low, high, value] = [0, 1, 2, 3].map(|i| u128::from_le_bytes(draw[i]));
            let start = (((first >> 64) * places) >> 64) as u32;
            let words = [low as u64 | 1, (low >> 64) as u64, high as u64, (high >> 64) as u64];
            take(Row { start, band: words }, value & ((1 << DATA) - 1));
        });
    }

    fn each(&self, digests: &[Block], mut take: impl FnMut(&[Block])) {
        let mut drawn = Zeroizing::new(Vec::new());
        for digests in digests.chunks(CHUNK) {
            self.places.expand(digests, DRAWS, &mut drawn);
            drawn.chunks_exact(DRAWS).for_each(&mut take);
        }
    }
}

/// The key of a public permutation.
pub(super) fn key(domain: &str, parts: &[&[u8]]) -> Block {
    let mut key = [0; 16];
    key.copy_from_slice(&hash(domain, parts)[..16]);
    key
}

/// Into how many bins the ids of all parties fall.
pub(super) fn bins(bounds: &[u64]) -> usize {
    (bounds.iter().max().copied().unwrap_or(0) / BIN).max(1) as usize
}

/// How many of at most `bound` ids a bin of so many holds, but with probability below 2^-50 (Bernstein).
pub(super) fn capacity(bound: u64, bins: usize) -> usize {
    let mean = bound as f64 / bins as f64;
    let most = (mean + 11.6 + libm::sqrt(134.0 + 69.4 * mean)).ceil();
    bound.min(most as u64) as usize
}

/// The digests of a party by bin, each with the number of the record that it came from.
pub(super) struct Binned {
    /// In the order of bins.
    pub(super) digests: Zeroizing<Vec<Block>>,
    /// The record of each.
    pub(super) records: Vec<u32>,
    /// Where each bin begins, and the end.
    pub(super) starts: Vec<usize>,
}

impl Binned {
    /// # Errors
    /// When an id comes twice, or a bin overflows.
    pub(super) fn new(
        functions: &Functions,
        digests: &[Block],
        bins: usize,
        capacity: usize,
    ) -> Result<Self, Error> {
        let of = functions.bins(digests, bins);
        let mut order: Vec<(u32, u128, u32)> = of
            .iter()
            .zip(digests.iter())
            .zip(0..)
            .map(|((&bin, digest), record)| (bin, u128::from_le_bytes(*digest), record))
            .collect();
        order.sort_unstable();
        let twice = order.windows(2).find(|pair| pair[0].1 == pair[1].1);
        if let Some([first, second]) = twice {
            let records = [first.2.min(second.2), first.2.max(second.2)].map(|record| record + 1);
            order.zeroize();
            return Err(Error::Range(format!(
                "records {} and {} have the same id, and an alignment needs each id once",
                records[0], records[1]
            )));
        }
        let mut starts = vec![0; bins + 1];
        of.iter().for_each(|&bin| starts[bin as usize + 1] += 1);
        let fullest = starts.iter().max().copied().unwrap_or(0);
        if fullest > capacity {
            order.zeroize();
            return Err(Error::Range(format!(
                "a part of the ids has {fullest} where {capacity} fit, by chance: start again"
            )));
        }
        (0..bins).for_each(|bin| starts[bin + 1] += starts[bin]);
        let digests = Zeroizing::new(order.iter().map(|entry| entry.1.to_le_bytes()).collect());
        let records = order.iter().map(|entry| entry.2).collect();
        order.zeroize();
        Ok(Self { digests, records, starts })
    }

    /// Where the digests of a bin are.
    pub(super) fn range(&self, bin: usize) -> std::ops::Range<usize> {
        self.starts[bin]..self.starts[bin + 1]
    }

    /// The number of bins.
    pub(super) fn bins(&self) -> usize {
        self.starts.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stay_within_their_store_and_bins_are_even() {
        let functions = Functions::new([3; 32]);
        let digests: Vec<Block> =
            (0..20_000u32).map(|i| functions.digest(&i.to_le_bytes())).collect();
        let len = 700;
        let mut starts = std::collections::BTreeSet::new();
        functions.rows(&digests, len, |row, value| {
            assert!(row.start as usize + WIDTH <= len && row.band[0] & 1 == 1);
            assert!(value >> DATA == 0);
            starts.insert(row.start);
        });
        assert_eq!(starts.len(), len - WIDTH + 1);
        let of = functions.bins(&digests, 5);
        for bin in 0..5 {
            let count = of.iter().filter(|&&it| it == bin).count();
            assert!(count <= capacity(20_000, 5) && count > 3400, "{count}");
        }
    }

    #[test]
    fn capacities_are_above_the_mean_and_below_the_bound() {
        assert_eq!(capacity(7, 1), 7);
        assert_eq!(capacity(0, 3), 0);
        let capacity = capacity(40 << 18, 40);
        assert!(capacity > (1 << 18) + 4000 && capacity < (1 << 18) + 4400, "{capacity}");
        assert_eq!(bins(&[5, 10_000_000]), 38);
    }

    #[test]
    fn an_id_that_comes_twice_is_named_by_its_records() {
        let functions = Functions::new([4; 32]);
        let ids = ["a", "b", "c", "b"].map(|id| functions.digest(id.as_bytes()));
        let error = Binned::new(&functions, &ids, 1, 4).err();
        let text = error.expect("refused").to_string();
        assert!(text.contains("records 2 and 4"), "{text}");
    }
}
