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
            Self::Misbehaved { .. } => AbortCode::PeerMisbehaved,
            Self::Range(_) | Self::Record(_) => AbortCode::LocalInput,
            Self::Reveal { .. } | Self::Disagreement { .. } => AbortCode::Configuration,
            Self::Internal(_) => AbortCode::Internal,
        }
    }

    pub(crate) fn internal(what: impl Into<String>) -> Self {
        Self::Internal(what.into())
    }
}
