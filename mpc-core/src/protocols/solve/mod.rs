//! The inverse of a shared symmetric positive definite matrix, and solutions with it
//! (docs/protocols.md 7.2; Newton-Schulz: Schulz 1933; scaled steps: Pan and Schreiber, SIAM J.
//! Sci. Stat. Comput. 12, 1991).

mod bounds;
mod inverse;
mod plan;
mod solution;

pub use bounds::Aim;
pub use inverse::{Inverse, Start, inverse};
pub use plan::{InversePlan, InverseSettings, StartBound};
pub use solution::{SolutionPlan, solution};

#[cfg(test)]
mod tests;
