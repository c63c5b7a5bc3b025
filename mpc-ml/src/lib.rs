//! Models on shares.

pub mod artifact;
pub mod data;
pub mod metrics;
