//! What of a result is kept and told.

use crate::artifact::{CheckRecord, InferenceParts};

/// A result as a model file and a person take it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// The intercept on the common scale, where the model has one.
    pub intercept: Option<f64>,
    /// A coefficient for each column of the design matrix, on the common scale.
    pub coefficients: Vec<f64>,
    /// The weight of half the squared coefficients in the objective.
    pub l2: f64,
    /// Binary digits after the point of the released numbers.
    pub release_bits: u32,
    /// How sure the coefficients are, where that was computed.
    pub inference: Option<InferenceParts>,
    /// What all parties saw before the result was revealed.
    pub checks: Vec<CheckRecord>,
    /// What all who receive the result should know about it.
    pub warnings: Vec<String>,
    /// What concerns this party's rows. **Private**: it stays with the party.
    pub own_warnings: Vec<String>,
}

impl Summary {
    /// Coefficients of which the last one is the intercept, where there is one.
    #[must_use]
    pub fn of(mut coefficients: Vec<f64>, intercept: bool) -> Self {
        let intercept = if intercept { coefficients.pop() } else { None };
        Self { intercept, coefficients, ..Self::default() }
    }
}
