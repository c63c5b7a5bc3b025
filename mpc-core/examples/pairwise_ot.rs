//! How fast correlations come out of oblivious transfer: all parties in one process, on the
//! in-memory mesh. `cargo run --release -p mpc-core --features test-util --example pairwise_ot`
#![allow(clippy::print_stdout)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use mpc_core::correlations::pairwise::{self, Expansion, PairwiseOt, PhasorPlan};
use mpc_core::correlations::{PhasorMethod, RightRequest};
use mpc_core::protocols::fit::{Symmetry, Weighting, fit};
use mpc_core::testing::World;

fn main() {
    for expansion in [Expansion::Fast, Expansion::Compact] {
        let count = 1 << 21;
        let [sender, receiver] = pairwise::measure_extension(expansion, count);
        let rate = |time: Duration| count as f64 / time.as_secs_f64() / 1e6;
        println!(
            "{expansion:?}: sender {:.1}, receiver {:.1} million OTs a second and core, hashed",
            rate(sender),
            rate(receiver)
        );
    }
    let start = Instant::now();
    World::new(2).run(async |mut session| {
        PairwiseOt::establish(&mut session, Expansion::Fast).await.expect("runs");
    });
    println!("base OTs and trees, both sides of a pair: {:?}", start.elapsed());

    let sigmoid = |z: f64| 1.0 / (1.0 + (-z).exp()) - 0.5;
    for (parties, period, terms, method, angle) in [
        (3, 7, 12, PhasorMethod::OneHot, 12),
        (3, 7, 12, PhasorMethod::OneHot, 10),
        (3, 6, 8, PhasorMethod::OneHot, 11),
        (3, 5, 5, PhasorMethod::OneHot, 10),
        (3, 7, 12, PhasorMethod::Bits, 12),
        (5, 7, 12, PhasorMethod::Bits, 12),
        (2, 7, 12, PhasorMethod::OneHot, 12),
    ] {
        let series = fit(sigmoid, Symmetry::Odd, period, terms, Weighting::Plain, 16).series;
        let count = 12_000;
        let headroom = 1 + 57 + 16 + (parties as u32 + 1).next_power_of_two().ilog2();
        let options = (method, angle);
        let request = PhasorPlan::request(&series, parties, count, (8, headroom), options);
        let plan = Arc::new(PhasorPlan::new(parties, &request).expect("fits"));
        let times =
            World::new(parties).deadline(Duration::from_secs(600)).run(async |mut session| {
                let mut ot =
                    PairwiseOt::establish(&mut session, Expansion::Fast).await.expect("runs");
                let start = Instant::now();
                ot.phasors_of(&plan).await.expect("runs");
                start.elapsed()
            });
        let bytes: u64 = (0..parties).map(|me| plan.cost(me, Expansion::Fast).sent()).sum::<u64>();
        let slowest = times.iter().max().copied().unwrap_or_default();
        println!(
            "phasors, N = {parties}, P = 2^{period}, {terms} terms, {method:?}, {angle} bits, ring \
             {}: {:.1} us (wall) and {} bytes an evaluation",
            request.ring,
            slowest.as_secs_f64() * 1e6 / f64::from(count),
            bytes / u64::from(count)
        );
    }

    let (m, k, n) = (64, 64, 64);
    let times = World::new(2).run(async |mut session| {
        let mut ot = PairwiseOt::establish(&mut session, Expansion::Fast).await.expect("runs");
        let start = Instant::now();
        ot.left(m, k, 64).expect("fits");
        ot.right(&RightRequest { left: 0, n, last: true }).await.expect("runs");
        start.elapsed()
    });
    println!("a triple of 64 x 64 x 64 in Z64, N = 2: {:?}", times[0]);
}
