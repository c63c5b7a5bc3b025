//! The record of a run: what its node needs to do its part again, and what the others signed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use mpc_core::Checkpoint;
use mpc_core::rand::Master;
use mpc_core::session::Signed;
use mpc_net::record::{Entry, reached};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::super::folder_of;
use super::super::release::SEALED;
use super::super::{Sealer, StudyFolder};
use crate::exit::{Exit, Failure};
use crate::identity::Identity;
use crate::output::{create, remove};
use crate::study::StudyDigest;

/// The name of the file in the folder of its study.
const RECORD: &str = "audit.bin";
/// The name of the file with the received messages.
const MESSAGES: &str = "received.bin";

/// The version of the format.
pub(super) const VERSION: u32 = 3;

/// All messages in one direction with one node, by channel.
pub type Lines = BTreeMap<String, Vec<Entry>>;

/// Which run it is, and of whom: the same at all its nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunName {
    /// The digest of the study.
    pub study: [u8; 32],
    /// The digest of study and roster that all nodes have agreed on.
    pub context: [u8; 32],
    /// The session.
    pub session: [u8; 32],
    /// Name and key of every node, in their order; a dealer last.
    pub nodes: Vec<(String, [u8; 32])>,
    /// What each committed to: the seed of its coins.
    pub commitments: Vec<[u8; 32]>,
}

/// What a node keeps of the last run of a study, beside the seed of its coins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    pub(super) version: u32,
    /// The run.
    pub run: RunName,
    /// This node.
    pub me: u16,
    /// The version of the program.
    pub program: String,
    /// Seconds since 1970 when the nodes had met.
    pub started: u64,
    /// The salted digest of this party's rows.
    pub rows: Vec<u8>,
    /// What this node said of its approval.
    pub consent: Vec<u8>,
    /// What it could have gone on from, with its shares.
    pub(super) checkpoints: Vec<Checkpoint>,
    /// Whether the run came to its end; no while it has not ended.
    pub complete: bool,
    /// What this node sent, by node.
    pub(super) sent: Vec<Lines>,
    /// What it received, by node.
    pub(super) received: Vec<Lines>,
    /// What the others said under their signatures.
    pub statements: Vec<Signed>,
}

impl AuditRecord {
    /// The record of a run that begins.
    pub(super) fn new(
        run: RunName,
        me: usize,
        started: u64,
        (rows, consent): (Vec<u8>, Vec<u8>),
        checkpoints: Vec<Checkpoint>,
    ) -> Self {
        Self {
            version: VERSION,
            run,
            me: me as u16,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            started,
            rows,
            consent,
            checkpoints,
            complete: false,
            sent: Vec::new(),
            received: Vec::new(),
            statements: Vec::new(),
        }
    }

    /// The name of a node.
    #[must_use]
    pub fn name(&self, node: usize) -> &str {
        self.run.nodes.get(node).map_or("an unknown node", |(name, _)| name)
    }

    /// The last statement of `node`.
    pub(super) fn statement(&self, node: usize) -> Option<&Signed> {
        self.statements.iter().rfind(|signed| usize::from(signed.statement.from) == node)
    }
}

/// Where the record of a study lies.
#[derive(Clone, Debug)]
pub(super) struct Files {
    folder: PathBuf,
    sealer: Sealer,
}

impl Files {
    pub(super) fn of(folder: &StudyFolder) -> Self {
        Self { folder: folder.path().to_owned(), sealer: folder.sealer().clone() }
    }

    /// The same for who does not open the store.
    pub(super) fn at(directory: &Path, study: &StudyDigest, identity: &Identity) -> Self {
        let folder = folder_of(directory, study);
        Self { folder, sealer: Sealer::new(identity, SEALED) }
    }

    pub(super) fn record(&self) -> PathBuf {
        self.folder.join(RECORD)
    }

    pub(super) fn messages(&self) -> PathBuf {
        self.folder.join(MESSAGES)
    }

    /// What a sealed file is: a file of this name in a folder of this name.
    fn what(&self, file: &Path) -> Vec<u8> {
        let name = |path: &Path| path.file_name().unwrap_or_default().as_encoded_bytes().to_vec();
        [name(&self.folder), name(file)].join(&b'/')
    }

    /// Writes the record with its master, sealed, in the place of the one before.
    pub(super) fn write(&self, record: &AuditRecord, master: &Master) -> Result<(), Failure> {
        let path = self.record();
        let encoded = postcard::to_stdvec(record)
            .map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(Master::BYTES + encoded.len()));
        bytes.extend_from_slice(&*master.to_bytes());
        bytes.extend_from_slice(&encoded);
        let sealed = self.sealer.seal(&self.what(&path), &bytes)?;
        remove(&path)?;
        create(&path, &sealed)
    }

    /// Reads the record and its master.
    pub(super) fn read(&self) -> Result<(AuditRecord, Master), Failure> {
        let path = self.record();
        let failed = |exit, what: String| Failure::new(exit, what).in_file(&path);
        let sealed = fs::read(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                failed(Exit::Configuration, "nothing is kept of a run of this study".to_owned())
                    .advise(
                        "[audit] keep in party.toml says what is kept; `party audit forget` has \
                         removed it, or there was no run",
                    )
            }
            _ => failed(Exit::Configuration, format!("the record cannot be read: {error}")),
        })?;
        let damaged =
            || failed(Exit::LocalInput, "the record was changed, or is another node's".to_owned());
        let bytes = self.sealer.open(&self.what(&path), &sealed).ok_or_else(damaged)?;
        let (master, rest) = bytes.split_first_chunk::<{ Master::BYTES }>().ok_or_else(damaged)?;
        // The version stands first: a record of another one has other fields.
        let (version, _) = postcard::take_from_bytes::<u32>(rest).map_err(|_| damaged())?;
        if version != VERSION {
            let what = format!(
                "the record is of version {version}, and this program reads version {VERSION}"
            );
            return Err(failed(Exit::Configuration, what));
        }
        let record: AuditRecord = postcard::from_bytes(rest).map_err(|_| damaged())?;
        Ok((record, Master::from_bytes(master)))
    }

    /// Removes what is kept; gives the bytes that it took.
    pub(super) fn forget(&self) -> Result<u64, Failure> {
        let mut bytes = 0;
        for path in [self.record(), self.messages()] {
            bytes += size(&path);
            remove(&path)?;
        }
        Ok(bytes)
    }
}

/// The bytes of a file; none where there is no file.
pub(super) fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}

/// Whether a statement is about all of `lines`, and nothing else.
pub(super) fn covers(signed: &Signed, lines: &Lines) -> bool {
    let said = &signed.statement.reached;
    said.len() == lines.len()
        && said.iter().all(|said| {
            let entries = lines.get(&said.channel);
            entries.is_some_and(|entries| {
                entries.len() as u64 == said.messages
                    && reached(&said.channel, entries, said.messages).as_ref() == Some(said)
            })
        })
}
