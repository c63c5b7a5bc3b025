//! What is wrong with the rows of a file: one entry for each column and rule.

use std::path::Path;

use super::layout::{Fault, Layout};
use super::{BadPlace, DataError};

/// How many columns and rules are listed; the rest is counted.
const LISTED: usize = 20;
/// How many lines of each.
const LINES: usize = 5;
/// How many distinct values of each, where they are shown.
const VALUES: usize = 20;

/// What is wrong with the rows of a file.
#[derive(Default)]
pub(super) struct Faults {
    listed: Vec<BadPlace>,
    total: u64,
    of_rows: bool,
}

impl Faults {
    /// Faults of a file that has rows and no lines.
    pub(super) fn of_rows() -> Self {
        Self { of_rows: true, ..Self::default() }
    }

    pub(super) fn bad(
        &mut self,
        line: u64,
        column: Option<&str>,
        rule: String,
        value: Option<&str>,
    ) {
        self.total += 1;
        let same = |place: &BadPlace| place.column.as_deref() == column && place.rule == rule;
        let at = self.listed.iter().position(same).unwrap_or(self.listed.len());
        if at == LISTED {
            return;
        }
        if at == self.listed.len() {
            let (column, of_text) = (column.map(str::to_owned), !self.of_rows);
            let (lines, values) = (Vec::new(), Vec::new());
            self.listed.push(BadPlace { lines, count: 0, of_text, column, rule, values });
        }
        let place = &mut self.listed[at];
        place.count += 1;
        if place.lines.len() < LINES {
            place.lines.push(line);
        }
        if let Some(value) = value {
            let full = place.values.len() == VALUES;
            match place.values.iter_mut().find(|(each, _)| each == value) {
                Some((_, count)) => *count += 1,
                None if full => {}
                None => place.values.push((value.to_owned(), 1)),
            }
        }
    }

    /// A row that is no text.
    pub(super) fn not_text(&mut self, line: u64) {
        let rule = "the row is not text in the encoding of the file, UTF-8 unless data.encoding in party.toml names \
                    another one";
        self.bad(line, None, rule.to_owned(), None);
    }

    /// A row of another length than the header.
    pub(super) fn width(&mut self, line: u64, cells: usize, header: usize) {
        let rule = format!(
            "the row has {cells} cells, and the header has {header}; look for a missing or extra \
             separator or quote"
        );
        self.bad(line, None, rule, None);
    }

    /// The error that lists them, if there are any.
    pub(super) fn into_error(self, path: &Path) -> Option<DataError> {
        let Self { listed, total, .. } = self;
        (total > 0).then(|| DataError::BadPlaces { path: path.to_owned(), listed, total })
    }
}

/// Why the layout of a file does not hold.
pub(super) fn layout_error(path: &Path, layout: &Layout) -> Option<DataError> {
    let (faults, total) = layout.faults();
    let place = |fault: &Fault| BadPlace {
        lines: vec![fault.line],
        count: 1,
        of_text: true,
        column: None,
        rule: fault.rule.clone(),
        values: Vec::new(),
    };
    (total > 0).then(|| DataError::BadPlaces {
        path: path.to_owned(),
        listed: faults.iter().map(place).collect(),
        total,
    })
}
