//! The calibration line: the outcome on the model's own score, by Newton's steps from revealed sums.

use super::results::Estimate;
use super::scales::Scores;
use crate::artifact::ModelKind;

/// A step is the last one where it is shorter than the root of this, in standard errors: what is left then is its
/// square.
const NEAR: f64 = 1e-8;
/// No step moves an intercept, or the score of a row one deviation away, by more.
const LONGEST: f64 = 2.0;
/// Scores beyond are taken for it while the line is looked for: their weights are nothing, or there is no line.
const FURTHEST: f64 = 30.0;

/// Derivatives of the logarithm of the likelihood that are summed in a step: two of the line, the three of its
/// curvature, the one of the intercept alone and its curvature.
pub(super) const DERIVATIVES: usize = 7;

/// The line that is looked for: alpha + beta z of the standardised score z, and the intercept where the slope is 1.
#[derive(Clone, Debug)]
pub(super) struct Line {
    mean: f64,
    unit: f64,
    alpha: f64,
    beta: f64,
    large: f64,
    /// The covariance of alpha and beta, and the variance of the intercept, where they were found.
    covariance: Option<[f64; 3]>,
    variance: Option<f64>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Solved {
    pub(super) intercept: Option<Estimate>,
    pub(super) slope: Option<Estimate>,
    pub(super) in_the_large: Option<Estimate>,
}

impl Line {
    /// At the model itself.
    pub(super) fn new(scores: &Scores) -> Self {
        let (mean, unit) = (scores.mean, scores.unit());
        Self { mean, unit, alpha: mean, beta: unit, large: 0.0, covariance: None, variance: None }
    }

    /// What a row adds to the sums.
    pub(super) fn derivatives(
        &self,
        kind: ModelKind,
        (score, target): (f64, f64),
        z: f64,
    ) -> [f64; DERIVATIVES] {
        let expected = |score: f64| {
            let score = score.clamp(-FURTHEST, FURTHEST);
            match kind {
                ModelKind::Poisson => {
                    let mean = libm::exp(score);
                    (mean, mean)
                }
                _ => {
                    let mean = 1.0 / (1.0 + libm::exp(-score));
                    (mean, mean * (1.0 - mean))
                }
            }
        };
        let (mean, weight) = expected(self.alpha + self.beta * z);
        let (large, large_weight) = expected(score + self.large);
        let off = target - mean;
        [off, off * z, weight, weight * z, weight * z * z, target - large, large_weight]
    }

    /// Takes a step; says whether it was the last one, because both were found or cannot be.
    pub(super) fn step(&mut self, sums: &[f64]) -> bool {
        let [g0, g1, h00, h01, h11, gl, hl] = *sums else { return true };
        let determinant = h00 * h11 - h01 * h01;
        // The score does not vary, or no row can be told.
        let flat = !(h00 > 0.0 && determinant > 1e-12 * h00 * h11);
        if self.covariance.is_none() && !flat {
            let step = [(h11 * g0 - h01 * g1) / determinant, (h00 * g1 - h01 * g0) / determinant];
            let length = step[0].abs().max(step[1].abs());
            let shorter = (LONGEST / length).min(1.0);
            self.alpha += shorter * step[0];
            self.beta += shorter * step[1];
            if g0 * step[0] + g1 * step[1] < NEAR {
                self.covariance = Some([h11, -h01, h00].map(|entry| entry / determinant));
            }
        }
        if self.variance.is_none() && hl > 0.0 {
            let step = gl / hl;
            self.large += step.clamp(-LONGEST, LONGEST);
            if gl * step < NEAR {
                self.variance = Some(1.0 / hl);
            }
        }
        (flat || self.covariance.is_some()) && (hl <= 0.0 || self.variance.is_some())
    }

    /// The line on the scale of the score, as far as it was found.
    pub(super) fn solved(&self) -> Solved {
        let shift = self.mean / self.unit;
        let intercept = self.covariance.map(|[aa, ab, bb]| {
            let variance = aa - 2.0 * shift * ab + shift * shift * bb;
            Estimate::normal(self.alpha - self.beta * shift, variance.sqrt())
        });
        let slope = self
            .covariance
            .map(|[_, _, bb]| Estimate::normal(self.beta / self.unit, bb.sqrt() / self.unit));
        let in_the_large =
            self.variance.map(|variance| Estimate::normal(self.large, variance.sqrt()));
        Solved { intercept, slope, in_the_large }
    }
}
