//! The organisation's data: CSV, plain or gzip, Parquet, or what a command prints, read cell by cell against a
//! schema. The table is the same whichever way it came.
//!
//! Errors name file, line, column and rule. They hold no cell's value unless the operator asks
//! for it, since messages end up in logs and tickets.

mod columns;
mod dates;
pub(crate) mod derive;
mod digest;
mod error;
mod faults;
mod header;
mod layout;
mod parquet;
mod profile;
mod propose;
mod reading;
mod rows;
mod scan;
mod source;
mod summary;
mod translate;

use std::collections::HashMap;
use std::fmt;
use std::io::Read;
use std::path::Path;

use csv::StringRecord;
use mpc_ml::data::{Cell, Schema, Table};

pub use columns::{Cells, read_columns};
pub(crate) use dates::Dates;
use derive::Derive;
pub use digest::FileDigest;
pub use error::{BadPlace, DataError};
use header::Header;
pub use profile::{Profile, Shape, profile};
pub use propose::Proposal;
pub(crate) use reading::RawData;
pub use reading::Reading;
use rows::Rows;
pub use rows::{Left, MissingWords};
use scan::scan;
use source::Content;
pub use source::Source;
pub use summary::{ColumnSummary, Summary};
pub use translate::OTHER;

/// What to read from a data file.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// A column that names rows and is no feature.
    pub id_column: Option<String>,
    /// Whether rows have a target; without it, for predictions, its column is not looked at.
    pub with_target: bool,
    /// Whether errors may show the values of bad cells.
    pub show_values: bool,
    /// Whether rows with bad cells are left out, and numbers outside of a range are taken, each with a
    /// [remark](DataFile::left): for predictions.
    pub lenient: bool,
}

/// A data file, read.
#[derive(Debug)]
pub struct DataFile {
    /// The rows.
    pub table: Table,
    /// Columns of the file that the study does not use.
    pub unused_columns: Vec<String>,
    /// Lines that the settings call no rows (`not_rows`).
    pub passed_over: u64,
    /// The id of each row, where an id column was asked for; also of those that were left out. Private.
    pub ids: Option<Ids>,
    /// The digest of the bytes of the file, as they were read. Private.
    pub digest: FileDigest,
    /// The words that stood for missing cells, by column, with their counts. Private.
    pub missing_words: MissingWords,
    /// The rows that were left out or have a remark. Empty unless they were read leniently.
    pub left: Left,
}

/// How many lines of the data file are no rows, where there are any.
#[must_use]
pub fn passed_over(lines: u64) -> Option<String> {
    let lines = match lines {
        0 => return None,
        1 => "1 line".to_owned(),
        lines => format!("{lines} lines"),
    };
    Some(format!("{lines} passed over as no rows (data.not_rows in party.toml)"))
}

/// The ids of rows: **private data**. Formatting them shows how many they are.
pub struct Ids(pub Vec<String>);

impl fmt::Debug for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ids([{} values, redacted])", self.0.len())
    }
}

/// Reads a source by `schema`. Where a file is refused for how it is written, the error has the settings by which
/// it can be read.
///
/// # Errors
/// When it cannot be read, a column is missing, or a cell breaks a rule.
pub fn read(
    source: &Source,
    schema: &Schema,
    options: &ReadOptions,
) -> Result<DataFile, DataError> {
    read_of(source, schema, options, None)
        .map_err(|error| propose::with_proposal(error, source, schema, options))
}

/// Reads some rows of a source by `schema`: `places` says for each of them, by its number in the file from
/// 0, where it goes. The cells of all others may be as they are.
///
/// # Errors
/// As [`read`], for the chosen rows; and for all rows when one is no row at all.
pub fn read_records(
    source: &Source,
    schema: &Schema,
    options: &ReadOptions,
    places: &HashMap<u32, usize>,
) -> Result<DataFile, DataError> {
    read_of(source, schema, options, Some(places))
}

/// Reads CSV by `schema`; `path` only stands in messages. The digest is that of nothing.
///
/// # Errors
/// As [`read`].
pub fn read_csv(
    input: impl Read,
    path: &Path,
    schema: &Schema,
    options: &ReadOptions,
) -> Result<DataFile, DataError> {
    let mut input = std::io::BufReader::new(input);
    let what = What { source: &Source::file(path), schema, options, chosen: None };
    what.read(Content::Text(&mut input))
}

