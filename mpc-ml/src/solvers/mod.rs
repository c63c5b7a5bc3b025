//! How a model is fitted on shares.

pub mod sgd;
