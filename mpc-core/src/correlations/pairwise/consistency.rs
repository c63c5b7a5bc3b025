//! What makes a deviating receiver of an extension visible (docs/protocols.md 6.2, Consistency): its
//! trees hang together, and it has the same choices in all of them.

use zeroize::Zeroizing;

use super::block::{Block, xor};
use super::ggm;
use super::rows::{PASS, ROWS};
use crate::rand::hash;
use crate::ring::kernels::clmul::Powers;

/// Bytes of a check of choices: their sum, and the digest of the sums of all rows.
pub(super) const CHECK_BYTES: usize = 16 + 32;

/// The sums of a batch under the challenge that its message sets.
pub(super) struct Check {
    powers: Powers,
    rows: Zeroizing<Vec<Block>>,
    choices: Zeroizing<[Block; 1]>,
    binding: [u8; 32],
    row: u64,
}

impl Check {
    /// For a batch that begins at `row`, whose choices were sent in `message`.
    pub(super) fn new(binding: &[u8; 32], row: u64, message: &[u8]) -> Self {
        let digest = hash("OT extension challenge", &[binding, &row.to_le_bytes(), message]);
        let mut challenge = [0; 16];
        challenge.copy_from_slice(&digest[..16]);
        Self {
            powers: Powers::new(challenge, PASS + 1),
            rows: Zeroizing::new(vec![[0; 16]; ROWS]),
            choices: Zeroizing::new([[0; 16]]),
            binding: *binding,
            row,
        }
    }

    /// The next n blocks of all rows.
    pub(super) fn rows(&mut self, rows: &[Block]) {
        self.powers.fold(rows, rows.len() / ROWS, &mut self.rows);
    }

    /// The next choices.
    pub(super) fn choices(&mut self, blocks: &[Block]) {
        self.powers.fold(blocks, blocks.len(), &mut *self.choices);
    }

    /// The receiver's message.
    pub(super) fn message(&self) -> [u8; CHECK_BYTES] {
        let mut message = [0; CHECK_BYTES];
        message[..16].copy_from_slice(&self.choices[0]);
        message[16..].copy_from_slice(&self.digest());
        message
    }

    /// Whether it is that of one who has the same choices in all trees, for the sender's rows.
    pub(super) fn accepts(mut self, delta: &Block, message: &[u8]) -> bool {
        let Some((choices, digest)) = message.split_at_checked(16) else { return false };
        let delta = u128::from_le_bytes(*delta);
        let mut sum = [0; 16];
        sum.copy_from_slice(choices);
        for (bit, row) in self.rows.iter_mut().enumerate() {
            let mask = (delta >> bit & 1).wrapping_neg();
            *row = xor(*row, (u128::from_le_bytes(sum) & mask).to_le_bytes());
        }
        self.digest() == digest
    }

    fn digest(&self) -> [u8; 32] {
        let rows: &[u8] = self.rows.as_flattened();
        hash("OT extension check", &[&self.binding, &self.row.to_le_bytes(), rows])
    }
}

/// Bytes that show that `trees` trees hang together.
pub(super) const fn tree_bytes(trees: usize) -> usize {
    32 * trees + 32
}

/// A hash of each leaf of a tree, as two halves.
fn leaves(binding: &[u8; 32], tree: usize, leaves: &[Block]) -> [Zeroizing<Vec<Block>>; 2] {
    let mut halves = [(); 2].map(|()| Zeroizing::new(Vec::with_capacity(leaves.len())));
    for leaf in leaves {
        let digest =
            Zeroizing::new(hash("OT tree", &[binding, &(tree as u64).to_le_bytes(), leaf]));
        for (half, part) in halves.iter_mut().zip(digest.as_chunks::<16>().0) {
            half.push(*part);
        }
    }
    halves
}

/// What the owner of the trees shows, and what the other side compares it with: for each tree the
/// sum of its leaves' hashes, then a digest of all hashes.
pub(super) struct Trees {
    binding: [u8; 32],
    sums: Vec<Block>,
    hashes: Zeroizing<Vec<Block>>,
}

impl Trees {
    pub(super) fn new(binding: &[u8; 32]) -> Self {
        Self { binding: *binding, sums: Vec::new(), hashes: Zeroizing::default() }
    }

    fn tree(&self) -> usize {
        self.sums.len() / 2
    }

    /// The owner's next tree.
    pub(super) fn own(&mut self, all: &[Block]) {
        for half in leaves(&self.binding, self.tree(), all) {
            self.sums.push(half.iter().fold([0; 16], |sum, &hash| xor(sum, hash)));
            self.hashes.extend_from_slice(&half);
        }
    }

    /// The other side's next tree, in relative order; the first leaf is not there. `sum` is what the
    /// owner sent for it.
    pub(super) fn punctured(&mut self, known: &[Block], hole: u32, sum: &[Block]) {
        for (mut half, &sum) in leaves(&self.binding, self.tree(), known).into_iter().zip(sum) {
            half[0] = half[1..].iter().fold(sum, |sum, &hash| xor(sum, hash));
            ggm::absolute_order(&mut half, hole);
            self.sums.push(sum);
            self.hashes.extend_from_slice(&half);
        }
    }

    pub(super) fn sums(&self) -> &[u8] {
        self.sums.as_flattened()
    }

    pub(super) fn digest(&self) -> [u8; 32] {
        let hashes: &[u8] = self.hashes.as_flattened();
        hash("OT trees", &[&self.binding, hashes])
    }
}

/// Whether one who sees the check of some choices cannot confirm a guess of all of them. For a test
/// that switches `MaskSite::OtCheck` off.
///
/// # Panics
/// When there is no randomness.
#[cfg(all(feature = "test-util", feature = "insecure-test-masks"))]
#[must_use]
pub fn choices_are_hidden(without: Option<crate::rand::MaskSite>) -> bool {
    use super::extension::{Expansion, ideal_pair};
    let switch = crate::rand::MaskSwitch::new(without);
    let (sender, mut receiver) = ideal_pair((Expansion::Fast, true), switch);
    let mut choices = super::block::Bits::default();
    (0..500).for_each(|i: u32| choices.push(i * i % 7 % 2));
    let mut message = Vec::new();
    receiver.extend(&choices, &mut message);
    let (sent, shown) = message.split_at(message.len() - CHECK_BYTES);
    // The challenge is public. The guess, and no choices that hide it.
    let mut guess = Check::new(&sender.challenges(), 0, sent);
    guess.choices(choices.blocks());
    guess.choices(&[[0; 16]]);
    guess.message()[..16] != shown[..16]
}
