//! OT extension: SoftSpoken OT, semi-honest (docs/protocols.md 6.2; Roy, CRYPTO 2022).
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
//! # Security
//! Each u hides the choices: the sender lacks the stream at Delta (AES as a pseudorandom
//! function). MaskSite: `OtChoice`. To the receiver, Delta is hidden by the base OTs, and the hash
//! H(q_j), H(q_j + Delta) is correlation robust ([`CrHash`]).

use zeroize::{Zeroize, Zeroizing};

use super::block::{Bits, Block, Cipher, CrHash, fresh, xor, xor_into};
use super::ggm;
use crate::rand::{Coins, MaskSite, MaskSwitch, drawn, hash};

/// Base OTs for each direction of a pair.
pub(super) const BASE: usize = 128;

/// Blocks of each row in one pass: 128 OTs a block. Larger passes do not stay in the cache.
const PASS: usize = 32;

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
    pub(super) const fn depth(self) -> u32 {
        match self {
            Self::Fast => 4,
            Self::Compact => 8,
        }
    }

    const fn trees(self) -> usize {
        BASE / self.depth() as usize
    }

    /// Bytes from the receiver to the sender for `count` OTs.
    #[must_use]
    pub const fn bytes(self, count: u64) -> u64 {
        count.div_ceil(128) * 16 * self.trees() as u64
    }
}

/// Bytes from the receiver to the sender when the trees are set up.
pub(super) const SETUP_BYTES: usize = BASE * ggm::LEVEL_BYTES;

/// The public keys of one instance: bound to the session, the direction, and the messages of the
/// base OTs, which are fresh at every start.
pub(super) struct Keys {
    seeds: Cipher,
    hash: Block,
    trees: Block,
}

impl Keys {
    pub(super) fn new(
        binding: &super::base_ot::Binding,
        from_sender: &[u8],
        from_receiver: &[u8],
    ) -> Self {
        let key = |domain: &str| {
            let parts: [&[u8]; 5] = [
                &binding.session,
                &(binding.sender as u64).to_le_bytes(),
                &(binding.receiver as u64).to_le_bytes(),
                from_sender,
                from_receiver,
            ];
            let mut key = [0; 16];
            key.copy_from_slice(&hash(domain, &parts)[..16]);
            // Under a key no tweak is used twice, so a tweak recurs only if a key does.
            drawn::note("key of tweaks", &key);
            key
        };
        Self {
            seeds: Cipher::new(&key("OT extension seeds")),
            hash: key("OT extension hash"),
            trees: key("one-hot trees"),
        }
    }
}

/// Correlated OTs as one side holds them: t_j, or q_j = t_j + c_j Delta.
pub(super) struct Cots {
    pub(super) blocks: Zeroizing<Vec<Block>>,
    /// The index of the first, which its tweaks are made of.
    pub(super) first: u64,
}

