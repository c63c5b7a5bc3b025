//! The oblivious pseudorandom function of one ordered pair (docs/protocols.md 11.2): the key holder
//! computes it anywhere, the evaluator at its own ids only.

use zeroize::{Zeroize, Zeroizing};

use super::code::{DATA, PLACES, extend_rows, parity, place};
use super::digest::{Functions, key};
use crate::correlations::pairwise::block::{Bits, Block, Cipher, CrHash, fresh, xor};
use crate::correlations::pairwise::ggm;
use crate::correlations::pairwise::rows::{PASS, ROWS, fold, transpose};
use crate::rand::{Coins, MaskSite, MaskSwitch};
use crate::ring::kernels::clmul::Powers;

/// Levels of a tree: bits of Delta at one place of the code.
const DEPTH: usize = 4;
/// Bits of Delta: OTs that an instance takes.
pub(super) const TRANSFERS: usize = PLACES * DEPTH;
/// Blocks of Delta.
const BLOCKS: usize = TRANSFERS / 128;
/// Bytes of the level sums of all trees.
pub(super) const TREES_BYTES: usize = TRANSFERS * ggm::LEVEL_BYTES;

/// Bytes of a request for a store of `len` elements.
pub(super) fn request_bytes(len: usize) -> usize {
    len.div_ceil(128) * 16 * PLACES
}

/// The map L of 11.2, from 768 bits to a block.
struct Compress(Powers);

impl Compress {
    fn new(session: &[u8; 32]) -> Self {
        let mut factors = vec![[0; 16]; BLOCKS];
        Cipher::new(&key("alignment compression", &[session])).stream(0, &mut factors);
        Self(Powers::independent(&factors))
    }

    /// From rows of bits, n blocks each, the blocks of 128 n elements.
    fn rows(&self, rows: &[Block], n: usize, out: &mut Vec<Block>) {
        let mut columns = Zeroizing::new(Vec::with_capacity(rows.len()));
        for rows in rows.chunks_exact(ROWS * n) {
            transpose(rows, n, &mut columns);
        }
        let count = ROWS * n;
        let mut gathered = Zeroizing::new(vec![[0; 16]; BLOCKS * count]);
        for (at, element) in gathered.chunks_exact_mut(BLOCKS).enumerate() {
            for (group, block) in element.iter_mut().enumerate() {
                *block = columns[group * count + at];
            }
        }
        let start = out.len();
        out.resize(start + count, [0; 16]);
        self.0.fold(&gathered, BLOCKS, &mut out[start..]);
    }
}

/// What both sides have in common: the counter of rows, the hash.
struct Common {
    compress: Compress,
    hash: CrHash,
    row: u64,
    switch: MaskSwitch,
}

impl Common {
    fn new(session: &[u8; 32], pair: Pair, trees: &[u8], switch: MaskSwitch) -> Self {
        let hash = CrHash::new(&pair.key("alignment function", session, trees));
        Self { compress: Compress::new(session), hash, row: 0, switch }
    }

    /// Leaves out what hides a store where a test says so.
    fn streams(&self, seeds: &[Cipher], n: usize, skip: usize, out: &mut [Block]) {
        out[..skip * n].fill([0; 16]);
        for (seed, out) in seeds.iter().zip(out.chunks_exact_mut(n)).skip(skip) {
            seed.stream(self.row, out);
        }
        if self.switch.is_off(MaskSite::AlignRequest) {
            out.fill([0; 16]);
        }
    }
}

impl Common {
    /// Adds H(<row(x), store> + offset(h(x)), x) to the sum of each digest.
    fn add(
        &self,
        functions: &Functions,
        digests: &[Block],
        store: &[u128],
        sums: &mut [u64],
        offset: impl Fn(u128) -> u128,
    ) {
        let mut at = Zeroizing::new(Vec::with_capacity(digests.len()));
        functions.rows(digests, store.len(), |row, value| {
            at.push((row.of(store) ^ offset(value)).to_le_bytes());
        });
        self.hash.tweaked(&at, digests, sums);
    }
}

/// Who holds the key, and who evaluates.
#[derive(Clone, Copy)]
pub(super) struct Pair {
    pub(super) holder: usize,
    pub(super) evaluator: usize,
}

impl Pair {
    fn key(self, domain: &str, session: &[u8; 32], more: &[u8]) -> Block {
        let [holder, evaluator] =
            [self.holder, self.evaluator].map(|party| (party as u64).to_le_bytes());
        key(domain, &[session, &holder, &evaluator, more])
    }

    /// What the trees are expanded with: tree number i under the i-th key of it.
    fn trees(self, session: &[u8; 32]) -> Cipher {
        Cipher::new(&self.key("alignment trees", session, &[]))
    }
}

