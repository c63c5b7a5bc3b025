//! The bounds on mean squares, which are conditions of privacy (docs/protocols.md 7.2 and 8), against
//! what tables of any kind become: read, standardised jointly and encoded as a node does it.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use mpc_core::correlations::Origin;
use mpc_core::testing::World;
use mpc_ml::data::{
    Categorical, CategoricalMissing, Feature, FeatureKind, Numeric, NumericMissing, NumericTarget,
    Scaling, Schema, Standardisation, Table, Target, encode, mean_squares, total_mean_square,
};
use mpc_ml::model::{Facts, ledger};
use mpc_ml::models::linear::X_FRACTION;
use mpc_ml::{LinearPlan, LinearSettings, standardise};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// A column: how the study says that it is read, and a cell for every row.
#[derive(Clone, Debug)]
struct Column {
    kind: FeatureKind,
    cells: Vec<String>,
}

/// A table of all parties, and what the study says.
#[derive(Clone, Debug)]
struct Case {
    /// Rows of each party.
    rows: Vec<usize>,
    columns: Vec<Column>,
    clip: f64,
}

/// Numbers around a centre, many of them the same, some missing and some far out.
fn cells(rows: usize) -> impl Strategy<Value = Vec<Option<f64>>> {
    let centre = prop_oneof![
        3 => Just(0.0),
        2 => (-20i32..31).prop_map(|e| libm::ldexp(1.0, e)),
        1 => -2e9..2e9f64,
    ];
    (centre, -40i32..31, 0u32..4).prop_flat_map(move |(centre, spread, gaps)| {
        let unit = libm::ldexp(1.0, spread);
        let near = prop_oneof![Just(0.0), Just(1.0), -1.0..1.0f64].prop_map(move |u| u * unit);
        let value = prop_oneof![
            12 => near.prop_map(move |v| (centre + v).clamp(-2e9, 2e9)),
            1 => prop_oneof![Just(-2e9), Just(2e9), Just(0.0)],
        ];
        let cell = prop_oneof![8 => value.prop_map(Some), gaps => Just(None)];
        prop::collection::vec(cell, rows)
    })
}

fn numeric(rows: usize) -> impl Strategy<Value = Column> {
    let scale = prop_oneof![
        4 => Just(Scaling::Joint),
        1 => Just(Scaling::None),
        1 => (-1e3..1e3f64, -10i32..10).prop_map(|(mean, e)| Scaling::Constants {
            mean,
            std: libm::ldexp(1.0, e),
        }),
    ];
    (cells(rows), scale, 0u32..4, any::<bool>(), any::<bool>()).prop_map(
        |(cells, scale, rule, ranged, indicator)| {
            let there = || cells.iter().copied().flatten();
            let ends = (there().fold(0.0, f64::min), there().fold(0.0, f64::max));
            // What is filled in may lie at an end of the range, far from all that is there.
            let ends = (ends.0, if ends.1 > ends.0 { ends.1 * 1.5 } else { ends.0 + 1.0 });
            let missing = match (rule, scale) {
                (0, _) => NumericMissing::Refuse,
                (1, _) | (_, Scaling::None) => NumericMissing::Value(ends.1),
                (2, _) => NumericMissing::Value(ends.0),
                _ => NumericMissing::Mean,
            };
            let refuses = missing == NumericMissing::Refuse;
            let text = |cell: &Option<f64>| match cell {
                Some(value) => value.to_string(),
                None if refuses => ends.0.to_string(),
                None => String::new(),
            };
            let cells = cells.iter().map(text).collect();
            let range = ranged.then_some(ends);
            let indicator = indicator && !refuses;
            let kind = FeatureKind::Numeric(Numeric { range, missing, indicator, scale });
            Column { kind, cells }
        },
    )
}

fn categorical(rows: usize) -> impl Strategy<Value = Column> {
    let cells = prop::collection::vec(0usize..4, rows);
    (cells, 0usize..3, 0u32..3).prop_map(|(cells, base, rule)| {
        let levels = ["a", "b", "c"].map(String::from);
        let (base, absent) = (levels[base].clone(), if rule == 0 { "c" } else { "" });
        let missing = match rule {
            0 => CategoricalMissing::Refuse,
            1 => CategoricalMissing::Base,
            _ => CategoricalMissing::Level,
        };
        let text = |&cell: &usize| levels.get(cell).map_or(absent, String::as_str).to_owned();
        let cells = cells.iter().map(text).collect();
        let levels = levels.to_vec();
        Column { kind: FeatureKind::Categorical(Categorical { levels, base, missing }), cells }
    })
}

fn case() -> impl Strategy<Value = Case> {
    let clip = prop_oneof![Just(1.0), Just(65536.0), 1.0..40.0f64, 1e-3..1.0f64];
    (prop::collection::vec(0usize..9, 2..5), clip)
        .prop_filter("somebody has rows", |(rows, _)| rows.iter().sum::<usize>() > 0)
        .prop_flat_map(|(rows, clip)| {
            let total = rows.iter().sum();
            let column = prop_oneof![3 => numeric(total).boxed(), 1 => categorical(total).boxed()];
            (Just(rows), prop::collection::vec(column, 1..5), Just(clip))
        })
        .prop_map(|(rows, columns, clip)| Case { rows, columns, clip })
}

