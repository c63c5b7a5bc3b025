//! Products of random bits (docs/protocols.md 14.2).
//!
//! Each party draws own bits a_i and b_i, b'_i. For each ordered pair one OT with the choice a_i and a
//! correction of two bits gives shares of a_i b_j and of a_i b'_j; what a party has of both by itself
//! is local. In a covert session there is a third second factor, b'', whose product pays for the check
//! of the others.
//!
//! # Security
//! A choice is hidden by the extension, a correction by the pad that was not chosen. MaskSite: `AndLeft`,
//! `AndRight`, `BitPad`; what is opened for the check, `AndCheck`.

use mpc_net::Tag;
use zeroize::Zeroizing;

use super::PairwiseOt;
use super::block::{Bits, Block};
use super::extension::{Cots, Receiver, Sender};
use super::toss;
use crate::correlations::{BitTriples, check_bit_triples};
use crate::error::Error;
use crate::rand::MaskSite;
use crate::ring::PackedBits;
use crate::session::Cost;
use crate::share::SharedBits;

const PRODUCTS: Tag = Tag::new("bits/products");
const CHECK: Tag = Tag::new("bits/check");
const REST: [Tag; 2] = [Tag::new("bits/rest-commit"), Tag::new("bits/rest")];

/// Triples of a pass: what bounds the memory.
const PASS: usize = 1 << 18;
/// OTs whose pads are made at a time.
const STEP: usize = 2048;
/// Random sums that are shown of what should be zero: what is not passes with 2^-SUMS.
const SUMS: usize = 40;

/// Second factors of a triple: two that are used, and in a covert session one that is given up.
const fn width(checked: bool) -> usize {
    if checked { 3 } else { 2 }
}

fn passes(count: usize) -> impl Iterator<Item = usize> {
    (0..count).step_by(PASS).map(move |from| PASS.min(count - from))
}

/// The lowest bits of blocks, a plane for each of `planes`, from lane `from` on.
fn note(blocks: &[Block], from: usize, planes: usize, out: &mut PackedBits) {
    for plane in 0..planes {
        let words = out.plane_mut(plane);
        for (block, lane) in blocks.iter().zip(from..) {
            words[lane / 128] ^= u128::from(block[0] >> plane & 1) << (lane % 128);
        }
    }
}

/// The sender's half: its share of the products with the other's choices, and the corrections.
fn send(b: &PackedBits, link: &Sender, cots: &Cots) -> (PackedBits, PackedBits) {
    let (planes, count) = (b.planes(), b.lanes());
    let (mut share, mut correction) = (PackedBits::zero(planes, count), b.clone());
    let mut pads = [(); 2].map(|()| Zeroizing::new(vec![[0; 16]; STEP]));
    for from in (0..count).step_by(STEP) {
        let now = STEP.min(count - from);
        let [zero, one] = &mut pads;
        link.pads(cots, from, 1, [&mut zero[..now], &mut one[..now]]);
        if link.switch().is_off(MaskSite::BitPad) {
            pads.iter_mut().for_each(|pads| pads.fill([0; 16]));
        }
        note(&pads[0][..now], from, planes, &mut share);
        note(&pads[0][..now], from, planes, &mut correction);
        note(&pads[1][..now], from, planes, &mut correction);
    }
    (share, correction)
}

/// The receiver's half: its share of the products of its choices.
fn receive(a: &PackedBits, correction: &PackedBits, link: &Receiver, cots: &Cots) -> PackedBits {
    let (planes, count) = (correction.planes(), correction.lanes());
    let mut share = times(a, correction);
    let mut pads = Zeroizing::new(vec![[0; 16]; STEP]);
    for from in (0..count).step_by(STEP) {
        let now = STEP.min(count - from);
        link.pads(cots, from, 1, &mut pads[..now]);
        if link.switch().is_off(MaskSite::BitPad) {
            pads.fill([0; 16]);
        }
        note(&pads[..now], from, planes, &mut share);
    }
    share
}

/// One plane times each of some.
fn times(a: &PackedBits, b: &PackedBits) -> PackedBits {
    let mut out = b.clone();
    for plane in 0..b.planes() {
        out.plane_mut(plane).iter_mut().zip(a.plane(0)).for_each(|(b, a)| *b &= a);
    }
    out
}

/// Coins of all parties as bits.
fn coin_bits(coins: &mut toss::Public, planes: usize, lanes: usize) -> PackedBits {
    let words = (planes * lanes).div_ceil(128);
    let row: Vec<u128> =
        (0..words).map(|_| u128::from(coins.word()) << 64 | u128::from(coins.word())).collect();
    PackedBits::from_row(&row, 0, planes, lanes)
}

impl PairwiseOt {
    /// Triples of bits. [`bit_triples_cost`](Self::bit_triples_cost).
    ///
    /// # Errors
    /// When there are none or too many, the products are wrong, or the network fails.
    pub async fn bit_triples(&mut self, count: u32) -> Result<BitTriples, Error> {
        check_bit_triples(count)?;
        let (mut a, mut b, mut ab) =
            (PackedBits::zero(1, 0), PackedBits::zero(2, 0), PackedBits::zero(2, 0));
        for now in passes(count as usize) {
            let made = self.triples(now).await?;
            (a, b, ab) = (a.beside(&made.0), b.beside(&made.1), ab.beside(&made.2));
        }
        let [a, b, ab] = [a, b, ab].map(SharedBits::new);
        Ok(BitTriples { a, b, ab })
    }

