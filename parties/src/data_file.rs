//! The organisation's data file: CSV, plain or gzip, read cell by cell against a schema.
//!
//! Errors name file, line, column and rule. They hold no cell's value unless the operator asks
//! for it, since messages end up in logs and tickets.

mod digest;
mod error;
mod header;
mod layout;

use std::fmt;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::mem;
use std::path::Path;

use csv::{ByteRecord, StringRecord};
use flate2::read::MultiGzDecoder;
use mpc_ml::data::{Schema, Table, TableBuilder};

pub use digest::FileDigest;
use digest::Hashing;
pub use error::{BadPlace, DataError};
use header::Header;
use layout::{Fault, Layout, Watched};

use crate::input;

/// How many bad cells are listed; the rest is counted.
const LISTED: usize = 20;

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
    let failed = |source| DataError::Read { path: path.to_owned(), source };
    let mut file = input::open(path).map_err(failed)?;
    let mut magic = Vec::new();
    (&mut file).take(4).read_to_end(&mut magic).map_err(failed)?;
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    let extension = path.extension().and_then(|extension| extension.to_str());
    let unsupported = |kind| Err(DataError::Unsupported { path: path.to_owned(), kind });
    if magic == b"PAR1" || extension == Some("parquet") {
        return unsupported("Parquet");
    }
    if magic.starts_with(&[0xff, 0xfe]) || magic.starts_with(&[0xfe, 0xff]) {
        return unsupported("UTF-16 text");
    }
    if magic.starts_with(b"PK\x03\x04") {
        return unsupported("a ZIP archive or a spreadsheet");
    }
    let mut hashing = Hashing::new(file);
    // By content and not by name: a .csv may have been packed, a .gz unpacked.
    let read = if magic.starts_with(&[0x1f, 0x8b]) {
        read_csv(MultiGzDecoder::new(BufReader::new(&mut hashing)), path, schema, options)
    } else {
        read_csv(&mut hashing, path, schema, options)
    }?;
    let digest = hashing.finish().map_err(failed)?;
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
    // Flexible, so that rows of another length are reported with the rest. Lines end at every
    // line feed, and the file with one more: then the place of a row can be told from where it
    // ends. What is left of a Windows line end is trimmed off the last cell.
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .terminator(csv::Terminator::Any(b'\n'))
        .from_reader(Watched::new(input).chain(&b"\n"[..]));
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
    let mut wanted: Vec<&str> = schema.features().iter().map(|each| each.name.as_str()).collect();
    wanted.extend(schema.offset().map(|offset| offset.column.as_str()));
    if options.with_target {
        // Rows that are predicted have neither.
        wanted.extend(schema.weights().map(|weights| weights.column.as_str()));
        wanted.extend(schema.groups());
        wanted.push(schema.target().column());
    }
    let header = Header::new(path, &header, &wanted, options.show_values);
    let at = wanted
        .iter()
        .map(|column| header.locate(column))
        .collect::<Result<Vec<usize>, DataError>>()?;
    let id = options.id_column.as_deref();
    // What tells rows apart may well group them.
    let taken = |id: &&str| {
        wanted.contains(id) && schema.groups() != Some(*id) || *id == schema.target().column()
    };
    if let Some(column) = id.filter(taken) {
        return Err(DataError::IdIsUsed { column: column.to_owned() });
    }
    let id_at = id.map(|id| header.locate(id)).transpose()?;
    let unused_columns = header.without(|place| at.contains(&place) || id_at == Some(place));

    let mut rows = Rows::new(schema, options, header.width());
    let mut ids = id_at.map(|_| Ids(Vec::new()));
    let mut record = ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(|error| read_error(path, error))? {
        let is_blank = record.len() == 1 && record[0].trim_ascii().is_empty();
        if is_blank {
            continue;
        }
        let inside = record.as_slice().iter().filter(|&&byte| byte == b'\n').count();
        let line = reader.position().line().saturating_sub(1 + inside as u64);
        let text = match StringRecord::from_byte_record(mem::take(&mut record)) {
            Ok(text) => text,
            Err(error) => {
                record = error.into_byte_record();
                let rule = "the row is not UTF-8 text; save the file as UTF-8".to_owned();
                rows.bad(line, None, rule, None);
                continue;
            }
        };
        rows.push(line, &text, &at);
        if let (Some(ids), Some(id_at)) = (&mut ids, id_at) {
            ids.0.push(text.get(id_at).unwrap_or_default().trim().to_owned());
        }
        // The memory of one row serves all.
        record = text.into_byte_record();
    }
    // First, since whatever follows a quote in the wrong place is read wrongly.
    layout_error(path, reader.get_ref().get_ref().0.layout()).map_or(Ok(()), Err)?;
    let table = rows.finish(path)?;
    Ok(DataFile { table, unused_columns, ids, digest: FileDigest::default() })
}

fn is_io(error: &csv::Error) -> bool {
    matches!(error.kind(), csv::ErrorKind::Io(_))
}

fn read_error(path: &Path, error: csv::Error) -> DataError {
    DataError::Read { path: path.to_owned(), source: io::Error::from(error) }
}

/// Why the layout of a file does not hold.
fn layout_error(path: &Path, layout: &Layout) -> Option<DataError> {
    let (faults, total) = layout.faults();
    let place = |fault: &Fault| BadPlace {
        line: fault.line,
        column: None,
        rule: fault.rule.clone(),
        value: None,
    };
    (total > 0).then(|| DataError::BadPlaces {
        path: path.to_owned(),
        listed: faults.iter().map(place).collect(),
        total,
    })
}

/// The rows read so far, or what is wrong with them.
struct Rows {
    builder: TableBuilder,
    width: usize,
    rows: u64,
    show_values: bool,
    listed: Vec<BadPlace>,
    total: u64,
}

impl Rows {
    fn new(schema: &Schema, options: &ReadOptions, width: usize) -> Self {
        let builder = if options.with_target {
            Table::builder(schema.clone())
        } else {
            Table::builder_without_target(schema.clone())
        };
        let show_values = options.show_values;
        Self { builder, width, rows: 0, show_values, listed: Vec::new(), total: 0 }
    }

    fn push(&mut self, line: u64, record: &StringRecord, at: &[usize]) {
        self.rows += 1;
        if record.len() != self.width {
            let rule = format!(
                "the row has {} cells, and the header has {}; look for a missing or extra comma or quote",
                record.len(),
                self.width
            );
            return self.bad(line, None, rule, None);
        }
        let cells: Vec<&str> = at.iter().map(|&at| &record[at]).collect();
        if let Err(bad) = self.builder.push_row(&cells) {
            for cell in bad {
                let value = self.show_values.then(|| cells[cell.position].to_owned());
                self.bad(line, Some(cell.column), cell.rule.to_string(), value);
            }
        }
    }

    fn bad(&mut self, line: u64, column: Option<String>, rule: String, value: Option<String>) {
        self.total += 1;
        if self.listed.len() < LISTED {
            self.listed.push(BadPlace { line, column, rule, value });
        }
    }

    fn finish(self, path: &Path) -> Result<Table, DataError> {
        let path = path.to_owned();
        if self.total > 0 {
            return Err(DataError::BadPlaces { path, listed: self.listed, total: self.total });
        }
        if self.rows == 0 {
            return Err(DataError::NoRows { path });
        }
        Ok(self.builder.finish())
    }
}

#[cfg(test)]
mod tests;
