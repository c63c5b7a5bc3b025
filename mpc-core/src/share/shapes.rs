//! Parts of shares, and shares put together: local, and of public shapes.

use std::ops::Range;

use super::{Fixed, Shared};
use crate::error::Error;
use crate::ring::{Ring, Z128};

impl<R: Ring> Shared<R> {
    /// The rows of this range.
    ///
    /// # Errors
    /// When there are no such rows.
    pub fn row_range(&self, range: Range<usize>) -> Result<Self, Error> {
        within(&range, self.rows, "rows")?;
        let elements = range.start * self.columns..range.end * self.columns;
        Ok(Self::new(self.values[elements].to_vec(), range.len(), self.columns))
    }

    /// The columns of this range.
    ///
    /// # Errors
    /// When there are no such columns.
    pub fn column_range(&self, range: Range<usize>) -> Result<Self, Error> {
        within(&range, self.columns, "columns")?;
        let mut values = Vec::with_capacity(self.rows * range.len());
        for row in self.values.chunks_exact(self.columns.max(1)) {
            values.extend_from_slice(&row[range.clone()]);
        }
        Ok(Self::new(values, self.rows, range.len()))
    }

    /// The rows with these numbers, in this order; a row may be taken more than once.
    ///
    /// # Errors
    /// When there is no such row.
    pub fn select_rows(&self, rows: &[usize]) -> Result<Self, Error> {
        let mut values = Vec::with_capacity(rows.len() * self.columns);
        for &row in rows {
            within(&(row..row.saturating_add(1)), self.rows, "rows")?;
            values.extend_from_slice(&self.values[row * self.columns..(row + 1) * self.columns]);
        }
        Ok(Self::new(values, rows.len(), self.columns))
    }

    /// The elements of this range, counted row by row, as a column.
    ///
    /// # Errors
    /// When there are no such elements.
    pub fn slice(&self, range: Range<usize>) -> Result<Self, Error> {
        within(&range, self.len(), "elements")?;
        Ok(Self::column(self.values[range].to_vec()))
    }

    /// The elements with these numbers, counted row by row, as a column.
    ///
    /// # Errors
    /// When there is no such element.
    pub fn select(&self, elements: &[usize]) -> Result<Self, Error> {
        let mut values = Vec::with_capacity(elements.len());
        for &at in elements {
            within(&(at..at.saturating_add(1)), self.len(), "elements")?;
            values.push(self.values[at]);
        }
        Ok(Self::column(values))
    }

    /// The matrices one below the other.
    ///
    /// # Errors
    /// When there are none, or they have different numbers of columns.
    pub fn stack(parts: &[&Self]) -> Result<Self, Error> {
        let columns = parts.first().map(|part| part.columns);
        let Some(columns) = columns.filter(|&n| parts.iter().all(|part| part.columns == n)) else {
            return Err(Error::internal("matrices that are stacked have the same columns"));
        };
        let mut values = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
        parts.iter().for_each(|part| values.extend_from_slice(&part.values));
        Ok(Self::new(values, parts.iter().map(|part| part.rows).sum(), columns))
    }

    /// The matrices side by side.
    ///
    /// # Errors
    /// When there are none, or they have different numbers of rows.
    pub fn beside(parts: &[&Self]) -> Result<Self, Error> {
        let rows = parts.first().map(|part| part.rows);
        let Some(rows) = rows.filter(|&n| parts.iter().all(|part| part.rows == n)) else {
            return Err(Error::internal("matrices that stand side by side have the same rows"));
        };
        let mut values = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
        for row in 0..rows {
            for part in parts {
                values
                    .extend_from_slice(&part.values[row * part.columns..(row + 1) * part.columns]);
            }
        }
        Ok(Self::new(values, rows, parts.iter().map(|part| part.columns).sum()))
    }

    /// The same elements, row by row, as a `rows` x `columns` matrix.
    ///
    /// # Errors
    /// When there are not rows x columns elements.
    pub fn reshape(mut self, rows: usize, columns: usize) -> Result<Self, Error> {
        if rows.checked_mul(columns) != Some(self.len()) {
            return Err(Error::internal(format!(
                "{} elements are no {rows} x {columns} matrix",
                self.len()
            )));
        }
        (self.rows, self.columns) = (rows, columns);
        Ok(self)
    }

    /// The transposed matrix.
    #[must_use]
    pub fn transposed(&self) -> Self {
        let mut values = Vec::with_capacity(self.len());
        for column in 0..self.columns {
            values.extend(self.values.iter().skip(column).step_by(self.columns).copied());
        }
        Self::new(values, self.columns, self.rows)
    }

    /// The sum of all elements, 1 x 1.
    #[must_use]
    pub fn sum(&self) -> Self {
        let mut sum = R::ZERO;
        self.values.iter().for_each(|&value| sum += value);
        Self::column(vec![sum])
    }
}

impl Fixed {
    /// [`Shared::row_range`].
    ///
    /// # Errors
    /// When there are no such rows.
    pub fn row_range(&self, range: Range<usize>) -> Result<Self, Error> {
        Ok(self.like(self.share().row_range(range)?))
    }

    /// [`Shared::column_range`].
    ///
    /// # Errors
    /// When there are no such columns.
    pub fn column_range(&self, range: Range<usize>) -> Result<Self, Error> {
        Ok(self.like(self.share().column_range(range)?))
    }

