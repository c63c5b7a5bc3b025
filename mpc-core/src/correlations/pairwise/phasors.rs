//! Phasors of a shared angle (docs/protocols.md 6.3).
//!
//! e^(i k r) is the product of the parties' own phasors. In each evaluation the parties have
//! places by a public rule; the first one's phasor is its share to begin with. In stage j the
//! party at place j multiplies: with each of the earlier ones, which holds a share (C, S) of what
//! there is so far, it makes shares of the product of that share and its own phasor. Nothing is
//! truncated between the stages: every stage is exact, mod 2^ring of the harmonic.
//!
//! Messages of a pass, all to the one peer concerned:
//!
//! | step | message | what hides it |
//! |---|---|---|
//! | choices (one-hot: once; bits: in every stage) | u + choice bits | `OtChoice`, AES as a PRF |
//! | stage, one-hot: level sums | sums + pads | `LevelPad`: hash of a correlated OT |
//! | the same, covert: sum of the leaves' hashes; digests of all | one more block of the leaf that is not there; a function of what the receiver has |
//! | stage, one-hot: corrections | x - U mod 2^ring_k | `OneHotLeaf`: the leaf that is not there |
//! | stage, bits: corrections | h0 - h1 + x mod 2^(ring_k - i) | `RingPad`: hash of an OT |

use std::sync::Arc;

use mpc_net::Tag;
use zeroize::Zeroizing;

use super::PairwiseOt;
use super::block::Bits;
use super::link;
use super::ole::{Task, reduce};
use super::one_hot::{self, Layout, OwnDigit, Scratch, equal, level_choice};
use super::opened;
use super::plan::{PhasorPlan, nearest, product};
use crate::correlations::{PhasorMethod, PhasorRequest, Phasors};
use crate::error::Error;
use crate::ring::wire::mask;
use crate::ring::{Z64, Z128};
use crate::share::Shared;

use worker::Worker;

const STAGE: Tag = Tag::new("ot/one-hot-stage");

/// What a party holds in one pass.
pub(super) struct Pass {
    pub(super) plan: Arc<PhasorPlan>,
    pub(super) range: std::ops::Range<usize>,
    /// How many of them are asked for.
    pub(super) kept: usize,
    /// The own angle of each evaluation: high and low digit.
    digits: Zeroizing<Vec<[u32; 2]>>,
    /// The share of each evaluation: C and S of each harmonic.
    state: Zeroizing<Vec<u128>>,
    /// Bit by bit: which way the coordinates of each evaluation's own phasor were rounded.
    rounded: Zeroizing<Vec<u8>>,
}

impl Pass {
    pub(super) fn state(&mut self, e: usize) -> &mut [u128] {
        let width = 2 * self.plan.harmonics();
        let at = (e - self.range.start) * width;
        &mut self.state[at..at + width]
    }

    pub(super) fn digits(&self, e: usize) -> [u32; 2] {
        self.digits[e - self.range.start]
    }

    /// A bit for each cosine and sine, set if it was rounded up.
    pub(super) fn rounded(&mut self, e: usize) -> &mut [u8] {
        let width = (2 * self.plan.harmonics()).div_ceil(8);
        let at = (e - self.range.start) * width;
        &mut self.rounded[at..at + width]
    }

    fn evaluations(&self, me: usize, place: usize) -> Vec<usize> {
        self.range.clone().filter(|&e| self.plan.place(e, me) == place).collect()
    }

    fn meetings(&self, sender: usize, receiver: usize, stage: Option<usize>) -> Vec<usize> {
        self.plan.meetings(self.range.clone(), sender, receiver, stage).collect()
    }
}

/// The entries of a table at a secret place, in constant time.
fn select<T: Copy>(
    table: &[(T, T)],
    width: usize,
    place: u32,
    word: impl Fn(T) -> u32,
) -> Zeroizing<Vec<(u32, u32)>> {
    let mut out = Zeroizing::new(vec![(0, 0); width]);
    for (y, row) in (0u32..).zip(table.chunks_exact(width)) {
        let keep = equal(y, place);
        for (out, &(c, s)) in out.iter_mut().zip(row) {
            *out = (out.0 | (word(c) & keep), out.1 | (word(s) & keep));
        }
    }
    out
}

/// 2^ft - 1 times a value, at its scale.
pub(super) fn scaled(value: i32, ft: u32) -> i64 {
    i64::from(value) * ((1 << ft) - 1)
}

fn exact(plan: &PhasorPlan, digits: [u32; 2], first: bool) -> Zeroizing<Vec<(i32, i32)>> {
    let table = &plan.exact[if first { 2 } else { 0 }].0;
    let high = select(table, plan.harmonics(), digits[0], |v| v as u32);
    let low = select(&plan.exact[1].0, plan.harmonics(), digits[1], |v| v as u32);
    let signed = |v: &(u32, u32)| (v.0 as i32, v.1 as i32);
    Zeroizing::new(
        high.iter().zip(low.iter()).map(|(h, l)| product(signed(h), signed(l))).collect(),
    )
}

