//! Joint statistics against the pooled ones.

use mpc_core::testing::World;
use mpc_ml::Error;
use mpc_ml::data::{JointColumn, Numbers, Standardisation};
use mpc_ml::model::ledger;
use mpc_ml::standardise;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

type Cells = Vec<Vec<Option<f64>>>;

fn joint(parties: &[Cells], range: Option<(f64, f64)>) -> Vec<Result<Vec<Standardisation>, Error>> {
    let rows = parties.iter().map(|cells| cells[0].len() as u64).sum();
    let outputs = ledger(&standardise::outputs(&["all"], 2));
    World::new(parties.len()).outputs(outputs).run(async |mut session| {
        let me = session.me();
        let own: Vec<Numbers> =
            parties[me].iter().map(|cells| cells.iter().copied().collect()).collect();
        let columns: Vec<_> = own
            .iter()
            .enumerate()
            .map(|(i, cells)| JointColumn { name: format!("c{i}"), cells, fill: None, range })
            .collect();
        session.meter().enter("standardise");
        let result = standardise::joint(&columns, rows, &mut session).await;
        if result.is_ok() {
            let phase = session.meter().phase("standardise");
            let cost = standardise::cost(me, parties.len(), columns.len());
            let cost = cost.under(session.against(), me);
            assert_eq!((phase.rounds, phase.sent()), (cost.rounds, cost.sent()));
        }
        result
    })
}

fn pooled(parties: &[Cells], column: usize) -> Standardisation {
    let all: Vec<_> = parties.iter().flat_map(|cells| cells[column].iter().copied()).collect();
    let present: Vec<f64> = all.iter().copied().flatten().collect();
    let mean = present.iter().sum::<f64>() / present.len() as f64;
    let squares: f64 = present.iter().map(|v| (v - mean).powi(2)).sum();
    let deviation = (squares / all.len() as f64).sqrt();
    Standardisation { name: String::new(), mean, std: deviation, present: present.len() as u64 }
}

#[test]
fn agrees_with_the_pooled_statistics() {
    let cell = prop_oneof![1 => Just(None), 6 => (-1.0f64..1.0).prop_map(Some)];
    let column = move |n| prop::collection::vec(cell.clone(), n);
    let strategy =
        (prop::collection::vec(1usize..30, 2..5), -6i32..30).prop_flat_map(move |(rows, scale)| {
            let parties: Vec<_> =
                rows.into_iter().map(|n| prop::collection::vec(column(n), 2)).collect();
            (parties, Just(scale))
        });
    let config = ProptestConfig { cases: 40, failure_persistence: None, ..Default::default() };
    TestRunner::new(config)
        .run(&strategy, |(mut parties, scale)| {
            let unit = libm::ldexp(1.0, scale);
            for cell in parties.iter_mut().flatten().flatten().flatten() {
                *cell *= unit;
            }
            let enough = |c: usize| {
                let values: Vec<f64> =
                    parties.iter().flat_map(|p| p[c].iter().flatten().copied()).collect();
                values.len() > 1 && values.iter().any(|v| (v - values[0]).abs() > 1e-3 * unit)
            };
            prop_assume!(enough(0) && enough(1));
            for result in joint(&parties, Some((-unit, unit))) {
                let result = result.expect("runs");
                for (column, got) in result.iter().enumerate() {
                    let want = pooled(&parties, column);
                    prop_assert_eq!(got.present, want.present);
                    prop_assert!((got.mean - want.mean).abs() <= 1e-12 * unit);
                    prop_assert!((got.std / want.std - 1.0).abs() < 1e-9);
                }
            }
            Ok(())
        })
        .expect("all cases hold");
}

#[test]
fn small_columns_without_a_range_are_still_exact_enough() {
    let parties: Vec<Cells> =
        (0..3).map(|p| vec![(0..50).map(|i| Some(f64::from(i * p) * 1e-5)).collect()]).collect();
    for result in joint(&parties, None) {
        let got = result.expect("runs").remove(0);
        let want = pooled(&parties, 0);
        assert!((got.std / want.std - 1.0).abs() < 1e-4, "{got:?} {want:?}");
    }
}

#[test]
fn a_constant_column_is_refused_by_name() {
    let parties: Vec<Cells> = vec![vec![vec![Some(3.25); 5]]; 2];
    for result in joint(&parties, None) {
        let error = result.expect_err("refused").to_string();
        assert!(error.contains("column c0 is constant"), "{error}");
    }
}

#[test]
fn a_value_beyond_the_range_is_refused_before_anything_is_sent() {
    let parties: Vec<Cells> = vec![vec![vec![Some(1e12), Some(0.0)]]; 2];
    for result in joint(&parties, None) {
        assert!(matches!(result, Err(Error::Data(_))));
    }
}
