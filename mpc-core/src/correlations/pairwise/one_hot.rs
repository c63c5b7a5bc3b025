//! One-hot products: a pair of shares times the phasor of a digit that the other side knows
//! (docs/protocols.md 6.3).
//!
//! With a seed for each value y of the digit, of which the receiver lacks that of its own digit d,
//! and ring elements s_y from each: the sender holds U = sum s_y and V = sum f(y) s_y, sends
//! x - U, and keeps V; the receiver takes
//! f(d) (x - U) + sum_(y != d) (f(d) - f(y)) s_y = f(d) x - V. One correction x - U serves the
//! cosine and the sine; a shared phasor (C, S) takes two for each harmonic.
//!
//! The elements s_y are read as limbs of 16 bits *with a sign*: any 128 bits are one integer mod
//! 2^128 that way, and sums of limbs times table entries stay in 32 bits
//! (`PhasorPlan::new` checks that), with no branch and no index that depends on a secret.
//!
//! # Security
//! x - U is hidden by s_d. MaskSite: `OneHotLeaf`. The level sums are hidden by the pads of OTs.
//! MaskSite: `LevelPad`.

use zeroize::Zeroizing;

use super::block::{Block, Cipher, xor};
use super::consistency::Leaves;
use super::extension::{Cots, Receiver, Sender};
use super::ggm;
use super::ole::{read, reduce};
use super::plan::PhasorPlan;
use crate::rand::{MaskSite, MaskSwitch};
use crate::ring::kernels::Level;
use crate::ring::kernels::limbs::{LANES, Sums, Tables};
use crate::ring::wire::{element_bytes, mask};

/// Where the limbs of each harmonic stand in the stream of a leaf, and the tables laid out in the
/// same way.
pub(super) struct Layout {
    /// For each harmonic: the first limb of C, and the limbs of an element; S follows C.
    places: Vec<(usize, usize)>,
    /// Blocks of stream of each leaf.
    blocks: usize,
    /// For each digit: cosines and sines, repeated for each limb.
    tables: [Tables; 2],
}

impl Layout {
    pub(super) fn new(plan: &PhasorPlan) -> Self {
        let mut places = Vec::with_capacity(plan.harmonics());
        let mut at = 0;
        for k in 0..plan.harmonics() {
            let limbs = plan.ring(k).div_ceil(16) as usize;
            places.push((at, limbs));
            at += 2 * limbs;
        }
        let blocks = at.div_ceil(LANES);
        let tables = [0, 1].map(|digit: usize| {
            let rows = plan.rounded[digit].0.chunks_exact(plan.harmonics());
            let mut out = [Vec::new(), Vec::new()];
            for row in rows {
                let mut spread = [vec![0i16; blocks * LANES], vec![0i16; blocks * LANES]];
                for (&(c, s), &(at, limbs)) in row.iter().zip(&places) {
                    spread[0][at..at + 2 * limbs].fill(c);
                    spread[1][at..at + 2 * limbs].fill(s);
                }
                for (out, spread) in out.iter_mut().zip(&spread) {
                    out.extend_from_slice(spread.as_chunks().0);
                }
            }
            Tables::new(blocks, [&out[0], &out[1]])
        });
        Self { places, blocks, tables }
    }

    /// The sums over all leaves of s, f_c s and f_s s, limb by limb.
    fn sums(&self, digit: usize, streams: &[Block], out: &mut Vec<Sums>) {
        self.tables[digit].sums(Level::of_processor(), streams, out);
    }

    /// The elements of harmonic k: for C and for S, the sums of s, f_c s and f_s s.
    fn elements(&self, k: usize, sums: &[Sums]) -> [[u128; 3]; 2] {
        let (at, limbs) = self.places[k];
        let mut out = [[0; 3]; 2];
        for (out, at) in out.iter_mut().zip([at, at + limbs]) {
            for (which, out) in out.iter_mut().enumerate() {
                // Three limbs at a time, whose sums of 31 bits and a sign do not leave 64 bits.
                let mut parts = [0i64; 3];
                for limb in 0..limbs {
                    let lane = at + limb;
                    let part = i64::from(sums[lane / LANES][which][lane % LANES]);
                    parts[limb / 3] += part << (16 * (limb % 3));
                }
                let [low, middle, high] = parts.map(|part| i128::from(part) as u128);
                *out = low.wrapping_add(middle << 48).wrapping_add(high << 96);
            }
        }
        out
    }
}

