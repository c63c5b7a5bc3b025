//! OT extension: SoftSpoken OT (docs/protocols.md 6.2; Roy, CRYPTO 2022).
//!
//! Once: for each of the 128 / k groups of k bits of the sender's Delta, the receiver owns a tree
//! of 2^k seeds of which the sender knows all but the one at its k bits of Delta ([`ggm`], from k
//! base OTs).
//!
//! For each batch, with G the counter stream of AES under the seed: the receiver takes
//! u = sum_x G(seed_x) and v = sum_x x G(seed_x) (x as k bits, so v has k rows), and sends
//! u + choices. The sender takes w = sum_y y G(seed_(Delta + y)) = v + Delta u, which needs no
//! seed at y = 0, and adds Delta times what it received: q = v + Delta choices. After a
//! transposition, OT number j has q_j = t_j + c_j Delta: a correlated OT, which the hash breaks.
//!
//! In a covert session the receiver shows with each batch that it has the same choices in all trees,
//! and once that its trees hang together ([`consistency`](super::consistency)). 128 more OTs with
//! random choices hide what that says of the others.
//!
//! # Security
//! Each u hides the choices: the sender lacks the stream at Delta (AES as a pseudorandom
//! function). MaskSite: `OtChoice`. The sum of the choices is hidden by those that are thrown away.
//! MaskSite: `OtCheck`. To the receiver, Delta is hidden by the base OTs, and the hash
//! H(q_j), H(q_j + Delta) is correlation robust ([`CrHash`]).

use zeroize::{Zeroize, Zeroizing};

use super::block::{Bits, Block, Cipher, CrHash, fresh, xor};
use super::consistency::{CHECK_BYTES, Check, Trees};
use super::ggm;
use super::rows::{PASS, Scratch, fold, transpose};
use crate::rand::{Coins, MaskSite, MaskSwitch, drawn, hash};

pub use expansion::Expansion;
pub(super) use expansion::base_choices;
use expansion::{LEVELS_BYTES, holes};
#[cfg(any(test, all(feature = "test-util", feature = "insecure-test-masks")))]
pub(super) use pair::ideal_pair;
#[cfg(feature = "test-util")]
pub use pair::measure_extension;

/// Base OTs for each direction of a pair.
pub(super) const BASE: usize = 128;

/// The public keys of one instance: bound to the session, the direction, and the messages of the
/// base OTs, which are fresh at every start.
pub(super) struct Keys {
    seeds: Cipher,
    hash: Block,
    trees: Block,
    check: [u8; 32],
}

impl Keys {
    pub(super) fn new(
        binding: &super::base_ot::Binding,
        from_sender: &[u8],
        from_receiver: &[u8],
    ) -> Self {
        let bound = |domain: &str| {
            let parts: [&[u8]; 5] = [
                &binding.session,
                &(binding.sender as u64).to_le_bytes(),
                &(binding.receiver as u64).to_le_bytes(),
                from_sender,
                from_receiver,
            ];
            hash(domain, &parts)
        };
        let key = |domain: &str| {
            let mut key = [0; 16];
            key.copy_from_slice(&bound(domain)[..16]);
            // Under a key no tweak is used twice, so a tweak recurs only if a key does.
            drawn::note("key of tweaks", &key);
            key
        };
        Self {
            seeds: Cipher::new(&key("OT extension seeds")),
            hash: key("OT extension hash"),
            trees: key("one-hot trees"),
            check: bound("OT extension checks"),
        }
    }

    /// What the challenges of all batches are bound to: the trees too, which are sent after the base
    /// OTs.
    fn challenges(&self, levels: &[u8]) -> [u8; 32] {
        hash("OT extension challenges", &[&self.check, levels])
    }
}

/// Correlated OTs as one side holds them: t_j, or q_j = t_j + c_j Delta.
pub(crate) struct Cots {
    pub(super) blocks: Zeroizing<Vec<Block>>,
    /// The index of the first, which its tweaks are made of.
    pub(super) first: u64,
}

