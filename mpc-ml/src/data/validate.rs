//! What makes a schema valid.

use std::collections::{HashMap, HashSet};

use super::schema::{
    Categorical, CategoricalMissing, Feature, FeatureKind, MISSING_LEVEL, Numeric, NumericMissing,
    Offset, RowColumns, Scaling, Schema,
};
use super::target::Target;

/// The most levels that a categorical feature may have.
const MAX_LEVELS: usize = 10_000;

/// What a model calls its intercept.
const INTERCEPT_NAMES: [&str; 2] = ["(intercept)", "(intercept, standardised)"];

/// Why a schema is refused. Schemas are public, so the errors name everything.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// A name that no header can have.
    #[error(
        "the name {name:?} of a column or level is empty, has spaces at its ends or holds control characters; \
         use the name as it stands in the data file"
    )]
    BadName {
        /// The name.
        name: String,
    },
    /// Two of the features, the target, the offset, the weights and the groups are the same column.
    #[error(
        "the column {column:?} is named twice; each column is a feature, the target, the offset, the weights or the groups once"
    )]
    DuplicateColumn {
        /// The column.
        column: String,
    },
    /// A name in the model file would stand for two features.
    #[error(
        "the features {first:?} and {second:?} would both have the name {column:?} in a model; rename one in the data"
    )]
    DuplicateEncodedColumn {
        /// The name: an encoded column, a base level, or a feature.
        column: String,
        /// The feature that has it first.
        first: String,
        /// The other one.
        second: String,
    },
    /// A feature would be taken for the intercept.
    #[error(
        "the feature {feature:?} would have the name {column:?} in a model, which is the one of the intercept; \
         rename the feature in the data"
    )]
    ReservedColumn {
        /// The feature.
        feature: String,
        /// The name.
        column: String,
    },
    /// Fewer than two levels, so that nothing can vary.
    #[error("the feature {feature:?} has {count} levels; a category needs two to {MAX_LEVELS}")]
    LevelCount {
        /// The feature.
        feature: String,
        /// How many it has.
        count: usize,
    },
    /// A level stands twice in the list.
    #[error("the feature {feature:?} has the level {level:?} twice; keep one")]
    DuplicateLevel {
        /// The feature.
        feature: String,
        /// The level.
        level: String,
    },
    /// A level has the name that is kept for missing cells.
    #[error(
        "the feature {feature:?} has a level called {MISSING_LEVEL:?}, which is kept for missing cells; rename it"
    )]
    ReservedLevel {
        /// The feature.
        feature: String,
    },
    /// The base is no level.
    #[error(
        "the base {base:?} of the feature {feature:?} is not among its levels; choose one of them"
    )]
    BaseNotALevel {
        /// The feature.
        feature: String,
        /// The base.
        base: String,
    },
    /// The two ends are not finite or the wrong way round.
    #[error("the range of the column {column:?} must be two finite numbers, the lower first")]
    BadRange {
        /// The column.
        column: String,
    },
    /// A count cannot be negative.
    #[error("the range of the counts in the column {column:?} must not begin below 0")]
    NegativeCounts {
        /// The column.
        column: String,
    },
    /// A weight cannot be negative.
    #[error("the range of the case weights in the column {column:?} must not begin below 0")]
    NegativeWeights {
        /// The column.
        column: String,
    },
    /// A constant is not finite, or a standard deviation is not positive.
    #[error("{constant} of the feature {feature:?} must be a finite number{}", if *.positive { " above 0" } else { "" })]
    BadConstant {
        /// The feature.
        feature: String,
        /// Which constant.
        constant: &'static str,
        /// Whether it must be positive too.
        positive: bool,
    },
    /// The value for missing cells would itself be refused.
    #[error(
        "the value for missing cells of the feature {feature:?} lies outside its own range; widen the range or change the value"
    )]
    FillOutsideRange {
        /// The feature.
        feature: String,
    },
    /// Nobody computes that mean.
    #[error(
        "the feature {feature:?} fills missing cells with a mean that nobody computes, since it is not scaled; \
         scale it jointly or give the value as a number"
    )]
    MeanWithoutScale {
        /// The feature.
        feature: String,
    },
    /// No cell is ever missing.
    #[error(
        "the feature {feature:?} refuses missing cells, so its indicator would be constant; drop the indicator"
    )]
    IndicatorWithoutMissing {
        /// The feature.
        feature: String,
    },
    /// Both classes are the same word.
    #[error("the target's positive and negative class are both {class:?}; they must differ")]
    SameClasses {
        /// The class.
        class: String,
    },
}

