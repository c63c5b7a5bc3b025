//! Shares that know their ring and scale.

use std::fmt;
use std::ops::Neg;

use super::{Shared, truncate_reduce};
use crate::error::Error;
use crate::fixed::encode;
use crate::ring::{Ring, Z64, Z128};

/// The most fractional bits: a sign is left of 128.
const MOST_FRACTION: u32 = 127;

/// Own reals must be below 2^this at their scale, so that up to 64 parties' sums keep their sign.
const OWN_BITS: u32 = 120;

/// One party's additive share of a matrix of reals in fixed point.
///
/// The parties' shares add up to integers mod 2^`ring`, which stand for the signed integers in
/// [-2^(ring-1), 2^(ring-1)), times 2^-`fraction`. Both numbers are public, the same at every
/// party, and follow from how the value was made: a sum lives in the smaller ring of its terms, a
/// product at the sum of the scales of its factors, a truncated value in a ring that is as much
/// smaller. Values at different scales do not add, and nothing is revealed at a scale that it does
/// not have ([`Session::reveal_fixed`](crate::Session::reveal_fixed)).
///
/// All operations here are local. What they cannot know is how large a value is: that it stays
/// below 2^(ring - 1 - fraction) in magnitude is the caller's to see to, as with any fixed point.
/// The memory is wiped on drop, and `Debug` prints shape, ring and scale alone.
///
/// ```
/// use mpc_core::testing::World;
/// use mpc_core::{Error, Fixed, Outputs, Recipients};
///
/// let outputs = Outputs::none().allow("mean", Recipients::All);
/// let means = World::new(3).outputs(outputs).run(async |mut session| {
///     let mine = 1.5 + session.me() as f64;
///     let sum = Fixed::own_part(&[mine], 1, 1, 20)?; // each party's number is its share of the sum
///     let mean = sum.times_real(1.0 / 3.0, 30)?; // scale 2^50
///     session.reveal_fixed("mean", &mean, 20).await
/// });
/// for mean in means {
///     assert!((mean?.expect("is revealed to all")[0] - 2.5).abs() < 1e-5);
/// }
/// # Ok::<(), Error>(())
/// ```
///
/// Ring and scale are not for the caller to remember, and raw integers are not revealed in their
/// place by accident:
///
/// ```compile_fail,E0308
/// # async fn reveal(mut session: mpc_core::Session, score: mpc_core::Fixed) {
/// session.reveal("score", &score, 128, 0).await; // a `Fixed` is no `Shared`
/// # }
/// ```
#[derive(Clone)]
pub struct Fixed {
    share: Shared<Z128>,
    ring: u32,
    fraction: u32,
}

impl Fixed {
    /// The share of values mod 2^`ring` at scale 2^`fraction`. What is above 2^`ring` in the share
    /// means nothing.
    ///
    /// # Errors
    /// [`Error::Range`] unless 1 <= `ring` <= 128 and `fraction` <= 127.
    pub fn new(share: Shared<Z128>, ring: u32, fraction: u32) -> Result<Self, Error> {
        if !(1..=128).contains(&ring) || fraction > MOST_FRACTION {
            return Err(Error::Range(format!(
                "a share mod 2^{ring} at scale 2^{fraction}: rings have 1 to 128 bits and scales \
                 at most {MOST_FRACTION}"
            )));
        }
        Ok(Self { share, ring, fraction })
    }

    /// [`new`](Self::new) from a share mod 2^64 or less.
    ///
    /// # Errors
    /// [`Error::Range`] unless 1 <= `ring` <= 64 and `fraction` <= 127.
    pub fn widened(share: &Shared<Z64>, ring: u32, fraction: u32) -> Result<Self, Error> {
        if ring > Z64::BITS {
            return Err(Error::Range(format!("a share mod 2^64 is not known mod 2^{ring}")));
        }
        let values = share.as_slice().iter().map(|value| Z128::from_u128(value.to_u128()));
        Self::new(Shared::new(values.collect(), share.rows(), share.columns()), ring, fraction)
    }

    /// The share of `rows` x `columns` zeros mod 2^128 at scale 2^`fraction`.
    ///
    /// # Errors
    /// See [`new`](Self::new).
    pub fn zero(rows: usize, columns: usize, fraction: u32) -> Result<Self, Error> {
        Self::new(Shared::zero(rows, columns), Z128::BITS, fraction)
    }