/// The side with Delta.
pub(crate) struct Sender {
    expansion: Expansion,
    /// What challenges are bound to, if batches are checked.
    checked: Option<[u8; 32]>,
    delta: Block,
    /// In relative order within each tree; the first of each is not there.
    seeds: Vec<Cipher>,
    row: u64,
    index: u64,
    hash: CrHash,
    trees: Cipher,
    switch: MaskSwitch,
}

/// The side with the choices.
pub(crate) struct Receiver {
    expansion: Expansion,
    /// What challenges are bound to, and the stream of the choices that hide the others, if batches
    /// are checked.
    checked: Option<([u8; 32], Cipher)>,
    seeds: Vec<Cipher>,
    row: u64,
    index: u64,
    hash: CrHash,
    trees: Cipher,
    switch: MaskSwitch,
}

impl Receiver {
    /// Makes the trees; gives the message that lets the sender make its own.
    pub(super) fn new(
        (expansion, checked): (Expansion, bool),
        keys: &Keys,
        base: &[[Block; 2]],
        switch: MaskSwitch,
        coins: &mut Coins,
    ) -> (Self, Vec<u8>) {
        let depth = expansion.depth();
        // One more for the choices that hide the others.
        let roots = fresh(expansion.trees() + 1, coins);
        let mut seeds = Vec::with_capacity(expansion.trees() << depth);
        let mut message = Vec::with_capacity(expansion.setup_bytes(checked));
        let mut leaves = Zeroizing::new(Vec::new());
        let mut trees = checked.then(|| Trees::new(&keys.check));
        for (tree, &root) in roots[..expansion.trees()].iter().enumerate() {
            let mut sums = Zeroizing::new(Vec::new());
            ggm::full(&keys.seeds.keyed(tree as u64), root, depth, &mut leaves, &mut sums);
            let base = &base[tree * depth as usize..];
            for (sums, pads) in sums.iter().zip(base) {
                message.extend_from_slice(&xor(sums[0], pads[0]));
                message.extend_from_slice(&xor(sums[1], pads[1]));
            }
            seeds.extend(leaves.iter().map(Cipher::new));
            trees.iter_mut().for_each(|trees| trees.own(&leaves));
        }
        let checked = trees.map(|trees| {
            let challenges = keys.challenges(&message);
            message.extend_from_slice(trees.sums());
            message.extend_from_slice(&trees.digest());
            (challenges, Cipher::new(&roots[expansion.trees()]))
        });
        let (hash, trees) = (CrHash::new(&keys.hash), Cipher::new(&keys.trees));
        (Self { expansion, checked, seeds, row: 0, index: 0, hash, trees, switch }, message)
    }

    /// Makes OTs with the given choices; appends to the message for the sender.
    pub(crate) fn extend(&mut self, choices: &Bits, message: &mut Vec<u8>) -> Cots {
        self.extend_but(choices, message, |_| {})
    }

    /// The same by one that changes its choices where it masks them: a test does.
    fn extend_but(
        &mut self,
        choices: &Bits,
        message: &mut Vec<u8>,
        change: impl FnOnce(&mut [u8]),
    ) -> Cots {
        let depth = self.expansion.depth() as usize;
        let (first, row, start) = (self.index, self.row, message.len());
        let mut all = Zeroizing::new(choices.blocks().to_vec());
        let count = all.len() * 128;
        if let Some((_, hiding)) = self.checked.as_ref().filter(|_| count > 0) {
            let mut block = [[0; 16]];
            if !self.switch.is_off(MaskSite::OtCheck) {
                hiding.stream(row, &mut block);
            }
            all.push(block[0]);
        }
        let mut blocks = Zeroizing::new(Vec::with_capacity(all.len() * 128));
        // All rows of the batch: the challenge is known when all choices were sent.
        let mut rows_of_batch = Zeroizing::new(Vec::new());
        let mut scratch = Scratch::new(depth, self.switch);
        for choices in all.chunks(PASS) {
            let n = choices.len();
            for (tree, seeds) in self.seeds.chunks_exact(1 << depth).enumerate() {
                for (seed, out) in seeds.iter().zip(scratch.streams.chunks_exact_mut(n)) {
                    seed.stream(self.row, out);
                }
                scratch.mask(n << depth);
                let rows = &mut scratch.rows[tree * depth * n..(tree + 1) * depth * n];
                fold(&mut scratch.streams[..n << depth], n, rows);
                for (u, &c) in scratch.streams[..n].iter().zip(choices) {
                    message.extend_from_slice(&xor(*u, c));
                }
            }
            transpose(&scratch.rows[..BASE * n], n, &mut blocks);
            if self.checked.is_some() {
                rows_of_batch.extend_from_slice(&scratch.rows[..BASE * n]);
            }
            self.row += n as u64;
        }
        change(&mut message[start..]);
        if let Some((challenges, _)) = self.checked.as_ref().filter(|_| count > 0) {
            let mut check = Check::new(challenges, row, &message[start..]);
            for (choices, rows) in all.chunks(PASS).zip(rows_of_batch.chunks(BASE * PASS)) {
                check.choices(choices);
                check.rows(rows);
            }
            message.extend_from_slice(&check.message());
        }
        self.index += blocks.len() as u64;
        if !blocks.is_empty() {
            drawn::note("tweaks", &self.hash.fingerprint(first));
        }
        blocks.truncate(count);
        Cots { blocks, first }
    }

