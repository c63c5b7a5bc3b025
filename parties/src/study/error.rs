//! Why a study is refused. A study is public to its parties, so the errors name everything.

use std::fmt;
use std::path::PathBuf;

use mpc_ml::data::SchemaError;

use super::place::{Field, line_at};

/// Why a study is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StudyError {
    /// The file cannot be read.
    #[error("the study {} cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no study.
    #[error("the study {} has {length} bytes; a study has far fewer than a million", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its length.
        length: u64,
    },
    /// The file is not text.
    #[error("the study is not UTF-8 text; save it as UTF-8")]
    NotText,
    /// The file is not TOML, or a field is unknown, missing or of another type.
    #[error("{}{message}", At(*line))]
    Toml {
        /// The line, counted from 1.
        line: Option<usize>,
        /// What is wrong.
        message: String,
    },
    /// The file is of another version of the format.
    #[error("{}the study has version {got}, and this program reads version {}; use a program that knows this version", At(*line), super::VERSION)]
    Version {
        /// The line, counted from 1.
        line: Option<usize>,
        /// The version that the file names.
        got: i64,
    },
    /// A field breaks a rule.
    #[error("{}{field} {rule}", At(*line))]
    Rule {
        /// The line, counted from 1.
        line: Option<usize>,
        /// The field.
        field: Field,
        /// The rule.
        rule: String,
    },
    /// The parts of the study do not fit together, or not with the numbers of rows.
    #[error("{0}")]
    Plan(String),
    /// The features or the target do not fit together.
    #[error("{}{source}", At(*line))]
    Schema {
        /// The line, counted from 1.
        line: Option<usize>,
        /// The field.
        field: Field,
        /// The rule.
        source: SchemaError,
    },
}

/// Puts `line N: ` before a message.
struct At(Option<usize>);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |line| write!(f, "line {line}: "))
    }
}

impl StudyError {
    pub(super) fn rule(field: impl Into<Field>, rule: impl Into<String>) -> Self {
        Self::Rule { line: None, field: field.into(), rule: rule.into() }
    }

    pub(super) fn toml(text: &str, error: &toml::de::Error) -> Self {
        let line = error.span().map(|span| line_at(text, span.start));
        Self::Toml { line, message: error.message().to_owned() }
    }

    /// The same error with the line of its field in `text`.
    pub(super) fn located(mut self, text: &str) -> Self {
        match &mut self {
            Self::Rule { line, field, .. } | Self::Schema { line, field, .. } => {
                *line = field.line(text);
            }
            _ => {}
        }
        self
    }
}
