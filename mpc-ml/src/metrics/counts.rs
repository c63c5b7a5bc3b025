//! Scores of expected counts.

use serde::{Deserialize, Serialize};

use super::{MetricError, mean, paired};

/// The scores of one list of expected counts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CountScores {
    /// The number of rows.
    pub rows: usize,
    /// The mean Poisson deviance, `2 (y log(y / m) - (y - m))` for an outcome y and its expected
    /// count m; 0 when every outcome is as expected.
    pub mean_deviance: f64,
    /// The same if every row were expected to have the mean of the outcomes.
    pub null_mean_deviance: f64,
}

impl CountScores {
    /// Scores `expected` counts against `outcomes`.
    ///
    /// # Errors
    /// When the lists are empty or of different length, an expectation is not above 0, or an
    /// outcome is no count.
    pub fn new(expected: &[f64], outcomes: &[f64]) -> Result<Self, MetricError> {
        paired(expected, outcomes)?;
        if !expected.iter().all(|m| m.is_finite() && *m > 0.0) {
            return Err(MetricError::NotAMean);
        }
        if !outcomes.iter().all(|y| y.is_finite() && *y >= 0.0 && y.fract() == 0.0) {
            return Err(MetricError::NotACount);
        }
        let middle = mean(expected, outcomes, |_, y| y);
        Ok(Self {
            rows: outcomes.len(),
            mean_deviance: mean(expected, outcomes, deviance),
            null_mean_deviance: mean(expected, outcomes, |_, y| deviance(middle, y)),
        })
    }
}

/// The deviance of one row.
fn deviance(expected: f64, outcome: f64) -> f64 {
    let logarithm = if outcome > 0.0 { outcome * (outcome / expected).ln() } else { 0.0 };
    2.0 * (logarithm - (outcome - expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_of_a_few_counts() {
        let scores = CountScores::new(&[1.0, 2.0, 0.5], &[1.0, 4.0, 0.0]).unwrap();
        // 0 for the first, 2 (4 log 2 - 2) for the second, 2 x 0.5 for the third.
        let expected = (2.0 * (4.0 * 2.0_f64.ln() - 2.0) + 1.0) / 3.0;
        assert!((scores.mean_deviance - expected).abs() < 1e-15);
        let perfect = CountScores::new(&[3.0, 1.0], &[3.0, 1.0]).unwrap();
        assert!(perfect.mean_deviance.abs() < 1e-15 && perfect.null_mean_deviance > 0.4);
        // No counts at all: nothing to explain.
        assert_eq!(CountScores::new(&[0.1], &[0.0]).unwrap().null_mean_deviance, 0.0);
    }

    #[test]
    fn what_cannot_be_scored_is_refused() {
        assert_eq!(CountScores::new(&[], &[]), Err(MetricError::Empty));
        assert_eq!(CountScores::new(&[0.0], &[1.0]), Err(MetricError::NotAMean));
        assert_eq!(CountScores::new(&[1.0], &[1.5]), Err(MetricError::NotACount));
        assert_eq!(CountScores::new(&[1.0], &[-1.0]), Err(MetricError::NotACount));
    }
}
