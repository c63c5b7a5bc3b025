//! What can be asked of a source. Shapes only: a dealer sees these and nothing else.

use serde::{Deserialize, Serialize};

use super::OwnRows;
use crate::error::Error;
use crate::ring::wire::element_bytes;
use crate::trig;

/// The most elements of one item on order: as many as fit one frame at 16 bytes each.
const MOST_ELEMENTS: u64 = (mpc_net::MAX_PAYLOAD / 16) as u64;

/// The most entries of a registered matrix.
const MOST_ENTRIES: u64 = 1 << 48;

/// Refuses items that would not fit a frame, and sizes that would overflow.
fn fits_a_frame(sizes: &[[u64; 2]]) -> Result<(), Error> {
    let small = |[a, b]: &[u64; 2]| a.checked_mul(*b).is_some_and(|n| n <= MOST_ELEMENTS);
    if sizes.iter().all(small) {
        return Ok(());
    }
    Err(Error::Range(format!("one item on order has more than {MOST_ELEMENTS} elements")))
}

/// The public shape of an owned matrix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatrixShape {
    /// The number of rows of each party.
    pub rows: Vec<u64>,
    /// The number of columns.
    pub columns: u32,
    /// Entries are integers below 2^entry_bits in magnitude: a bound proven by clipping.
    pub entry_bits: u32,
    /// The statistical security of the masked matrix.
    pub sigma: u32,
}

impl MatrixShape {
    /// The number of bits of the masks A, uniform in [0, 2^mask_bits).
    #[must_use]
    pub fn mask_bits(&self) -> u32 {
        self.entry_bits + 1 + self.sigma
    }

    /// D = X - A as an element of the ring 2^wire_bits.
    #[must_use]
    pub fn wire_bits(&self) -> u32 {
        self.mask_bits() + 1
    }

    /// Bytes that an owner of `rows` rows sends to each other party when the matrix is
    /// registered with a dealer: D, once.
    #[must_use]
    pub fn masked_bytes(&self, rows: u64) -> u64 {
        rows * u64::from(self.columns) * element_bytes(self.wire_bits()) as u64
    }

    /// Whether the own entries can be masked for a dealer: the high part of D is kept in 32 bits
    /// beside a low part of 64.
    pub(crate) fn check_masked(&self) -> Result<(), Error> {
        if (66..=96).contains(&self.wire_bits()) {
            return Ok(());
        }
        Err(Error::Range(format!(
            "a matrix of {}-bit entries with {} bits of masking needs {} bits; 66 to 96 are possible",
            self.entry_bits,
            self.sigma,
            self.wire_bits()
        )))
    }

    /// Whether these can be the own rows of party `me`.
    pub(crate) fn check_own(&self, me: usize, own: &OwnRows) -> Result<(), Error> {
        let due = self.rows[me].checked_mul(u64::from(self.columns));
        if due != Some(own.entries().len() as u64) {
            return Err(Error::internal("an owner's rows do not fit the shape of the matrix"));
        }
        let bound = 1i64 << self.entry_bits;
        if own.entries().iter().any(|&x| i64::from(x).abs() >= bound) {
            return Err(Error::Range(format!(
                "an entry of the own matrix is not below 2^{}",
                self.entry_bits
            )));
        }
        Ok(())
    }

    pub(crate) fn check(&self, parties: usize) -> Result<(), Error> {
        if self.entry_bits > 30 {
            return Err(Error::Range(format!(
                "a matrix of {}-bit entries; at most 30 bits are possible",
                self.entry_bits
            )));
        }
        if self.rows.len() != parties || self.columns == 0 {
            return Err(Error::internal("a matrix names the rows of every party and has columns"));
        }
        let rows = self.rows.iter().try_fold(0u64, |sum, &rows| sum.checked_add(rows));
        let entries = rows.and_then(|rows| rows.checked_mul(u64::from(self.columns)));
        if entries.is_none_or(|entries| entries > MOST_ENTRIES) {
            return Err(Error::Range(format!("a matrix has more than {MOST_ENTRIES} entries")));
        }
        Ok(())
    }
}

