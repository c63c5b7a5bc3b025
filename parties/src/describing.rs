//! What the rows of all parties look like together, as an agreement of the parties on the protocol
//! `describe/1` (docs/describe.md): which columns, by which groups, under which threshold.

use std::path::Path;

use mpc_core::correlations::Origin;
use mpc_core::protocols::threshold::ThresholdRule;
use mpc_core::{Recipients, Tag};
use mpc_ml::Agreed;
use mpc_ml::data::{
    Categorical, CategoricalMissing, Feature, FeatureKind, Numeric, NumericMissing, NumericTarget,
    Scaling, Schema, Table, Target,
};
use mpc_ml::describe::{self, COUNTS, DescribePlan, DescribeSettings, Description, Tested};
use mpc_ml::model::{Output, Plan, Run};
use serde::Deserialize;

use crate::data_file::{ReadOptions, read_csv};
use crate::exit::{Exit, Failure};
use crate::node::Protocol;
use crate::study::Agreement;

const ROWS: Tag = Tag::new("describe/rows");
/// What stands for the target that a description has none of.
const NO_TARGET: &str = "(no target)";
/// How a file begins that gzip made.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A party that describes its rows together with others.
pub struct Describing {
    settings: DescribeSettings,
    schema: Schema,
    table: Table,
    recipients: Recipients,
    origin: Origin,
    plan: Option<Agreed<DescribePlan>>,
}

/// The table `[settings]` of an agreement.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    group: Option<String>,
    #[serde(default)]
    tables: Vec<(String, String)>,
    #[serde(default)]
    correlations: bool,
    #[serde(default)]
    histograms: Vec<(String, u32)>,
    #[serde(default)]
    threshold: ThresholdRule,
    columns: Vec<SaidColumn>,
}

/// One column: of numbers with a range, or of words with its levels.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SaidColumn {
    name: String,
    range: Option<(f64, f64)>,
    levels: Option<Vec<String>>,
    /// Whether cells may be empty.
    #[serde(default = "yes")]
    missing: bool,
}

const fn yes() -> bool {
    true
}

fn wrong(what: impl Into<String>) -> Failure {
    Failure::new(Exit::Configuration, what.into())
}

impl SaidColumn {
    fn feature(self) -> Result<Feature, Failure> {
        let Self { name, range, levels, missing } = self;
        let kind = match (range, levels) {
            (Some(range), None) => FeatureKind::Numeric(Numeric {
                range: Some(range),
                missing: if missing {
                    NumericMissing::Value(range.0)
                } else {
                    NumericMissing::Refuse
                },
                indicator: false,
                scale: Scaling::None,
            }),
            (None, Some(levels)) => FeatureKind::Categorical(Categorical {
                base: levels.first().cloned().unwrap_or_default(),
                levels,
                missing: if missing {
                    CategoricalMissing::Level
                } else {
                    CategoricalMissing::Refuse
                },
            }),
            _ => {
                return Err(wrong(format!(
                    "settings.columns: {name:?} needs a range, [low, high], if it holds numbers, or its \
                     levels if it holds words, and not both"
                )));
            }
        };
        Ok(Feature { name, kind })
    }
}

/// What is asked for, and of which columns.
fn asked(agreement: &Agreement) -> Result<(DescribeSettings, Schema), Failure> {
    let said: Said = agreement.settings()?;
    let features = said.columns.into_iter().map(SaidColumn::feature);
    let features = features.collect::<Result<Vec<_>, _>>()?;
    let target = Target::Numeric(NumericTarget { column: NO_TARGET.to_owned(), range: None });
    let schema = Schema::new(features, target)
        .map_err(|error| wrong(format!("settings.columns: {error}")))?;
    let (group, tables, correlations) = (said.group, said.tables, said.correlations);
    let (histograms, threshold) = (said.histograms, said.threshold);
    Ok((DescribeSettings { group, tables, correlations, histograms, threshold }, schema))
}

/// The rule for small counts that the parties agree on, and the columns that are described.
///
/// # Errors
/// When the settings are not those of a description.
pub fn asks_for(agreement: &Agreement) -> Result<(ThresholdRule, Vec<String>), Failure> {
    let (settings, schema) = asked(agreement)?;
    let columns = schema.features().iter().map(|feature| feature.name.clone()).collect();
    Ok((settings.threshold, columns))
}

/// Refuses an agreement that lists other outputs than the plan has.
fn lists(agreement: &Agreement, outputs: &[Output]) -> Result<(), Failure> {
    let told = |output: &Output| (output.label.clone(), output.kind, output.recipients);
    if agreement.outputs().iter().map(told).eq(outputs.iter().map(told)) {
        return Ok(());
    }
    let lines: Vec<String> = outputs
        .iter()
        .map(|output| {
            let kind = if output.kind.is_repeatable() {
                "kind = \"figure\", to = \"all\""
            } else {
                "a result"
            };
            format!("{:?} ({kind})", output.label)
        })
        .collect();
    Err(wrong(format!(
        "a description reveals {}, in this order, the results to the same parties: [[reveals]] must list these \
         and nothing else",
        lines.join(", ")
    )))
}

