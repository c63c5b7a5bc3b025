//! Protocols on the rows of the parties: descriptions, survival, evaluations. Rows are read as `[data]` of `party.toml` says,
//! as those of a study are, and the operator's limits on small counts and on columns hold for all of them.

use std::fmt::Display;
use std::sync::Arc;

use mpc_core::correlations::Origin;
use mpc_core::protocols::threshold::ThresholdRule;
use mpc_core::{Recipients, Session, Tag};
use mpc_ml::Agreed;
use mpc_ml::data::{
    Categorical, CategoricalMissing, Feature, FeatureKind, Numeric, NumericMissing, NumericTarget,
    Scaling, Schema, Table, Target,
};
use mpc_ml::describe::noisy::{NoisyPlan, NoisySettings};
use mpc_ml::model::{Output, Plan, Run};
use mpc_ml::privacy::Guarantee;
use serde::Serialize;

use crate::describing::Describing;
use crate::evaluating::Evaluating;
use crate::exit::{Exit, Failure};
use crate::limits::Limits;
use crate::node::Protocol;
use crate::private_tables::PrivateTables;
use crate::settings::Settings;
use crate::siting::Siting;
use crate::study::Agreement;
use crate::surviving::Surviving;

const ROWS: Tag = Tag::new("tables/rows");
/// What stands for the target that such a table has none of.
const NO_TARGET: &str = "(no target)";

/// What is computed of the rows of all parties, and told under a threshold for small counts: the settings of a
/// protocol, which say it.
pub trait Tables: Sized {
    /// The name of the protocol.
    const NAME: &'static str;
    /// The output whose recipients have the result.
    const COUNTS: &'static str;
    /// What is agreed on when the numbers of rows are known.
    type Plan: Plan;
    /// What is known to be releasable.
    type Tested;
    /// The result.
    type Told: Serialize + Display;

    /// What the agreement asks for, and of which columns.
    ///
    /// # Errors
    /// When its settings are not those of this protocol.
    fn asked(agreement: &Agreement) -> Result<(Self, Schema), Failure>;

    /// The rule for small counts; none where every count has noise.
    fn threshold(&self) -> Option<ThresholdRule>;

    /// What is promised to the people in the rows, where it is differential privacy.
    fn promised(&self) -> Option<Guarantee> {
        None
    }

    /// The plan for parties with so many rows.
    ///
    /// # Errors
    /// What does not fit.
    fn plan(
        &self,
        schema: &Schema,
        rows: &[u64],
        told: (Recipients, Origin),
    ) -> Result<Self::Plan, mpc_ml::Error>;

    /// What the operator should know of the own rows before they are used.
    fn remarks(plan: &Self::Plan, table: &Table) -> Vec<String> {
        let _ = (plan, table);
        Vec::new()
    }

    /// Finds what may be released.
    ///
    /// # Errors
    /// When nothing may be; network errors.
    fn test(
        plan: &Agreed<Self::Plan>,
        table: &Table,
        run: &mut Run<'_>,
    ) -> impl Future<Output = Result<Self::Tested, mpc_ml::Error>>;

    /// Releases it. `None` where this party receives nothing.
    ///
    /// # Errors
    /// When what was released breaks the threshold; network errors.
    fn release(
        plan: &Agreed<Self::Plan>,
        tested: Self::Tested,
        run: &mut Run<'_>,
    ) -> impl Future<Output = Result<Option<Self::Told>, mpc_ml::Error>>;
}

/// A party that takes part in such a protocol with its rows.
pub struct OfRows<T: Tables> {
    pub(crate) settings: T,
    schema: Schema,
    table: Arc<Table>,
    told: (Recipients, Origin),
    plan: Option<Agreed<T::Plan>>,
}

/// Who receives the result, and where correlations come from.
fn told<T: Tables>(agreement: &Agreement) -> (Recipients, Origin) {
    (recipients(agreement, T::COUNTS), agreement.terms().security().correlations.origin())
}

impl<T: Tables> OfRows<T> {
    /// What the agreement asks for, of which nothing depends on the rows of the others.
    pub(crate) fn asks(agreement: &Agreement) -> Result<(T, Schema), Failure> {
        let (settings, schema) = T::asked(agreement)?;
        let rows = vec![1; agreement.terms().parties().len()];
        let plan = settings
            .plan(&schema, &rows, told::<T>(agreement))
            .map_err(|error| wrong(format!("settings: {error}")))?;
        lists(agreement, &plan.outputs(), "the results to the same parties")?;
        Ok((settings, schema))
    }

    pub(crate) fn planned(&self, rows: &[u64]) -> Result<T::Plan, Failure> {
        let plan = self.settings.plan(&self.schema, rows, self.told);
        plan.map_err(|error| Failure { seen_by_all: true, ..wrong(format!("settings: {error}")) })
    }

    pub(crate) fn of(agreement: &Agreement, table: Arc<Table>) -> Result<Self, Failure> {
        let (settings, schema) = T::asked(agreement)?;
        Ok(Self { settings, schema, table, told: told::<T>(agreement), plan: None })
    }
}

