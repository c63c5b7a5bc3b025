//! What a study leaves at a node, and the rule that it is released once.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use mpc_core::ReleaseLog;
use mpc_ml::model::Output;

use super::State;
use super::receipt::now;
use super::rows_digest::{BoundRows, Record};
use super::seal::Sealer;
use super::state::make_private;
use crate::exit::{Exit, Failure};
use crate::identity::Identity;
use crate::output::{check_writable, hex, remove_leftovers};
use crate::store::{Kind, Ledgered, Run, Store};
use crate::study::StudyDigest;

/// What the names of the files began with, or were, in which nodes kept their records before there was a
/// store.
const BEFORE: [&str; 3] = ["released-", "interim-", "rows.bin"];

/// One study in the state directory: what the store knows of it, and a folder for what is given to people
/// or is too large for a store. What the node remembers for itself is sealed: shares of results, and the
/// digest of its rows, by which a guess could be tried.
#[derive(Clone, Debug)]
pub struct StudyFolder {
    path: PathBuf,
    study: StudyDigest,
    store: Store,
    sealer: Sealer,
}

impl StudyFolder {
    /// The folder of the study with this digest at the node with this identity; it need not exist.
    #[must_use]
    pub fn of(state: &State, study: StudyDigest, identity: &Identity) -> Self {
        Self {
            path: folder_of(state.directory(), &study),
            study,
            store: state.store().clone(),
            sealer: Sealer::new(identity, SEALED),
        }
    }

    /// The file of the model in it, whole or a part.
    pub(super) const MODEL: &'static str = "model.json";

    /// Makes the folder, and sees to it that nothing of the study's result was released before, and
    /// that the results can be written. What a killed run left is removed.
    ///
    /// # Errors
    /// [`Exit::Exists`] when this node has already sent its part of the result.
    pub fn open(&self) -> Result<(), Failure> {
        self.make()?;
        let refused =
            |what, advice| Err(Failure::new(Exit::Exists, what).in_file(&self.path).advise(advice));
        if self.store.sent(&self.study, Kind::Result)?.is_empty() {
            if self.has_records_of_before().map_err(|error| self.unusable(&error))? {
                return refused(
                    "this study was run by an earlier version of the program, whose records this one \
                     does not read: it may have been released",
                    "agree with the other parties on a study with another title; `party recover` and \
                     `party predict` go on working with the model in this folder",
                );
            }
            check_writable(&self.model())?;
            check_writable(&self.predictions())?;
            return check_writable(&self.receipt());
        }
        if [self.receipt(), self.model(), self.predictions()].iter().any(|file| file.exists()) {
            return refused(
                "this study was released before, and a study is released once: a second run \
                 would reveal a second rounding of the same result",
                "use the model in this folder; if another party lost its own, run `party recover` at \
                 all that receive it; for another training agree with the other \
                 parties on a study with another title or seed",
            );
        }
        refused(
            "an earlier run of this study began to reveal its result and did not come to an \
             end; what it revealed is not revealed again",
            "if another party has the model, run `party recover` at all that receive it; if none \
             has it, agree on a study with another title",
        )
    }

    /// Makes the folder, and removes what a killed run left.
    pub(super) fn make(&self) -> Result<(), Failure> {
        make_private(&self.path)
            .and_then(|()| remove_leftovers(&self.path))
            .map_err(|error| self.unusable(&error))
    }

    fn unusable(&self, error: &io::Error) -> Failure {
        let what = format!("the folder of the study cannot be used: {error}");
        Failure::new(Exit::Configuration, what).in_file(&self.path)
    }

