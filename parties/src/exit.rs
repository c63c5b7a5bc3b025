//! How a command ends: exit codes, and errors as people read them.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 2 | the command line is wrong |
//! | 3 | this party's own input is wrong: its data or a model file |
//! | 4 | the configuration is wrong: `party.toml`, the key or the study |
//! | 5 | a peer did not keep to the protocol |
//! | 6 | a peer was lost |
//! | 7 | stopped by the operator |
//! | 8 | the output exists already, or the study was released before; nothing is overwritten |
//! | 9 | an audit found that a party sent something else than its part of the protocol |
//! | 70 | a fault of the program |

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use mpc_core::Error as CoreError;
use mpc_ml::artifact::ModelError;
use mpc_net::{AbortCode, NetError};
use serde_json::json;

use crate::data_file::DataError;
use crate::identity::{FingerprintError, IdentityError};
use crate::name::NameError;
use crate::settings::SettingsError;
use crate::study::StudyError;

/// The class of an end, with its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[non_exhaustive]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// The command line is wrong.
    Usage = 2,
    /// This party's own input is wrong: its data or a model file.
    LocalInput = 3,
    /// The configuration is wrong: `party.toml`, the key or the study.
    Configuration = 4,
    /// A peer did not keep to the protocol.
    PeerMisbehaved = 5,
    /// A peer was lost.
    PeerLost = 6,
    /// Stopped by the operator.
    Stopped = 7,
    /// The output exists already; nothing is overwritten.
    Exists = 8,
    /// An audit found that a party sent something else than its part of the protocol.
    Deviated = 9,
    /// A fault of the program.
    Internal = 70,
}

impl Exit {
    /// The exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The name of the class in machine-readable output.
    #[must_use]
    pub fn class(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Usage => "usage",
            Self::LocalInput => "local-input",
            Self::Configuration => "configuration",
            Self::PeerMisbehaved => "peer-misbehaved",
            Self::PeerLost => "peer-lost",
            Self::Stopped => "stopped",
            Self::Exists => "exists",
            Self::Deviated => "deviated",
            Self::Internal => "internal",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command failed, for a person: what happened, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The class.
    pub exit: Exit,
    /// What happened.
    pub what: String,
    /// The file or node.
    pub place: Option<String>,
    /// What to do.
    pub advice: Option<String>,
    /// Whether all parties come to this failure at the same place, from what all of them saw.
    pub seen_by_all: bool,
    /// Whether `what` says which node did something, in words that every node may read.
    pub accuses: bool,
}

impl Failure {
    /// A failure of a class.
    #[must_use]
    pub fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self {
            exit,
            what: what.into(),
            place: None,
            advice: None,
            seen_by_all: false,
            accuses: false,
        }
    }

    /// The same failure with its place.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.place = Some(place.to_string());
        self
    }

    /// The same failure with the file it happened in.
    #[must_use]
    pub fn in_file(self, path: &Path) -> Self {
        self.at(path.display())
    }

    /// The same failure with what to do about it.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// The failure for machines.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        json!({
            "ok": false,
            "exit_code": self.exit.code(),
            "class": self.exit.class(),
            "error": { "what": self.what, "where": self.place, "what_to_do": self.advice },
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.what)?;
        if let Some(place) = &self.place {
            write!(f, "\n  where: {place}")?;
        }
        if let Some(advice) = &self.advice {
            write!(f, "\n  what to do: {advice}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

impl From<StudyError> for Failure {
    fn from(error: StudyError) -> Self {
        let failure = Self::new(Exit::Configuration, error.to_string());
        if matches!(error, StudyError::Read { .. }) {
            return failure;
        }
        failure
            .advise("correct the study together with the other parties: all must use the same file")
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::new(Exit::Configuration, error.to_string())
    }
}

impl From<NameError> for Failure {
    fn from(error: NameError) -> Self {
        Self::new(Exit::Usage, error.to_string())
    }
}

impl From<FingerprintError> for Failure {
    fn from(error: FingerprintError) -> Self {
        Self::new(Exit::Usage, error.to_string())
            .advise("copy the whole text that `party fingerprint` prints at the other node")
    }
}

impl From<IdentityError> for Failure {
    fn from(error: IdentityError) -> Self {
        let exit = match error {
            IdentityError::Exists { .. } => Exit::Exists,
            IdentityError::Randomness => Exit::Internal,
            _ => Exit::Configuration,
        };
        Self::new(exit, error.to_string())
    }
}

const ROWS: &str =
    "correct the rows, or agree on other rules in the study; --show-values shows the values here";

impl From<DataError> for Failure {
    fn from(error: DataError) -> Self {
        let failure = Self::new(Exit::LocalInput, error.to_string());
        match error {
            DataError::IdIsUsed { .. } => Self { exit: Exit::Configuration, ..failure },
            DataError::BadPlaces { .. } => failure.advise(ROWS),
            DataError::Proposed { error, proposal } => {
                let inner = Self::from(*error);
                let more = inner.advice.clone().map(|advice| format!("\nOr {advice}"));
                inner.advise(format!("{proposal}{}", more.unwrap_or_default()))
            }
            _ => failure,
        }
    }
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Self {
        Self::new(Exit::LocalInput, error.to_string())
    }
}

impl From<AbortCode> for Exit {
    fn from(code: AbortCode) -> Self {
        match code {
            AbortCode::Stopped => Self::Stopped,
            AbortCode::LocalInput => Self::LocalInput,
            AbortCode::PeerMisbehaved => Self::PeerMisbehaved,
            AbortCode::PeerLost => Self::PeerLost,
            AbortCode::Configuration => Self::Configuration,
            _ => Self::Internal,
        }
    }
}

impl From<mpc_ml::Error> for Failure {
    fn from(error: mpc_ml::Error) -> Self {
        let failure = Self::new(error.code().into(), error.to_string());
        let accuses = matches!(
            error,
            mpc_ml::Error::Implausible { .. }
                | mpc_ml::Error::Protocol(CoreError::Disagreement { .. })
        );
        Self { seen_by_all: error.seen_by_all(), accuses, ..failure }.advise_for_code(error.code())
    }
}

impl From<CoreError> for Failure {
    fn from(error: CoreError) -> Self {
        let accuses = matches!(error, CoreError::Disagreement { .. });
        let failure = Self::new(error.code().into(), error.to_string());
        Self { accuses, ..failure }.advise_for_code(error.code())
    }
}

impl From<NetError> for Failure {
    fn from(error: NetError) -> Self {
        Self::new(error.code().into(), error.to_string()).advise_for_code(error.code())
    }
}

impl Failure {
    fn advise_for_code(self, code: AbortCode) -> Self {
        match code {
            AbortCode::PeerLost => self.advise(
                "ask its operator what happened there, then start the study anew at all nodes; \
                 nothing was revealed that the study does not name",
            ),
            AbortCode::PeerMisbehaved => self.advise(
                "compare the versions of the program at both nodes; if they agree, ask the \
                 operator of that node to look at its log",
            ),
            _ => self,
        }
    }
}
