//! How a model is fitted on shares.

pub mod optimum;
pub mod sgd;
