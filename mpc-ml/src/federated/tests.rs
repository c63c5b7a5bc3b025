use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use mpc_core::testing::World;
use mpc_core::{Checkpoint, CheckpointLog, State};
use ndarray::Array2;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use super::local::gradient;
use super::run::{Begun, rounds};
use super::{Family, Joint, OwnRows, Progress, Terms, fit, plain};
use crate::model::ledger;

const COLUMNS: usize = 4;

/// Cells and targets of a party.
type Columns = (Vec<f64>, Vec<f64>);

/// Rows whose targets differ much from party to party.
fn skewed(family: Family, parties: usize) -> (Terms, Vec<Columns>) {
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    let mut normal = move || -> f64 {
        let unit = |rng: &mut ChaCha20Rng| (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        (0..12).map(|_| unit(&mut rng)).sum::<f64>() - 6.0
    };
    let mut tables = Vec::new();
    for party in 0..parties {
        let rows = 30 + 10 * party;
        let (mut values, mut targets) = (Vec::new(), Vec::new());
        for row in 0..rows {
            let shift = party as f64 / parties as f64 - 0.5;
            let x: Vec<f64> = (0..COLUMNS).map(|_| normal() + shift).collect();
            let score = x[0] - 0.5 * x[1] + 0.3 * normal() + 2.0 * shift;
            targets.push(match family {
                Family::Linear => 3.0 * score,
                Family::Logistic => f64::from(score > 0.0),
                Family::Multinomial { levels } => {
                    ((row + party) % levels) as f64 * f64::from(x[2] > 0.0)
                }
            });
            values.extend(x);
        }
        tables.push((values, targets));
    }
    let columns = (0..COLUMNS).map(|column| format!("x{column}")).collect();
    let rows = tables.iter().map(|(_, targets)| targets.len() as u64).collect();
    (Terms { patience: Duration::from_secs(60), ..Terms::new(family, columns, rows) }, tables)
}

fn rows_of(terms: &Terms, tables: &[(Vec<f64>, Vec<f64>)]) -> Vec<OwnRows> {
    let tables = tables.iter().enumerate();
    tables
        .map(|(me, (values, targets))| OwnRows::new(terms, me, values, targets).unwrap())
        .collect()
}

/// The length of the gradient of the objective over all rows.
fn slope(terms: &Terms, tables: &[(Vec<f64>, Vec<f64>)], joint: &Joint) -> f64 {
    let all = Terms { rows: vec![terms.total_rows()], ..terms.clone() };
    let values: Vec<f64> = tables.iter().flat_map(|(values, _)| values.clone()).collect();
    let targets: Vec<f64> = tables.iter().flat_map(|(_, targets)| targets.clone()).collect();
    let rows = OwnRows::new(&all, 0, &values, &targets).unwrap();
    let shape = (COLUMNS + 1, terms.family.scores());
    let model = Array2::from_shape_vec(shape, joint.model.clone()).unwrap();
    let gradient = gradient(terms.family, &rows, terms.l2, &model);
    gradient.iter().map(|value| value * value).sum::<f64>().sqrt()
}

#[test]
fn skewed_parties_come_to_the_optimum_of_all_rows() {
    for family in [Family::Linear, Family::Logistic, Family::Multinomial { levels: 3 }] {
        let (terms, tables) = skewed(family, 10);
        let terms = Terms { rounds: 80, ..terms };
        let first = slope(&terms, &tables, &Joint::new(&terms));
        let all = plain(&terms, rows_of(&terms, &tables), |_, _| false).unwrap();
        let ended = slope(&terms, &tables, &all);
        let most = if terms.family.scores() > 1 { 1e-2 } else { 2e-3 };
        assert!(ended < most * first, "{family:?}: {ended} of {first}");
        // Two other ones away in each round: the sum of gradients stays right.
        let away = |round: u64, party: usize| (round as usize * 3 + party).is_multiple_of(5);
        let some = plain(&terms, rows_of(&terms, &tables), away).unwrap();
        let ended = slope(&terms, &tables, &some);
        assert!(ended < 10.0 * most * first, "{family:?} with some away: {ended} of {first}");
        assert_eq!(some.heard().len(), 10);
        assert!(some.members.iter().all(|members| members.len() == 8));
    }
}

#[test]
fn parties_on_a_network_get_the_model_of_the_plain_rounds() {
    let (terms, tables) = skewed(Family::Multinomial { levels: 3 }, 4);
    let terms = Terms { rounds: 3, steps: 5, ..terms };
    let expected = plain(&terms, rows_of(&terms, &tables), |_, _| false).unwrap();
    let world = World::new(4).outputs(ledger(&terms.outputs()));
    let ends = world.run(async |mut session| {
        let me = session.me();
        let (values, targets) = &tables[me];
        let rows = OwnRows::new(&terms, me, values, targets).unwrap();
        let mut rounds = 0;
        let fitted = fit(&terms, rows, &mut session, |progress| {
            rounds += u64::from(matches!(progress, Progress::Round { .. }));
        });
        let fitted = fitted.await.unwrap();
        assert!(fitted.lost.is_empty());
        session.finish().await.unwrap();
        (fitted.joint, rounds)
    });
    for (joint, rounds) in ends {
        assert_eq!((joint, rounds), (expected.clone(), 3));
    }
}

#[test]
fn classes_that_no_row_has_are_known_after_the_first_round() {
    let cases = [
        (Family::Linear, vec![2.0], vec![]),
        (Family::Logistic, vec![0.0], vec![1]),
        (Family::Logistic, vec![1.0], vec![0]),
        (Family::Logistic, vec![1.0, 0.0], vec![]),
        (Family::Multinomial { levels: 3 }, vec![2.0, 0.0], vec![1]),
        (Family::Multinomial { levels: 3 }, vec![1.0], vec![0, 2]),
        (Family::Multinomial { levels: 3 }, vec![0.0, 1.0, 2.0], vec![]),
    ];
    for (family, targets, empty) in cases {
        let (terms, mut tables) = skewed(family, 3);
        for (at, (_, own)) in tables.iter_mut().enumerate() {
            // One row of the first party has each target, the others have the first.
            for (row, target) in own.iter_mut().enumerate() {
                *target = targets[if at == 0 && row < targets.len() { row } else { 0 }];
            }
        }
        let terms = Terms { rounds: 2, steps: 5, ..terms };
        assert!(Joint::new(&terms).empty_classes(&terms).is_empty());
        let joint = plain(&terms, rows_of(&terms, &tables), |_, _| false).unwrap();
        assert_eq!(joint.empty_classes(&terms), empty, "{family:?} {targets:?}");
        let again = Joint::from_bytes(&terms, &joint.to_bytes()).unwrap();
        assert_eq!(again, joint);
    }
}

#[test]
fn a_party_that_dies_is_left_out() {
    let (terms, tables) = skewed(Family::Logistic, 4);
    let terms = Terms { rounds: 6, steps: 5, ..terms };
    let world = World::new(4).outputs(ledger(&terms.outputs()));
    let ends = world.run(async |mut session| {
        let me = session.me();
        let (values, targets) = &tables[me];
        let rows = OwnRows::new(&terms, me, values, targets).unwrap();
        if me == 2 {
            // Its process ends in the middle of a round.
            let stopped = Cell::new(false);
            let running = fit(&terms, rows, &mut session, |progress| {
                stopped.set(matches!(progress, Progress::Round { round: 3, .. }));
            });
            let mut running = pin!(running);
            poll_fn(|context| match running.as_mut().poll(context) {
                Poll::Pending if !stopped.get() => Poll::Pending,
                _ => Poll::Ready(()),
            })
            .await;
            return None;
        }
        let fitted = fit(&terms, rows, &mut session, |_| {}).await.unwrap();
        Some(fitted)
    });
    let ends: Vec<_> = ends.into_iter().flatten().collect();
    assert_eq!(ends.len(), 3);
    for fitted in &ends {
        assert_eq!(fitted.joint, ends[0].joint);
        assert_eq!(fitted.joint.members.len(), 6);
        // From when on it is left out depends on when it was cut off.
        assert!(fitted.joint.members[..2].iter().all(|members| members.len() == 4));
    }
}

/// Keeps the states of a party.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Checkpoint>>>);

impl CheckpointLog for Log {
    fn keep(&mut self, checkpoint: &Checkpoint) -> Result<(), String> {
        self.0.lock().unwrap().push(checkpoint.clone());
        Ok(())
    }
}

/// A run breaks in the third round, in which all have to be. The next one goes on: also where a party holds the state of a round before, which
/// another one knows the end of.
#[test]
fn a_broken_run_goes_on_with_the_model_of_one_that_did_not_break() {
    let (terms, tables) = skewed(Family::Logistic, 3);
    let terms = Terms { rounds: 6, steps: 5, ..terms };
    let expected = plain(&terms, rows_of(&terms, &tables), |_, _| false).unwrap();
    let logs = [Log::default(), Log::default(), Log::default()];
    let begun = |me: usize| {
        let (values, targets) = &tables[me];
        let rows = OwnRows::new(&terms, me, values, targets).unwrap();
        let member = super::Member::new(&terms, me, rows);
        Begun { member, joint: Joint::new(&terms), plan: [3; 32] }
    };
    let world = || World::new(3).outputs(ledger(&terms.outputs()));
    world().run(async |mut session| {
        let me = session.me();
        session.keep_checkpoints(Box::new(logs[me].clone()));
        let stopped = Cell::new(false);
        let mut heard = |progress| {
            stopped.set(me == 2 && matches!(progress, Progress::Round { round: 3, .. }));
        };
        let mut running = pin!(rounds(&terms, begun(me), &mut session, &mut heard));
        let broken = poll_fn(|context| match running.as_mut().poll(context) {
            Poll::Pending if !stopped.get() => Poll::Pending,
            Poll::Ready(ended) => Poll::Ready(Some(ended)),
            Poll::Pending => Poll::Ready(None),
        });
        if let Some(ended) = broken.await {
            let error = ended.unwrap_err().to_string();
            assert!(error.contains("a round is of 3 parties at least"), "{error}");
        }
    });
    let kept: Vec<Vec<Checkpoint>> = logs.iter().map(|log| log.0.lock().unwrap().clone()).collect();
    assert!(kept.iter().all(|kept| (2..=3).contains(&kept.len())));
    for behind in [None, Some(0), Some(1)] {
        let ends = world().run(async |mut session| {
            let me = session.me();
            let all = &kept[me];
            let at = if behind == Some(me) { all.len() - 2 } else { all.len() - 1 };
            session.begin_from(all[at].clone());
            let state = session.resumed(&[3; 32]).unwrap().unwrap();
            let mut begun = begun(me);
            assert!(begun.goes_on_from(&terms, &state));
            assert_eq!(begun.joint.round, at as u64 + 2);
            let other = State { own: vec![2; state.own.len()].into(), ..state.clone() };
            assert!(!begun.goes_on_from(&terms, &other), "it is of another party");
            let fitted = rounds(&terms, begun, &mut session, &mut |_| {}).await.unwrap();
            session.finish().await.unwrap();
            fitted.joint
        });
        assert!(ends.into_iter().all(|joint| joint == expected));
    }
}

#[test]
fn states_survive_bytes_and_others_are_refused() {
    let (terms, tables) = skewed(Family::Linear, 3);
    let terms = Terms { rounds: 2, ..terms };
    let joint = plain(&terms, rows_of(&terms, &tables), |_, _| false).unwrap();
    let bytes = joint.to_bytes();
    assert_eq!(bytes.len(), Joint::bytes(&terms));
    assert_eq!(Joint::from_bytes(&terms, &bytes), Some(joint));
    for cut in [0, 7, bytes.len() - 1] {
        assert_eq!(Joint::from_bytes(&terms, &bytes[..cut]), None);
    }
    let mut other = bytes.clone();
    other[0] = 9;
    assert_eq!(Joint::from_bytes(&terms, &other), None);
    let mut other = bytes;
    other[16..24].copy_from_slice(&f64::NAN.to_le_bytes());
    assert_eq!(Joint::from_bytes(&terms, &other), None);
}

#[test]
fn what_cannot_be_summed_is_refused_by_its_column() {
    let (terms, mut tables) = skewed(Family::Linear, 3);
    tables[1].0[2] = 1e30;
    let refused = plain(&terms, rows_of(&terms, &tables), |_, _| false).unwrap_err().to_string();
    assert!(refused.contains("x2 of this party is too large to be summed"), "{refused}");
    tables[1].0[2] = f64::NAN;
    let (values, targets) = &tables[1];
    let refused = OwnRows::new(&terms, 1, values, targets).unwrap_err().to_string();
    assert_eq!(refused, "row 1: x2 is not a finite number");
    let refused = OwnRows::new(&terms, 0, values, targets).unwrap_err().to_string();
    assert!(refused.contains("not as many"), "{refused}");
    let logistic = Terms { family: Family::Logistic, ..terms.clone() };
    let refused = OwnRows::new(&logistic, 2, &tables[2].0, &tables[2].1).unwrap_err().to_string();
    assert!(refused.starts_with("row 1: the target"), "{refused}");
    for (terms, field) in [
        (Terms { least: 1, ..terms.clone() }, "least_parties"),
        (Terms { threshold: Some(1), ..terms.clone() }, "threshold"),
        (Terms { threshold: Some(4), ..terms.clone() }, "threshold"),
        (Terms { l2: 0.0, ..terms.clone() }, "l2"),
        (Terms { rows: vec![5, 0, 5], ..terms.clone() }, "rows"),
        (Terms { family: Family::Multinomial { levels: 1 }, ..terms.clone() }, "levels"),
    ] {
        let error = terms.validate().unwrap_err().to_string();
        assert!(error.starts_with(field), "{error}");
    }
}

#[test]
fn what_is_revealed_is_said() {
    let (terms, _) = skewed(Family::Linear, 3);
    let outputs = terms.outputs();
    assert_eq!(outputs.len() as u64, terms.rounds);
    assert!(outputs.iter().all(|output| output.what.contains("that all 3 parties were in it")));
    let some = Terms { rows: vec![5; 7], ..terms.clone() }.outputs();
    assert!(some[4].what.contains("which of the 7 parties were in it (3 at least)"), "{some:?}");
    assert!(some[4].why.contains("as long as there are two whose nodes do not pool"), "{some:?}");
    let of = |parties, least, threshold| {
        let terms = Terms { rows: vec![5; parties], least, threshold, ..terms.clone() };
        terms.validate().unwrap();
        terms.outputs()[0].why.clone()
    };
    for (threshold, words) in [
        (6, "as long as fewer than 6 nodes pool what they see: 6 of them together can uncover"),
        (6, "As few as 2 may learn the part of a party that is cut off"),
        (8, "As few as 6 may learn the part of a party that is cut off"),
    ] {
        let why = of(10, 9, Some(threshold));
        assert!(why.contains(words), "{words}: {why}");
    }
    assert!(!of(3, 3, Some(3)).contains("cut off"), "nobody can be missing");
}
