//! Rows of follow-up times as rows of a model of counts: the piecewise exponential model (docs/survival.md).
//!
//! A row that is seen for a time t becomes one row for each interval that it enters, with the logarithm of the
//! time that it spends there as its offset, and 1 as its count where its event falls into it. The likelihood
//! of these counts is that of hazards which are constant within the intervals.

use crate::data::{
    BinaryTarget, Categorical, CategoricalMissing, Cell, Column, CountTarget, Feature, FeatureKind,
    Numeric, NumericMissing, Offset, RowColumns, Scaling, Schema, SchemaError, Table, Target,
};
use crate::error::Error;

/// The feature that says which interval a row is of.
pub const INTERVAL: &str = "interval";
/// The column of the logarithms of the times that rows spend in their intervals.
pub const EXPOSURE: &str = "log_exposure";
/// The column of the counts.
pub const EVENTS: &str = "events";
/// The shortest time in an interval, as a part of the longest time: the scores have to stay where rates are computed.
const SHORTEST: f64 = 1e-6;
/// The most intervals.
const MOST: usize = 100;

/// How rows of follow-up times become rows of a model of counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Expansion {
    time: String,
    longest: f64,
    event: BinaryTarget,
    cuts: Vec<f64>,
}

impl Expansion {
    /// For the column `time`, whose numbers are above 0 and at most `longest`, and for `event`, of which the
    /// positive word means that it happened; the hazard changes at the `cuts`.
    ///
    /// # Errors
    /// [`Error::Field`] with what does not fit.
    pub fn new(
        time: String,
        longest: f64,
        event: BinaryTarget,
        cuts: Vec<f64>,
    ) -> Result<Self, Error> {
        if !(longest.is_finite() && longest > 0.0) {
            return Err(Error::field(
                "longest",
                "must be a time above 0: no row is seen for longer",
            ));
        }
        let within = cuts.iter().all(|&cut| cut > 0.0 && cut < longest);
        if cuts.is_empty() || cuts.len() >= MOST || !within || !cuts.is_sorted_by(|a, b| a < b) {
            let rule = format!(
                "must be 1 to {} times above 0 and below `longest`, the smaller first, each once",
                MOST - 1
            );
            return Err(Error::field("cuts", rule));
        }
        Ok(Self { time, longest, event, cuts })
    }

    /// The names of the intervals, in their order.
    #[must_use]
    pub fn intervals(&self) -> Vec<String> {
        let from = std::iter::once(0.0).chain(self.cuts.iter().copied());
        let to = self.cuts.iter().map(Some).chain([None]);
        from.zip(to)
            .map(|(from, to)| to.map_or(format!("{from} on"), |to| format!("{from} to {to}")))
            .collect()
    }

    /// The feature of the intervals; the first is the base.
    #[must_use]
    pub fn feature(&self) -> Feature {
        let levels = self.intervals();
        let base = levels[0].clone();
        let kind = Categorical { levels, base, missing: CategoricalMissing::Refuse };
        Feature { name: INTERVAL.to_owned(), kind: FeatureKind::Categorical(kind) }
    }

    /// The offset of the expanded rows.
    #[must_use]
    pub fn offset(&self) -> Offset {
        let range = (libm::log(self.longest * SHORTEST), libm::log(self.longest));
        Offset { column: EXPOSURE.to_owned(), range }
    }

    /// The target of the expanded rows.
    #[must_use]
    pub fn target(&self) -> CountTarget {
        CountTarget { column: EVENTS.to_owned(), range: (0.0, 1.0) }
    }

    /// What the rows are read by of which `expanded` is the schema.
    ///
    /// # Errors
    /// When two columns have the same name.
    pub fn schema(&self, expanded: &Schema) -> Result<Schema, SchemaError> {
        let own = |feature: &&Feature| feature.name != INTERVAL;
        let mut features: Vec<Feature> = expanded.features().iter().filter(own).cloned().collect();
        let time = Numeric {
            range: Some((self.longest * SHORTEST, self.longest)),
            missing: NumericMissing::Refuse,
            indicator: false,
            scale: Scaling::None,
        };
        features.push(Feature { name: self.time.clone(), kind: FeatureKind::Numeric(time) });
        let extra = RowColumns {
            offset: None,
            weights: expanded.weights().cloned(),
            groups: expanded.groups().map(str::to_owned),
        };
        Schema::with_columns(features, Target::Binary(self.event.clone()), extra)
    }

