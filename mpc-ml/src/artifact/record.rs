//! How a model was trained, as its file tells.

use serde::{Deserialize, Serialize};

/// How a model was trained: public facts, and the checks that its parties saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingRecord {
    /// The method with its settings.
    pub solver: SolverRecord,
    /// Steps that were made.
    pub iterations: u64,
    /// Rows that took part, over all parties.
    pub rows_used: u64,
    /// Rows that did not fill a batch and were left out, over all parties.
    pub rows_dropped: u64,
    /// The bound on encoded values.
    pub clip: f64,
    /// What was checked before the model was revealed.
    pub checks: Vec<CheckRecord>,
    /// Who computed, and where the correlated randomness came from.
    pub security: SecurityRecord,
    /// Binary digits after the point of the released coefficients.
    pub release_bits: u32,
}

/// A method with its settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SolverRecord {
    /// Gradient descent on batches.
    Sgd(SgdRecord),
    /// Normal equations.
    Exact(ExactRecord),
    /// Steps on all rows to the optimum.
    Optimum(OptimumRecord),
}

/// The settings of gradient descent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SgdRecord {
    /// Passes over the rows.
    pub epochs: u32,
    /// Rows per step, over all parties.
    pub batch: u32,
    /// The first step length.
    pub learning_rate: f64,
    /// How fast it shrinks: `learning_rate / (1 + decay * epoch)`.
    pub decay: f64,
    /// The share of the last step that is made again.
    pub momentum: f64,
    /// The public seed of the order of rows.
    pub seed: u64,
    /// How the logistic function was computed.
    pub sigmoid: Option<SigmoidRecord>,
}

/// The trigonometric series in place of the logistic function.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SigmoidRecord {
    /// The period of the series.
    pub window: u32,
    /// The number of its terms.
    pub terms: u32,
    /// How its coefficients were chosen, `weighted` or `plain`.
    pub fit: String,
}

/// The settings of the normal equations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExactRecord {
    /// The largest condition number that was supported.
    pub condition: f64,
}

/// The settings of steps to the optimum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimumRecord {
    /// The largest condition number that was supported.
    pub condition: f64,
    /// How near the coefficients come to the optimum, in standard errors.
    pub tolerance: f64,
    /// The declared share of the rarer class, for a logistic model.
    pub prevalence: Option<f64>,
    /// How the logistic function was computed: period and number of terms.
    pub sigmoid: Option<(u32, u32)>,
    /// Where the exponential function was computed, for a Poisson model.
    pub rate: Option<RateRecord>,
    /// The declared bound on the largest eigenvalue, for wide models.
    pub largest_eigenvalue: Option<f64>,
}

/// Where the exponential function was computed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateRecord {
    /// The declared typical count.
    pub mean: f64,
    /// The middle of the window of scores.
    pub centre: f64,
    /// How far it reaches to both sides.
    pub halfwidth: f64,
    /// The number of terms.
    pub terms: u32,
}

/// A figure that all parties saw, and the bound that it had to keep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckRecord {
    /// What was checked, in words.
    pub what: String,
    /// The figure.
    pub value: f64,
    /// The largest that was allowed.
    pub bound: f64,
}

/// Who computed, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecurityRecord {
    /// The parties, in the study's order.
    pub parties: Vec<String>,
    /// The source of correlated randomness, for example `dealer`.
    pub correlations: String,
}
