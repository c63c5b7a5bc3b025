//! Random numbers that are shared as bits and as numbers (docs/protocols.md 14.1).
//!
//! Bit b of r is the exclusive or of all parties' own bits. The first party's bit is a share of it
//! as a number; each further party j multiplies its own bit with the sum s that the earlier ones share, a
//! Gilboa product with a scalar of one bit: s + b_j - 2 s b_j is the exclusive or. Times 2^b, s is
//! needed mod 2^(ring - b), and the product with one bit less.
//!
//! # Security
//! A choice b_j is hidden by the extension, a correction by the pad that was not chosen. MaskSite:
//! `RandomBit`, `RingPad`. In a covert session a part of what was made is opened and given up.

use mpc_net::Tag;
use zeroize::Zeroizing;

use super::PairwiseOt;
use super::block::Bits;
use super::link;
use super::ole::{self, Shape, Task};
use super::toss;
use crate::correlations::{RandomBits, RandomBitsRequest};
use crate::error::Error;
use crate::ring::wire::{element_bytes, mask};
use crate::ring::{PackedBits, Z64};
use crate::session::Cost;
use crate::share::{Shared, SharedBits};

const STAGE: Tag = Tag::new("bits/stage");
const OPEN: [Tag; 2] = [Tag::new("bits/open-commit"), Tag::new("bits/open")];

/// Bits of a pass: what bounds the memory.
const PASS: usize = 1 << 19;
/// One number is made more, and opened, for so many.
const PART: usize = 16;

const fn more(count: usize, checked: bool) -> usize {
    if checked { count.div_ceil(PART) } else { 0 }
}

/// The public shape of a pass.
#[derive(Clone, Copy)]
struct Pass {
    planes: usize,
    ring: u32,
    /// Numbers that are made.
    made: usize,
    /// Numbers that are given up for the check.
    opened: usize,
}

impl Pass {
    /// The passes of a request.
    fn all(request: &RandomBitsRequest, checked: bool) -> Vec<Self> {
        let (count, planes) = (request.count as usize, request.bits as usize);
        let most = (PASS / planes).max(1);
        let pass = |from: usize| {
            let kept = most.min(count - from);
            let opened = more(kept, checked);
            Self { planes, ring: request.ring, made: kept + opened, opened }
        };
        (0..count).step_by(most).map(pass).collect()
    }

    /// The planes that take a product: not the highest bit of the ring, whose double is zero.
    fn linked(&self) -> usize {
        self.planes.min(self.ring as usize - 1)
    }

    fn shape(&self, plane: usize) -> Shape {
        let ring = self.ring - 1 - plane as u32;
        Shape { count: self.made, width: 1, bits: 1, ring, signed: false }
    }

    fn bytes(&self) -> usize {
        (0..self.linked()).map(|plane| self.shape(plane).bytes()).sum()
    }

    /// Bytes that each party shows of the numbers that are given up.
    fn shown(&self) -> usize {
        PackedBits::wire_bytes(self.planes * self.opened) + self.opened * element_bytes(self.ring)
    }
}

/// The shares of a pass: own bits, and for each plane a share of each bit as a number.
struct Numbers {
    bits: PackedBits,
    planes: Vec<Zeroizing<Vec<u128>>>,
}

impl Numbers {
    fn new(bits: PackedBits, first: bool) -> Self {
        let own = |plane| (0..bits.lanes()).map(|lane| bits.bit(plane, lane)).collect();
        let zeros = || vec![0; bits.lanes()];
        let planes = (0..bits.planes())
            .map(|plane| Zeroizing::new(if first { own(plane) } else { zeros() }))
            .collect();
        Self { bits, planes }
    }

    /// The tasks of a stage in which this party holds the sums, or its own bit.
    fn tasks(&self, pass: Pass, chooses: bool) -> Vec<Task> {
        let task = |plane: usize| {
            let shape = pass.shape(plane);
            let values = if chooses {
                (0..pass.made).map(|lane| self.bits.bit(plane, lane)).collect()
            } else {
                self.planes[plane].iter().map(|value| value & mask(shape.ring)).collect()
            };
            Task { shape, values: Zeroizing::new(values) }
        };
        (0..pass.linked()).map(task).collect()
    }