    /// What [`bit_triples`](Self::bit_triples) costs this party: two rounds a pass, in a covert session
    /// five more, and the same bytes to each peer.
    #[must_use]
    pub fn bit_triples_cost(&self, count: u32) -> Cost {
        let (me, parties) = (self.session.me(), self.session.parties());
        let mut cost = Cost::to_all(me, parties, 0, 0);
        for now in passes(count as usize) {
            let products = PackedBits::wire_bytes(width(self.checked) * now) as u64;
            let mut bytes = self.expansion.bytes(now as u64, self.checked) + products;
            let mut rounds = 2;
            if self.checked {
                rounds += 2 * toss::ROUNDS + 1;
                let shown = toss::shown_bytes(PackedBits::wire_bytes(SUMS));
                bytes += (toss::TOSS_BYTES + PackedBits::wire_bytes(now) + shown) as u64;
            }
            cost = cost + Cost::to_all(me, parties, rounds, bytes);
        }
        cost
    }

    /// One pass.
    async fn triples(
        &mut self,
        count: usize,
    ) -> Result<(PackedBits, PackedBits, PackedBits), Error> {
        let (me, parties) = (self.session.me(), self.session.parties());
        let a = self.own.and_left.bits(1, count);
        let mut b = self.own.and_right.bits(2, count);
        if self.checked {
            b = b.above(&self.own.and_check.bits(1, count));
        }
        let others = |n: usize| (0..parties).map(move |peer| if peer == me { 0 } else { n });
        let choices = (0..parties)
            .map(|peer| if peer == me { Bits::default() } else { Bits::from(&a) })
            .collect();
        let batches = self.extend(choices, others(count).collect()).await?;
        let (own, planes) = (b.clone(), b.planes());
        let (batches, mut ab, outgoing) = self
            .work(move |links| {
                let mut shares = PackedBits::zero(planes, count);
                let mut outgoing = vec![Zeroizing::new(Vec::new()); parties];
                for (peer, link) in links.iter().enumerate() {
                    let (Some(link), Some(batch)) = (link, &batches[peer]) else { continue };
                    let (share, correction) = send(&own, &link.send, &batch.sent);
                    shares ^= &share;
                    outgoing[peer] = correction.to_bytes();
                }
                (batches, shares, outgoing)
            })
            .await?;
        let incoming = others(PackedBits::wire_bytes(planes * count)).collect();
        let received = self.session.exchange(PRODUCTS, outgoing, incoming).await?;
        let mut corrections = Vec::with_capacity(parties);
        for (peer, bytes) in received.iter().enumerate() {
            let read = PackedBits::from_bytes(bytes, planes, count);
            if read.is_none() && peer != me {
                return Err(self.session.misbehaved(peer, PRODUCTS, "bits behind the last one"));
            }
            corrections.push(read);
        }
        let own = a.clone();
        ab ^= &self
            .work(move |links| {
                let mut shares = PackedBits::zero(planes, count);
                for (peer, link) in links.iter().enumerate() {
                    if let (Some(link), Some(batch), Some(correction)) =
                        (link, &batches[peer], &corrections[peer])
                    {
                        shares ^= &receive(&own, correction, &link.receive, &batch.chosen);
                    }
                }
                shares
            })
            .await?;
        ab ^= &times(&a, &b);
        if self.checked {
            self.check_triples(&a, &b, &ab).await?;
        }
        Ok((a, b.select(&[0, 1]), ab.select(&[0, 1])))
    }

    /// Whether random sums of the products of each triple are those of its factors. The third product
    /// is used for this alone.
    async fn check_triples(
        &mut self,
        a: &PackedBits,
        b: &PackedBits,
        ab: &PackedBits,
    ) -> Result<(), Error> {
        let (me, parties, count) = (self.session.me(), self.session.parties(), a.lanes());
        let mut coins = toss::toss(&mut self.session, &mut self.shown).await?;
        let taken = coin_bits(&mut coins, 2, count);
        let combined = |of: &PackedBits| {
            let mut sum = of.select(&[2]);
            for plane in 0..2 {
                sum ^= &of.select(&[plane]).and(&taken.select(&[plane]));
            }
            sum
        };
        let mut opened = combined(b);
        let (message, len) = (opened.to_bytes(), PackedBits::wire_bytes(count));
        let received =
            self.session.exchange(CHECK, vec![message; parties], vec![len; parties]).await?;
        for (party, bytes) in received.iter().enumerate().filter(|&(party, _)| party != me) {
            opened ^= &PackedBits::from_bytes(bytes, 1, count)
                .ok_or_else(|| self.session.misbehaved(party, CHECK, "bits behind the last one"))?;
        }
        // Shares of zero.
        let mut rest = combined(ab);
        rest ^= &a.and(&opened);
        let own =
            PackedBits::of(1, SUMS, |_, _| rest.and(&coin_bits(&mut coins, 1, count)).parity());
        let all = toss::show(&mut self.session, REST, &mut self.shown, &own.to_bytes()).await?;
        let mut sums = PackedBits::zero(1, SUMS);
        for (party, shown) in all.iter().enumerate() {
            sums ^= &PackedBits::from_bytes(shown, 1, SUMS).ok_or_else(|| {
                self.session.misbehaved(party, REST[1], "bits behind the last one")
            })?;
        }
        if sums != PackedBits::zero(1, SUMS) {
            let detail = "a product of bits is not what it should be";
            return Err(toss::caught(&self.session, REST[1], detail));
        }
        Ok(())
    }
}