    /// [`Shared::select_rows`].
    ///
    /// # Errors
    /// When there is no such row.
    pub fn select_rows(&self, rows: &[usize]) -> Result<Self, Error> {
        Ok(self.like(self.share().select_rows(rows)?))
    }

    /// [`Shared::slice`].
    ///
    /// # Errors
    /// When there are no such elements.
    pub fn slice(&self, range: Range<usize>) -> Result<Self, Error> {
        Ok(self.like(self.share().slice(range)?))
    }

    /// [`Shared::select`].
    ///
    /// # Errors
    /// When there is no such element.
    pub fn select(&self, elements: &[usize]) -> Result<Self, Error> {
        Ok(self.like(self.share().select(elements)?))
    }

    /// The matrices one below the other, in the smallest ring among them.
    ///
    /// # Errors
    /// When there are none, or their columns or scales differ.
    pub fn stack(parts: &[&Self]) -> Result<Self, Error> {
        Self::join(parts, Shared::stack)
    }

    /// The matrices side by side, in the smallest ring among them.
    ///
    /// # Errors
    /// When there are none, or their rows or scales differ.
    pub fn beside(parts: &[&Self]) -> Result<Self, Error> {
        Self::join(parts, Shared::beside)
    }

    /// [`Shared::reshape`].
    ///
    /// # Errors
    /// When there are not rows x columns elements.
    pub fn reshape(self, rows: usize, columns: usize) -> Result<Self, Error> {
        let (share, ring, fraction) = self.into_parts();
        Self::new(share.reshape(rows, columns)?, ring, fraction)
    }

    /// The transposed matrix.
    #[must_use]
    pub fn transposed(&self) -> Self {
        self.like(self.share().transposed())
    }

    /// The sum of all elements, 1 x 1.
    #[must_use]
    pub fn sum(&self) -> Self {
        self.like(self.share().sum())
    }

    fn join(
        parts: &[&Self],
        put: impl Fn(&[&Shared<Z128>]) -> Result<Shared<Z128>, Error>,
    ) -> Result<Self, Error> {
        let shares: Vec<_> = parts.iter().map(|part| part.share()).collect();
        let share = put(&shares)?;
        let first = parts[0];
        parts.iter().try_for_each(|part| first.same_scale(part))?;
        let ring = parts.iter().fold(first.ring(), |ring, part| ring.min(part.ring()));
        Self::new(share, ring, first.fraction())
    }
}

fn within(range: &Range<usize>, len: usize, what: &str) -> Result<(), Error> {
    if range.start <= range.end && range.end <= len {
        return Ok(());
    }
    Err(Error::internal(format!("{what} {}..{} of {len}", range.start, range.end)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ring::Z64;

    /// A matrix whose element in row i and column j is 100 i + j.
    fn matrix(rows: usize, columns: usize) -> Shared<Z64> {
        let at = |at: usize| Z64((at / columns * 100 + at % columns) as u64);
        Shared::new((0..rows * columns).map(at).collect(), rows, columns)
    }

    proptest! {
        #[test]
        fn parts_put_together_are_the_whole(rows in 1usize..6, columns in 1usize..6, cut: usize) {
            let whole = matrix(rows, columns);
            let (row, column) = (cut % (rows + 1), cut % (columns + 1));
            let (above, below) = (whole.row_range(0..row)?, whole.row_range(row..rows)?);
            prop_assert!(Shared::stack(&[&above, &below])? == whole);
            let left = whole.column_range(0..column)?;
            let right = whole.column_range(column..columns)?;
            prop_assert!(Shared::beside(&[&left, &right])? == whole);
            prop_assert!(whole.transposed().transposed() == whole);
            let all: Vec<usize> = (0..rows).collect();
            prop_assert!(whole.select_rows(&all)? == whole);
            let flat = whole.slice(0..whole.len())?;
            prop_assert!(flat.reshape(rows, columns)? == whole);
        }
    }

    #[test]
    fn elements_are_where_they_belong() {
        let m = matrix(3, 4);
        let words = |share: &Shared<Z64>| share.as_slice().iter().map(|v| v.0).collect::<Vec<_>>();
        assert_eq!(words(&m.transposed())[..4], [0, 100, 200, 1]);
        assert_eq!(words(&m.column_range(1..3).unwrap()), [1, 2, 101, 102, 201, 202]);
        assert_eq!(words(&m.select_rows(&[2, 0]).unwrap())[..5], [200, 201, 202, 203, 0]);
        assert_eq!(words(&m.select(&[5, 0, 5]).unwrap()), [101, 0, 101]);
        assert_eq!(words(&m.slice(3..6).unwrap()), [3, 100, 101]);
        assert_eq!(words(&m.sum()), [12 / 4 * 6 + 4 * 300]);
    }

    #[test]
    fn what_is_not_there_is_refused() {
        let m = matrix(3, 4);
        assert!(m.row_range(2..4).is_err());
        assert!(m.column_range(4..5).is_err());
        assert!(m.select_rows(&[usize::MAX]).is_err());
        assert!(m.select(&[12]).is_err());
        assert!(m.slice(13..13).is_err());
        assert!(Shared::stack(&[&m, &matrix(2, 3)]).is_err());
        assert!(Shared::beside(&[&m, &matrix(2, 4)]).is_err());
        assert!(Shared::<Z64>::stack(&[]).is_err());
        assert!(m.clone().reshape(2, 5).is_err());
        assert!(m.reshape(usize::MAX, 2).is_err());
    }
}
