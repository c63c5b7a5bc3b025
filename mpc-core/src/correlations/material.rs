//! The correlations themselves. None of them is `Clone`; all are wiped on drop.

use std::fmt;

use zeroize::Zeroizing;

use crate::error::Error;
use crate::ring::{Ring, Z64, Z128};
use crate::share::{Shared, SharedBits};

/// Own masks rho, and a share of X mu or X^T mu, mu = sum over the parties of floor(rho / 2^drop).
///
/// Equation: sum_j share_j = X mu mod 2^ring.
pub struct OwnedProduct<R: Ring> {
    /// This party's masks rho: one for each column and public column (forward), or for each row
    /// (transposed; zero at its own rows).
    pub rho: Zeroizing<Vec<Z128>>,
    /// This party's share of the product.
    pub product: Shared<R>,
}

/// Masks r_j, and shares of the cosines and sines of the multiples of r = sum r_j.
///
/// Equation: sum_j cos_j\[k\]\[b\] = 2^fraction / gain_k cos(k r\[b\]) mod 2^ring, and the same for
/// the sines; angles in turns / 2^angle_bits. Phasors of a dealer have no gains and are exact but
/// for one rounding; those of the parties have a rounding error that is unbiased over r.
pub struct Phasors {
    /// This party's masks of the angles, uniform mod 2^angle_bits.
    pub mask: Zeroizing<Vec<Z64>>,
    /// Shares of the cosines: harmonics x count.
    pub cosine: Shared<Z128>,
    /// Shares of the sines: harmonics x count.
    pub sine: Shared<Z128>,
    /// Fractional bits.
    pub fraction: u32,
    /// The ring of the shares.
    pub ring: u32,
    /// The resolution of the angles.
    pub angle_bits: u32,
    /// Public gain_k of each harmonic at scale 2^30, by which a consumer multiplies its
    /// coefficients; none where all are one.
    pub gains: Vec<u64>,
}

/// A share of a fresh left factor A (m x k).
pub struct LeftFactor<R: Ring> {
    /// This party's share of A.
    pub a: Shared<R>,
    pub(crate) triple: Option<TripleId>,
}

/// Shares of a fresh B (k x n) and of A B (m x n).
pub struct RightFactor<R: Ring> {
    /// This party's share of B.
    pub b: Shared<R>,
    /// This party's share of A B.
    pub ab: Shared<R>,
    pub(crate) triple: Option<TripleId>,
}

/// Random numbers r, shared as their binary digits and mod 2^ring (docs/protocols.md 14.1).
///
/// Equation: sum_j value_j = sum_b 2^b (xor_j bits_j\[b\]) mod 2^ring.
pub struct RandomBits {
    /// Shares of the binary digits, lowest plane first; a lane for each number.
    pub bits: SharedBits,
    /// Shares of the numbers.
    pub value: Shared<Z64>,
    /// The ring of the numbers.
    pub ring: u32,
}

/// Random bits a, b, b', and shares of a b and of a b' (docs/protocols.md 14.2). All of them in one
/// plane, a lane for each triple.
///
/// Equation: xor_j ab_j = (xor_j a_j) (xor_j b_j), and the same for b'.
pub struct BitTriples {
    /// This party's share of the first factors.
    pub a: SharedBits,
    /// This party's shares of both second factors: two planes.
    pub b: SharedBits,
    /// This party's shares of both products: two planes.
    pub ab: SharedBits,
}

/// Which left factor a factor of a triple is or belongs to, where the source is used through typed
/// orders: factors of two triples would give a number that has nothing to do with the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TripleId {
    pub(super) with: u64,
    pub(super) left: u32,
}

impl TripleId {
    /// Whether both factors may belong together, as far as is known.
    pub(crate) fn fit(left: Option<Self>, right: Option<Self>) -> bool {
        left.is_none() || right.is_none() || left == right
    }
}

impl<R: Ring> LeftFactor<R> {
    /// The share `a` of an m x k matrix.
    #[must_use]
    pub fn new(a: Shared<R>) -> Self {
        Self { a, triple: None }
    }
}

impl<R: Ring> RightFactor<R> {
    /// The share `b` of a k x n matrix, and `ab` of its product with the left factor.
    #[must_use]
    pub fn new(b: Shared<R>, ab: Shared<R>) -> Self {
        Self { b, ab, triple: None }
    }
}

