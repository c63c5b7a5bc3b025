//! Differential privacy: what is promised, how much of it is spent, and when noise is drawn (docs/protocols.md 16).

mod accounting;
mod drawing;
mod guarantee;

pub use accounting::{Rho, epsilon, epsilon_of};
pub(crate) use drawing::ahead;
pub(crate) use guarantee::one;
pub use guarantee::{Guarantee, Neighbours};