impl SchemaError {
    /// The feature or target column that is at fault, where there is one.
    #[must_use]
    pub fn column(&self) -> Option<&str> {
        match self {
            Self::SameClasses { .. } => None,
            Self::BadName { name } => Some(name),
            Self::DuplicateColumn { column }
            | Self::BadRange { column }
            | Self::NegativeCounts { column }
            | Self::NegativeWeights { column } => Some(column),
            Self::DuplicateEncodedColumn { second: feature, .. }
            | Self::ReservedColumn { feature, .. }
            | Self::LevelCount { feature, .. }
            | Self::DuplicateLevel { feature, .. }
            | Self::ReservedLevel { feature }
            | Self::BaseNotALevel { feature, .. }
            | Self::BadConstant { feature, .. }
            | Self::FillOutsideRange { feature }
            | Self::MeanWithoutScale { feature }
            | Self::IndicatorWithoutMissing { feature } => Some(feature),
        }
    }
}

impl Schema {
    /// A schema of these features and this target.
    ///
    /// # Errors
    /// When a name is empty or used twice, a level list or range is not one, a constant is not
    /// finite, or two features would give an encoded column the same name.
    pub fn new(features: Vec<Feature>, target: Target) -> Result<Self, SchemaError> {
        Self::with_offset(features, target, None)
    }

    /// The same with a column that is added to the score.
    ///
    /// # Errors
    /// As [`new`](Self::new), and when the offset is also a feature or the target.
    pub fn with_offset(
        features: Vec<Feature>,
        target: Target,
        offset: Option<Offset>,
    ) -> Result<Self, SchemaError> {
        Self::with_columns(features, target, RowColumns { offset, ..RowColumns::default() })
    }

    /// The same with all that a row may have beside.
    ///
    /// # Errors
    /// As [`new`](Self::new), and when one of these columns is also another one of the schema, or
    /// weights may be negative.
    pub fn with_columns(
        features: Vec<Feature>,
        target: Target,
        extra: RowColumns,
    ) -> Result<Self, SchemaError> {
        let schema = Self { features, target, extra };
        self::schema(&schema)?;
        Ok(schema)
    }
}

fn schema(schema: &Schema) -> Result<(), SchemaError> {
    target(schema.target())?;
    let mut columns = HashSet::from([schema.target().column()]);
    let offset = schema.offset().map(|offset| (offset.column.as_str(), Some(offset.range)));
    let weights = schema.weights().map(|weights| (weights.column.as_str(), Some(weights.range)));
    let groups = schema.groups().map(|groups| (groups, None));
    for (column, ends) in offset.into_iter().chain(weights).chain(groups) {
        name(column)?;
        range(column, ends)?;
        if !columns.insert(column) {
            return Err(SchemaError::DuplicateColumn { column: column.to_owned() });
        }
    }
    if let Some(weights) = schema.weights().filter(|weights| weights.range.0 < 0.0) {
        return Err(SchemaError::NegativeWeights { column: weights.column.clone() });
    }
    for each in schema.features() {
        feature(each)?;
        if !columns.insert(&each.name) {
            return Err(SchemaError::DuplicateColumn { column: each.name.clone() });
        }
    }
    names_in_a_model(schema.features())
}

/// Every name that a reader of a model file may look for belongs to one feature: the encoded columns,
/// the base levels, and the features as the data file has them.
fn names_in_a_model(features: &[Feature]) -> Result<(), SchemaError> {
    let mut owners: HashMap<String, &str> = HashMap::new();
    for feature in features {
        let mut names = feature.columns();
        if let FeatureKind::Categorical(categorical) = &feature.kind {
            names.push(format!("{}={}", feature.name, categorical.base));
            names.push(feature.name.clone());
        }
        for column in names {
            if INTERCEPT_NAMES.contains(&column.as_str()) {
                return Err(SchemaError::ReservedColumn { feature: feature.name.clone(), column });
            }
            if let Some(first) = owners.insert(column.clone(), &feature.name) {
                let (first, second) = (first.to_owned(), feature.name.clone());
                return Err(SchemaError::DuplicateEncodedColumn { column, first, second });
            }
        }
    }
    Ok(())
}