/// Shares of X mu for fresh masks mu that every party draws for itself (docs/protocols.md 4).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OwnedProductRequest {
    /// The number of the registered matrix.
    pub matrix: u32,
    /// The rows of each party that take part, from (included) and to (excluded).
    pub rows: Vec<(u64, u64)>,
    /// Forward: X mu mod 2^64, stacked over the parties' rows. Transposed: X^T mu mod 2^ring,
    /// summed over the parties' rows; no party draws a mask for its own rows.
    pub transposed: bool,
    /// The ring of the result: 64 forward; transposed up to 128.
    pub ring: u32,
    /// Masks rho are uniform in [0, 2^mask_bits) ...
    pub mask_bits: u32,
    /// ... and mu = floor(rho / 2^drop).
    pub drop: u32,
    /// Forward: further masks behind those of the columns, for public columns that need no
    /// product.
    pub public_columns: u32,
}

impl OwnedProductRequest {
    /// The number of rows that take part, of all parties.
    #[must_use]
    pub fn total_rows(&self) -> usize {
        self.rows.iter().map(|&(from, to)| to.saturating_sub(from) as usize).sum()
    }

    /// Whether this can be asked of the matrix that it names.
    pub(crate) fn check(&self, shape: Option<&MatrixShape>) -> Result<(), Error> {
        let shape = shape.ok_or_else(|| Error::internal("a product names a registered matrix"))?;
        let rows_fit = self.rows.len() == shape.rows.len()
            && self.rows.iter().zip(&shape.rows).all(|(&(a, b), &n)| a <= b && b <= n);
        let ring_fits =
            if self.transposed { (1..=128).contains(&self.ring) } else { self.ring == 64 };
        let mask_fits = self.drop < self.mask_bits && (65..=128).contains(&self.mask_bits);
        if !(rows_fit && ring_fits && mask_fits) {
            return Err(Error::internal("the request of an owned product is not consistent"));
        }
        let masks = u64::from(shape.columns) + u64::from(self.public_columns);
        fits_a_frame(&[[self.total_rows() as u64, 1], [masks, 1]])
    }
}

/// Shares of cos(k r) and sin(k r) for a masking angle r that is shared between the parties
/// (docs/protocols.md 5 and 6.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhasorRequest {
    /// The number of angles.
    pub count: u32,
    /// The multiples k.
    pub harmonics: Vec<u32>,
    /// Fractional bits of cosine and sine.
    pub fraction: u32,
    /// The ring of the shares.
    pub ring: u32,
    /// The resolution of the angles: 24 from a dealer.
    pub angle_bits: u32,
    /// How the parties round when they make phasors themselves; none from a dealer.
    pub rounding: Option<PhasorRounding>,
}

/// How parties that make phasors themselves round their own (docs/protocols.md 6.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhasorRounding {
    /// ft_k: cosine and sine of each harmonic are integers of at most 2^ft_k - 1.
    pub bits: Vec<u32>,
    /// How the phasors are multiplied.
    pub method: PhasorMethod,
}

/// How shared phasors are multiplied with a party's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PhasorMethod {
    /// Bit by bit, with stochastic rounding: one factor 2^ft a party.
    Bits,
    /// With trees punctured at the digits of the angle, and fixed tables: fewer bytes, and two
    /// factors 2^ft for every party but one.
    OneHot,
}

impl PhasorMethod {
    /// Factors 2^ft in the product of all parties' phasors.
    #[must_use]
    pub fn factors(self, parties: usize) -> u32 {
        match self {
            Self::Bits => parties as u32,
            Self::OneHot => 2 * parties as u32 - 1,
        }
    }
}

impl PhasorRequest {
    /// The number of cosines, which is also the number of sines.
    #[must_use]
    pub fn terms(&self) -> usize {
        self.harmonics.len() * self.count as usize
    }
}

/// Shares of a fresh B (k x n) and of A B, for the factor A of an earlier [`Request::Left`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RightRequest {
    /// Which left factor, counted from 0 over all that were ordered.
    pub left: u32,
    /// Columns of B.
    pub n: u32,
    /// Whether this is the last product with that factor, so that it can be forgotten.
    pub last: bool,
}

