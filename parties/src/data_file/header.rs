//! The first line of a data file, as long as nobody knows whether it is a header.

use std::collections::BTreeSet;
use std::path::Path;

use csv::StringRecord;

use super::DataError;

/// The columns that the first line names.
pub(super) struct Header<'a> {
    path: &'a Path,
    columns: Vec<String>,
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
        wanted: &[&str],
        show_values: bool,
    ) -> Self {
        let columns: Vec<String> = line.iter().map(|name| name.trim().to_owned()).collect();
        let there: BTreeSet<&str> = columns.iter().map(String::as_str).collect();
        let is_name = |name: &&&str| name.parse::<f64>().is_err() && there.contains(**name);
        let found = wanted.iter().filter(is_name).count();
        let shown = show_values || 2 * found > wanted.len();
        Self { path, columns, shown }
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
                    [only] if only.contains([';', '\t', '|'])
                ),
            }),
        }
    }
}
