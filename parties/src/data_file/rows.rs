//! The rows of a file while they are read, and what is wrong with them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use mpc_ml::data::{Cell, CellError, Schema, Table, TableBuilder};

use super::derive::Derive;
use super::faults::Faults;
use super::translate::{Kind, Translate};
use super::{DataError, ReadOptions, Reading};

/// The words that stood for missing cells, by column, with their counts. **Private data.**
#[derive(Clone, Default, PartialEq, Eq)]
pub struct MissingWords(pub BTreeMap<String, Vec<(String, u64)>>);

impl fmt::Debug for MissingWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MissingWords({} columns)", self.0.len())
    }
}

/// Rows of a file that was read leniently, by their number from 0: how many there were, why some were left out of
/// the table, and remarks about others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// How many rows the file has.
    pub rows: u64,
    /// Why a row is not in the table, without values.
    pub out: BTreeMap<u64, String>,
    /// The columns in which a number lies outside of the range of the study.
    pub outside: BTreeMap<u64, Vec<String>>,
}

/// The rows read so far, or what is wrong with them.
pub(super) struct Rows<'a> {
    builder: TableBuilder,
    /// One for each column that is read: those of a row first.
    translate: Vec<Translate>,
    derive: Derive,
    /// Which of a row's columns are computed of others; empty where none is.
    computed: Vec<bool>,
    options: &'a ReadOptions,
    faults: Faults,
    rows: u64,
    left: Left,
}

impl<'a> Rows<'a> {
    pub(super) fn new(
        schema: &Schema,
        options: &'a ReadOptions,
        reading: &Reading,
        derive: Derive,
    ) -> Self {
        let builder = if options.with_target {
            Table::builder(schema.clone())
        } else {
            Table::builder_without_target(schema.clone())
        };
        let builder = if options.lenient { builder.with_outside() } else { builder };
        let translate =
            derive.slots().iter().map(|(name, kind)| Translate::new(reading, name, kind.clone()));
        let (faults, left) = (Faults::default(), Left::default());
        let (translate, computed) = (translate.collect(), Vec::new());
        Self { builder, translate, derive, computed, options, faults, rows: 0, left }
    }

    /// Says which columns are computed of others, before the first row.
    pub(super) fn compute(&mut self, computed: &[bool]) {
        if self.computed.len() != computed.len() && computed.contains(&true) {
            self.computed = computed.to_vec();
        }
    }

    /// Whether columns are computed of others, so that rows must be whole.
    pub(super) fn computes(&self) -> bool {
        !self.computed.is_empty()
    }

    /// The file has rows and no lines.
    pub(super) fn of_parquet(&mut self) {
        self.faults = Faults::of_rows();
    }

    /// For each column whether its cells are wanted as text.
    pub(super) fn as_text(&self) -> Vec<bool> {
        self.translate.iter().map(|each| *each.kind() != Kind::Number).collect()
    }

    /// Whether rows may be left out.
    pub(super) fn lenient(&self) -> bool {
        self.options.lenient
    }

    /// A row that is no text.
    pub(super) fn not_text(&mut self, line: u64) {
        self.rows += 1;
        if self.options.lenient {
            return self.leave_out("the row is no text");
        }
        self.faults.not_text(line);
    }

    /// A row of another length than the header.
    pub(super) fn width(&mut self, line: u64, cells: usize, header: usize) {
        self.rows += 1;
        if self.options.lenient {
            return self.leave_out("the row has more or fewer cells than the header");
        }
        self.faults.width(line, cells, header);
    }

    fn leave_out(&mut self, why: &str) {
        self.left.out.insert(self.left.rows, why.to_owned());
        self.left.rows += 1;
    }

