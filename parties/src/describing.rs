//! What the rows of all parties look like together, as an agreement of the parties on the protocol
//! `describe/1` (docs/describe.md): which columns, by which groups, under which threshold.

use std::sync::Arc;

use mpc_core::Recipients;
use mpc_core::correlations::Origin;
use mpc_core::protocols::threshold::ThresholdRule;
use mpc_ml::Agreed;
use mpc_ml::data::{Feature, Schema, Table};
use mpc_ml::describe::{self, COUNTS, DescribePlan, DescribeSettings, Description, Tested};
use mpc_ml::model::{Plan, Run};
use serde::Deserialize;

use crate::data_file::OTHER;
use crate::exit::{Exit, Failure};
use crate::node::Protocol;
use crate::study::Agreement;
use crate::tabled::{self, Asked, Tabled, announced, lists, numbers, recipients, words, wrong};

/// A party that describes its rows together with others.
pub struct Describing {
    settings: DescribeSettings,
    schema: Schema,
    table: Arc<Table>,
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
    quartiles: Vec<(String, f64)>,
    #[serde(default)]
    keep_back: bool,
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
    /// Whether words that are none of the levels are counted together.
    #[serde(default)]
    other: bool,
    /// Whether cells may be empty.
    #[serde(default = "yes")]
    missing: bool,
}

const fn yes() -> bool {
    true
}

impl SaidColumn {
    fn feature(self) -> Result<Feature, Failure> {
        let Self { name, range, levels, other, missing } = self;
        match (range, levels) {
            (Some(range), None) if !other => Ok(numbers(name, range, missing)),
            (None, Some(mut levels)) => {
                levels.extend(other.then(|| OTHER.to_owned()));
                Ok(words(name, levels, missing))
            }
            _ => Err(wrong(format!(
                "settings.columns: {name:?} needs a range, [low, high], if it holds numbers, or its levels if \
                 it holds words, and not both; `other` belongs to levels"
            ))),
        }
    }
}

/// What is asked for, and of which columns.
fn asked(agreement: &Agreement) -> Result<(DescribeSettings, Schema), Failure> {
    let said: Said = agreement.settings()?;
    let features = said.columns.into_iter().map(SaidColumn::feature);
    let features = features.collect::<Result<Vec<_>, _>>()?;
    let schema = tabled::schema(features, "settings.columns")?;
    let (group, tables, correlations) = (said.group, said.tables, said.correlations);
    let (histograms, quartiles, threshold) = (said.histograms, said.quartiles, said.threshold);
    let keep_back = said.keep_back;
    let settings = DescribeSettings {
        group,
        tables,
        correlations,
        histograms,
        quartiles,
        keep_back,
        threshold,
    };
    Ok((settings, schema))
}

impl Describing {
    fn planned(&self, rows: &[u64]) -> Result<DescribePlan, Failure> {
        let (settings, schema) = (&self.settings, &self.schema);
        DescribePlan::new(settings, schema, rows, self.recipients, self.origin)
            .map_err(|error| Failure { seen_by_all: true, ..wrong(format!("settings: {error}")) })
    }
}

impl Tabled for Describing {
    fn asks(agreement: &Agreement) -> Result<Asked, Failure> {
        let (settings, schema) = asked(agreement)?;
        // All that does not depend on the rows of the others is refused before they are there.
        let rows = vec![1; agreement.terms().parties().len()];
        let origin = agreement.terms().security().correlations.origin();
        let to = recipients(agreement, COUNTS);
        let plan = DescribePlan::new(&settings, &schema, &rows, to, origin)
            .map_err(|error| wrong(format!("settings: {error}")))?;
        lists(agreement, &plan.outputs())?;
        Ok(Asked { schema, threshold: settings.threshold })
    }

    fn shown(result: &Self::Result) -> String {
        match result {
            Some(description) => description.to_string(),
            None => "The agreement names other parties as recipients.\n".to_owned(),
        }
    }
}

impl Protocol for Describing {
    const NAME: &'static str = "describe/1";
    type Shares = Tested;
    type Result = Option<Description>;

    fn schema(agreement: &Agreement) -> Result<Option<Schema>, Failure> {
        Self::asks(agreement).map(|asked| Some(asked.schema))
    }

    fn of_rows(agreement: &Agreement, _: usize, table: Arc<Table>) -> Result<Self, Failure> {
        let (settings, schema) = asked(agreement)?;
        let recipients = recipients(agreement, COUNTS);
        let origin = agreement.terms().security().correlations.origin();
        Ok(Self { settings, schema, table, recipients, origin, plan: None })
    }

    fn records(&self) -> Option<u64> {
        Some(self.table.rows() as u64)
    }

    fn remarks(&self) -> Vec<String> {
        // What a sum is made of does not depend on the others.
        let Ok(plan) = self.planned(&[1, 1]) else { return Vec::new() };
        let told = |of: describe::Dominated| {
            let group = of.group.map_or(String::new(), |group| format!(" (rows of {group})"));
            format!(
                "column {}{group}: one of your rows makes up more than half of what your rows add to the sum, which \
                 tells its number nearly to whoever knows the others'. Leave the row out, or agree to leave the column \
                 out",
                of.column
            )
        };
        plan.dominated(&self.table).into_iter().map(told).collect()
    }

    async fn compute(&mut self, run: &mut Run<'_>) -> Result<Tested, Failure> {
        let rows = announced(self.table.rows(), run.session).await?;
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

    fn asks(text: &str) -> Result<Asked, Failure> {
        Describing::asks(&Agreement::from_bytes(text.as_bytes()).expect("an agreement"))
    }

    #[test]
    fn an_agreement_says_what_is_described() {
        let asked = asks(TEXT).expect("fits");
        assert_eq!((asked.threshold, asked.schema.features().len()), (ThresholdRule::default(), 4));
        let agreement = Agreement::from_bytes(TEXT.as_bytes()).expect("an agreement");
        let mut table = Table::builder_without_target(asked.schema);
        table.push_row(&["usual", "f", "71.5", ""]).expect("fits");
        table.push_row(&["new", "m", "44", "131.5"]).expect("fits");
        let own = Describing::of_rows(&agreement, 0, Arc::new(table.finish())).expect("fits");
        assert_eq!(own.records(), Some(2));
        assert_eq!(own.settings.group.as_deref(), Some("treatment"));
        assert!(own.planned(&[2, 3, 4]).is_ok());
    }

    #[test]
    fn an_owner_is_told_of_a_row_that_is_most_of_a_sum() {
        let agreement = Agreement::from_bytes(TEXT.as_bytes()).expect("an agreement");
        let mut table = Table::builder_without_target(asks(TEXT).expect("fits").schema);
        for row in 0..9 {
            let pressure = if row == 3 { "220" } else { "" };
            let few = if row == 4 { "60" } else { pressure };
            let last = if row == 5 { "61" } else { few };
            table.push_row(&["usual", "f", "50", last]).expect("fits");
        }
        let rows = Arc::new(table.finish());
        let told = tabled::remarks(&agreement, &rows).expect("fits");
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("column pressure (rows of usual)") && !told[0].contains("220"));
    }

    #[test]
    fn what_does_not_fit_is_refused_before_anybody_is_met() {
        let refused = |from: &str, to: &str| {
            assert!(TEXT.contains(from), "{from}");
            asks(&TEXT.replacen(from, to, 1)).expect_err(to).what
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
    }
}
