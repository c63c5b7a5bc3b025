//! `[model]`: what is fitted.

use mpc_ml::artifact::ModelKind;
use mpc_ml::data::{BinaryTarget, CountTarget, NumericTarget, Offset, Target};

use super::StudyError;
use super::raw::{RawModel, RawOffset, RawTarget};

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

/// The model, and the columns that it needs beside the features.
pub(super) type Checked = (ModelSettings, Target, Option<Offset>);

pub(super) fn check(raw: RawModel) -> Result<Checked, StudyError> {
    let kind = match raw.kind.as_str() {
        "linear" => ModelKind::Linear,
        "logistic" => ModelKind::Logistic,
        "poisson" => ModelKind::Poisson,
        _ => {
            let rule = "must be \"linear\", \"logistic\" or \"poisson\"";
            return Err(StudyError::rule("model.kind", rule));
        }
    };
    if !(raw.l2.is_finite() && (0.0..=1000.0).contains(&raw.l2)) {
        return Err(StudyError::rule("model.l2", "must be a number from 0 to 1000"));
    }
    // Levels and indicators are 0 or 1 and must pass uncut.
    if !(1.0..=MAX_CLIP).contains(&raw.clip) {
        let rule = format!("must be a number from 1 to {MAX_CLIP}");
        return Err(StudyError::rule("model.clip", rule));
    }
    let offset = raw.offset.map(|raw| offset(raw, kind)).transpose()?;
    let target = target(raw.target, kind)?;
    let model = ModelSettings { kind, intercept: raw.intercept, l2: raw.l2, clip: raw.clip };
    Ok((model, target, offset))
}

fn target(raw: RawTarget, kind: ModelKind) -> Result<Target, StudyError> {
    if kind == ModelKind::Logistic {
        return classes(raw);
    }
    for (key, given) in [("positive", raw.positive.is_some()), ("negative", raw.negative.is_some())]
    {
        if given {
            let rule = "has no place here: the target of this kind of model is a number";
            return Err(StudyError::rule(format!("model.target.{key}").as_str(), rule));
        }
    }
    let range = raw.range.ok_or_else(|| {
        let rule = "is missing: every target must lie in it, and the computation is kept safe for \
                    numbers up to its ends; target = { column = .., range = [low, high] }";
        StudyError::rule("model.target.range", rule)
    })?;
    let column = raw.column;
    Ok(if kind == ModelKind::Poisson {
        Target::Count(CountTarget { column, range })
    } else {
        Target::Numeric(NumericTarget { column, range: Some(range) })
    })
}

fn classes(raw: RawTarget) -> Result<Target, StudyError> {
    let missing = |field: &str| {
        let rule = "is missing: a logistic model needs the words for its two classes, \
                    target = { column = .., positive = .., negative = .. }";
        StudyError::rule(field, rule)
    };
    if raw.range.is_some() {
        let rule = "has no place here: the target of a logistic model has two classes";
        return Err(StudyError::rule("model.target.range", rule));
    }
    Ok(Target::Binary(BinaryTarget {
        column: raw.column,
        positive: raw.positive.ok_or_else(|| missing("model.target.positive"))?,
        negative: raw.negative.ok_or_else(|| missing("model.target.negative"))?,
    }))
}

fn offset(raw: RawOffset, kind: ModelKind) -> Result<Offset, StudyError> {
    if kind != ModelKind::Poisson {
        let rule =
            "belongs to a Poisson model, where it is the logarithm of the exposure: remove it";
        return Err(StudyError::rule("model.offset", rule));
    }
    match raw {
        RawOffset::Ranged(raw) => Ok(Offset { column: raw.column, range: raw.range }),
        RawOffset::Column(column) => {
            let rule = format!(
                "needs a range, since the scores must stay where the rate is computed: write \
                 offset = {{ column = {column:?}, range = [low, high] }}"
            );
            Err(StudyError::rule("model.offset", rule))
        }
    }
}