/// The side with Delta.
pub(super) struct Sender {
    expansion: Expansion,
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
pub(super) struct Receiver {
    expansion: Expansion,
    seeds: Vec<Cipher>,
    row: u64,
    index: u64,
    hash: CrHash,
    trees: Cipher,
    switch: MaskSwitch,
}

/// The sender's Delta as its choices in the base OTs: at each level of each tree, the side that
/// the path to the hole leaves.
pub(super) fn base_choices(delta: &Block, expansion: Expansion) -> Zeroizing<Vec<u8>> {
    let depth = expansion.depth();
    let holes = holes(delta, expansion);
    Zeroizing::new(
        holes
            .iter()
            .flat_map(|hole| (0..depth).map(move |l| 1 - (hole >> (depth - 1 - l) & 1) as u8))
            .collect(),
    )
}

fn holes(delta: &Block, expansion: Expansion) -> Zeroizing<Vec<u32>> {
    let (depth, delta) = (expansion.depth(), u128::from_le_bytes(*delta));
    Zeroizing::new(
        (0..expansion.trees())
            .map(|tree| (delta >> (tree as u32 * depth)) as u32 & ((1 << depth) - 1))
            .collect(),
    )
}

impl Receiver {
    /// Makes the trees; gives the message that lets the sender make its own.
    pub(super) fn new(
        expansion: Expansion,
        keys: &Keys,
        base: &[[Block; 2]],
        switch: MaskSwitch,
        coins: &mut Coins,
    ) -> (Self, Vec<u8>) {
        let depth = expansion.depth();
        let roots = fresh(expansion.trees(), coins);
        let mut seeds = Vec::with_capacity(expansion.trees() << depth);
        let mut message = Vec::with_capacity(SETUP_BYTES);
        let mut leaves = Zeroizing::new(Vec::new());
        for (tree, &root) in roots.iter().enumerate() {
            let mut sums = Zeroizing::new(Vec::new());
            ggm::full(&keys.seeds.keyed(tree as u64), root, depth, &mut leaves, &mut sums);
            let base = &base[tree * depth as usize..];
            for (sums, pads) in sums.iter().zip(base) {
                message.extend_from_slice(&xor(sums[0], pads[0]));
                message.extend_from_slice(&xor(sums[1], pads[1]));
            }
            seeds.extend(leaves.iter().map(Cipher::new));
        }
        let (hash, trees) = (CrHash::new(&keys.hash), Cipher::new(&keys.trees));
        (Self { expansion, seeds, row: 0, index: 0, hash, trees, switch }, message)
    }

    /// Makes OTs with the given choices; appends to the message for the sender.
    pub(super) fn extend(&mut self, choices: &Bits, message: &mut Vec<u8>) -> Cots {
        let depth = self.expansion.depth() as usize;
        let first = self.index;
        let mut blocks = Zeroizing::new(Vec::with_capacity(choices.blocks().len() * 128));
        let mut scratch = Scratch::new(depth, self.switch);
        for choices in choices.blocks().chunks(PASS) {
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
            self.row += n as u64;
        }
        self.index += blocks.len() as u64;
        Cots { blocks, first }
    }

    /// H(t_j) for the OTs `from`.. of a batch: the pad of the chosen side, `per` blocks each.
    pub(super) fn pads(&self, cots: &Cots, from: usize, per: usize, out: &mut [Block]) {
        let t = &cots.blocks[from..from + out.len() / per];
        self.hash.hash(t, cots.first + from as u64, per, out);
    }

    pub(super) fn trees(&self) -> &Cipher {
        &self.trees
    }

    /// The masks that a test has switched off.
    pub(super) fn switch(&self) -> MaskSwitch {
        self.switch
    }
}

impl Sender {
    /// The sender's trees; `keys` are those chosen by [`base_choices`]. `None` if the message has
    /// another length.
    pub(super) fn new(
        expansion: Expansion,
        keys: &Keys,
        delta: Block,
        base: &[Block],
        message: &[u8],
        switch: MaskSwitch,
    ) -> Option<Self> {
        if message.len() != SETUP_BYTES || base.len() != BASE {
            return None;
        }
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
        }
        let (hash, trees) = (CrHash::new(&keys.hash), Cipher::new(&keys.trees));
        Some(Self { expansion, delta, seeds, row: 0, index: 0, hash, trees, switch })
    }

    /// Makes `count` OTs from the receiver's message; `None` if that has another length.
    pub(super) fn extend(&mut self, count: usize, message: &[u8]) -> Option<Cots> {
        if message.len() as u64 != self.expansion.bytes(count as u64) {
            return None;
        }
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
            self.row += n as u64;
        }
        self.index += blocks.len() as u64;
        Some(Cots { blocks, first })
    }

    /// H(q_j) and H(q_j + Delta) for the OTs `from`.. of a batch: the pads of both sides.
    pub(super) fn pads(&self, cots: &Cots, from: usize, per: usize, out: [&mut [Block]; 2]) {
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
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.delta.zeroize();
    }
}

struct Scratch {
    streams: Zeroizing<Vec<Block>>,
    rows: Zeroizing<Vec<Block>>,
    switch: MaskSwitch,
}

