//! How the extension trades computation for bytes, and what follows for its trees.

use zeroize::Zeroizing;

use super::super::block::Block;
use super::super::consistency::{CHECK_BYTES, tree_bytes};
use super::super::ggm;
use super::BASE;

/// How the extension trades computation for bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expansion {
    /// k = 4: four bytes an OT. For local networks.
    #[default]
    Fast,
    /// k = 8: two bytes an OT, and eight times the work. For slow links.
    Compact,
}

impl Expansion {
    pub(in super::super) const fn depth(self) -> u32 {
        match self {
            Self::Fast => 4,
            Self::Compact => 8,
        }
    }

    pub(super) const fn trees(self) -> usize {
        BASE / self.depth() as usize
    }

    /// Bytes from the receiver to the sender for a batch of `count` OTs; `checked` with the check of
    /// a covert session.
    #[must_use]
    pub const fn bytes(self, count: u64, checked: bool) -> u64 {
        let block = 16 * self.trees() as u64;
        let check = if checked && count > 0 { block + CHECK_BYTES as u64 } else { 0 };
        count.div_ceil(128) * block + check
    }

    /// Bytes from the receiver to the sender when the trees are set up.
    pub(crate) const fn setup_bytes(self, checked: bool) -> usize {
        LEVELS_BYTES + if checked { tree_bytes(self.trees()) } else { 0 }
    }
}

/// Bytes of the level sums of all trees.
pub(super) const LEVELS_BYTES: usize = BASE * ggm::LEVEL_BYTES;

/// The sender's Delta as its choices in the base OTs: at each level of each tree, the side that
/// the path to the hole leaves.
pub(in super::super) fn base_choices(delta: &Block, expansion: Expansion) -> Zeroizing<Vec<u8>> {
    let depth = expansion.depth();
    let holes = holes(delta, expansion);
    Zeroizing::new(
        holes
            .iter()
            .flat_map(|hole| (0..depth).map(move |l| 1 - (hole >> (depth - 1 - l) & 1) as u8))
            .collect(),
    )
}

pub(super) fn holes(delta: &Block, expansion: Expansion) -> Zeroizing<Vec<u32>> {
    let (depth, delta) = (expansion.depth(), u128::from_le_bytes(*delta));
    Zeroizing::new(
        (0..expansion.trees())
            .map(|tree| (delta >> (tree as u32 * depth)) as u32 & ((1 << depth) - 1))
            .collect(),
    )
}
