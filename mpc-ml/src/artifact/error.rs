//! Why a model file is refused.

use super::file::{FORMAT, VERSION};
use super::part::PART_FORMAT;
use crate::data::{EncodingError, SchemaError};

/// Why a model is refused. A model is known to those who hold it, so the errors name everything.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// Not JSON, or not the fields of a model.
    #[error("this is not a model file: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Another kind of file.
    #[error("this is not a model file: its format is {got:?}, and {FORMAT:?} was expected")]
    OtherFormat {
        /// The format that the file names.
        got: String,
    },
    /// A part of a model.
    #[error(
        "this is one party's part of a model whose columns are at different parties: alone it predicts \
         nothing; use party predict --joint with the parties that hold the other parts"
    )]
    Part,
    /// A model of several classes.
    #[error(
        "this is a model of several classes, and this command takes models with one score for a row; `party \
         predict` applies it, and its file has all coefficients"
    )]
    Classes,
    /// Another kind of file, where a part of a model was expected.
    #[error("this is no part of a model: its format is {got:?}, and {PART_FORMAT:?} was expected")]
    NoPart {
        /// The format that the file names.
        got: String,
    },
    /// A format of the future.
    #[error(
        "the model file has version {got}, and this program reads versions up to {VERSION}; use the program that wrote it, or a later one"
    )]
    OtherVersion {
        /// The version that the file names.
        got: u32,
    },
    /// A method that this program does not know.
    #[error("the model file names the method {got:?}, which this program does not know")]
    UnknownSolver {
        /// The method that the file names.
        got: String,
    },
    /// The features or the target are not valid.
    #[error("the columns of the model are not valid: {0}")]
    Schema(#[from] SchemaError),
    /// The standardisation does not belong to the features.
    #[error("the columns of the model cannot be encoded: {0}")]
    Encoding(#[from] EncodingError),
    /// The coefficients do not belong to the encoded columns.
    #[error(
        "the {what} of the model do not belong to its encoded columns; the file was changed or is of another study"
    )]
    Columns {
        /// Which list.
        what: &'static str,
    },
    /// A number is infinite or missing.
    #[error("the {what} of the model hold a value that is not a finite number")]
    NotFinite {
        /// Which list.
        what: &'static str,
    },
    /// A standard error is no positive number.
    #[error(
        "the standard error of {name:?} is not above 0; the model was released with too few digits, or the file was changed"
    )]
    StandardError {
        /// The column, or `(intercept)`.
        name: String,
    },
    /// The two scales contradict each other.
    #[error("the coefficients on the two scales do not agree; the file was changed")]
    Inconsistent,
    /// The table was read by other columns than the model's.
    #[error("the rows were read with other columns than the model's")]
    OtherSchema,
}
