//! The node: one organisation's part in a joint study.

pub mod name;
pub mod study;
