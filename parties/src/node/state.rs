//! The state directory: private, of one node at a time, and with the store in it.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::inbox;
use crate::exit::{Exit, Failure};
use crate::identity::Identity;
use crate::output::remove_leftovers;
use crate::store::Store;

/// The file whose lock says that a node is at work. It stays when the node ends.
const LOCK: &str = ".lock";

/// The state directory, locked until this is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct State {
    store: Store,
    directory: PathBuf,
    /// Let go last.
    _lock: File,
}

impl State {
    /// Makes the directory if need be, locks it, and opens the store of this node in it: two nodes that
    /// shared it could both take a study for one that was not released yet. What a killed node was
    /// writing is removed.
    ///
    /// # Errors
    /// When another node is at work, nothing can be written there, or the store is not this node's.
    pub fn lock(directory: &Path, identity: &Identity) -> Result<Self, Failure> {
        Self::unless_busy(directory, identity)?.ok_or_else(|| {
            let what = "another node is at work with this state directory";
            Failure::new(Exit::Configuration, what).in_file(directory).advise(
                "wait for its end or stop it; a node that runs beside it needs a party.toml with \
                 another state.directory and another address",
            )
        })
    }

    /// The same; none when another node is at work.
    ///
    /// # Errors
    /// When nothing can be written there, or the store is not this node's.
    pub fn unless_busy(directory: &Path, identity: &Identity) -> Result<Option<Self>, Failure> {
        let Some(lock) = Self::take(directory)? else { return Ok(None) };
        remove_all_leftovers(directory).map_err(|error| unusable(directory, &error))?;
        let store = Store::open(directory, &identity.owner())?;
        inbox::take_in(directory, &store, &identity.fingerprint())?;
        Ok(Some(Self { store, directory: directory.to_owned(), _lock: lock }))
    }

    /// What the node remembers.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Where it is.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn take(directory: &Path) -> Result<Option<File>, Failure> {
        let failed = |error: io::Error| unusable(directory, &error);
        make_private(directory).map_err(failed)?;
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let lock = options.open(directory.join(LOCK)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(lock)),
            Err(TryLockError::Error(error)) => Err(failed(error)),
            Err(TryLockError::WouldBlock) => Ok(None),
        }
    }
}

/// Removes what killed nodes were writing, to the directory and to the folders of all studies.
fn remove_all_leftovers(directory: &Path) -> io::Result<()> {
    remove_leftovers(directory)?;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_leftovers(&entry.path())?;
        }
    }
    Ok(())
}

fn unusable(directory: &Path, error: &io::Error) -> Failure {
    let what = format!("the state directory cannot be used: {error}");
    Failure::new(Exit::Configuration, what).in_file(directory)
}

/// Makes a directory that only its owner can look into; one that is there stays as it is.
///
/// # Errors
/// What the system says.
pub(super) fn make_private(directory: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

#[cfg(test)]
mod tests {
    use super::super::seal::testing::identity;
    use super::*;

    #[test]
    fn a_directory_serves_one_node_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("deep/state");
        let (own, other) = (identity(), identity());
        let first = State::lock(&state, &own).unwrap();
        let second = State::lock(&state, &own).unwrap_err();
        assert_eq!(second.exit, Exit::Configuration);
        assert!(second.what.contains("another node is at work"), "{second}");
        drop(first);
        // What a killed node was writing goes, and nothing else.
        std::fs::create_dir(state.join("0123456789abcdef")).unwrap();
        let left = [".party-x1y2z3.tmp", "0123456789abcdef/.party-a.tmp", "notes.tmp"];
        let left = left.map(|name| state.join(name));
        left.iter().for_each(|file| std::fs::write(file, "x").unwrap());
        State::lock(&state, &own).unwrap();
        assert_eq!(left.map(|file| file.exists()), [false, false, true]);
        let refused = State::lock(&state, &other).unwrap_err();
        assert!(refused.what.contains("another key"), "{refused}");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(&state), 0o700);
            assert_eq!(mode(&state.join(LOCK)), 0o600);
            assert_eq!(mode(&state.join(crate::store::FILE)), 0o600);
        }
    }
}
