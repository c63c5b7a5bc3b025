//! Sums of signed limbs of 16 bits times tables: the inner loop of one-hot products
//! (docs/protocols.md 6.3).

#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use super::Level;

/// Limbs in a block of 16 bytes.
pub const LANES: usize = 8;

/// A limb as each of two neighbouring leaves has it.
type Pairs = [i16; 2 * LANES];

/// Two tables with an entry for each limb of each leaf, an even number of leaves.
pub struct Tables {
    blocks: usize,
    /// By pair of leaves, then by block: the entries of both leaves in turn.
    entries: [Vec<Pairs>; 2],
}

/// For each limb of a block: the sum of the limbs, and the sums of their products with each table.
pub type Sums = [[i32; LANES]; 3];

impl Tables {
    /// Takes both tables leaf by leaf, `blocks` blocks each.
    ///
    /// # Panics
    /// Unless they are of whole pairs of leaves, and equally large.
    #[must_use]
    pub fn new(blocks: usize, tables: [&[[i16; LANES]]; 2]) -> Self {
        assert!(blocks > 0 && tables[0].len() == tables[1].len());
        assert!(tables[0].len().is_multiple_of(2 * blocks), "leaves come in pairs");
        let paired = |table: &[[i16; LANES]]| {
            let pairs = table.chunks_exact(2 * blocks).flat_map(|pair| {
                let (even, odd) = pair.split_at(blocks);
                even.iter().zip(odd).map(|(even, odd)| {
                    let mut out = [0; 2 * LANES];
                    for lane in 0..LANES {
                        out[2 * lane] = even[lane];
                        out[2 * lane + 1] = odd[lane];
                    }
                    out
                })
            });
            pairs.collect()
        };
        Self { blocks, entries: tables.map(paired) }
    }

    /// Blocks of each leaf.
    #[must_use]
    pub fn blocks(&self) -> usize {
        self.blocks
    }

    /// The sums over all leaves of the limbs in `streams`, leaf by leaf: for each block, of s, f s
    /// and g s, f and g from the tables. Mod 2^32.
    ///
    /// # Panics
    /// Unless there are as many leaves as the tables have.
    pub fn sums(&self, level: Level, streams: &[[u8; 16]], out: &mut Vec<Sums>) {
        assert_eq!(streams.len(), 2 * self.entries[0].len(), "a stream for each leaf");
        out.clear();
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(level) => level.limb_sums(self, streams, out),
            _ => portable::sums(self, streams, out),
        }
    }
}