/// The side with Delta.
pub(super) struct KeyHolder {
    common: Common,
    /// The four bits of Delta at each place.
    delta: Zeroizing<Vec<u8>>,
    /// In relative order within each tree; the first of each is not there.
    seeds: Vec<Cipher>,
    /// L(Delta . C(2^i)) for each bit of a value.
    offsets: Zeroizing<Vec<u128>>,
}

/// Delta before the trees are there.
pub(super) struct Delta(Zeroizing<Vec<u8>>);

impl Delta {
    pub(super) fn new(coins: &mut Coins) -> Self {
        let bits = fresh(BLOCKS, coins);
        let nibbles = bits.as_flattened().iter().flat_map(|byte| [byte & 15, byte >> 4]);
        Self(Zeroizing::new(nibbles.collect()))
    }

    /// As choices of OTs: at each level of each tree the side that the path to the hole leaves.
    pub(super) fn choices(&self) -> Bits {
        let mut bits = Bits::default();
        for hole in self.0.iter() {
            (0..DEPTH).for_each(|level| bits.push(1 ^ u32::from(hole >> (DEPTH - 1 - level) & 1)));
        }
        bits
    }
}

impl KeyHolder {
    /// From the level sums that the evaluator sent, under the pads of the chosen sides.
    pub(super) fn new(
        session: &[u8; 32],
        pair: Pair,
        Delta(delta): Delta,
        pads: &[Block],
        message: &[u8],
        switch: MaskSwitch,
    ) -> Self {
        let common = Common::new(session, pair, message, switch);
        let trees = pair.trees(session);
        let mut seeds = Vec::with_capacity(PLACES << DEPTH);
        let mut leaves = Zeroizing::new(Vec::new());
        let levels = message.as_chunks::<16>().0.as_chunks::<2>().0.chunks_exact(DEPTH);
        for (tree, ((levels, pads), &hole)) in
            levels.zip(pads.chunks_exact(DEPTH)).zip(delta.iter()).enumerate()
        {
            let chosen: Zeroizing<Vec<Block>> = Zeroizing::new(
                (0..DEPTH)
                    .map(|level| {
                        let [left, right] = levels[level].map(u128::from_le_bytes);
                        let bit = u128::from(hole >> (DEPTH - 1 - level) & 1);
                        // The path goes right: the left side is known.
                        let sum = left ^ (left ^ right) & (bit ^ 1).wrapping_neg();
                        xor(sum.to_le_bytes(), pads[level])
                    })
                    .collect(),
            );
            ggm::punctured(
                &trees.keyed(tree as u64),
                &chosen,
                u32::from(hole),
                DEPTH as u32,
                &mut leaves,
            );
            seeds.extend(leaves.iter().map(Cipher::new));
        }
        let mut it = Self { common, delta, seeds, offsets: Zeroizing::new(Vec::new()) };
        it.offsets = Zeroizing::new((0..DATA).map(|bit| it.offset_of(1 << bit)).collect());
        it
    }

    /// L(Delta . C(value)), the long way.
    fn offset_of(&self, value: u128) -> u128 {
        let parity = parity(value);
        let mut bits = Zeroizing::new([0u128; BLOCKS]);
        for (at, delta) in self.delta.iter().enumerate() {
            let one = place(value, parity, at).wrapping_neg();
            let bit = at * DEPTH;
            bits[bit / 128] |= (u128::from(*delta) & one) << (bit % 128);
        }
        let mut blocks = Zeroizing::new(bits.map(u128::to_le_bytes));
        let mut out = [[0; 16]];
        self.common.compress.0.fold(&*blocks, BLOCKS, &mut out);
        blocks.zeroize();
        u128::from_le_bytes(out[0])
    }

    /// Q from the request for a store of `len` elements.
    pub(super) fn store(&mut self, request: &[u8], len: usize) -> Zeroizing<Vec<u128>> {
        let mut all = Zeroizing::new(Vec::with_capacity(len.next_multiple_of(128)));
        let mut streams = Zeroizing::new(vec![[0; 16]; PASS << DEPTH]);
        let mut rows = Zeroizing::new(vec![[0; 16]; TRANSFERS * PASS]);
        for request in request.as_chunks::<16>().0.chunks(PASS * PLACES) {
            let n = request.len() / PLACES;
            let trees = self.seeds.chunks_exact(1 << DEPTH).zip(request.chunks_exact(n));
            for (((seeds, request), rows), delta) in
                trees.zip(rows.chunks_exact_mut(DEPTH * n)).zip(self.delta.iter())
            {
                let streams = &mut streams[..n << DEPTH];
                self.common.streams(seeds, n, 1, streams);
                fold(streams, n, rows);
                for (bit, row) in rows.chunks_exact_mut(n).enumerate() {
                    let mask = u128::from(delta >> bit & 1).wrapping_neg();
                    for (q, c) in row.iter_mut().zip(request) {
                        *q = (u128::from_le_bytes(*q) ^ u128::from_le_bytes(*c) & mask)
                            .to_le_bytes();
                    }
                }
            }
            self.common.compress.rows(&rows[..TRANSFERS * n], n, &mut all);
            self.common.row += n as u64;
        }
        words(&all, len)
    }

