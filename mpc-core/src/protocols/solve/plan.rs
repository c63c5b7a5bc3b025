//! How an inverse is computed: steps, scales and rings, from public bounds.

use super::bounds::{
    self, ALLOWANCE, Aim, MOST_SHIFT, RESIDUAL_LIMIT, Step, TOP, bits, growth, schedule,
};
use crate::correlations::{Request, RightRequest};
use crate::error::Error;
use crate::protocols::truncate::BoundedOpening;
use crate::session::Cost;

/// Fractional bits of the inverse: its entries on the diagonal are at least 1.
const X_FRACTION: u32 = 20;
/// Fractional bits of the matrix, at most: entries that are rounded from double precision are within
/// half a unit, and a hundredth of one, of what they are.
const MOST_FRACTION: u32 = 45;
/// Fractional bits of the matrix, at least.
const LEAST_FRACTION: u32 = 20;
/// Bits by which the rounding of G X, as it enters the inverse, stays below the inverse: as many
/// as fit up to this ...
const AIM: u32 = 16;
/// ... and never fewer than the proof of the bounds needs.
const NEED: u32 = 8;
/// G X is cut into this many summands at most.
const MOST_LIMBS: usize = 3;

/// A warm start begins at 7/8 of the earlier inverse, so that M < 15/16 and it may grow.
pub(super) const WARM_FACTOR: i64 = 7;
const WARM_SHIFT: u32 = 3;

/// Where the iteration starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StartBound {
    /// At the identity.
    Identity,
    /// At an inverse computed before ([`Start::Warm`](super::Start::Warm)).
    Warm {
        /// The earlier plan's [`InversePlan::bound_once_converged`].
        bound: f64,
        /// The earlier plan's [`InversePlan::inverse_fraction`].
        fraction: u32,
    },
}

/// What must be known about a matrix in public before it is inverted.
#[derive(Clone, Debug, PartialEq)]
pub struct InverseSettings {
    /// The number of rows and columns of G.
    pub order: usize,
    /// The number of parties.
    pub parties: u32,
    /// Bits of statistical masking, for the whole study.
    pub sigma: u32,
    /// **A condition of privacy.** No entry on the diagonal of G is larger; at most 15/16.
    pub diagonal: f64,
    /// The least eigenvalue, of G from the identity, of G^(1/2) X_0 G^(1/2) from a warm start, for
    /// which convergence is promised. Not a condition of privacy: with a smaller one the check
    /// fails.
    pub least: f64,
    /// Where the iteration starts.
    pub start: StartBound,
    /// How near it comes to the inverse.
    pub aim: Aim,
    /// Whether further products with G will be ordered after those of the inverse.
    pub reuse: bool,
}

/// An inverse, planned to the last bit (docs/protocols.md 7.2).
#[derive(Clone, Debug)]
pub struct InversePlan {
    settings: InverseSettings,
    steps: Vec<Step>,
    /// Bounds of |X| before each step and after the last.
    bounds: Vec<f64>,
    fraction: u32,
    x_fraction: u32,
    /// Fractional bits of the summands of G X.
    limbs: Vec<u32>,
    /// The first step from the identity, or the rounding of a warm start.
    first: BoundedOpening,
    /// G X.
    gx: BoundedOpening,
    /// The products of X with the summands.
    x: Vec<BoundedOpening>,
}

impl InversePlan {
    /// The largest residual of an iteration that has converged.
    pub const RESIDUAL_LIMIT: f64 = RESIDUAL_LIMIT;

