//! Joint linear and logistic models on additive secret shares.

mod error;
pub mod plaintext;
pub mod plan;
pub mod rows;
pub mod schedule;
pub mod solvers;
pub mod standardise;
pub mod synthetic;

pub use error::Error;
pub use plan::{SgdPlan, SgdSettings};
pub use rows::Rows;
