//! How fast correlations come out of oblivious transfer: all parties in one process, on the
//! in-memory mesh. `cargo run --release -p mpc-core --features test-util --example pairwise_ot`
//!
//! Prints one JSON object for each measurement, with `what` was measured.
#![allow(clippy::print_stdout, clippy::needless_pass_by_value)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use mpc_core::Against;
use mpc_core::approx::fit::{Symmetry, Weighting, fit};
use mpc_core::correlations::pairwise::{self, Expansion, PairwiseOt, PhasorPlan};
use mpc_core::correlations::{PhasorMethod, RightRequest};
use mpc_core::testing::World;
use serde_json::{Value, json};

fn main() {
    for (expansion, checked) in [
        (Expansion::Fast, false),
        (Expansion::Fast, true),
        (Expansion::Compact, false),
        (Expansion::Compact, true),
    ] {
        let count = 1 << 21;
        let [sender, receiver] = pairwise::measure_extension(expansion, checked, count);
        let rate = |time: Duration| count as f64 / time.as_secs_f64() / 1e6;
        tell(json!({
            "what": format!("correlated OTs, hashed, a core, {expansion:?}, checked: {checked}"),
            "sender_million_s": rate(sender),
            "receiver_million_s": rate(receiver),
        }));
    }
    let start = Instant::now();
    World::new(2).run(async |mut session| {
        PairwiseOt::establish(&mut session, Expansion::Fast).await.expect("runs");
    });
    tell(json!({
        "what": "base OTs and trees, both sides of a pair",
        "ms": start.elapsed().as_secs_f64() * 1e3,
    }));

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
        let times = World::new(parties).run(async |mut session| {
            let mut ot = PairwiseOt::establish(&mut session, Expansion::Fast).await.expect("runs");
            let (start, cpu) = (Instant::now(), cpu_seconds());
            ot.phasors_of(&plan).await.expect("runs");
            (start.elapsed(), cpu_seconds() - cpu)
        });
        let bytes: u64 = (0..parties)
            .map(|me| plan.cost(me, Expansion::Fast, Against::default()).sent())
            .sum::<u64>();
        let slowest = times.iter().map(|times| times.0).max().unwrap_or_default();
        // What each party sees is the whole process.
        let cpu = times.iter().map(|times| times.1).fold(0.0, f64::max);
        tell(json!({
            "what": format!(
                "an evaluation of phasors, N = {parties}, P = {}, K = {terms}, {method:?}, {angle} bits",
                1 << period
            ),
            "ring": request.ring,
            "us": slowest.as_secs_f64() * 1e6 / f64::from(count),
            "cpu_us": cpu * 1e6 / f64::from(count),
            "bytes": bytes / u64::from(count),
        }));
    }

    let (m, k, n) = (64, 64, 64);
    let times = World::new(2).run(async |mut session| {
        let mut ot = PairwiseOt::establish(&mut session, Expansion::Fast).await.expect("runs");
        let start = Instant::now();
        ot.left(m, k, 64).expect("fits");
        ot.right(&RightRequest { left: 0, n, last: true }).await.expect("runs");
        start.elapsed()
    });
    tell(json!({
        "what": "a triple of 64 x 64 x 64 in Z64 by OT, N = 2",
        "ms": times[0].as_secs_f64() * 1e3,
    }));
}

fn tell(line: Value) {
    println!("{line}");
}

/// Processor time of this process; not a number where there is no /proc.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the command may contain anything; fields are counted from its closing bracket.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    let ticks: Vec<f64> = fields.skip(11).take(2).filter_map(|ticks| ticks.parse().ok()).collect();
    if ticks.len() == 2 { (ticks[0] + ticks[1]) / 100.0 } else { f64::NAN }
}
