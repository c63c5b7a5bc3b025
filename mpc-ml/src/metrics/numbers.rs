//! Scores of predicted numbers.

use serde::{Deserialize, Serialize};

use super::{MetricError, mean, paired};

/// The scores of one list of predicted numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct NumberScores {
    /// The number of rows.
    pub rows: usize,
    /// The share of the variance of the outcomes that the predictions explain; below 0 where their
    /// mean would predict better. `None` when all outcomes are the same.
    pub r2: Option<f64>,
    /// The root of the mean squared difference of prediction and outcome.
    pub rmse: f64,
    /// The mean absolute difference.
    pub mae: f64,
}

impl NumberScores {
    /// Scores `predictions` against `outcomes`.
    ///
    /// # Errors
    /// When the lists are empty or of different length, or hold something that is not finite.
    pub fn new(predictions: &[f64], outcomes: &[f64]) -> Result<Self, MetricError> {
        paired(predictions, outcomes)?;
        if !predictions.iter().chain(outcomes).all(|value| value.is_finite()) {
            return Err(MetricError::NotFinite);
        }
        let middle = mean(predictions, outcomes, |_, y| y);
        let variance = mean(predictions, outcomes, |_, y| (y - middle).powi(2));
        let squared = mean(predictions, outcomes, |p, y| (p - y).powi(2));
        Ok(Self {
            rows: outcomes.len(),
            r2: (variance > 0.0).then(|| 1.0 - squared / variance),
            rmse: squared.sqrt(),
            mae: mean(predictions, outcomes, |p, y| (p - y).abs()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_of_a_few_numbers() {
        let scores = NumberScores::new(&[1.0, 2.0, 4.0], &[1.0, 3.0, 5.0]).unwrap();
        assert_eq!(scores.rows, 3);
        assert!((scores.r2.unwrap() - (1.0 - 2.0 / 8.0)).abs() < 1e-15);
        assert!((scores.rmse - (2.0_f64 / 3.0).sqrt()).abs() < 1e-15);
        assert!((scores.mae - 2.0 / 3.0).abs() < 1e-15);
        // Worse than the mean.
        assert!(NumberScores::new(&[9.0, 9.0], &[0.0, 1.0]).unwrap().r2.unwrap() < 0.0);
        assert_eq!(NumberScores::new(&[1.0, 2.0], &[2.0, 2.0]).unwrap().r2, None);
    }

    #[test]
    fn what_cannot_be_scored_is_refused() {
        assert_eq!(NumberScores::new(&[], &[]), Err(MetricError::Empty));
        assert!(matches!(NumberScores::new(&[0.5], &[]), Err(MetricError::Length { .. })));
        assert_eq!(NumberScores::new(&[f64::NAN], &[1.0]), Err(MetricError::NotFinite));
        assert_eq!(NumberScores::new(&[1.0], &[f64::INFINITY]), Err(MetricError::NotFinite));
    }
}
