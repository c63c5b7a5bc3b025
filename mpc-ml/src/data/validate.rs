//! What makes a schema valid.

use std::collections::HashSet;

use super::schema::{
    Categorical, CategoricalMissing, Feature, FeatureKind, MISSING_LEVEL, Numeric, NumericMissing,
    Scaling, Schema,
};
use super::target::Target;

/// The most levels that a categorical feature may have.
const MAX_LEVELS: usize = 10_000;

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
    /// Two of the features, the target and the offset are the same column.
    #[error(
        "the column {column:?} is named twice; each column is a feature, the target or the offset once"
    )]
    DuplicateColumn {
        /// The column.
        column: String,
    },
    /// Two features would give the same encoded column.
    #[error(
        "two features give an encoded column the same name, {column:?}; rename one in the data"
    )]
    DuplicateEncodedColumn {
        /// The encoded column.
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
            Self::SameClasses { .. } | Self::DuplicateEncodedColumn { .. } => None,
            Self::BadName { name } => Some(name),
            Self::DuplicateColumn { column }
            | Self::BadRange { column }
            | Self::NegativeCounts { column } => Some(column),
            Self::LevelCount { feature, .. }
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

pub(super) fn schema(schema: &Schema) -> Result<(), SchemaError> {
    target(schema.target())?;
    let mut columns = HashSet::from([schema.target().column()]);
    if let Some(offset) = schema.offset() {
        name(&offset.column)?;
        range(&offset.column, Some(offset.range))?;
        if !columns.insert(&offset.column) {
            return Err(SchemaError::DuplicateColumn { column: offset.column.clone() });
        }
    }
    for each in schema.features() {
        feature(each)?;
        if !columns.insert(&each.name) {
            return Err(SchemaError::DuplicateColumn { column: each.name.clone() });
        }
    }
    let mut encoded = HashSet::new();
    for column in schema.columns() {
        if !encoded.insert(column.clone()) {
            return Err(SchemaError::DuplicateEncodedColumn { column });
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
    let feature = || feature.to_owned();
    let count = categorical.levels.len();
    if !(2..=MAX_LEVELS).contains(&count) {
        return Err(SchemaError::LevelCount { feature: feature(), count });
    }
    let mut seen = HashSet::new();
    for level in &categorical.levels {
        name(level)?;
        if level == MISSING_LEVEL && categorical.missing == CategoricalMissing::Level {
            return Err(SchemaError::ReservedLevel { feature: feature() });
        }
        if !seen.insert(level) {
            return Err(SchemaError::DuplicateLevel { feature: feature(), level: level.clone() });
        }
    }
    if !seen.contains(&categorical.base) {
        let base = categorical.base.clone();
        return Err(SchemaError::BaseNotALevel { feature: feature(), base });
    }
    Ok(())
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
mod tests {
    use super::*;
    use crate::data::testing::{categorical, numeric, schema};
    use crate::data::{CountTarget, Offset};

    #[test]
    fn each_rule_has_its_error() {
        let joint = |name: &str| numeric(name, NumericMissing::Mean, Scaling::Joint);
        // Whether a model needs features is for the model to say.
        assert!(schema(vec![]).is_ok());
        assert!(matches!(schema(vec![joint("")]), Err(SchemaError::BadName { .. })));
        assert!(matches!(
            schema(vec![joint("a"), joint("a")]),
            Err(SchemaError::DuplicateColumn { column }) if column == "a"
        ));
        assert!(matches!(
            schema(vec![joint("Status")]),
            Err(SchemaError::DuplicateColumn { column }) if column == "Status"
        ));
        assert!(matches!(
            schema(vec![joint("H=b"), categorical("H", &["a", "b"], "a")]),
            Err(SchemaError::DuplicateEncodedColumn { column }) if column == "H=b"
        ));
        assert!(matches!(
            schema(vec![categorical("H", &["a"], "a")]),
            Err(SchemaError::LevelCount { count: 1, .. })
        ));
        assert!(matches!(
            schema(vec![categorical("H", &["a", "a"], "a")]),
            Err(SchemaError::DuplicateLevel { .. })
        ));
        assert!(matches!(
            schema(vec![categorical("H", &["a", "b"], "c")]),
            Err(SchemaError::BaseNotALevel { .. })
        ));
        assert!(matches!(
            schema(vec![numeric("a", NumericMissing::Mean, Scaling::None)]),
            Err(SchemaError::MeanWithoutScale { .. })
        ));
        let constants = Scaling::Constants { mean: 0.0, std: 0.0 };
        assert!(matches!(
            schema(vec![numeric("a", NumericMissing::Mean, constants)]),
            Err(SchemaError::BadConstant { positive: true, .. })
        ));
        assert!(matches!(
            schema(vec![numeric("a", NumericMissing::Value(f64::NAN), Scaling::None)]),
            Err(SchemaError::BadConstant { positive: false, .. })
        ));
    }

    #[test]
    fn target_and_offset_have_ranges_and_names_of_their_own() {
        let new = |low: f64, offset: &str, range| {
            let feature = numeric("a", NumericMissing::Mean, Scaling::Joint);
            let target = Target::Count(CountTarget { column: "y".into(), range: (low, 9.0) });
            let offset = Offset { column: offset.into(), range };
            Schema::with_offset(vec![feature], target, Some(offset)).map(drop)
        };
        assert_eq!(new(0.0, "b", (-1.0, 1.0)), Ok(()));
        assert_eq!(
            new(-1.0, "b", (-1.0, 1.0)),
            Err(SchemaError::NegativeCounts { column: "y".into() })
        );
        assert!(matches!(new(9.0, "b", (-1.0, 1.0)), Err(SchemaError::BadRange { .. })));
        assert!(matches!(new(0.0, "b", (1.0, 1.0)), Err(SchemaError::BadRange { .. })));
        for column in ["a", "y"] {
            let duplicate = SchemaError::DuplicateColumn { column: column.into() };
            assert_eq!(new(0.0, column, (-1.0, 1.0)), Err(duplicate));
        }
        assert!(matches!(new(0.0, " b", (-1.0, 1.0)), Err(SchemaError::BadName { .. })));
    }

    #[test]
    fn numeric_rules_must_fit_together() {
        let with = |range, missing, indicator| Feature {
            name: "a".into(),
            kind: FeatureKind::Numeric(Numeric {
                range,
                missing,
                indicator,
                scale: Scaling::Joint,
            }),
        };
        for range in [(1.0, 1.0), (2.0, 1.0), (f64::NAN, 1.0), (0.0, f64::INFINITY)] {
            assert!(matches!(
                schema(vec![with(Some(range), NumericMissing::Mean, false)]),
                Err(SchemaError::BadRange { .. })
            ));
        }
        assert!(matches!(
            schema(vec![with(Some((0.0, 1.0)), NumericMissing::Value(-1.0), false)]),
            Err(SchemaError::FillOutsideRange { .. })
        ));
        assert!(matches!(
            schema(vec![with(None, NumericMissing::Refuse, true)]),
            Err(SchemaError::IndicatorWithoutMissing { .. })
        ));
    }
}
