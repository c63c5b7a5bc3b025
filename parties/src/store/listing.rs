//! What the tables hold, read and written.

use std::collections::BTreeMap;

use redb::{ReadableTable, WriteTransaction};

use super::{
    DATA, DONE, DataEntry, DataId, Kind, LEDGER, Ledgered, Outcome, RECEIPTS, ROWS, RUNS, Run,
    RunEntry, SENT, STUDIES, Store, StoreError, StudyEntry, checkpoints, decode, encode, next,
    place,
};
use crate::exit::Failure;
use crate::output::hex;
use crate::study::StudyDigest;

/// An entry with its place in its table.
pub type Numbered<T> = (u64, T);

/// Everything that the store can tell people.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// Studies, by digest in hexadecimal digits.
    pub studies: Vec<(String, StudyEntry)>,
    /// Data sets.
    pub data: Vec<(String, DataEntry)>,
    /// Runs, in the order in which they began.
    pub runs: Vec<Numbered<RunEntry>>,
    /// What was revealed, in order.
    pub ledger: Vec<Ledgered>,
}

impl Store {
    /// Remembers a study that was not seen before.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn see_study(&self, study: &StudyDigest, entry: &StudyEntry) -> Result<(), Failure> {
        let known = self.read(|it| Ok(it.open_table(STUDIES)?.get(place(study))?.is_some()))?;
        if known {
            return Ok(());
        }
        self.write(|it| {
            it.open_table(STUDIES)?.insert(place(study), encode(entry)?.as_slice())?;
            Ok(())
        })
    }

    /// A run of a study begins. From here on the store knows of it, whatever becomes of the process.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn begin_run(
        &self,
        study: &StudyDigest,
        (data, entry): (DataId, &DataEntry),
        session: &str,
        begun: u64,
    ) -> Result<Run, Failure> {
        self.write(|it| {
            let mut known = it.open_table(DATA)?;
            if known.get(&data.0)?.is_none() {
                known.insert(&data.0, encode(entry)?.as_slice())?;
            }
            let mut runs = it.open_table(RUNS)?;
            let name = hex(place(study));
            let mut number = 1;
            for run in runs.iter()? {
                number += u32::from(decode::<RunEntry>(run?.1.value())?.study == name);
            }
            let run = RunEntry {
                study: name,
                number,
                session: session.to_owned(),
                data: data.to_string(),
                rows: entry.rows,
                begun,
                ended: None,
                outcome: None,
            };
            let place = next(&runs)?;
            runs.insert(place, encode(&run)?.as_slice())?;
            Ok(Run { place, number, data })
        })
    }

    /// Keeps a receipt for a run that has just begun.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn keep_receipt(&self, run: u64, receipt: &str) -> Result<(), Failure> {
        self.write(|it| {
            it.open_table(RECEIPTS)?.insert(run, receipt.as_bytes())?;
            Ok(())
        })
    }

    /// A run has ended, with its receipt.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn end_run(
        &self,
        run: u64,
        ended: u64,
        outcome: &Outcome,
        receipt: &str,
    ) -> Result<(), Failure> {
        self.write(|it| {
            let mut runs = it.open_table(RUNS)?;
            let mut entry: RunEntry = match runs.get(run)? {
                Some(entry) => decode(entry.value())?,
                None => return Err(StoreError::Damaged),
            };
            (entry.ended, entry.outcome) = (Some(ended), Some(outcome.clone()));
            runs.insert(run, encode(&entry)?.as_slice())?;
            it.open_table(RECEIPTS)?.insert(run, receipt.as_bytes())?;
            Ok(())
        })
    }

    /// The receipt of a run.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn receipt(&self, run: u64) -> Result<Option<String>, Failure> {
        self.read(|it| {
            let text = it.open_table(RECEIPTS)?.get(run)?.map(|text| text.value().to_vec());
            text.map(|text| String::from_utf8(text).map_err(|_| StoreError::Damaged)).transpose()
        })
    }

    /// Remembers what is about to be sent, sealed, with its line of the ledger.
    ///
    /// # Errors
    /// When the store cannot be written: then it must not be sent.
    pub fn record_sent(
        &self,
        study: &StudyDigest,
        line: &Ledgered,
        sealed: &[u8],
    ) -> Result<(), Failure> {
        self.write(|it| {
            let key = (place(study), line.kind.place(), line.label.as_str());
            it.open_table(SENT)?.insert(key, sealed)?;
            let mut ledger = it.open_table(LEDGER)?;
            let place = next(&ledger)?;
            ledger.insert(place, encode(line)?.as_slice())?;
            Ok(())
        })
    }

    /// The labels of a kind of which something was sent, with what was sent, sealed.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn sent(&self, study: &StudyDigest, kind: Kind) -> Result<Vec<(String, Vec<u8>)>, Failure> {
        self.read(|it| sent(&it.open_table(SENT)?, study, kind))
    }

    /// Replaces what is remembered of a part that was recorded.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn replace_sent(
        &self,
        study: &StudyDigest,
        kind: Kind,
        label: &str,
        sealed: &[u8],
    ) -> Result<(), Failure> {
        self.write(|it| {
            it.open_table(SENT)?.insert((place(study), kind.place(), label), sealed)?;
            Ok(())
        })
    }

    /// Adds a line to the ledger: what was recorded before is sent again.
    ///
    /// # Errors
    /// When the store cannot be written: then it must not be sent.
    pub fn record_again(&self, line: &Ledgered) -> Result<(), Failure> {
        self.write(|it| {
            let mut ledger = it.open_table(LEDGER)?;
            let place = next(&ledger)?;
            ledger.insert(place, encode(line)?.as_slice())?;
            Ok(())
        })
    }

    /// Remembers that all parties of a study have said that they have what they are due.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn finish_study(&self, study: &StudyDigest, at: u64) -> Result<(), Failure> {
        self.write(|it| {
            it.open_table(DONE)?.insert(place(study), at)?;
            // Nobody needs them any more.
            checkpoints::forget(it, study)?;
            Ok(())
        })
    }

    /// Whether they have.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn is_finished(&self, study: &StudyDigest) -> Result<bool, Failure> {
        self.read(|it| match it.open_table(DONE) {
            Ok(table) => Ok(table.get(place(study))?.is_some()),
            // A store of before.
            Err(redb::TableError::TableDoesNotExist(_)) => Ok(false),
            Err(error) => Err(error.into()),
        })
    }

    /// How often each output of the result of a study was made here and recorded, the most of them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn cuts(&self, study: &StudyDigest) -> Result<usize, Failure> {
        self.read(|it| {
            let (name, mut cuts) = (hex(place(study)), BTreeMap::<String, usize>::new());
            for entry in it.open_table(LEDGER)?.iter()? {
                let line: Ledgered = decode(entry?.1.value())?;
                if line.study == name && line.kind == Kind::Result && !line.again {
                    *cuts.entry(line.label).or_default() += 1;
                }
            }
            Ok(cuts.into_values().max().unwrap_or_default())
        })
    }

    /// Replaces the sealed record of the rows of a study by what `change` makes of it. It is told whether
    /// something was revealed since; that is forgotten with the same write.
    ///
    /// # Errors
    /// When the store cannot be written, and what `change` refuses.
    pub fn bind_rows<T>(
        &self,
        study: &StudyDigest,
        change: impl FnOnce(Option<&[u8]>, bool) -> Result<(Vec<u8>, T), Failure>,
    ) -> Result<T, Failure> {
        self.write(|it| {
            let mut rows = it.open_table(ROWS)?;
            let before = rows.get(place(study))?.map(|record| record.value().to_vec());
            let revealed = forget_interim(it, study)?;
            let (record, told) = change(before.as_deref(), revealed)?;
            rows.insert(place(study), record.as_slice())?;
            Ok(told)
        })
    }

    /// What was revealed in a run, in order.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn revealed_in(&self, run: u64) -> Result<Vec<Ledgered>, Failure> {
        self.read(|it| {
            let mut lines = Vec::new();
            for entry in it.open_table(LEDGER)?.iter()? {
                let line: Ledgered = decode(entry?.1.value())?;
                if line.run == Some(run) {
                    lines.push(line);
                }
            }
            Ok(lines)
        })
    }

    /// Everything that can be told to people.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn contents(&self) -> Result<Contents, Failure> {
        self.read(|it| {
            let mut all = Contents::default();
            for entry in it.open_table(STUDIES)?.iter()? {
                let (digest, entry) = entry?;
                all.studies.push((hex(digest.value()), decode(entry.value())?));
            }
            for entry in it.open_table(DATA)?.iter()? {
                let (digest, entry) = entry?;
                all.data.push((hex(digest.value()), decode(entry.value())?));
            }
            for entry in it.open_table(RUNS)?.iter()? {
                let (place, entry) = entry?;
                all.runs.push((place.value(), decode(entry.value())?));
            }
            for entry in it.open_table(LEDGER)?.iter()? {
                all.ledger.push(decode(entry?.1.value())?);
            }
            Ok(all)
        })
    }
}

type SentKey = (super::Digest, u8, &'static str);

fn sent(
    table: &impl ReadableTable<SentKey, super::Bytes>,
    study: &StudyDigest,
    kind: Kind,
) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
    let mut all = Vec::new();
    for entry in
        table.range((place(study), kind.place(), "")..(place(study), kind.place() + 1, ""))?
    {
        let (key, sealed) = entry?;
        all.push((key.value().2.to_owned(), sealed.value().to_vec()));
    }
    Ok(all)
}

/// Removes what was sent of figures and checks; whether there was anything.
fn forget_interim(it: &WriteTransaction, study: &StudyDigest) -> Result<bool, StoreError> {
    let mut table = it.open_table(SENT)?;
    let interim = sent(&table, study, Kind::Interim)?;
    for (label, _) in &interim {
        table.remove((place(study), Kind::Interim.place(), label.as_str()))?;
    }
    Ok(!interim.is_empty())
}