impl Case {
    fn schema(&self) -> Schema {
        let features = self
            .columns
            .iter()
            .enumerate()
            .map(|(i, column)| Feature { name: format!("c{i}"), kind: column.kind.clone() });
        let target = NumericTarget { column: "y".into(), range: Some((0.0, 1.0)) };
        Schema::new(features.collect(), Target::Numeric(target)).unwrap()
    }

    /// The tables of the parties.
    fn tables(&self) -> Vec<Table> {
        let mut row = 0;
        let schema = self.schema();
        let table = |&rows: &usize| {
            let mut table = Table::builder(schema.clone());
            for _ in 0..rows {
                let own = self.columns.iter().map(|column| column.cells[row].as_str());
                let cells: Vec<&str> = own.chain(["0.5"]).collect();
                table.push_row(&cells).unwrap();
                row += 1;
            }
            table.finish()
        };
        self.rows.iter().map(table).collect()
    }

    /// Whether the node takes the tables; then the bounds must hold.
    fn holds(&self) -> Result<bool, TestCaseError> {
        let tables = self.tables();
        let Some(standardisation) = standardised(&tables) else { return Ok(false) };
        let encoded: Result<Vec<_>, _> =
            tables.iter().map(|table| encode(table, &standardisation, self.clip)).collect();
        let Ok(encoded) = encoded else { return Ok(false) };
        let rows: usize = self.rows.iter().sum();
        let schema = self.schema();
        let (each, all) = (mean_squares(&schema, self.clip), total_mean_square(&schema, self.clip));

        // The numbers themselves, and as both kinds of fits round them: finely, and coarsely.
        for fraction in [None, Some(X_FRACTION), Some(14), Some(6)] {
            // A mean square grows by no more than its root by half a unit (Cauchy-Schwarz).
            let unit = fraction.map_or(0.0, |bits| libm::ldexp(1.0, -(bits as i32) - 1));
            let rounded = |x: f64| match fraction {
                Some(bits) => libm::ldexp(libm::rint(libm::ldexp(x, bits as i32)), -(bits as i32)),
                None => x,
            };
            let grown = |square: f64, unit: f64| (square.sqrt() + unit).powi(2) * (1.0 + 1e-12);
            let mut total = 0.0;
            for (column, &bound) in each.iter().enumerate() {
                let entries = encoded.iter().flat_map(|own| own.x.column(column).to_vec());
                let square = entries.map(|x| rounded(x).powi(2)).sum::<f64>() / rows as f64;
                total += square;
                let grown = grown(bound, unit);
                prop_assert!(square <= grown, "column {column}: {square} > {grown}, {fraction:?}");
            }
            let grown = grown(all, unit * (each.len() as f64).sqrt());
            prop_assert!(total <= grown, "all columns: {total} > {grown}, {fraction:?}");
            if fraction == Some(X_FRACTION) {
                self.fits(&each, total)?;
            }
        }
        Ok(true)
    }

    /// What is inverted has a trace of at most 15/16.
    fn fits(&self, each: &[f64], total: f64) -> Result<(), TestCaseError> {
        let rows: Vec<u64> = self.rows.iter().map(|&rows| rows as u64).collect();
        let facts = Facts::horizontal(&rows, each.to_vec(), Origin::Dealer);
        let facts = Facts { target: Some((0.0, 1.0)), ..facts };
        let settings = LinearSettings {
            intercept: true,
            l2: 0.0,
            clip: self.clip,
            condition: Some(50.0),
            release_bits: 12,
            inference: false,
            ..LinearSettings::default()
        };
        let plan = LinearPlan::new(&settings, &facts);
        if let Ok(plan) = plan {
            let trace = (total + 1.0) / plan.scale();
            prop_assert!(trace <= 15.0 / 16.0, "the trace is {trace}");
        }
        Ok(())
    }
}

/// The joint statistics; none where a column cannot be standardised.
fn standardised(tables: &[Table]) -> Option<Vec<Standardisation>> {
    let rows = tables.iter().map(|table| table.rows() as u64).sum();
    let world = World::new(tables.len()).outputs(ledger(&standardise::outputs(&["all"], 2)));
    let all = world.run(async |mut session| {
        let columns = tables[session.me()].joint_columns();
        standardise::joint(&columns, rows, &mut session).await
    });
    all.into_iter().next().and_then(Result::ok)
}

#[test]
fn no_table_exceeds_the_bounds() {
    let config = Config { cases: 1000, failure_persistence: None, ..Config::default() };
    let mut taken = 0;
    let counted = std::cell::RefCell::new(&mut taken);
    TestRunner::new(config)
        .run(&case(), |case| {
            **counted.borrow_mut() += usize::from(case.holds()?);
            Ok(())
        })
        .unwrap();
    println!("{taken} of the tables were taken");
    assert!(taken > 60, "only {taken} of the tables could be standardised");
}