impl Scratch {
    fn new(depth: usize, switch: MaskSwitch) -> Self {
        Self {
            streams: Zeroizing::new(vec![[0; 16]; PASS << depth]),
            rows: Zeroizing::new(vec![[0; 16]; PASS * BASE]),
            switch,
        }
    }

    fn mask(&mut self, len: usize) {
        if self.switch.is_off(MaskSite::OtChoice) {
            self.streams[..len].fill([0; 16]);
        }
    }
}

/// From streams of n blocks at places x = 0, 1, ..: row b becomes the sum over all x with bit b,
/// and the first stream the sum over all.
fn fold(streams: &mut [Block], n: usize, rows: &mut [Block]) {
    let mut count = streams.len() / n;
    for row in rows.chunks_exact_mut(n) {
        count /= 2;
        let (even, odd) = streams[..2 * n].split_at_mut(n);
        row.copy_from_slice(odd);
        xor_into(even, odd);
        for x in 1..count {
            let (done, rest) = streams.split_at_mut(2 * x * n);
            let (even, odd) = rest[..2 * n].split_at(n);
            xor_into(row, odd);
            for ((out, &a), &b) in done[x * n..(x + 1) * n].iter_mut().zip(even).zip(odd) {
                *out = xor(a, b);
            }
        }
    }
}

/// 128 rows of n blocks become 128 n blocks: bit r of block j is bit j of row r.
fn transpose(rows: &[Block], n: usize, out: &mut Vec<Block>) {
    const MASKS: [u64; 6] = [
        0x0000_0000_ffff_ffff,
        0x0000_ffff_0000_ffff,
        0x00ff_00ff_00ff_00ff,
        0x0f0f_0f0f_0f0f_0f0f,
        0x3333_3333_3333_3333,
        0x5555_5555_5555_5555,
    ];
    let mut square = Zeroizing::new([[0u64; 2]; 128]);
    for column in 0..n {
        for (to, row) in square.iter_mut().zip(rows.chunks_exact(n)) {
            let word = u128::from_le_bytes(row[column]);
            *to = [word as u64, (word >> 64) as u64];
        }
        let (low, high) = square.split_at_mut(64);
        for (a, b) in low.iter_mut().zip(high) {
            std::mem::swap(&mut a[1], &mut b[0]);
        }
        let mut shift = 32;
        for mask in MASKS {
            for pair in square.chunks_exact_mut(2 * shift) {
                let (low, high) = pair.split_at_mut(shift);
                for (a, b) in low.iter_mut().zip(high) {
                    for lane in 0..2 {
                        let t = ((a[lane] >> shift) ^ b[lane]) & mask;
                        b[lane] ^= t;
                        a[lane] ^= t << shift;
                    }
                }
            }
            shift /= 2;
        }
        out.extend(
            square.iter().map(|w| (u128::from(w[0]) | u128::from(w[1]) << 64).to_le_bytes()),
        );
    }
}

/// How long each side takes for `count` OTs, pads included: the sender's time, the receiver's.
///
/// # Panics
/// When there is no randomness.
#[cfg(feature = "test-util")]
#[must_use]
pub fn measure_extension(expansion: Expansion, count: usize) -> [std::time::Duration; 2] {
    use std::time::{Duration, Instant};
    const BATCH: usize = 1 << 14;
    let (mut sender, mut receiver) = ideal_pair(expansion, MaskSwitch::default());
    let mut times = [Duration::ZERO; 2];
    let (mut zero, mut one) = (vec![[0; 16]; BATCH], vec![[0; 16]; BATCH]);
    let mut choices = Bits::default();
    (0..BATCH).for_each(|i| choices.push((i as u32).wrapping_mul(0x9e37_79b9) >> 31));
    for _ in 0..count / BATCH {
        let mut message = Vec::new();
        let start = Instant::now();
        let t = receiver.extend(&choices, &mut message);
        receiver.pads(&t, 0, 1, &mut one);
        times[1] += start.elapsed();
        let start = Instant::now();
        let q = sender.extend(BATCH, &message).expect("the length is right");
        sender.pads(&q, 0, 1, [&mut zero, &mut one]);
        times[0] += start.elapsed();
    }
    times
}