impl<R: Ring> fmt::Debug for OwnedProduct<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedProduct").field("product", &self.product).finish_non_exhaustive()
    }
}

impl fmt::Debug for Phasors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Phasors").field("cosine", &self.cosine).finish_non_exhaustive()
    }
}

impl<R: Ring> fmt::Debug for LeftFactor<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeftFactor").field("a", &self.a).finish()
    }
}

impl<R: Ring> fmt::Debug for RightFactor<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RightFactor").field("b", &self.b).field("ab", &self.ab).finish()
    }
}

impl fmt::Debug for RandomBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RandomBits").field("bits", &self.bits).finish_non_exhaustive()
    }
}

impl fmt::Debug for BitTriples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BitTriples").field("a", &self.a).finish_non_exhaustive()
    }
}

/// One item of one-time material.
#[non_exhaustive]
pub enum Correlation {
    /// A forward owned product.
    Forward(OwnedProduct<Z64>),
    /// A transposed owned product.
    Transposed(OwnedProduct<Z128>),
    /// Phasors.
    Phasors(Phasors),
    /// A left factor mod 2^64.
    Left64(LeftFactor<Z64>),
    /// A left factor mod 2^128.
    Left128(LeftFactor<Z128>),
    /// A right factor mod 2^64.
    Right64(RightFactor<Z64>),
    /// A right factor mod 2^128.
    Right128(RightFactor<Z128>),
    /// Random bits.
    RandomBits(RandomBits),
    /// Triples of bits.
    BitTriples(BitTriples),
}

/// What a [`Correlation`] may hold, by its type.
pub trait Material: sealed::Sealed {}

pub(super) mod sealed {
    use super::{Correlation, Error, TripleId};

    pub trait Sealed: Sized {
        /// The material of this type.
        fn of(correlation: Correlation) -> Result<Self, Error>;

        /// Notes to which left factor it belongs.
        fn belongs_to(&mut self, triple: Option<TripleId>);
    }
}

macro_rules! typed {
    ($($name:ident: $variant:ident -> $type:ty, $what:literal, $belongs:expr;)*) => {
        $(
            impl sealed::Sealed for $type {
                fn of(correlation: Correlation) -> Result<Self, Error> {
                    correlation.$name()
                }

                fn belongs_to(&mut self, triple: Option<TripleId>) {
                    let belongs: fn(&mut Self, Option<TripleId>) = $belongs;
                    belongs(self, triple);
                }
            }

            impl Material for $type {}
        )*

        impl Correlation {
            $(
                #[doc = concat!("The correlation as ", $what, ".")]
                ///
                /// # Errors
                /// [`Error::Internal`] when something else was ordered at this place.
                pub fn $name(self) -> Result<$type, Error> {
                    match self {
                        Self::$variant(it) => Ok(it),
                        other => Err(Error::internal(
                            format!(concat!($what, " was not ordered here, but {:?}"), other),
                        )),
                    }
                }
            )*
        }
    };
}

typed! {
    forward: Forward -> OwnedProduct<Z64>, "a forward owned product", |_, _| {};
    transposed: Transposed -> OwnedProduct<Z128>, "a transposed owned product", |_, _| {};
    phasors: Phasors -> Phasors, "phasors", |_, _| {};
    left64: Left64 -> LeftFactor<Z64>, "a left factor mod 2^64", |it, id| it.triple = id;
    left128: Left128 -> LeftFactor<Z128>, "a left factor mod 2^128", |it, id| it.triple = id;
    right64: Right64 -> RightFactor<Z64>, "a right factor mod 2^64", |it, id| it.triple = id;
    right128: Right128 -> RightFactor<Z128>, "a right factor mod 2^128", |it, id| it.triple = id;
    random_bits: RandomBits -> RandomBits, "random bits", |_, _| {};
    bit_triples: BitTriples -> BitTriples, "triples of bits", |_, _| {};
}

impl fmt::Debug for Correlation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Forward(_) => "Forward(..)",
            Self::Transposed(_) => "Transposed(..)",
            Self::Phasors(_) => "Phasors(..)",
            Self::Left64(_) => "Left64(..)",
            Self::Left128(_) => "Left128(..)",
            Self::Right64(_) => "Right64(..)",
            Self::Right128(_) => "Right128(..)",
            Self::RandomBits(_) => "RandomBits(..)",
            Self::BitTriples(_) => "BitTriples(..)",
        })
    }
}
