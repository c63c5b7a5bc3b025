//! A party's rows as a model takes them.

use std::fmt;

use zeroize::Zeroizing;

/// Encoded rows and their targets, row by row. Wiped on drop, never printed. Where another party has the
/// targets there are none here.
#[derive(Clone)]
pub struct Rows {
    x: Zeroizing<Vec<f64>>,
    y: Zeroizing<Vec<f64>>,
    columns: usize,
    count: usize,
}

impl Rows {
    /// Rows of `columns` entries each.
    ///
    /// # Panics
    /// When there is not one target for each row.
    #[must_use]
    pub fn new(x: Vec<f64>, y: Vec<f64>, columns: usize) -> Self {
        assert_eq!(x.len(), y.len() * columns, "there is one target for each row");
        let count = y.len();
        Self { x: Zeroizing::new(x), y: Zeroizing::new(y), columns, count }
    }

    /// The entries of `count` rows of `columns` entries each, whose targets another party has.
    ///
    /// # Panics
    /// When these are not so many entries.
    #[must_use]
    pub fn without_target(x: Vec<f64>, count: usize, columns: usize) -> Self {
        assert_eq!(x.len(), count * columns, "rows have as many entries as columns");
        Self { x: Zeroizing::new(x), y: Zeroizing::default(), columns, count }
    }

    /// The same rows in another order.
    #[must_use]
    pub fn ordered(&self, order: &[usize]) -> Self {
        let x = order.iter().flat_map(|&row| self.row(row).iter().copied()).collect();
        if !self.has_target() {
            return Self::without_target(x, order.len(), self.columns);
        }
        let y = order.iter().map(|&row| self.y[row]).collect();
        Self::new(x, y, self.columns)
    }

    /// Whether each row has its target here.
    #[must_use]
    pub fn has_target(&self) -> bool {
        self.y.len() == self.count
    }

    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
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

    /// The targets; empty where another party has them.
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