    /// Plans an inverse.
    ///
    /// # Security
    /// The bounds of every opening are proven for a shared G that is exactly symmetric, with
    /// 0 <= G <= 15/16 (eigenvalues) and diagonal entries up to `diagonal`, as integers at scale
    /// [`fraction`](Self::fraction), whatever its condition. The caller proves that, and adds a
    /// multiple of the identity where rounding could make an eigenvalue negative.
    ///
    /// # Errors
    /// [`Error::Range`] with the numbers when it does not fit 128 bits.
    pub fn new(settings: InverseSettings) -> Result<Self, Error> {
        let InverseSettings { order, parties, sigma, diagonal, least, start, aim, .. } = settings;
        if order == 0 || parties < 2 {
            return Err(Error::internal("an inverse has an order, and at least two parties"));
        }
        if !(diagonal > 0.0 && diagonal <= TOP && least > 0.0 && least < TOP) {
            return Err(Error::Range(format!(
                "a matrix is inverted when its entries on the diagonal are at most 15/16 and its \
                 least eigenvalue is between 0 and that, but they are {diagonal} and {least}"
            )));
        }
        let too_ill = || {
            Error::Range(format!(
                "a matrix of order {order} with a least eigenvalue of {least:.3e} cannot be \
                 inverted in 128 bits with {sigma} bits of masking: allow a smaller condition"
            ))
        };
        let steps = schedule(least, order, aim).ok_or_else(too_ill)?;
        let start = match start {
            StartBound::Identity => 1.0,
            StartBound::Warm { bound, .. } => bound,
        };
        let bounds = growth(start, &steps);
        let layout = Layout { settings: &settings, steps: &steps, bounds: &bounds };
        let (x_fraction, limbs) = layout.choose().ok_or_else(too_ill)?;
        let x = layout
            .magnitudes(x_fraction, &limbs)
            .into_iter()
            .zip(&limbs)
            .map(|(magnitude, limb)| BoundedOpening::new(magnitude, sigma, limb + 1, parties))
            .collect::<Result<Vec<_>, _>>()?;

        // The matrix takes the bits that are left.
        let entry = layout.product_entry();
        let product = |f: u32| bits(libm::ldexp(entry, (f + x_fraction) as i32));
        let finest = limbs[limbs.len() - 1];
        let least = LEAST_FRACTION.max(x_fraction).max(finest.saturating_sub(x_fraction));
        let fraction = (least..=MOST_FRACTION)
            .rev()
            .find(|&f| product(f) <= budget(&settings) && f + 5 <= budget(&settings))
            .ok_or_else(too_ill)?;
        let drop = fraction + x_fraction - limbs[0];
        let gx = BoundedOpening::new(product(fraction), sigma, drop, parties)?;
        let first = match settings.start {
            StartBound::Identity => {
                let magnitude = fraction + bits(steps[0].linear as f64);
                let drop = fraction + steps[0].shift - x_fraction;
                BoundedOpening::new(magnitude, sigma, drop, parties)?
            }
            StartBound::Warm { bound, fraction } => {
                let drop = WARM_SHIFT + fraction.saturating_sub(x_fraction);
                let magnitude = fraction.max(x_fraction) + bits(WARM_FACTOR as f64 * bound);
                BoundedOpening::new(magnitude, sigma, drop, parties)?
            }
        };
        Ok(Self { settings, steps, bounds, fraction, x_fraction, limbs, first, gx, x })
    }

    /// What was planned for.
    #[must_use]
    pub fn settings(&self) -> &InverseSettings {
        &self.settings
    }

    /// Fractional bits at which the shared matrix G is to be given.
    #[must_use]
    pub fn fraction(&self) -> u32 {
        self.fraction
    }

    /// Fractional bits of the inverse.
    #[must_use]
    pub fn inverse_fraction(&self) -> u32 {
        self.x_fraction
    }

    /// Fractional bits of the residual.
    #[must_use]
    pub fn residual_fraction(&self) -> u32 {
        self.limbs[self.limbs.len() - 1]
    }

    /// No eigenvalue of the inverse, and hence no entry, is larger: proven, whatever G is.
    #[must_use]
    pub fn bound(&self) -> f64 {
        self.bounds[self.bounds.len() - 1]
    }

    /// The same, once [`converged`](Self::converged) is a public fact: the last steps then doubled
    /// nothing, because X was near the inverse before them already.
    #[must_use]
    pub fn bound_once_converged(&self) -> f64 {
        bounds::once_converged(&self.bounds, &self.steps)
    }

    /// Whether a residual, as it was revealed, says that the iteration has converged: then
    /// (1 - 2^-10) G^-1 <= X <= (1 + 2^-7) G^-1, in the order of symmetric matrices, but for the
    /// rounding of the last step, provided that the trace of G is at most 1.
    #[must_use]
    pub fn converged(&self, residual: f64) -> bool {
        residual.abs() <= RESIDUAL_LIMIT
    }