fn rounded(plan: &PhasorPlan, digit: usize, value: u32) -> Zeroizing<Vec<(i16, i16)>> {
    let entries = select(&plan.rounded[digit].0, plan.harmonics(), value, |v| v as u16 as u32);
    Zeroizing::new(entries.iter().map(|&(c, s)| (c as u16 as i16, s as u16 as i16)).collect())
}

impl PairwiseOt {
    /// Phasors for each request, one after the other. [`PhasorPlan::cost`].
    ///
    /// # Errors
    /// When a request has no plan, or the network fails.
    pub async fn phasors(&mut self, requests: &[PhasorRequest]) -> Result<Vec<Phasors>, Error> {
        let mut all = Vec::with_capacity(requests.len());
        for request in requests {
            let plan = Arc::new(PhasorPlan::new(self.session.parties(), request)?);
            all.push(self.phasors_of(&plan).await?);
        }
        Ok(all)
    }

    /// Phasors after a plan made before. [`PhasorPlan::cost`].
    ///
    /// # Errors
    /// When the network fails.
    pub async fn phasors_of(&mut self, plan: &Arc<PhasorPlan>) -> Result<Phasors, Error> {
        let request = plan.of();
        let (count, harmonics) = (request.count as usize, plan.harmonics());
        let mut masks = Zeroizing::new(Vec::with_capacity(count));
        let mut cosine = Shared::zero(harmonics, count);
        let mut sine = Shared::zero(harmonics, count);
        for kept in plan.passes() {
            let range = 0..kept.len() + opened::more(kept.len(), self.checked);
            let angles = self.own.angle.elements::<Z64>(range.len(), request.angle_bits);
            let low = plan.digits()[1];
            let digits = angles
                .iter()
                .map(|r| [(r.0 >> low) as u32, r.0 as u32 & ((1 << low) - 1)])
                .collect();
            let mut pass = Pass {
                plan: plan.clone(),
                digits: Zeroizing::new(digits),
                state: Zeroizing::new(vec![0; range.len() * 2 * harmonics]),
                rounded: Zeroizing::new(vec![0; range.len() * (2 * harmonics).div_ceil(8)]),
                kept: kept.len(),
                range: range.clone(),
            };
            pass = match plan.method() {
                PhasorMethod::OneHot => self.one_hot(pass).await?,
                PhasorMethod::Bits => self.bit_by_bit(pass).await?,
            };
            let left =
                if self.checked { self.open_part(&mut pass).await? } else { range.collect() };
            for (at, e) in kept.zip(left) {
                masks.push(angles[e]);
                for (k, pair) in pass.state(e).as_chunks::<2>().0.iter().enumerate() {
                    let shift = plan.shift(k);
                    let place = k * count + at;
                    let ring = mask(request.ring);
                    cosine.as_mut_slice()[place] = Z128((pair[0] << shift) & ring);
                    sine.as_mut_slice()[place] = Z128((pair[1] << shift) & ring);
                }
            }
        }
        Ok(Phasors {
            mask: masks,
            cosine,
            sine,
            fraction: request.fraction,
            ring: request.ring,
            angle_bits: request.angle_bits,
            gains: plan.gains().to_vec(),
        })
    }

    async fn one_hot(&mut self, pass: Pass) -> Result<Pass, Error> {
        let (me, parties) = (self.session.me(), self.session.parties());
        let plan = pass.plan.clone();
        let [high, low] = plan.digits();
        let a = (high + low) as usize;

        // Round 1: the choices of all trees of the pass.
        let mut choices = Vec::with_capacity(parties);
        let mut sending = Vec::with_capacity(parties);
        for peer in 0..parties {
            let mut bits = Bits::default();
            let meetings = if peer == me { Vec::new() } else { pass.meetings(peer, me, None) };
            for e in meetings {
                for (value, depth) in pass.digits(e).into_iter().zip([high, low]) {
                    (0..depth as usize).for_each(|l| bits.push(level_choice(value, depth, l)));
                }
            }
            choices.push(bits);
            let sent = if peer == me { 0 } else { pass.meetings(me, peer, None).len() * a };
            sending.push(sent);
        }
        let batches = self.extend(choices, sending).await?;

        let seeds: usize = (0..parties)
            .filter(|&p| p != me)
            .map(|peer| 2 * pass.meetings(me, peer, None).len())
            .sum();
        let roots = self.own.roots.elements::<Z128>(seeds, 128);
        let mut worker = Worker { pass, layout: Layout::new(&plan), batches, roots, root: 0 };
        worker = self
            .work(move |_| {
                worker.begin(me);
                worker
            })
            .await?;
        for stage in 1..parties {
            let checked = self.checked;
            let incoming = (0..parties)
                .map(|peer| {
                    if peer == me {
                        return 0;
                    }
                    plan.stage_bytes(worker.pass.meetings(peer, me, Some(stage)).len(), checked)
                })
                .collect();
            let outgoing;
            (worker, outgoing) = self
                .work(move |links| {
                    let outgoing = worker.send(me, stage, links);
                    (worker, outgoing)
                })
                .await?;
            let received = self.session.exchange(STAGE, outgoing, incoming).await?;
            let result;
            (worker, result) = self
                .work(move |links| {
                    let result = worker.receive(me, stage, links, &received);
                    (worker, result)
                })
                .await?;
            result.map_err(|(peer, wrong)| self.session.misbehaved(peer, STAGE, wrong))?;
        }
        Ok(worker.pass)
    }

