//! The inverse of a shared symmetric positive definite matrix, and solutions with it
//! (docs/protocols.md 7.2; Newton-Schulz: Schulz 1933; scaled steps: Pan and Schreiber, SIAM J.
//! Sci. Stat. Comput. 12, 1991).

mod bounds;
mod inverse;
mod layout;
mod orders;
mod plan;
mod settings;
mod solution;

pub use inverse::{Inverse, Start, inverse, invert};
pub use orders::InverseOrders;
pub use plan::InversePlan;
pub use settings::{InverseSettings, StartBound};
pub use solution::{SolutionOrders, SolutionPlan, solution, solve};

#[cfg(test)]
mod tests;
