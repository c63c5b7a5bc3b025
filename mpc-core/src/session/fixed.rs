//! Reals into a session, and out of it.

use super::Session;
use crate::error::Error;
use crate::fixed::{decode, encode};
use crate::ring::{Ring, Z128};
use crate::share::{Fixed, Shared};

/// Reals that enter must be below 2^this at their scale.
const INPUT_BITS: u32 = 126;

impl Fixed {
    /// Public reals, row by row, as a share: party 0 holds them. Mod 2^128. Local.
    ///
    /// The reals must be the same at every party.
    ///
    /// # Errors
    /// [`Error::Range`] when a real is not finite or not below 2^(126 - fraction); when there are
    /// not rows x columns of them.
    pub fn public(
        values: &[f64],
        rows: usize,
        columns: usize,
        fraction: u32,
        session: &Session,
    ) -> Result<Self, Error> {
        // Encoded at every party, so that all parties refuse what does not fit.
        let mut share = Shared::column(encoded(values, fraction)?).reshape(rows, columns)?;
        if session.me() != 0 {
            share.scale(Z128::ZERO);
        }
        Self::new(share, Z128::BITS, fraction)
    }

    /// The same values at a smaller scale, in a ring that is as much smaller: truncate-reduce
    /// (docs/protocols.md 3a). Local; unbiased, and off by less than one unit a party.
    ///
    /// # Security
    /// The rounding depends on all bits of the shares. What is to be revealed is not truncated
    /// before, but by [`Session::reveal_fixed`], behind a fresh zero share.
    ///
    /// # Errors
    /// When the scale is larger than the value's own, or nothing of the ring would be left.
    pub fn truncate(self, fraction: u32, session: &Session) -> Result<Self, Error> {
        self.truncated(fraction, session.me(), session.parties())
    }
}

impl Session {
    /// A share of a `rows` x `columns` matrix of reals that `owner` holds, mod 2^128 at scale
    /// 2^`fraction`. Without traffic.
    ///
    /// `values` is given by the owner, row by row, and by nobody else; the shape is public. See
    /// [`share_input`](Self::share_input).
    ///
    /// # Errors
    /// [`Error::Range`] when a real is not finite or not below 2^(126 - fraction); when the owner
    /// gives no values, or not rows x columns; when a round was interrupted.
    pub fn share_fixed(
        &mut self,
        owner: usize,
        values: Option<&[f64]>,
        (rows, columns): (usize, usize),
        fraction: u32,
    ) -> Result<Fixed, Error> {
        let values = values.map(|values| encoded(values, fraction)).transpose()?;
        let values = values.map(Shared::column);
        let len = rows.checked_mul(columns);
        let len = len.ok_or_else(|| Error::internal("a matrix has too many elements"))?;
        let share = self.share_input(owner, values.as_ref().map(Shared::as_slice), len)?;
        Fixed::new(share.reshape(rows, columns)?, Z128::BITS, fraction)
    }

    /// Reveals the output `label`: the reals, row by row, rounded to `fraction` fractional bits.
    /// One round of ceil((ring - dropped bits) / 8) bytes an element to each recipient.
    ///
    /// The share gets a fresh zero share in its own ring, is then truncated and opened, as in
    /// [`reveal`](Self::reveal). Gives the values to the recipients and `None` to the others.
    ///
    /// # Errors
    /// When the value has not as many fractional bits; before the label is spent. Otherwise see
    /// [`reveal`](Self::reveal).
    pub async fn reveal_fixed(
        &mut self,
        label: &str,
        value: &Fixed,
        fraction: u32,
    ) -> Result<Option<Vec<f64>>, Error> {
        let values = self.reveal_integers(label, value, fraction).await?;
        Ok(values.map(|values| values.iter().map(|&v| decode(v, fraction)).collect()))
    }

    /// [`reveal_fixed`](Self::reveal_fixed), as integers: the reals times 2^`fraction`, rounded.
    /// Exact where the value has no more fractional bits than that.
    ///
    /// # Errors
    /// See [`reveal_fixed`](Self::reveal_fixed).
    pub async fn reveal_integers(
        &mut self,
        label: &str,
        value: &Fixed,
        fraction: u32,
    ) -> Result<Option<Vec<i128>>, Error> {
        let drop = value.drop_to(fraction)?;
        self.reveal(label, value.share(), value.ring(), drop).await
    }
}

fn encoded(values: &[f64], fraction: u32) -> Result<Vec<Z128>, Error> {
    let mut integers = Vec::with_capacity(values.len());
    for &value in values {
        integers.push(Z128::from_i128(encode(value, fraction, INPUT_BITS)?));
    }
    Ok(integers)
}
