//! What the rows of all parties look like together, as an agreement of the parties on the protocol
//! `describe/1` (docs/describe.md): which columns, by which groups, under which threshold.

use mpc_core::Recipients;
use mpc_core::correlations::Origin;
use mpc_core::protocols::threshold::ThresholdRule;
use mpc_ml::Agreed;
use mpc_ml::data::{Feature, Schema, Table};
use mpc_ml::describe::{self, COUNTS, DescribePlan, DescribeSettings, Description, Tested};
use mpc_ml::model::Run;
use serde::Deserialize;

use crate::data_file::OTHER;
use crate::exit::Failure;
use crate::study::Agreement;
use crate::tabled::{self, OfRows, Tables, numbers, words, wrong};

/// A party that describes its rows together with others.
pub type Describing = OfRows<DescribeSettings>;

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
    /// Of another protocol.
    privacy: Option<toml::Value>,
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

impl Tables for DescribeSettings {
    const NAME: &'static str = "describe/1";
    const COUNTS: &'static str = COUNTS;
    type Plan = DescribePlan;
    type Tested = Tested;
    type Told = Description;

    fn asked(agreement: &Agreement) -> Result<(Self, Schema), Failure> {
        let said: Said = agreement.settings()?;
        if said.privacy.is_some() {
            return Err(wrong(
                "settings.privacy has no place in describe/1, whose counts are exact: agree on the protocol \
                 private-tables/1, which adds noise to every figure (docs/privacy.md)",
            ));
        }
        let features = said.columns.into_iter().map(SaidColumn::feature);
        let features = features.collect::<Result<Vec<_>, _>>()?;
        let schema = tabled::schema(features, "settings.columns")?;
        let (group, tables, correlations) = (said.group, said.tables, said.correlations);
        let (histograms, quartiles, threshold) = (said.histograms, said.quartiles, said.threshold);
        let keep_back = said.keep_back;
        let settings =
            Self { group, tables, correlations, histograms, quartiles, keep_back, threshold };
        Ok((settings, schema))
    }

    fn threshold(&self) -> Option<ThresholdRule> {
        Some(self.threshold)
    }

    fn plan(
        &self,
        schema: &Schema,
        rows: &[u64],
        (to, origin): (Recipients, Origin),
    ) -> Result<DescribePlan, mpc_ml::Error> {
        DescribePlan::new(self, schema, rows, to, origin)
    }

    fn remarks(plan: &DescribePlan, table: &Table) -> Vec<String> {
        let told = |of: describe::Dominated| {
            let group = of.group.map_or(String::new(), |group| format!(" (rows of {group})"));
            format!(
                "column {}{group}: one of your rows makes up more than half of what your rows add to the sum, which \
                 tells its number nearly to whoever knows the others'. Leave the row out, or agree to leave the column \
                 out",
                of.column
            )
        };
        plan.dominated(table).into_iter().map(told).collect()
    }

    async fn test(
        plan: &Agreed<DescribePlan>,
        table: &Table,
        run: &mut Run<'_>,
    ) -> Result<Tested, mpc_ml::Error> {
        describe::test(plan, table, run).await
    }

    async fn release(
        plan: &Agreed<DescribePlan>,
        tested: Tested,
        run: &mut Run<'_>,
    ) -> Result<Option<Description>, mpc_ml::Error> {
        describe::release(plan, tested, run).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::node::Protocol;

    const TEXT: &str = include_str!("../examples/describe.toml");

    fn asks(text: &str) -> Result<(DescribeSettings, Schema), Failure> {
        Describing::asks(&Agreement::from_bytes(text.as_bytes()).expect("an agreement"))
    }

    #[test]
    fn an_agreement_says_what_is_described() {
        let (settings, schema) = asks(TEXT).expect("fits");
        assert_eq!((settings.threshold, schema.features().len()), (ThresholdRule::default(), 4));
        let agreement = Agreement::from_bytes(TEXT.as_bytes()).expect("an agreement");
        let mut table = Table::builder_without_target(schema);
        table.push_row(&["usual", "f", "71.5", ""]).expect("fits");
        table.push_row(&["new", "m", "44", "131.5"]).expect("fits");
        let own = Describing::of(&agreement, Arc::new(table.finish())).expect("fits");
        assert_eq!(own.records(), Some(2));
        assert_eq!(own.settings.group.as_deref(), Some("treatment"));
        assert!(own.planned(&[2, 3, 4]).is_ok());
    }

    #[test]
    fn an_owner_is_told_of_a_row_that_is_most_of_a_sum() {
        let agreement = Agreement::from_bytes(TEXT.as_bytes()).expect("an agreement");
        let mut table = Table::builder_without_target(asks(TEXT).expect("fits").1);
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