    /// Takes the double of the shares of one product from the sums.
    fn subtract(&mut self, products: &[Zeroizing<Vec<u128>>]) {
        for (sums, products) in self.planes.iter_mut().zip(products) {
            for (sum, product) in sums.iter_mut().zip(products.iter()) {
                *sum = sum.wrapping_sub(product.wrapping_mul(2));
            }
        }
    }

    fn add_own(&mut self) {
        for (plane, sums) in self.planes.iter_mut().enumerate() {
            for (lane, sum) in sums.iter_mut().enumerate() {
                *sum = sum.wrapping_add(self.bits.bit(plane, lane));
            }
        }
    }

    fn values(&self, ring: u32) -> Zeroizing<Vec<u128>> {
        let mut out = Zeroizing::new(vec![0u128; self.bits.lanes()]);
        for (plane, sums) in self.planes.iter().enumerate() {
            for (out, sum) in out.iter_mut().zip(sums.iter()) {
                *out = out.wrapping_add(sum << plane) & mask(ring);
            }
        }
        out
    }
}

impl PairwiseOt {
    /// Random numbers, shared as bits and mod 2^ring. [`random_bits_cost`](Self::random_bits_cost).
    ///
    /// # Errors
    /// When the request is none, a number that was opened is wrong, or the network fails.
    pub async fn random_bits(&mut self, request: &RandomBitsRequest) -> Result<RandomBits, Error> {
        request.check()?;
        let mut bits = PackedBits::zero(request.bits as usize, 0);
        let mut value = Vec::with_capacity(request.count as usize);
        for pass in Pass::all(request, self.checked) {
            let (own, values) = self.numbers(pass).await?;
            bits = bits.beside(&own);
            value.extend(values.iter().map(|&value| Z64(value as u64)));
        }
        let value = Shared::column(value);
        Ok(RandomBits { bits: SharedBits::new(bits), value, ring: request.ring })
    }

    /// What [`random_bits`](Self::random_bits) costs this party: N rounds a pass, in a covert session
    /// four more.
    #[must_use]
    pub fn random_bits_cost(&self, request: &RandomBitsRequest) -> Cost {
        let (me, parties) = (self.session.me(), self.session.parties());
        let mut cost = Cost { bytes: vec![0; parties], ..Cost::default() };
        for pass in Pass::all(request, self.checked) {
            let choices = (pass.linked() * pass.made) as u64;
            cost.rounds += parties as u64;
            for (peer, bytes) in cost.bytes.iter_mut().enumerate().filter(|&(peer, _)| peer != me) {
                *bytes += if peer < me {
                    self.expansion.bytes(choices, self.checked)
                } else {
                    pass.bytes() as u64
                };
            }
            if self.checked {
                let shown = toss::TOSS_BYTES + toss::shown_bytes(pass.shown());
                cost = cost + Cost::to_all(me, parties, 2 * toss::ROUNDS, shown as u64);
            }
        }
        cost
    }

    /// One pass: the own bits, and the shares of the numbers.
    async fn numbers(&mut self, pass: Pass) -> Result<(PackedBits, Zeroizing<Vec<u128>>), Error> {
        let (me, parties) = (self.session.me(), self.session.parties());
        let own = self.own.bits.bits(pass.planes, pass.made);
        let linked: Vec<usize> = (0..pass.linked()).collect();
        // All choices at once; then a stage for each party that multiplies.
        let chosen = own.select(&linked);
        let choices = (0..parties)
            .map(|peer| if peer < me { Bits::from(&chosen) } else { Bits::default() })
            .collect();
        let ots = linked.len() * pass.made;
        let sending = (0..parties).map(|peer| if peer > me { ots } else { 0 }).collect();
        let mut batches = self.extend(choices, sending).await?;
        let mut numbers = Numbers::new(own, me == 0);
        for stage in 1..parties {
            (numbers, batches) = self.stage(stage, pass, numbers, batches).await?;
        }
        let values = numbers.values(pass.ring);
        let bits = numbers.bits;
        if self.checked {
            self.open_numbers(pass, &bits, &values).await
        } else {
            Ok((bits, values))
        }
    }

