//! What comparisons cost: all parties in one process, on the in-memory mesh, without a dealer.
//! `cargo run --release -p mpc-core --features test-util --example comparisons`
//!
//! Prints one JSON object for each measurement.
#![allow(clippy::print_stdout)]

use std::time::{Duration, Instant};

use mpc_core::correlations::pairwise::{Expansion, PairwiseSource};
use mpc_core::correlations::{Correlations, Orders};
use mpc_core::protocols::compare::{Comparison, below};
use mpc_core::ring::Z64;
use mpc_core::testing::World;
use serde_json::json;

/// At a party: what was made ahead and all of it, in time; bytes ahead and online; rounds; comparisons.
type Measured = (Duration, Duration, u64, u64, u64, usize);

fn main() {
    for (parties, lanes, bits) in
        [(3, 10_000, 32), (2, 10_000, 32), (5, 10_000, 32), (3, 10_000, 64), (3, 300, 5)]
    {
        let of = Comparison::new(lanes, bits, 1).expect("fits");
        let world = World::new(parties);
        let results = world.run(async |mut session| {
            let mut source = PairwiseSource::start(&mut session, Expansion::Fast)?;
            let mut from = Correlations::new(&mut source)?;
            // Base OTs come first, once in a session.
            let mut first = Orders::new();
            let warm = first.bit_triples(1);
            from.demand(first)?;
            from.take(warm).await?;
            let before = session.meter().phase("preparation").sent();
            let start = Instant::now();
            let mut orders = Orders::new();
            let ordered = of.order(&mut orders);
            from.demand(orders)?;
            let prepared = ordered.take(&mut from).await?;
            let made = start.elapsed();
            let own: Vec<Z64> = (0..lanes as u64).map(Z64).collect();
            let x = session.share_input(0, (session.me() == 0).then_some(&own[..]), lanes)?;
            session.meter().enter("compare");
            let less = below(&x, &[vec![5000; lanes]], prepared, &mut session).await?;
            let (all, phase) = (start.elapsed(), session.meter().phase("compare"));
            let ahead = session.meter().phase("preparation").sent() - before;
            from.finish().await?;
            Ok::<_, mpc_core::Error>((made, all, ahead, phase.sent(), phase.rounds, less.lanes()))
        });
        let results: Vec<_> = results.into_iter().map(|result| result.expect("runs")).collect();
        let sum = |of: &dyn Fn(&Measured) -> u64| -> u64 { results.iter().map(of).sum() };
        let slowest = |of: &dyn Fn(&Measured) -> Duration| {
            results.iter().map(of).max().unwrap_or_default().as_secs_f64()
        };
        println!(
            "{}",
            json!({
                "parties": parties,
                "comparisons": lanes,
                "bits": bits,
                "seconds_ahead": slowest(&|it| it.0),
                "seconds": slowest(&|it| it.1),
                "mb_ahead_all_links": sum(&|it| it.2) as f64 / 1e6,
                "mb_online_all_links": sum(&|it| it.3) as f64 / 1e6,
                "rounds_online": results[0].4,
            })
        );
    }
}
