//! Models on shares.

pub mod data;
