//! Products of an integer that one party knows with integers that another one knows, shared
//! between the two (docs/protocols.md 6.5; Gilboa, CRYPTO '99).
//!
//! For bit i of a, with the pads h0 and h1 of a correlated OT: the sender sends
//! tau = h0 - h1 + x and keeps -h0; the receiver takes h_c + c tau = h0 + c x. Times 2^i, and
//! summed over the bits, these are shares of a x. Mod 2^m, bit i needs m - i bits of all that. One
//! OT serves a whole vector of x.
//!
//! # Security
//! tau is hidden by the pad that the receiver did not choose. MaskSite: `RingPad`.

use zeroize::Zeroizing;

use super::block::{Bits, Block};
use super::extension::{Cots, Receiver, Sender};
use crate::rand::MaskSite;
use crate::ring::wire::{element_bytes, mask};

/// The shape of `count` products of a scalar a, held by the receiver, and a vector x, held by the
/// sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) count: usize,
    /// The length of each vector.
    pub(super) width: usize,
    /// Bits of a scalar: one OT each.
    pub(super) bits: u32,
    /// The ring of the result.
    pub(super) ring: u32,
    /// Whether the highest bit counts -2^(bits - 1).
    pub(super) signed: bool,
}

impl Shape {
    pub(super) fn ots(&self) -> usize {
        self.count * self.bits as usize
    }

    /// Bytes from the sender to the receiver.
    pub(super) fn bytes(&self) -> usize {
        let bits: usize = (0..self.bits).map(|i| element_bytes(self.ring - i)).sum();
        self.count * self.width * bits
    }

    fn words_a_block(&self) -> usize {
        if self.ring > 64 { 1 } else { 2 }
    }

    /// Blocks of pad for each OT.
    fn pad_blocks(&self) -> usize {
        self.width.div_ceil(self.words_a_block())
    }

    /// OTs that are done at a time, so that their pads stay in the cache.
    fn step(&self) -> usize {
        (2048 / self.pad_blocks()).max(1)
    }

    fn pad(&self, blocks: &[Block], at: usize) -> u128 {
        if self.ring > 64 {
            return u128::from_le_bytes(blocks[at]);
        }
        let word = u128::from_le_bytes(blocks[at / 2]);
        if at.is_multiple_of(2) { word as u64 as u128 } else { word >> 64 }
    }
}

/// One side of products of one shape: the scalars, or the vectors one after the other.
pub(super) struct Task {
    pub(super) shape: Shape,
    pub(super) values: Zeroizing<Vec<u128>>,
}

/// Appends the bits of the receiver's scalars.
pub(super) fn choose(task: &Task, choices: &mut Bits) {
    for a in task.values.iter() {
        for i in 0..task.shape.bits {
            choices.push((a >> i) as u32 & 1);
        }
    }
}

/// The sender's half, on the OTs `at`.. of a batch: appends the corrections, gives the shares.
pub(super) fn send(
    task: &Task,
    link: &Sender,
    cots: &Cots,
    at: usize,
    message: &mut Vec<u8>,
) -> Zeroizing<Vec<u128>> {
    let shape = &task.shape;
    let (per, width) = (shape.pad_blocks(), shape.width);
    let mut shares = Zeroizing::new(vec![0u128; shape.count * width]);
    let mut pads = [(); 2].map(|()| Zeroizing::new(vec![[0; 16]; shape.step() * per]));
    let mut from = 0;
    while from < shape.ots() {
        let now = shape.step().min(shape.ots() - from);
        let [zero, one] = &mut pads;
        link.pads(cots, at + from, per, [&mut zero[..now * per], &mut one[..now * per]]);
        if link.switch().is_off(MaskSite::RingPad) {
            pads.iter_mut().for_each(|pads| pads.fill([0; 16]));
        }
        for j in 0..now {
            let (scalar, i) = ((from + j) / shape.bits as usize, (from + j) as u32 % shape.bits);
            let negative = shape.signed && i + 1 == shape.bits;
            let (bytes, mask) = (element_bytes(shape.ring - i), mask(shape.ring - i));
            let pads = [0, 1].map(|side: usize| &pads[side][j * per..(j + 1) * per]);
            let vector = scalar * width..(scalar + 1) * width;
            let x = &task.values[vector.clone()];
            for (e, (share, &x)) in shares[vector].iter_mut().zip(x).enumerate() {
                let [h0, h1] = pads.map(|pads| shape.pad(pads, e));
                let x = if negative { x.wrapping_neg() } else { x };
                let tau = h0.wrapping_sub(h1).wrapping_add(x) & mask;
                message.extend_from_slice(&tau.to_le_bytes()[..bytes]);
                *share = share.wrapping_sub(h0 << i);
            }
        }
        from += now;
    }
    reduce(&mut shares, shape.ring);
    shares
}

