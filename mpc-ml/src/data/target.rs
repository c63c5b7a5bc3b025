//! The column that a study predicts.

use serde::{Deserialize, Serialize};

use super::alike::look_alike;
use super::cell::{Cell, CellError};

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
    /// One of several words, as its place among them, counted from 0.
    Levels(LevelsTarget),
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

/// A target of several classes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LevelsTarget {
    /// The name of the column in the header of the data file.
    pub column: String,
    /// All words that may occur, from 2 on.
    pub levels: Vec<String>,
}

impl Target {
    /// The name of the column in the header of the data file.
    #[must_use]
    pub fn column(&self) -> &str {
        match self {
            Self::Binary(binary) => &binary.column,
            Self::Numeric(numeric) => &numeric.column,
            Self::Count(count) => &count.column,
            Self::Levels(levels) => &levels.column,
        }
    }

    /// Reads a cell as the number that the model is fitted to.
    ///
    /// # Errors
    /// The rule that the cell breaks. The error never holds the cell's value.
    pub fn parse(&self, cell: &str) -> Result<f64, CellError> {
        self.take(&Cell::text(cell))
    }

    /// The same of a cell of either kind.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn take(&self, cell: &Cell<'_>) -> Result<f64, CellError> {
        match self {
            Self::Binary(binary) => binary.class(&cell.words()),
            Self::Numeric(numeric) => cell.number(numeric.range)?.ok_or(CellError::MissingTarget),
            Self::Count(count) => {
                let value = cell.number(Some(count.range))?.ok_or(CellError::MissingTarget)?;
                if value.fract() == 0.0 { Ok(value) } else { Err(CellError::NotACount) }
            }
            Self::Levels(levels) => levels.place(&cell.words()),
        }
    }

    /// How many scores a model of it has: one for each of several classes.
    #[must_use]
    pub fn scores(&self) -> usize {
        match self {
            Self::Levels(target) => target.levels.len(),
            Self::Binary(_) | Self::Numeric(_) | Self::Count(_) => 1,
        }
    }
}

impl LevelsTarget {
    fn place(&self, word: &str) -> Result<f64, CellError> {
        if word.is_empty() {
            return Err(CellError::MissingTarget);
        }
        if let Some(place) = self.levels.iter().position(|level| level == word) {
            return Ok(place as f64);
        }
        Err(match look_alike(word, &self.levels.iter().map(String::as_str)) {
            Some((level, difference)) => {
                CellError::LooksLike { level: level.to_owned(), difference }
            }
            None => CellError::UnknownLevel { levels: self.levels.clone() },
        })
    }
}

impl BinaryTarget {
    fn class(&self, word: &str) -> Result<f64, CellError> {
        let classes = [self.positive.as_str(), self.negative.as_str()];
        match word {
            "" => Err(CellError::MissingTarget),
            word if word == self.positive => Ok(1.0),
            word if word == self.negative => Ok(0.0),
            word => Err(match look_alike(word, &classes.into_iter()) {
                Some((level, difference)) => {
                    CellError::LooksLike { level: level.to_owned(), difference }
                }
                None => CellError::NeitherClass {
                    positive: self.positive.clone(),
                    negative: self.negative.clone(),
                },
            }),
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
        assert!(matches!(target.parse("ill"), Err(CellError::NeitherClass { .. })));
        assert!(
            matches!(target.parse("BAD"), Err(CellError::LooksLike { level, .. }) if level == "bad")
        );
    }

    #[test]
    fn classes_become_their_places() {
        let levels = ["red", "green", "blue"].map(String::from).to_vec();
        let target = Target::Levels(LevelsTarget { column: "colour".into(), levels });
        assert_eq!(target.parse(" blue"), Ok(2.0));
        assert_eq!(target.parse("red"), Ok(0.0));
        assert_eq!(target.parse(""), Err(CellError::MissingTarget));
        assert!(matches!(target.parse("pink"), Err(CellError::UnknownLevel { .. })));
        assert!(
            matches!(target.parse("Red"), Err(CellError::LooksLike { level, .. }) if level == "red")
        );
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
