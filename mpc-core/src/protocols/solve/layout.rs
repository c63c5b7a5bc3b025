//! The search for scales that fit 128 bits.

use super::bounds::{ALLOWANCE, MOST_SHIFT, Step, bits};
use super::settings::InverseSettings;

/// Fractional bits of the inverse: its entries on the diagonal are at least 1.
const X_FRACTION: u32 = 20;
/// Bits by which the rounding of G X, as it enters the inverse, stays below the inverse: as many
/// as fit up to this ...
const AIM: u32 = 16;
/// ... and never fewer than the proof of the bounds needs.
const NEED: u32 = 8;
/// G X is cut into this many summands at most.
pub(super) const MOST_LIMBS: usize = 3;

/// What the scales of an inverse follow from.
pub(super) struct Layout<'a> {
    pub(super) settings: &'a InverseSettings,
    pub(super) steps: &'a [Step],
    pub(super) bounds: &'a [f64],
}

impl Layout<'_> {
    /// How far 3b rounds at most, in units.
    fn rounding(&self) -> f64 {
        f64::from(self.settings.parties + 1) / 2.0
    }

    /// The Frobenius norm of a matrix of such errors, in units.
    fn rounding_norm(&self) -> f64 {
        self.rounding() * self.settings.order as f64
    }

    /// Each step with the bound of |X| before it.
    fn stages(&self) -> impl Iterator<Item = (Step, f64)> + '_ {
        self.steps.iter().copied().zip(self.bounds.iter().copied())
    }

    /// |(G X)_ij| <= sqrt(G_ii X_jj (1 + allowance)): Cauchy-Schwarz.
    pub(super) fn product_entry(&self) -> f64 {
        let bound = self.stages().map(|(_, bound)| bound).fold(1.0, f64::max);
        libm::sqrt(self.settings.diagonal * bound * (1.0 + ALLOWANCE))
    }

    /// Fractional bits of X and of the summands of G X.
    pub(super) fn choose(&self) -> Option<(u32, Vec<u32>)> {
        let with = |aim, limbs| self.with(aim, limbs);
        (1..=MOST_LIMBS)
            .find_map(|limbs| with(AIM, limbs))
            .or_else(|| (NEED..AIM).rev().find_map(|aim| with(aim, MOST_LIMBS)))
    }

    fn with(&self, aim: u32, limbs: usize) -> Option<(u32, Vec<u32>)> {
        let norm = self.rounding_norm();
        let x_fraction = X_FRACTION.max(NEED + bits(norm * limbs as f64));
        let enters = self
            .stages()
            .map(|(step, bound)| step.beta() * libm::sqrt((1.0 + ALLOWANCE) * bound))
            .fold(1.0, f64::max);
        let finest = aim + bits(enters * norm);
        let most = |limbs: &[u32]| self.magnitudes(x_fraction, limbs).into_iter().max();
        let candidates = (1..=finest).map(|first| {
            if limbs == 1 {
                return vec![finest];
            }
            let gap = (finest - first).div_ceil(limbs as u32 - 1);
            (0..limbs as u32).map(|i| first + i * gap).collect()
        });
        let best = candidates.min_by_key(|limbs| most(limbs))?;
        (most(&best)? <= self.settings.budget()).then_some((x_fraction, best))
    }

    /// E of the openings of the products of X with the summands of G X.
    pub(super) fn magnitudes(&self, x_fraction: u32, limbs: &[u32]) -> Vec<u32> {
        let error = self.rounding() * libm::sqrt(self.settings.order as f64);
        (0..limbs.len())
            .map(|i| {
                let bound = |(step, bound): (Step, f64)| {
                    let unit = libm::ldexp(2.0, step.shift as i32);
                    if i == 0 {
                        // (linear X - quadratic X (G X + error)) with all its bits, twice.
                        let first = libm::ldexp(1.0, limbs[0] as i32);
                        let x = step.alpha() * first + step.beta() * error + 1.0;
                        return unit * bound * x;
                    }
                    // A summand is what one rounding leaves over less what the next one does.
                    let gap = libm::ldexp(1.0, (limbs[i] - limbs[i - 1]) as i32);
                    unit * step.beta() * bound * error * (1.0 + gap)
                };
                let largest = self.stages().map(bound).fold(1.0, f64::max);
                let magnitude = bits(libm::ldexp(largest, x_fraction as i32));
                magnitude.max(limbs[i] + MOST_SHIFT + 1)
            })
            .collect()
    }
}
