//! CSV row by row, whatever is read from it: its header, its layout, its rows.

use std::io::{self, Read};
use std::mem;
use std::path::Path;

use csv::{ByteRecord, StringRecord};

use super::faults::layout_error;
use super::header::Header;
use super::layout::Watched;
use super::reading::no_row;
use super::{DataError, Reading};

/// Reads CSV. `begin` gets the header, in which the columns `wanted` are looked for, and gives what `row`
/// gets with each row: its line, and its cells where they are text. `path` only stands in messages. Gives how many
/// lines were passed over because the settings say that they are no rows.
pub(super) fn scan<S>(
    input: impl Read,
    path: &Path,
    reading: &Reading,
    (wanted, show_values): (&[&str], bool),
    begin: impl FnOnce(&Header<'_>, &StringRecord) -> Result<S, DataError>,
    mut row: impl FnMut(&mut S, u64, Option<&StringRecord>),
) -> Result<(S, u64), DataError> {
    // Flexible, so that rows of another length are reported with the rest. Lines end at every
    // line feed, and the file with one more: then the place of a row can be told from where it
    // ends. What is left of a Windows line end is trimmed off the last cell.
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .delimiter(reading.separator)
        .terminator(csv::Terminator::Any(b'\n'))
        .from_reader(Watched::new(input, reading.separator).chain(&b"\n"[..]));
    let header = match reader.headers() {
        Ok(header) if !header.is_empty() => header.clone(),
        Err(error) if is_io(&error) => return Err(read_error(path, error)),
        _ => return Err(DataError::NoHeader { path: path.to_owned() }),
    };
    // Before anything is said about names: the header may hold rows by mistake.
    let layout = reader.get_ref().get_ref().0.layout();
    if layout.has_lone_returns_in_header() {
        return Err(DataError::LineEnds { path: path.to_owned() });
    }
    if layout.has_faulty_header() {
        layout_error(path, layout).map_or(Ok(()), Err)?;
    }
    let mut state = begin(&Header::new(path, &header, reading, wanted, show_values), &header)?;
    let (mut record, mut passed_over) = (ByteRecord::new(), 0);
    while reader.read_byte_record(&mut record).map_err(|error| read_error(path, error))? {
        let is_blank = record.len() == 1 && record[0].trim_ascii().is_empty();
        if is_blank {
            continue;
        }
        if is_no_row(reading, &record) {
            passed_over += 1;
            continue;
        }
        let inside = record.as_slice().iter().filter(|&&byte| byte == b'\n').count();
        let line = reader.position().line().saturating_sub(1 + inside as u64);
        // The memory of one row serves all.
        record = match StringRecord::from_byte_record(mem::take(&mut record)) {
            Ok(text) => {
                row(&mut state, line, Some(&text));
                text.into_byte_record()
            }
            Err(error) => {
                row(&mut state, line, None);
                error.into_byte_record()
            }
        };
    }
    // First, since whatever follows a quote in the wrong place is read wrongly.
    layout_error(path, reader.get_ref().get_ref().0.layout()).map_or(Ok(()), Err)?;
    Ok((state, passed_over))
}

/// Whether the settings say that a line that begins so is no row: a line of totals, of dashes, of a count.
fn is_no_row(reading: &Reading, record: &ByteRecord) -> bool {
    let first = record.get(0).and_then(|cell| std::str::from_utf8(cell).ok());
    !reading.not_rows.is_empty()
        && first.is_some_and(|cell| reading.not_rows.contains(&no_row(cell)))
}

fn is_io(error: &csv::Error) -> bool {
    matches!(error.kind(), csv::ErrorKind::Io(_))
}

fn read_error(path: &Path, error: csv::Error) -> DataError {
    DataError::Read { path: path.to_owned(), source: io::Error::from(error) }
}
