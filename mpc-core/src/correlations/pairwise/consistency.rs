//! What makes a deviating receiver of an extension visible (docs/protocols.md 6.2, Consistency): its
//! trees hang together, and it has the same choices in all of them. And what makes a deviating sender of
//! one-hot products visible (6.3): its trees hang together, too.

use zeroize::Zeroizing;

use super::block::{Block, Cipher, xor};
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

/// One digest is sent for so many evaluations of a one-hot stage.
const GROUP: usize = 64;

/// Bytes of the sum of a one-hot tree's hashes.
pub(super) const LEAVES_BYTES: usize = 16;

/// Bytes of the digests of a stage of `count` evaluations.
pub(super) const fn stage_bytes(count: usize) -> usize {
    16 * count.div_ceil(GROUP)
}

/// The hash of each leaf of a one-hot tree: the block of its stream that follows those that are used.
fn leaf_hashes(cipher: &Cipher, leaves: &[Block], blocks: usize) -> Zeroizing<Vec<Block>> {
    let at = (blocks as u128).to_le_bytes();
    let shifted: Zeroizing<Vec<Block>> =
        Zeroizing::new(leaves.iter().map(|&leaf| xor(leaf, at)).collect());
    let mut hashes = Zeroizing::new(Vec::new());
    cipher.expand(&shifted, 1, &mut hashes);
    hashes
}

fn sum(hashes: &[Block]) -> Block {
    hashes.iter().fold([0; 16], |sum, &hash| xor(sum, hash))
}

/// What shows in a one-hot stage that the trees hang together: for each tree the sum of its leaves'
/// hashes, for each group of evaluations a digest of all hashes, with a challenge that the group's
/// message sets.
#[derive(Default)]
pub(super) struct Leaves {
    hashes: Zeroizing<Vec<Block>>,
    /// The number of leaves of each tree.
    trees: Vec<usize>,
    /// How many groups there were.
    groups: u64,
    /// Where in the message the group begins.
    begun: usize,
}

impl Leaves {
    /// The owner's next tree; gives the sum.
    pub(super) fn own(&mut self, cipher: &Cipher, leaves: &[Block], blocks: usize) -> Block {
        let hashes = leaf_hashes(cipher, leaves, blocks);
        self.hashes.extend_from_slice(&hashes);
        self.trees.push(leaves.len());
        sum(&hashes)
    }

    /// The other side's next tree, in relative order; the first leaf is not there. `shown` is the
    /// owner's sum.
    pub(super) fn punctured(
        &mut self,
        cipher: &Cipher,
        leaves: &[Block],
        blocks: usize,
        (hole, shown): (u32, Block),
    ) {
        let mut hashes = leaf_hashes(cipher, leaves, blocks);
        hashes[0] = xor(shown, sum(&hashes[1..]));
        ggm::absolute_order(&mut hashes, hole);
        self.hashes.extend_from_slice(&hashes);
        self.trees.push(leaves.len());
    }

    /// The digest of a group, if one is full, or the message `ends` here. `message` is what was sent so
    /// far in the stage, whose OTs begin at `first`; then the next group begins.
    pub(super) fn close(
        &mut self,
        binding: &[u8; 32],
        first: u64,
        message: &[u8],
        ends: bool,
    ) -> Option<Block> {
        let due = self.trees.len() >= 2 * GROUP || (ends && !self.trees.is_empty());
        due.then(|| {
            let begun = std::mem::replace(&mut self.begun, message.len());
            self.digest(binding, first, &message[begun..])
        })
    }

    /// [`close`](Self::close) for the whole `message` of a stage, which has come as far as `end` and whose
    /// evaluations end at `body`: whether the digest that is due is the one that stands behind them.
    pub(super) fn agrees(
        &mut self,
        binding: &[u8; 32],
        first: u64,
        message: &[u8],
        (end, body): (usize, usize),
    ) -> bool {
        let at = body + 16 * self.groups as usize;
        let digest = self.close(binding, first, &message[..end], end == body);
        digest.is_none_or(|digest| message.get(at..at + 16) == Some(&digest))
    }

    fn digest(&mut self, binding: &[u8; 32], first: u64, message: &[u8]) -> Block {
        let mut hasher = blake3::Hasher::new_derive_key("mpc-core/1 one-hot challenge");
        hasher.update(binding);
        hasher.update(&first.to_le_bytes());
        hasher.update(&self.groups.to_le_bytes());
        hasher.update(message);
        let mut challenge = [0; 16];
        challenge.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        let most = self.trees.iter().copied().max().unwrap_or_default();
        let powers = Powers::new(challenge, most + 1);
        let mut digest = [[0; 16]];
        let mut rest: &[Block] = &self.hashes;
        for &leaves in &self.trees {
            let (tree, after) = rest.split_at(leaves);
            powers.fold(tree, leaves, &mut digest);
            rest = after;
        }
        self.hashes.clear();
        self.trees.clear();
        self.groups += 1;
        digest[0]
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
    let challenges = sender.challenges().expect("batches are checked");
    let mut guess = Check::new(challenges, 0, sent);
    guess.choices(choices.blocks());
    guess.choices(&[[0; 16]]);
    guess.message()[..16] != shown[..16]
}
