//! Tables with differential privacy, as an agreement of the parties on the protocol `private-tables/1`
//! (docs/privacy.md): which columns, and what is promised to the people in the rows.

use std::collections::BTreeMap;

use mpc_core::Recipients;
use mpc_core::correlations::Origin;
use mpc_core::protocols::threshold::ThresholdRule;
use mpc_ml::Agreed;
use mpc_ml::data::{Feature, FeatureKind, Numeric, NumericMissing, Scaling, Schema, Table};
use mpc_ml::describe::noisy::{self, NOISY, Noised, NoisyPlan, NoisySettings, NoisyTables};
use mpc_ml::model::Run;
use mpc_ml::privacy::Guarantee;
use serde::Deserialize;

use crate::data_file::OTHER;
use crate::exit::Failure;
use crate::study::Agreement;
use crate::tabled::{self, OfRows, Tables, words, wrong};

/// A party whose rows are counted together with those of others, with noise.
pub type PrivateTables = OfRows<NoisySettings>;

/// The table `[settings]` of an agreement.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    privacy: Guarantee,
    group: Option<String>,
    #[serde(default)]
    tables: Vec<(String, String)>,
    #[serde(default)]
    histograms: Vec<(String, u32)>,
    #[serde(default)]
    means: Vec<String>,
    columns: Vec<SaidColumn>,
    /// What a description without noise has, and this has not.
    #[serde(default)]
    quartiles: Option<toml::Value>,
    #[serde(default)]
    correlations: Option<toml::Value>,
    #[serde(default)]
    threshold: Option<toml::Value>,
    #[serde(default)]
    keep_back: Option<toml::Value>,
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

/// What has no place here, and what to write for it.
fn refused(said: &Said) -> Result<(), Failure> {
    let all = [
        (
            "quartiles",
            &said.quartiles,
            "are found by halving with exact counts, which is nothing that noise can be added to: remove it and \
             write histograms = [[\"COLUMN\", INTERVALS]], from which quartiles follow to an interval",
        ),
        (
            "correlations",
            &said.correlations,
            "are not told with noise: remove it; a linear model with [privacy] (docs/privacy.md) tells how columns \
             go together",
        ),
        (
            "threshold",
            &said.threshold,
            "has no place here: no exact count decides what is shown, and every count has noise. Remove it",
        ),
        (
            "keep_back",
            &said.keep_back,
            "has no place here: no exact count decides what is shown, and every count has noise. Remove it",
        ),
    ];
    match all.into_iter().find(|(_, value, _)| value.is_some()) {
        Some((name, _, rule)) => Err(wrong(format!("settings.{name}: {rule}"))),
        None => Ok(()),
    }
}

impl SaidColumn {
    fn feature(self, ranges: &mut BTreeMap<String, (f64, f64)>) -> Result<Feature, Failure> {
        let Self { name, range, levels, other, missing } = self;
        match (range, levels) {
            (Some(range), None) if !other => {
                // Numbers beyond the range are cut to it, and not refused.
                let missing =
                    if missing { NumericMissing::Value(range.0) } else { NumericMissing::Refuse };
                let (range_of_cells, scale) = (None, Scaling::None);
                let kind = Numeric { range: range_of_cells, missing, indicator: false, scale };
                ranges.insert(name.clone(), range);
                Ok(Feature { name, kind: FeatureKind::Numeric(kind) })
            }
            (None, Some(mut levels)) => {
                levels.extend(other.then(|| OTHER.to_owned()));
                Ok(words(name, levels, missing))
            }
            _ => Err(wrong(format!(
                "settings.columns: {name:?} needs a range, [low, high], to which numbers are cut, or its levels if \
                 it holds words, and not both; `other` belongs to levels"
            ))),
        }
    }
}

impl Tables for NoisySettings {
    const NAME: &'static str = "private-tables/1";
    const COUNTS: &'static str = NOISY;
    type Plan = NoisyPlan;
    type Tested = Noised;
    type Told = NoisyTables;

    fn asked(agreement: &Agreement) -> Result<(Self, Schema), Failure> {
        let said: Said = agreement.settings()?;
        refused(&said)?;
        let mut ranges = BTreeMap::new();
        let features = said.columns.into_iter().map(|column| column.feature(&mut ranges));
        let features = features.collect::<Result<Vec<_>, _>>()?;
        let schema = tabled::schema(features, "settings.columns")?;
        let Said { privacy, group, tables, histograms, means, .. } = said;
        Ok((Self { privacy, group, tables, histograms, means, ranges }, schema))
    }