    /// Party `stage` multiplies its bits with what the earlier ones share. One round.
    async fn stage(
        &mut self,
        stage: usize,
        pass: Pass,
        numbers: Numbers,
        batches: Vec<Option<link::Batch>>,
    ) -> Result<(Numbers, Vec<Option<link::Batch>>), Error> {
        let (me, parties) = (self.session.me(), self.session.parties());
        let (mut numbers, batches, outgoing) = self
            .work(move |links| {
                let mut numbers = numbers;
                let mut outgoing = vec![Zeroizing::new(Vec::new()); parties];
                if let (true, Some(link), Some(batch)) =
                    (me < stage, &links[stage], &batches[stage])
                {
                    let out = &mut outgoing[stage];
                    let tasks = numbers.tasks(pass, false);
                    let shares: Vec<_> = tasks
                        .iter()
                        .enumerate()
                        .map(|(plane, task)| {
                            ole::send(task, &link.send, &batch.sent, plane * pass.made, out)
                        })
                        .collect();
                    numbers.subtract(&shares);
                }
                (numbers, batches, outgoing)
            })
            .await?;
        let due = |peer: usize| if me == stage && peer < me { pass.bytes() } else { 0 };
        let incoming = (0..parties).map(due).collect();
        let received = self.session.exchange(STAGE, outgoing, incoming).await?;
        if me != stage {
            return Ok((numbers, batches));
        }
        let (numbers, batches) = self
            .work(move |links| {
                let tasks = numbers.tasks(pass, true);
                for (peer, received) in received.iter().enumerate().take(stage) {
                    let (Some(link), Some(batch)) = (&links[peer], &batches[peer]) else {
                        return Err(peer);
                    };
                    let mut rest: &[u8] = received;
                    let mut shares = Vec::with_capacity(tasks.len());
                    for (plane, task) in tasks.iter().enumerate() {
                        let (mine, after) = rest.split_at(task.shape.bytes());
                        rest = after;
                        let at = plane * pass.made;
                        let share = ole::receive(task, &link.receive, &batch.chosen, at, mine);
                        shares.push(share.ok_or(peer)?);
                    }
                    numbers.subtract(&shares);
                }
                numbers.add_own();
                Ok((numbers, batches))
            })
            .await?
            .map_err(|peer| self.session.misbehaved(peer, STAGE, "a correction is out of range"))?;
        Ok((numbers, batches))
    }

    /// Opens a part of the pass; gives what is left.
    async fn open_numbers(
        &mut self,
        pass: Pass,
        bits: &PackedBits,
        values: &[u128],
    ) -> Result<(PackedBits, Zeroizing<Vec<u128>>), Error> {
        let mut coins = toss::toss(&mut self.session, &mut self.shown).await?;
        let chosen = coins.choose(pass.opened, pass.made);
        let mut own = bits.pick(&chosen).to_bytes();
        let width = element_bytes(pass.ring);
        for &lane in &chosen {
            own.extend_from_slice(&values[lane].to_le_bytes()[..width]);
        }
        let all = toss::show(&mut self.session, OPEN, &mut self.shown, &own).await?;
        let mut opened = PackedBits::zero(pass.planes, chosen.len());
        let mut sums = vec![0u128; chosen.len()];
        let mask = mask(pass.ring);
        for (party, shown) in all.iter().enumerate() {
            let (theirs, shares) = shown.split_at(shown.len() - chosen.len() * width);
            let wrong = || self.session.misbehaved(party, OPEN[1], "a number is out of range");
            opened ^=
                &PackedBits::from_bytes(theirs, pass.planes, chosen.len()).ok_or_else(wrong)?;
            for (sum, share) in sums.iter_mut().zip(shares.chunks_exact(width)) {
                let share =
                    ole::read(share).filter(|share| share & !mask == 0).ok_or_else(wrong)?;
                *sum = sum.wrapping_add(share) & mask;
            }
        }
        let number = |lane: usize| {
            (0..pass.planes).fold(0u128, |sum, plane| sum | opened.bit(plane, lane) << plane)
        };
        if sums.iter().enumerate().any(|(lane, &sum)| sum != number(lane)) {
            let detail = "random bits that were opened are not those of the number";
            return Err(toss::caught(&self.session, OPEN[1], detail));
        }
        let left: Vec<usize> =
            (0..pass.made).filter(|lane| chosen.binary_search(lane).is_err()).collect();
        let values = left.iter().map(|&lane| values[lane]).collect();
        Ok((bits.pick(&left), Zeroizing::new(values)))
    }
}
