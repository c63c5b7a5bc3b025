//! Joint statistics against the pooled ones.

use mpc_core::Shared;
use mpc_core::ring::{Ring, Z128};
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
            // With a range, sums have 30 bits of it and squares 40 bits of its square; at most 4
            // parties and 16 times as many rows as cells make this of it.
            let rows = parties.iter().map(|party| party[0].len()).sum::<usize>() as f64;
            for (range, of_mean, of_std) in
                [(Some((-unit, unit)), 1e-7, 1e-7), (Some((-8.0 * unit, unit)), 1e-6, 1e-5)]
            {
                for result in joint(&parties, range) {
                    let result = result.expect("runs");
                    for (column, got) in result.iter().enumerate() {
                        let want = pooled(&parties, column);
                        prop_assert_eq!(got.present, want.present);
                        prop_assert!((got.mean - want.mean).abs() <= of_mean * unit);
                        // Around the mean as it was rounded, and rounded up: never too small.
                        let squares = |std: f64| rows * (std / unit).powi(2);
                        let off = squares(got.std) - squares(want.std);
                        prop_assert!((-1e-12..of_std).contains(&off), "{off}");
                    }
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

/// What a party sends that lies: its honest count and sum, changed, and its sum of squares.
type Lie = fn(count: i128, sum: i128) -> (i128, i128, i128);

/// The ends of the honest parties, beside the last one, which sends what `lie` says.
fn beside_a_liar(parties: usize, lie: Lie) -> Vec<Result<Vec<Standardisation>, Error>> {
    const ROWS: usize = 20;
    let rows = (parties * ROWS) as u64;
    let outputs = ledger(&standardise::outputs(&["all"], 2));
    let mut ends = World::new(parties).outputs(outputs).run(async |mut session| {
        let own = (0..ROWS).map(|i| Some(f64::from((i % 7) as u32 * 8 + session.me() as u32)));
        let cells: Numbers = own.collect();
        if session.me() + 1 < session.parties() {
            let column = JointColumn {
                name: "dose".into(),
                cells: &cells,
                fill: None,
                range: Some((0.0, 64.0)),
            };
            return standardise::joint(&[column], rows, &mut session).await;
        }
        // The units of protocols.md 7.1: sums count 2^-(30 - 6 - log2 rows).
        let log_rows = rows.next_power_of_two().ilog2() as i32;
        let sum: f64 = cells.iter().flatten().sum();
        let sum = libm::ldexp(sum, 24 - log_rows) as i128;
        let (count, sum, squares) = lie(ROWS as i128, sum);
        let share = |values: &[i128]| {
            Shared::column(values.iter().map(|&value| Z128::from_i128(value)).collect::<Vec<_>>())
        };
        session.reveal(standardise::MEANS, &share(&[count, sum]), 128, 0).await?;
        session.reveal(standardise::DEVIATIONS, &share(&[squares]), 128, 0).await?;
        Ok(Vec::new())
    });
    ends.pop();
    ends
}

/// A deviation that somebody made small turns the columns of the others into large numbers (or, cut,
/// into signs), for which nothing that follows is masked.
#[test]
fn figures_that_do_not_fit_the_own_rows_are_refused_before_anything_follows() {
    let honest: Lie = |count, sum| (count, sum, 1 << 27);
    let lies: [(&str, Lie); 9] = [
        ("standard deviation", |count, sum| (count, sum, -(1 << 40))),
        ("standard deviation", |count, sum| (count, sum, -(1 << 60))),
        ("standard deviation", |count, sum| (count, sum, i128::MIN)),
        ("standard deviation", |count, sum| (count, sum, 1 << 40)),
        ("mean", |count, sum| (count, sum + (1 << 31), 1 << 27)),
        ("mean", |count, sum| (count, sum - (1 << 100), 1 << 27)),
        ("count", |count, sum| (-count, sum, 1 << 27)),
        ("count", |count, sum| (count + 100, sum, 1 << 27)),
        ("count", |count, sum| (-(1 << 90) - count, sum, 1 << 27)),
    ];
    for parties in [2, 3] {
        for end in beside_a_liar(parties, honest) {
            end.expect("an honest sum");
        }
        for (figure, lie) in lies {
            for (me, end) in beside_a_liar(parties, lie).into_iter().enumerate() {
                let error = end.expect_err(figure);
                let text = error.to_string();
                // In the last round all may be told by it; before, the liar's end may come first.
                assert!(matches!(error, Error::Implausible { .. }), "{figure}, {me}: {text}");
                // With two honest parties a count can be off and possible, and then the mean is not.
                let named = [figure, "mean"]
                    .iter()
                    .any(|figure| text.contains(&format!("the joint {figure} of column dose")));
                assert!(named && text.contains(&format!("node {}", parties - 1)), "{text}");
            }
        }
    }
}

/// Who holds a whole column scales it alone, and tells its figures to those who receive the model.
#[test]
fn the_scales_of_columns_come_from_their_holders() {
    let of = |name: &str, mean: f64, std: f64, present| Standardisation {
        name: name.to_owned(),
        mean,
        std,
        present,
    };
    let held = [
        vec![of("a", -1.0 / 3.0, 1e-9, 7), of("b", 1e300, 2.0, 0)],
        vec![],
        vec![of("c", -0.0, 0.1, u64::MAX)],
    ];
    let names = ["a", "b", "c"];
    let recipients = mpc_core::Recipients::Among(0b101);
    let told = |held: &[Vec<Standardisation>; 3]| {
        let outputs = ledger(&standardise::held_outputs(&names, recipients));
        World::new(3).outputs(outputs).run(async |mut session| {
            let own = &held[session.me()];
            standardise::tell(&names, own, &mut session).await
        })
    };
    let all: Vec<_> = held.iter().flatten().cloned().collect();
    for (place, told) in told(&held).into_iter().enumerate() {
        assert_eq!(told.expect("honest"), (place != 1).then(|| all.clone()));
    }
    // What is no mean and deviation is not taken for one; who does not receive it cannot see that.
    for wrong in [of("c", f64::NAN, 1.0, 1), of("c", 0.0, 0.0, 1), of("c", 0.0, -1.0, 1)] {
        let [a, b, _] = held.clone();
        for (place, told) in told(&[a, b, vec![wrong.clone()]]).into_iter().enumerate() {
            match told {
                Err(Error::Implausible { what, .. }) => assert!(what.contains("column c")),
                Ok(None) => assert_eq!(place, 1),
                other => panic!("{place}: {other:?}"),
            }
        }
    }
    assert!(standardise::held_outputs(&[], recipients).is_empty());
}