impl<T: Tables> Protocol for OfRows<T> {
    const NAME: &'static str = T::NAME;
    type Shares = T::Tested;
    type Result = Option<T::Told>;

    fn schema(agreement: &Agreement, node: &Settings) -> Result<Option<Schema>, Failure> {
        let (settings, schema) = Self::asks(agreement)?;
        check(&schema, settings.threshold(), &node.limits)?;
        Ok(Some(schema))
    }

    fn of_rows(
        agreement: &Agreement,
        _: usize,
        table: Arc<Table>,
        _: &Settings,
    ) -> Result<Self, Failure> {
        Self::of(agreement, table)
    }

    fn records(&self) -> Option<u64> {
        Some(self.table.rows() as u64)
    }

    fn remarks(&self) -> Vec<String> {
        // What a sum is made of does not depend on the others.
        self.planned(&[1, 1]).map_or_else(|_| Vec::new(), |plan| T::remarks(&plan, &self.table))
    }

    fn privacy(agreement: &Agreement) -> Result<Option<Guarantee>, Failure> {
        Ok(T::asked(agreement)?.0.promised())
    }

    async fn compute(&mut self, run: &mut Run<'_>) -> Result<T::Tested, Failure> {
        let rows = announced(self.table.rows(), run.session).await?;
        let agreed = Agreed::among(self.planned(&rows)?, run.session).await?;
        Ok(T::test(self.plan.insert(agreed), &self.table, run).await?)
    }

    async fn release(
        &mut self,
        tested: T::Tested,
        run: &mut Run<'_>,
    ) -> Result<Option<T::Told>, Failure> {
        let plan = self.plan.as_ref().ok_or_else(|| Failure::new(Exit::Internal, "no plan"))?;
        Ok(T::release(plan, tested, run).await?)
    }
}

/// The result, for people.
pub(crate) fn shown<T: Display>(result: &Option<T>) -> String {
    match result {
        Some(result) => result.to_string(),
        None => "The agreement names other parties as recipients.\n".to_owned(),
    }
}

/// The columns of an agreement, where it is on a protocol of this program's own; nothing else.
///
/// # Errors
/// When its settings are not those of its protocol, or not within this node's limits.
pub fn columns(agreement: &Agreement, node: &Settings) -> Result<Option<Schema>, Failure> {
    match agreement.protocol() {
        Describing::NAME => Describing::schema(agreement, node),
        Surviving::NAME => Surviving::schema(agreement, node),
        PrivateTables::NAME => PrivateTables::schema(agreement, node),
        Evaluating::NAME => Evaluating::schema(agreement, node),
        Siting::NAME => Siting::schema(agreement, node),
        _ => Ok(None),
    }
}

/// What an agreement with differential privacy promises, and what its noise does, in sentences; nothing of others. Of
/// parties with so many rows, where they are known.
///
/// # Errors
/// When its settings are not those of its protocol.
pub fn promised(
    agreement: &Agreement,
    rows: Option<&[u64]>,
) -> Result<Option<(Guarantee, NoisyPlan)>, Failure> {
    if agreement.protocol() != PrivateTables::NAME {
        return Ok(None);
    }
    let (settings, schema) = PrivateTables::asks(agreement)?;
    let ones = vec![1; agreement.terms().parties().len()];
    let plan = settings.plan(&schema, rows.unwrap_or(&ones), told::<NoisySettings>(agreement));
    let plan = plan.map_err(|error| wrong(format!("settings: {error}")))?;
    Ok(Some((settings.privacy, plan)))
}

/// Refuses what this node's limits do not allow.
pub(crate) fn check(
    schema: &Schema,
    threshold: Option<ThresholdRule>,
    limits: &Limits,
) -> Result<(), Failure> {
    let mut columns: Vec<String> =
        schema.features().iter().map(|feature| feature.name.clone()).collect();
    if has_target(schema) {
        columns.push(schema.target().column().to_owned());
    }
    columns.extend(schema.offset().map(|offset| offset.column.clone()));
    limits.check_description(threshold.map(|rule| rule.least), &columns)
}

/// What the operator should know of the own rows before they are used.
///
/// # Errors
/// When the settings are not those of the protocol.
pub fn remarks(agreement: &Agreement, rows: &Arc<Table>) -> Result<Vec<String>, Failure> {
    let rows = Arc::clone(rows);
    Ok(match agreement.protocol() {
        Describing::NAME => Describing::of(agreement, rows)?.remarks(),
        Surviving::NAME => Surviving::of(agreement, rows)?.remarks(),
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

/// Refuses an agreement that lists other outputs than the plan has, or other recipients than `to`, in words.
pub(crate) fn lists(agreement: &Agreement, outputs: &[Output], to: &str) -> Result<(), Failure> {
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
        "the protocol {} reveals {}, in this order, {to}: [[reveals]] must list these and nothing else",
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
