//! What a cell may be.

use std::borrow::Cow;

use super::alike::Difference;

/// A cell as it is read: a text, or a number where the file has numbers. A missing cell is an empty text.
/// **Private data**: formatting it shows which of the two it is.
#[derive(Clone, PartialEq)]
pub enum Cell<'a> {
    /// A text as it stands in the file.
    Text(Cow<'a, str>),
    /// A finite number.
    Number(f64),
}

impl<'a> Cell<'a> {
    /// A text.
    #[must_use]
    pub fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    /// The cell as a text without spaces at its ends; a number in the fewest digits that give it.
    #[must_use]
    pub fn words(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text.trim()),
            Self::Number(number) => Cow::Owned(number.to_string()),
        }
    }

    /// A finite number in `range`; none where the cell is empty.
    pub(super) fn number(&self, range: Option<(f64, f64)>) -> Result<Option<f64>, CellError> {
        let value = match self {
            Self::Number(number) => *number,
            Self::Text(text) => match text.trim() {
                "" => return Ok(None),
                cell => cell.parse().map_err(|_| CellError::NotANumber)?,
            },
        };
        if !value.is_finite() {
            return Err(CellError::NotFinite);
        }
        match range {
            Some((low, high)) if value < low || value > high => {
                Err(CellError::OutsideRange { low, high })
            }
            _ => Ok(Some(value)),
        }
    }
}

impl std::fmt::Debug for Cell<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Text(_) => "Text(redacted)",
            Self::Number(_) => "Number(redacted)",
        })
    }
}

/// The rule that a cell breaks. Holds the rule, which is public, and never the cell's value.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CellError {
    /// Empty, and the study refuses missing values here.
    #[error(
        "the cell is empty, and the study refuses missing values in this column; fill the cell, leave the row out or agree on a rule for missing values"
    )]
    Missing,
    /// An empty target.
    #[error(
        "the cell is empty, and the target may not be missing; fill the cell or leave the row out"
    )]
    MissingTarget,
    /// An empty offset.
    #[error(
        "the cell is empty, and the offset may not be missing; fill the cell or leave the row out"
    )]
    MissingOffset,
    /// An empty case weight.
    #[error(
        "the cell is empty, and the case weight may not be missing; fill the cell or leave the row out"
    )]
    MissingWeight,
    /// A row that would count as none.
    #[error("the case weight is 0, and a row counts as more than none; leave the row out")]
    NoWeight,
    /// An empty group.
    #[error(
        "the cell is empty, and every row belongs to a group; fill the cell or leave the row out"
    )]
    MissingGroup,
    /// A count with a fraction.
    #[error(
        "the number is not whole, and the target counts how often something happened; correct the cell or leave the row out"
    )]
    NotACount,
    /// Not a number.
    #[error(
        "the cell is not a number; write it with a decimal point and without thousands separators, and leave a missing cell empty"
    )]
    NotANumber,
    /// Infinite or not a number by name.
    #[error("the cell is not a finite number; leave a missing cell empty")]
    NotFinite,
    /// Outside the range of the study.
    #[error(
        "the number lies outside the study's range, {low} to {high}; correct the cell or agree on another range"
    )]
    OutsideRange {
        /// The lower end.
        low: f64,
        /// The upper end.
        high: f64,
    },
    /// One of the levels, or of the classes, but for how it is written.
    #[error(
        "the word looks like {level:?} and differs in {difference}; correct the cell, or have it read as that word"
    )]
    LooksLike {
        /// The word that was meant.
        level: String,
        /// In what it differs.
        difference: Difference,
    },
    /// Not one of the levels.
    #[error("the word is none of the study's levels ({}); correct the cell or agree on another list", some(.levels))]
    UnknownLevel {
        /// The levels.
        levels: Vec<String>,
    },
    /// Neither of the two classes.
    #[error(
        "the word is neither {positive:?} nor {negative:?}, the target's two classes; correct the cell or leave the row out"
    )]
    NeitherClass {
        /// The class that becomes 1.
        positive: String,
        /// The class that becomes 0.
        negative: String,
    },
}

/// The first levels of a list.
fn some(levels: &[String]) -> String {
    const SHOWN: usize = 20;
    let more = levels.len().saturating_sub(SHOWN);
    let first = levels[..levels.len() - more].join(", ");
    if more > 0 { format!("{first} and {more} more") } else { first }
}