    /// The rows, each as one for each interval that it enters. `rows` were read by [`schema`](Self::schema)
    /// of `expanded`.
    ///
    /// # Errors
    /// [`Error::Data`] when a row ends so shortly behind a cut that its time there has no logarithm in
    /// range; no cell is shown.
    pub fn expand(&self, rows: &Table, expanded: &Schema) -> Result<Table, Error> {
        let other = || Error::Data("the rows are of other columns than the expansion".to_owned());
        let at = expanded.features().len().checked_sub(1).ok_or_else(other)?;
        let (columns, Some(Column::Numeric(times)), Some(events)) =
            (rows.columns(), rows.columns().get(at), rows.target())
        else {
            return Err(other());
        };
        let intervals = self.intervals();
        let mut out = Table::builder(expanded.clone());
        let mut short = 0u64;
        for (row, (time, &event)) in times.iter().zip(events).enumerate() {
            let time = time.ok_or_else(other)?;
            let last = self.cuts.partition_point(|&cut| cut < time);
            for (interval, name) in intervals.iter().enumerate().take(last + 1) {
                let from = interval.checked_sub(1).map_or(0.0, |before| self.cuts[before]);
                let to = self.cuts.get(interval).map_or(time, |&cut| cut.min(time));
                let spent = to - from;
                if spent < self.longest * SHORTEST {
                    short += 1;
                    continue;
                }
                let mut cells: Vec<Cell<'_>> = Vec::with_capacity(at + 5);
                for (feature, column) in expanded.features().iter().zip(columns).take(at) {
                    cells.push(cell(feature, column, row));
                }
                cells.push(Cell::text(name));
                cells.push(Cell::Number(libm::log(spent).min(libm::log(self.longest))));
                cells.extend(rows.weights().map(|weights| Cell::Number(weights[row])));
                let group = rows.groups().map(|groups| Cell::Text(groups[row].to_string().into()));
                cells.extend(group);
                cells.push(Cell::Number(if interval == last { event } else { 0.0 }));
                for (position, cell) in cells.iter().enumerate() {
                    out.push_cell(position, cell).map_err(|_| other())?;
                }
                out.end_rows(1);
            }
        }
        if short > 0 {
            let least = self.longest * SHORTEST;
            return Err(Error::Data(format!(
                "column {}: {short} rows end less than {least} behind a cut of the study; round the times, \
                 or agree on cuts that are no such times",
                self.time
            )));
        }
        Ok(out.finish())
    }
}

