//! What a study leaves at a node, and the rule that it is released once.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use mpc_core::ReleaseLog;
use mpc_ml::model::Output;
use zeroize::Zeroizing;

use super::State;
use super::receipt::now;
use super::rows_digest::{BoundRows, Record};
use super::seal::Sealer;
use super::standing::MOST_CUTS;
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

    /// Makes the folder, and sees to it that the study is not over, and that the results can be written. What
    /// a killed run left is removed. A study that was released in part goes on, and so does one of which
    /// others may lack the result, where this node `stays` for them.
    ///
    /// # Errors
    /// [`Exit::Exists`] when nothing is left to do.
    pub fn open(&self, stays: bool) -> Result<(), Failure> {
        self.make()?;
        let refused =
            |what, advice| Err(Failure::new(Exit::Exists, what).in_file(&self.path).advise(advice));
        let complete = self.is_complete();
        let over = self.store.is_finished(&self.study)? || complete && !stays;
        // A federated study ends with a figure: the model of the last round.
        let ended = complete && !self.sent(Kind::Interim)?.is_empty();
        let nothing = self.sent(Kind::Result)?.is_empty() && !ended;
        if over && !nothing {
            if !complete {
                return refused(
                    "this study was released before, and what it left here is gone",
                    "run `party recover` at all that receive the model",
                );
            }
            return refused(
                "this study was released before, and a study is released once: a second run \
                 would reveal a second rounding of the same result",
                "use the model in this folder; if another party lost its own, run `party recover` at \
                 all that receive it; for another training agree with the other \
                 parties on a study with another title or seed",
            );
        }
        if nothing {
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
            check_writable(&self.report())?;
            return check_writable(&self.receipt());
        }
        if !complete && self.store.cuts(&self.study)? >= MOST_CUTS {
            return refused(
                "the result of this study was begun many times, and it did not come to its end; what it \
                 revealed is not revealed once more",
                "if another party has the model, run `party recover` at all that receive it; if none \
                 has it, agree on a study with another title",
            );
        }
        Ok(())
    }

    /// Whether this node has what it is due: model, scores or receipt.
    pub(super) fn is_complete(&self) -> bool {
        [self.receipt(), self.model(), self.predictions(), self.result()]
            .iter()
            .any(|file| file.exists())
    }

    /// What was recorded of a kind of outputs, sealed.
    pub(super) fn sent(&self, kind: Kind) -> Result<Vec<(String, Vec<u8>)>, Failure> {
        self.store.sent(&self.study, kind)
    }

    /// What was recorded of an output.
    pub(super) fn open_record(&self, label: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        self.sealer.open(&self.sealed_as(&record_of(label)), sealed)
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
        // A part of the result ties the study to its rows as a figure does.
        let result = !self.sent(Kind::Result)?.is_empty();
        self.store.bind_rows(&self.study, |before, revealed| {
            let revealed = revealed || result;
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

    /// Where `result.json` of a protocol of the parties' own goes.
    #[must_use]
    pub fn result(&self) -> PathBuf {
        self.path.join("result.json")
    }

    /// Where `report.html` goes, a page on the run.
    #[must_use]
    pub fn report(&self) -> PathBuf {
        self.path.join("report.html")
    }

    /// The page on the run, where it was written.
    #[must_use]
    pub fn written_report(&self) -> Option<PathBuf> {
        Some(self.report()).filter(|page| page.exists())
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

    /// The study.
    pub(super) fn study(&self) -> &StudyDigest {
        &self.study
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

impl FolderLog {
    /// The line of the ledger about an output.
    fn line(&self, label: &str, again: bool) -> Ledgered {
        let Self { folder, parties, run, .. } = self;
        let output = self.outputs.iter().find(|output| output.label == label);
        let learns = |place: usize| output.is_none_or(|output| output.recipients.include(place));
        let to = parties.iter().enumerate().filter(|(place, _)| learns(*place));
        Ledgered {
            run: run.as_ref().map(|run| run.place),
            study: hex(folder.study.as_bytes()),
            data: run.as_ref().map(|run| run.data.to_string()),
            label: label.to_owned(),
            kind: self.kind(label),
            again,
            to: to.map(|(_, name)| name.clone()).collect(),
            at: now(),
        }
    }

    fn kind(&self, label: &str) -> Kind {
        let output = self.outputs.iter().find(|output| output.label == label);
        let repeatable = output.is_some_and(|output| output.kind.is_repeatable());
        if repeatable { Kind::Interim } else { Kind::Result }
    }

    fn seal(&self, label: &str, part: &[u8]) -> Result<Vec<u8>, Failure> {
        self.folder.sealer.seal(&self.folder.sealed_as(&record_of(label)), part)
    }

    /// Where a test kills this process.
    fn passes(&self, place: &str, label: &str) {
        #[cfg(feature = "test-faults")]
        if self.kind(label) == Kind::Result {
            crate::fault::die_at(place);
        }
        #[cfg(not(feature = "test-faults"))]
        let _ = (place, label);
    }
}

/// As what a part of an output is sealed.
fn record_of(label: &str) -> String {
    format!("recorded {label}")
}

impl ReleaseLog for FolderLog {
    fn record(&mut self, label: &str, part: &[u8]) -> Result<(), String> {
        let line = self.line(label, false);
        let folder = &self.folder;
        let recorded = self
            .seal(label, part)
            .and_then(|sealed| folder.store.record_sent(&folder.study, &line, &sealed));
        self.passes("recorded", label);
        recorded.map_err(|failure| failure.what)
    }

    fn committed(&mut self, label: &str, part: &[u8]) -> Result<(), String> {
        // A figure is made anew in any case.
        if self.kind(label) == Kind::Interim {
            return Ok(());
        }
        let folder = &self.folder;
        let replaced = self.seal(label, part).and_then(|sealed| {
            folder.store.replace_sent(&folder.study, Kind::Result, label, &sealed)
        });
        self.passes("committed", label);
        replaced.map_err(|failure| failure.what)
    }

    fn resent(&mut self, label: &str) -> Result<(), String> {
        let line = self.line(label, true);
        self.folder.store.record_again(&line).map_err(|failure| failure.what)
    }

    fn opened(&mut self, label: &str) {
        self.passes("revealed", label);
    }
}

#[cfg(test)]
mod tests;
