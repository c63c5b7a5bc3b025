//! A model as a formula: what each term reads, and its weight. All formats are written from it.

use mpc_ml::artifact::{Model, ModelKind};
use mpc_ml::data::{
    Categorical, CategoricalMissing, Feature, FeatureKind, Numeric, NumericMissing, Scaling, Target,
};

use super::Refusal;

/// A model as a formula on the cells of a row: a score that is a weighted sum of terms, and what becomes of it.
pub(super) struct Formula {
    pub kind: ModelKind,
    pub title: String,
    pub study: String,
    /// The column that is predicted.
    pub target: String,
    /// The words of a logistic model: the one whose probability is predicted, and the other one.
    pub classes: Option<(String, String)>,
    pub intercept: f64,
    pub terms: Vec<Term>,
    pub inputs: Vec<Input>,
    /// The column that is added to the score as it stands.
    pub offset: Option<String>,
}

/// A column of a row.
pub(super) struct Input {
    pub column: String,
    pub holds: Holds,
}

/// What a column may hold.
pub(super) enum Holds {
    Number { missing: bool },
    Words { levels: Vec<String>, missing: bool },
}

/// A term of the score.
pub(super) struct Term {
    /// As the model calls it.
    pub name: String,
    /// The column that it reads.
    pub column: String,
    pub reads: Reads,
    pub weight: f64,
}

/// How a term is made from a cell.
pub(super) enum Reads {
    /// The number, or `fill` in place of a missing one, less `mean`, by `std`.
    Number { fill: Option<f64>, mean: f64, std: f64 },
    /// 1 where the cell is missing, otherwise 0.
    Missing,
    /// 1 where the cell is this word, otherwise 0.
    Level(String),
}

impl Formula {
    pub(super) fn of(model: &Model) -> Result<Self, Refusal> {
        let standardised = model.standardised();
        let mut weights = standardised.coefficients.iter();
        let (mut terms, mut inputs) = (Vec::new(), Vec::new());
        for feature in model.schema().features() {
            inputs.push(Input { column: feature.name.clone(), holds: holds(&feature.kind) });
            for reads in reads(model, feature)? {
                let Some((name, weight)) = weights.next() else {
                    return Err(Refusal::of("the model has fewer coefficients than terms"));
                };
                let (name, column) = (name.to_owned(), feature.name.clone());
                terms.push(Term { name, column, reads, weight });
            }
        }
        if let Some((name, _)) = weights.next() {
            return Err(Refusal::of(format!("the term {name:?} of the model is not known here")));
        }
        let classes = match model.schema().target() {
            Target::Binary(binary) => Some((binary.positive.clone(), binary.negative.clone())),
            Target::Numeric(_) | Target::Count(_) | Target::Levels(_) => None,
        };
        Ok(Self {
            kind: model.kind(),
            title: model.title().to_owned(),
            study: model.study().to_owned(),
            target: model.schema().target().column().to_owned(),
            classes,
            intercept: standardised.intercept,
            terms,
            inputs,
            offset: model.schema().offset().map(|offset| offset.column.clone()),
        })
    }

    /// A name that begins with `wanted` and is none of `taken` nor of the columns; it is taken then.
    pub(super) fn free_name(&self, wanted: &str, taken: &mut Vec<String>) -> String {
        let mut name = wanted.to_owned();
        let columns = || self.inputs.iter().map(|input| &input.column).chain(&self.offset);
        while columns().any(|column| *column == name)
            || taken.contains(&name)
            || name == self.target
        {
            name.push('_');
        }
        taken.push(name.clone());
        name
    }
}

fn holds(kind: &FeatureKind) -> Holds {
    match kind {
        FeatureKind::Numeric(rule) => {
            Holds::Number { missing: rule.missing != NumericMissing::Refuse }
        }
        FeatureKind::Categorical(rule) => Holds::Words {
            levels: rule.levels.clone(),
            missing: rule.missing != CategoricalMissing::Refuse,
        },
    }
}

/// What the terms of a feature read, in the order of its encoded columns.
fn reads(model: &Model, feature: &Feature) -> Result<Vec<Reads>, Refusal> {
    match &feature.kind {
        FeatureKind::Numeric(rule) => {
            let (mean, std) = scale(model, feature, rule)?;
            let fill = match rule.missing {
                NumericMissing::Refuse => None,
                NumericMissing::Mean => Some(mean),
                NumericMissing::Value(value) => Some(value),
            };
            let mut reads = vec![Reads::Number { fill, mean, std }];
            if rule.indicator {
                reads.push(Reads::Missing);
            }
            Ok(reads)
        }
        FeatureKind::Categorical(rule) => Ok(levels(rule)),
    }
}

fn levels(rule: &Categorical) -> Vec<Reads> {
    let mut reads: Vec<Reads> = rule.coded_levels().cloned().map(Reads::Level).collect();
    if rule.missing == CategoricalMissing::Level {
        reads.push(Reads::Missing);
    }
    reads
}

fn scale(model: &Model, feature: &Feature, rule: &Numeric) -> Result<(f64, f64), Refusal> {
    match rule.scale {
        Scaling::None => Ok((0.0, 1.0)),
        Scaling::Constants { mean, std } => Ok((mean, std)),
        Scaling::Joint => {
            let mut all = model.standardisation().iter();
            let found = all.find(|each| each.name == feature.name);
            found.map(|each| (each.mean, each.std)).ok_or_else(|| {
                Refusal::of(format!("the model has no mean of the column {:?}", feature.name))
            })
        }
    }
}
