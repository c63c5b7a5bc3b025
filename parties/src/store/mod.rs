//! The memory of a node: one database in the state directory, `store.redb`.
//!
//! It holds what must not be forgotten or told twice: the studies that this node has seen, the approvals
//! that were given, which rows a study was run on, what was sent of results, every run with its receipt,
//! and the ledger of what was revealed of which data. Every change is on the disk before the call that
//! makes it returns. docs/operations.md says what is in it, and what its loss means.

mod approvals;
mod budget;
mod checkpoints;
mod entries;
mod error;
mod listing;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use redb::{
    ConcurrencyMode, Database, ReadOnlyDatabase, ReadTransaction, ReadableDatabase, ReadableTable,
    TableDefinition, WriteTransaction,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use budget::{BudgetEntry, Charge, Charged, Head, Spending};
pub use checkpoints::SealedState;
pub use entries::{DataEntry, DataId, Kind, Ledgered, Outcome, Run, RunEntry, StudyEntry};
pub(crate) use error::StoreError;
pub use listing::{Contents, Numbered};

use crate::exit::{Exit, Failure};
use crate::identity::Fingerprint;
use crate::output::{PREFIX, SUFFIX};
use crate::study::StudyDigest;

/// The file in the state directory.
pub const FILE: &str = "store.redb";

/// The version of the format.
const FORMAT: &[u8] = b"1";

/// More than all that a node knows.
const CACHE: usize = 4 << 20;

type Bytes = &'static [u8];
type Digest = &'static [u8; 32];

const META: TableDefinition<'_, &str, Bytes> = TableDefinition::new("meta");
const STUDIES: TableDefinition<'_, Digest, Bytes> = TableDefinition::new("studies");
const DATA: TableDefinition<'_, Digest, Bytes> = TableDefinition::new("data");
/// Sealed: which rows a study was run on.
const ROWS: TableDefinition<'_, Digest, Bytes> = TableDefinition::new("rows");
/// Sealed: what was sent to reveal an output, by study, kind and label.
const SENT: TableDefinition<'_, (Digest, u8, &str), Bytes> = TableDefinition::new("sent");
const RUNS: TableDefinition<'_, u64, Bytes> = TableDefinition::new("runs");
const RECEIPTS: TableDefinition<'_, u64, Bytes> = TableDefinition::new("receipts");
/// By study and number: the last entry of a study counts.
const APPROVALS: TableDefinition<'_, (Digest, u64), Bytes> = TableDefinition::new("approvals");
/// By study and party: the highest run of the study that this party ever named.
const HEARD: TableDefinition<'_, (Digest, &str), u32> = TableDefinition::new("heard");
/// By study: since when all parties have said that they have what they are due.
const DONE: TableDefinition<'_, Digest, u64> = TableDefinition::new("done");
/// Sealed: states of fits, by study and number.
const CHECKPOINTS: TableDefinition<'_, (Digest, u64), Bytes> = TableDefinition::new("checkpoints");
const LEDGER: TableDefinition<'_, u64, Bytes> = TableDefinition::new("ledger");

/// An open store. Clones are the same store.
#[derive(Clone)]
pub struct Store {
    handle: Handle,
    path: Arc<Path>,
}

#[derive(Clone)]
enum Handle {
    Whole(Arc<Database>),
    /// Beside a node that is at work.
    Reads(Arc<ReadOnlyDatabase>),
}

/// A database that one process writes and others may read meanwhile.
fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder
        .set_cache_size(CACHE)
        .set_concurrency_mode(ConcurrencyMode::SingleWriter)
        .set_check_integrity_on_open(true);
    builder
}

impl Store {
    /// Opens the store of the node with this key, and makes one where there is none. Only for who has
    /// locked the directory.
    ///
    /// # Errors
    /// When it cannot be read or written, is damaged, of another version, or another node's.
    pub fn open(directory: &Path, key: &Fingerprint) -> Result<Self, Failure> {
        let path = directory.join(FILE);
        if !path.exists() {
            create(&path, key).map_err(|error| error.failure(&path))?;
        }
        let opened = builder().open(&path).map_err(StoreError::from);
        let database = opened.map_err(|error| error.failure(&path))?;
        let store = Self { handle: Handle::Whole(Arc::new(database)), path: path.into() };
        store.check(key)?;
        Ok(store)
    }

