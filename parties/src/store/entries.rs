//! What the store knows of studies, data and runs. Nothing in these entries tells about a row; they are
//! private to the node all the same.

use std::fmt;

use ring::hmac;
use serde::{Deserialize, Serialize};

use crate::data_file::FileDigest;
use crate::identity::Identity;
use crate::output::hex;

/// A data set of this node: a keyed digest of the bytes of its file (docs/operations.md). It says nothing
/// to anybody who does not have the node's key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DataId(pub [u8; 32]);

impl DataId {
    /// The file with this digest, as the node with this key knows it.
    #[must_use]
    pub fn of(identity: &Identity, file: &FileDigest) -> Self {
        let key = identity.derive("data sets/1");
        let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_slice());
        let mut id = [0; 32];
        id.copy_from_slice(hmac::sign(&key, file.as_bytes()).as_ref());
        Self(id)
    }
}

impl fmt::Display for DataId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for DataId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A study that this node has seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StudyEntry {
    /// Its title.
    pub title: String,
    /// What it computes: the kind of its model, or the name of a protocol.
    pub kind: String,
    /// Its parties, in order.
    pub parties: Vec<String>,
    /// Seconds since 1970 when it was seen first.
    pub first_seen: u64,
    /// The text of its file.
    pub text: String,
}

/// A data set that this node took part with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataEntry {
    /// Its name here: `data.label` of party.toml, or the name of the file.
    pub label: String,
    /// Where the file was.
    pub path: String,
    /// How many rows it has.
    pub rows: u64,
    /// Seconds since 1970 when it was used first.
    pub first_used: u64,
}

/// A run that has begun: its place in the store.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its place among all runs of this node.
    pub place: u64,
    /// Which run of its study it is at this node, from 1.
    pub number: u32,
    /// The rows that it uses.
    pub data: DataId,
}

/// How a run came to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The class of its end, as `--json` has it: `ok` for a run that came to its end.
    pub class: String,
    /// In a sentence.
    pub what: String,
}

/// A run, from the moment when the nodes had met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEntry {
    /// The study, in hexadecimal digits.
    pub study: String,
    /// Which run of it, from 1.
    pub number: u32,
    /// The session.
    pub session: String,
    /// The data set.
    pub data: String,
    /// Rows of this party.
    pub rows: u64,
    /// Seconds since 1970 when the nodes had met.
    pub begun: u64,
    /// Seconds since 1970 when it ended; none while it runs, or when the process was killed.
    pub ended: Option<u64>,
    /// How it ended.
    pub outcome: Option<Outcome>,
}

/// What an output was to the result of its study.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A figure or a check, which a run on the same rows may reveal again.
    Interim,
    /// A part of the result.
    Result,
}

impl Kind {
    pub(super) fn place(self) -> u8 {
        match self {
            Self::Interim => 0,
            Self::Result => 1,
        }
    }
}

/// A line of the ledger: this node has sent its part of an output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledgered {
    /// The place of the run; none outside a run.
    pub run: Option<u64>,
    /// The study, in hexadecimal digits.
    pub study: String,
    /// The data set that it tells about.
    pub data: Option<String>,
    /// The label of the output.
    pub label: String,
    /// What it was to the result.
    pub kind: Kind,
    /// Whether it is what an earlier run recorded, sent again as it was.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
    /// Who learns it.
    pub to: Vec<String>,
    /// Seconds since 1970.
    pub at: u64,
}
