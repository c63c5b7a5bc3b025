//! `[[features]]`: the input columns.

use mpc_ml::data::{
    Categorical, CategoricalMissing, Feature, FeatureKind, Numeric, NumericMissing, RowColumns,
    Scaling, Schema, SchemaError, Target,
};

use super::StudyError;
use super::place::Field;
use super::raw::{RawFeature, RawMissing, RawScale, RawTypical};
use crate::data_file::derive as formulas;

/// The schema, with the features of each party together where parties hold different ones (`places` of the
/// features), and the names of the features in the order of the study, with the fields that ask for them.
pub(super) fn check(
    raw: Vec<RawFeature>,
    target: Target,
    extra: RowColumns,
    places: Option<&[usize]>,
) -> Result<(Schema, Vec<(String, Field)>), StudyError> {
    let others = [
        ("model.offset", extra.offset.as_ref().map(|offset| offset.column.clone())),
        ("model.weights", extra.weights.as_ref().map(|weights| weights.column.clone())),
        ("model.groups", extra.groups.clone()),
    ];
    let fields: Vec<Field> = raw.iter().map(|raw| raw.field.clone()).collect();
    let mut features =
        raw.into_iter().map(feature).collect::<Result<Vec<Feature>, StudyError>>()?;
    let names: Vec<(String, Field)> =
        features.iter().map(|feature| feature.name.clone()).zip(fields).collect();
    if let Some(places) = places {
        let mut placed: Vec<_> = places.iter().zip(features).collect();
        // Stable: those of one party stay in their order.
        placed.sort_by_key(|(place, _)| **place);
        features = placed.into_iter().map(|(_, feature)| feature).collect();
    }
    formulas::check(&features).map_err(|(at, rule)| {
        let name = &features[at].name;
        let field = names.iter().find(|(own, _)| own == name).map(|(_, field)| field.clone());
        StudyError::rule(field.unwrap_or_default().key("name"), format!("(of {name:?}) {rule}"))
    })?;
    let schema = Schema::with_columns(features, target, extra);
    Ok((schema.map_err(|source| located(&names, &others, source))?, names))
}

/// Puts the feature's field to an error of the schema; of two features of one name, the second.
pub(super) fn located(
    names: &[(String, Field)],
    others: &[(&str, Option<String>)],
    source: SchemaError,
) -> StudyError {
    let of = |column| names.iter().rfind(|(name, _)| name == column);
    let field = match source.column().and_then(of) {
        Some((_, field)) => field.clone().key("name"),
        None => {
            let named =
                |column: &Option<String>| column.is_some() && column.as_deref() == source.column();
            // Of two columns of one name, the second.
            let other = others.iter().rfind(|(_, column)| named(column));
            Field::from(other.map_or("model.target", |(field, _)| *field))
        }
    };
    StudyError::Schema { line: None, field, source }
}

fn feature(raw: RawFeature) -> Result<Feature, StudyError> {
    let (name, field) = (raw.name.clone(), raw.field.clone());
    let rule = |key: &str, rule: String| {
        Err(StudyError::rule(field.clone().key(key), format!("(of {name:?}) {rule}")))
    };
    // Levels are words.
    let inferred = if raw.levels.is_some() { "categorical" } else { "numeric" };
    let kind = match raw.kind.as_deref().unwrap_or(inferred) {
        "numeric" => {
            let extra = [("levels", raw.levels.is_some()), ("base", raw.base.is_some())];
            if let Some((key, _)) = extra.iter().find(|(_, given)| *given) {
                return rule(
                    key,
                    "belongs to a categorical feature, and this one is numeric".into(),
                );
            }
            FeatureKind::Numeric(Numeric {
                range: raw.range,
                missing: match raw.missing {
                    RawMissing::Value(value) => NumericMissing::Value(value),
                    RawMissing::Word(word) if word == "refuse" => NumericMissing::Refuse,
                    RawMissing::Word(word) if word == "mean" => NumericMissing::Mean,
                    RawMissing::Word(_) => {
                        return rule("missing", "must be \"refuse\", \"mean\" or a number".into());
                    }
                },
                indicator: raw.indicator.unwrap_or(false),
                scale: match raw.scale {
                    None => Scaling::Joint,
                    Some(RawScale::Word(word)) if word == "joint" => Scaling::Joint,
                    Some(RawScale::Word(word)) if word == "none" => Scaling::None,
                    Some(RawScale::Constants(constants)) => {
                        Scaling::Constants { mean: constants.mean, std: constants.std }
                    }
                    Some(RawScale::Typical(RawTypical { typical: (low, high) })) => {
                        let half = (high - low) / 2.0;
                        if !(half.is_finite() && half > 0.0) {
                            let must = "must be { typical = [LOW, HIGH] } with a smaller and a larger number";
                            return rule("scale", must.into());
                        }
                        Scaling::Constants { mean: low + half, std: half }
                    }
                    Some(RawScale::Word(_)) => {
                        let must = "must be \"joint\", \"none\", { mean = .., std = .. } or \
                                    { typical = [.., ..] }";
                        return rule("scale", must.into());
                    }
                },
            })
        }
        "categorical" => {
            let extra = [
                ("indicator", raw.indicator.is_some()),
                ("scale", raw.scale.is_some()),
                ("range", raw.range.is_some()),
            ];
            if let Some((key, _)) = extra.iter().find(|(_, given)| *given) {
                return rule(
                    key,
                    "belongs to a numeric feature, and this one is categorical".into(),
                );
            }
            let Some(levels) = raw.levels else {
                return rule("levels", "is missing: list every word that may occur".into());
            };
            // A list without levels is refused with the rest of the schema.
            let base = raw.base.or_else(|| levels.first().cloned()).unwrap_or_default();
            let missing = match &raw.missing {
                RawMissing::Word(word) if word == "refuse" => CategoricalMissing::Refuse,
                RawMissing::Word(word) if word == "base" => CategoricalMissing::Base,
                RawMissing::Word(word) if word == "level" => CategoricalMissing::Level,
                _ => {
                    let must = "must be \"refuse\", \"base\" or \"level\"";
                    return rule("missing", must.into());
                }
            };
            FeatureKind::Categorical(Categorical { levels, base, missing })
        }
        _ => return rule("type", "must be \"numeric\" or \"categorical\"".into()),
    };
    Ok(Feature { name: raw.name, kind })
}
