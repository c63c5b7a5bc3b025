//! What each approximation of a fit may do to its coefficients, in standard errors.

use mpc_core::correlations::Origin;

use super::cost::too_coarse;
use super::{E_FRACTION, Family, GlmSettings, Link, OptimumPlan, method};
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
    /// By how much of itself a standard error is too small, because the weights of the Hessian are
    /// lifted above zero, and the lift is taken off again only to the third power.
    pub std_errors: f64,
    /// What the fit of the loss may make of the deviance, with the standard deviation of what the
    /// noise of the phasors does.
    pub deviance: f64,
    /// The number of passes over the data.
    pub passes: usize,
}

/// A lift is taken off the variances up to the third power of its part of them; this is the part
/// that counts, over the part at the typical weight. In the studies measured the coefficients whose
/// rows weigh least lost up to four times as much in logistic models, where rows that are all but
/// certain weigh little, and less than the typical part in Poisson models.
const fn lift_spread(family: &Family) -> f64 {
    match family {
        Family::Logistic { .. } => 4.0,
        Family::Poisson { .. } => 1.5,
    }
}

/// What is aimed at: as much as the study asks for, or more where that costs little.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Aims {
    /// What noise may do to a coefficient, in standard errors.
    noise: f64,
    /// What may be left of the lift in a standard error.
    lift: f64,
}

/// What noise may do to a coefficient where the ring has the room. A level with few rows has a large
/// standard error, and its coefficient is compared with the others all the same.
const FINE_NOISE: f64 = 0.004;
/// Studies with so many rows, or fewer, are computed more exactly still.
const FINE_ROWS: u64 = 1 << 16;
/// A coefficient is then as exact as this in relation to one that moves the score by 1: where rows
/// are few, a standard error is a large part of a coefficient.
const FINE_COEFFICIENT: f64 = 1e-4;
const FINEST_NOISE: f64 = 2e-4;

impl Aims {
    /// From the finest on, the last of which is what the study asks for. A dealer's phasors are as
    /// fine as they are.
    pub(super) fn of(settings: &GlmSettings, origin: Origin) -> Vec<Self> {
        let (rows, v) = (settings.total_rows(), method::typical_weight(&settings.family));
        let usual = Self { noise: settings.tolerance, lift: 0.004 };
        if origin == Origin::Dealer {
            return vec![usual];
        }
        let fine = Self { noise: usual.noise.min(FINE_NOISE), ..usual };
        if rows > FINE_ROWS {
            return vec![fine, usual];
        }
        let of_coefficient = FINE_COEFFICIENT * libm::sqrt(rows as f64 * v);
        let noise = fine.noise.min(of_coefficient.max(FINEST_NOISE));
        vec![Self { noise, lift: 0.00006 }, fine, usual]
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
            std_errors: libm::pow(lift_spread(&self.settings.family) * self.link.lift / v, 3.0)
                / 2.0,
            deviance: 2.0 * (self.link.loss_bias * n + self.link.loss.noise * libm::sqrt(n)),
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
            && self.after(coarse, &self.link) <= self.aims.noise / 2.0
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

    /// Refuses a plan whose precision is below what is aimed at.
    pub(super) fn precise(&self) -> Result<(), Error> {
        let (precision, allowed) = (self.precision(), self.settings.tolerance);
        for (what, got, allowed) in [
            ("the fit of the functions of the score", precision.fit, allowed),
            ("fixed point", precision.fixed_point, allowed),
            ("the noise of the phasors", NOISE_REACH * precision.phasors, self.aims.noise),
        ] {
            if got > 2.0 * allowed {
                return too_coarse(what, got, allowed);
            }
        }
        if self.settings.inference && precision.std_errors > self.aims.lift {
            return refuse(format!(
                "the noise of the phasors would make standard errors too small by {:.1}%; at most \
                 {:.1}% are accepted: {}set output.inference to false, or use a dealer",
                100.0 * precision.std_errors,
                100.0 * self.aims.lift,
                match self.settings.family {
                    Family::Poisson { .. } => "declare a smaller training.rate.halfwidth, ",
                    Family::Logistic { .. } => "",
                }
            ));
        }
        Ok(())
    }
}