    /// Adds F(x) to the sum of each digest.
    pub(super) fn add(
        &self,
        functions: &Functions,
        digests: &[Block],
        store: &[u128],
        sums: &mut [u64],
    ) {
        self.common.add(functions, digests, store, sums, |value| {
            let bits = self.offsets.iter().enumerate();
            bits.fold(0, |sum, (bit, offset)| sum ^ offset & (value >> bit & 1).wrapping_neg())
        });
    }
}

/// The side with the ids.
pub(super) struct Evaluator {
    common: Common,
    seeds: Vec<Cipher>,
}

impl Evaluator {
    /// Makes the trees, and the message with their level sums under the pads of both sides.
    pub(super) fn new(
        session: &[u8; 32],
        pair: Pair,
        pads: [&[Block]; 2],
        switch: MaskSwitch,
        coins: &mut Coins,
    ) -> (Self, Zeroizing<Vec<u8>>) {
        let trees = pair.trees(session);
        let mut seeds = Vec::with_capacity(PLACES << DEPTH);
        let mut message = Zeroizing::new(Vec::with_capacity(TREES_BYTES));
        let mut leaves = Zeroizing::new(Vec::new());
        for (tree, &root) in fresh(PLACES, coins).iter().enumerate() {
            let mut sums = Zeroizing::new(Vec::new());
            let cipher = trees.keyed(tree as u64);
            ggm::full(&cipher, root, DEPTH as u32, &mut leaves, &mut sums);
            for (level, sums) in sums.iter().enumerate() {
                let at = tree * DEPTH + level;
                message.extend_from_slice(&xor(sums[0], pads[0][at]));
                message.extend_from_slice(&xor(sums[1], pads[1][at]));
            }
            seeds.extend(leaves.iter().map(Cipher::new));
        }
        let common = Common::new(session, pair, &message, switch);
        (Self { common, seeds }, message)
    }

    /// T, and the request that the key holder makes Q of, for a store of 68-bit elements.
    pub(super) fn request(&mut self, store: &[u128]) -> (Zeroizing<Vec<u128>>, Vec<u8>) {
        let mut message = Vec::with_capacity(request_bytes(store.len()));
        let mut all = Zeroizing::new(Vec::with_capacity(store.len().next_multiple_of(128)));
        let mut streams = Zeroizing::new(vec![[0; 16]; PASS << DEPTH]);
        let mut rows = Zeroizing::new(vec![[0; 16]; TRANSFERS * PASS]);
        let (mut word, mut scratch) = (Zeroizing::new(Vec::new()), Zeroizing::new(Vec::new()));
        for store in store.chunks(PASS * 128) {
            let n = store.len().div_ceil(128);
            words_of(store, n, &mut word, &mut scratch);
            let trees = self.seeds.chunks_exact(1 << DEPTH).zip(word.chunks_exact(n));
            for ((seeds, word), rows) in trees.zip(rows.chunks_exact_mut(DEPTH * n)) {
                let streams = &mut streams[..n << DEPTH];
                self.common.streams(seeds, n, 0, streams);
                fold(streams, n, rows);
                for (&u, &c) in streams[..n].iter().zip(word) {
                    message.extend_from_slice(&xor(u, c));
                }
            }
            self.common.compress.rows(&rows[..TRANSFERS * n], n, &mut all);
            self.common.row += n as u64;
        }
        (words(&all, store.len()), message)
    }

    /// Adds F(x) to the sum of each of the digests that the store was made of.
    pub(super) fn add(
        &self,
        functions: &Functions,
        digests: &[Block],
        store: &[u128],
        sums: &mut [u64],
    ) {
        self.common.add(functions, digests, store, sums, |_| 0);
    }
}

/// The words of the code of up to 128 n elements, as 192 rows of n blocks.
fn words_of(
    store: &[u128],
    n: usize,
    word: &mut Zeroizing<Vec<Block>>,
    scratch: &mut Zeroizing<Vec<Block>>,
) {
    let mut square = Zeroizing::new(vec![[0; 16]; ROWS]);
    word.clear();
    word.resize(DATA * n, [0; 16]);
    let mut turned = Zeroizing::new(Vec::with_capacity(ROWS));
    for (at, store) in store.chunks(128).enumerate() {
        square.fill([0; 16]);
        square.iter_mut().zip(store).for_each(|(row, element)| *row = element.to_le_bytes());
        turned.clear();
        transpose(&square, 1, &mut turned);
        for (bit, row) in turned[..DATA].iter().enumerate() {
            word[bit * n + at] = *row;
        }
    }
    extend_rows(word, n, scratch);
}

fn words(blocks: &[Block], len: usize) -> Zeroizing<Vec<u128>> {
    Zeroizing::new(blocks[..len].iter().map(|block| u128::from_le_bytes(*block)).collect())
}