/// Both sides after ideal base OTs.
#[cfg(any(test, feature = "test-util"))]
pub(super) fn ideal_pair(expansion: Expansion, switch: MaskSwitch) -> (Sender, Receiver) {
    let binding = super::base_ot::Binding { session: [5; 32], sender: 0, receiver: 1 };
    let keys = Keys::new(&binding, b"a", b"b");
    let mut coins = Coins::fresh().expect("randomness");
    let delta = fresh(1, &mut coins)[0];
    let base: Vec<[Block; 2]> = fresh(2 * BASE, &mut coins).as_chunks::<2>().0.to_vec();
    let chosen: Vec<Block> = base_choices(&delta, expansion)
        .iter()
        .zip(&base)
        .map(|(&c, keys)| keys[usize::from(c)])
        .collect();
    let (receiver, message) = Receiver::new(expansion, &keys, &base, switch, &mut coins);
    let sender = Sender::new(expansion, &keys, delta, &chosen, &message, switch).expect("fits");
    (sender, receiver)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(count: usize) -> (Bits, Vec<u32>) {
        let mut coins = Coins::fresh().expect("randomness");
        let plain: Vec<u32> = fresh(count.div_ceil(16), &mut coins).as_flattened()[..count]
            .iter()
            .map(|byte| u32::from(byte & 1))
            .collect();
        let mut bits = Bits::default();
        plain.iter().for_each(|&bit| bits.push(bit));
        (bits, plain)
    }

    #[test]
    fn correlated_ots_differ_by_the_choice_times_delta() {
        for expansion in [Expansion::Fast, Expansion::Compact] {
            let (mut sender, mut receiver) = ideal_pair(expansion, MaskSwitch::default());
            // Two batches: counters go on; the second does not fill its last block.
            for count in [128 * 33, 1000] {
                let (choices, plain) = bits(count);
                let mut message = Vec::new();
                let t = receiver.extend(&choices, &mut message);
                assert_eq!(message.len() as u64, expansion.bytes(count as u64));
                let q = sender.extend(count, &message).expect("fits");
                assert_eq!(t.first, q.first);
                let mut pads = [vec![[0; 16]; 2 * count], vec![[0; 16]; 2 * count]];
                let mut chosen = vec![[0; 16]; 2 * count];
                let [zero, one] = &mut pads;
                sender.pads(&q, 0, 2, [zero, one]);
                receiver.pads(&t, 0, 2, &mut chosen);
                for (j, &choice) in plain.iter().enumerate() {
                    let shifted = if choice == 1 { sender.delta } else { [0; 16] };
                    assert_eq!(q.blocks[j], xor(t.blocks[j], shifted), "OT {j}");
                    assert_eq!(chosen[2 * j + 1], pads[choice as usize][2 * j + 1]);
                    assert_ne!(chosen[2 * j], pads[1 - choice as usize][2 * j]);
                }
            }
        }
    }

    #[test]
    fn a_message_of_another_length_is_refused() {
        let (mut sender, _) = ideal_pair(Expansion::Fast, MaskSwitch::default());
        assert!(sender.extend(128, &[0; 16 * 31]).is_none());
        assert!(sender.extend(129, &[0; 16 * 32]).is_none());
    }

    #[test]
    fn transposition_moves_every_bit() {
        let rows = fresh(128 * 3, &mut Coins::fresh().expect("randomness"));
        let mut out = Vec::new();
        transpose(&rows, 3, &mut out);
        let bit = |block: &Block, at: usize| block[at / 8] >> (at % 8) & 1;
        for r in 0..128 {
            for j in 0..384 {
                assert_eq!(bit(&out[j], r), bit(&rows[3 * r + j / 128], j % 128));
            }
        }
    }
}
