//! Which columns a study uses and how each becomes numbers.

use serde::{Deserialize, Serialize};

use super::Target;
use super::alike::look_alike;
use super::cell::{Cell, CellError};

/// What ends the name of the 0/1 column that says where a numeric feature was missing.
const MISSING_SUFFIX: &str = "__missing";

/// The name of the level that missing categorical cells become under
/// [`CategoricalMissing::Level`].
pub(super) const MISSING_LEVEL: &str = "__missing__";

/// The columns of a study: public, and the same at every party.
///
/// A schema is valid by construction: names are unique, bases are levels, constants are finite.
#[derive(Clone, Debug, PartialEq)]
pub struct Schema {
    pub(super) features: Vec<Feature>,
    pub(super) target: Target,
    pub(super) extra: RowColumns,
}

/// Columns that a row may have beside its features and its target.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RowColumns {
    /// What is added to its score.
    pub offset: Option<Offset>,
    /// How many rows it counts as.
    pub weights: Option<CaseWeights>,
    /// The column that says which group (person, ward) it belongs to: any text.
    pub groups: Option<String>,
}

/// A column of case weights: a row with weight w counts as w rows. It has no missing cells, and every
/// weight is above 0. Rows that are only predicted have none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseWeights {
    /// The name of the column in the header of the data file.
    pub column: String,
    /// From 0 or more; both ends inclusive but for 0. A cell outside is refused.
    pub range: (f64, f64),
}

/// A column of numbers that is added to the score of each row as it stands, with no coefficient:
/// in a model of counts the logarithm of the exposure. It has no missing cells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offset {
    /// The name of the column in the header of the data file.
    pub column: String,
    /// Both ends inclusive; a cell outside is refused.
    pub range: (f64, f64),
}

/// One input column as the files have it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    /// The name of the column in the header of the data file.
    pub name: String,
    /// What the column holds and how it becomes numbers.
    pub kind: FeatureKind,
}

/// What a column holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeatureKind {
    /// Numbers.
    Numeric(Numeric),
    /// One of a fixed list of words.
    Categorical(Categorical),
}

/// How a column of numbers is read and scaled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Numeric {
    /// Both ends inclusive; a cell outside is refused.
    pub range: Option<(f64, f64)>,
    /// What an empty cell becomes.
    pub missing: NumericMissing,
    /// Whether a further column `NAME__missing` is 1 where the cell is empty and 0 elsewhere.
    pub indicator: bool,
    /// How the column is scaled.
    pub scale: Scaling,
}

/// What an empty cell of a numeric column becomes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NumericMissing {
    /// Nothing: an empty cell is an error.
    Refuse,
    /// The mean that the scaling uses: the joint mean of the cells that are there, or the mean of
    /// [`Scaling::Constants`].
    Mean,
    /// This value, on the scale of the file; it counts as if it stood in the file.
    Value(f64),
}

/// How a numeric column is scaled.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scaling {
    /// By the mean and standard deviation of all parties' rows, which are computed jointly and
    /// revealed.
    Joint,
    /// Not at all.
    None,
    /// By constants that the study names.
    Constants {
        /// Subtracted first.
        mean: f64,
        /// Divided by afterwards; positive.
        std: f64,
    },
}

/// How a column of words becomes 0/1 columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Categorical {
    /// All words that may occur, in the order of the encoded columns.
    pub levels: Vec<String>,
    /// The level without a column of its own.
    pub base: String,
    /// What an empty cell becomes.
    pub missing: CategoricalMissing,
}

/// What an empty cell of a categorical column becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CategoricalMissing {
    /// Nothing: an empty cell is an error.
    Refuse,
    /// The base level.
    Base,
    /// A level of its own, with the last column, `NAME=__missing__`.
    Level,
}

impl Schema {
    /// The features, in the order of the study.
    #[must_use]
    pub fn features(&self) -> &[Feature] {
        &self.features
    }

    /// The target.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The column that is added to the score, where there is one.
    #[must_use]
    pub fn offset(&self) -> Option<&Offset> {
        self.extra.offset.as_ref()
    }

    /// The column of case weights, where there is one.
    #[must_use]
    pub fn weights(&self) -> Option<&CaseWeights> {
        self.extra.weights.as_ref()
    }

    /// The column that says which group a row belongs to, where there is one.
    #[must_use]
    pub fn groups(&self) -> Option<&str> {
        self.extra.groups.as_deref()
    }

    /// The names of the encoded columns, in order.
    #[must_use]
    pub fn columns(&self) -> Vec<String> {
        self.features.iter().flat_map(Feature::columns).collect()
    }

    /// The features that are scaled by joint statistics, in order.
    pub fn joint_features(&self) -> impl Iterator<Item = &Feature> {
        self.features.iter().filter(|feature| feature.is_joint())
    }
}

impl Feature {
    /// The names of the columns that this feature becomes, in order.
    #[must_use]
    pub fn columns(&self) -> Vec<String> {
        let name = &self.name;
        match &self.kind {
            FeatureKind::Numeric(numeric) => {
                let mut columns = vec![name.clone()];
                if numeric.indicator {
                    columns.push(format!("{name}{MISSING_SUFFIX}"));
                }
                columns
            }
            FeatureKind::Categorical(categorical) => {
                let mut columns: Vec<String> =
                    categorical.coded_levels().map(|level| format!("{name}={level}")).collect();
                if categorical.missing == CategoricalMissing::Level {
                    columns.push(format!("{name}={MISSING_LEVEL}"));
                }
                columns
            }
        }
    }