/// The receiver's half; `None` if the corrections are not of this shape.
pub(super) fn receive(
    task: &Task,
    link: &Receiver,
    cots: &Cots,
    at: usize,
    message: &[u8],
) -> Option<Zeroizing<Vec<u128>>> {
    let shape = &task.shape;
    if message.len() != shape.bytes() {
        return None;
    }
    let (per, width) = (shape.pad_blocks(), shape.width);
    let mut shares = Zeroizing::new(vec![0u128; shape.count * width]);
    let mut pads = Zeroizing::new(vec![[0; 16]; shape.step() * per]);
    let mut rest = message;
    let mut from = 0;
    while from < shape.ots() {
        let now = shape.step().min(shape.ots() - from);
        link.pads(cots, at + from, per, &mut pads[..now * per]);
        if link.switch().is_off(MaskSite::RingPad) {
            pads.fill([0; 16]);
        }
        for j in 0..now {
            let (scalar, i) = ((from + j) / shape.bits as usize, (from + j) as u32 % shape.bits);
            let (bytes, mask) = (element_bytes(shape.ring - i), mask(shape.ring - i));
            let pads = &pads[j * per..(j + 1) * per];
            let chosen = (task.values[scalar] >> i & 1).wrapping_neg();
            let (mine, after) = rest.split_at(width * bytes);
            rest = after;
            let shares = &mut shares[scalar * width..(scalar + 1) * width];
            for (e, (share, tau)) in shares.iter_mut().zip(mine.chunks_exact(bytes)).enumerate() {
                let tau = read(tau).filter(|tau| tau & !mask == 0)?;
                *share = share.wrapping_add(shape.pad(pads, e).wrapping_add(tau & chosen) << i);
            }
        }
        from += now;
    }
    reduce(&mut shares, shape.ring);
    Some(shares)
}

pub(super) fn read(bytes: &[u8]) -> Option<u128> {
    let mut word = [0; 16];
    word.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(u128::from_le_bytes(word))
}

pub(super) fn reduce(values: &mut [u128], ring: u32) {
    let mask = mask(ring);
    values.iter_mut().for_each(|value| *value &= mask);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::extension::{Expansion, ideal_pair};
    use super::*;
    use crate::rand::MaskSwitch;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..Default::default() })]
        #[test]
        fn shares_add_up_to_the_product(
            ring in 1u32..=128,
            part in 1u32..=128,
            signed: bool,
            width in 1usize..5,
            a in prop::collection::vec(any::<u128>(), 1..6),
            x in prop::collection::vec(any::<u128>(), 30),
        ) {
            let shape = Shape { count: a.len(), width, bits: part.min(ring), ring, signed };
            let (mut sender, mut receiver) = ideal_pair((Expansion::Fast, true), MaskSwitch::default());
            let scalars = Task { shape, values: Zeroizing::new(a.clone()) };
            let vectors =
                Task { shape, values: Zeroizing::new(x[..shape.count * width].to_vec()) };
            let (mut choices, mut message) = (Bits::default(), Vec::new());
            choose(&scalars, &mut choices);
            let t = receiver.extend(&choices, &mut message);
            let q = sender.extend(shape.ots(), &message).expect("fits");
            let mut corrections = Vec::new();
            let one = send(&vectors, &sender, &q, 0, &mut corrections);
            prop_assert_eq!(corrections.len(), shape.bytes());
            let other = receive(&scalars, &receiver, &t, 0, &corrections).expect("fits");
            prop_assert!(receive(&scalars, &receiver, &t, 0, &corrections[1..]).is_none());
            for (at, (one, other)) in one.iter().zip(other.iter()).enumerate() {
                let mut a = a[at / width] & mask(shape.bits);
                if signed && a >> (shape.bits - 1) == 1 {
                    a = a.wrapping_sub(mask(shape.bits)).wrapping_sub(1);
                }
                let sum = one.wrapping_add(*other) & mask(ring);
                prop_assert_eq!(sum, a.wrapping_mul(x[at]) & mask(ring));
            }
        }
    }
}
