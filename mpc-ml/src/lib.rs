//! Joint linear and logistic models on additive secret shares.
//!
//! * [`data`] says how the columns of a file become numbers, and holds a party's rows.
//! * [`standardise`] brings columns to a common scale by their joint mean and deviation.
//! * [`model`] has the one trait of all models: settings, a plan from public facts that refuses what
//!   could wrap, a fit that gives shares, a release. [`models`] are the models, a folder each.
//! * [`inference`] says how sure the coefficients of a fit are: what the fits share.
//! * [`describe`] tells what the rows look like together: tables by groups, tests, correlations.
//! * [`survival`] tells how long it takes until something happens: curves, medians, the log-rank test.
//! * [`privacy`] counts differential privacy.
//! * [`evaluate`] tells how well a model predicts the rows of all: AUC, calibration, errors.
//! * [`federated`] is federated averaging, for many numbers and parties that come and go.
//! * [`Agreed`] is a plan that all parties were seen to hold.
//! * [`scoring`] applies a model whose columns are at different parties.
//! * [`artifact`] is the revealed model as a file; [`metrics`] score its predictions.
//!
//! The crate knows no sockets, configuration or terminal: it works on a
//! [`Session`](mpc_core::Session) and a source of correlations.

pub mod artifact;
mod counts;
pub mod data;
pub mod describe;
mod error;
pub mod evaluate;
pub mod federated;
pub mod inference;
pub mod metrics;
pub mod model;
pub mod models;
pub mod plaintext;
pub mod privacy;
pub mod rows;
pub mod scoring;
pub mod sites;
pub mod standardise;
mod sums;
pub mod survival;
pub mod synthetic;

pub use error::Error;
pub use model::{Agreed, Model, Plan};
pub use models::linear::{LinearPlan, LinearSettings};
pub use models::sgd::{SgdPlan, SgdSettings};
pub use rows::Rows;