    /// Whether there are records of a run in the folder itself.
    fn has_records_of_before(&self) -> io::Result<bool> {
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            if BEFORE.iter().any(|before| name.as_encoded_bytes().starts_with(before.as_bytes())) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Binds this study to the rows it is run on (docs/protocols.md 0, Restart). A run that ended
    /// after it revealed figures or checks may be repeated on the same rows; on other rows
    /// the difference would tell what changed. Gives the number of runs on these rows that came so
    /// far, this one included.
    ///
    /// # Errors
    /// [`Exit::Exists`] when something was revealed about other rows before.
    pub fn bind_rows(&self, rows: &BoundRows<'_>) -> Result<u32, Failure> {
        let what = self.sealed_as("rows");
        self.store.bind_rows(&self.study, |before, revealed| {
            let record = match before {
                None => rows.record()?,
                Some(sealed) => {
                    let before = self.sealer.open(&what, sealed);
                    match before.and_then(|bytes| Record::parse(&bytes)) {
                        Some(before) if rows.fit(&before) => before.once_more(revealed),
                        Some(before) if !before.revealed && !revealed => rows.record()?,
                        _ => return Err(other_rows(&self.path)),
                    }
                }
            };
            Ok((self.sealer.seal(&what, &record.to_bytes())?, record.runs))
        })
    }

    /// Where a session records what it reveals of `outputs` in a run; anything else counts as the result.
    /// `parties` are the names of those who may learn something, in their order.
    #[must_use]
    pub fn log(&self, outputs: &[Output], parties: &[String], run: Option<&Run>) -> FolderLog {
        FolderLog {
            folder: self.clone(),
            outputs: outputs.to_vec(),
            parties: parties.to_vec(),
            run: run.cloned(),
        }
    }

    /// Remembers which run of this study each party said that it is there; gives the highest that each had
    /// said before.
    pub(super) fn heard(&self, told: &[(&str, u32)]) -> Result<Vec<u32>, Failure> {
        self.store.hear_runs(&self.study, told)
    }

    /// Where `model.json` goes.
    #[must_use]
    pub fn model(&self) -> PathBuf {
        self.path.join(Self::MODEL)
    }

    /// What is kept of a run, by its session, in which a peer did not keep to the protocol.
    #[must_use]
    pub fn evidence(&self, session: &str) -> PathBuf {
        self.path.join(format!("evidence-{session}.json"))
    }

    /// Where `predictions.csv` goes.
    #[must_use]
    pub fn predictions(&self) -> PathBuf {
        self.path.join("predictions.csv")
    }

    /// Where `receipt.json` goes.
    #[must_use]
    pub fn receipt(&self) -> PathBuf {
        self.path.join("receipt.json")
    }

    /// Where the receipt of a run goes that did not come to its end.
    #[must_use]
    pub fn failed_receipt(&self, run: u32) -> PathBuf {
        self.path.join(format!("receipt-failed-{run}.json"))
    }

    /// Where the folder is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What seals its files.
    pub(super) fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    /// As what an entry of the store about this study is sealed.
    fn sealed_as(&self, entry: &str) -> Vec<u8> {
        [self.study.as_bytes().as_slice(), entry.as_bytes()].concat()
    }

    /// Whether `path` is a file that this folder is for.
    pub(super) fn holds(&self, path: &Path) -> bool {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let real = |path: &Path| fs::canonicalize(path).ok();
        let here = real(&self.path);
        here.is_some() && here == real(parent.unwrap_or(Path::new(".")))
    }
}

/// Where the folder of a study is in a state directory.
pub(super) fn folder_of(directory: &Path, study: &StudyDigest) -> PathBuf {
    directory.join(hex(&study.as_bytes()[..8]))
}

/// The purpose of the key under which a node seals what it remembers of studies.
pub(super) const SEALED: &str = "records of a study/1";

fn other_rows(path: &Path) -> Failure {
    let what = "an earlier run of this study revealed something about other rows; the difference \
                would tell what changed";
    Failure::new(Exit::Exists, what).in_file(path).advise(
        "use the rows of that run, or agree with the other parties on a study with another title",
    )
}

/// Keeps what a session reveals in the store.
#[derive(Debug)]
pub struct FolderLog {
    folder: StudyFolder,
    outputs: Vec<Output>,
    parties: Vec<String>,
    run: Option<Run>,
}

impl ReleaseLog for FolderLog {
    fn record(&mut self, label: &str, message: &[u8]) -> Result<(), String> {
        let Self { folder, parties, run, .. } = self;
        let output = self.outputs.iter().find(|output| output.label == label);
        let repeatable = output.is_some_and(|output| output.kind.is_repeatable());
        let learns = |place: usize| output.is_none_or(|output| output.recipients.include(place));
        let to = parties.iter().enumerate().filter(|(place, _)| learns(*place));
        let line = Ledgered {
            run: run.as_ref().map(|run| run.place),
            study: hex(folder.study.as_bytes()),
            data: run.as_ref().map(|run| run.data.to_string()),
            label: label.to_owned(),
            kind: if repeatable { Kind::Interim } else { Kind::Result },
            to: to.map(|(_, name)| name.clone()).collect(),
            at: now(),
        };
        let sealed = folder.sealer.seal(&folder.sealed_as(label), message);
        let recorded =
            sealed.and_then(|sealed| folder.store.record_sent(&folder.study, &line, &sealed));
        #[cfg(feature = "test-faults")]
        if !repeatable {
            crate::fault::die_at("recorded");
        }
        recorded.map_err(|failure| failure.what)
    }
}

#[cfg(test)]
mod tests;