impl Describing {
    fn planned(&self, rows: &[u64]) -> Result<DescribePlan, Failure> {
        let (settings, schema) = (&self.settings, &self.schema);
        DescribePlan::new(settings, schema, rows, self.recipients, self.origin)
            .map_err(|error| Failure { seen_by_all: true, ..wrong(format!("settings: {error}")) })
    }
}

impl Protocol for Describing {
    const NAME: &'static str = "describe/1";
    type Shares = Tested;
    type Result = Option<Description>;

    fn read(agreement: &Agreement, _: usize, input: &[u8]) -> Result<Self, Failure> {
        let (settings, schema) = asked(agreement)?;
        let counts = agreement.outputs().iter().find(|output| output.label == COUNTS);
        let recipients = counts.map_or(Recipients::All, |output| output.recipients);
        let origin = agreement.terms().security().correlations.origin();
        // All that does not depend on the rows of the others is refused before they are there.
        let parties = agreement.terms().parties().len();
        let plan = DescribePlan::new(&settings, &schema, &vec![1; parties], recipients, origin)
            .map_err(|error| wrong(format!("settings: {error}")))?;
        lists(agreement, &plan.outputs())?;
        if input.starts_with(&GZIP) {
            return Err(Failure::new(Exit::LocalInput, "the file is compressed: unpack it first"));
        }
        let read = read_csv(input, Path::new("data.path"), &schema, &ReadOptions::default());
        let table = read?.table;
        Ok(Self { settings, schema, table, recipients, origin, plan: None })
    }

    fn records(&self) -> Option<u64> {
        Some(self.table.rows() as u64)
    }

    async fn compute(&mut self, run: &mut Run<'_>) -> Result<Tested, Failure> {
        // The number of rows of each party is public.
        let own = (self.table.rows() as u64).to_le_bytes();
        let rows = run.session.announce(ROWS, &own).await?;
        run.session.compare().await?;
        let rows: Vec<u64> = rows
            .iter()
            .map(|bytes| u64::from_le_bytes(bytes.as_slice().try_into().unwrap_or_default()))
            .collect();
        let agreed = Agreed::among(self.planned(&rows)?, run.session).await?;
        let plan = self.plan.insert(agreed);
        Ok(describe::test(plan, &self.table, run).await?)
    }

    async fn release(
        &mut self,
        tested: Tested,
        run: &mut Run<'_>,
    ) -> Result<Option<Description>, Failure> {
        let plan = self.plan.as_ref().ok_or_else(|| Failure::new(Exit::Internal, "no plan"))?;
        Ok(describe::release(plan, tested, run).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = include_str!("../examples/describe.toml");
    const ROWS: &[u8] = b"treatment,sex,age,pressure\nusual,f,71.5,\nnew,m,44,131.5\n";

    fn read(text: &str, rows: &[u8]) -> Result<Describing, Failure> {
        let agreement = Agreement::from_bytes(text.as_bytes()).expect("an agreement");
        Describing::read(&agreement, 0, rows)
    }

    #[test]
    fn an_agreement_says_what_is_described() {
        let own = read(TEXT, ROWS).expect("fits");
        assert_eq!((own.records(), own.schema.features().len()), (Some(2), 4));
        assert_eq!(own.settings.group.as_deref(), Some("treatment"));
        let agreement = Agreement::from_bytes(TEXT.as_bytes()).expect("an agreement");
        let (threshold, columns) = asks_for(&agreement).expect("fits");
        assert_eq!((threshold, columns.len()), (ThresholdRule::default(), 4));
        assert!(own.planned(&[2, 3, 4]).is_ok());
    }

    #[test]
    fn what_does_not_fit_is_refused_before_anybody_is_met() {
        let refused = |from: &str, to: &str| {
            assert!(TEXT.contains(from), "{from}");
            read(&TEXT.replacen(from, to, 1), ROWS).err().expect(to).what
        };
        for (from, to, says) in [
            ("group = \"treatment\"", "group = \"age\"", "no categorical feature"),
            ("range = [18, 100]", "range = [18, 18]", "the lower first"),
            ("range = [18, 100]", "levels = [\"a\", \"b\"]\nrange = [1, 2]", "and not both"),
            ("least = 5", "least = 0", "threshold of 0"),
            ("least = 5", "most = 5", "unknown field `most`"),
            ("kind = \"figure\"\n", "", "[[reveals]] must list these"),
            ("\"describe/sums\"", "\"describe/all\"", "[[reveals]] must list these"),
        ] {
            let said = refused(from, to);
            assert!(said.contains(says), "{to}: {said}");
        }
        let packed = read(TEXT, &[0x1f, 0x8b, 8]).err().expect("refused").what;
        assert!(packed.contains("unpack it"), "{packed}");
        let bad = b"treatment,sex,age,pressure\nusual,x,71.5,\n";
        let said = read(TEXT, bad).err().expect("refused").what;
        assert!(said.contains("line 2") && said.contains("sex"), "{said}");
    }
}
