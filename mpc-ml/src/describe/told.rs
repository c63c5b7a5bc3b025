//! What a description reveals, in words, and what it costs.

use mpc_core::Cost;
use mpc_core::protocols::quantile::Bisection;

use super::kept::KEPT;
use super::plan::{COUNTS, Column, DescribePlan, SUMS, WITHHELD};
use super::quartiles::{self, QUARTILES};
use crate::counts;
use crate::error::Error;
use crate::model::{Canonical, Figures, Output, Plan};

/// The version of the arithmetic.
const ARITHMETIC: u32 = 1;

impl Plan for DescribePlan {
    fn outputs(&self) -> Vec<Output> {
        let below = counts::below(self.gate.rule());
        let names = |columns: &mut dyn Iterator<Item = &Column>| {
            columns.map(|column| column.name.clone()).collect::<Vec<_>>().join(", ")
        };
        let group = self.settings.group.as_ref();
        let by = group.map_or(String::new(), |group| format!(", by {group}"));
        let all = names(&mut self.columns.iter());
        let mut pairs: Vec<String> =
            self.settings.tables.iter().map(|(a, b)| format!("{a} by {b}")).collect();
        if self.settings.correlations {
            pairs.push("rows that have all numbers".to_owned());
        }
        let parts = self.settings.histograms.iter();
        pairs.extend(parts.map(|(name, parts)| format!("{parts} intervals of {name}")));
        let pairs =
            if pairs.is_empty() { String::new() } else { format!("; {}", pairs.join(", ")) };
        let which = format!(
            "which of {} sets of tables is the first without a count {below}",
            self.versions.len()
        );
        let numbers = names(&mut self.columns.iter().filter(|column| column.is_numeric()));
        let mut outputs = vec![
            Output::figure(
                WITHHELD,
                which,
                "the tables are released whole or not at all; that a finer set is not tells that it has \
                 some small count",
            ),
            Output::result(
                COUNTS,
                self.recipients,
                format!("the counts of rows, of levels and of missing cells of {all}{by}{pairs}"),
                "it is the purpose of the study; no count is released before all were tested",
            ),
            Output::result(
                SUMS,
                self.recipients,
                format!(
                    "the sums and sums of squares (and of products, for correlations) of {numbers}{by}"
                ),
                "means, deviations and tests follow from them. A sum of few rows tells much about each",
            ),
        ];
        let of = quartiles::bisection(self, &self.versions[0], self.gate.rule()).ok().flatten();
        let steps = of.map_or(0, |of| of.steps());
        let names: Vec<&str> =
            self.settings.quartiles.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(", ");
        let step = |step: usize| {
            Output::figure(
                Bisection::label(QUARTILES, step),
                format!(
                    "a step to the quartiles of {names}{by}: in which half of an interval each of them lies, or that \
                     fewer numbers than may be told lie in that half"
                ),
                "all steps together tell the interval in which a quartile lies, and nothing more",
            )
        };
        let kept = self.settings.keep_back.then(|| {
            Output::figure(
                KEPT,
                "where none of these sets may be released, which counts of single columns of words are kept back",
                "a small count, and one beside it from which it would follow; which of them is small is not told. The \
                 other counts are then told in place of those of a set",
            )
        });
        outputs.splice(1..1, (0..steps).map(step).chain(kept));
        outputs
    }

    fn canonical(&self) -> Result<Canonical, Error> {
        let recipients: Vec<bool> =
            (0..self.rows.len()).map(|party| self.recipients.include(party)).collect();
        Canonical::new("describe", ARITHMETIC)
            .with(&self.settings)?
            .field("columns", &self.columns)?
            .field("rows", &self.rows)?
            .field("recipients", &recipients)?
            .field("origin", &self.origin)
    }

    /// Of the finest version that may be released: the first.
    fn cost(&self, me: usize) -> Cost {
        let version = &self.versions[0];
        let counts = 8 * version.cells(&self.columns) as u64;
        let sums = 16 * version.sums(&self.columns) as u64;
        let gate = self.gate.cost(me).unwrap_or_default();
        gate + quartiles::cost(self, me)
            + Cost::to_all(me, self.rows.len(), 2, counts + sums).results(2)
    }

    fn figures(&self) -> Figures {
        Figures {
            precision: vec![
                "counts are exact; numbers are rounded to 2^-40 of half of their range before they are \
                 summed, and the sums are exact"
                    .to_owned(),
            ],
            ..Figures::default()
        }
    }
}
