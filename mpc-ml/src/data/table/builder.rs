//! Rows as they are read, cell by cell.

use std::collections::HashMap;
use std::fmt;

use super::{BadCell, Column, Numbers, Table};
use crate::data::{Cell, CellError, FeatureKind, NumericMissing, Schema, Target};

/// Reads rows, cell by cell, into a [`Table`].
pub struct TableBuilder {
    table: Table,
    /// What stands behind the features in a row.
    parts: Vec<Part>,
    /// Whether numbers outside of ranges are taken.
    outside: bool,
    /// The number of each group by its word. Private.
    words: HashMap<String, u64>,
}

/// What a row has beside its features.
#[derive(Clone, Copy)]
enum Part {
    Offset,
    Weights,
    Groups,
    Target,
}

impl fmt::Debug for TableBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TableBuilder").field(&self.table).finish()
    }
}

impl TableBuilder {
    pub(super) fn new(schema: Schema, with_target: bool) -> Self {
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
        let parts = [
            (Part::Offset, table.offset.is_some()),
            (Part::Weights, table.weights.is_some()),
            (Part::Groups, table.groups.is_some()),
            (Part::Target, table.target.is_some()),
        ];
        let parts = parts.into_iter().filter(|(_, there)| *there).map(|(part, _)| part).collect();
        Self { table, parts, outside: false, words: HashMap::new() }
    }

    /// How many cells a row has: one for each feature, then the offset, the weight, the group and the
    /// target where they are there.
    #[must_use]
    pub fn width(&self) -> usize {
        self.table.columns.len() + self.parts.len()
    }

    /// Takes numbers that lie outside of a feature's or the offset's range as they are: for predictions,
    /// whose caller tells of them ([`check`](Self::check)).
    #[must_use]
    pub fn with_outside(self) -> Self {
        Self { outside: true, ..self }
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
        let mut bad = Vec::new();
        for (position, cell) in cells.iter().enumerate() {
            if let Err(rule) = self.push_cell(position, &Cell::text(cell)) {
                bad.push(BadCell { column: self.column(position).to_owned(), position, rule });
            }
        }
        self.end_rows(1);
        if bad.is_empty() { Ok(()) } else { Err(bad) }
    }

    /// Counts rows whose cells were all pushed.
    pub fn end_rows(&mut self, rows: usize) {
        self.table.rows += rows;
    }

    /// Adds a cell to the column in this position, for who reads column by column; see
    /// [`push_row`](Self::push_row) for the positions.
    ///
    /// # Errors
    /// The rule that the cell breaks; the table is then of no further use except to find more of them.
    ///
    /// # Panics
    /// When the position is [`width`](Self::width) or more.
    pub fn push_cell(&mut self, position: usize, cell: &Cell<'_>) -> Result<(), CellError> {
        let table = &mut self.table;
        match self.parts.get(position.wrapping_sub(table.columns.len())) {
            None => {
                let (feature, column) =
                    (&table.schema.features()[position], &mut table.columns[position]);
                match (&feature.kind, column) {
                    (FeatureKind::Numeric(rule), Column::Numeric(values)) => {
                        let taken = match rule.take(cell) {
                            Err(CellError::OutsideRange { .. }) if self.outside => {
                                cell.number(None)?
                            }
                            taken => taken?,
                        };
                        values.push(taken);
                    }
                    (FeatureKind::Categorical(rule), Column::Categorical(values)) => {
                        values.push(rule.take(cell)?);
                    }
                    _ => unreachable!("columns are made by the kinds of the features"),
                }
            }
            Some(Part::Offset) => {
                if let (Some(values), Some(offset)) = (&mut table.offset, table.schema.offset()) {
                    values.push(match offset.take(cell) {
                        Err(CellError::OutsideRange { .. }) if self.outside => {
                            cell.number(None)?.ok_or(CellError::MissingOffset)?
                        }
                        taken => taken?,
                    });
                }
            }
            Some(Part::Weights) => {
                if let (Some(values), Some(weights)) = (&mut table.weights, table.schema.weights())
                {
                    values.push(weights.take(cell)?);
                }
            }
            Some(Part::Groups) => {
                let word = cell.words();
                if word.is_empty() {
                    return Err(CellError::MissingGroup);
                }
                if let Some(values) = &mut table.groups {
                    let next = self.words.len() as u64;
                    values.push(match self.words.get(&*word) {
                        Some(&number) => number,
                        None => *self.words.entry(word.into_owned()).or_insert(next),
                    });
                }
            }
            Some(Part::Target) => {
                if let Some(values) = &mut table.target {
                    values.push(table.schema.target().take(cell)?);
                }
            }
        }
        Ok(())
    }