    /// Opens the store beside a node that is at work, to look at it.
    ///
    /// # Errors
    /// As [`open`](Self::open), and where there is none.
    pub fn look(directory: &Path, key: &Fingerprint) -> Result<Self, Failure> {
        let path = directory.join(FILE);
        let opened = builder().open_read_only(&path).map_err(StoreError::from);
        let database = opened.map_err(|error| error.failure(&path))?;
        let store = Self { handle: Handle::Reads(Arc::new(database)), path: path.into() };
        store.check(key)?;
        Ok(store)
    }

    fn check(&self, key: &Fingerprint) -> Result<(), Failure> {
        let told = self.read(|transaction| {
            let meta = transaction.open_table(META)?;
            let value = |name| Ok::<_, StoreError>(meta.get(name)?.map(|it| it.value().to_vec()));
            Ok((value("format")?, value("key")?))
        });
        let refused = |what: String| Failure::new(Exit::Configuration, what).in_file(&self.path);
        let (format, owner) = told?;
        if format.as_deref() != Some(FORMAT) {
            let format = String::from_utf8_lossy(&format.unwrap_or_default()).into_owned();
            return Err(refused(format!(
                "the store has the format {format:?}, and this program knows format 1"
            ))
            .advise("use the program that wrote it, or a newer one"));
        }
        if owner.as_deref() != Some(key.as_bytes().as_slice()) {
            return Err(refused("the store belongs to a node with another key".to_owned()).advise(
                "use the identity.key that it was made with; a node with a new key needs another \
                 state.directory in party.toml",
            ));
        }
        Ok(())
    }

    /// Reads in one transaction.
    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(&ReadTransaction) -> Result<T, StoreError>,
    ) -> Result<T, Failure> {
        let begun = match &self.handle {
            Handle::Whole(database) => database.begin_read(),
            Handle::Reads(database) => database.begin_read(),
        };
        let done = begun.map_err(StoreError::from).and_then(|transaction| work(&transaction));
        done.map_err(|error| error.failure(&self.path))
    }

    /// Changes all or nothing, and returns when it is on the disk.
    pub(crate) fn write<T>(
        &self,
        work: impl FnOnce(&WriteTransaction) -> Result<T, StoreError>,
    ) -> Result<T, Failure> {
        let Handle::Whole(database) = &self.handle else {
            return Err(Failure::new(Exit::Internal, "this store is open to be read only"));
        };
        let done = || {
            let transaction = database.begin_write()?;
            let value = work(&transaction)?;
            transaction.commit()?;
            Ok(value)
        };
        done().map_err(|error: StoreError| error.failure(&self.path))
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Makes a store with all its tables, whole or not at all.
fn create(path: &Path, key: &Fingerprint) -> Result<(), StoreError> {
    let directory = path.parent().unwrap_or(Path::new("."));
    // Mode 0600 from its first moment.
    let file = tempfile::Builder::new().prefix(PREFIX).suffix(SUFFIX).tempfile_in(directory)?;
    {
        let database = builder().create(file.path())?;
        let transaction = database.begin_write()?;
        {
            let mut meta = transaction.open_table(META)?;
            meta.insert("format", FORMAT)?;
            meta.insert("key", key.as_bytes().as_slice())?;
            transaction.open_table(STUDIES)?;
            transaction.open_table(DATA)?;
            transaction.open_table(ROWS)?;
            transaction.open_table(SENT)?;
            transaction.open_table(RUNS)?;
            transaction.open_table(RECEIPTS)?;
            transaction.open_table(LEDGER)?;
            transaction.open_table(APPROVALS)?;
            transaction.open_table(HEARD)?;
            transaction.open_table(DONE)?;
            transaction.open_table(CHECKPOINTS)?;
        }
        transaction.commit()?;
    }
    file.as_file().sync_all()?;
    file.persist_noclobber(path).map_err(|error| error.error)?;
    Ok(File::open(directory)?.sync_all()?)
}

/// The place of a study in the keys of the tables.
fn place(study: &StudyDigest) -> &[u8; 32] {
    study.as_bytes()
}

fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, StoreError> {
    let failed = |error: serde_json::Error| Failure::new(Exit::Internal, error.to_string());
    Ok(serde_json::to_vec(value).map_err(failed)?)
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|_| StoreError::Damaged)
}

/// The place after the last one of a table that is only added to.
fn next(table: &impl ReadableTable<u64, Bytes>) -> Result<u64, StoreError> {
    Ok(table.last()?.map_or(1, |(last, _)| last.value() + 1))
}

#[cfg(test)]
mod tests;
