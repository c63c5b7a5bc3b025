//! The ids of a party's own records.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::path::Path;

use csv::{ByteRecord, StringRecord};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use super::rules::{OwnEncoder, encoded, form, is_rounded};
use super::{Alignment, Duplicates};
use crate::data_file::{FileDigest, Source, read_columns};
use crate::exit::{Exit, Failure};
use crate::output::{Report, create};

/// Forms of ids that are told apart.
const FORMS: usize = 1000;

/// Forms that are shown.
const SHOWN: usize = 5;

/// Rows with an id that came before, of which the lines are shown.
const LISTED: usize = 10;

/// The ids of a party, encoded, each once: **private data**.
pub struct OwnIds {
    bytes: Zeroizing<Vec<u8>>,
    /// Where each id ends.
    ends: Vec<usize>,
    /// The number of each id's row in the file, from 0.
    rows: Vec<u32>,
    summary: Summary,
    digest: FileDigest,
}

/// What an operator is told of the own ids.
#[derive(Default)]
struct Summary {
    rows: u64,
    without_id: u64,
    twice: u64,
    zeros_after_a_point: u64,
    forms: BTreeMap<String, u64>,
    other_forms: u64,
}

impl std::fmt::Debug for OwnIds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OwnIds([{} values, redacted])", self.ends.len())
    }
}

/// Reads the ids of a source.
///
/// # Errors
/// When the file cannot be read, an id was rounded by a spreadsheet, or one comes twice and that is
/// refused; with lines and without values.
pub fn read_ids(alignment: &Alignment, source: &Source) -> Result<OwnIds, Failure> {
    let columns: Vec<&str> = alignment.encoder.columns().collect();
    let encoder = alignment.encoder.of_file(&source.reading.dates);
    let mut reading = Reading::new(alignment, encoder)?;
    let (_, digest) = read_columns(source, &columns, |cells| {
        if let Some(place) = cells.wanted.iter().position(|cell| is_rounded(cell)) {
            let rule = "the id is a number that a spreadsheet rounded, such as 1.23E+17: export the column as text";
            return Err((place, rule.to_owned()));
        }
        reading.row(cells.line, cells.wanted)
    })?;
    reading.ids.digest = digest;
    reading.finish(&source.path)
}

struct Reading<'a> {
    alignment: &'a Alignment,
    encoder: OwnEncoder<'a>,
    ids: OwnIds,
    /// Hashes of the ids so far, under a key of this run, with the place of each.
    seen: HashMap<u128, u32>,
    key: Zeroizing<[u8; 32]>,
    listed: Vec<u64>,
}

impl<'a> Reading<'a> {
    fn new(alignment: &'a Alignment, encoder: OwnEncoder<'a>) -> Result<Self, Failure> {
        let mut key = Zeroizing::new([0; 32]);
        SystemRandom::new()
            .fill(&mut *key)
            .map_err(|_| Failure::new(Exit::Internal, "the system gives no random bytes"))?;
        let ids = OwnIds {
            bytes: Zeroizing::new(Vec::new()),
            ends: Vec::new(),
            rows: Vec::new(),
            summary: Summary::default(),
            digest: FileDigest::default(),
        };
        Ok(Self { alignment, encoder, ids, seen: HashMap::new(), key, listed: Vec::new() })
    }

