//! One party's rows, checked against a schema.

mod builder;

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

use super::{CellError, Schema};
use crate::error::Error;

pub use builder::TableBuilder;

/// One party's rows: **private data**. Formatting it shows the shape and no value; wiped on drop.
pub struct Table {
    schema: Schema,
    columns: Vec<Column>,
    offset: Option<Vec<f64>>,
    weights: Option<Vec<f64>>,
    groups: Option<Vec<u64>>,
    target: Option<Vec<f64>>,
    rows: usize,
}

/// One column of a [`Table`]: **private data**. Formatting it shows the length and no value.
pub enum Column {
    /// Numbers on the scale of the file.
    Numeric(Numbers),
    /// Indices into the feature's levels; `None` where the cell is missing.
    Categorical(Vec<Option<u32>>),
}

/// A column of finite numbers, some of which may be missing: **private data**. Formatting it shows
/// the length.
#[derive(Clone, Default)]
pub struct Numbers {
    /// NaN where the cell is missing: half of what an `Option` takes.
    cells: Zeroizing<Vec<f64>>,
}

impl Numbers {
    /// The number of cells, missing ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Whether there are no cells.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// The cell in this row; `None` where it is missing, or there is none.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<f64> {
        self.cells.get(row).copied().filter(|cell| !cell.is_nan())
    }

    /// The cells; `None` where one is missing.
    pub fn iter(&self) -> impl Iterator<Item = Option<f64>> + Clone {
        self.cells.iter().map(|&cell| (!cell.is_nan()).then_some(cell))
    }

    /// Adds a cell. What is not a number counts as missing.
    pub fn push(&mut self, cell: Option<f64>) {
        self.cells.push(cell.unwrap_or(f64::NAN));
    }
}

impl FromIterator<Option<f64>> for Numbers {
    fn from_iter<I: IntoIterator<Item = Option<f64>>>(cells: I) -> Self {
        let cells = cells.into_iter().map(|cell| cell.unwrap_or(f64::NAN)).collect();
        Self { cells: Zeroizing::new(cells) }
    }
}

impl fmt::Debug for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Numbers([{} values, redacted])", self.len())
    }
}

/// A cell that breaks a rule: which column, and which rule.
#[derive(Clone, Debug, PartialEq)]
pub struct BadCell {
    /// The column's name.
    pub column: String,
    /// The position of the cell among those given to [`TableBuilder::push_row`]: an index into
    /// the features, and after them the offset, the weight, the group and the target.
    pub position: usize,
    /// The rule.
    pub rule: CellError,
}

impl Table {
    /// An empty table, to be filled with rows that have a target.
    #[must_use]
    pub fn builder(schema: Schema) -> TableBuilder {
        TableBuilder::new(schema, true)
    }

    /// An empty table, to be filled with rows that have no target, for predictions.
    #[must_use]
    pub fn builder_without_target(schema: Schema) -> TableBuilder {
        TableBuilder::new(schema, false)
    }

    /// The schema that the rows were read by.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The columns, in the order of the schema's features.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Refuses a table of other rows than the plan has for its party, none if it has none, or of other columns.
    pub(crate) fn check_shape(&self, rows: Option<&u64>, columns: usize) -> Result<(), Error> {
        let (given, due) = ((self.rows, self.columns.len()), (rows.copied().unwrap_or(0), columns));
        if given.0 as u64 != due.0 || given.1 != due.1 {
            return Err(Error::other_shape(given, due));
        }
        Ok(())
    }

    /// The target, where the table has one: 0 or 1, or a number.
    #[must_use]
    pub fn target(&self) -> Option<&[f64]> {
        self.target.as_deref()
    }

    /// The offset of each row, where the schema has one.
    #[must_use]
    pub fn offset(&self) -> Option<&[f64]> {
        self.offset.as_deref()
    }

    /// The case weight of each row, where the schema has one and the rows have a target.
    #[must_use]
    pub fn weights(&self) -> Option<&[f64]> {
        self.weights.as_deref()
    }

    /// The group of each row, where the schema has groups and the rows have a target: rows with the
    /// same number have the same word in their cell. The numbers count this table's own groups.
    #[must_use]
    pub fn groups(&self) -> Option<&[u64]> {
        self.groups.as_deref()
    }

    /// The same rows in another order: the row in place i goes to `places[i]`.
    ///
    /// # Panics
    /// When the places are not those of the rows, each once.
    #[must_use]
    pub fn placed(self, places: &[usize]) -> Self {
        let mut from = vec![usize::MAX; self.rows];
        assert_eq!(places.len(), self.rows, "each row has a place");
        places.iter().enumerate().for_each(|(row, &place)| from[place] = row);
        assert!(!from.contains(&usize::MAX), "no two rows have the same place");
        let numbers = |cells: &Vec<f64>| from.iter().map(|&row| cells[row]).collect::<Vec<f64>>();
        let column = |column: &Column| match column {
            Column::Numeric(Numbers { cells }) => {
                Column::Numeric(Numbers { cells: Zeroizing::new(numbers(cells)) })
            }
            Column::Categorical(cells) => {
                Column::Categorical(from.iter().map(|&row| cells[row]).collect())
            }
        };
        Self {
            schema: self.schema.clone(),
            columns: self.columns.iter().map(column).collect(),
            offset: self.offset.as_ref().map(numbers),
            weights: self.weights.as_ref().map(numbers),
            groups: self.groups.as_ref().map(|ids| from.iter().map(|&row| ids[row]).collect()),
            target: self.target.as_ref().map(numbers),
            rows: self.rows,
        }
    }

    /// How many cells of each feature are missing, in the order of the features. Private.
    #[must_use]
    pub fn missing(&self) -> Vec<usize> {
        self.columns.iter().map(Column::missing).collect()
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        self.offset.zeroize();
        self.weights.zeroize();
        self.groups.zeroize();
        self.target.zeroize();
    }
}

impl Drop for Column {
    fn drop(&mut self) {
        // Numbers wipe themselves.
        if let Self::Categorical(levels) = self {
            levels.zeroize();
        }
    }
}

impl Column {
    fn missing(&self) -> usize {
        match self {
            Self::Numeric(values) => values.iter().filter(Option::is_none).count(),
            Self::Categorical(values) => values.iter().filter(|value| value.is_none()).count(),
        }
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("rows", &self.rows)
            .field("columns", &self.columns.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, rows) = match self {
            Self::Numeric(values) => ("Numeric", values.len()),
            Self::Categorical(values) => ("Categorical", values.len()),
        };
        write!(f, "{kind}([{rows} values, redacted])")
    }
}

#[cfg(test)]
mod tests;
