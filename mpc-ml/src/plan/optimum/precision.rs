//! What each approximation of a fit may do to its coefficients, in standard errors.

use super::cost::too_coarse;
use super::{E_FRACTION, Family, Link, OptimumPlan, method};
use crate::error::Error;
use crate::plan::{W_FRACTION, refuse};

/// How much each approximation may move a coefficient, in standard errors, at the declared
/// prevalence or rate. Estimates: the standard error of a coefficient is that of noise with the
/// variance of a row's residual, so an error of e in every residual, all of one sign, moves the
/// fit by at most e sqrt(n / v) of it, and independent errors of size e by e / sqrt(v).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Precision {
    /// The fit of the mean: its error averaged over neighbouring scores, where that is worst.
    pub fit: f64,
    /// Fixed point: data, weights and residuals.
    pub fixed_point: f64,
    /// The standard deviation of what the noise of the phasors, and the rounding of scores to their
    /// angles, make of a coefficient.
    pub phasors: f64,
    /// By how much of itself a standard error would be too small, because the weights of the Hessian
    /// are lifted above zero; [`OptimumPlan::variance_factor`] makes up for most of it.
    pub std_errors: f64,
    /// The number of passes over the data.
    pub passes: usize,
}

/// The largest part of a standard error that a lift of the weights may take, so that 1% is kept. At
/// the typical weight a lift is put right; coefficients whose rows weigh less are off by more. In the
/// studies measured that was up to twice this part for logistic models, where rows that are
/// all but certain weigh little, and two fifths of it for Poisson models.
const fn most_lift(family: &Family) -> f64 {
    match family {
        Family::Logistic { .. } => 0.004,
        Family::Poisson { .. } => 0.02,
    }
}

/// So many standard deviations of its noise a coefficient may be off: of 20 of them the most is
/// not more in 4 fits of 5.
const NOISE_REACH: f64 = 2.5;

/// A standard error, in scores, that is large for a coefficient of a model worth fitting.
const LARGEST_STD_ERROR: f64 = 0.5;
/// A coarse pass may leave so much of what is off over, as its Hessian is lifted: 1/3 where rows
/// weigh least.
const MOST_SHORT: f64 = 0.5;

/// What every residual is off by at most, all rows with one sign, where rows weigh `v`.
fn bias(link: &Link, v: f64) -> f64 {
    // The mean of a function at a rounded score is off by half its curvature, which is at most v.
    let angle = link.angle_noise();
    link.bias + v * angle * angle / 2.0
}

/// What the noise of phasors and angles does to a coefficient, in standard errors.
fn noise(link: &Link, v: f64) -> f64 {
    libm::hypot(link.mean.noise / v.sqrt(), link.angle_noise() * v.sqrt())
}

impl OptimumPlan {
    /// By what the revealed variances are multiplied: the lift of the weights at the typical one.
    /// That is the `mean` of the targets in a Poisson model with an intercept, if it is known;
    /// else the weight at the declared prevalence or rate.
    #[must_use]
    pub fn variance_factor(&self, mean: Option<f64>) -> f64 {
        let declared = method::typical_weight(&self.settings.family);
        let poisson = matches!(self.settings.family, Family::Poisson { .. });
        let known = mean.filter(|mean| poisson && self.settings.intercept && *mean > 0.0);
        1.0 + self.link.lift / known.unwrap_or(declared)
    }

    /// What each approximation contributes.
    #[must_use]
    pub fn precision(&self) -> Precision {
        let n = self.settings.total_rows() as f64;
        let v = method::typical_weight(&self.settings.family);
        let unit = |bits: u32| libm::ldexp(1.0, -(bits as i32));
        let (fit, phasors) = self.errors(&self.link);
        let weights = unit(W_FRACTION) * f64::from(self.parties() as u32 + 1);
        Precision {
            fit,
            fixed_point: (unit(E_FRACTION) * self.parties() as f64 + unit(self.x_fraction))
                / v.sqrt()
                + weights * libm::sqrt(n / v),
            phasors,
            std_errors: self.link.lift / v / 2.0,
            passes: self.passes,
        }
    }

    /// Whether a pass with these functions comes so near to the optimum that the last one gets
    /// there: within two thirds of the distance that counts as converged, and of half the tolerance
    /// after that.
    pub(super) fn is_near_enough(&self, coarse: &Link) -> bool {
        let (bias, noise) = self.errors(coarse);
        let all = bias + noise * libm::sqrt(self.settings.weights() as f64);
        self.is_steady(coarse)
            && all <= self.allowed_distance() / 1.5
            && self.after(coarse, &self.link) <= self.settings.tolerance / 2.0
    }

    /// Whether passes with these functions come so near that one more, with those of the last but
    /// one, leaves half of the distance that counts as converged.
    pub(super) fn gets_near_enough(&self, coarse: &Link) -> bool {
        let next = self.link_at(self.passes - 2);
        self.is_steady(coarse) && self.after(coarse, next) <= self.allowed_distance() / 2.0
    }

    /// Whether passes with these functions converge like those with the last ones. A step with a
    /// lifted Hessian is too short, most where rows weigh least; and the largest weight of all
    /// passes bounds their Hessians, which is where their inverses start.
    fn is_steady(&self, coarse: &Link) -> bool {
        coarse.lift <= MOST_SHORT * method::least_weight(&self.settings.family)
            && coarse.weight.largest <= 1.25 * self.link.weight.largest
    }

    /// What a pass with these functions is off by, in standard errors: in the same direction in all
    /// rows, and the standard deviation of a coefficient.
    fn errors(&self, link: &Link) -> (f64, f64) {
        let v = method::typical_weight(&self.settings.family);
        let n = self.settings.total_rows() as f64;
        (bias(link, v) * libm::sqrt(n / v), noise(link, v))
    }

    /// What is left in a coefficient of a `coarse` pass's error after a step with the functions of
    /// `next`. What is off by b in scores and e in standard errors is off by b e (Newton's steps
    /// square the error), and by e lift / v, as a step with a lifted Hessian is too short.
    fn after(&self, coarse: &Link, next: &Link) -> f64 {
        let v = method::typical_weight(&self.settings.family);
        let n = self.settings.total_rows() as f64;
        let short = next.lift / v;
        let (bias, noise) = self.errors(coarse);
        let noise = NOISE_REACH * noise;
        (bias / libm::sqrt(n * v) + short) * bias + (noise * LARGEST_STD_ERROR + short) * noise
    }

    /// Refuses a plan whose precision is below what the study asks for, and one whose standard
    /// errors are not good to 1% of `lift_share`.
    pub(super) fn precise(&self, lift_share: f64) -> Result<(), Error> {
        let (precision, allowed) = (self.precision(), self.settings.tolerance.max(0.0));
        for (what, got) in [
            ("the fit of the functions of the score", precision.fit),
            ("fixed point", precision.fixed_point),
            ("the noise of the phasors", NOISE_REACH * precision.phasors),
        ] {
            if got > 2.0 * allowed {
                return too_coarse(what, got, allowed);
            }
        }
        let most = lift_share * most_lift(&self.settings.family);
        if self.settings.inference && precision.std_errors > most {
            return refuse(format!(
                "the noise of the phasors would make standard errors too small by {:.1}%; at most \
                 {:.1}% can be made up for: {}set output.inference to false, or use a dealer",
                100.0 * precision.std_errors,
                100.0 * most,
                match self.settings.family {
                    Family::Poisson { .. } => "declare a smaller training.rate.halfwidth, ",
                    Family::Logistic { .. } => "",
                }
            ));
        }
        Ok(())
    }
}
