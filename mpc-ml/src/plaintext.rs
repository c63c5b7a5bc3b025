//! What the joint fits compute, in the clear and in floating point: examples, and the oracle that
//! they are compared with. Each model's own twin is in its folder.

mod alone;
pub mod glm;
mod own_errors;

pub use alone::{NoOwnFit, alone};
pub(crate) use glm::solve_symmetric;
pub use own_errors::own_estimates;

/// The exact sigmoid.
#[must_use]
pub fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-z))
}

/// The sigmoid less 1/2, which is odd.
pub(crate) fn centred_sigmoid(z: f64) -> f64 {
    sigmoid(z) - 0.5
}

/// w x + b for coefficients with the intercept last, where there is one.
#[must_use]
pub fn score(coefficients: &[f64], row: &[f64]) -> f64 {
    let slope: f64 = coefficients.iter().zip(row).map(|(w, x)| w * x).sum();
    slope + coefficients.get(row.len()).copied().unwrap_or(0.0)
}
