//! What is fitted how, and the noisy sums that it takes: public numbers alone (docs/protocols.md 16.3, 16.7).

use mpc_core::noise::DiscreteGaussian;

use super::settings::PrivateSettings;
use crate::artifact::ModelKind;
use crate::error::Error;
use crate::privacy::Rho;

/// Units in one: contributions are integers.
pub(super) const UNIT: f64 = (1 << 20) as f64;
/// Hundredths of rho of the steps of a logistic model with standard errors but the last, which has the rest.
const EARLY_STEPS: [u64; 4] = [8, 8, 10, 14];
/// What of the last step of them is for the matrix, in hundredths.
const LAST_MATRIX: u64 = 45;
/// Hundredths of rho of a linear model with standard errors: the matrix, the columns times the target, the spread of
/// the residuals. The gradient has the rest.
const LINEAR: [u64; 3] = [40, 15, 5];

/// Numbers that share a bound and a noise.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    /// How many.
    pub(super) values: usize,
    /// The longest that one row's contribution to them may be.
    pub(super) bound: u64,
    /// What each party adds to each of them.
    pub(super) noise: DiscreteGaussian,
}

/// What a noisy sum is the sum of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// The products of the columns, and columns times the target.
    Moments,
    /// A gradient at the model so far.
    Gradient,
    /// The same, and the products of the columns weighted by the curvature there.
    Curvature,
    /// Squared residuals.
    Spread,
}

/// What is fitted how: public numbers alone.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    pub(super) kind: ModelKind,
    /// Columns and the intercept.
    pub(super) order: usize,
    pub(super) parties: usize,
    pub(super) rows: f64,
    /// Rows are shortened to this length, without the intercept.
    pub(super) longest: f64,
    /// Whether there are standard errors: the steps are Newton's then.
    pub(super) errors: bool,
    /// Whether the first sum is the matrix of products. Not with standard errors.
    pub(super) moments: bool,
    /// Gradients.
    pub(super) gradients: usize,
    /// The residual is cut to it, in units of what the rule divides it by.
    pub(super) residual: f64,
    /// A target of a linear model is (y - centre) / half; a count is cut to `half`.
    pub(super) centre: f64,
    pub(super) half: f64,
    /// The weight of half the squared coefficients.
    pub(super) ridge: f64,
}

impl Recipe {
    /// The length of a shortened row with its intercept.
    pub(super) fn length(&self) -> f64 {
        libm::sqrt(self.longest * self.longest + 1.0)
    }

    /// The largest magnitude of what the row is multiplied by in the first sum.
    fn first(&self) -> f64 {
        match self.kind {
            ModelKind::Logistic => 0.5,
            ModelKind::Poisson => self.half,
            ModelKind::Linear | ModelKind::Multinomial => 1.0,
        }
    }

    /// The largest weight of a row's products.
    pub(super) fn curvature(&self) -> f64 {
        if self.kind == ModelKind::Logistic { 0.25 } else { 1.0 }
    }

    /// What the noisy sum in this place is the sum of.
    pub(super) fn what(&self, sum: usize) -> What {
        match (self.errors, sum) {
            (false, 0) if self.moments => What::Moments,
            (false, _) => What::Gradient,
            (true, 0) => What::Curvature,
            (true, _) if self.kind == ModelKind::Logistic => What::Curvature,
            (true, 1) => What::Spread,
            (true, _) => What::Gradient,
        }
    }

    /// The standard deviation of a part's noise, of all parties together.
    pub(super) fn deviation(&self, part: &Part) -> f64 {
        libm::sqrt(part.noise.parameter() as f64 * self.parties as f64) / UNIT
    }

    /// The noisy sums, whose rho add up to no more than `rho`.
    pub(super) fn sums(
        &self,
        settings: &PrivateSettings,
        rho: Rho,
    ) -> Result<Vec<Vec<Part>>, Error> {
        let (order, length) = (self.order, self.length());
        let matrix = |weight: f64, rho| {
            self.part(settings, order * (order + 1) / 2, weight * length * length, rho)
        };
        let curved = |rho| matrix(self.curvature(), rho);
        let vector = |residual, rho| self.part(settings, order, residual * length, rho);
        let mut all = Vec::new();
        let mut left = rho;
        if self.errors && self.kind == ModelKind::Logistic {
            for (step, share) in EARLY_STEPS.into_iter().enumerate() {
                let own = rho.hundredths(share);
                let residual = if step == 0 { self.first() } else { self.residual };
                let half = own.hundredths(50);
                all.push(vec![curved(half)?, vector(residual, own.saturating_sub(half))?]);
                left = left.saturating_sub(own);
            }
            let own = left.hundredths(LAST_MATRIX);
            all.push(vec![curved(own)?, vector(self.residual, left.saturating_sub(own))?]);
            return Ok(all);
        }
        if self.errors {
            let [of_matrix, of_target, of_spread] = LINEAR.map(|share| rho.hundredths(share));
            all.push(vec![curved(of_matrix)?, vector(self.first(), of_target)?]);
            all.push(vec![self.part(settings, 1, 1.0, of_spread)?]);
            let spent = of_matrix + of_target + of_spread;
            all.push(vec![vector(self.residual, rho.saturating_sub(spent))?]);
            return Ok(all);
        }
        if self.moments {
            let first = rho.hundredths(25);
            let of_matrix = match self.kind {
                ModelKind::Poisson => first.hundredths(30),
                ModelKind::Linear | ModelKind::Multinomial => first.hundredths(40),
                ModelKind::Logistic => first.hundredths(60),
            };
            all.push(vec![
                matrix(1.0, of_matrix)?,
                vector(self.first(), first.saturating_sub(of_matrix))?,
            ]);
            left = rho.saturating_sub(first);
        }
        let gradient = vector(self.residual, left.part(self.gradients as u64))?;
        all.extend(std::iter::repeat_n(vec![gradient], self.gradients));
        Ok(all)
    }

    /// So many numbers, to which a row contributes at most `real` in length.
    fn part(
        &self,
        settings: &PrivateSettings,
        values: usize,
        real: f64,
        rho: Rho,
    ) -> Result<Part, Error> {
        let bound = (real * UNIT).ceil() as u64 + 1;
        let moved = u128::from(bound) * u128::from(settings.times());
        let noise = DiscreteGaussian::at_least(rho.noise(moved * moved)?)?;
        // Sixty-four deviations are never seen.
        let noisy = 64.0 * libm::sqrt(noise.parameter() as f64) * self.parties as f64;
        if self.rows * bound as f64 + noisy > libm::ldexp(1.0, 62) {
            return Err(Error::Settings(format!(
                "sums of {} rows with contributions of {bound} units do not fit 64 bits: fewer rows, or a \
                 narrower range of the target",
                self.rows
            )));
        }
        Ok(Part { values, bound, noise })
    }
}
