//! What can go wrong between nodes. Every error names the peer and what was expected of it.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Why a node gives up, in the classes that decide the exit code of its peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum AbortCode {
    /// The operator stopped the node.
    Stopped,
    /// The node's own input was refused; nothing about the input is said.
    LocalInput,
    /// The node found that a peer (named in the reason) did not keep to the protocol.
    PeerMisbehaved,
    /// The node lost another peer (named in the reason).
    PeerLost,
    /// The node's configuration or study does not fit.
    Configuration,
    /// A fault of the program.
    Internal,
}

/// An abort as the peers learn it: a class and a sentence without secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abort {
    /// The class.
    pub code: AbortCode,
    /// One sentence for the peers' operators. Never anything that depends on private data.
    pub reason: String,
}

impl Abort {
    /// An abort of class `code` with a sentence for the peers' operators.
    #[must_use]
    pub fn new(code: AbortCode, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }
}

impl fmt::Display for Abort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// An error of the transport.
///
/// `peer` is the peer's name as this node's configuration has it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetError {
    /// Nothing arrived in time.
    #[error(
        "{peer} sent nothing for {} s while {expected} was due{}",
        after.as_secs_f32(),
        Chain(waits)
    )]
    Timeout {
        /// The silent peer.
        peer: String,
        /// The step that was due.
        expected: String,
        /// The time-out that ran down.
        after: Duration,
        /// Who says that it waits for whom: the silent peer, then those for whom it waits. The word of each
        /// is all there is of it, so both are named.
        waits: Vec<(String, String)>,
    },
    /// The connection is gone.
    #[error("the connection to {peer} was lost while {expected} was due: {detail}")]
    Lost {
        /// The lost peer.
        peer: String,
        /// The step that was due.
        expected: String,
        /// What the network said.
        detail: String,
    },
    /// The peer gave up and said why.
    #[error("{peer} gave up: {reason}")]
    Aborted {
        /// The peer that gave up.
        peer: String,
        /// Its reason.
        reason: Abort,
    },
    /// The frame is not the one that is due: other session, step or sequence number.
    #[error("{peer} is out of step: {expected} was due, {got} came")]
    OutOfStep {
        /// The peer.
        peer: String,
        /// What was due.
        expected: String,
        /// What came instead.
        got: String,
    },
    /// The frame has another length than the one that is due.
    #[error("{peer} sent {got} bytes in {step} where {expected} were due")]
    Length {
        /// The peer.
        peer: String,
        /// The step.
        step: String,
        /// The length that was due.
        expected: String,
        /// The length that the frame announced.
        got: u64,
    },
    /// The bytes are not a frame or not a message of this protocol.
    #[error("{peer} sent something that is not {expected}: {detail}")]
    Malformed {
        /// The peer.
        peer: String,
        /// What was due.
        expected: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The node at the peer's address holds another key than the pinned one.
    #[error(
        "the node at {address} is not {peer}: it shows the key {got}, but {expected} is pinned for {peer}"
    )]
    WrongKey {
        /// The peer that was dialled.
        peer: String,
        /// Its address.
        address: String,
        /// The pinned key's fingerprint.
        expected: String,
        /// The fingerprint that was shown.
        got: String,
    },
    /// The peer refused this node when joining: its key, version, study or role does not fit.
    #[error("{peer} and this node do not fit together: {reason}")]
    Refused {
        /// The peer.
        peer: String,
        /// What does not fit, in words.
        reason: String,
    },
    /// This node was stopped while the nodes met.
    #[error("stopped by the operator while the nodes met")]
    Stopped,
    /// This node's own network settings do not work, for example an address in use.
    #[error("{0}")]
    Configuration(String),
    /// A fault of this program, such as a channel used after an error.
    #[error("internal error in the transport: {0}")]
    Internal(String),
}

/// Who says that it waits for whom, as the end of a sentence.
struct Chain<'a>(&'a [(String, String)]);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (node, awaited)) in self.0.iter().enumerate() {
            let join = if at == 0 { "; " } else { ", and " };
            write!(f, "{join}{node} says that it waits for {awaited}")?;
        }
        Ok(())
    }
}

impl NetError {
    /// The class of the error, as the peers would be told.
    #[must_use]
    pub fn code(&self) -> AbortCode {
        match self {
            Self::Timeout { .. } | Self::Lost { .. } | Self::Aborted { .. } => AbortCode::PeerLost,
            Self::OutOfStep { .. } | Self::Length { .. } | Self::Malformed { .. } => {
                AbortCode::PeerMisbehaved
            }
            Self::WrongKey { .. } | Self::Refused { .. } | Self::Configuration(_) => {
                AbortCode::Configuration
            }
            Self::Stopped => AbortCode::Stopped,
            Self::Internal(_) => AbortCode::Internal,
        }
    }
}
