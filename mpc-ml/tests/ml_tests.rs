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
#[path = "support/labels.rs"]
mod labels;
#[path = "../../mpc-core/tests/support/law.rs"]
mod law;
#[path = "../../mpc-core/tests/support/looks.rs"]
mod looks;
#[path = "../../mpc-core/tests/support/recording.rs"]
mod recording;

mod altered;
mod bounds;
mod certificate;
mod credit_status;
mod differing;
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

/// A file that stands beside this one and is not named here would never be run.
#[test]
fn every_file_is_named_here() {
    let text = include_str!("ml_tests.rs");
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.file_stem().unwrap().to_string_lossy();
            let named = text.lines().any(|line| line == format!("mod {name};"));
            assert!(named || name == "ml_tests", "tests/{name}.rs is in no test program");
        }
    }
}
