//! What can go wrong in a joint model.

use mpc_net::AbortCode;

/// An error of a model or its plan.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A protocol failed.
    #[error(transparent)]
    Protocol(#[from] mpc_core::Error),
    /// A setting, or another public fact of the study, breaks a rule.
    #[error("{field} {rule}")]
    Field {
        /// Its path, for example `sigmoid.window`.
        field: String,
        /// The rule, as the end of a sentence that begins with the field.
        rule: String,
    },
    /// The settings of the study do not fit together; the message has the numbers.
    #[error("{0}")]
    Settings(String),
    /// This party's own data do not fit the study. Nothing has left the machine.
    #[error("{0}")]
    Data(String),
    /// A fit did not get to its optimum; its coefficients were not revealed.
    #[error("{0}")]
    NotConverged(String),
    /// Columns that nearly determine each other, by their places in the design matrix (the intercept
    /// last); nothing else was revealed.
    #[error(
        "columns {columns:?} of the design matrix (counted from 0, the intercept last) nearly determine \
         each other, or decide the target by themselves: leave one of them out, merge levels that are \
         rare, or set l2"
    )]
    Determined {
        /// Their places.
        columns: Vec<usize>,
    },
    /// The result that was revealed is not that of the parties' rows: all of them see it. A number was
    /// changed on the way.
    #[error("{0}")]
    Uncertified(String),
    /// The result that was revealed fits the parties' rows worse than none: all of them see it.
    #[error("{0}")]
    Misfit(String),
    /// What the others revealed cannot be, as this party alone can tell.
    #[error("{0}")]
    Contradicted(String),
    /// A joint figure that was revealed cannot be, given this party's own rows: one of the others did
    /// not send what its rows give. What was to follow relies on it, so nothing more is sent.
    #[error(
        "{peers} did not keep to the protocol: {what} does not fit this party's own rows, so it is not the \
         sum of what the parties have"
    )]
    Implausible {
        /// The other parties, one of whom it was.
        peers: String,
        /// The figure, without its value.
        what: String,
    },
    /// No table of a description may be released: all parties see it, and nothing else was told.
    #[error("{0}")]
    Withheld(String),
    /// What was revealed of all parties' rows shows that they do not fit the study.
    #[error("{0}")]
    Unusable(String),
    /// Fewer parties are left than a round may be of.
    #[error("{what}")]
    TooFew {
        /// Who is there, and why the others are not.
        what: String,
        /// The class of that reason.
        code: AbortCode,
    },
}

impl Error {
    /// A field that breaks a rule, which is said as the end of a sentence that begins with it.
    #[must_use]
    pub fn field(field: impl Into<String>, rule: impl Into<String>) -> Self {
        Self::Field { field: field.into(), rule: rule.into() }
    }

    /// Rows of another shape (rows, columns) than are due from this party.
    pub(crate) fn other_shape(given: (usize, usize), due: (u64, usize)) -> Self {
        let ((rows, columns), (due_rows, due_columns)) = (given, due);
        Self::Data(format!(
            "{rows} rows of {columns} columns were given, where the plan has {due_rows} of {due_columns}"
        ))
    }

    /// This party is not told an output that is for everybody.
    pub(crate) fn untold(label: &str) -> Self {
        Self::Settings(format!("the output `{label}` is for everybody"))
    }

    /// The other parties by name, where one of them did something and nobody can say which.
    pub(crate) fn others(session: &mpc_core::Session) -> String {
        let others = (0..session.parties()).filter(|&party| party != session.me());
        others.map(|party| session.name(party)).collect::<Vec<_>>().join(" or ")
    }

    /// Whether all parties come to the same error at the same place, because it follows from what
    /// was revealed to all of them.
    #[must_use]
    pub fn seen_by_all(&self) -> bool {
        matches!(
            self,
            Self::NotConverged(_)
                | Self::Unusable(_)
                | Self::Withheld(_)
                | Self::Determined { .. }
                | Self::Uncertified(_)
                | Self::Misfit(_)
        )
    }

    /// The class of the error, as the peers would be told.
    #[must_use]
    pub fn code(&self) -> AbortCode {
        match self {
            Self::Protocol(error) => error.code(),
            Self::Field { .. }
            | Self::Settings(_)
            | Self::NotConverged(_)
            | Self::Unusable(_)
            | Self::Withheld(_)
            | Self::Misfit(_)
            | Self::Determined { .. } => AbortCode::Configuration,
            Self::Uncertified(_) | Self::Contradicted(_) => AbortCode::PeerMisbehaved,
            Self::Data(_) => AbortCode::LocalInput,
            Self::TooFew { code, .. } => *code,
            Self::Implausible { .. } => AbortCode::PeerMisbehaved,
        }
    }
}