    fn row(&mut self, line: u64, cells: &[&str]) -> Result<(), (usize, String)> {
        let row = self.ids.summary.rows;
        let ids = &mut self.ids;
        ids.summary.rows += 1;
        let parts = Zeroizing::new(self.encoder.parts(cells)?);
        let Some(id) = encoded(&parts).map(Zeroizing::new) else {
            ids.summary.without_id += 1;
            return Ok(());
        };
        let row = u32::try_from(row).unwrap_or(u32::MAX);
        ids.summary.zeros_after_a_point += u64::from(cells.iter().any(|cell| is_float(cell)));
        let mut hash = [0; 16];
        let mut hasher = mpc_core::rand::hash("own id", &[&*self.key, &id]);
        hash.copy_from_slice(&hasher[..16]);
        hasher.fill(0);
        let place = ids.ends.len() as u32;
        match self.seen.entry(u128::from_le_bytes(hash)) {
            std::collections::hash_map::Entry::Occupied(first) => {
                ids.summary.twice += 1;
                if self.listed.len() < LISTED {
                    self.listed.push(line);
                }
                if self.alignment.duplicates == Duplicates::Last {
                    ids.rows[*first.get() as usize] = row;
                }
                return Ok(());
            }
            std::collections::hash_map::Entry::Vacant(new) => {
                new.insert(place);
            }
        }
        let form = parts.iter().map(|part| form(part)).collect::<Vec<_>>().join(" | ");
        let forms = &mut ids.summary.forms;
        if forms.len() < FORMS || forms.contains_key(&form) {
            *forms.entry(form).or_default() += 1;
        } else {
            ids.summary.other_forms += 1;
        }
        ids.bytes.extend_from_slice(&id);
        ids.ends.push(ids.bytes.len());
        ids.rows.push(row);
        Ok(())
    }

    fn finish(self, path: &Path) -> Result<OwnIds, Failure> {
        let Self { alignment, ids, listed, .. } = self;
        let refused = |what: String| Failure::new(Exit::LocalInput, what).in_file(path);
        if alignment.duplicates == Duplicates::Refuse && ids.summary.twice > 0 {
            let lines: Vec<String> = listed.iter().map(ToString::to_string).collect();
            let more = if ids.summary.twice > listed.len() as u64 { ", .." } else { "" };
            let what = format!(
                "{} rows have an id that came before, on lines {}{more}",
                ids.summary.twice,
                lines.join(", ")
            );
            return Err(refused(what).advise(
                "keep a row of each id, or agree on duplicates = \"first\" or \"last\" in the alignment",
            ));
        }
        Ok(ids)
    }
}

/// Whether a number has a point and zeros behind it, as ids get that were numbers in between.
fn is_float(cell: &str) -> bool {
    let number = cell.trim().split_once('.');
    number.is_some_and(|(whole, rest)| {
        !whole.is_empty()
            && whole.bytes().all(|byte| byte.is_ascii_digit())
            && !rest.is_empty()
            && rest.bytes().all(|byte| byte == b'0')
    })
}

