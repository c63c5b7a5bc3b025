//! How long it takes until something happens, of the rows of all parties, as an agreement on the protocol
//! `survival/1` (docs/survival.md): which columns, on which grids of times, by which groups, under which threshold.

use mpc_core::Recipients;
use mpc_core::correlations::Origin;
use mpc_core::protocols::threshold::ThresholdRule;
use mpc_ml::Agreed;
use mpc_ml::data::{Schema, Table};
use mpc_ml::model::Run;
use mpc_ml::survival::curve::Interval;
use mpc_ml::survival::{self, COUNTS, Survival, SurvivalPlan, SurvivalSettings, Tested};
use serde::Deserialize;

use crate::exit::Failure;
use crate::study::Agreement;
use crate::tabled::{self, OfRows, Tables, numbers, words, wrong};

/// Longer times are taken for another unit, or for a date.
const LONGEST: f64 = 1e12;

/// A party that estimates survival together with others.
pub type Surviving = OfRows<SurvivalSettings>;

/// The table `[settings]` of an agreement.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    time: String,
    event: SaidEvent,
    group: Option<SaidGroup>,
    grids: Vec<Vec<f64>>,
    #[serde(default)]
    on_grid: bool,
    #[serde(default)]
    interval: Interval,
    #[serde(default = "confidence")]
    confidence: f64,
    /// Whether times and events may be missing.
    #[serde(default = "yes")]
    missing: bool,
    #[serde(default)]
    threshold: ThresholdRule,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SaidEvent {
    column: String,
    /// The word of rows in which it happened.
    happened: String,
    /// The words of the others.
    other: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SaidGroup {
    column: String,
    levels: Vec<String>,
    #[serde(default = "yes")]
    missing: bool,
}

const fn yes() -> bool {
    true
}

const fn confidence() -> f64 {
    0.95
}

impl Tables for SurvivalSettings {
    const NAME: &'static str = "survival/1";
    const COUNTS: &'static str = COUNTS;
    type Plan = SurvivalPlan;
    type Tested = Tested;
    type Told = Survival;

    fn asked(agreement: &Agreement) -> Result<(Self, Schema), Failure> {
        let said: Said = agreement.settings()?;
        let SaidEvent { column: event, happened, other } = said.event;
        if other.contains(&happened) {
            return Err(wrong(format!(
                "settings.event: {happened:?} is the event and another word too"
            )));
        }
        let levels = other.into_iter().chain([happened.clone()]).collect();
        let mut features = vec![
            numbers(said.time.clone(), (0.0, LONGEST), said.missing),
            words(event.clone(), levels, said.missing),
        ];
        let group = said.group.as_ref().map(|group| group.column.clone());
        features.extend(said.group.map(|group| words(group.column, group.levels, group.missing)));
        let schema = tabled::schema(features, "settings")?;
        let (time, grids, on_grid) = (said.time, said.grids, said.on_grid);
        let (interval, confidence, threshold) = (said.interval, said.confidence, said.threshold);
        let settings =
            Self { time, event, happened, group, grids, on_grid, interval, confidence, threshold };
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
    ) -> Result<SurvivalPlan, mpc_ml::Error> {
        SurvivalPlan::new(self, schema, rows, to, origin)
    }

    async fn test(
        plan: &Agreed<SurvivalPlan>,
        table: &Table,
        run: &mut Run<'_>,
    ) -> Result<Tested, mpc_ml::Error> {
        survival::test(plan, table, run).await
    }

    async fn release(
        plan: &Agreed<SurvivalPlan>,
        tested: Tested,
        run: &mut Run<'_>,
    ) -> Result<Option<Survival>, mpc_ml::Error> {
        survival::release(plan, tested, run).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = include_str!("../examples/survival.toml");

    fn asks(from: &str, to: &str) -> Result<(SurvivalSettings, Schema), Failure> {
        assert!(TEXT.contains(from), "{from}");
        let text = TEXT.replacen(from, to, 1);
        Surviving::asks(&Agreement::from_bytes(text.as_bytes()).expect("an agreement"))
    }

    #[test]
    fn an_agreement_says_what_is_estimated() {
        let (settings, schema) = asks("", "").expect("fits");
        let columns: Vec<String> = schema.columns();
        assert_eq!((schema.features().len(), columns.len()), (3, 4), "{columns:?}");
        assert_eq!(settings.threshold, ThresholdRule::default());
    }

    #[test]
    fn what_does_not_fit_is_refused_before_anybody_is_met() {
        for (from, to, says) in [
            ("happened = \"dead\"", "happened = \"alive\"", "another word too"),
            ("[180, 360, 540, 720]", "[180, 360, 541, 720]", "part of the grid before it"),
            ("[360, 720]", "[360, 360]", "the smaller first"),
            ("confidence = 0.95", "confidence = 95", "from 0.5 to 0.9999"),
            ("least = 5", "least = 0", "threshold of 0"),
            ("kind = \"figure\"\n", "", "[[reveals]] must list these"),
            ("column = \"treatment\"", "column = \"status\"", "status"),
        ] {
            let said = asks(from, to).expect_err(to).what;
            assert!(said.contains(says), "{to}: {said}");
        }
    }
}
