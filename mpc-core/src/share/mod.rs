//! Additive shares: matrices over a ring, and fixed-point matrices that know their ring and scale.

mod bits;
mod fixed;
mod shapes;
mod truncate;

use std::fmt;
use std::ops::{AddAssign, Neg, SubAssign};

use ndarray::ArrayView2;
use zeroize::Zeroizing;

pub use bits::SharedBits;
pub use fixed::Fixed;
pub use truncate::truncate_reduce;

use crate::ring::Ring;

/// One party's additive share of a matrix: the matrix is the sum of all parties' shares.
///
/// Sums, differences and products with public integers are local. There is no product of two
/// shares here, because that needs a round: see [`crate::protocols::product`]. The memory is
/// wiped when the share is dropped, and `Debug` prints the shape alone.
///
/// A `Shared` is integers: it does not know at which scale they stand for reals, nor whether only
/// some low bits of them are meaningful. [`Fixed`] does.
///
/// ```
/// use mpc_core::{Shared, ring::Z64};
///
/// let mut x = Shared::column(vec![Z64(1), Z64(2)]);
/// x += &Shared::column(vec![Z64(10), Z64(20)]);
/// assert_eq!(x.as_slice(), [Z64(11), Z64(22)]);
/// assert_eq!(format!("{x:?}"), "Shared { rows: 2, columns: 1, .. }");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Shared<R: Ring> {
    values: Zeroizing<Vec<R>>,
    rows: usize,
    columns: usize,
}

impl<R: Ring> Shared<R> {
    /// A share of a `rows` x `columns` matrix, row by row.
    ///
    /// # Panics
    /// When there are not rows x columns values.
    #[must_use]
    pub fn new(values: Vec<R>, rows: usize, columns: usize) -> Self {
        assert_eq!(values.len(), rows * columns, "a share has rows x columns values");
        Self { values: Zeroizing::new(values), rows, columns }
    }

    /// A share of a column vector.
    #[must_use]
    pub fn column(values: Vec<R>) -> Self {
        let rows = values.len();
        Self::new(values, rows, 1)
    }

    /// The share that is zero everywhere.
    #[must_use]
    pub fn zero(rows: usize, columns: usize) -> Self {
        Self::new(vec![R::ZERO; rows * columns], rows, columns)
    }

    /// Rows of the matrix.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns of the matrix.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The elements, row by row.
    #[must_use]
    pub fn as_slice(&self) -> &[R] {
        &self.values
    }

    /// The elements, row by row.
    pub fn as_mut_slice(&mut self) -> &mut [R] {
        &mut self.values
    }

    /// The share as a matrix of `ndarray`.
    #[must_use]
    pub fn view(&self) -> ArrayView2<'_, R> {
        ArrayView2::from_shape((self.rows, self.columns), &self.values)
            .expect("the shape was checked when the share was made")
    }

    /// Multiplies every element by a public integer.
    pub fn scale(&mut self, factor: R) {
        for value in self.values.iter_mut() {
            *value *= factor;
        }
    }
}

impl<R: Ring> fmt::Debug for Shared<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("rows", &self.rows)
            .field("columns", &self.columns)
            .finish_non_exhaustive()
    }
}

impl<R: Ring> AddAssign<&Self> for Shared<R> {
    fn add_assign(&mut self, other: &Self) {
        assert_eq!((self.rows, self.columns), (other.rows, other.columns), "shapes differ");
        for (a, &b) in self.values.iter_mut().zip(other.values.iter()) {
            *a += b;
        }
    }
}

impl<R: Ring> SubAssign<&Self> for Shared<R> {
    fn sub_assign(&mut self, other: &Self) {
        assert_eq!((self.rows, self.columns), (other.rows, other.columns), "shapes differ");
        for (a, &b) in self.values.iter_mut().zip(other.values.iter()) {
            *a -= b;
        }
    }
}

impl<R: Ring> Neg for Shared<R> {
    type Output = Self;

    fn neg(mut self) -> Self {
        for value in self.values.iter_mut() {
            *value = -*value;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::Z128;

    #[test]
    fn debug_shows_no_digit_of_a_share() {
        let text = format!("{:?}", Shared::column(vec![Z128(987_654_321); 3]));
        assert_eq!(text, "Shared { rows: 3, columns: 1, .. }");
    }

    #[test]
    #[should_panic(expected = "shapes differ")]
    fn shares_of_different_shape_do_not_add() {
        let mut a = Shared::<Z128>::zero(2, 3);
        a += &Shared::zero(3, 2);
    }
}
