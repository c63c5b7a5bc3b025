//! Comparisons of shared integers (docs/protocols.md 14; Catrina and de Hoogh, SCN 2010; Makri et al.,
//! *Rabbit*, FC 2021).
//!
//! z = x + r is opened for a random r whose bits are shared. Then x - c = (z - c) - r, and whether it is
//! negative follows from one comparison of the public z - c with the shared bits of r, in a tree of
//! products of bits. Exact, whatever r is.

mod tree;

#[cfg(test)]
pub(crate) mod harness;
#[cfg(test)]
mod tests;
#[cfg(all(test, feature = "test-util", feature = "insecure-test-masks"))]
mod views;

use crate::correlations::{
    BitTriples, Correlations, Ordered, Orders, RandomBits, RandomBitsRequest,
};
use crate::error::Error;
use crate::protocols::bits::{self, AndFactors};
use crate::ring::wire::{element_bytes, mask};
use crate::ring::{PackedBits, Ring, Z64, Z128};
use crate::session::{Batch, Cost, Recipients, Session};
use crate::share::{Shared, SharedBits};

/// The widest integers that are compared.
pub const MOST_BITS: u32 = 64;

/// The public shape of some comparisons that are made together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comparison {
    lanes: usize,
    bits: u32,
    /// Comparisons of each number with public bits.
    trees: usize,
    full: bool,
}

impl Comparison {
    /// `lanes` numbers of `bits` bits, one of them spare: for every x that is compared with c, |x - c| <
    /// 2^(bits - 1). From 2 to [`MOST_BITS`] bits. Each number is compared with `constants` numbers.
    ///
    /// # Errors
    /// When there are too many or too few of something.
    ///
    /// # Security
    /// The bound must follow from public facts. Where it does not hold the bit is wrong; nothing is seen
    /// through.
    pub fn new(lanes: usize, bits: u32, constants: usize) -> Result<Self, Error> {
        Self { lanes, bits, trees: constants, full: false }.check(2)
    }

    /// The same without a spare bit: 0 <= x, c < 2^bits. One number each, at the cost of two.
    ///
    /// # Errors
    /// When there are too many or too few of something.
    pub fn full_range(lanes: usize, bits: u32) -> Result<Self, Error> {
        Self { lanes, bits, trees: 2, full: true }.check(1)
    }

    fn check(self, least: u32) -> Result<Self, Error> {
        if !(least..=MOST_BITS).contains(&self.bits) {
            return Err(Error::Range(format!(
                "a comparison of {} bits; from {least} to {MOST_BITS} are possible",
                self.bits
            )));
        }
        let triples = self.trees.checked_mul(self.lanes).and_then(|n| n.checked_mul(64));
        if self.lanes == 0 || self.trees == 0 || triples.is_none_or(|n| n >= 1 << 28) {
            return Err(Error::Range(format!(
                "{} comparisons at once; there is at least one, and at most some millions",
                self.lanes
            )));
        }
        Ok(self)
    }

    /// Bits of r that are compared.
    fn leaves(&self) -> usize {
        self.bits as usize - usize::from(!self.full)
    }

    /// Triples of bits that are used up.
    #[must_use]
    pub fn triples(&self) -> usize {
        self.trees * (self.leaves() - 1) * self.lanes
    }

    /// Orders what they need.
    pub fn order(&self, orders: &mut Orders) -> OrderedComparison {
        let r = orders.random_bits(RandomBitsRequest {
            count: u32::try_from(self.lanes).unwrap_or(u32::MAX),
            bits: self.bits,
            ring: self.bits,
        });
        let triples = (self.triples() > 0).then(|| orders.bit_triples(self.triples()));
        OrderedComparison { of: *self, r, triples }
    }

    /// Rounds: one, and one for each level of the tree.
    #[must_use]
    pub fn rounds(&self) -> u64 {
        1 + u64::from(self.leaves().next_power_of_two().trailing_zeros())
    }

    /// What they cost, when what they need was made.
    #[must_use]
    pub fn cost(&self, me: usize, parties: usize) -> Cost {
        let mut bytes = (self.lanes * element_bytes(self.bits)) as u64;
        let mut nodes = self.leaves();
        while nodes > 1 {
            bytes += bits::and_both_bytes(self.trees * (nodes / 2) * self.lanes);
            nodes -= nodes / 2;
        }
        Cost::to_all(me, parties, self.rounds(), bytes)
    }
}

/// What was ordered for a comparison.
#[derive(Debug)]
#[must_use = "what is ordered is taken, in the order of the orders"]
pub struct OrderedComparison {
    of: Comparison,
    r: Ordered<RandomBits>,
    triples: Option<Ordered<BitTriples>>,
}

