//! One party's rows, checked against a schema.

use std::collections::HashMap;
use std::fmt;

use zeroize::{Zeroize, Zeroizing};

use super::{CellError, FeatureKind, Schema};

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

/// Reads rows, cell by cell, into a [`Table`].
pub struct TableBuilder {
    table: Table,
    /// The number of each group by its word. Private.
    words: HashMap<String, u64>,
}

impl fmt::Debug for TableBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TableBuilder").field(&self.table).finish()
    }
}

impl TableBuilder {
    fn new(schema: Schema, with_target: bool) -> Self {
        let empty = |kind: &FeatureKind| match kind {
            FeatureKind::Numeric(_) => Column::Numeric(Numbers::default()),
            FeatureKind::Categorical(_) => Column::Categorical(Vec::new()),
        };
        let columns = schema.features().iter().map(|feature| empty(&feature.kind)).collect();
        let offset = schema.offset().map(|_| Vec::new());
        let target = with_target.then(Vec::new);
        // A prediction needs neither.
        let weights = schema.weights().filter(|_| with_target).map(|_| Vec::new());
        let groups = schema.groups().filter(|_| with_target).map(|_| Vec::new());
        let table = Table { schema, columns, offset, weights, groups, target, rows: 0 };
        Self { table, words: HashMap::new() }
    }

    /// How many cells a row has: one for each feature, then the offset, the weight, the group and the
    /// target where they are there.
    #[must_use]
    pub fn width(&self) -> usize {
        let table = &self.table;
        table.columns.len()
            + usize::from(table.offset.is_some())
            + usize::from(table.weights.is_some())
            + usize::from(table.groups.is_some())
            + usize::from(table.target.is_some())
    }

    /// Reads one row: the cells of the features in the schema's order, then those of the offset,
    /// the weight, the group and the target.
    ///
    /// # Errors
    /// Every cell that breaks a rule; the table is then of no further use except to find more of
    /// them.
    ///
    /// # Panics
    /// When the number of cells is not [`width`](Self::width).
    pub fn push_row(&mut self, cells: &[&str]) -> Result<(), Vec<BadCell>> {
        assert_eq!(cells.len(), self.width(), "a row has one cell per column");
        let table = &mut self.table;
        let mut bad = Vec::new();
        let features = table.schema.features().iter().zip(&mut table.columns);
        for (position, ((feature, column), cell)) in features.zip(cells).enumerate() {
            let pushed = match (&feature.kind, column) {
                (FeatureKind::Numeric(rule), Column::Numeric(values)) => {
                    rule.parse(cell).map(|value| values.push(value))
                }
                (FeatureKind::Categorical(rule), Column::Categorical(values)) => {
                    rule.parse(cell).map(|value| values.push(value))
                }
                _ => unreachable!("columns are made by the kinds of the features"),
            };
            if let Err(rule) = pushed {
                bad.push(BadCell { column: feature.name.clone(), position, rule });
            }
        }
        let mut position = table.columns.len();
        if let (Some(values), Some(offset)) = (&mut table.offset, table.schema.offset()) {
            match offset.parse(cells[position]) {
                Ok(value) => values.push(value),
                Err(rule) => bad.push(BadCell { column: offset.column.clone(), position, rule }),
            }
            position += 1;
        }
        if let (Some(values), Some(weights)) = (&mut table.weights, table.schema.weights()) {
            match weights.parse(cells[position]) {
                Ok(value) => values.push(value),
                Err(rule) => bad.push(BadCell { column: weights.column.clone(), position, rule }),
            }
            position += 1;
        }
        if let (Some(values), Some(column)) = (&mut table.groups, table.schema.groups()) {
            let word = cells[position].trim();
            if word.is_empty() {
                let rule = CellError::MissingGroup;
                bad.push(BadCell { column: column.to_owned(), position, rule });
            } else {
                let next = self.words.len() as u64;
                values.push(match self.words.get(word) {
                    Some(&number) => number,
                    None => *self.words.entry(word.to_owned()).or_insert(next),
                });
            }
            position += 1;
        }
        if let Some(values) = &mut table.target {
            let target = table.schema.target();
            match target.parse(cells[position]) {
                Ok(value) => values.push(value),
                Err(rule) => {
                    bad.push(BadCell { column: target.column().to_owned(), position, rule });
                }
            }
        }
        table.rows += 1;
        if bad.is_empty() { Ok(()) } else { Err(bad) }
    }

    /// The table, when every row was accepted.
    ///
    /// # Panics
    /// When a row was refused before.
    #[must_use]
    pub fn finish(self) -> Table {
        let table = self.table;
        let whole = table.columns.iter().all(|column| match column {
            Column::Numeric(values) => values.len() == table.rows,
            Column::Categorical(values) => values.len() == table.rows,
        });
        let mut others = table.target.iter().chain(&table.offset).chain(&table.weights);
        let whole = whole
            && others.all(|values| values.len() == table.rows)
            && table.groups.iter().all(|values| values.len() == table.rows);
        assert!(whole, "a table is finished only when no row was refused");
        table
    }
}

#[cfg(test)]
mod tests;
