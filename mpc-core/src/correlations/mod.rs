//! Correlated randomness: what exists, who makes it, and how it is asked for.
//!
//! Protocols name what they will need, in order, as [`Orders`]; [`Correlations`] places them with a
//! [`CorrelationSource`], which makes it ahead, in that order and with bounded memory, and each
//! order is exchanged for what was made: one-time material that is consumed by value and cannot be
//! cloned. Protocols and models do not know where it comes from.

pub mod dealer;
mod form;
mod material;
mod orders;
pub mod pairwise;
mod production;
mod request;
mod typed;

use std::sync::Arc;

use mpc_net::BoxFuture;
use zeroize::Zeroizing;

pub use form::{Origin, PhasorForm};
pub(crate) use material::TripleId;
pub use material::{
    BitTriples, Correlation, LeftFactor, Material, OwnedProduct, Phasors, RandomBits, RightFactor,
};
pub use orders::{KeptLeft, Ordered, Orders};
pub use production::Production;
pub(crate) use request::check_bit_triples;
pub use request::{
    MatrixShape, OwnedProductRequest, PhasorMethod, PhasorRequest, PhasorRounding,
    RandomBitsRequest, Request, RightRequest,
};
pub use typed::Correlations;

use crate::error::Error;

/// A matrix of which every party knows its own rows in the clear (docs/protocols.md 4).
#[derive(Debug)]
pub struct OwnedMatrix {
    /// Rows of each party, number of columns, and the bounds: the same at every party.
    pub shape: MatrixShape,
    /// This party's rows, row by row, in fixed point.
    pub own: Arc<OwnRows>,
}

/// A party's own rows: integers of at most 31 bits and a sign. Wiped on drop, never printed.
pub struct OwnRows(Zeroizing<Vec<i32>>);

impl OwnRows {
    /// Takes the entries, row by row.
    #[must_use]
    pub fn new(entries: Vec<i32>) -> Self {
        Self(Zeroizing::new(entries))
    }

    /// The entries, row by row.
    #[must_use]
    pub fn entries(&self) -> &[i32] {
        &self.0
    }
}

impl std::fmt::Debug for OwnRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OwnRows({} entries)", self.0.len())
    }
}

/// A source of correlated randomness: what makers of it implement. Protocols use one through
/// [`Correlations`].
pub trait CorrelationSource: Send {
    /// Makes a matrix known to the source, for [`Request::OwnedProduct`]; all parties register the
    /// same matrices in the same order. Gives its number.
    ///
    /// # Errors
    /// When the matrix does not fit its shape, or the network fails.
    fn register(&mut self, matrix: OwnedMatrix) -> BoxFuture<'_, Result<u32, Error>>;

    /// Orders correlations; all parties order the same ones. Production begins at once.
    ///
    /// # Errors
    /// When production has stopped.
    fn demand(&mut self, requests: Vec<Request>) -> Result<(), Error>;

    /// The next correlation, in the order of the demands. Waits for production, not for a round.
    ///
    /// # Errors
    /// What stopped production, or [`Error::Internal`] when nothing is on order.
    fn take(&mut self) -> BoxFuture<'_, Result<Correlation, Error>>;

    /// How far production is.
    fn production(&self) -> Production;

    /// Ends production; nothing can be ordered after it. To be called when the last correlation
    /// was taken, before the session is finished.
    ///
    /// # Errors
    /// What stopped production.
    fn finish(&mut self) -> BoxFuture<'_, Result<(), Error>>;
}