    /// Whether one of its columns is 0 or 1 by its nature.
    #[must_use]
    pub fn has_indicators(&self) -> bool {
        match &self.kind {
            FeatureKind::Numeric(numeric) => numeric.indicator,
            FeatureKind::Categorical(_) => true,
        }
    }

    /// Whether the feature's mean and standard deviation are computed jointly.
    #[must_use]
    pub fn is_joint(&self) -> bool {
        matches!(&self.kind, FeatureKind::Numeric(Numeric { scale: Scaling::Joint, .. }))
    }
}

impl Offset {
    /// Reads a cell.
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
        cell.number(Some(self.range))?.ok_or(CellError::MissingOffset)
    }
}

impl CaseWeights {
    /// Reads a cell.
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
        match cell.number(Some(self.range))? {
            Some(weight) if weight > 0.0 => Ok(weight),
            Some(_) => Err(CellError::NoWeight),
            None => Err(CellError::MissingWeight),
        }
    }
}

impl Numeric {
    /// Reads a cell; `None` is a missing value that the schema has a rule for.
    ///
    /// # Errors
    /// The rule that the cell breaks. The error never holds the cell's value.
    pub fn parse(&self, cell: &str) -> Result<Option<f64>, CellError> {
        self.take(&Cell::text(cell))
    }

    /// The same of a cell of either kind.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn take(&self, cell: &Cell<'_>) -> Result<Option<f64>, CellError> {
        match (cell.number(self.range)?, self.missing) {
            (None, NumericMissing::Refuse) => Err(CellError::Missing),
            (value, _) => Ok(value),
        }
    }
}

impl Categorical {
    /// The levels that have a column, in order.
    pub fn coded_levels(&self) -> impl Iterator<Item = &String> {
        self.levels.iter().filter(|level| **level != self.base)
    }

    /// Reads a cell as an index into [`levels`](Self::levels); `None` is a missing value that the
    /// schema has a rule for.
    ///
    /// # Errors
    /// The rule that the cell breaks. The error never holds the cell's value.
    pub fn parse(&self, cell: &str) -> Result<Option<u32>, CellError> {
        self.take(&Cell::text(cell))
    }

    /// The same of a cell of either kind.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn take(&self, cell: &Cell<'_>) -> Result<Option<u32>, CellError> {
        let cell = cell.words();
        if cell.is_empty() {
            return match self.missing {
                CategoricalMissing::Refuse => Err(CellError::Missing),
                CategoricalMissing::Base | CategoricalMissing::Level => Ok(None),
            };
        }
        // A schema has at most `validate::MAX_LEVELS` levels, far below 2^32.
        let found = (0_u32..).zip(&self.levels).find(|(_, level)| **level == cell);
        found.map(|(index, _)| Some(index)).ok_or_else(|| {
            match look_alike(&cell, &self.levels.iter().map(String::as_str)) {
                Some((level, difference)) => {
                    CellError::LooksLike { level: level.to_owned(), difference }
                }
                None => CellError::UnknownLevel { levels: self.levels.clone() },
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::{categorical, numeric, schema};

    #[test]
    fn encoded_columns_follow_the_order_of_the_study() {
        let mut income = numeric("Income", NumericMissing::Mean, Scaling::Joint);
        if let FeatureKind::Numeric(numeric) = &mut income.kind {
            numeric.indicator = true;
        }
        let home = categorical("Home", &["other", "ignore", "rent"], "ignore");
        let mut job = categorical("Job", &["fixed", "freelance"], "fixed");
        if let FeatureKind::Categorical(categorical) = &mut job.kind {
            categorical.missing = CategoricalMissing::Level;
        }
        let schema = schema(vec![income, home, job]).unwrap();
        assert_eq!(
            schema.columns(),
            [
                "Income",
                "Income__missing",
                "Home=other",
                "Home=rent",
                "Job=freelance",
                "Job=__missing__"
            ]
        );
        assert_eq!(schema.joint_features().count(), 1);
    }

    #[test]
    fn cells_are_read_by_the_rules_of_their_column() {
        let age = Numeric {
            range: Some((0.0, 120.0)),
            missing: NumericMissing::Refuse,
            indicator: false,
            scale: Scaling::None,
        };
        assert_eq!(age.parse(" 35.5 "), Ok(Some(35.5)));
        assert_eq!(age.parse("120"), Ok(Some(120.0)));
        assert_eq!(age.parse("121"), Err(CellError::OutsideRange { low: 0.0, high: 120.0 }));
        assert_eq!(age.parse("  "), Err(CellError::Missing));
        assert_eq!(age.parse("NA"), Err(CellError::NotANumber));
        for cell in ["inf", "-Infinity", "NaN", "1e999"] {
            assert_eq!(age.parse(cell), Err(CellError::NotFinite), "{cell}");
        }

        let home = Categorical {
            levels: vec!["own".into(), "rent".into()],
            base: "own".into(),
            missing: CategoricalMissing::Base,
        };
        assert_eq!(home.parse("rent"), Ok(Some(1)));
        assert_eq!(home.parse(""), Ok(None));
        assert!(matches!(home.parse("lend"), Err(CellError::UnknownLevel { .. })));
        assert!(
            matches!(home.parse("Rent"), Err(CellError::LooksLike { level, .. }) if level == "rent")
        );
    }
}
