//! Approvals that are given, or taken back, while a node is at work with the store: they lie in a folder
//! of the state directory until the store is opened the next time.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::state::make_private;
use crate::approval::ApprovalEntry;
use crate::exit::{Exit, Failure};
use crate::identity::Fingerprint;
use crate::input;
use crate::output::{create, hex, remove, unhex};
use crate::store::{Store, StudyEntry};
use crate::study::StudyDigest;

const FOLDER: &str = "inbox";

/// One of them.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Letter {
    study: String,
    entry: StudyEntry,
    approval: ApprovalEntry,
}

/// Leaves one for the next who opens the store.
///
/// # Errors
/// When nothing can be written there.
pub(super) fn leave(
    directory: &Path,
    study: &StudyDigest,
    entry: StudyEntry,
    approval: ApprovalEntry,
) -> Result<(), Failure> {
    let folder = directory.join(FOLDER);
    make_private(&folder).map_err(|error| unusable(&folder, &error))?;
    let letter = Letter { study: hex(study.as_bytes()), entry, approval };
    let text = serde_json::to_vec(&letter)
        .map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
    // The names are in the order of time; two processes never have the same one.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let name = format!("{:020}-{}.json", since.as_nanos(), std::process::id());
    create(&folder.join(name), &text)
}

/// What lies there about a study, in order.
///
/// # Errors
/// When it cannot be read, or was changed.
pub(super) fn about(
    directory: &Path,
    key: &Fingerprint,
    study: &StudyDigest,
) -> Result<Vec<ApprovalEntry>, Failure> {
    let letters = letters(directory, key)?.into_iter();
    let about = letters.filter(|(_, of, _)| of.as_bytes() == study.as_bytes());
    Ok(about.map(|(_, _, letter)| letter.approval).collect())
}

/// Takes what lies there into the store, in order.
///
/// # Errors
/// When it cannot be read or was changed, or the store cannot be written.
pub(super) fn take_in(directory: &Path, store: &Store, key: &Fingerprint) -> Result<(), Failure> {
    for (path, study, letter) in letters(directory, key)? {
        store.see_study(&study, &letter.entry)?;
        // Again after a kill between these two steps it says nothing new.
        store.record_approval(&study, &letter.approval)?;
        remove(&path)?;
    }
    Ok(())
}

fn letters(
    directory: &Path,
    key: &Fingerprint,
) -> Result<Vec<(PathBuf, StudyDigest, Letter)>, Failure> {
    let folder = directory.join(FOLDER);
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| unusable(&folder, &error))?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| unusable(&folder, &error))?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            paths.push(path);
        }
    }
    paths.sort();
    paths.into_iter().map(|path| read(path, key)).collect()
}

fn read(path: PathBuf, key: &Fingerprint) -> Result<(PathBuf, StudyDigest, Letter), Failure> {
    let text = input::text(&path).map_err(|error| unusable(&path, &error))?;
    let letter: Option<Letter> = serde_json::from_str(&text).ok();
    let whole = letter.and_then(|letter| {
        let digest: [u8; 32] = unhex(&letter.study)?.try_into().ok()?;
        let of_text = StudyDigest::of(letter.entry.text.as_bytes());
        let signed = match &letter.approval {
            ApprovalEntry::Given(signed) => {
                signed.holds(key) && signed.approval.study == letter.study
            }
            ApprovalEntry::Withdrawn { .. } => true,
        };
        (signed && of_text.as_bytes() == &digest).then_some((of_text, letter))
    });
    let Some((study, letter)) = whole else {
        let what = "this is no approval that this node has signed, or it was changed";
        return Err(Failure::new(Exit::Configuration, what)
            .in_file(&path)
            .advise("remove the file, and run `party study approve` again"));
    };
    Ok((path, study, letter))
}

fn unusable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Configuration, format!("it cannot be used: {error}")).in_file(path)
}
