//! Aggregations of whole parties on the in-memory mesh.

use std::time::Duration;

use super::Set;
use super::tests::{LEN, sum_over, vector};
use super::{Aggregation, Outcome, Terms, begin, begin_after};
use crate::error::Error;
use crate::session::{Outputs, Recipients, Session};
use crate::testing::World;

fn terms(patience: Duration) -> Terms {
    Terms { len: LEN, least: 3, threshold: None, state_bytes: 100, patience }
}

fn world(parties: usize) -> World {
    let labels = ["1", "2", "3"].iter();
    World::new(parties)
        .outputs(labels.fold(Outputs::none(), |all, label| all.allow(label, Recipients::All)))
}

async fn sum(aggregation: &mut Aggregation, round: u64, session: &mut Session) -> Outcome {
    let (label, values) = (round.to_string(), vector(session.me(), round));
    aggregation.round((round, &label), values, b"state", session).await.unwrap()
}

fn is_sum(outcome: &Outcome, members: Set, round: u64) {
    let sum = sum_over(members, round).into();
    assert_eq!(*outcome, Outcome::Sum { members, sum });
}

#[test]
fn parties_sum_and_each_sends_what_is_said() {
    let parties = 5;
    world(parties).run(async |mut session| {
        session.meter().enter("sums");
        let terms = terms(Duration::from_secs(60));
        let mut aggregation = begin(&mut session, terms).unwrap();
        for round in 1..=3 {
            let outcome = sum(&mut aggregation, round, &mut session).await;
            is_sum(&outcome, Set::below(parties), round);
        }
        assert!(aggregation.losses().is_empty());
        aggregation.close(4, b"end", &session).await.unwrap();
        // And one view to each in the end.
        let me = session.me();
        let cost = terms.cost(me, parties) * 3 + Terms::closing(me, parties);
        let spent = session.meter().phase("sums");
        let sent: Vec<u64> = spent.peers.iter().map(|peer| peer.sent).collect();
        assert_eq!((spent.rounds, sent), (cost.rounds, cost.bytes));
        assert!(begin(&mut session, terms).is_err(), "one aggregation a session");
        session.finish().await.unwrap();
    });
}

#[test]
fn a_quorum_sums_at_the_cost_that_is_said_and_without_who_is_lost() {
    let parties = 5;
    world(parties).run(async |mut session| {
        session.meter().enter("sums");
        let me = session.me();
        let patience = Duration::from_secs(60);
        let terms = Terms { threshold: Some(3), ..terms(patience) };
        let mut aggregation = begin(&mut session, terms).unwrap();
        for round in 1..=2 {
            is_sum(&sum(&mut aggregation, round, &mut session).await, Set::below(parties), round);
        }
        let cost = terms.cost(me, parties) * 2;
        let spent = session.meter().phase("sums");
        let sent: Vec<u64> = spent.peers.iter().map(|peer| peer.sent).collect();
        assert_eq!((spent.rounds, sent), (cost.rounds, cost.bytes));
        if me == 4 {
            tokio::time::sleep(Duration::from_millis(300)).await;
            return;
        }
        is_sum(&sum(&mut aggregation, 3, &mut session).await, Set::below(4), 3);
        aggregation.close(4, b"end", &session).await.unwrap();
    });
}

/// Parties that go on after a break: one had come a round further, one is a round behind.
#[test]
fn who_had_come_further_takes_the_others_along() {
    for late in 0..3 {
        world(3).run(async |mut session| {
            let me = session.me();
            // Who is late to begin finds the others waiting, or is answered when they begin.
            tokio::time::sleep(Duration::from_millis(if me == late { 300 } else { 0 })).await;
            let terms = terms(Duration::from_secs(60));
            let mut aggregation = begin_after(&mut session, terms, Set::below(3)).unwrap();
            if me != 1 {
                let outcome = sum(&mut aggregation, 1, &mut session).await;
                let state = b"state".to_vec();
                assert_eq!(outcome, Outcome::Behind { round: 2, state });
            }
            is_sum(&sum(&mut aggregation, 2, &mut session).await, Set::below(3), 2);
            aggregation.close(3, b"end", &session).await.unwrap();
        });
    }
}

#[test]
fn who_is_lost_does_not_stop_the_others() {
    let left = Set::below(5).without(3);
    world(5).run(async |mut session| {
        let me = session.me();
        let mut aggregation = begin(&mut session, terms(Duration::from_secs(60))).unwrap();
        is_sum(&sum(&mut aggregation, 1, &mut session).await, Set::below(5), 1);
        if me == 3 {
            // The others have its last message; then its process ends.
            tokio::time::sleep(Duration::from_millis(300)).await;
            return;
        }
        is_sum(&sum(&mut aggregation, 2, &mut session).await, left, 2);
        is_sum(&sum(&mut aggregation, 3, &mut session).await, left, 3);
        let lost: Vec<usize> = aggregation.losses().iter().map(|loss| loss.party).collect();
        assert_eq!(lost, [3]);
        aggregation.close(4, b"end", &session).await.unwrap();
    });
}

#[test]
fn who_is_late_is_left_out_and_told_how_it_goes_on() {
    let left = Set::below(4).without(1);
    world(4).run(async |mut session| {
        let me = session.me();
        let mut aggregation = begin(&mut session, terms(Duration::from_secs(1))).unwrap();
        if me == 1 {
            tokio::time::sleep(Duration::from_secs(3)).await;
            let outcome = sum(&mut aggregation, 1, &mut session).await;
            let state = b"end".to_vec();
            assert_eq!(outcome, Outcome::Behind { round: 2, state });
        } else {
            is_sum(&sum(&mut aggregation, 1, &mut session).await, left, 1);
        }
        aggregation.close(2, b"end", &session).await.unwrap();
    });
}

#[test]
fn too_few_are_no_sum_and_bad_terms_are_refused() {
    world(4).run(async |mut session| {
        let short = Terms { least: 2, ..terms(Duration::from_secs(60)) };
        assert!(matches!(begin(&mut session, short), Err(Error::Range(_))));
        // Two halves could each uncover a sum; a sum could begin that nobody can end.
        for threshold in [2, 4] {
            let quorum = Terms { threshold: Some(threshold), ..terms(Duration::from_secs(60)) };
            assert!(matches!(begin(&mut session, quorum), Err(Error::Range(_))));
        }
        let mut aggregation = begin(&mut session, terms(Duration::from_secs(60))).unwrap();
        if session.me() > 1 {
            return;
        }
        let outcome = sum(&mut aggregation, 1, &mut session).await;
        assert!(matches!(outcome, Outcome::TooFew { .. }), "{outcome:?}");
    });
}