/// A cell as it could stand in a file.
fn cell<'a>(feature: &'a Feature, column: &Column, row: usize) -> Cell<'a> {
    match (&feature.kind, column) {
        (FeatureKind::Numeric(_), Column::Numeric(numbers)) => {
            numbers.get(row).map_or(Cell::text(""), Cell::Number)
        }
        (FeatureKind::Categorical(kind), Column::Categorical(levels)) => levels[row]
            .and_then(|level| kind.levels.get(level as usize))
            .map_or(Cell::text(""), |level| Cell::text(level)),
        _ => Cell::text(""),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::plaintext::glm::{Data, Family, fit};

    fn expansion(cuts: &[f64]) -> Result<Expansion, Error> {
        let event =
            BinaryTarget { column: "status".into(), positive: "1".into(), negative: "0".into() };
        Expansion::new("days".into(), 1000.0, event, cuts.to_vec())
    }

    fn expanded(of: &Expansion) -> Schema {
        let arm = Categorical {
            levels: vec!["a".into(), "b".into(), "c".into()],
            base: "a".into(),
            missing: CategoricalMissing::Refuse,
        };
        let arm = Feature { name: "arm".into(), kind: FeatureKind::Categorical(arm) };
        let extra = RowColumns { offset: Some(of.offset()), ..RowColumns::default() };
        Schema::with_columns(vec![arm, of.feature()], Target::Count(of.target()), extra)
            .expect("a schema")
    }

    fn table(of: &Expansion, rows: &[[&str; 3]]) -> Result<Table, Error> {
        let schema = expanded(of);
        let mut table = Table::builder(of.schema(&schema).expect("a schema"));
        rows.iter().for_each(|row| table.push_row(row).expect("cells that fit"));
        of.expand(&table.finish(), &schema)
    }

    #[test]
    fn a_row_enters_intervals_until_its_time() {
        let of = expansion(&[100.0, 250.0]).expect("fits");
        assert_eq!(of.intervals(), ["0 to 100", "100 to 250", "250 on"]);
        let rows = [["a", "100", "1"], ["b", "101", "0"], ["c", "900", "1"]];
        let out = table(&of, &rows).expect("expands");
        assert_eq!(out.rows(), 1 + 2 + 3);
        assert_eq!(out.target(), Some(&[1.0, 0.0, 0.0, 0.0, 0.0, 1.0][..]));
        let spent = [100.0, 100.0, 1.0, 100.0, 150.0, 650.0].map(libm::log);
        assert_eq!(out.offset(), Some(&spent[..]));
        let Column::Categorical(intervals) = &out.columns()[1] else { panic!("words") };
        assert_eq!(*intervals, [0, 0, 1, 0, 1, 2].map(Some));
        let short = table(&of, &[["a", "100.0000001", "1"]]).expect_err("refused").to_string();
        assert!(short.contains("1 rows end less than 0.001 behind a cut"), "{short}");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for cuts in [&[][..], &[0.0], &[1000.0], &[5.0, 5.0], &[7.0, 5.0], &[f64::NAN]] {
            assert!(expansion(cuts).is_err(), "{cuts:?}");
        }
        let of = expansion(&[100.0]).expect("fits");
        let schema = of.schema(&expanded(&of)).expect("a schema");
        let mut table = Table::builder(schema);
        assert!(table.push_row(&["a", "0", "1"]).is_err());
        assert!(table.push_row(&["a", "1001", "1"]).is_err());
        assert!(table.push_row(&["a", "5", ""]).is_err());
    }

    /// The hazard ratios are those of statsmodels' Poisson fit of rows that it was given expanded.
    #[test]
    fn hazard_ratios_are_those_of_the_expanded_rows() {
        let oracle: Value =
            serde_json::from_str(include_str!("../../../scripts/oracles/survival.json"))
                .expect("JSON");
        let (rows, due) = (&oracle["made up"]["rows"], &oracle["hazards"]);
        let rows: Vec<[String; 3]> = serde_json::from_value(rows.clone()).expect("rows");
        let rows: Vec<[&str; 3]> =
            rows.iter().map(|row| [0, 1, 2].map(|cell| row[cell].as_str())).collect();
        let cuts: Vec<f64> = serde_json::from_value(due["cuts"].clone()).expect("cuts");
        let out = table(&expansion(&cuts).expect("fits"), &rows).expect("expands");
        assert_eq!(Some(out.rows() as u64), due["rows"].as_u64());
        let coded = |column: &Column, count: u32| -> Vec<Vec<f64>> {
            let Column::Categorical(levels) = column else { panic!("words") };
            let one = |of: u32| levels.iter().map(|&it| f64::from(it == Some(of))).collect();
            (1..count).map(one).collect()
        };
        let columns = [coded(&out.columns()[0], 3), coded(&out.columns()[1], 4)].concat();
        let x: Vec<f64> =
            (0..out.rows()).flat_map(|row| columns.iter().map(move |column| column[row])).collect();
        let data = Data {
            family: Family::Poisson,
            x: &x,
            columns: columns.len(),
            intercept: true,
            target: out.target().expect("counts"),
            offsets: out.offset().expect("offsets"),
            weights: &[],
            l2: 0.0,
        };
        let fit = fit(&data).expect("a fit");
        let same = |got: &[f64], due: &Value| {
            for (at, got) in got.iter().enumerate() {
                let due = due[at].as_f64().expect("a number");
                assert!((got - due).abs() < 1e-6 * due.abs(), "{got} instead of {due}");
            }
        };
        same(&fit.coefficients, &due["coefficients"]);
        same(&fit.std_errors, &due["errors"]);
    }
}
