//! How good predictions are.
//!
//! * [`Scores`] of probabilities: accuracy, area under the ROC curve, log-loss and Brier score.
//! * [`NumberScores`] of numbers: R squared, root mean squared error and mean absolute error.
//! * [`CountScores`] of expected counts: mean Poisson deviance.
//!
//! Every function takes predictions and outcomes in the same order.

mod counts;
mod numbers;
mod probabilities;

pub use counts::CountScores;
pub use numbers::NumberScores;
pub use probabilities::Scores;

/// Why predictions cannot be scored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetricError {
    /// There is nothing to score.
    #[error("there are no predictions to score")]
    Empty,
    /// Two lists that do not belong together.
    #[error("there are {predictions} predictions for {outcomes} outcomes")]
    Length {
        /// How many predictions there are.
        predictions: usize,
        /// How many outcomes there are.
        outcomes: usize,
    },
    /// A prediction is no probability.
    #[error("a prediction is not a number between 0 and 1")]
    NotAProbability,
    /// An outcome is neither 0 nor 1.
    #[error("an outcome is neither 0 nor 1")]
    NotAnOutcome,
    /// A prediction or an outcome is infinite or not a number.
    #[error("a prediction or an outcome is not a finite number")]
    NotFinite,
    /// A prediction is no expected count.
    #[error("a prediction is not a finite number above 0")]
    NotAMean,
    /// An outcome is no count.
    #[error("an outcome is not a whole number from 0")]
    NotACount,
}

/// Sees to it that there is one outcome for each prediction, and one at all.
fn paired(predictions: &[f64], outcomes: &[f64]) -> Result<(), MetricError> {
    if predictions.len() != outcomes.len() {
        return Err(MetricError::Length {
            predictions: predictions.len(),
            outcomes: outcomes.len(),
        });
    }
    if outcomes.is_empty() { Err(MetricError::Empty) } else { Ok(()) }
}

/// The mean of a score of each prediction.
fn mean(predictions: &[f64], outcomes: &[f64], score: impl Fn(f64, f64) -> f64) -> f64 {
    let scores = predictions.iter().zip(outcomes).map(|(&p, &y)| score(p, y));
    scores.sum::<f64>() / outcomes.len() as f64
}