    /// H(t_j) for the OTs `from`.. of a batch: the pad of the chosen side, `per` blocks each.
    pub(crate) fn pads(&self, cots: &Cots, from: usize, per: usize, out: &mut [Block]) {
        let t = &cots.blocks[from..from + out.len() / per];
        self.hash.hash(t, cots.first + from as u64, per, out);
    }

    pub(super) fn trees(&self) -> &Cipher {
        &self.trees
    }

    /// What challenges are bound to, if deviations are looked for.
    pub(super) fn challenges(&self) -> Option<&[u8; 32]> {
        self.checked.as_ref().map(|(challenges, _)| challenges)
    }

    /// The masks that a test has switched off.
    pub(super) fn switch(&self) -> MaskSwitch {
        self.switch
    }
}

impl Sender {
    /// The sender's trees; `base` are the keys chosen by [`base_choices`].
    ///
    /// # Errors
    /// What is wrong with the message.
    pub(super) fn new(
        (expansion, checked): (Expansion, bool),
        keys: &Keys,
        delta: Block,
        base: &[Block],
        message: &[u8],
        switch: MaskSwitch,
    ) -> Result<Self, &'static str> {
        if message.len() != expansion.setup_bytes(checked) || base.len() != BASE {
            return Err("not the trees due");
        }
        let (message, shown) = message.split_at(LEVELS_BYTES);
        let (sums, digest) = shown.split_at(shown.len().saturating_sub(32));
        let mut trees = checked.then(|| Trees::new(&keys.check));
        let mut sums = sums.as_chunks::<16>().0.chunks_exact(2);
        let depth = expansion.depth();
        let choices = base_choices(&delta, expansion);
        // The chosen side of each level, without a secret index.
        let chosen: Zeroizing<Vec<Block>> = Zeroizing::new(
            message
                .as_chunks::<16>()
                .0
                .as_chunks::<2>()
                .0
                .iter()
                .zip(base)
                .zip(choices.iter())
                .map(|((&[mut left, mut right], &pad), &choice)| {
                    super::block::swap_if(u32::from(choice), &mut left, &mut right);
                    xor(left, pad)
                })
                .collect(),
        );
        let mut seeds = Vec::with_capacity(expansion.trees() << depth);
        let mut leaves = Zeroizing::new(Vec::new());
        let groups = chosen.chunks_exact(depth as usize);
        for (tree, (chosen, &hole)) in groups.zip(holes(&delta, expansion).iter()).enumerate() {
            ggm::punctured(&keys.seeds.keyed(tree as u64), chosen, hole, depth, &mut leaves);
            seeds.extend(leaves.iter().map(Cipher::new));
            if let (Some(trees), Some(sum)) = (&mut trees, sums.next()) {
                trees.punctured(&leaves, hole, sum);
            }
        }
        if trees.is_some_and(|trees| trees.digest() != digest) {
            return Err("trees that do not hang together");
        }
        let checked = checked.then(|| keys.challenges(message));
        let (hash, trees) = (CrHash::new(&keys.hash), Cipher::new(&keys.trees));
        Ok(Self { expansion, checked, delta, seeds, row: 0, index: 0, hash, trees, switch })
    }

    /// Makes `count` OTs from the receiver's message.
    ///
    /// # Errors
    /// What is wrong with the message. The extension is then of no use any more.
    pub(crate) fn extend(&mut self, count: usize, message: &[u8]) -> Result<Cots, &'static str> {
        if message.len() as u64 != self.expansion.bytes(count as u64, self.checked.is_some()) {
            return Err("not the choices due");
        }
        let shown = if count > 0 && self.checked.is_some() { CHECK_BYTES } else { 0 };
        let (message, shown) = message.split_at(message.len() - shown);
        let checked = self.checked.as_ref().filter(|_| count > 0);
        let mut check = checked.map(|it| Check::new(it, self.row, message));
        let depth = self.expansion.depth() as usize;
        let first = self.index;
        let mut blocks = Zeroizing::new(Vec::with_capacity(count.div_ceil(128) * 128));
        let mut scratch = Scratch::new(depth, self.switch);
        let delta = u128::from_le_bytes(self.delta);
        for message in message.as_chunks::<16>().0.chunks(PASS * self.expansion.trees()) {
            let n = message.len() / self.expansion.trees();
            let trees = self.seeds.chunks_exact(1 << depth).zip(message.chunks_exact(n));
            for (tree, (seeds, correction)) in trees.enumerate() {
                scratch.streams[..n].fill([0; 16]);
                for (seed, out) in seeds.iter().zip(scratch.streams.chunks_exact_mut(n)).skip(1) {
                    seed.stream(self.row, out);
                }
                scratch.mask(n << depth);
                let rows = &mut scratch.rows[tree * depth * n..(tree + 1) * depth * n];
                fold(&mut scratch.streams[..n << depth], n, rows);
                for (bit, row) in rows.chunks_exact_mut(n).enumerate() {
                    let mask = (delta >> (tree * depth + bit) & 1).wrapping_neg();
                    for (q, c) in row.iter_mut().zip(correction) {
                        let c = u128::from_le_bytes(*c) & mask;
                        *q = (u128::from_le_bytes(*q) ^ c).to_le_bytes();
                    }
                }
            }
            transpose(&scratch.rows[..BASE * n], n, &mut blocks);
            check.iter_mut().for_each(|check| check.rows(&scratch.rows[..BASE * n]));
            self.row += n as u64;
        }
        if check.is_some_and(|check| !check.accepts(&self.delta, shown)) {
            return Err("choices that are not the same in all trees");
        }
        self.index += blocks.len() as u64;
        if !blocks.is_empty() {
            drawn::note("tweaks", &self.hash.fingerprint(first));
        }
        blocks.truncate(count.div_ceil(128) * 128);
        Ok(Cots { blocks, first })
    }

    /// H(q_j) and H(q_j + Delta) for the OTs `from`.. of a batch: the pads of both sides.
    pub(crate) fn pads(&self, cots: &Cots, from: usize, per: usize, out: [&mut [Block]; 2]) {
        let [zero, one] = out;
        let q = &cots.blocks[from..from + zero.len() / per];
        let shifted: Zeroizing<Vec<Block>> =
            Zeroizing::new(q.iter().map(|&q| xor(q, self.delta)).collect());
        self.hash.hash(q, cots.first + from as u64, per, zero);
        self.hash.hash(&shifted, cots.first + from as u64, per, one);
    }

    pub(super) fn trees(&self) -> &Cipher {
        &self.trees
    }

    /// The masks that a test has switched off.
    pub(super) fn switch(&self) -> MaskSwitch {
        self.switch
    }

    /// What challenges are bound to, if deviations are looked for.
    pub(super) fn challenges(&self) -> Option<&[u8; 32]> {
        self.checked.as_ref()
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.delta.zeroize();
    }
}

mod expansion;
#[cfg(any(test, feature = "test-util"))]
mod pair;
#[cfg(test)]
mod tests;
