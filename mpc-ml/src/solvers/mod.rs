//! The fits to the optimum on shares.

pub mod optimum;
