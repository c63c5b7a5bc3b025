//! Products of shared bits, and bits as integers (docs/protocols.md 14.2, 14.4).

use crate::correlations::{BitTriples, RandomBits};
use crate::error::Error;
use crate::ring::wire::mask;
use crate::ring::{PackedBits, Z64};
use crate::session::{Batch, Cost, Recipients, Session};
use crate::share::{Shared, SharedBits};

/// Triples of bits, of which each is used once: from the first on.
#[derive(Debug)]
pub struct AndFactors {
    triples: BitTriples,
    used: usize,
}

/// Some triples in planes, on their way into a product.
struct Part {
    a: SharedBits,
    b: [SharedBits; 2],
    ab: [SharedBits; 2],
}

impl AndFactors {
    /// Triples that were taken from a source.
    #[must_use]
    pub fn new(triples: BitTriples) -> Self {
        Self { triples, used: 0 }
    }

    /// None, for who needs none.
    #[must_use]
    pub fn none() -> Self {
        let zero = |planes| SharedBits::new(PackedBits::zero(planes, 0));
        Self::new(BitTriples { a: zero(1), b: zero(2), ab: zero(2) })
    }

    /// How many are left.
    #[must_use]
    pub fn left(&self) -> usize {
        self.triples.a.lanes() - self.used
    }

    fn take(&mut self, planes: usize, lanes: usize) -> Result<Part, Error> {
        if planes * lanes > self.left() {
            return Err(Error::internal("more products of bits than were ordered"));
        }
        let from = self.used;
        self.used += planes * lanes;
        let part = |of: &SharedBits, plane: usize| {
            SharedBits::new(PackedBits::from_row(of.own().plane(plane), from, planes, lanes))
        };
        let BitTriples { a, b, ab } = &self.triples;
        Ok(Part { a: part(a, 0), b: [part(b, 0), part(b, 1)], ab: [part(ab, 0), part(ab, 1)] })
    }
}

/// The bits where x and y are one. One round; bytes: [`and_bytes`] of planes x lanes.
///
/// # Errors
/// When there are not enough triples, or the network fails.
///
/// # Panics
/// When the shapes differ.
pub async fn and(
    x: &SharedBits,
    y: &SharedBits,
    factors: &mut AndFactors,
    session: &mut Session,
) -> Result<SharedBits, Error> {
    let Part { a, b: [b, _], ab: [ab, _] } = factors.take(x.planes(), x.lanes())?;
    let opened = open(&[x.xor(&a), y.xor(&b)], session).await?;
    Ok(finish([&opened[0], &opened[1]], &a, &b, &ab, session))
}

/// The bits where x and y are one, and those where x and y' are one, with the same triples. One round;
/// bytes: [`and_both_bytes`] of planes x lanes.
///
/// # Errors
/// When there are not enough triples, or the network fails.
///
/// # Panics
/// When the shapes differ.
pub async fn and_both(
    x: &SharedBits,
    y: [&SharedBits; 2],
    factors: &mut AndFactors,
    session: &mut Session,
) -> Result<[SharedBits; 2], Error> {
    let Part { a, b, ab } = factors.take(x.planes(), x.lanes())?;
    let opened = open(&[x.xor(&a), y[0].xor(&b[0]), y[1].xor(&b[1])], session).await?;
    Ok([0, 1].map(|i| finish([&opened[0], &opened[i + 1]], &a, &b[i], &ab[i], session)))
}

/// Opens masked bits of one shape in one message. MaskSite: `AndLeft`, `AndRight`.
async fn open(masked: &[SharedBits], session: &mut Session) -> Result<Vec<PackedBits>, Error> {
    let (planes, lanes) = (masked[0].planes(), masked[0].lanes());
    let mut all = SharedBits::new(PackedBits::zero(0, lanes));
    for one in masked {
        all = all.above(one);
    }
    let mut batch = Batch::new("bits/and");
    let slot = batch.masked_bits(&all, Recipients::All);
    let opened = session.open(batch).await?.bits_at(slot, all.planes(), lanes);
    let part = |nth: usize| {
        let of: Vec<usize> = (nth * planes..(nth + 1) * planes).collect();
        opened.select(&of)
    };
    Ok((0..masked.len()).map(part).collect())
}

