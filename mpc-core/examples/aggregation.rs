//! What one exact sum of a long vector costs, with and without parties that drop out: all parties in one process, on the in-memory mesh.
//! `cargo run --release -p mpc-core --example aggregation -- [PARTIES [NUMBERS [DROPPED [THRESHOLD]]]]`
//!
//! Prints one JSON object: the seconds of a round in which all are there, and of one in which `DROPPED` parties leave as it begins; the
//! megabytes that a party sends in the first one.
#![allow(clippy::print_stdout)]

use std::time::{Duration, Instant};

use mpc_core::aggregate::{Outcome, Set, Terms, begin};
use mpc_core::ring::Z64;
use mpc_core::testing::World;
use mpc_core::{Outputs, Recipients};
use serde_json::{Value, json};
use zeroize::Zeroizing;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|word| word.parse::<usize>());
    let parties = arguments.next().map_or(10, |count| count.expect("a number of parties"));
    let len = arguments.next().map_or(100_000, |count| count.expect("a number of numbers"));
    let dropped = arguments.next().map_or(parties / 5, |count| count.expect("a number of parties"));
    let threshold = arguments.next().map(|count| count.expect("a number of parties"));
    println!("{}", measure(parties, len, dropped, threshold));
}

/// A round of all, and one in which some leave.
fn measure(parties: usize, len: usize, dropped: usize, threshold: Option<usize>) -> Value {
    let least = Terms::fewest(parties).max(threshold.unwrap_or(0));
    let patience = Duration::from_secs(60);
    let terms = Terms { len, least, threshold, state_bytes: 0, patience };
    let outputs = Outputs::none().allow("all", Recipients::All).allow("some", Recipients::All);
    let world = World::new(parties).outputs(outputs);
    let value = |party: usize, at: usize| Z64((party as u64 + 1) * (at as u64 + 3));
    let check = |sum: &[Z64], members: Set| {
        let weight: u64 = members.iter().map(|party| party as u64 + 1).sum();
        assert!(sum.iter().enumerate().all(|(at, sum)| sum.0 == weight * (at as u64 + 3)));
    };
    let ends = world.run(async |mut session| {
        let me = session.me();
        session.meter().enter("aggregation");
        let own = || Zeroizing::new((0..len).map(|at| value(me, at)).collect::<Vec<_>>());
        let mut aggregation = begin(&mut session, terms).expect("the terms fit");
        let start = Instant::now();
        let outcome = aggregation.round((1, "all"), own(), &[], &mut session).await.expect("sums");
        let seconds = start.elapsed().as_secs_f64();
        let Outcome::Sum { members, sum } = outcome else { panic!("all are there") };
        assert_eq!(members, Set::below(parties));
        check(&sum, members);
        let sent = session.meter().phase("aggregation").sent();
        if me < dropped {
            // Once the others have what it sent last: it says in the second round that it is there, and leaves.
            let second = aggregation.round((2, "some"), own(), &[], &mut session);
            let _ = tokio::time::timeout(Duration::from_millis(100), second).await;
            return None;
        }
        let start = Instant::now();
        let outcome = aggregation.round((2, "some"), own(), &[], &mut session).await.expect("sums");
        let after = start.elapsed().as_secs_f64();
        let Outcome::Sum { members, sum } = outcome else { panic!("enough are there") };
        check(&sum, members);
        aggregation.close(3, &[], &session).await.expect("ends");
        Some((seconds, after, sent))
    });
    let ends: Vec<_> = ends.into_iter().flatten().collect();
    let most = |of: fn(&(f64, f64, u64)) -> f64| ends.iter().map(of).fold(0.0, f64::max);
    json!({
        "parties": parties, "numbers": len, "seconds": most(|end| end.0),
        "threshold": threshold, "dropped": dropped, "seconds_with_dropped": most(|end| end.1),
        "megabytes_sent_by_a_party": most(|end| end.2 as f64) / 1e6,
    })
}

#[test]
fn sums_are_exact_with_and_without_those_who_leave() {
    println!("{}", measure(5, 1000, 1, None));
    println!("{}", measure(5, 1000, 1, Some(3)));
}

#[test]
#[ignore = "a measurement"]
fn what_it_costs() {
    println!("{}", measure(10, 100_000, 2, None));
    println!("{}", measure(10, 100_000, 2, Some(7)));
    println!("{}", measure(50, 100_000, 10, None));
    println!("{}", measure(50, 100_000, 10, Some(34)));
}