impl OwnIds {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The ids in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(&0).chain(&self.ends);
        starts.zip(&self.ends).map(|(&start, &end)| &self.bytes[start..end])
    }

    /// What an operator should look at before others are met.
    #[must_use]
    pub fn report(&self, alignment: &Alignment, data: &Path) -> Report {
        let Summary { rows, without_id, twice, zeros_after_a_point, forms, other_forms } =
            &self.summary;
        let mut text = format!("{}\n  {}\n", alignment.title(), alignment.name());
        let mut line = |words: String| {
            let _ = writeln!(text, "  {words}");
        };
        for (party, most) in alignment.parties().iter().zip(&alignment.terms().bounds) {
            line(format!("{party}: at most {most} ids"));
        }
        let leader = &alignment.parties()[alignment.terms().leader()];
        line(format!(
            "fewer than {} records in common are announced as \"too few\" and no more;",
            alignment.terms().least
        ));
        line(format!("  {leader}, who has the fewest ids, learns them all the same"));
        line("everybody learns which of its own records all have, and nothing else".to_owned());
        let _ = writeln!(text, "This party's file {}", data.display());
        let mut line = |words: String| {
            let _ = writeln!(text, "  {words}");
        };
        line(format!("{rows} rows, {} ids", self.len()));
        if *without_id > 0 {
            line(format!("{without_id} rows without an id take no part"));
        }
        if *twice > 0 {
            let which = if alignment.duplicates == Duplicates::First { "first" } else { "last" };
            line(format!(
                "{twice} rows have an id that came before; the {which} row of each counts"
            ));
        }
        if *zeros_after_a_point > 0 {
            line(format!(
                "warning: {zeros_after_a_point} ids are numbers that end in \".0\": were they text?"
            ));
        }
        let mut most: Vec<(&String, &u64)> = forms.iter().collect();
        most.sort_by_key(|(form, count)| (std::cmp::Reverse(**count), *form));
        for (form, count) in most.iter().take(SHOWN) {
            line(format!("{count} look like {form}"));
        }
        let others = most.iter().skip(SHOWN).map(|(_, count)| **count).sum::<u64>() + other_forms;
        if others > 0 {
            line(format!("{others} look otherwise"));
        }
        let json = serde_json::json!({
            "title": alignment.title(),
            "alignment": alignment.name().to_string(),
            "rows": rows,
            "ids": self.len(),
            "rows_without_id": without_id,
            "rows_with_an_id_that_came_before": twice,
            "ids_that_end_in_point_zero": zeros_after_a_point,
            "forms": most.iter().take(SHOWN).collect::<Vec<_>>(),
        });
        Report { text, json }
    }

    /// The digest of the file that they were read from.
    pub(crate) fn digest(&self) -> &FileDigest {
        &self.digest
    }

    /// The rows of these records in the file, from 0, in the order of the records.
    #[must_use]
    pub fn rows_of(&self, records: &[usize]) -> Vec<u32> {
        records.iter().map(|&record| self.rows[record]).collect()
    }

    /// The ids of these records, in their order.
    #[must_use]
    pub fn chosen(&self, records: &[usize]) -> Zeroizing<Vec<Vec<u8>>> {
        let id = |record: &usize| {
            let start = if *record > 0 { self.ends[record - 1] } else { 0 };
            self.bytes[start..self.ends[*record]].to_vec()
        };
        Zeroizing::new(records.iter().map(id).collect())
    }

    /// The records with these ids, in their order.
    ///
    /// # Errors
    /// When there is none for one: the file is another than the one that was aligned.
    pub fn find(&self, ids: &[Vec<u8>], data: &Path) -> Result<Vec<usize>, Failure> {
        let known: HashMap<&[u8], usize> = self.iter().zip(0..).collect();
        let found: Vec<usize> =
            ids.iter().filter_map(|id| known.get(id.as_slice()).copied()).collect();
        if found.len() == ids.len() {
            return Ok(found);
        }
        let what = format!(
            "{} of the {} aligned records are not in this file",
            ids.len() - found.len(),
            ids.len()
        );
        Err(Failure::new(Exit::LocalInput, what).in_file(data).advise(
            "use a file with all records that were aligned, or align anew under another title (studies name \
             the alignment that they are of)",
        ))
    }

    /// Writes the rows of these records, in their order, to a new file: all columns of the data file.
    ///
    /// # Errors
    /// When the data file has changed in between, or the new one cannot be written.
    pub fn write(
        &self,
        records: &[usize],
        alignment: &Alignment,
        data: &Source,
        out: &Path,
    ) -> Result<(), Failure> {
        let places: HashMap<u32, usize> =
            records.iter().map(|&record| self.rows[record]).zip(0..).collect();
        let mut rows = vec![ByteRecord::new(); records.len()];
        let columns: Vec<&str> = alignment.encoder.columns().collect();
        let mut row = 0u32;
        let (header, _): (StringRecord, _) = read_columns(data, &columns, |cells| {
            if let Some(&place) = places.get(&row) {
                rows[place] = cells.all.as_byte_record().clone();
            }
            row = row.saturating_add(1);
            Ok(())
        })?;
        // To be read with the settings of the file that it comes from: a byte order mark says that it is UTF-8.
        let mark = if data.reading.encoding.is_some() { "\u{feff}" } else { "" };
        let mut writer = csv::WriterBuilder::new()
            .delimiter(data.reading.separator)
            .from_writer(mark.as_bytes().to_vec());
        let written = writer
            .write_record(&header)
            .and_then(|()| rows.iter().try_for_each(|row| writer.write_byte_record(row)));
        let bytes = written.ok().and_then(|()| writer.into_inner().ok()).map(Zeroizing::new);
        let changed = || {
            let what = "the file has changed while it was read";
            Failure::new(Exit::LocalInput, what).in_file(&data.path)
        };
        if row as u64 != self.summary.rows {
            return Err(changed());
        }
        create(out, &bytes.ok_or_else(changed)?)
    }
}