    /// The number of steps.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps.len()
    }

    /// The steps X' = alpha X - beta X G X.
    pub(crate) fn coefficients(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        self.steps.iter().map(|step| (step.alpha(), step.beta()))
    }

    /// Steps that take products: from the identity the first is local but for its rounding.
    pub(super) fn product_steps(&self) -> &[Step] {
        match self.settings.start {
            StartBound::Identity => &self.steps[1..],
            StartBound::Warm { .. } => &self.steps,
        }
    }

    pub(super) fn first_step(&self) -> Step {
        self.steps[0]
    }

    pub(super) fn limbs(&self) -> &[u32] {
        &self.limbs
    }

    /// How the first step, or a warm start, is opened.
    #[must_use]
    pub fn start_opened(&self) -> BoundedOpening {
        self.first
    }

    /// How G X is opened.
    pub(super) fn gx(&self) -> BoundedOpening {
        self.gx
    }

    /// How many bits each summand of G X drops.
    pub(super) fn gx_drops(&self) -> Vec<u32> {
        self.limbs.iter().map(|limb| self.fraction + self.x_fraction - limb).collect()
    }

    /// The largest E that an opening may have.
    pub(super) fn budget(&self) -> u32 {
        budget(&self.settings)
    }

    /// How the products of X with the summands of G X are opened in `step`.
    pub(super) fn x(&self, step: Step) -> impl Iterator<Item = BoundedOpening> + '_ {
        // One bit more is dropped for X + X^T.
        let limbs = self.x.iter().zip(&self.limbs);
        limbs.map(move |(&spec, limb)| BoundedOpening { drop: limb + step.shift + 1, ..spec })
    }

    /// The number of left factors among [`requests`](Self::requests).
    #[must_use]
    pub fn lefts(&self) -> u32 {
        1 + self.product_steps().len() as u32
    }

    /// The correlations of one inverse, in order. `first_left` is the number of left factors that
    /// were ordered before.
    #[must_use]
    pub fn requests(&self, first_left: u32) -> Vec<Request> {
        let d = self.settings.order as u32;
        let left = Request::Left { m: d, k: d, ring: 128 };
        let mut requests = vec![left.clone()];
        let products = self.product_steps().len() as u32;
        for step in 0..products {
            let last = step + 1 == products && !self.settings.reuse;
            requests.push(Request::Right(RightRequest { left: first_left, n: d, last }));
            requests.push(left.clone());
            let n = d * self.limbs.len() as u32;
            let right = RightRequest { left: first_left + 1 + step, n, last: true };
            requests.push(Request::Right(right));
        }
        requests
    }

    /// The number of rounds: one, and four a step with products.
    #[must_use]
    pub fn rounds(&self) -> u64 {
        1 + 4 * self.product_steps().len() as u64
    }

    /// What an inverse costs `me`.
    #[must_use]
    pub fn cost(&self, me: usize) -> Cost {
        let square = self.settings.order * self.settings.order;
        let triangle = (square + self.settings.order) / 2;
        let step = (16 * square * (2 + self.limbs.len())) as u64
            + self.gx.bytes(square)
            + self.x.iter().map(|spec| spec.bytes(triangle)).sum::<u64>();
        let bytes = self.first.bytes(triangle)
            + (16 * square) as u64
            + step * self.product_steps().len() as u64;
        Cost::to_all(me, self.settings.parties as usize, self.rounds(), bytes)
    }

    /// Elements that are opened under statistical masks: what the study's sigma counts. Does not
    /// depend on sigma but through the number of summands of G X: at most three.
    #[must_use]
    pub fn masked_elements(settings: &InverseSettings) -> u64 {
        let InverseSettings { order, least, aim, .. } = *settings;
        let (d, steps) = (order as u64, schedule(least, order, aim));
        let steps = steps.map_or(0, |steps| steps.len() as u64 + 1);
        steps * d * (d + MOST_LIMBS as u64 * (d + 1) / 2 + 1)
    }
}

/// The largest E of an opening mod 2^128.
fn budget(settings: &InverseSettings) -> u32 {
    let carry = (settings.parties + 1).next_power_of_two().ilog2();
    128u32.saturating_sub(settings.sigma + carry)
}

/// The search for scales that fit.
struct Layout<'a> {
    settings: &'a InverseSettings,
    steps: &'a [Step],
    bounds: &'a [f64],
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
    fn product_entry(&self) -> f64 {
        let bound = self.stages().map(|(_, bound)| bound).fold(1.0, f64::max);
        libm::sqrt(self.settings.diagonal * bound * (1.0 + ALLOWANCE))
    }

    /// Fractional bits of X and of the summands of G X.
    fn choose(&self) -> Option<(u32, Vec<u32>)> {
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
        (most(&best)? <= budget(self.settings)).then_some((x_fraction, best))
    }

    /// E of the openings of the products of X with the summands of G X.
    fn magnitudes(&self, x_fraction: u32, limbs: &[u32]) -> Vec<u32> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(order: usize, condition: f64, parties: u32) -> InverseSettings {
        InverseSettings {
            order,
            parties,
            sigma: 60,
            diagonal: TOP / order as f64,
            least: TOP / (order as f64 * condition),
            start: StartBound::Identity,
            aim: Aim::Checked,
            reuse: false,
        }
    }

    #[test]
    fn inverses_fit_the_ring() {
        for (order, condition, parties, rounds) in
            [(7, 2.2e4, 3, 53), (101, 2e4, 3, 65), (101, 2e4, 5, 65), (101, 1e6, 3, 77)]
        {
            let plan = InversePlan::new(settings(order, condition, parties)).expect("fits");
            assert!(plan.rounds() <= rounds);
            assert!(plan.first.ring <= 128 && plan.gx.ring <= 128);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_numbers() {
        let why = InversePlan::new(settings(101, 1e12, 3)).expect_err("refused").to_string();
        assert!(why.contains("101") && why.contains("60 bits"), "{why}");
        let mut wide = settings(3, 10.0, 2);
        wide.diagonal = 1.0;
        assert!(InversePlan::new(wide).is_err());
    }
}