    /// This party's term of a sum over all parties: its own reals, row by row, are its share of
    /// the sum. Mod 2^128.
    ///
    /// # Errors
    /// [`Error::Range`] when a real is not finite or not below 2^(120 - fraction); when there are
    /// not rows x columns of them.
    pub fn own_part(
        values: &[f64],
        rows: usize,
        columns: usize,
        fraction: u32,
    ) -> Result<Self, Error> {
        let mut encoded = Vec::with_capacity(values.len());
        for &value in values {
            encoded.push(Z128::from_i128(encode(value, fraction, OWN_BITS)?));
        }
        let share = Shared::column(encoded).reshape(rows, columns)?;
        Self::new(share, Z128::BITS, fraction)
    }

    /// The share of the integers.
    pub(crate) fn share(&self) -> &Shared<Z128> {
        &self.share
    }

    /// The share of the integers, the ring 2^k in which they mean something, and the number of their
    /// fractional bits: for a protocol that is written for integers, all three or none.
    #[must_use]
    pub fn parts(&self) -> (&Shared<Z128>, u32, u32) {
        (&self.share, self.ring, self.fraction)
    }

    /// [`parts`](Self::parts), by value.
    #[must_use]
    pub fn into_parts(self) -> (Shared<Z128>, u32, u32) {
        (self.share, self.ring, self.fraction)
    }

    /// The values are known mod 2^this.
    #[must_use]
    pub fn ring(&self) -> u32 {
        self.ring
    }

    /// The number of fractional bits.
    #[must_use]
    pub fn fraction(&self) -> u32 {
        self.fraction
    }

    /// Rows of the matrix.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.share.rows()
    }

    /// Columns of the matrix.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.share.columns()
    }

    /// The number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.share.len()
    }

    /// Whether there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.share.is_empty()
    }

    /// The sum, in the smaller ring of the two.
    ///
    /// # Errors
    /// When shapes or scales differ.
    pub fn plus(mut self, other: &Self) -> Result<Self, Error> {
        self.meets(other)?;
        self.share += &other.share;
        Ok(self)
    }

    /// The sum at the larger of the two scales. Exact: what is raised gets as much more ring.
    ///
    /// # Errors
    /// When shapes differ.
    pub fn plus_raised(self, other: &Self) -> Result<Self, Error> {
        let fraction = self.fraction.max(other.fraction);
        self.raise(fraction)?.plus(&other.clone().raise(fraction)?)
    }

    /// The difference, in the smaller ring of the two.
    ///
    /// # Errors
    /// When shapes or scales differ.
    pub fn minus(mut self, other: &Self) -> Result<Self, Error> {
        self.meets(other)?;
        self.share -= &other.share;
        Ok(self)
    }

    /// The values times a public integer; ring and scale stay.
    #[must_use]
    pub fn times(mut self, factor: i128) -> Self {
        self.share.scale(Z128::from_i128(factor));
        self
    }

    /// The values times a public real that is rounded to `bits` fractional bits; the result has as
    /// many more. The real must be the same at every party to its last bit.
    ///
    /// # Errors
    /// [`Error::Range`] when the factor is not finite or not below 2^(120 - bits), or the scale
    /// becomes too large.
    pub fn times_real(self, factor: f64, bits: u32) -> Result<Self, Error> {
        let factor = encode(factor, bits, OWN_BITS)?;
        let (ring, fraction) = (self.ring, self.fraction.saturating_add(bits));
        Self::new(self.times(factor).share, ring, fraction)
    }

    /// The same values at a larger scale. Exact: the ring grows as much, up to 128 bits.
    ///
    /// # Errors
    /// When the scale is smaller than the value's own, or too large.
    pub fn raise(mut self, fraction: u32) -> Result<Self, Error> {
        let up = fraction.checked_sub(self.fraction).ok_or_else(|| {
            Error::internal(format!(
                "a share at scale 2^{} is not raised to 2^{fraction}; truncate it",
                self.fraction
            ))
        })?;
        let ring = self.ring.saturating_add(up).min(Z128::BITS);
        self.share.scale(Z128::ONE.shl(up));
        Self::new(self.share, ring, fraction)
    }

    /// The same values in a smaller ring, which must hold them.
    ///
    /// # Errors
    /// When the ring is larger than the value's own, which knows nothing of it, or empty.
    pub fn narrow(self, ring: u32) -> Result<Self, Error> {
        if ring > self.ring {
            return Err(Error::internal(format!(
                "a share mod 2^{} is not known mod 2^{ring}",
                self.ring
            )));
        }
        Self::new(self.share, ring, self.fraction)
    }

    /// Truncate-reduce for party `me` of `parties`; see `Fixed::truncate`.
    pub(crate) fn truncated(
        mut self,
        fraction: u32,
        me: usize,
        parties: usize,
    ) -> Result<Self, Error> {
        let drop = self.drop_to(fraction)?;
        truncate_reduce(&mut self.share, self.ring, drop, me, parties);
        Self::new(self.share, self.ring - drop, fraction)
    }

    /// How many bits are dropped to come to a smaller scale: fewer than there are.
    pub(crate) fn drop_to(&self, fraction: u32) -> Result<u32, Error> {
        self.fraction.checked_sub(fraction).filter(|&drop| drop < self.ring).ok_or_else(|| {
            Error::internal(format!(
                "a share mod 2^{} at scale 2^{} is not truncated to scale 2^{fraction}",
                self.ring, self.fraction
            ))
        })
    }

    /// Another share in the same ring and at the same scale.
    pub(super) fn like(&self, share: Shared<Z128>) -> Self {
        Self { share, ..*self }
    }

    /// Takes the smaller ring, if the two are of the same shape and scale.
    fn meets(&mut self, other: &Self) -> Result<(), Error> {
        if (self.rows(), self.columns()) != (other.rows(), other.columns()) {
            return Err(Error::internal("the shapes of two shares differ"));
        }
        self.same_scale(other)?;
        self.ring = self.ring.min(other.ring);
        Ok(())
    }

    pub(super) fn same_scale(&self, other: &Self) -> Result<(), Error> {
        if self.fraction == other.fraction {
            return Ok(());
        }
        Err(Error::internal(format!(
            "shares at scales 2^{} and 2^{} meet: raise or truncate one of them",
            self.fraction, other.fraction
        )))
    }
}

