//! Some columns of a data file as they stand, for what needs no schema.

use std::path::Path;

use csv::StringRecord;

use super::scan::{Faults, opened, scan};
use super::{DataError, FileDigest};

/// A row as it is read.
pub struct Cells<'a> {
    /// Its line in the file, counted from 1.
    pub line: u64,
    /// The cells of the columns asked for, in their order.
    pub wanted: &'a [&'a str],
    /// All cells of the row.
    pub all: &'a StringRecord,
}

/// Reads the columns `wanted` of a data file row by row. `each` says what is wrong with a row: the place
/// among the columns wanted, and the rule that its cell breaks. Gives the header, and the digest of the
/// file.
///
/// # Errors
/// When the file cannot be read, a column is missing, there are no rows, or `each` found fault with one.
pub fn read_columns(
    path: &Path,
    wanted: &[&str],
    mut each: impl FnMut(Cells<'_>) -> Result<(), (usize, String)>,
) -> Result<(StringRecord, FileDigest), DataError> {
    let ((header, faults, rows, ..), digest) = opened(path, |input| {
        scan(
            input,
            path,
            (wanted, false),
            |header, names| {
                let at = wanted.iter().map(|column| header.locate(column));
                let at = at.collect::<Result<Vec<usize>, DataError>>()?;
                Ok((names.clone(), Faults::default(), 0u64, at))
            },
            |(header, faults, rows, at), line, text| {
                *rows += 1;
                let Some(all) = text else { return faults.not_text(line) };
                if all.len() != header.len() {
                    return faults.width(line, all.len(), header.len());
                }
                let cells: Vec<&str> = at.iter().map(|&at| &all[at]).collect();
                if let Err((place, rule)) = each(Cells { line, wanted: &cells, all }) {
                    faults.bad(line, wanted.get(place).map(|name| (*name).to_owned()), rule, None);
                }
            },
        )
    })?;
    faults.into_error(path).map_or(Ok(()), Err)?;
    if rows == 0 {
        return Err(DataError::NoRows { path: path.to_owned() });
    }
    Ok((header, digest))
}
