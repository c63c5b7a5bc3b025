//! The state directory: private, and of one node at a time.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

use crate::exit::{Exit, Failure};

/// The file whose lock says that a node is at work. It stays when the node ends.
const LOCK: &str = ".lock";

/// The state directory, locked until this is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct State {
    _lock: File,
}

impl State {
    /// Makes the directory if need be, and locks it: two nodes that shared it could both take a
    /// study for one that was not released yet.
    ///
    /// # Errors
    /// When another node is at work, or nothing can be written there.
    pub fn lock(directory: &Path) -> Result<Self, Failure> {
        let failed = |error: io::Error| {
            let what = format!("the state directory cannot be used: {error}");
            Failure::new(Exit::Configuration, what).in_file(directory)
        };
        make_private(directory).map_err(failed)?;
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let lock = options.open(directory.join(LOCK)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { _lock: lock }),
            Err(TryLockError::Error(error)) => Err(failed(error)),
            Err(TryLockError::WouldBlock) => {
                let what = "another node is at work with this state directory";
                Err(Failure::new(Exit::Configuration, what).in_file(directory).advise(
                    "wait for its end or stop it; a node that runs beside it needs a party.toml with \
                     another state.directory and another address",
                ))
            }
        }
    }
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
    use super::*;

    #[test]
    fn a_directory_serves_one_node_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("deep/state");
        let first = State::lock(&state).unwrap();
        let second = State::lock(&state).unwrap_err();
        assert_eq!(second.exit, Exit::Configuration);
        assert!(second.what.contains("another node is at work"), "{second}");
        drop(first);
        State::lock(&state).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(&state), 0o700);
            assert_eq!(mode(&state.join(LOCK)), 0o600);
        }
    }
}