fn read_of(
    source: &Source,
    schema: &Schema,
    options: &ReadOptions,
    chosen: Option<&HashMap<u32, usize>>,
) -> Result<DataFile, DataError> {
    let what = What { source, schema, options, chosen };
    let (read, digest) = source.opened(|content| what.read(content))?;
    Ok(DataFile { digest, ..read })
}

/// What is to be read, and how.
struct What<'a> {
    source: &'a Source,
    schema: &'a Schema,
    options: &'a ReadOptions,
    chosen: Option<&'a HashMap<u32, usize>>,
}

/// Where in a file that is which was found.
struct Found {
    at: Vec<usize>,
    id_at: Option<usize>,
    unused_columns: Vec<String>,
    width: usize,
    /// Which of a row's columns are computed.
    computed: Vec<bool>,
}

impl What<'_> {
    fn read(&self, content: Content<'_>) -> Result<DataFile, DataError> {
        let Self { source, schema, options, chosen } = *self;
        let path = &*source.path;
        let columns = translate::columns(schema, options.with_target);
        let derive = Derive::new(&columns);
        let wanted: Vec<&str> = derive.names();
        let id = options.id_column.as_deref();
        // What tells rows apart may well group them.
        let taken = |id: &&str| {
            wanted.contains(id) && schema.groups() != Some(*id) || *id == schema.target().column()
        };
        if let Some(column) = id.filter(taken) {
            return Err(DataError::IdIsUsed { column: column.to_owned() });
        }
        let mut rows = Rows::new(schema, options, &source.reading, derive.clone());
        let (mut ids, mut order) = (id.map(|_| Ids(Vec::new())), Vec::new());
        let mut passed_over = 0;
        let unused_columns = match content {
            Content::Parquet(file) => {
                let file =
                    parquet::Parquet::open(file, path, &source.reading, options.show_values)?;
                let found = found(&file.header(&wanted), &derive, id)?;
                rows.of_parquet();
                let Found { at, id_at, unused_columns, computed, .. } = found;
                rows.compute(&computed);
                file.rows(&mut rows, &at, id_at, chosen, (&mut ids, &mut order))?;
                unused_columns
            }
            Content::Text(input) => {
                let mut number = 0_u32;
                let begin = |header: &Header<'_>, _: &StringRecord| found(header, &derive, id);
                let shown = (&wanted[..], options.show_values);
                let (found, passed) =
                    scan(input, path, &source.reading, shown, begin, |found, line, text| {
                        let own = number;
                        number = number.saturating_add(1);
                        let id = |id_at: usize| {
                            text.and_then(|text| text.get(id_at)).unwrap_or_default()
                        };
                        let id = found.id_at.map(id).map(|id| id.trim().to_owned());
                        let Some(text) = text else {
                            ids.iter_mut().for_each(|ids| ids.0.extend(id.clone()));
                            return rows.not_text(line);
                        };
                        if let Some(places) = chosen {
                            let Some(&place) = places.get(&own) else { return };
                            order.push(place);
                        }
                        ids.iter_mut().for_each(|ids| ids.0.extend(id.clone()));
                        if text.len() != found.width {
                            return rows.width(line, text.len(), found.width);
                        }
                        rows.compute(&found.computed);
                        let cells = found.at.iter().map(|&at| Some(Cell::text(&text[at])));
                        rows.row(line, &cells.collect::<Vec<_>>());
                    })?;
                passed_over = passed;
                found.unused_columns
            }
        };
        let (mut table, missing_words, left) = rows.finish(path)?;
        if let Some(places) = chosen {
            if order.len() != places.len() {
                return Err(DataError::Changed { path: path.to_owned() });
            }
            table = table.placed(&order);
            if let Some(Ids(ids)) = &mut ids {
                *ids = placed(&order, std::mem::take(ids));
            }
        }
        let digest = FileDigest::default();
        Ok(DataFile { table, unused_columns, passed_over, ids, digest, missing_words, left })
    }
}

fn found(header: &Header<'_>, derive: &Derive, id: Option<&str>) -> Result<Found, DataError> {
    let (at, computed) = derive.locate(header)?;
    let id_at = id.map(|id| header.locate(id)).transpose()?;
    let unused_columns = header.without(|place| at.contains(&place) || id_at == Some(place));
    Ok(Found { at, id_at, unused_columns, width: header.width(), computed })
}

/// The items in the places that they go to.
fn placed(order: &[usize], items: Vec<String>) -> Vec<String> {
    let mut items: Vec<_> = order.iter().zip(items).collect();
    items.sort_unstable_by_key(|(place, _)| **place);
    items.into_iter().map(|(_, item)| item).collect()
}

#[cfg(test)]
mod tests;