    /// Makes room for so many rows.
    pub fn reserve(&mut self, rows: usize) {
        let table = &mut self.table;
        for column in &mut table.columns {
            match column {
                Column::Numeric(Numbers { cells }) => cells.reserve(rows),
                Column::Categorical(cells) => cells.reserve(rows),
            }
        }
        for cells in [&mut table.target, &mut table.offset, &mut table.weights] {
            cells.iter_mut().for_each(|cells| cells.reserve(rows));
        }
    }

    /// Adds numbers, NaN for a missing one, to the column in this position, where it is one of a numeric feature or
    /// a numeric target and they all keep its rules; otherwise none of them. Says whether it did.
    ///
    /// # Panics
    /// When the position is [`width`](Self::width) or more.
    pub fn push_numbers(&mut self, position: usize, numbers: &[f64]) -> bool {
        let table = &mut self.table;
        let target = self.parts.get(position.wrapping_sub(table.columns.len()));
        let (range, may_be_missing, values) = match (target, table.columns.get_mut(position)) {
            (None, Some(Column::Numeric(values))) => {
                let FeatureKind::Numeric(rule) = &table.schema.features()[position].kind else {
                    return false;
                };
                (rule.range, rule.missing != NumericMissing::Refuse, &mut *values.cells)
            }
            (Some(Part::Target), _) => match (table.schema.target(), &mut table.target) {
                (Target::Numeric(rule), Some(values)) => (rule.range, false, values),
                _ => return false,
            },
            _ => return false,
        };
        let (low, high) = range.unwrap_or((f64::MIN, f64::MAX));
        // All of them, without a jump on the way: so they are compared several at a time.
        let fits =
            |number: &f64| (low <= *number) & (*number <= high) | may_be_missing & number.is_nan();
        let fit = numbers.iter().fold(true, |all, number| all & fits(number));
        if fit {
            values.extend_from_slice(numbers);
        }
        fit
    }

    /// How many cells the column in this position has, where it is one of words whose cells can be [taken
    /// again](Self::push_again).
    #[must_use]
    pub fn cells(&self, position: usize) -> Option<usize> {
        match (self.table.columns.get(position), self.target_at(position)) {
            (Some(Column::Categorical(cells)), _) => Some(cells.len()),
            (None, true) => self.table.target.as_ref().map(Vec::len),
            _ => None,
        }
    }

    /// Adds the cells that are in these places of the column in this position once more.
    ///
    /// # Panics
    /// When there is no cell in one of the places, or it is no column of words.
    pub fn push_again(&mut self, position: usize, places: &[usize]) {
        fn add<T: Copy>(cells: &mut Vec<T>, places: &[usize]) {
            cells.reserve(places.len());
            for &at in places {
                let cell = cells[at];
                cells.push(cell);
            }
        }
        let target = self.target_at(position);
        match (self.table.columns.get_mut(position), &mut self.table.target) {
            (Some(Column::Categorical(cells)), _) => add(cells, places),
            (None, Some(cells)) if target => add(cells, places),
            _ => assert!(places.is_empty(), "only the cells of a column of words are taken again"),
        }
    }

    /// Whether the target is in this position, and is one of two words.
    fn target_at(&self, position: usize) -> bool {
        let part = self.parts.get(position.wrapping_sub(self.table.columns.len()));
        matches!((part, self.table.schema.target()), (Some(Part::Target), Target::Binary(_)))
    }

    /// The rule that a cell in this position breaks, if it does; nothing is added.
    ///
    /// # Errors
    /// The rule.
    pub fn check(&self, position: usize, cell: &Cell<'_>) -> Result<(), CellError> {
        let schema = &self.table.schema;
        match self.parts.get(position.wrapping_sub(self.table.columns.len())) {
            None => match &schema.features()[position].kind {
                FeatureKind::Numeric(rule) => rule.take(cell).map(drop),
                FeatureKind::Categorical(rule) => rule.take(cell).map(drop),
            },
            Some(Part::Offset) => schema.offset().map_or(Ok(()), |rule| rule.take(cell).map(drop)),
            Some(Part::Weights) => {
                schema.weights().map_or(Ok(()), |rule| rule.take(cell).map(drop))
            }
            Some(Part::Groups) if cell.words().is_empty() => Err(CellError::MissingGroup),
            Some(Part::Groups) => Ok(()),
            Some(Part::Target) => schema.target().take(cell).map(drop),
        }
    }

    /// The name of the column in this position.
    #[must_use]
    pub fn column(&self, position: usize) -> &str {
        let schema = &self.table.schema;
        match self.parts.get(position.wrapping_sub(self.table.columns.len())) {
            None => &schema.features()[position].name,
            Some(Part::Offset) => schema.offset().map_or("", |offset| &offset.column),
            Some(Part::Weights) => schema.weights().map_or("", |weights| &weights.column),
            Some(Part::Groups) => schema.groups().unwrap_or_default(),
            Some(Part::Target) => schema.target().column(),
        }
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
