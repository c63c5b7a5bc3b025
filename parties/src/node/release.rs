//! What a study leaves on disk, and the rule that it is released once.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use mpc_core::ReleaseLog;
use mpc_ml::model::Output;

use super::rows_digest::{BoundRows, Record};
use super::seal::Sealer;
use super::state::make_private;
use crate::exit::{Exit, Failure};
use crate::identity::Identity;
use crate::output::{check_writable, create, hex, remove_leftovers, replace};
use crate::study::StudyDigest;

/// How the files begin that hold what was sent of the result.
const RELEASED: &str = "released-";
/// How those begin that hold what was sent of checks and figures on the way to the result, which may
/// be revealed again of the same rows.
const INTERIM: &str = "interim-";

/// The file with the digest of the rows.
const ROWS: &str = "rows.bin";

/// The folder of one study in the state directory. What the node remembers there for itself is
/// sealed: shares of results, and the digest of its rows, by which a guess could be tried.
#[derive(Clone, Debug)]
pub struct StudyFolder {
    path: PathBuf,
    sealer: Sealer,
}

impl StudyFolder {
    /// The folder of the study with this digest at the node with this identity; it need not exist.
    #[must_use]
    pub fn of(state: &Path, digest: StudyDigest, identity: &Identity) -> Self {
        let name = hex(&digest.as_bytes()[..8]);
        Self { path: state.join(name), sealer: Sealer::new(identity, "records of a study/1") }
    }

    /// Makes the folder, and sees to it that nothing of the study's result was released before, and
    /// that the results can be written. What a killed run left is removed.
    ///
    /// # Errors
    /// [`Exit::Exists`] when this node has already sent its part of the result.
    pub fn open(&self) -> Result<(), Failure> {
        self.make()?;
        let released = self.records(RELEASED).map_err(|error| self.unusable(&error))?;
        if !released.is_empty() {
            let refused = |what, advice| {
                Err(Failure::new(Exit::Exists, what).in_file(&self.path).advise(advice))
            };
            if self.receipt().exists() || self.model().exists() {
                return refused(
                    "this study was released before, and a study is released once: a second run \
                     would reveal a second rounding of the same result",
                    "use the model in this folder; if another party lost its own, run `party recover` at \
                     all that receive it; for another training agree with the other \
                     parties on a study with another title or seed",
                );
            }
            return refused(
                "an earlier run of this study began to reveal its result and did not come to an \
                 end; what it revealed is not revealed again",
                "if another party has the model, run `party recover` at all that receive it; if none \
                 has it, agree on a study with another title",
            );
        }
        check_writable(&self.model())?;
        check_writable(&self.receipt())
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

    /// Binds this study to the rows it is run on (docs/protocols.md 0, Restart). A run that ended
    /// after it revealed figures or checks may be repeated on the same rows; on other rows
    /// the difference would tell what changed. Gives the number of runs on these rows that came so
    /// far, this one included.
    ///
    /// # Errors
    /// [`Exit::Exists`] when something was revealed about other rows before.
    pub fn bind_rows(&self, rows: &BoundRows<'_>) -> Result<u32, Failure> {
        let path = self.path.join(ROWS);
        let failed = |error: &io::Error| {
            let what = format!("the record of earlier runs cannot be used: {error}");
            Failure::new(Exit::Configuration, what).in_file(&path)
        };
        let interim = self.records(INTERIM).map_err(|error| failed(&error))?;
        let revealed = !interim.is_empty();
        let record = match fs::read(&path) {
            Ok(bytes) => {
                let before = self.sealer.open(&self.what(&path), &bytes);
                let record = match before.and_then(|bytes| Record::parse(&bytes)) {
                    Some(before) if rows.fit(&before) => before.once_more(revealed),
                    Some(before) if !before.revealed && !revealed => rows.record()?,
                    _ => return Err(other_rows(&path)),
                };
                replace(&path, &self.sealer.seal(&self.what(&path), &record.to_bytes())?)?;
                record
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let record = rows.record()?;
                create(&path, &self.sealer.seal(&self.what(&path), &record.to_bytes())?)?;
                record
            }
            Err(error) => return Err(failed(&error)),
        };
        // Only now, when the record says that they were there.
        for file in interim {
            fs::remove_file(file).map_err(|error| failed(&error))?;
        }
        Ok(record.runs)
    }

    /// Where a session records what it reveals of `outputs`; anything else counts as the result.
    #[must_use]
    pub fn log(&self, outputs: &[Output]) -> FolderLog {
        let repeatable = outputs.iter().filter(|output| output.kind.is_repeatable());
        let repeatable = repeatable.map(|output| output.label.clone()).collect();
        FolderLog { folder: self.clone(), repeatable }
    }

    /// Whether this node has sent its part of an output.
    #[must_use]
    pub fn has_released(&self, label: &str) -> bool {
        [RELEASED, INTERIM].iter().any(|kind| self.message(kind, label).exists())
    }

    /// Where `model.json` goes.
    #[must_use]
    pub fn model(&self) -> PathBuf {
        self.path.join("model.json")
    }

    /// What is kept of a run, by its session, in which a peer did not keep to the protocol.
    #[must_use]
    pub fn evidence(&self, session: &str) -> PathBuf {
        self.path.join(format!("evidence-{session}.json"))
    }

    /// Where `receipt.json` goes.
    #[must_use]
    pub fn receipt(&self) -> PathBuf {
        self.path.join("receipt.json")
    }

    /// Where the folder is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What seals its files.
    pub(super) fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    /// What a sealed file is: a file of this name in a folder of this name.
    pub(super) fn what(&self, file: &Path) -> Vec<u8> {
        let name = |path: &Path| path.file_name().unwrap_or_default().as_encoded_bytes().to_vec();
        [name(&self.path), name(file)].join(&b'/')
    }

    /// Where the message that reveals an output is kept.
    fn message(&self, kind: &str, label: &str) -> PathBuf {
        self.path.join(format!("{kind}{}.bin", label.replace(' ', "-")))
    }

    /// The messages of a kind.
    fn records(&self, kind: &str) -> io::Result<Vec<PathBuf>> {
        let mut records = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_name().as_encoded_bytes().starts_with(kind.as_bytes()) {
                records.push(entry.path());
            }
        }
        Ok(records)
    }

