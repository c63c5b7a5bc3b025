//! How a model was trained, as its file tells.

use serde::{Deserialize, Serialize};

/// How a model was trained: public facts only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingRecord {
    /// The method, for example `sgd`.
    pub solver: String,
    /// Passes over the rows.
    pub epochs: u32,
    /// Rows per step, over all parties.
    pub batch: u32,
    /// Steps that were made.
    pub iterations: u64,
    /// Rows that took part, over all parties.
    pub rows_used: u64,
    /// Rows that did not fill a batch and were left out, over all parties.
    pub rows_dropped: u64,
    /// The first step length.
    pub learning_rate: f64,
    /// How fast it shrinks: `learning_rate / (1 + decay * epoch)`.
    pub decay: f64,
    /// The share of the last step that is made again.
    pub momentum: f64,
    /// The public seed of the order of rows.
    pub seed: u64,
    /// The bound on encoded values.
    pub clip: f64,
    /// How the logistic function was computed, for models that use it.
    pub sigmoid: Option<SigmoidRecord>,
    /// Who computed, and where the correlated randomness came from.
    pub security: SecurityRecord,
    /// Binary digits after the point of the released coefficients.
    pub release_bits: u32,
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

/// Who computed, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecurityRecord {
    /// The parties, in the study's order.
    pub parties: Vec<String>,
    /// The source of correlated randomness, for example `dealer`.
    pub correlations: String,
}