fn target(target: &Target) -> Result<(), SchemaError> {
    name(target.column())?;
    match target {
        Target::Binary(binary) => {
            name(&binary.positive)?;
            name(&binary.negative)?;
            if binary.positive == binary.negative {
                return Err(SchemaError::SameClasses { class: binary.positive.clone() });
            }
            Ok(())
        }
        Target::Numeric(numeric) => range(&numeric.column, numeric.range),
        Target::Count(count) if count.range.0 < 0.0 => {
            Err(SchemaError::NegativeCounts { column: count.column.clone() })
        }
        Target::Count(count) => range(&count.column, Some(count.range)),
        Target::Levels(target) => levels(&target.column, &target.levels).map(drop),
    }
}

fn feature(feature: &Feature) -> Result<(), SchemaError> {
    name(&feature.name)?;
    match &feature.kind {
        FeatureKind::Numeric(kind) => numeric(&feature.name, kind),
        FeatureKind::Categorical(kind) => categorical(&feature.name, kind),
    }
}

fn numeric(name: &str, numeric: &Numeric) -> Result<(), SchemaError> {
    let feature = || name.to_owned();
    let bad =
        |constant, positive| SchemaError::BadConstant { feature: feature(), constant, positive };
    range(name, numeric.range)?;
    if let Scaling::Constants { mean, std } = numeric.scale {
        if !mean.is_finite() {
            return Err(bad("the mean", false));
        }
        if !(std.is_finite() && std > 0.0) {
            return Err(bad("the std", true));
        }
    }
    match numeric.missing {
        NumericMissing::Refuse if numeric.indicator => {
            Err(SchemaError::IndicatorWithoutMissing { feature: feature() })
        }
        NumericMissing::Mean if numeric.scale == Scaling::None => {
            Err(SchemaError::MeanWithoutScale { feature: feature() })
        }
        NumericMissing::Value(value) if !value.is_finite() => {
            Err(bad("the value for missing cells", false))
        }
        NumericMissing::Value(value)
            if numeric.range.is_some_and(|(low, high)| value < low || value > high) =>
        {
            Err(SchemaError::FillOutsideRange { feature: feature() })
        }
        NumericMissing::Refuse | NumericMissing::Mean | NumericMissing::Value(_) => Ok(()),
    }
}

fn categorical(feature: &str, categorical: &Categorical) -> Result<(), SchemaError> {
    let seen = levels(feature, &categorical.levels)?;
    let feature = || feature.to_owned();
    if seen.contains(MISSING_LEVEL) && categorical.missing == CategoricalMissing::Level {
        return Err(SchemaError::ReservedLevel { feature: feature() });
    }
    if !seen.contains(categorical.base.as_str()) {
        let base = categorical.base.clone();
        return Err(SchemaError::BaseNotALevel { feature: feature(), base });
    }
    Ok(())
}

/// The words of a column, each once.
fn levels<'a>(column: &str, levels: &'a [String]) -> Result<HashSet<&'a str>, SchemaError> {
    let column = || column.to_owned();
    if !(2..=MAX_LEVELS).contains(&levels.len()) {
        return Err(SchemaError::LevelCount { feature: column(), count: levels.len() });
    }
    let mut seen = HashSet::new();
    for level in levels {
        name(level)?;
        if !seen.insert(level.as_str()) {
            return Err(SchemaError::DuplicateLevel { feature: column(), level: level.clone() });
        }
    }
    Ok(seen)
}

fn range(column: &str, range: Option<(f64, f64)>) -> Result<(), SchemaError> {
    match range {
        Some((low, high)) if !(low.is_finite() && high.is_finite() && low < high) => {
            Err(SchemaError::BadRange { column: column.to_owned() })
        }
        _ => Ok(()),
    }
}

/// Cells are trimmed when they are read, so a name with spaces at its ends could never match.
fn name(name: &str) -> Result<(), SchemaError> {
    if name.is_empty() || name.trim() != name || name.chars().any(char::is_control) {
        return Err(SchemaError::BadName { name: name.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
