//! How well a column of numbers, such as predictions, tells two groups apart: from the noisy histogram of both, which is
//! told anyway.

use serde::Serialize;

use super::plan::WITHIN;
use super::results::Off;

/// How well a column tells two groups apart, as far as noise and intervals let it be seen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Separation {
    /// The group whose numbers should be larger: the second level.
    pub of: String,
    /// The probability that a row of it has a larger number than one of the other: the area under the ROC curve. Rows
    /// in the same interval count half; none where the noise hides the groups.
    pub auc: Option<Off>,
    /// By how much rows in the same interval may put the area off, at most.
    pub ties: f64,
    /// For each interval the share of rows that are of this group; none where the noise hides it.
    pub shares: Vec<Option<Off>>,
    /// The mean squared error, if the column is the probability of this group: by the middles of the intervals. For a
    /// range from 0 to 1 alone.
    pub brier: Option<Off>,
}

/// From the counts of the other group and of this one, each with noise of this deviation.
pub(super) fn separation(
    of: &str,
    (other, own): (&[i64], &[i64]),
    deviation: f64,
    range: (f64, f64),
) -> Separation {
    let real = |counts: &[i64]| counts.iter().map(|&count| count as f64).collect::<Vec<f64>>();
    let (other, own) = (real(other), real(own));
    let variance = deviation * deviation;
    let share = |(n, p): (&f64, &f64)| {
        let all = n + p;
        let seen = all > 10.0 * deviation * std::f64::consts::SQRT_2;
        seen.then(|| Off {
            value: p / all,
            within: WITHIN * deviation * libm::sqrt(n * n + p * p) / (all * all),
        })
    };
    let shares: Vec<Option<Off>> = other.iter().zip(&own).map(share).collect();
    let (n, p): (f64, f64) = (other.iter().sum(), own.iter().sum());
    let hidden = 5.0 * deviation * libm::sqrt(own.len() as f64);
    let seen = n > hidden.max(0.5) && p > hidden.max(0.5);
    let mut separation =
        Separation { of: of.to_owned(), auc: None, ties: 0.0, shares, brier: None };
    if !seen {
        return separation;
    }
    // The share of the other group below each interval, and of this one above it, halves within.
    let mut below = 0.0;
    let under: Vec<f64> = other
        .iter()
        .map(|count| {
            let here = (below + count / 2.0) / n;
            below += count;
            here
        })
        .collect();
    let mut above = p;
    let over: Vec<f64> = own
        .iter()
        .map(|count| {
            above -= count;
            (above + count / 2.0) / p
        })
        .collect();
    let auc: f64 = own.iter().zip(&under).map(|(count, under)| count * under).sum::<f64>() / p;
    // To first order: how it moves with each count.
    let slopes = |values: &[f64], rows: f64| {
        values.iter().map(|value| ((value - auc) / rows).powi(2)).sum::<f64>()
    };
    let off = WITHIN * libm::sqrt(variance * (slopes(&under, p) + slopes(&over, n)));
    separation.auc = Some(Off { value: auc, within: off });
    let ties = other.iter().zip(&own).map(|(n, p)| (n * p).max(0.0)).sum::<f64>();
    separation.ties = ties / (2.0 * n * p);
    if range == (0.0, 1.0) {
        let middle = |at: usize| (at as f64 + 0.5) / own.len() as f64;
        let (mut sum, mut slope, mut of_rows) = (0.0, 0.0, 0.0);
        for (at, (n, p)) in other.iter().zip(&own).enumerate() {
            let (miss, false_alarm) = ((1.0 - middle(at)).powi(2), middle(at).powi(2));
            sum += p * miss + n * false_alarm;
            of_rows += n + p;
        }
        let brier = sum / of_rows;
        for at in 0..own.len() {
            let (miss, false_alarm) = ((1.0 - middle(at)).powi(2), middle(at).powi(2));
            slope += (miss - brier).powi(2) + (false_alarm - brier).powi(2);
        }
        let within = WITHIN * deviation * libm::sqrt(slope) / of_rows;
        separation.brier = Some(Off { value: brier, within });
    }
    separation
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_noise_it_is_that_of_the_intervals() {
        // Of 3 pairs in order, 1 alike: (6 + 2 + 2 ..) by hand.
        let found = separation("bad", (&[3, 1, 0, 1], &[0, 1, 2, 2]), 0.0, (0.0, 1.0));
        // Pairs: own in 1: 3 below, 1 alike; own in 2 (2): 4 below; own in 3 (2): 4 below, 1 alike.
        let pairs = 3.0 + 0.5 + 2.0 * 4.0 + 2.0 * 4.5;
        assert!((found.auc.expect("seen").value - pairs / 25.0).abs() < 1e-12);
        assert!((found.ties - (1.0 + 2.0) / 50.0).abs() < 1e-12);
        let brier = 3.0 * 0.125_f64.powi(2)
            + 0.375_f64.powi(2)
            + 0.875_f64.powi(2)
            + 0.625_f64.powi(2)
            + 2.0 * 0.375_f64.powi(2)
            + 2.0 * 0.125_f64.powi(2);
        assert!((found.brier.expect("0 to 1").value - brier / 10.0).abs() < 1e-12);
        assert_eq!(found.shares[2].map(|it| it.value), Some(1.0));
        // Without rows nothing is said.
        let none = separation("bad", (&[3, 1], &[0, 0]), 1.0, (0.0, 2.0));
        assert!(none.auc.is_none() && none.brier.is_none() && none.shares == [None, None]);
    }
}
