//! Parquet files, some thousand rows at a time.

mod chunk;

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use csv::StringRecord;
use mpc_ml::data::Cell;
use parquet::column::reader::ColumnReader;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::header::{Header, renamed};
use super::{DataError, Ids, Reading, Rows};
use chunk::{Chunk, Place};

/// Rows that are in memory together, beside what is made of them.
const BATCH: usize = 8192;

/// Words of a column in a batch that are remembered together, at most.
const WORDS: usize = 256;

/// Rows for which there is memory from the beginning, whatever the file says.
const MOST_RESERVED: usize = 1 << 24;

/// A file, opened.
pub(super) struct Parquet<'a> {
    path: &'a Path,
    file: SerializedFileReader<File>,
    names: Vec<String>,
    show_values: bool,
}

/// What is read of a file: the places of its columns, and for each whether its cells are wanted as text.
type Wanted = Vec<(usize, bool)>;

impl<'a> Parquet<'a> {
    pub(super) fn open(
        file: &File,
        path: &'a Path,
        reading: &Reading,
        show_values: bool,
    ) -> Result<Self, DataError> {
        let failed = |source| DataError::Read { path: path.to_owned(), source };
        let file = file.try_clone().map_err(failed)?;
        let file = SerializedFileReader::new(file).map_err(|error| fault(path, &error))?;
        let schema = file.metadata().file_metadata().schema_descr();
        // What lies within a structure goes by its whole path, and no study names that by mistake.
        let names: Vec<String> =
            schema.columns().iter().map(|column| column.path().string()).collect();
        let names = renamed(names.iter().map(String::as_str), reading);
        Ok(Self { path, file, names, show_values })
    }

