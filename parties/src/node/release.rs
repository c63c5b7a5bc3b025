//! What a study leaves on disk, and the rule that it is released once.

use std::fs;
use std::path::{Path, PathBuf};

use mpc_core::ReleaseLog;
use mpc_ml::data::JointColumn;
use ring::digest::{Context, SHA256};
use zeroize::Zeroizing;

use crate::exit::{Exit, Failure};
use crate::output::{create, exists};
use crate::study::StudyDigest;

/// How the files begin that hold what was sent of an output.
const RELEASED: &str = "released-";
/// The outputs that may be revealed again of the same rows.
const STATISTICS: [&str; 2] = [mpc_ml::standardise::MEANS, mpc_ml::standardise::DEVIATIONS];

/// The folder of one study in the state directory.
#[derive(Clone, Debug)]
pub struct StudyFolder(PathBuf);

impl StudyFolder {
    /// The folder of the study with this digest; it need not exist.
    #[must_use]
    pub fn of(state: &Path, digest: StudyDigest) -> Self {
        let name: String = digest.as_bytes()[..8].iter().map(|b| format!("{b:02x}")).collect();
        Self(state.join(name))
    }

    /// Makes the folder, and sees to it that nothing of the study was released before but the joint
    /// statistics, which have a rule of their own.
    ///
    /// # Errors
    /// [`Exit::Exists`] when this node has already sent its part of the result.
    pub fn open(&self) -> Result<(), Failure> {
        if self.has_released_results() {
            let refused = |what, advice| {
                Err(Failure::new(Exit::Exists, what).in_file(&self.0).advise(advice))
            };
            if self.receipt().exists() {
                return refused(
                    "this study was released before, and a study is released once: a second run \
                     would reveal a second rounding of the same result",
                    "use the model in this folder; for another training agree with the other \
                     parties on a study with another title or seed",
                );
            }
            return refused(
                "an earlier run of this study began to reveal its results and did not come to an \
                 end; what it revealed is not revealed again",
                "agree with the other parties on a study with another title, or with other settings \
                 if it was refused",
            );
        }
        fs::create_dir_all(&self.0).map_err(|error| {
            let what = format!("the folder of the study cannot be made: {error}");
            Failure::new(Exit::Configuration, what).in_file(&self.0)
        })?;
        Ok(())
    }

    /// Binds the joint statistics of this study to these rows. A run that ended after its
    /// statistics may be repeated on the same rows, where they are the same again; on other rows
    /// the difference would tell what changed.
    ///
    /// # Errors
    /// [`Exit::Exists`] when the statistics of other rows were revealed before.
    pub fn bind_statistics(&self, columns: &[JointColumn<'_>], rows: usize) -> Result<(), Failure> {
        let path = self.0.join("statistics-of.bin");
        let digest = digest_of(columns, rows);
        match fs::read(&path) {
            Ok(before) if before == digest => {}
            Ok(_) => {
                return Err(Failure::new(
                    Exit::Exists,
                    "the joint statistics of this study were revealed before, on other rows; the \
                     difference would tell what changed",
                )
                .in_file(&path)
                .advise(
                    "use the rows of the first run, or agree with the other parties on a new study",
                ));
            }
            Err(_) => create(&path, &digest)?,
        }
        for label in STATISTICS {
            let _ = fs::remove_file(self.message(label));
        }
        Ok(())
    }

    /// Whether this node has sent its part of any output but the joint statistics.
    fn has_released_results(&self) -> bool {
        let statistics = STATISTICS.map(|label| self.message(label));
        let Ok(files) = fs::read_dir(&self.0) else { return false };
        files.flatten().map(|file| file.path()).any(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(RELEASED) && !statistics.contains(&path)
        })
    }

    /// Whether this node has sent its part of an output.
    #[must_use]
    pub fn has_released(&self, label: &str) -> bool {
        self.message(label).exists()
    }

    /// Where `model.json` goes.
    #[must_use]
    pub fn model(&self) -> PathBuf {
        self.0.join("model.json")
    }

    /// Where `receipt.json` goes.
    #[must_use]
    pub fn receipt(&self) -> PathBuf {
        self.0.join("receipt.json")
    }

    /// Where the message of a release is kept.
    fn message(&self, label: &str) -> PathBuf {
        self.0.join(format!("{RELEASED}{}.bin", label.replace(' ', "-")))
    }

    /// Fails early where a result would be overwritten.
    pub(super) fn refuse_existing(path: &Path) -> Result<(), Failure> {
        if path.symlink_metadata().is_ok() { Err(exists(path)) } else { Ok(()) }
    }
}

/// A digest of what this party puts into the statistics. Stays in the state directory, and is no
/// part of the protocol: SHA-256, which processors have instructions for, since this goes through
/// all rows.
fn digest_of(columns: &[JointColumn<'_>], rows: usize) -> [u8; 32] {
    let mut hash = Context::new(&SHA256);
    hash.update(b"mpc rows of the statistics, version 1\0");
    hash.update(&(rows as u64).to_le_bytes());
    let mut bytes = Zeroizing::new(Vec::with_capacity(8 * rows));
    for column in columns {
        hash.update(&(column.name.len() as u64).to_le_bytes());
        hash.update(column.name.as_bytes());
        bytes.clear();
        for value in column.values() {
            let bits = value.map_or(u64::MAX, f64::to_bits);
            bytes.extend_from_slice(&bits.to_le_bytes());
        }
        hash.update(&bytes);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(hash.finish().as_ref());
    digest
}

impl ReleaseLog for StudyFolder {
    fn record(&mut self, label: &str, message: &[u8]) -> Result<(), String> {
        create(&self.message(label), message).map_err(|failure| failure.what)
    }
}
