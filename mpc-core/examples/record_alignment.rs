//! Which records two or more parties have in common, without showing any other to anybody: all
//! parties in one process, on the in-memory mesh.
//! `cargo run --release -p mpc-core --example record_alignment -- [IDS [PARTIES]]`
//!
//! Half of each party's ids are known to all. Prints one JSON object with seconds, bytes on all links
//! and how many records were found.
#![allow(clippy::print_stdout)]

use std::time::{Duration, Instant};

use mpc_core::align::{Aligned, Terms, align, outputs};
use mpc_core::testing::World;
use serde_json::json;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|word| word.parse::<u64>());
    let ids = arguments.next().map_or(1000, |count| count.expect("a number of ids"));
    let parties = arguments.next().map_or(2, |count| count.expect("a number of parties"));
    let terms = Terms { bounds: vec![ids; parties as usize], least: 1 };
    let start = Instant::now();
    let world = World::new(parties as usize).outputs(outputs()).deadline(Duration::from_secs(3600));
    let ends = world.run(async |mut session| {
        let me = session.me() as u64;
        session.meter().enter("alignment");
        // Ids of the first half are the same at all, the others of this party alone.
        let own = (0..ids).map(|i| if i < ids / 2 { i } else { i * parties + me + ids });
        let aligned = align(own.map(u64::to_le_bytes), &terms, &mut session).await.expect("runs");
        let Aligned::Records(records) = aligned else { panic!("half of them are common") };
        (records, session.meter().phase("alignment").sent())
    });
    let seconds = start.elapsed().as_secs_f64();
    for (records, _) in &ends {
        assert_eq!(records, &ends[0].0, "the ids of common records stand at the same places here");
        assert!(records.len() as u64 == ids / 2 && records.iter().all(|&r| (r as u64) < ids / 2));
    }
    let megabytes = ends.iter().map(|end| end.1).sum::<u64>() as f64 / 1e6;
    println!(
        "{}",
        json!({
            "ids": ids, "parties": parties, "common": ids / 2, "seconds": seconds, "megabytes": megabytes,
        })
    );
}
