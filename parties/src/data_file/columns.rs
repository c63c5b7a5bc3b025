//! Some columns of a data file as they stand, for what needs no schema.

use csv::StringRecord;

use super::faults::Faults;
use super::header::Header;
use super::parquet::Parquet;
use super::scan::scan;
use super::source::Content;
use super::{DataError, FileDigest, Source};

/// A row as it is read.
pub struct Cells<'a> {
    /// Its line in the file, counted from 1; of a Parquet file, its row.
    pub line: u64,
    /// The cells of the columns asked for, in their order; a word for a missing one (`data.missing`) is empty.
    pub wanted: &'a [&'a str],
    /// All cells of the row as they stand.
    pub all: &'a StringRecord,
}

/// Reads the columns `wanted` of a data file row by row. `each` says what is wrong with a row: the place
/// among the columns wanted, and the rule that its cell breaks. Gives the header as it stands, and the digest of
/// the file.
///
/// # Errors
/// When the file cannot be read, a column is missing, there are no rows, or `each` found fault with one.
pub fn read_columns(
    source: &Source,
    wanted: &[&str],
    mut each: impl FnMut(Cells<'_>) -> Result<(), (usize, String)>,
) -> Result<(StringRecord, FileDigest), DataError> {
    let (path, reading) = (&*source.path, &source.reading);
    let locate = |header: &Header<'_>| {
        let at = wanted.iter().map(|column| header.locate(column));
        at.collect::<Result<Vec<usize>, DataError>>()
    };
    let (mut faults, mut rows) = (Faults::default(), 0_u64);
    let mut row = |(at, width): (&[usize], usize), line: u64, text: Option<&StringRecord>| {
        rows += 1;
        let Some(all) = text else { return faults.not_text(line) };
        if all.len() != width {
            return faults.width(line, all.len(), width);
        }
        let known = |(&at, column): (&usize, &&str)| {
            let cell = &all[at];
            let own = reading.missing_in.get(*column).into_iter().flatten();
            let is_missing = reading.missing.iter().chain(own).any(|word| word == cell.trim());
            if is_missing { "" } else { cell }
        };
        let cells: Vec<&str> = at.iter().zip(wanted).map(known).collect();
        if let Err((place, rule)) = each(Cells { line, wanted: &cells, all }) {
            faults.bad(line, wanted.get(place).copied(), rule, None);
        }
    };
    let (header, digest) = source.opened(|content| match content {
        Content::Text(input) => {
            let begin =
                |header: &Header<'_>, names: &StringRecord| Ok((names.clone(), locate(header)?));
            let ((header, _), _) =
                scan(input, path, reading, (wanted, false), begin, |(names, at), line, text| {
                    row((at, names.len()), line, text);
                })?;
            Ok(header)
        }
        Content::Parquet(file) => {
            let file = Parquet::open(file, path, reading, false)?;
            let at = locate(&file.header(wanted))?;
            let names = file.names();
            file.texts(|line, text| row((&at, names.len()), line, text))?;
            Ok(names)
        }
    })?;
    faults.into_error(path).map_or(Ok(()), Err)?;
    if rows == 0 {
        return Err(DataError::NoRows { path: path.to_owned() });
    }
    Ok((header, digest))
}