impl Neg for Fixed {
    type Output = Self;

    fn neg(mut self) -> Self {
        self.share = -self.share;
        self
    }
}

impl fmt::Debug for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixed")
            .field("rows", &self.rows())
            .field("columns", &self.columns())
            .field("ring", &self.ring)
            .field("fraction", &self.fraction)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ring: u32, fraction: u32) -> Fixed {
        Fixed::new(Shared::zero(2, 2), ring, fraction).expect("fits")
    }

    #[test]
    fn sums_live_in_the_smaller_ring_and_at_one_scale() {
        assert_eq!(of(112, 45).plus(&of(128, 45)).unwrap().ring(), 112);
        assert_eq!(of(128, 45).minus(&of(100, 45)).unwrap().ring(), 100);
        assert!(of(112, 45).plus(&of(112, 44)).is_err());
        let raised = of(100, 45).plus_raised(&of(112, 44)).unwrap();
        assert_eq!((raised.ring(), raised.fraction()), (100, 45));
        assert_eq!(of(112, 44).plus_raised(&of(120, 45)).unwrap().ring(), 113);
        assert!(of(112, 45).plus(&of(112, 45).reshape(4, 1).unwrap()).is_err());
        assert_eq!(Fixed::stack(&[&of(128, 9), &of(77, 9)]).unwrap().ring(), 77);
        assert!(Fixed::beside(&[&of(128, 9), &of(77, 8)]).is_err());
    }

    #[test]
    fn a_value_is_not_known_beyond_its_ring() {
        assert!(of(112, 45).narrow(113).is_err());
        assert!(of(112, 45).narrow(0).is_err());
        assert_eq!(of(112, 45).narrow(80).unwrap().ring(), 80);
        assert!(Fixed::new(Shared::zero(1, 1), 129, 0).is_err());
        assert!(Fixed::widened(&Shared::zero(1, 1), 65, 0).is_err());
    }

    #[test]
    fn scales_change_with_the_ring() {
        let raised = of(100, 20).raise(40).unwrap();
        assert_eq!((raised.ring(), raised.fraction()), (120, 40));
        assert_eq!(of(120, 20).raise(40).unwrap().ring(), 128);
        assert!(of(100, 20).raise(19).is_err());
        assert!(of(100, 20).raise(128).is_err());
        let truncated = of(100, 40).truncated(10, 0, 2).unwrap();
        assert_eq!((truncated.ring(), truncated.fraction()), (70, 10));
        assert!(of(100, 40).truncated(41, 0, 2).is_err());
        assert!(of(30, 40).truncated(5, 0, 2).is_err());
        assert!(of(128, 100).times_real(1.0, 28).is_err());
        assert!(of(128, 10).times_real(f64::NAN, 28).is_err());
    }

    #[test]
    fn debug_shows_no_digit_of_a_share() {
        let share = Fixed::own_part(&[123.5], 1, 1, 20).unwrap();
        let text = format!("{share:?}");
        assert_eq!(text, "Fixed { rows: 1, columns: 1, ring: 128, fraction: 20, .. }");
    }
}
