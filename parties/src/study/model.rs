//! `[model]`: what is fitted.

use mpc_ml::artifact::ModelKind;
use mpc_ml::data::{BinaryTarget, Target};

use super::StudyError;
use super::raw::RawModel;

/// The largest bound on encoded values; above it the numbers no longer fit the fixed point.
const MAX_CLIP: f64 = 65_536.0;

/// What is fitted.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelSettings {
    /// The kind of model.
    pub kind: ModelKind,
    /// Whether the model has an intercept. It is never penalised.
    pub intercept: bool,
    /// The weight of half the squared coefficients in the mean loss.
    pub l2: f64,
    /// Encoded values are cut to `[-clip, clip]`.
    pub clip: f64,
}

pub(super) fn check(raw: RawModel) -> Result<(ModelSettings, Target), StudyError> {
    match raw.kind.as_str() {
        "logistic" => {}
        "linear" => return Err(StudyError::not_yet("model.kind", "a linear model")),
        _ => return Err(StudyError::rule("model.kind", "must be \"logistic\"")),
    }
    if !(raw.l2.is_finite() && (0.0..=1000.0).contains(&raw.l2)) {
        return Err(StudyError::rule("model.l2", "must be a number from 0 to 1000"));
    }
    // Levels and indicators are 0 or 1 and must pass uncut.
    if !(1.0..=MAX_CLIP).contains(&raw.clip) {
        let rule = format!("must be a number from 1 to {MAX_CLIP}");
        return Err(StudyError::rule("model.clip", rule));
    }
    let missing = |field: &str| {
        let rule = "is missing: a logistic model needs the words for its two classes, \
                    target = { column = .., positive = .., negative = .. }";
        StudyError::rule(field, rule)
    };
    if raw.target.range.is_some() {
        let rule = "has no place here: the target of a logistic model has two classes";
        return Err(StudyError::rule("model.target.range", rule));
    }
    let target = BinaryTarget {
        column: raw.target.column,
        positive: raw.target.positive.ok_or_else(|| missing("model.target.positive"))?,
        negative: raw.target.negative.ok_or_else(|| missing("model.target.negative"))?,
    };
    let kind = ModelKind::Logistic;
    let model = ModelSettings { kind, intercept: raw.intercept, l2: raw.l2, clip: raw.clip };
    Ok((model, Target::Binary(target)))
}