/// Buffers of one worker.
#[derive(Default)]
pub(super) struct Scratch {
    leaves: Zeroizing<Vec<Block>>,
    streams: Zeroizing<Vec<Block>>,
    sums: Zeroizing<Vec<Sums>>,
    /// What shows the peer, or what it shows, in the evaluations so far.
    pub(super) shown: Vec<Leaves>,
}

impl Scratch {
    /// For messages to or from so many parties.
    pub(super) fn new(parties: usize) -> Self {
        let shown = (0..parties).map(|_| Leaves::default()).collect();
        Self { shown, ..Self::default() }
    }

    /// The streams of all leaves.
    fn expand(&mut self, cipher: &Cipher, layout: &Layout, switch: MaskSwitch) {
        cipher.expand(&self.leaves, layout.blocks, &mut self.streams);
        if switch.is_off(MaskSite::OneHotLeaf) {
            self.streams.fill([0; 16]);
        }
    }
}

/// The sender's half of one digit: appends level sums, in a covert session the sum that shows that they are
/// of one tree, and corrections; turns the own share `state`
/// (C and S of each harmonic) into the share of the product.
pub(super) fn send(
    (plan, layout, digit): (&PhasorPlan, &Layout, usize),
    (peer, link, cots, at): (usize, &Sender, &Cots, usize),
    root: Block,
    state: &mut [u128],
    scratch: &mut Scratch,
    message: &mut Vec<u8>,
) {
    let depth = plan.digits()[digit];
    let cipher = link.trees().keyed(cots.first + at as u64);
    let mut levels = Zeroizing::new(Vec::with_capacity(depth as usize));
    ggm::full(&cipher, root, depth, &mut scratch.leaves, &mut levels);
    let mut pads = [(); 2].map(|()| Zeroizing::new(vec![[0; 16]; depth as usize]));
    let [zero, one] = &mut pads;
    link.pads(cots, at, 1, [zero, one]);
    if link.switch().is_off(MaskSite::LevelPad) {
        pads.iter_mut().for_each(|pads| pads.fill([0; 16]));
    }
    for (level, sums) in levels.iter().enumerate() {
        message.extend_from_slice(&xor(sums[0], pads[0][level]));
        message.extend_from_slice(&xor(sums[1], pads[1][level]));
    }
    if link.challenges().is_some() {
        let leaves = &scratch.leaves;
        message.extend_from_slice(&scratch.shown[peer].own(&cipher, leaves, layout.blocks));
    }
    scratch.expand(&cipher, layout, link.switch());
    layout.sums(digit, &scratch.streams, &mut scratch.sums);
    for (k, x) in state.as_chunks_mut::<2>().0.iter_mut().enumerate() {
        let (bytes, mask) = (element_bytes(plan.ring(k)), mask(plan.ring(k)));
        let [c, s] = layout.elements(k, &scratch.sums);
        for (x, u) in x.iter().zip([c[0], s[0]]) {
            let correction = x.wrapping_sub(u) & mask;
            message.extend_from_slice(&correction.to_le_bytes()[..bytes]);
        }
        // cos C - sin S, sin C + cos S.
        *x = [c[1].wrapping_sub(s[2]) & mask, c[2].wrapping_add(s[1]) & mask];
    }
}

/// The own phasor of a digit, and the digit.
pub(super) struct OwnDigit<'a> {
    pub(super) digit: usize,
    pub(super) value: u32,
    pub(super) phasors: &'a [(i16, i16)],
}

