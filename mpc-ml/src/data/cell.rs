//! What a cell may be.

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
    /// Not one of the levels.
    #[error("the word is none of the study's levels ({}); correct the cell or agree on another list", .levels.join(", "))]
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

/// Reads a finite number in `range`.
pub(super) fn parse_number(cell: &str, range: Option<(f64, f64)>) -> Result<f64, CellError> {
    let value: f64 = cell.parse().map_err(|_| CellError::NotANumber)?;
    if !value.is_finite() {
        return Err(CellError::NotFinite);
    }
    match range {
        Some((low, high)) if value < low || value > high => {
            Err(CellError::OutsideRange { low, high })
        }
        _ => Ok(value),
    }
}