    /// The names of the columns, in which those in `wanted` are looked for.
    pub(super) fn header(&self, wanted: &[&str]) -> Header<'a> {
        // A schema is no row: it may be shown.
        Header::of_names(
            self.path,
            self.names.clone(),
            wanted,
            self.show_values || !self.names.is_empty(),
        )
    }

    /// Reads all rows; `each` gets the number of a batch's first row, from 0, how many there are, and the columns.
    fn batches(
        &self,
        wanted: &Wanted,
        mut each: impl FnMut(u64, usize, &[Chunk]) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let failed = |error: ParquetError| fault(self.path, &error);
        let schema = self.file.metadata().file_metadata().schema_descr();
        let chunks = wanted.iter().map(|(at, _)| Chunk::new(&schema.column(*at)));
        let chunks: Result<Vec<Chunk>, String> = chunks.collect();
        let wrong = |what| DataError::Parquet { path: self.path.to_owned(), what };
        let mut chunks = chunks.map_err(wrong)?;
        let mut first = 0;
        for group in 0..self.file.num_row_groups() {
            let group = self.file.get_row_group(group).map_err(failed)?;
            let mut left = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
            let readers = wanted.iter().map(|(at, _)| group.get_column_reader(*at));
            let mut readers: Vec<ColumnReader> =
                readers.collect::<Result<_, _>>().map_err(failed)?;
            while left > 0 {
                let count = left.min(BATCH);
                for (chunk, reader) in chunks.iter_mut().zip(&mut readers) {
                    let read = chunk.read(reader, count).map_err(failed)?;
                    if read != count {
                        let what = "a column has fewer cells than the file has rows".to_owned();
                        return Err(wrong(what));
                    }
                }
                each(first, count, &chunks)?;
                left -= count;
                first += count as u64;
            }
        }
        Ok(())
    }

    /// Reads the rows of a study: column by column where that is all, and row by row where rows are chosen or may be
    /// left out. `at` has the places of the columns, `id` that of the ids.
    pub(super) fn rows(
        &self,
        rows: &mut Rows<'_>,
        at: &[usize],
        id: Option<usize>,
        chosen: Option<&HashMap<u32, usize>>,
        (ids, order): (&mut Option<Ids>, &mut Vec<usize>),
    ) -> Result<(), DataError> {
        let mut wanted: Wanted =
            at.iter().zip(rows.as_text()).map(|(&at, as_text)| (at, as_text)).collect();
        wanted.extend(id.map(|at| (at, true)));
        let by_row = chosen.is_some() || rows.lenient() || rows.computes();
        let mut scratch = Vec::new();
        if !by_row {
            let count = self.file.metadata().file_metadata().num_rows();
            rows.reserve(usize::try_from(count).unwrap_or(0).min(MOST_RESERVED));
        }
        self.batches(&wanted, |first, count, chunks| {
            for row in 0..count {
                let place = chosen.map(|places| {
                    let number = u32::try_from(first + row as u64).ok();
                    number.and_then(|number| places.get(&number))
                });
                if let Some(place) = place {
                    let Some(&place) = place else { continue };
                    order.push(place);
                }
                if let Some(Ids(ids)) = ids {
                    let cell = chunks[at.len()].cell(row, true);
                    ids.push(cell.map(|cell| cell.words().into_owned()).unwrap_or_default());
                }
                if by_row {
                    let cells = chunks.iter().zip(&wanted).take(at.len());
                    let cells: Vec<Option<Cell<'_>>> =
                        cells.map(|(chunk, (_, as_text))| chunk.cell(row, *as_text)).collect();
                    rows.row(first + row as u64 + 1, &cells);
                }
            }
            if !by_row {
                for (position, (chunk, (_, as_text))) in
                    chunks.iter().zip(&wanted).take(at.len()).enumerate()
                {
                    if !as_text
                        && let Some(numbers) = chunk.numbers(&mut scratch)
                        && rows.numbers(position, numbers)
                    {
                        continue;
                    }
                    words(rows, position, chunk, (first, count, *as_text));
                }
                rows.end(count);
            }
            Ok(())
        })
    }

    /// Reads all columns as texts, row by row.
    pub(super) fn texts(
        &self,
        mut each: impl FnMut(u64, Option<&StringRecord>),
    ) -> Result<(), DataError> {
        let schema = self.file.metadata().file_metadata().schema_descr();
        // A column that nobody reads may be of any kind.
        let readable: Vec<bool> =
            schema.columns().iter().map(|column| chunk::Meaning::of(column).is_ok()).collect();
        let wanted: Wanted =
            (0..self.names.len()).filter(|at| readable[*at]).map(|at| (at, true)).collect();
        let mut record = StringRecord::new();
        self.batches(&wanted, |first, count, chunks| {
            for row in 0..count {
                record.clear();
                let (mut read, mut text) = (chunks.iter(), true);
                for readable in &readable {
                    let cell = match readable.then(|| read.next()).flatten() {
                        Some(chunk) => chunk.cell(row, true),
                        None => Some(Cell::text("")),
                    };
                    text &= cell.is_some();
                    record.push_field(
                        &cell.map(|cell| cell.words().into_owned()).unwrap_or_default(),
                    );
                }
                each(first + row as u64 + 1, text.then_some(&record));
            }
            Ok(())
        })
    }

    /// The header as a record.
    pub(super) fn names(&self) -> StringRecord {
        StringRecord::from(self.names.clone())
    }
}

/// The cells of a batch in one column, one by one. A word of a dictionary stands in many rows, and is looked up once.
fn words(
    rows: &mut Rows<'_>,
    position: usize,
    chunk: &Chunk,
    (first, count, as_text): (u64, usize, bool),
) {
    let read = |rows: &mut Rows<'_>, row: usize| {
        rows.cell(first + row as u64 + 1, position, chunk.cell(row, as_text))
    };
    let Some(places) = chunk.places() else {
        for row in 0..count {
            let _ = read(rows, row);
        }
        return;
    };
    let mut known: [Option<(Place, usize)>; WORDS] = [None; WORDS];
    let mut again = Vec::with_capacity(count);
    for (row, place) in places.enumerate() {
        let address = place.map_or(0, |(address, _)| address);
        let slot = &mut known[(address ^ (address >> 8)) % WORDS];
        match *slot {
            Some((before, at)) if before == place => again.push(at),
            _ => {
                rows.again(position, &mut again);
                if let Some(at) = read(rows, row) {
                    *slot = Some((place, at));
                }
            }
        }
    }
    rows.again(position, &mut again);
}

fn fault(path: &Path, error: &ParquetError) -> DataError {
    DataError::Parquet { path: path.to_owned(), what: error.to_string() }
}
