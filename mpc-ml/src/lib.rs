//! Joint linear and logistic models on additive secret shares.
//!
//! * [`data`] says how the columns of a file become numbers, and holds a party's rows.
//! * [`standardise`] brings columns to a common scale by their joint mean and deviation.
//! * [`SgdPlan`] and [`LinearPlan`] choose every scale, ring and bound of a training from public facts, and refuse
//!   what could wrap; [`schedule`] says which row is in which batch.
//! * [`solvers`] train on shares; [`plaintext`] trains the same model on the same schedule in the
//!   clear, as an example and as the oracle of the tests.
//! * [`artifact`] is the revealed model as a file; [`metrics`] score its predictions.
//!
//! The crate knows no sockets, configuration or terminal: it works on a
//! [`Session`](mpc_core::Session) and a source of correlations.

mod agreed;
pub mod artifact;
pub mod data;
mod error;
pub mod metrics;
pub mod plaintext;
pub mod plan;
pub mod rows;
pub mod schedule;
pub mod solvers;
pub mod standardise;
pub mod synthetic;

pub use agreed::{Agreed, Plan};
pub use error::Error;
pub use plan::linear::{LinearPlan, LinearSettings};
pub use plan::{SgdPlan, SgdSettings};
pub use rows::Rows;