    fn threshold(&self) -> Option<ThresholdRule> {
        None
    }

    fn promised(&self) -> Option<Guarantee> {
        Some(self.privacy)
    }

    fn plan(
        &self,
        schema: &Schema,
        rows: &[u64],
        (to, _): (Recipients, Origin),
    ) -> Result<NoisyPlan, mpc_ml::Error> {
        NoisyPlan::new(self, schema, rows, to)
    }

    async fn test(
        plan: &Agreed<NoisyPlan>,
        table: &Table,
        run: &mut Run<'_>,
    ) -> Result<Noised, mpc_ml::Error> {
        noisy::prepare(plan, table, run).await
    }

    async fn release(
        plan: &Agreed<NoisyPlan>,
        noised: Noised,
        run: &mut Run<'_>,
    ) -> Result<Option<NoisyTables>, mpc_ml::Error> {
        noisy::release(plan, noised, run).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::node::Protocol;

    const TEXT: &str = include_str!("../examples/private_tables.toml");

    fn agreement(from: &str, to: &str) -> Agreement {
        assert!(TEXT.contains(from), "{from}");
        Agreement::from_bytes(TEXT.replacen(from, to, 1).as_bytes()).expect("an agreement")
    }

    fn asks(from: &str, to: &str) -> Result<(NoisySettings, Schema), Failure> {
        PrivateTables::asks(&agreement(from, to))
    }

    #[test]
    fn an_agreement_says_what_is_told_and_what_is_promised() {
        let agreement = agreement("epsilon = 3", "epsilon = 3");
        let promised = PrivateTables::privacy(&agreement).expect("fits").expect("promises");
        assert!((promised.epsilon - 3.0).abs() < 1e-12 && promised.persons == 1);
        let (_, plan) = tabled::promised(&agreement, None).expect("fits").expect("promises");
        let words = plan.in_words();
        assert!(words[0].contains("epsilon 3.00 for leaving it out"), "{words:?}");
        assert!(words[1].contains("sex by treatment") && words[1].contains("in 95 of 100"));
        let mut table = Table::builder_without_target(asks("", "").expect("fits").1);
        // Numbers beyond the range are no reason to refuse a row.
        table.push_row(&["usual", "f", "105", ""]).expect("fits");
        let own = PrivateTables::of(&agreement, Arc::new(table.finish())).expect("fits");
        assert!(own.planned(&[1, 900, 900]).is_ok());
        let said = own.planned(&[1, 9000, 9000]).expect_err("delta is too large").what;
        assert!(said.contains("delta is 1.0e-5"), "{said}");
    }

    #[test]
    fn what_noise_cannot_tell_is_refused_with_the_way_around() {
        for (from, to, says) in [
            ("tables = []", "quartiles = [[\"age\", 1.0]]", "write histograms = [["),
            ("tables = []", "correlations = true", "a linear model with [privacy]"),
            ("tables = []", "threshold = { least = 5 }", "every count has noise. Remove it"),
            ("tables = []", "keep_back = true", "every count has noise. Remove it"),
            ("tables = []", "fisher = true", "unknown field `fisher`"),
            ("range = [20, 100]", "range = [100, 20]", "the lower first"),
            ("range = [20, 100]", "levels = [\"a\"]\nrange = [1, 2]", "and not both"),
            ("epsilon = 3", "epsilon = 0", "epsilon is 0"),
            ("\"noisy tables\"", "\"tables\"", "[[reveals]] must list these"),
        ] {
            let said = asks(from, to).expect_err(to).what;
            assert!(said.contains(says), "{to}: {said}");
        }
        // The advice can be followed.
        assert!(asks("tables = []", "").is_ok());
    }

    #[test]
    fn other_protocols_say_where_privacy_belongs() {
        let with = |text: &str| {
            let text = text.replacen("[settings]\n", "[settings]\nprivacy = { epsilon = 1 }\n", 1);
            Agreement::from_bytes(text.as_bytes()).expect("an agreement")
        };
        let described = with(include_str!("../examples/describe.toml"));
        let said = crate::describing::Describing::asks(&described).expect_err("exact").what;
        assert!(said.contains("private-tables/1"), "{said}");
    }
}
