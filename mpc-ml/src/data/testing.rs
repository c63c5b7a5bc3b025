//! Small schemas for the tests of this crate.

use super::{
    BinaryTarget, Categorical, CategoricalMissing, Feature, FeatureKind, Numeric, NumericMissing,
    Scaling, Schema, SchemaError, Target,
};

/// A numeric feature without range and indicator.
pub(crate) fn numeric(name: &str, missing: NumericMissing, scale: Scaling) -> Feature {
    let kind = Numeric { range: None, missing, indicator: false, scale };
    Feature { name: name.into(), kind: FeatureKind::Numeric(kind) }
}

/// A categorical feature whose missing cells become the base.
pub(crate) fn categorical(name: &str, levels: &[&str], base: &str) -> Feature {
    let kind = Categorical {
        levels: levels.iter().map(ToString::to_string).collect(),
        base: base.into(),
        missing: CategoricalMissing::Base,
    };
    Feature { name: name.into(), kind: FeatureKind::Categorical(kind) }
}

/// A schema with the target `Status` of `bad` and `good`.
pub(crate) fn schema(features: Vec<Feature>) -> Result<Schema, SchemaError> {
    let target =
        BinaryTarget { column: "Status".into(), positive: "bad".into(), negative: "good".into() };
    Schema::new(features, Target::Binary(target))
}
