//! All tests of the crate from outside, as one program: what is generic in the protocols is compiled once.
#![allow(clippy::unwrap_used)]

#[path = "support/columns.rs"]
mod columns;
#[path = "support/corrections.rs"]
mod corrections;
#[path = "support/fits.rs"]
mod fits;
#[path = "../../mpc-core/tests/support/golden.rs"]
mod golden;
#[path = "support/joint.rs"]
mod joint;
#[path = "support/linear.rs"]
mod joint_linear;
#[path = "../../mpc-core/tests/support/law.rs"]
mod law;
#[path = "../../mpc-core/tests/support/looks.rs"]
mod looks;
#[path = "../../mpc-core/tests/support/named.rs"]
mod named;
#[path = "../../mpc-core/tests/support/recording.rs"]
mod recording;

// Examples that test themselves.
#[allow(dead_code, reason = "nobody calls main")]
#[path = "../examples/describe.rs"]
mod example_describe;
#[allow(dead_code, reason = "nobody calls main")]
#[path = "../examples/federated.rs"]
mod example_federated;
#[allow(dead_code, reason = "nobody calls main")]
#[path = "../examples/hidden_model.rs"]
mod example_hidden_model;
#[allow(dead_code, reason = "nobody calls main")]
#[path = "../examples/train_in_process.rs"]
mod example_train_in_process;

mod altered;
mod bounds;
mod certificate;
mod credit_status;
mod differing;
mod eliminate;
mod glm;
mod linear;
mod logistic;
mod masks;
mod mean_squares;
mod privacy;
mod replay;
mod resume;
mod standardise;
mod vectors;

#[test]
fn every_file_is_named_here() {
    let package = env!("CARGO_MANIFEST_DIR");
    named::every_file_is_in(include_str!("ml_tests.rs"), package, &["ml_tests"]);
}
