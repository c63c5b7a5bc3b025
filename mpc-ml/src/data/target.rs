//! The column that a study predicts.

use serde::{Deserialize, Serialize};

use super::cell::{CellError, parse_number};

/// The column to be predicted. It has no missing cells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// One of two words; the positive one becomes 1, the other 0.
    Binary(BinaryTarget),
    /// A number, not scaled.
    Numeric(NumericTarget),
    /// How often something happened: a whole number from 0, not scaled.
    Count(CountTarget),
}

/// A target of two classes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BinaryTarget {
    /// The name of the column in the header of the data file.
    pub column: String,
    /// The word that becomes 1.
    pub positive: String,
    /// The word that becomes 0.
    pub negative: String,
}

/// A target of numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NumericTarget {
    /// The name of the column in the header of the data file.
    pub column: String,
    /// Both ends inclusive; a cell outside is refused.
    pub range: Option<(f64, f64)>,
}

/// A target of counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CountTarget {
    /// The name of the column in the header of the data file.
    pub column: String,
    /// Both ends inclusive, the lower one not below 0; a cell outside is refused.
    pub range: (f64, f64),
}

impl Target {
    /// The name of the column in the header of the data file.
    #[must_use]
    pub fn column(&self) -> &str {
        match self {
            Self::Binary(binary) => &binary.column,
            Self::Numeric(numeric) => &numeric.column,
            Self::Count(count) => &count.column,
        }
    }

    /// Reads a cell as the number that the model is fitted to.
    ///
    /// # Errors
    /// The rule that the cell breaks. The error never holds the cell's value.
    pub fn parse(&self, cell: &str) -> Result<f64, CellError> {
        let cell = cell.trim();
        if cell.is_empty() {
            return Err(CellError::MissingTarget);
        }
        match self {
            Self::Binary(binary) if cell == binary.positive => Ok(1.0),
            Self::Binary(binary) if cell == binary.negative => Ok(0.0),
            Self::Binary(binary) => Err(CellError::NeitherClass {
                positive: binary.positive.clone(),
                negative: binary.negative.clone(),
            }),
            Self::Numeric(numeric) => parse_number(cell, numeric.range),
            Self::Count(count) => {
                let value = parse_number(cell, Some(count.range))?;
                if value.fract() == 0.0 { Ok(value) } else { Err(CellError::NotACount) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_become_one_and_zero() {
        let target = Target::Binary(BinaryTarget {
            column: "Status".into(),
            positive: "bad".into(),
            negative: "good".into(),
        });
        assert_eq!(target.parse("bad"), Ok(1.0));
        assert_eq!(target.parse(" good"), Ok(0.0));
        assert_eq!(target.parse(""), Err(CellError::MissingTarget));
        assert!(matches!(target.parse("BAD"), Err(CellError::NeitherClass { .. })));
    }

    #[test]
    fn numbers_are_taken_as_they_are() {
        let target =
            Target::Numeric(NumericTarget { column: "y".into(), range: Some((0.0, 10.0)) });
        assert_eq!(target.parse("2.5"), Ok(2.5));
        assert_eq!(target.parse("11"), Err(CellError::OutsideRange { low: 0.0, high: 10.0 }));
    }
    #[test]
    fn counts_are_whole_numbers() {
        let target = Target::Count(CountTarget { column: "visits".into(), range: (0.0, 80.0) });
        assert_eq!(target.parse(" 3"), Ok(3.0));
        assert_eq!(target.parse("3.0"), Ok(3.0));
        assert_eq!(target.parse("2.5"), Err(CellError::NotACount));
        assert_eq!(target.parse("-1"), Err(CellError::OutsideRange { low: 0.0, high: 80.0 }));
        assert_eq!(target.parse(""), Err(CellError::MissingTarget));
    }
}
