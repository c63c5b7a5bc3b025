//! The families: mean, variance and loss of a row as functions of its score, in the clear.

use serde::{Deserialize, Serialize};

/// Which distribution the target has, with its canonical link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Targets 0 and 1; the score is the logarithm of the odds.
    Logistic,
    /// Counts; the score is the logarithm of the rate.
    Poisson,
}

impl Family {
    /// The mean of a target with this score.
    #[must_use]
    pub fn mean(self, score: f64) -> f64 {
        match self {
            Self::Logistic => 1.0 / (1.0 + libm::exp(-score)),
            Self::Poisson => libm::exp(score),
        }
    }

    /// The score at which a target has this mean.
    #[must_use]
    pub fn score(self, mean: f64) -> f64 {
        match self {
            Self::Logistic => libm::log(mean / (1.0 - mean)),
            Self::Poisson => libm::log(mean),
        }
    }

    /// The variance of a target with this mean: the slope of the mean.
    #[must_use]
    pub fn variance(self, mean: f64) -> f64 {
        match self {
            Self::Logistic => mean * (1.0 - mean),
            Self::Poisson => mean,
        }
    }

    /// Less the logarithm of the likelihood, but for what does not depend on the score.
    #[must_use]
    pub fn loss(self, target: f64, score: f64) -> f64 {
        match self {
            // log(1 + e^z) without overflow.
            Self::Logistic => {
                score.max(0.0) + libm::log1p(libm::exp(-score.abs())) - target * score
            }
            Self::Poisson => libm::exp(score) - target * score,
        }
    }

    /// The part of a row in the deviance.
    #[must_use]
    pub fn deviance(self, target: f64, score: f64) -> f64 {
        let saturated = match self {
            Self::Logistic => 0.0,
            Self::Poisson if target > 0.0 => target - target * libm::log(target),
            Self::Poisson => 0.0,
        };
        2.0 * (self.loss(target, score) - saturated)
    }

    /// The part of a row in the logarithm of the likelihood.
    #[must_use]
    pub fn log_likelihood(self, target: f64, score: f64) -> f64 {
        let constant = match self {
            Self::Logistic => 0.0,
            Self::Poisson => libm::lgamma(target + 1.0),
        };
        -self.loss(target, score) - constant
    }

    /// Whether a target is one of this family.
    #[must_use]
    pub fn admits(self, target: f64) -> bool {
        match self {
            Self::Logistic => target == 0.0 || target == 1.0,
            Self::Poisson => (0.0..=1e12).contains(&target),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_have_the_means_as_slopes() {
        for family in [Family::Logistic, Family::Poisson] {
            for score in [-3.0, -0.2, 0.0, 1.5] {
                let h = 1e-6;
                let slope = (family.loss(1.0, score + h) - family.loss(1.0, score - h)) / (2.0 * h);
                assert!((slope - (family.mean(score) - 1.0)).abs() < 1e-8);
                let slope = (family.mean(score + h) - family.mean(score - h)) / (2.0 * h);
                assert!((slope - family.variance(family.mean(score))).abs() < 1e-8);
                assert!((family.score(family.mean(score)) - score).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn a_saturated_fit_has_no_deviance() {
        assert!(Family::Poisson.deviance(7.0, libm::log(7.0)).abs() < 1e-12);
        assert!(Family::Logistic.deviance(1.0, 40.0) < 1e-15);
        assert!((Family::Poisson.deviance(0.0, 0.0) - 2.0).abs() < 1e-15);
    }
}
