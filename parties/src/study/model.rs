//! `[model]`: what is fitted, as far as it is the same for all models.

use mpc_ml::artifact::ModelKind;
use mpc_ml::data::{
    BinaryTarget, CaseWeights, CountTarget, LevelsTarget, NumericTarget, Offset, RowColumns, Target,
};

use super::StudyError;
use super::raw::{RawModel, RawOffset, RawTarget, RawWeights};

/// The kind of model, and the columns that it needs beside the features.
pub(super) fn check(raw: RawModel) -> Result<(ModelKind, Target, RowColumns), StudyError> {
    let RawModel { kind, target, offset, weights, groups, .. } = raw;
    let target = target.ok_or_else(|| {
        let rule = "is missing: which column is predicted? target = { column = .., .. }";
        StudyError::rule("model.target", rule)
    })?;
    let kind = match kind.get_ref().as_str() {
        "linear" => ModelKind::Linear,
        "logistic" => ModelKind::Logistic,
        "poisson" => ModelKind::Poisson,
        "multinomial" => ModelKind::Multinomial,
        _ => {
            let rule = "must be \"linear\", \"logistic\", \"poisson\" or \"multinomial\"";
            return Err(StudyError::rule("model.kind", rule));
        }
    };
    let offset = offset.map(self::offset).transpose()?;
    let weights = weights.map(self::weights).transpose()?;
    Ok((kind, self::target(target, kind)?, RowColumns { offset, weights, groups }))
}

fn target(raw: RawTarget, kind: ModelKind) -> Result<Target, StudyError> {
    if kind == ModelKind::Multinomial {
        return levels(raw);
    }
    if raw.levels.is_some() {
        let rule = "has no place here: it belongs to kind = \"multinomial\"";
        return Err(StudyError::rule("model.target.levels", rule));
    }
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

fn levels(raw: RawTarget) -> Result<Target, StudyError> {
    let given = [
        ("positive", raw.positive.is_some()),
        ("negative", raw.negative.is_some()),
        ("range", raw.range.is_some()),
    ];
    if let Some((key, _)) = given.into_iter().find(|(_, given)| *given) {
        let rule = "has no place here: the target of a multinomial model has levels";
        return Err(StudyError::rule(format!("model.target.{key}").as_str(), rule));
    }
    let levels = raw.levels.ok_or_else(|| {
        let rule = "is missing: a multinomial model needs the words for all its classes, \
                    target = { column = .., levels = [.., ..] }";
        StudyError::rule("model.target.levels", rule)
    })?;
    Ok(Target::Levels(LevelsTarget { column: raw.column, levels }))
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

fn offset(raw: RawOffset) -> Result<Offset, StudyError> {
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

fn weights(raw: RawWeights) -> Result<CaseWeights, StudyError> {
    match raw {
        RawWeights::Ranged(raw) => Ok(CaseWeights { column: raw.column, range: raw.range }),
        RawWeights::Column(column) => {
            let rule = format!(
                "need a range, since the sums over all rows must stay where they are computed: write \
                 weights = {{ column = {column:?}, range = [0, high] }}"
            );
            Err(StudyError::rule("model.weights", rule))
        }
    }
}