    /// A whole row. A cell that is none is no text.
    pub(super) fn row(&mut self, line: u64, cells: &[Option<Cell<'_>>]) {
        if self.options.lenient {
            return self.lenient_row(cells);
        }
        if self.computes() {
            return self.computed_row(line, cells);
        }
        for (position, cell) in cells.iter().enumerate() {
            self.cell(line, position, cell.clone());
        }
        self.end(1);
    }

    /// Counts rows whose cells were all given.
    pub(super) fn end(&mut self, rows: usize) {
        self.builder.end_rows(rows);
        self.rows += rows as u64;
    }

    /// A cell of a row; gives its place in the column, if another cell with the same text may be taken from there.
    pub(super) fn cell(
        &mut self,
        line: u64,
        position: usize,
        cell: Option<Cell<'_>>,
    ) -> Option<usize> {
        let at = self.builder.cells(position);
        let shown = match &cell {
            Some(cell) if self.options.show_values => Some(cell.words().into_owned()),
            _ => None,
        };
        let taken = self.translated(position, cell).and_then(|cell| {
            self.builder.push_cell(position, &cell).map_err(|rule| in_words(&rule))
        });
        if let Err(rule) = taken {
            let column = self.builder.column(position);
            self.faults.bad(line, Some(column), rule, shown.as_deref());
            return None;
        }
        // What is translated is counted.
        at.filter(|_| self.translate[position].is_plain())
    }

    /// The same cells as those in these places of the column, which [`cell`](Self::cell) gave; empties the list.
    pub(super) fn again(&mut self, position: usize, places: &mut Vec<usize>) {
        self.builder.push_again(position, places);
        places.clear();
    }

    /// Makes room for so many rows.
    pub(super) fn reserve(&mut self, rows: usize) {
        self.builder.reserve(rows);
    }

    /// The cells of many rows in one column, NaN for a missing one, if they need no translation and break no rule;
    /// otherwise none is taken.
    pub(super) fn numbers(&mut self, position: usize, numbers: &[f64]) -> bool {
        self.translate[position].is_plain() && self.builder.push_numbers(position, numbers)
    }

    fn translated<'c>(
        &mut self,
        position: usize,
        cell: Option<Cell<'c>>,
    ) -> Result<Cell<'c>, String> {
        match cell {
            Some(cell) => self.translate[position].read(cell),
            None => Err("the cell is not UTF-8 text".to_owned()),
        }
    }

    /// The cells of a row's columns, those that are computed among them.
    fn whole<'c>(&mut self, cells: &[Option<Cell<'c>>]) -> Vec<Result<Cell<'c>, String>> {
        if !self.computes() {
            let cells = cells.iter().enumerate();
            return cells.map(|(at, cell)| self.translated(at, cell.clone())).collect();
        }
        let is_computed = |at: usize| self.computed.get(at) == Some(&true);
        let own: Vec<bool> = (0..cells.len()).map(|at| !is_computed(at)).collect();
        let read: Vec<Result<Cell<'static>, String>> = cells
            .iter()
            .zip(own)
            .enumerate()
            .map(|(at, (cell, own))| match own {
                true => self.translated(at, cell.clone()).map(owned),
                false => Ok(Cell::text("")),
            })
            .collect();
        let computed = self.computed.iter().enumerate();
        computed
            .map(|(at, computed)| match computed {
                true => self.derive.cell(at, &read),
                false => read[at].clone(),
            })
            .collect()
    }

    fn computed_row(&mut self, line: u64, cells: &[Option<Cell<'_>>]) {
        for (position, cell) in self.whole(cells).into_iter().enumerate() {
            let shown = match &cell {
                Ok(cell) if self.options.show_values => Some(cell.words().into_owned()),
                _ => None,
            };
            let taken = cell.and_then(|cell| {
                self.builder.push_cell(position, &cell).map_err(|rule| in_words(&rule))
            });
            if let Err(rule) = taken {
                let column = self.builder.column(position);
                self.faults.bad(line, Some(column), rule, shown.as_deref());
            }
        }
        self.end(1);
    }

    fn lenient_row(&mut self, cells: &[Option<Cell<'_>>]) {
        let number = self.left.rows;
        self.left.rows += 1;
        self.rows += 1;
        let (mut why, mut outside, mut taken) = (Vec::new(), Vec::new(), Vec::new());
        for (position, cell) in self.whole(cells).into_iter().enumerate() {
            let column = self.builder.column(position).to_owned();
            let cell = match cell {
                Ok(cell) => cell,
                Err(_) => {
                    why.push(format!("{column} cannot be read"));
                    continue;
                }
            };
            match self.builder.check(position, &cell) {
                // The target of a study has a range that no prediction must keep to.
                Err(CellError::OutsideRange { .. }) if !self.is_target(position) => {
                    outside.push(column);
                }
                Err(rule) => why.push(format!("{column} {}", shortly(&rule))),
                Ok(()) => {}
            }
            taken.push(cell);
        }
        if !why.is_empty() {
            self.left.out.insert(number, why.join("; "));
            return;
        }
        if !outside.is_empty() {
            self.left.outside.insert(number, outside);
        }
        for (position, cell) in taken.iter().enumerate() {
            if let Err(rule) = self.builder.push_cell(position, cell) {
                let column = self.builder.column(position);
                self.faults.bad(number + 1, Some(column), in_words(&rule), None);
            }
        }
        self.builder.end_rows(1);
    }

    fn is_target(&self, position: usize) -> bool {
        self.options.with_target && position + 1 == self.builder.width()
    }

    pub(super) fn finish(self, path: &Path) -> Result<(Table, MissingWords, Left), DataError> {
        let Self { builder, translate, derive, faults, rows, left, .. } = self;
        faults.into_error(path).map_or(Ok(()), Err)?;
        if rows == 0 {
            return Err(DataError::NoRows { path: path.to_owned() });
        }
        let words = translate.iter().enumerate().filter_map(|(position, each)| {
            let found: Vec<_> =
                each.found().map(|(word, count)| (word.to_owned(), count)).collect();
            (!found.is_empty()).then(|| (derive.slots()[position].0.clone(), found))
        });
        let words = MissingWords(words.collect());
        Ok((builder.finish(), words, left))
    }
}

/// The same cell, for itself.
fn owned(cell: Cell<'_>) -> Cell<'static> {
    match cell {
        Cell::Text(text) => Cell::Text(Cow::Owned(text.into_owned())),
        Cell::Number(number) => Cell::Number(number),
    }
}

/// A rule as the operator of a node reads it.
fn in_words(rule: &CellError) -> String {
    match rule {
        CellError::LooksLike { level, difference } => format!(
            "the word looks like {level:?} and differs in {difference}; correct the cell, or let data.alike in \
             party.toml name the column, and it is read as {level:?}"
        ),
        CellError::NotANumber => "the cell is not a number; write it with a decimal point and without thousands \
                                  separators (or say in party.toml how it is written: data.decimal, \
                                  data.thousands, data.dates), and leave a missing cell empty (or let data.missing \
                                  in party.toml have its word)"
            .to_owned(),
        CellError::UnknownLevel { .. } | CellError::NeitherClass { .. } => {
            format!("{rule}; data.recode and data.missing in party.toml say what a word stands for")
        }
        rule => rule.to_string(),
    }
}

/// The end of a sentence that begins with the column.
fn shortly(rule: &CellError) -> &'static str {
    match rule {
        CellError::Missing
        | CellError::MissingTarget
        | CellError::MissingOffset
        | CellError::MissingWeight
        | CellError::MissingGroup => "is missing",
        CellError::NotANumber | CellError::NotFinite => "is not a number",
        CellError::NotACount => "is not a whole number",
        CellError::OutsideRange { .. } => "is outside of the study's range",
        CellError::LooksLike { .. } => "is written in another way than a level of the study",
        CellError::UnknownLevel { .. } => "is none of the study's levels",
        CellError::NeitherClass { .. } => "is neither of the two classes",
        _ => "cannot be used",
    }
}