    /// Whether `path` is a file that this folder is for.
    pub(super) fn holds(&self, path: &Path) -> bool {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let real = |path: &Path| fs::canonicalize(path).ok();
        let here = real(&self.path);
        here.is_some() && here == real(parent.unwrap_or(Path::new(".")))
    }
}

fn other_rows(path: &Path) -> Failure {
    let what = "an earlier run of this study revealed something about other rows; the difference \
                would tell what changed";
    Failure::new(Exit::Exists, what).in_file(path).advise(
        "use the rows of that run, or agree with the other parties on a study with another title",
    )
}

/// Keeps what a session reveals in the folder of its study.
#[derive(Debug)]
pub struct FolderLog {
    folder: StudyFolder,
    /// The labels of what a run on the same rows may reveal again.
    repeatable: Vec<String>,
}

impl ReleaseLog for FolderLog {
    fn record(&mut self, label: &str, message: &[u8]) -> Result<(), String> {
        let repeatable = self.repeatable.iter().any(|each| each == label);
        let kind = if repeatable { INTERIM } else { RELEASED };
        let path = self.folder.message(kind, label);
        let sealed = self.folder.sealer.seal(&self.folder.what(&path), message);
        sealed.and_then(|sealed| create(&path, &sealed)).map_err(|failure| failure.what)
    }
}

#[cfg(test)]
mod tests {
    use mpc_core::Recipients;

    use super::super::rows_digest::testing::table;
    use super::super::seal::testing::identity;
    use super::*;

    const CHECK: &str = "convergence check";
    const COEFFICIENTS: &str = "coefficients";

    fn outputs() -> Vec<Output> {
        vec![
            Output::figure("totals", "sums", "all start from them"),
            Output::check(CHECK, "whether there is a result"),
            Output::coefficients(COEFFICIENTS, Recipients::All, 1, true, "rounded"),
        ]
    }

    fn folder(state: &Path) -> StudyFolder {
        let sealer = Sealer::new(&identity(), "records of a study/1");
        let folder = StudyFolder { path: state.join("study"), sealer };
        folder.open().unwrap();
        folder
    }

