//! A party's rows as a model takes them.

use std::fmt;

use zeroize::Zeroizing;

/// Encoded rows and their targets, row by row. Wiped on drop, never printed.
#[derive(Clone)]
pub struct Rows {
    x: Zeroizing<Vec<f64>>,
    y: Zeroizing<Vec<f64>>,
    columns: usize,
}

impl Rows {
    /// Rows of `columns` entries each.
    ///
    /// # Panics
    /// When there is not one target for each row.
    #[must_use]
    pub fn new(x: Vec<f64>, y: Vec<f64>, columns: usize) -> Self {
        assert_eq!(x.len(), y.len() * columns, "there is one target for each row");
        Self { x: Zeroizing::new(x), y: Zeroizing::new(y), columns }
    }

    /// The same rows in another order.
    #[must_use]
    pub fn ordered(&self, order: &[usize]) -> Self {
        let x = order.iter().flat_map(|&row| self.row(row).iter().copied()).collect();
        let y = order.iter().map(|&row| self.y[row]).collect();
        Self::new(x, y, self.columns)
    }

    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.y.len()
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.y.is_empty()
    }

    /// The number of columns.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// All entries, row by row.
    #[must_use]
    pub fn x(&self) -> &[f64] {
        &self.x
    }

    /// The targets.
    #[must_use]
    pub fn y(&self) -> &[f64] {
        &self.y
    }

    /// One row.
    #[must_use]
    pub fn row(&self, row: usize) -> &[f64] {
        &self.x[row * self.columns..(row + 1) * self.columns]
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rows({} x {})", self.len(), self.columns)
    }
}
