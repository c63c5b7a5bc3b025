//! Scores of predicted probabilities.

use serde::{Deserialize, Serialize};

use super::{MetricError, mean, paired};

/// The scores of one list of predictions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// The number of rows.
    pub rows: usize,
    /// The number of rows with outcome 1.
    pub positives: usize,
    /// The share of rows whose outcome is 1 exactly where the probability is above one half.
    pub accuracy: f64,
    /// The area under the ROC curve: how likely a positive row ranks above a negative one, ties
    /// counting half. `None` when all outcomes are the same.
    pub auc: Option<f64>,
    /// The mean negative logarithm of the probability of the outcome.
    pub log_loss: f64,
    /// The mean squared difference of probability and outcome.
    pub brier: f64,
}

impl Scores {
    /// Scores `probabilities` against `outcomes`.
    ///
    /// # Errors
    /// When the lists are empty or of different length, or hold something else than
    /// probabilities and outcomes.
    pub fn new(probabilities: &[f64], outcomes: &[f64]) -> Result<Self, MetricError> {
        check(probabilities, outcomes)?;
        Ok(Self {
            rows: outcomes.len(),
            positives: outcomes.iter().filter(|&&outcome| outcome == 1.0).count(),
            accuracy: mean(probabilities, outcomes, |p, y| {
                f64::from(u8::from((p > 0.5) == (y == 1.0)))
            }),
            auc: ranks(probabilities, outcomes),
            log_loss: mean(probabilities, outcomes, |p, y| {
                // A probability of exactly 0 or 1 that turns out wrong would cost infinitely much;
                // the bound is the one of scikit-learn.
                let p = p.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
                if y == 1.0 { -p.ln() } else { -(-p).ln_1p() }
            }),
            brier: mean(probabilities, outcomes, |p, y| (p - y).powi(2)),
        })
    }
}

fn check(probabilities: &[f64], outcomes: &[f64]) -> Result<(), MetricError> {
    paired(probabilities, outcomes)?;
    if !probabilities.iter().all(|p| (0.0..=1.0).contains(p)) {
        return Err(MetricError::NotAProbability);
    }
    if !outcomes.iter().all(|&y| y == 0.0 || y == 1.0) {
        return Err(MetricError::NotAnOutcome);
    }
    Ok(())
}

/// The area under the ROC curve from ranks: tied predictions share the mean of their ranks.
fn ranks(probabilities: &[f64], outcomes: &[f64]) -> Option<f64> {
    let mut rows: Vec<(f64, bool)> =
        probabilities.iter().zip(outcomes).map(|(&p, &y)| (p, y == 1.0)).collect();
    // -0.0 and 0.0 are a tie; total_cmp would part them.
    rows.iter_mut().for_each(|(p, _)| *p += 0.0);
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    let positives = rows.iter().filter(|(_, positive)| *positive).count() as f64;
    let negatives = rows.len() as f64 - positives;
    if positives == 0.0 || negatives == 0.0 {
        return None;
    }
    let mut before = 0.0;
    let mut rank_sum = 0.0;
    for tied in rows.chunk_by(|a, b| a.0 == b.0) {
        let size = tied.len() as f64;
        let rank = before + (size + 1.0) / 2.0;
        rank_sum += rank * tied.iter().filter(|(_, positive)| *positive).count() as f64;
        before += size;
    }
    Some((rank_sum - positives * (positives + 1.0) / 2.0) / (positives * negatives))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_of_a_few_rows() {
        let scores = Scores::new(&[0.9, 0.4, 0.6, 0.2], &[1.0, 0.0, 0.0, 1.0]).unwrap();
        assert_eq!((scores.rows, scores.positives, scores.accuracy), (4, 2, 0.5));
        assert_eq!(scores.auc, Some(0.5));
        let log_loss = -(0.9_f64.ln() + 0.6_f64.ln() + 0.4_f64.ln() + 0.2_f64.ln()) / 4.0;
        assert!((scores.log_loss - log_loss).abs() < 1e-15);
        assert!((scores.brier - (0.01 + 0.16 + 0.36 + 0.64) / 4.0).abs() < 1e-15);
    }

    #[test]
    fn ties_count_half() {
        let auc = |p: &[f64], y: &[f64]| Scores::new(p, y).unwrap().auc;
        assert_eq!(auc(&[0.5; 4], &[1.0, 0.0, 0.0, 1.0]), Some(0.5));
        // Pairs: 0.5 ties 0.5, 0.5 > 0.1, 0.8 > 0.5, 0.8 > 0.1.
        assert_eq!(auc(&[0.5, 0.8, 0.5, 0.1], &[1.0, 1.0, 0.0, 0.0]), Some(3.5 / 4.0));
        assert_eq!(auc(&[-0.0, 0.0], &[1.0, 0.0]), Some(0.5));
        assert_eq!(auc(&[0.1, 0.2], &[1.0, 1.0]), None);
    }

    #[test]
    fn certainty_that_is_wrong_costs_much_but_not_everything() {
        let scores = Scores::new(&[0.0, 1.0], &[1.0, 0.0]).unwrap();
        assert!(scores.log_loss > 36.0 && scores.log_loss < 37.0);
        assert_eq!(Scores::new(&[0.0, 1.0], &[0.0, 1.0]).unwrap().brier, 0.0);
    }

    #[test]
    fn what_cannot_be_scored_is_refused() {
        assert_eq!(Scores::new(&[], &[]), Err(MetricError::Empty));
        assert!(matches!(Scores::new(&[0.5], &[]), Err(MetricError::Length { .. })));
        assert_eq!(Scores::new(&[f64::NAN], &[1.0]), Err(MetricError::NotAProbability));
        assert_eq!(Scores::new(&[0.5], &[2.0]), Err(MetricError::NotAnOutcome));
    }
}