/// E b + a F + a b, and E F at the first party.
fn finish(
    [e, f]: [&PackedBits; 2],
    a: &SharedBits,
    b: &SharedBits,
    ab: &SharedBits,
    session: &Session,
) -> SharedBits {
    let mut product = ab.xor(&b.and_public(e)).xor(&a.and_public(f));
    product ^= &SharedBits::public(&e.and(f), session);
    product
}

/// Bytes to each peer of [`and`] for so many bits.
#[must_use]
pub const fn and_bytes(bits: usize) -> u64 {
    PackedBits::wire_bytes(2 * bits) as u64
}

/// Bytes to each peer of [`and_both`] for so many bits.
#[must_use]
pub const fn and_both_bytes(bits: usize) -> u64 {
    PackedBits::wire_bytes(3 * bits) as u64
}

/// For each plane, whether any of its lanes is one: planes of one lane. Takes for each plane a triple less
/// than there are lanes. Rounds: the logarithm of the lanes; [`any_cost`].
///
/// # Errors
/// When there is no lane, there are not enough triples, or the network fails.
pub async fn any(
    bits: &SharedBits,
    factors: &mut AndFactors,
    session: &mut Session,
) -> Result<SharedBits, Error> {
    if bits.lanes() == 0 {
        return Err(Error::internal("bits that are taken together are at least one"));
    }
    // None is one where all opposites are.
    let mut all = bits.not(session);
    while all.lanes() > 1 {
        let half = all.lanes() / 2;
        let (x, y) = (all.lane_range(0, half), all.lane_range(half, half));
        let rest = all.lane_range(2 * half, all.lanes() - 2 * half);
        let both = and(&x, &y, factors, session).await?;
        all = SharedBits::new(both.own().beside(rest.own()));
    }
    Ok(all.not(session))
}

/// What [`any`] costs for so many planes and lanes.
#[must_use]
pub fn any_cost(planes: usize, lanes: usize, me: usize, parties: usize) -> Cost {
    let (mut left, mut rounds, mut bytes) = (lanes, 0, 0);
    while left > 1 {
        rounds += 1;
        bytes += and_bytes(planes * (left / 2));
        left -= left / 2;
    }
    Cost::to_all(me, parties, rounds, bytes)
}

/// Shared bits as integers 0 and 1 mod 2^ring: planes x lanes. One round; a byte for eight bits to each
/// peer. MaskSite: `RandomBit`.
///
/// # Errors
/// When `random` are not as many numbers of one bit, or the network fails.
pub async fn to_integers(
    bits: &SharedBits,
    random: RandomBits,
    session: &mut Session,
) -> Result<Shared<Z64>, Error> {
    let (planes, lanes) = (bits.planes(), bits.lanes());
    if random.bits.planes() != 1 || random.bits.lanes() != planes * lanes {
        return Err(Error::internal("a random bit for each bit that becomes an integer"));
    }
    let row = PackedBits::from_row(random.bits.own().plane(0), 0, planes, lanes);
    let mut batch = Batch::new("bits/integers");
    let slot = batch.masked_bits(&bits.xor(&SharedBits::new(row)), Recipients::All);
    let opened = session.open(batch).await?.bits_at(slot, planes, lanes);
    let mut value = random.value;
    for (at, share) in value.as_mut_slice().iter_mut().enumerate() {
        // w + r - 2 w r, w public.
        let w = opened.bit(at / lanes, at % lanes) as u64;
        let own = share.0.wrapping_mul(1u64.wrapping_sub(2 * w));
        let public = if session.me() == 0 { w } else { 0 };
        share.0 = own.wrapping_add(public) & mask(random.ring) as u64;
    }
    value.reshape(planes, lanes)
}

/// What [`to_integers`] costs for so many bits.
#[must_use]
pub fn to_integers_cost(bits: usize, me: usize, parties: usize) -> Cost {
    Cost::to_all(me, parties, 1, PackedBits::wire_bytes(bits) as u64)
}
