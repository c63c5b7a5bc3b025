//! The organisation's data file: CSV, plain or gzip, read cell by cell against a schema.
//!
//! Errors name file, line, column and rule. They hold no cell's value unless the operator asks
//! for it, since messages end up in logs and tickets.

mod columns;
mod digest;
mod error;
mod header;
mod layout;
mod scan;

use std::collections::HashMap;
use std::fmt;
use std::io::Read;
use std::path::Path;

use csv::StringRecord;
use mpc_ml::data::{Schema, Table, TableBuilder};

pub use columns::{Cells, read_columns};
pub use digest::FileDigest;
pub use error::{BadPlace, DataError};
use header::Header;
use scan::{Faults, opened, scan};

/// What to read from a data file.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// A column that names rows and is no feature.
    pub id_column: Option<String>,
    /// Whether rows have a target; without it, for predictions, its column is not looked at.
    pub with_target: bool,
    /// Whether errors may show the values of bad cells.
    pub show_values: bool,
}

/// A data file, read.
#[derive(Debug)]
pub struct DataFile {
    /// The rows.
    pub table: Table,
    /// Columns of the file that the study does not use.
    pub unused_columns: Vec<String>,
    /// The id of each row, where an id column was asked for. Private.
    pub ids: Option<Ids>,
    /// The digest of the bytes of the file, as they were read. Private.
    pub digest: FileDigest,
}

/// The ids of rows: **private data**. Formatting them shows how many they are.
pub struct Ids(pub Vec<String>);

impl fmt::Debug for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ids([{} values, redacted])", self.0.len())
    }
}

/// Reads a data file by `schema`.
///
/// # Errors
/// When the file cannot be read, a column is missing, or a cell breaks a rule.
pub fn read(path: &Path, schema: &Schema, options: &ReadOptions) -> Result<DataFile, DataError> {
    let (read, digest) = opened(path, |input| read_csv(input, path, schema, options))?;
    Ok(DataFile { digest, ..read })
}

/// Reads some rows of a data file by `schema`: `places` says for each of them, by its number in the file from
/// 0, where it goes. The cells of all others may be as they are.
///
/// # Errors
/// As [`read`], for the chosen rows; and for all rows when one is no row at all.
pub fn read_records(
    path: &Path,
    schema: &Schema,
    options: &ReadOptions,
    places: &HashMap<u32, usize>,
) -> Result<DataFile, DataError> {
    let chosen = Some(places);
    let (read, digest) = opened(path, |input| read_chosen(input, path, schema, options, chosen))?;
    Ok(DataFile { digest, ..read })
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
    read_chosen(input, path, schema, options, None)
}

fn read_chosen(
    input: impl Read,
    path: &Path,
    schema: &Schema,
    options: &ReadOptions,
    chosen: Option<&HashMap<u32, usize>>,
) -> Result<DataFile, DataError> {
    let mut wanted: Vec<&str> = schema.features().iter().map(|each| each.name.as_str()).collect();
    wanted.extend(schema.offset().map(|offset| offset.column.as_str()));
    if options.with_target {
        // Rows that are predicted have neither.
        wanted.extend(schema.weights().map(|weights| weights.column.as_str()));
        wanted.extend(schema.groups());
        wanted.push(schema.target().column());
    }
    let id = options.id_column.as_deref();
    // What tells rows apart may well group them.
    let taken = |id: &&str| {
        wanted.contains(id) && schema.groups() != Some(*id) || *id == schema.target().column()
    };
    if let Some(column) = id.filter(taken) {
        return Err(DataError::IdIsUsed { column: column.to_owned() });
    }
    let begin = |header: &Header<'_>, _: &StringRecord| {
        let at = wanted
            .iter()
            .map(|column| header.locate(column))
            .collect::<Result<Vec<usize>, DataError>>()?;
        let id_at = id.map(|id| header.locate(id)).transpose()?;
        let unused_columns = header.without(|place| at.contains(&place) || id_at == Some(place));
        let ids = id_at.map(|_| Ids(Vec::new()));
        Ok((Rows::new(schema, options, header.width()), ids, at, id_at, unused_columns))
    };
    let (mut number, mut order) = (0_u32, Vec::new());
    let (rows, ids, _, _, unused_columns) = scan(
        input,
        path,
        (&wanted, options.show_values),
        begin,
        |(rows, ids, at, id_at, _), line, text| {
            let own = number;
            number = number.saturating_add(1);
            let Some(text) = text else { return rows.faults.not_text(line) };
            if let Some(places) = chosen {
                let Some(&place) = places.get(&own) else { return };
                order.push(place);
            }
            rows.push(line, text, at);
            if let (Some(ids), Some(id_at)) = (ids, *id_at) {
                ids.0.push(text.get(id_at).unwrap_or_default().trim().to_owned());
            }
        },
    )?;
    let mut table = rows.finish(path)?;
    let mut ids = ids;
    if let Some(places) = chosen {
        if order.len() != places.len() {
            return Err(DataError::Changed { path: path.to_owned() });
        }
        table = table.placed(&order);
        if let Some(Ids(ids)) = &mut ids {
            *ids = placed(&order, std::mem::take(ids));
        }
    }
    Ok(DataFile { table, unused_columns, ids, digest: FileDigest::default() })
}

/// The items in the places that they go to.
fn placed(order: &[usize], items: Vec<String>) -> Vec<String> {
    let mut items: Vec<_> = order.iter().zip(items).collect();
    items.sort_unstable_by_key(|(place, _)| **place);
    items.into_iter().map(|(_, item)| item).collect()
}

/// The rows read so far, or what is wrong with them.
struct Rows {
    builder: TableBuilder,
    width: usize,
    rows: u64,
    show_values: bool,
    faults: Faults,
}

impl Rows {
    fn new(schema: &Schema, options: &ReadOptions, width: usize) -> Self {
        let builder = if options.with_target {
            Table::builder(schema.clone())
        } else {
            Table::builder_without_target(schema.clone())
        };
        let show_values = options.show_values;
        Self { builder, width, rows: 0, show_values, faults: Faults::default() }
    }

    fn push(&mut self, line: u64, record: &StringRecord, at: &[usize]) {
        self.rows += 1;
        if record.len() != self.width {
            return self.faults.width(line, record.len(), self.width);
        }
        let cells: Vec<&str> = at.iter().map(|&at| &record[at]).collect();
        if let Err(bad) = self.builder.push_row(&cells) {
            for cell in bad {
                let value = self.show_values.then(|| cells[cell.position].to_owned());
                self.faults.bad(line, Some(cell.column), cell.rule.to_string(), value);
            }
        }
    }

    fn finish(self, path: &Path) -> Result<Table, DataError> {
        self.faults.into_error(path).map_or(Ok(()), Err)?;
        if self.rows == 0 {
            return Err(DataError::NoRows { path: path.to_owned() });
        }
        Ok(self.builder.finish())
    }
}

#[cfg(test)]
mod tests;
