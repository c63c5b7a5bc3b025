//! What a joint figure can be, given the own rows: what came out against what went in.

use mpc_core::Session;

use super::scales::Scales;
use crate::data::JointColumn;
use crate::error::Error;

/// What a party knows of the others before their figures come.
pub(super) struct Plausible {
    /// The other parties, for the error.
    others: String,
    parties: i128,
    /// The rows of all parties.
    rows: i128,
}

impl Plausible {
    pub(super) fn new(rows: u64, session: &Session) -> Self {
        let (parties, rows) = (session.parties() as i128, i128::from(rows));
        Self { others: Error::others(session), parties, rows }
    }

    /// The number of cells that are there.
    ///
    /// # Errors
    /// When the others have fewer than none, or more than rows.
    pub(super) fn count(
        &self,
        column: &JointColumn<'_>,
        own: i128,
        joint: i128,
    ) -> Result<u64, Error> {
        let most = self.rows - column.cells.len() as i128;
        if (0..=most).contains(&(joint.wrapping_sub(own))) {
            return u64::try_from(joint).map_err(|_| self.refuse(column, "count"));
        }
        Err(self.refuse(column, "count"))
    }

    /// `(own, joint)`, each a count and a sum.
    ///
    /// # Errors
    /// When the sum of the others' cells is larger than so many cells can have.
    pub(super) fn sum(
        &self,
        column: &JointColumn<'_>,
        scales: &Scales,
        (own, joint): (&[i128], &[i128]),
    ) -> Result<(), Error> {
        let most = scales.largest_sum(joint[0] - own[0], self.parties);
        if (joint[1].wrapping_sub(own[1]) as f64).abs() <= most {
            return Ok(());
        }
        Err(self.refuse(column, "mean"))
    }

    /// `(own, joint)` sums of squares, where the other parties have `others` cells.
    ///
    /// # Errors
    /// When the others' sum is negative, or larger than so many cells can have.
    pub(super) fn squares(
        &self,
        column: &JointColumn<'_>,
        scales: &Scales,
        (own, joint): (i128, i128),
        others: i128,
    ) -> Result<(), Error> {
        let theirs = joint.wrapping_sub(own);
        if theirs >= 0 && theirs as f64 <= scales.largest_squares(others, self.parties) {
            return Ok(());
        }
        Err(self.refuse(column, "standard deviation"))
    }

    /// Tells the column and the figure, and no number.
    fn refuse(&self, column: &JointColumn<'_>, figure: &str) -> Error {
        Error::Implausible {
            peers: self.others.clone(),
            what: format!("the joint {figure} of column {}", column.name),
        }
    }
}
