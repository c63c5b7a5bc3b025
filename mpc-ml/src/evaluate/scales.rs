//! Sums as integers, and where the groups of an evaluation end: what follows from public numbers.

use mpc_core::fixed;
use mpc_core::ring::{Ring, Z128};

use crate::error::Error;

/// Binary digits after the point of the figures that steer.
pub(super) const FRACTION: u32 = 30;
/// Those of the sums of the result.
pub(super) const SUM_FRACTION: u32 = 20;
/// An own sum is below 2^this, with its binary digits: 64 parties fit the ring.
const SUM_BITS: u32 = 110;

/// Nine points that cut a normal law into ten parts of the same size, in standard deviations.
const DECILES: [f64; 9] = [
    -1.281_551_565_544_6,
    -0.841_621_233_572_9,
    -0.524_400_512_708_0,
    -0.253_347_103_135_8,
    0.0,
    0.253_347_103_135_8,
    0.524_400_512_708_0,
    0.841_621_233_572_9,
    1.281_551_565_544_6,
];

/// Own sums as integers.
pub(super) fn integers(sums: &[f64], fraction: u32) -> Result<Vec<Z128>, Error> {
    let integer = |&sum: &f64| {
        fixed::encode(sum, fraction, SUM_BITS).map(Z128::from_i128).map_err(|_| {
            let what = "the predictions or targets of this party's rows are too far from what the model \
                        predicts of all rows for their squares to be summed: is a cell far outside of what \
                        the model was fitted to?";
            Error::Data(what.to_owned())
        })
    };
    sums.iter().map(integer).collect()
}

/// Joint sums as they were revealed.
pub(super) fn reals(sums: &[i128], fraction: u32) -> Vec<f64> {
    sums.iter().map(|&sum| fixed::decode(sum, fraction)).collect()
}

/// Where the scores of all rows lie, and the ends of groups: public after
/// [`SCORES`](super::SCORES) was revealed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scores {
    pub(super) mean: f64,
    /// The standard deviation; 0 where all scores are alike.
    pub(super) deviation: f64,
    /// The ends of the finest groups, ascending.
    pub(super) cuts: Vec<f64>,
}

impl Scores {
    /// From the mean and the deviation, with these cuts or those of a normal law.
    pub(super) fn new(mean: f64, deviation: f64, cuts: Option<Vec<f64>>) -> Self {
        let by_law = || DECILES.iter().map(|z| mean + z * deviation).collect();
        Self { mean, deviation, cuts: cuts.unwrap_or_else(by_law) }
    }

    /// What a score is divided by.
    pub(super) fn unit(&self) -> f64 {
        if self.deviation > 0.0 { self.deviation } else { 1.0 }
    }

    /// The score in standard deviations from the mean.
    pub(super) fn standard(&self, score: f64) -> f64 {
        (score - self.mean) / self.unit()
    }

    /// In which of `bins` bins a score lies, which a normal law with somewhat longer tails fills evenly. It grows
    /// with the score, and equal scores lie in the same bin at all parties.
    pub(super) fn bin(&self, score: f64, bins: usize) -> usize {
        let share = 1.0 / (1.0 + libm::exp(-1.5 * self.standard(score)));
        ((share * bins as f64) as usize).min(bins - 1)
    }

    /// In which of the groups between these cuts a score lies; the lower end belongs to a group.
    pub(super) fn group(&self, cuts: &[usize], score: f64) -> usize {
        cuts.partition_point(|&cut| self.cuts[cut] <= score)
    }
}
