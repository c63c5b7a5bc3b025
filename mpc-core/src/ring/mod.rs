//! The rings Z/2^64 and Z/2^128 and their wire forms.
//!
//! Rings 2^k with another k live in [`Z64`] or [`Z128`]: arithmetic is done in the large ring,
//! and the value is reduced mod 2^k where it goes on the wire ([`wire`]), which costs
//! ceil(k/8) bytes an element.

pub mod kernels;
mod packed;
pub mod wire;

use std::fmt;
use std::ops::{Add, AddAssign, Mul, MulAssign, Neg, Sub, SubAssign};

pub use packed::PackedBits;
use zeroize::Zeroize;

mod sealed {
    pub trait Sealed: super::kernels::Product {}
    impl Sealed for super::Z64 {}
    impl Sealed for super::Z128 {}
}

/// Integers mod 2^64 or mod 2^128, with wrapping arithmetic.
///
/// All operations run in constant time. `Debug` of an element prints no digit of it, since most
/// elements are shares.
pub trait Ring:
    sealed::Sealed
    + Copy
    + Default
    + PartialEq
    + Eq
    + fmt::Debug
    + Send
    + Sync
    + Zeroize
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + 'static
{
    /// The number of bits of an element.
    const BITS: u32;
    /// The neutral element of addition.
    const ZERO: Self;
    /// The neutral element of multiplication.
    const ONE: Self;

    /// The element congruent to `value`.
    fn from_u128(value: u128) -> Self;

    /// The representative in [0, 2^BITS).
    fn to_u128(self) -> u128;

    /// The element congruent to a signed integer.
    #[must_use]
    fn from_i128(value: i128) -> Self {
        Self::from_u128(value as u128)
    }

    /// The representative in [-2^(k-1), 2^(k-1)) of the element seen mod 2^k.
    ///
    /// # Panics
    /// Unless 1 <= k <= BITS.
    #[must_use]
    fn to_signed(self, k: u32) -> i128 {
        assert!(k >= 1 && k <= Self::BITS);
        ((self.to_u128() << (128 - k)) as i128) >> (128 - k)
    }

    /// The element times 2^`bits`; zero from BITS on.
    #[must_use]
    fn shl(self, bits: u32) -> Self {
        Self::from_u128(self.to_u128().checked_shl(bits).unwrap_or(0))
    }
}

macro_rules! ring {
    ($name:ident, $word:ty, $doc:literal) => {
        #[doc = $doc]
        #[derive(Clone, Copy, Default, PartialEq, Eq, Zeroize)]
        #[repr(transparent)]
        pub struct $name(pub $word);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }

        impl Ring for $name {
            const BITS: u32 = <$word>::BITS;
            const ZERO: Self = Self(0);
            const ONE: Self = Self(1);

            #[inline(always)]
            fn from_u128(value: u128) -> Self {
                Self(value as $word)
            }

            #[inline(always)]
            fn to_u128(self) -> u128 {
                u128::from(self.0)
            }
        }

        impl Add for $name {
            type Output = Self;
            #[inline(always)]
            fn add(self, other: Self) -> Self {
                Self(self.0.wrapping_add(other.0))
            }
        }

        impl Sub for $name {
            type Output = Self;
            #[inline(always)]
            fn sub(self, other: Self) -> Self {
                Self(self.0.wrapping_sub(other.0))
            }
        }

        impl Mul for $name {
            type Output = Self;
            #[inline(always)]
            fn mul(self, other: Self) -> Self {
                Self(self.0.wrapping_mul(other.0))
            }
        }

        impl Neg for $name {
            type Output = Self;
            #[inline(always)]
            fn neg(self) -> Self {
                Self(self.0.wrapping_neg())
            }
        }

        impl AddAssign for $name {
            #[inline(always)]
            fn add_assign(&mut self, other: Self) {
                *self = *self + other;
            }
        }

        impl SubAssign for $name {
            #[inline(always)]
            fn sub_assign(&mut self, other: Self) {
                *self = *self - other;
            }
        }

        impl MulAssign for $name {
            #[inline(always)]
            fn mul_assign(&mut self, other: Self) {
                *self = *self * other;
            }
        }
    };
}

ring!(Z64, u64, "An integer mod 2^64.");
ring!(Z128, u128, "An integer mod 2^128.");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signed_representatives_wrap_at_half_the_ring() {
        assert_eq!(Z64(u64::MAX).to_signed(64), -1);
        assert_eq!(Z128(0b1000).to_signed(4), -8);
        assert_eq!(Z128(0b0111).to_signed(4), 7);
        assert_eq!(Z64::from_i128(-5).to_signed(64), -5);
    }

    #[test]
    fn debug_prints_no_digit() {
        assert_eq!(format!("{:?} {:?}", Z64(77), Z128(77)), "Z64(..) Z128(..)");
    }
}
