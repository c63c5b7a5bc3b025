//! The first line of a data file, as long as nobody knows whether it is a header.

use std::collections::BTreeSet;
use std::path::Path;

use csv::StringRecord;

use super::{DataError, Reading};

/// What programs put between cells.
pub(super) const SEPARATORS: [u8; 4] = *b",;\t|";

/// The names of columns as studies have them.
pub(super) fn renamed<'n>(names: impl Iterator<Item = &'n str>, reading: &Reading) -> Vec<String> {
    let own = |name: &str| reading.rename.get(name).map_or(name, String::as_str).to_owned();
    names.map(|name| own(name.trim())).collect()
}

/// The columns that the first line names.
pub(super) struct Header<'a> {
    path: &'a Path,
    columns: Vec<String>,
    separator: u8,
    /// Whether its cells may stand in errors.
    shown: bool,
}

impl<'a> Header<'a> {
    /// The header of the file at `path`, in which the columns `wanted` are looked for.
    ///
    /// A file without a header has a row of data in its place. The line counts as a header when it
    /// has more than half of the names that are looked for; names that are numbers do not count,
    /// since cells are numbers too.
    pub(super) fn new(
        path: &'a Path,
        line: &StringRecord,
        reading: &Reading,
        wanted: &[&str],
        show_values: bool,
    ) -> Self {
        let columns = renamed(line.iter(), reading);
        let separator = reading.separator;
        Self { separator, ..Self::of_names(path, columns, wanted, show_values) }
    }

    /// The same of names that are known to be some where `shown`.
    pub(super) fn of_names(
        path: &'a Path,
        columns: Vec<String>,
        wanted: &[&str],
        shown: bool,
    ) -> Self {
        let there: BTreeSet<&str> = columns.iter().map(String::as_str).collect();
        let is_name = |name: &&&str| name.parse::<f64>().is_err() && there.contains(**name);
        let found = wanted.iter().filter(is_name).count();
        let shown = shown || 2 * found > wanted.len();
        Self { path, columns, separator: b',', shown }
    }

    /// How many columns there are.
    pub(super) fn width(&self) -> usize {
        self.columns.len()
    }

    /// The columns in none of these places.
    pub(super) fn without(&self, used: impl Fn(usize) -> bool) -> Vec<String> {
        let unused = self.columns.iter().enumerate().filter(|(place, _)| !used(*place));
        unused.map(|(_, name)| name.clone()).collect()
    }

    /// Whether there is a column of this name.
    pub(super) fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|name| name == column)
    }

    /// The refusal of a column that is there, and that could be computed of others that are there too.
    pub(super) fn ambiguous(&self, column: &str) -> DataError {
        DataError::Ambiguous { path: self.path.to_owned(), column: column.to_owned() }
    }

    /// The place of a column.
    ///
    /// # Errors
    /// When it is not there, or there twice.
    pub(super) fn locate(&self, column: &str) -> Result<usize, DataError> {
        let mut found = self.columns.iter().enumerate().filter(|(_, name)| *name == column);
        let (first, second) = (found.next(), found.next());
        match first {
            Some((_, _)) if second.is_some() && self.shown => Err(DataError::DuplicateColumn {
                path: self.path.to_owned(),
                column: column.to_owned(),
            }),
            Some((place, _)) if second.is_none() => Ok(place),
            _ => Err(DataError::MissingColumn {
                path: self.path.to_owned(),
                column: column.to_owned(),
                columns: self.shown.then(|| self.columns.clone()),
                other_separator: matches!(
                    &*self.columns,
                    [only] if SEPARATORS.iter().any(|&each| {
                        each != self.separator && only.contains(char::from(each))
                    })
                ),
            }),
        }
    }
}
