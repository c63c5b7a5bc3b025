//! A data file row by row, whatever is read from it: what it is by its content, its header, its layout,
//! what is wrong with its rows.

use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::mem;
use std::path::Path;

use csv::{ByteRecord, StringRecord};
use flate2::read::MultiGzDecoder;

use super::digest::Hashing;
use super::header::Header;
use super::layout::{Fault, Layout, Watched};
use super::{BadPlace, DataError, FileDigest};
use crate::input;

/// How many bad cells are listed; the rest is counted.
const LISTED: usize = 20;

/// Opens a data file and reads the CSV in it, packed or not; gives the digest of its bytes too.
pub(super) fn opened<T>(
    path: &Path,
    read: impl FnOnce(&mut dyn Read) -> Result<T, DataError>,
) -> Result<(T, FileDigest), DataError> {
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
        read(&mut MultiGzDecoder::new(BufReader::new(&mut hashing)))
    } else {
        read(&mut hashing)
    }?;
    let digest = hashing.finish().map_err(failed)?;
    Ok((read, digest))
}

/// Reads CSV. `begin` gets the header, in which the columns `wanted` are looked for, and gives what `row`
/// gets with each row: its line, and its cells where they are text. `path` only stands in messages.
pub(super) fn scan<S>(
    input: impl Read,
    path: &Path,
    (wanted, show_values): (&[&str], bool),
    begin: impl FnOnce(&Header<'_>, &StringRecord) -> Result<S, DataError>,
    mut row: impl FnMut(&mut S, u64, Option<&StringRecord>),
) -> Result<S, DataError> {
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
    let mut state = begin(&Header::new(path, &header, wanted, show_values), &header)?;
    let mut record = ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(|error| read_error(path, error))? {
        let is_blank = record.len() == 1 && record[0].trim_ascii().is_empty();
        if is_blank {
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
    Ok(state)
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

/// What is wrong with the rows of a file.
#[derive(Default)]
pub(super) struct Faults {
    listed: Vec<BadPlace>,
    total: u64,
}

impl Faults {
    pub(super) fn bad(
        &mut self,
        line: u64,
        column: Option<String>,
        rule: String,
        value: Option<String>,
    ) {
        self.total += 1;
        if self.listed.len() < LISTED {
            self.listed.push(BadPlace { line, column, rule, value });
        }
    }

    /// A row that is no text.
    pub(super) fn not_text(&mut self, line: u64) {
        let rule = "the row is not UTF-8 text; save the file as UTF-8".to_owned();
        self.bad(line, None, rule, None);
    }

    /// A row of another length than the header.
    pub(super) fn width(&mut self, line: u64, cells: usize, header: usize) {
        let rule = format!(
            "the row has {cells} cells, and the header has {header}; look for a missing or extra comma or quote"
        );
        self.bad(line, None, rule, None);
    }

    /// The error that lists them, if there are any.
    pub(super) fn into_error(self, path: &Path) -> Option<DataError> {
        let Self { listed, total } = self;
        (total > 0).then(|| DataError::BadPlaces { path: path.to_owned(), listed, total })
    }
}