/// The receiver's half of one digit: adds its share of the product to `sum`. `None` if a
/// correction is out of range.
pub(super) fn receive(
    (plan, layout): (&PhasorPlan, &Layout),
    (peer, link, cots, at): (usize, &Receiver, &Cots, usize),
    own: &OwnDigit<'_>,
    message: &[u8],
    sum: &mut [u128],
    scratch: &mut Scratch,
) -> Option<()> {
    let depth = plan.digits()[own.digit];
    let cipher = link.trees().keyed(cots.first + at as u64);
    let (levels, mut rest) = message.split_at_checked(depth as usize * ggm::LEVEL_BYTES)?;
    let mut keys = Zeroizing::new(vec![[0; 16]; depth as usize]);
    link.pads(cots, at, 1, &mut keys);
    if link.switch().is_off(MaskSite::LevelPad) {
        keys.fill([0; 16]);
    }
    let levels = levels.as_chunks::<16>().0.as_chunks::<2>().0;
    for (level, (key, &[mut left, mut right])) in keys.iter_mut().zip(levels).enumerate() {
        super::block::swap_if(level_choice(own.value, depth, level), &mut left, &mut right);
        *key = xor(*key, left);
    }
    ggm::punctured(&cipher, &keys, own.value, depth, &mut scratch.leaves);
    if link.challenges().is_some() {
        let (shown, after) = rest.split_first_chunk()?;
        rest = after;
        let (leaves, hole) = (&scratch.leaves, (own.value, *shown));
        scratch.shown[peer].punctured(&cipher, leaves, layout.blocks, hole);
    }
    ggm::absolute_order(&mut scratch.leaves, own.value);
    scratch.expand(&cipher, layout, link.switch());
    // The stream of the unknown leaf means nothing.
    for (y, stream) in (0u32..).zip(scratch.streams.chunks_exact_mut(layout.blocks)) {
        let keep = u128::from(!equal(y, own.value) & 1).wrapping_neg();
        for block in stream {
            *block = (u128::from_le_bytes(*block) & keep).to_le_bytes();
        }
    }
    layout.sums(own.digit, &scratch.streams, &mut scratch.sums);
    for (k, (sum, &(fc, fs))) in sum.as_chunks_mut::<2>().0.iter_mut().zip(own.phasors).enumerate()
    {
        let ring = plan.ring(k);
        let (mine, after) = rest.split_at_checked(2 * element_bytes(ring))?;
        rest = after;
        let [c, s] = layout.elements(k, &scratch.sums);
        let mut parts = [[0u128; 2]; 2];
        for ((part, u), bytes) in
            parts.iter_mut().zip([c, s]).zip(mine.chunks_exact(element_bytes(ring)))
        {
            let correction = read(bytes).filter(|value| value & !mask(ring) == 0)?;
            let base = correction.wrapping_add(u[0]);
            *part = [
                base.wrapping_mul(fc as i128 as u128).wrapping_sub(u[1]),
                base.wrapping_mul(fs as i128 as u128).wrapping_sub(u[2]),
            ];
        }
        sum[0] = sum[0].wrapping_add(parts[0][0]).wrapping_sub(parts[1][1]);
        sum[1] = sum[1].wrapping_add(parts[0][1]).wrapping_add(parts[1][0]);
        reduce(sum, ring);
    }
    rest.is_empty().then_some(())
}

/// The choice of the OT of a level: the side that the path to `digit` leaves.
pub(super) fn level_choice(digit: u32, depth: u32, level: usize) -> u32 {
    1 - (digit >> (depth - 1 - level as u32) & 1)
}

/// All ones if equal, else zero; in constant time.
pub(super) fn equal(a: u32, b: u32) -> u32 {
    let x = a ^ b;
    ((x | x.wrapping_neg()) >> 31).wrapping_sub(1)
}

/// Whether the sums of a tree with a known root cannot be read from the message that goes with
/// it. For a test that switches `MaskSite::LevelPad` off.
///
/// # Panics
/// When there is no randomness.
#[cfg(all(feature = "test-util", feature = "insecure-test-masks"))]
#[must_use]
pub fn level_sums_are_hidden(without: Option<MaskSite>) -> bool {
    use crate::correlations::{PhasorMethod, PhasorRequest, PhasorRounding};
    let (mut sender, mut receiver) = {
        let switch = MaskSwitch::new(without);
        super::extension::ideal_pair((super::Expansion::Fast, true), switch)
    };
    let rounding = Some(PhasorRounding { bits: vec![6], method: PhasorMethod::OneHot });
    let (harmonics, fraction, ring, angle_bits) = (vec![1], 18, 64, 8);
    let request = PhasorRequest { count: 1, harmonics, fraction, ring, angle_bits, rounding };
    let plan = PhasorPlan::new(2, &request).expect("fits");
    let mut bits = super::block::Bits::default();
    (0..8).for_each(|level| bits.push(level & 1));
    let mut message = Vec::new();
    receiver.extend(&bits, &mut message);
    let cots = sender.extend(8, &message).expect("the length is right");
    let (root, depth) = ([9; 16], plan.digits()[0]);
    let mut message = Vec::new();
    send(
        (&plan, &Layout::new(&plan), 0),
        (0, &sender, &cots, 0),
        root,
        &mut [5, 6],
        &mut Scratch::new(1),
        &mut message,
    );
    let (mut leaves, mut sums) = (Vec::new(), Vec::new());
    ggm::full(&sender.trees().keyed(cots.first), root, depth, &mut leaves, &mut sums);
    let sums: Vec<u8> = sums.as_flattened().as_flattened().to_vec();
    sums.chunks(16).zip(message.chunks(16)).all(|(plain, sent)| plain != sent)
}