    /// The reference: every bit of the own cosine and sine, rounded at random, is a choice.
    async fn bit_by_bit(&mut self, mut pass: Pass) -> Result<Pass, Error> {
        let (me, parties) = (self.session.me(), self.session.parties());
        let plan = pass.plan.clone();
        for stage in 0..parties {
            // The own phasors of the evaluations in which it is this party's turn.
            let mine = pass.evaluations(me, stage);
            let mut own = Zeroizing::new(Vec::with_capacity(mine.len()));
            for &e in &mine {
                let exact = exact(&plan, pass.digits(e), stage == 0);
                let dice = self.own.rounding.elements::<Z64>(2 * exact.len(), 30);
                let round = |value, ft, dice: Z64| (scaled(value, ft) + dice.0 as i64) >> 30;
                for (k, (&(c, s), dice)) in exact.iter().zip(dice.as_chunks::<2>().0).enumerate() {
                    let ft = plan.bits(k);
                    let values = [round(c, ft, dice[0]), round(s, ft, dice[1])];
                    for (part, (exact, value)) in [c, s].into_iter().zip(values).enumerate() {
                        let up = (value - (scaled(exact, ft) >> 30)) as u8 & 1;
                        pass.rounded(e)[(2 * k + part) / 8] |= up << ((2 * k + part) % 8);
                    }
                    own.push(values.map(|value| value as u128));
                }
            }
            if stage == 0 {
                for (&e, own) in mine.iter().zip(own.chunks_exact(plan.harmonics())) {
                    let state = pass.state(e).as_chunks_mut::<2>().0;
                    for (k, (state, own)) in state.iter_mut().zip(own).enumerate() {
                        *state = own.map(|v| v & mask(plan.ring(k)));
                    }
                }
                continue;
            }
            let (mut scalars, mut vectors) = (self.nothing(), self.nothing());
            for peer in (0..parties).filter(|&peer| peer != me) {
                let (with, towards) =
                    (pass.meetings(peer, me, Some(stage)), pass.meetings(me, peer, Some(stage)));
                for k in 0..plan.harmonics() {
                    // The places are fixed by e mod N: a peer is earlier in all of `mine` or in none.
                    let own = own.iter().skip(k).step_by(plan.harmonics()).take(with.len());
                    let values = [0, 1].map(|part: usize| {
                        own.clone().map(|own: &[u128; 2]| own[part]).collect::<Vec<_>>()
                    });
                    let shape = plan.bit_shape(k, with.len());
                    let values = Zeroizing::new(values.concat());
                    scalars[peer].push(Task { shape, values });
                    let shape = plan.bit_shape(k, towards.len());
                    let mut values = Zeroizing::new(Vec::with_capacity(4 * towards.len()));
                    for _ in 0..2 {
                        for &e in &towards {
                            values.extend_from_slice(&pass.state(e)[2 * k..2 * k + 2]);
                        }
                    }
                    vectors[peer].push(Task { shape, values });
                }
            }
            let products = self.products(scalars, vectors).await?;
            for peer in (0..parties).filter(|&peer| peer != me) {
                let towards = pass.meetings(me, peer, Some(stage));
                for &e in &towards {
                    pass.state(e).fill(0);
                }
                let with = pass.meetings(peer, me, Some(stage));
                for (list, shares) in
                    [(towards, &products.of_vectors), (with, &products.of_scalars)]
                {
                    for (k, shares) in shares[peer].iter().enumerate() {
                        let pairs = shares.as_chunks::<2>().0;
                        let (cosines, sines) = pairs.split_at(list.len());
                        for (&e, (c, s)) in list.iter().zip(cosines.iter().zip(sines)) {
                            let state = &mut pass.state(e)[2 * k..2 * k + 2];
                            state[0] = state[0].wrapping_add(c[0]).wrapping_sub(s[1]);
                            state[1] = state[1].wrapping_add(c[1]).wrapping_add(s[0]);
                            reduce(state, plan.ring(k));
                        }
                    }
                }
            }
        }
        Ok(pass)
    }
}

#[cfg(all(test, feature = "test-util"))]
mod tests;
mod worker;