impl OrderedComparison {
    /// Takes it.
    ///
    /// # Errors
    /// When it is not due, or production has stopped.
    pub async fn take(self, from: &mut Correlations<'_>) -> Result<Prepared, Error> {
        let r = from.take(self.r).await?;
        let factors = match self.triples {
            Some(triples) => Some(AndFactors::new(from.take(triples).await?)),
            None => None,
        };
        Ok(Prepared { of: self.of, r, factors })
    }
}

/// What some comparisons use up.
#[derive(Debug)]
pub struct Prepared {
    of: Comparison,
    r: RandomBits,
    factors: Option<AndFactors>,
}

/// Whether x < c, for each number in its lane: a plane for each of the `constants`, which have one number
/// a lane. [`Comparison::cost`]; x mod 2^bits is all that is looked at.
///
/// # Errors
/// When x or the constants have another shape than was prepared for, or the network fails.
pub async fn below<R: Ring>(
    x: &Shared<R>,
    constants: &[Vec<u64>],
    prepared: Prepared,
    session: &mut Session,
) -> Result<SharedBits, Error> {
    let Comparison { lanes, bits, trees, full } = prepared.of;
    let due = if full { 1 } else { trees };
    if constants.len() != due || constants.iter().any(|c| c.len() != lanes) {
        return Err(Error::internal("a comparison has other constants than it was prepared for"));
    }
    let (z, r) = open(x, &prepared, session).await?;
    let less = |z: &[u64], c: &[u64]| -> Vec<u64> {
        z.iter().zip(c).map(|(z, c)| z.wrapping_sub(*c) & mask(bits) as u64).collect()
    };
    if !full {
        let moved: Vec<_> = constants.iter().map(|c| less(&z, c)).collect();
        return negative(&moved, &r, prepared, session).await;
    }
    // x - c and x are what is left of z - c and z when r is taken away, with a carry each.
    let moved = less(&z, &constants[0]);
    let carries = tree::below_bits(&[moved, z.clone()], &r, prepared.factors, session).await?;
    let z_below = PackedBits::of(1, lanes, |_, lane| u128::from(z[lane] < constants[0][lane]));
    let mut out = carries.select(&[0]).xor(&carries.select(&[1]));
    out ^= &SharedBits::public(&z_below, session);
    Ok(out)
}

/// Whether x < y, for each number in its lane. [`Comparison::cost`]; of |x - y| < 2^(bits - 1).
///
/// # Errors
/// When x and y have another shape than was prepared for, or the network fails.
pub async fn less<R: Ring>(
    x: &Shared<R>,
    y: &Shared<R>,
    prepared: Prepared,
    session: &mut Session,
) -> Result<SharedBits, Error> {
    if prepared.of.full || prepared.of.trees != 1 || x.len() != y.len() {
        return Err(Error::internal("two shared numbers are compared with one spare bit"));
    }
    let mut difference = Shared::column(x.as_slice().to_vec());
    difference -= &Shared::column(y.as_slice().to_vec());
    let (z, r) = open(&difference, &prepared, session).await?;
    negative(&[z], &r, prepared, session).await
}

/// z = x + r mod 2^bits, and the shares of the bits of r. One round. MaskSite: `RandomBit`.
async fn open<R: Ring>(
    x: &Shared<R>,
    prepared: &Prepared,
    session: &mut Session,
) -> Result<(Vec<u64>, SharedBits), Error> {
    let Comparison { lanes, bits, .. } = prepared.of;
    if x.len() != lanes || R::BITS < bits {
        return Err(Error::internal("a comparison has other numbers than it was prepared for"));
    }
    let sum = |(x, r): (&R, &Z64)| Z128(x.to_u128().wrapping_add(r.to_u128()));
    let masked = x.as_slice().iter().zip(prepared.r.value.as_slice()).map(sum).collect();
    let mut batch = Batch::new("compare/open");
    let slot = batch.masked(&Shared::column(masked), bits, Recipients::All);
    let opened = session.open(batch).await?;
    Ok((opened.at(slot).iter().map(|z| z.0 as u64).collect(), prepared.r.bits.clone()))
}

/// Whether z - r mod 2^bits has its highest bit set, for each z: a plane.
async fn negative(
    z: &[Vec<u64>],
    r: &SharedBits,
    prepared: Prepared,
    session: &mut Session,
) -> Result<SharedBits, Error> {
    let Comparison { lanes, bits, .. } = prepared.of;
    let top = bits as usize - 1;
    let low: Vec<usize> = (0..top).collect();
    let mut out = tree::below_bits(z, &r.select(&low), prepared.factors, session).await?;
    let high = PackedBits::of(z.len(), lanes, |plane, lane| u128::from(z[plane][lane] >> top));
    out ^= &SharedBits::public(&high, session);
    out ^= &r.select(&vec![top; z.len()]);
    Ok(out)
}