/// Random bits that are shared both ways: by exclusive or, and as the number that they are the binary
/// digits of (docs/protocols.md 14.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RandomBitsRequest {
    /// How many numbers.
    pub count: u32,
    /// Binary digits of each, from 1 to 64.
    pub bits: u32,
    /// The ring of the numbers: mod 2^ring, from `bits` to 64.
    pub ring: u32,
}

impl RandomBitsRequest {
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.count == 0 || self.bits == 0 || self.bits > self.ring || self.ring > 64 {
            return Err(Error::internal(
                "random numbers have from 1 to 64 bits, and fit their ring",
            ));
        }
        fits_a_frame(&[[u64::from(self.count), u64::from(self.bits)]])
    }
}

/// The most products of bits of one order.
const MOST_BIT_TRIPLES: u32 = 1 << 28;

/// Whether so many products of bits can be ordered at once.
pub(crate) fn check_bit_triples(count: u32) -> Result<(), Error> {
    if count == 0 || count > MOST_BIT_TRIPLES {
        return Err(Error::Range(format!(
            "{count} products of bits on order; from 1 to {MOST_BIT_TRIPLES} are possible"
        )));
    }
    Ok(())
}

/// One item on order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// See [`OwnedProductRequest`].
    OwnedProduct(OwnedProductRequest),
    /// See [`PhasorRequest`].
    Phasors(PhasorRequest),
    /// Shares of a fresh A (m x k) mod 2^ring, 64 or 128.
    Left {
        /// Rows of A.
        m: u32,
        /// Columns of A.
        k: u32,
        /// The ring: 64 or 128.
        ring: u32,
    },
    /// See [`RightRequest`].
    Right(RightRequest),
    /// See [`RandomBitsRequest`].
    RandomBits(RandomBitsRequest),
    /// So many triples of random bits a, b, b' with shares of a b and a b' (docs/protocols.md 14.2).
    BitTriples(u32),
}

impl Request {
    /// Checks the request against what was registered and ordered before.
    pub(crate) fn check(
        &self,
        matrices: &[MatrixShape],
        lefts: &[(u32, u32, u32)],
    ) -> Result<(), Error> {
        match self {
            Self::OwnedProduct(request) => request.check(matrices.get(request.matrix as usize)),
            Self::Phasors(request) => {
                let fits = request.fraction <= trig::FRACTION_BITS
                    && request.angle_bits == trig::ANGLE_BITS
                    && request.rounding.is_none()
                    && (1..=128).contains(&request.ring)
                    && !request.harmonics.is_empty();
                fits.then_some(()).ok_or_else(|| Error::internal("phasors do not fit"))?;
                let terms = u64::from(request.count).saturating_mul(2);
                fits_a_frame(&[[terms, request.harmonics.len() as u64]])
            }
            Self::RandomBits(request) => request.check(),
            &Self::BitTriples(count) => check_bit_triples(count),
            _ => self.check_factor(lefts),
        }
    }

    /// Checks the order of a factor; what is no factor passes.
    pub(crate) fn check_factor(&self, lefts: &[(u32, u32, u32)]) -> Result<(), Error> {
        match self {
            Self::Left { ring, m, k } => {
                if !matches!(ring, 64 | 128) || *m == 0 || *k == 0 {
                    return Err(Error::internal("a left factor lives mod 2^64 or 2^128"));
                }
                fits_a_frame(&[[u64::from(*m), u64::from(*k)]])
            }
            Self::Right(request) => {
                // A factor without rows has had its last product.
                let left = lefts.get(request.left as usize).filter(|&&(m, ..)| m > 0);
                let Some(&(m, k, _)) = left.filter(|_| request.n > 0) else {
                    return Err(Error::internal("a right factor names a left factor in use"));
                };
                let n = u64::from(request.n);
                fits_a_frame(&[[u64::from(m), n], [u64::from(k), n]])
            }
            Self::OwnedProduct(_)
            | Self::Phasors(_)
            | Self::RandomBits(_)
            | Self::BitTriples(_) => Ok(()),
        }
    }
}
