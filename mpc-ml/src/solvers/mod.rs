//! How a model is fitted on shares.

pub mod exact;
mod moments;
pub mod optimum;
pub mod sgd;
