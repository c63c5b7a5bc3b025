//! Protocols on the rows of the parties: descriptions and survival. Rows are read as `[data]` of `party.toml` says,
//! as those of a study are, and the operator's limits on small counts and on columns hold for all of them.

use std::sync::Arc;

use mpc_core::protocols::threshold::ThresholdRule;
use mpc_core::{Recipients, Session, Tag};
use mpc_ml::data::{
    Categorical, CategoricalMissing, Feature, FeatureKind, Numeric, NumericMissing, NumericTarget,
    Scaling, Schema, Table, Target,
};
use mpc_ml::model::Output;

use crate::describing::Describing;
use crate::exit::{Exit, Failure};
use crate::limits::Limits;
use crate::node::Protocol;
use crate::study::Agreement;
use crate::surviving::Surviving;

const ROWS: Tag = Tag::new("tables/rows");
/// What stands for the target that such a table has none of.
const NO_TARGET: &str = "(no target)";

/// What an agreement asks of the rows.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The columns that are used.
    pub schema: Schema,
    /// The rule for small counts.
    pub threshold: ThresholdRule,
}

/// A protocol on rows whose counts are released under a threshold.
pub trait Tabled: Protocol {
    /// What the agreement asks for.
    ///
    /// # Errors
    /// When its settings are not those of this protocol.
    fn asks(agreement: &Agreement) -> Result<Asked, Failure>;

    /// The result, for people.
    fn shown(result: &Self::Result) -> String;
}

/// What an agreement asks of the rows, where it is on a protocol of this program's own; nothing else.
///
/// # Errors
/// When its settings are not those of its protocol.
pub fn asks(agreement: &Agreement) -> Result<Option<Asked>, Failure> {
    match agreement.protocol() {
        Describing::NAME => Describing::asks(agreement).map(Some),
        Surviving::NAME => Surviving::asks(agreement).map(Some),
        _ => Ok(None),
    }
}

/// Refuses what this node's limits do not allow.
///
/// # Errors
/// Which limit, and what to do.
pub fn check(asked: &Asked, limits: &Limits) -> Result<(), Failure> {
    let columns: Vec<String> =
        asked.schema.features().iter().map(|feature| feature.name.clone()).collect();
    limits.check_description(asked.threshold.least, &columns)
}

/// What the operator should know of the own rows before they are used.
///
/// # Errors
/// When the settings are not those of the protocol.
pub fn remarks(agreement: &Agreement, rows: &Arc<Table>) -> Result<Vec<String>, Failure> {
    let rows = Arc::clone(rows);
    Ok(match agreement.protocol() {
        Describing::NAME => Describing::of_rows(agreement, 0, rows)?.remarks(),
        Surviving::NAME => Surviving::of_rows(agreement, 0, rows)?.remarks(),
        _ => Vec::new(),
    })
}

pub(crate) fn wrong(what: impl Into<String>) -> Failure {
    Failure::new(Exit::Configuration, what.into())
}

/// A column of numbers in a range; a missing one is never used as the number that stands for it.
pub(crate) fn numbers(name: String, range: (f64, f64), missing: bool) -> Feature {
    let missing = if missing { NumericMissing::Value(range.0) } else { NumericMissing::Refuse };
    let kind = Numeric { range: Some(range), missing, indicator: false, scale: Scaling::None };
    Feature { name, kind: FeatureKind::Numeric(kind) }
}

/// A column of words.
pub(crate) fn words(name: String, levels: Vec<String>, missing: bool) -> Feature {
    let missing = if missing { CategoricalMissing::Level } else { CategoricalMissing::Refuse };
    let base = levels.first().cloned().unwrap_or_default();
    Feature { name, kind: FeatureKind::Categorical(Categorical { base, levels, missing }) }
}

/// The columns as a table that has no target.
pub(crate) fn schema(features: Vec<Feature>, field: &str) -> Result<Schema, Failure> {
    let target = Target::Numeric(NumericTarget { column: NO_TARGET.to_owned(), range: None });
    Schema::new(features, target).map_err(|error| wrong(format!("{field}: {error}")))
}

/// Whether rows of this schema have a target that is read.
pub(crate) fn has_target(schema: &Schema) -> bool {
    schema.target().column() != NO_TARGET
}

/// Who receives the output with this label.
pub(crate) fn recipients(agreement: &Agreement, label: &str) -> Recipients {
    let found = agreement.outputs().iter().find(|output| output.label == label);
    found.map_or(Recipients::All, |output| output.recipients)
}

/// Refuses an agreement that lists other outputs than the plan has.
pub(crate) fn lists(agreement: &Agreement, outputs: &[Output]) -> Result<(), Failure> {
    let told = |output: &Output| (output.label.clone(), output.kind, output.recipients);
    if agreement.outputs().iter().map(told).eq(outputs.iter().map(told)) {
        return Ok(());
    }
    // What is revealed step by step stands in one line.
    let stem = |output: &Output| match output.label.rsplit_once('/') {
        Some((stem, step)) if step.bytes().all(|byte| byte.is_ascii_digit()) => stem.to_owned(),
        _ => output.label.clone(),
    };
    let mut lines: Vec<String> = Vec::new();
    for (at, output) in outputs.iter().enumerate() {
        let label = stem(output);
        if at > 0 && stem(&outputs[at - 1]) == label {
            continue;
        }
        let steps = outputs[at..].iter().take_while(|output| stem(output) == label).count();
        let kind = match (output.kind.is_repeatable(), label == output.label) {
            (false, _) => "a result".to_owned(),
            (true, true) => "kind = \"figure\", to = \"all\"".to_owned(),
            (true, false) => format!("kind = \"figure\", steps = {steps}, to = \"all\""),
        };
        lines.push(format!("{label:?} ({kind})"));
    }
    Err(wrong(format!(
        "the protocol {} reveals {}, in this order, the results to the same parties: [[reveals]] must list these \
         and nothing else",
        agreement.protocol(),
        lines.join(", ")
    )))
}

/// Tells all parties how many rows this one has, which is public, and hears it of the others. Two rounds.
pub(crate) async fn announced(rows: usize, session: &mut Session) -> Result<Vec<u64>, Failure> {
    let heard = session.announce(ROWS, &(rows as u64).to_le_bytes()).await?;
    session.compare().await?;
    let number = |bytes: &Vec<u8>| bytes.as_slice().try_into().map(u64::from_le_bytes);
    Ok(heard.iter().map(|bytes| number(bytes).unwrap_or_default()).collect())
}
