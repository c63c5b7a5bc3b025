//! Shares of bits.

use std::fmt;
use std::ops::BitXorAssign;

use crate::ring::{PackedBits, Z64};
use crate::session::Session;
use crate::share::Shared;

/// One party's share of bits: the bits are the exclusive or of all parties' shares.
///
/// Exclusive or of two shares, and anything with public bits, is local; the bits where both are one take
/// a round ([`crate::protocols::bits`]). As shares mod 2 they are additive ones
/// ([`modulo_two`](Self::modulo_two)), and are revealed so.
#[derive(Clone, PartialEq, Eq)]
pub struct SharedBits(PackedBits);

impl SharedBits {
    /// A share: any bits.
    #[must_use]
    pub fn new(own: PackedBits) -> Self {
        Self(own)
    }

    /// Shares of public bits: all of it is the first party's.
    #[must_use]
    pub fn public(bits: &PackedBits, session: &Session) -> Self {
        if session.me() == 0 {
            return Self(bits.clone());
        }
        Self(PackedBits::zero(bits.planes(), bits.lanes()))
    }

    /// The number of planes.
    #[must_use]
    pub fn planes(&self) -> usize {
        self.0.planes()
    }

    /// The number of lanes.
    #[must_use]
    pub fn lanes(&self) -> usize {
        self.0.lanes()
    }

    /// The own share.
    #[must_use]
    pub fn own(&self) -> &PackedBits {
        &self.0
    }

    /// Shares of the opposite bits.
    #[must_use]
    pub fn not(&self, session: &Session) -> Self {
        Self(if session.me() == 0 { self.0.not() } else { self.0.clone() })
    }

    /// Shares of the bits that are one here and in public bits.
    ///
    /// # Panics
    /// When the shapes differ.
    #[must_use]
    pub fn and_public(&self, bits: &PackedBits) -> Self {
        Self(self.0.and(bits))
    }

    /// Shares of the exclusive or.
    ///
    /// # Panics
    /// When the shapes differ.
    #[must_use]
    pub fn xor(&self, other: &Self) -> Self {
        Self(self.0.xor(&other.0))
    }

    /// Some planes, in the order in which they are named.
    #[must_use]
    pub fn select(&self, planes: &[usize]) -> Self {
        Self(self.0.select(planes))
    }

    /// The planes of one behind those of the other.
    ///
    /// # Panics
    /// When they have different numbers of lanes.
    #[must_use]
    pub fn above(self, other: &Self) -> Self {
        Self(self.0.above(&other.0))
    }

    /// The lanes from `from` on of every plane.
    ///
    /// # Panics
    /// When there are not so many.
    #[must_use]
    pub fn lane_range(&self, from: usize, lanes: usize) -> Self {
        Self(self.0.lane_range(from, lanes))
    }

    /// The same as additive shares mod 2, one element a bit: planes x lanes.
    #[must_use]
    pub fn modulo_two(&self) -> Shared<Z64> {
        let (planes, lanes) = (self.planes(), self.lanes());
        let bits = (0..planes).flat_map(|plane| (0..lanes).map(move |lane| (plane, lane)));
        let bits = bits.map(|(plane, lane)| Z64(self.0.bit(plane, lane) as u64)).collect();
        Shared::new(bits, planes, lanes)
    }
}

impl BitXorAssign<&Self> for SharedBits {
    fn bitxor_assign(&mut self, other: &Self) {
        self.0 ^= &other.0;
    }
}

impl fmt::Debug for SharedBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedBits")
            .field("planes", &self.planes())
            .field("lanes", &self.lanes())
            .finish_non_exhaustive()
    }
}
