//! Why the store cannot be used.

use std::io;
use std::path::Path;

use crate::exit::{Exit, Failure};

/// Why work on the store ended.
#[derive(Debug)]
pub(crate) enum StoreError {
    /// The database says no.
    Database(Box<redb::Error>),
    /// What is in it is not what this program writes.
    Damaged,
    /// The work itself refused.
    Refused(Box<Failure>),
}

impl StoreError {
    /// For a person; `path` is the file.
    pub(super) fn failure(self, path: &Path) -> Failure {
        let unusable = |what: String| {
            Failure::new(Exit::Configuration, format!("the store cannot be used: {what}"))
                .in_file(path)
        };
        const DAMAGED: &str = "move the whole state directory away, keep it, and use a copy of it from before, or \
                               an empty one; a study that this node took part in must not be run \
                               again without its memory: agree on others with another title";
        match self {
            Self::Refused(failure) => *failure,
            Self::Damaged => unusable("an entry of it was changed".to_owned()).advise(DAMAGED),
            Self::Database(error) => match *error {
                redb::Error::Corrupted(what) => {
                    unusable(format!("it is damaged ({what})")).advise(DAMAGED)
                }
                redb::Error::DatabaseAlreadyOpen => {
                    unusable("another process has it open".to_owned())
                        .advise("wait for the end of that process, or stop it")
                }
                error => unusable(error.to_string()),
            },
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        Self::Refused(Box::new(failure))
    }
}

macro_rules! from_database {
    ($($error:ty),*) => {$(
        impl From<$error> for StoreError {
            fn from(error: $error) -> Self {
                Self::Database(Box::new(error.into()))
            }
        }
    )*};
}

from_database!(
    redb::DatabaseError,
    redb::TransactionError,
    redb::TableError,
    redb::StorageError,
    redb::CommitError
);

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        Self::Database(Box::new(redb::Error::Io(error)))
    }
}