    /// The disk of the state directory shows no share, and nothing by which rows could be guessed.
    #[test]
    fn what_is_kept_is_sealed() {
        let state = tempfile::tempdir().unwrap();
        let folder = folder(state.path());
        let rows = table(&[["31", "f", "y"]]);
        folder.bind_rows(&BoundRows::new(&rows)).unwrap();
        let share = [0x5a; 48];
        let mut log = folder.log(&outputs());
        for label in [CHECK, COEFFICIENTS] {
            log.record(label, &share).unwrap();
        }
        let read = |path: &Path| fs::read(path).unwrap();
        for (kind, label) in [(INTERIM, CHECK), (RELEASED, COEFFICIENTS)] {
            let path = folder.message(kind, label);
            let kept = read(&path);
            assert!(!kept.windows(4).any(|window| window == &share[..4]), "{label}");
            assert_eq!(folder.sealer.open(&folder.what(&path), &kept).unwrap().as_slice(), share);
        }
        let kept = read(&state.path().join("study").join(ROWS));
        assert!((0..=kept.len() - 69).all(|at| {
            let record = Record::parse(&kept[at..at + 69]).unwrap();
            !BoundRows::new(&rows).fit(&record)
        }));
        // Nor does another identity take it for its own.
        let other = StudyFolder { sealer: Sealer::new(&identity(), "x"), ..folder.clone() };
        assert!(other.bind_rows(&BoundRows::new(&rows)).is_err());
        assert_eq!(folder.bind_rows(&BoundRows::new(&rows)).unwrap(), 2);
    }

    #[test]
    fn what_may_be_repeated_is_repeated_on_the_same_rows_only() {
        let state = tempfile::tempdir().unwrap();
        let folder = folder(state.path());
        let mut log = folder.log(&outputs());
        let (rows, others) = (table(&[["31", "f", "y"]]), table(&[["32", "f", "y"]]));
        let bind = |folder: &StudyFolder, rows| folder.bind_rows(&BoundRows::new(rows));

        // Nothing is known of the first rows when the run ends: they may be corrected.
        assert_eq!(bind(&folder, &others).unwrap(), 1);
        assert_eq!(bind(&folder, &rows).unwrap(), 1);
        log.record(CHECK, b"share").unwrap();
        let refused = bind(&folder, &others).unwrap_err();
        assert!(refused.exit == Exit::Exists && refused.what.contains("other rows"), "{refused}");

        // A check is no release, and is revealed again.
        folder.open().unwrap();
        assert_eq!(bind(&folder, &rows).unwrap(), 2);
        assert!(!folder.has_released(CHECK));
        // That it was revealed once is not forgotten, though this run ends before.
        assert!(bind(&folder, &others).is_err());
        for label in ["totals", CHECK] {
            log.record(label, b"another share").unwrap();
        }
        assert_eq!(bind(&folder, &rows).unwrap(), 3);

        // The result is released once, and so is what no list names.
        for label in [COEFFICIENTS, "something else"] {
            log.record(label, b"share").unwrap();
            let refused = folder.open().unwrap_err();
            assert!(refused.what.contains("did not come to an end"), "{refused}");
            fs::remove_file(folder.message(RELEASED, label)).unwrap();
            folder.open().unwrap();
        }
    }

    #[test]
    fn a_damaged_record_is_no_permission() {
        let state = tempfile::tempdir().unwrap();
        let folder = folder(state.path());
        let rows = table(&[["31", "f", "y"]]);
        folder.bind_rows(&BoundRows::new(&rows)).unwrap();
        let path = state.path().join("study/rows.bin");
        fs::write(&path, &fs::read(&path).unwrap()[1..]).unwrap();
        assert!(folder.bind_rows(&BoundRows::new(&rows)).is_err());
    }

    #[test]
    fn what_a_killed_run_left_is_removed_and_nothing_else() {
        let state = tempfile::tempdir().unwrap();
        let folder = folder(state.path());
        let at = |name: &str| state.path().join("study").join(name);
        for name in [".party-x1y2z3.tmp", ".tmp", "notes.tmp", ".party-notes"] {
            fs::write(at(name), b"x").unwrap();
        }
        folder.open().unwrap();
        let left =
            [".party-x1y2z3.tmp", ".tmp", "notes.tmp", ".party-notes"].map(|n| at(n).exists());
        assert_eq!(left, [false, true, true, true]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = state.path().join("study").metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
        }
    }
}
