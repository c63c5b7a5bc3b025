//! What the store knows of consent: approvals of this node, and what others said of their runs.

use redb::ReadableTable;

use super::{APPROVALS, HEARD, Store, decode, encode, place};
use crate::approval::ApprovalEntry;
use crate::exit::Failure;
use crate::output::hex;
use crate::study::StudyDigest;

impl Store {
    /// Remembers that a study was approved, or an approval taken back.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn record_approval(
        &self,
        study: &StudyDigest,
        entry: &ApprovalEntry,
    ) -> Result<(), Failure> {
        self.write(|it| {
            let mut table = it.open_table(APPROVALS)?;
            let all = (place(study), 0)..=(place(study), u64::MAX);
            let last = table.range(all)?.next_back().transpose()?;
            let number = last.map_or(1, |(key, _)| key.value().1 + 1);
            table.insert((place(study), number), encode(entry)?.as_slice())?;
            Ok(())
        })
    }

    /// All approvals of a study, in their order.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn approvals(&self, study: &StudyDigest) -> Result<Vec<ApprovalEntry>, Failure> {
        self.read(|it| {
            let all = (place(study), 0)..=(place(study), u64::MAX);
            let table = it.open_table(APPROVALS)?;
            table.range(all)?.map(|entry| decode(entry?.1.value())).collect()
        })
    }

    /// The approvals of all studies, each with the study in hexadecimal digits, in their order.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn all_approvals(&self) -> Result<Vec<(String, ApprovalEntry)>, Failure> {
        self.read(|it| {
            let table = it.open_table(APPROVALS)?;
            let each = table.iter()?.map(|entry| {
                let (key, entry) = entry?;
                Ok((hex(key.value().0), decode(entry.value())?))
            });
            each.collect()
        })
    }

    /// Remembers which run of a study each party said that it is there; gives the highest that each had
    /// said before, 0 for none.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn hear_runs(
        &self,
        study: &StudyDigest,
        told: &[(&str, u32)],
    ) -> Result<Vec<u32>, Failure> {
        self.write(|it| {
            let mut table = it.open_table(HEARD)?;
            let mut all = Vec::with_capacity(told.len());
            for &(party, run) in told {
                let before = table.get((place(study), party))?.map_or(0, |before| before.value());
                table.insert((place(study), party), run.max(before))?;
                all.push(before);
            }
            Ok(all)
        })
    }
}
