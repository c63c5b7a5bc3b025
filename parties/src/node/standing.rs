//! What is left to do of a study of which a part was released before (docs/protocols.md 0, Release).

use std::collections::BTreeMap;

use mpc_core::Recorded;
use mpc_ml::artifact::{Model, ModelError};
use serde::{Deserialize, Serialize};

use super::StudyFolder;
use super::checkpoints::Named;
use super::recovery::{belongs, sha256};
use crate::exit::{Exit, Failure};
use crate::input;
use crate::store::Kind;

/// The length of the name of a record.
const NAME: usize = 16;

/// How often a part of the result may be made that not all had recorded: each time tells something of what is
/// cut off (docs/protocols.md 0, Release).
pub(super) const MOST_CUTS: usize = 8;

/// What a party says that it has of a result. Empty in nearly every run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Standing {
    /// Length and SHA-256 of its model.
    pub(super) model: Option<(u64, [u8; 32])>,
    /// A name for each part of the result that it has recorded: of its output and of the session.
    pub(super) recorded: Vec<[u8; NAME]>,
    /// The states of a fit that it could go on from.
    pub(super) checkpoints: Vec<Named>,
}

/// What this party has.
#[derive(Clone, Debug, Default)]
pub(super) struct Holding {
    /// The model file.
    pub(super) model: Option<Vec<u8>>,
    /// Whether it had all that it is due before this run.
    pub(super) complete: bool,
    /// What it has recorded, by output.
    records: BTreeMap<String, Recorded>,
}

/// What the parties do.
#[derive(Debug)]
pub(super) enum Course {
    /// One gives its model to those who lack theirs.
    Give {
        /// Who gives it.
        by: usize,
        /// To whom.
        lacking: Vec<usize>,
    },
    /// They fit, and send again what all have recorded.
    Fit(BTreeMap<String, Recorded>),
}

fn name(label: &str, recorded: &Recorded) -> [u8; NAME] {
    let digest = mpc_core::rand::hash("recorded part", &[label.as_bytes(), &recorded.session()]);
    let mut name = [0; NAME];
    name.copy_from_slice(&digest[..NAME]);
    name
}

impl Holding {
    /// What a party says of it.
    pub(super) fn standing(&self) -> Standing {
        let model = self.model.as_ref().map(|bytes| (bytes.len() as u64, sha256(bytes)));
        let recorded = self.records.iter().map(|(label, part)| name(label, part)).collect();
        Standing { model, recorded, checkpoints: Vec::new() }
    }

    /// Whether nothing was recorded and nothing is there.
    pub(super) fn is_empty(&self) -> bool {
        self.model.is_none() && self.records.is_empty()
    }

    /// The same without what was recorded after `then`, for a part that is done again.
    pub(super) fn at_that_time(mut self, then: &Standing) -> Self {
        self.records.retain(|label, part| then.recorded.contains(&name(label, part)));
        self
    }

    /// What follows from what all parties have. `receivers` are those who receive the model.
    ///
    /// # Errors
    /// When two have different models, or one has no record of what it had committed to.
    pub(super) fn course(
        mut self,
        all: &[Standing],
        receivers: &[usize],
        names: &[String],
    ) -> Result<Course, Failure> {
        let holders: Vec<usize> =
            receivers.iter().copied().filter(|&party| all[party].model.is_some()).collect();
        if let Some(&by) = holders.first() {
            if let Some(&other) = holders.iter().find(|&&party| all[party].model != all[by].model) {
                let (by, other) = (&names[by], &names[other]);
                let what = format!("{by} and {other} have different models of this study");
                return Err(Failure::new(Exit::PeerMisbehaved, what)
                    .advise("find out which of the files was changed, and take it away there"));
            }
            let lacking = receivers.iter().copied().filter(|party| !holders.contains(party));
            return Ok(Course::Give { by, lacking: lacking.collect() });
        }
        for (label, part) in &self.records {
            let name = name(label, part);
            let lacks = |said: &Standing| !said.recorded.contains(&name);
            let Some(party) = all.iter().position(lacks) else { continue };
            if part.was_recorded_by_all() {
                let what = format!(
                    "{} says that it has no record of its part of {label:?}, to which it had committed in an \
                     earlier run: its memory was deleted or replaced by an older one",
                    names[party]
                );
                let failure = Failure::new(Exit::Configuration, what).advise(
                    "put the state directory of that run back there; what the others may have seen of a result \
                     is not revealed a second time, so without it agree on a study with another title",
                );
                return Err(Failure { accuses: true, ..failure });
            }
        }
        self.records.retain(|label, part| {
            let name = name(label, part);
            all.iter().all(|said| said.recorded.contains(&name))
        });
        Ok(Course::Fit(self.records))
    }
}

impl StudyFolder {
    /// What this party has of the study's result.
    ///
    /// # Errors
    /// When the store or the model cannot be read.
    pub(super) fn holding(&self) -> Result<Holding, Failure> {
        let mut records = BTreeMap::new();
        for (label, sealed) in self.sent(Kind::Result)? {
            let part = self.open_record(&label, &sealed).and_then(|bytes| Recorded::parse(&bytes));
            let part = part.ok_or_else(|| {
                let what = "what was recorded of the study's result cannot be read: an earlier version of the \
                            program wrote it";
                Failure::new(Exit::Exists, what).in_file(self.path()).advise(
                    "if another party has the model, run `party recover` at all that receive it; if none \
                     has it, agree on a study with another title",
                )
            })?;
            records.insert(label, part);
        }
        let complete = self.is_complete();
        Ok(Holding { model: self.whole_model()?, complete, records })
    }

    /// The model file, where it is here and a whole one: a party's own part is for nobody else.
    fn whole_model(&self) -> Result<Option<Vec<u8>>, Failure> {
        let path = self.model();
        if !path.exists() {
            return Ok(None);
        }
        let refused = |what: String| Failure::new(Exit::LocalInput, what).in_file(&path);
        let bytes = input::read(&path)
            .map_err(|error| refused(format!("the model cannot be read: {error}")))?;
        match Model::from_json(&bytes) {
            Err(ModelError::Part) => Ok(None),
            _ if belongs(&bytes, self.study()) => Ok(Some(bytes)),
            _ => Err(refused("the file is no model of this study".to_owned())
                .advise("move it away to get the model from another party")),
        }
    }
}

#[cfg(test)]
mod tests;
