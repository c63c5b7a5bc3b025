//! Differential privacy: how much of it is spent (docs/protocols.md 16).

mod accounting;

pub use accounting::{Rho, epsilon, epsilon_of};
