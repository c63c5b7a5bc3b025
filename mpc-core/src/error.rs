//! What a protocol can fail with.

use mpc_net::{AbortCode, NetError};

/// An error of a protocol. No variant ever carries a share, a mask or a datum.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The network failed; the error names the peer.
    #[error(transparent)]
    Net(#[from] NetError),
    /// A peer sent bytes that cannot be what was due.
    #[error("{peer} did not keep to the protocol in {step}: {detail}")]
    Misbehaved {
        /// The peer's name.
        peer: String,
        /// The step.
        step: String,
        /// What is wrong, without the bytes.
        detail: String,
    },
    /// Two parties heard different things from a third one where all hear the same.
    #[error(
        "{witness} heard other openings from {sender} than this node: {sender} sent different shares, \
         or {witness} says so falsely"
    )]
    Contradiction {
        /// Whose openings differ.
        sender: String,
        /// Who heard others.
        witness: String,
    },
    /// What was opened cannot be the sum of what is proven to be bounded.
    #[error(
        "what was opened in {step} is beyond its bound: {suspects} did not keep to the protocol"
    )]
    BeyondBound {
        /// The step.
        step: String,
        /// The other parties' names, one of which at least deviates.
        suspects: String,
    },
    /// The parties hold different public facts where they must hold the same.
    #[error("{peer} has another {what} than this node")]
    Disagreement {
        /// The peer's name.
        peer: String,
        /// What differs.
        what: String,
    },
    /// A number does not fit the fixed-point range that was agreed.
    #[error("{0}")]
    Range(String),
    /// A result was to be revealed that the study does not name, or a second time.
    #[error("the output `{label}` may not be revealed: {why}")]
    Reveal {
        /// The label of the output.
        label: String,
        /// Why not.
        why: &'static str,
    },
    /// The release could not be recorded before it was sent, so it was not sent.
    #[error("the release could not be recorded, so nothing was sent: {0}")]
    Record(String),
    /// A protocol was used against its contract.
    #[error("internal error: {0}")]
    Internal(String),
}

impl Error {
    /// The class of the error, as the peers would be told.
    #[must_use]
    pub fn code(&self) -> AbortCode {
        match self {
            Self::Net(error) => error.code(),
            Self::Misbehaved { .. } | Self::Contradiction { .. } | Self::BeyondBound { .. } => {
                AbortCode::PeerMisbehaved
            }
            Self::Range(_) | Self::Record(_) => AbortCode::LocalInput,
            Self::Reveal { .. } | Self::Disagreement { .. } => AbortCode::Configuration,
            Self::Internal(_) => AbortCode::Internal,
        }
    }

    pub(crate) fn internal(what: impl Into<String>) -> Self {
        Self::Internal(what.into())
    }
}
