//! What each approximation of a fit may do to its coefficients, in standard errors.

use super::cost::too_coarse;
use super::{E_FRACTION, Family, OptimumPlan, method};
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
        let mean = &self.link.mean;
        let slack = libm::sqrt(n / v);
        // The mean of a function at a rounded score is off by half its curvature, which is at most v.
        let angle = self.link.angle_noise();
        let bend = v * angle * angle / 2.0;
        let weights = unit(W_FRACTION) * f64::from(self.parties() as u32 + 1);
        Precision {
            fit: (self.link.bias + bend) * slack,
            fixed_point: (unit(E_FRACTION) * self.parties() as f64 + unit(self.x_fraction))
                / v.sqrt()
                + weights * slack,
            phasors: libm::hypot(mean.noise / v.sqrt(), angle * v.sqrt()),
            std_errors: self.link.lift / v / 2.0,
            passes: self.passes,
        }
    }

    /// Refuses a plan whose precision is below what the study asks for.
    pub(super) fn precise(&self) -> Result<(), Error> {
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
        let most = most_lift(&self.settings.family);
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
