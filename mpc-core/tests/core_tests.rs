//! All tests of the crate from outside, as one program: what is generic in the protocols is compiled once.
//! Only `freshness.rs` is a program of its own, since it sees what the whole process draws.
#![allow(clippy::unwrap_used)]

#[path = "support/golden.rs"]
mod golden;
#[path = "support/law.rs"]
mod law;
#[path = "support/looks.rs"]
mod looks;
#[path = "support/named.rs"]
mod named;
#[path = "support/production.rs"]
mod production;
#[path = "support/recording.rs"]
mod recording;
#[path = "support/scenario.rs"]
mod scenario;

// Examples that test themselves.
#[allow(dead_code, reason = "nobody calls main")]
#[path = "../examples/aggregation.rs"]
mod example_aggregation;
#[allow(dead_code, reason = "nobody calls main")]
#[path = "../examples/replicated_product.rs"]
mod example_replicated_product;

mod adversary;
mod coins;
mod covert;
mod ext;
mod fixed;
mod inverse_views;
mod kernels;
mod pairwise_checks;
mod pairwise_keys;
mod pairwise_ot;
mod pairwise_protocols;
mod pairwise_source;
mod pairwise_views;
mod protocols;
mod session;
mod solution_views;
mod transcripts;
mod vectors;
mod views;

#[test]
fn every_file_is_named_here() {
    let package = env!("CARGO_MANIFEST_DIR");
    named::every_file_is_in(include_str!("core_tests.rs"), package, &["core_tests", "freshness"]);
}
