//! How an inverse is computed: steps, scales and rings, from public bounds.

use super::bounds::{self, RESIDUAL_LIMIT, Step, TOP, bits, growth, schedule};
use super::layout::{Layout, MOST_LIMBS};
use super::orders::{InverseOrders, StepOrders};
use super::settings::{InverseSettings, StartBound};
use crate::correlations::{KeptLeft, Orders, Request};
use crate::error::Error;
use crate::protocols::truncate::BoundedOpening;
use crate::ring::Z128;
use crate::session::Cost;

/// Fractional bits of the matrix, at most: entries that are rounded from double precision are within
/// half a unit, and a hundredth of one, of what they are.
const MOST_FRACTION: u32 = 45;
/// Fractional bits of the matrix, at least.
const LEAST_FRACTION: u32 = 20;

/// A warm start begins at 7/8 of the earlier inverse, so that M < 15/16 and it may grow.
pub(super) const WARM_FACTOR: i64 = 7;
const WARM_SHIFT: u32 = 3;

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
    /// Fractional bits of an inverse that is rounded coarsely ([`Inverse::coarse`](super::Inverse::coarse)):
    /// an entry is off by at most (parties + 1) / 2 units for each of at most three summands, and by one
    /// for each that is left out.
    pub const COARSE_FRACTION: u32 = 12;
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
        let InverseSettings { order, parties, sigma, diagonal, least, start, .. } = settings;
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
        let steps = schedule(least, order).ok_or_else(too_ill)?;
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
            .find(|&f| product(f) <= settings.budget() && f + 5 <= settings.budget())
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

    /// |1 - M| at most, once [`converged`](Self::converged) is a public fact, for a matrix whose trace is
    /// at most 1: the error before the last step, squared, and its rounding.
    pub(super) fn error_once_converged(&self) -> f64 {
        let InverseSettings { parties, order, .. } = self.settings;
        let norm = f64::from(parties + 1) / 2.0 * order as f64;
        let stages = self.steps.iter().zip(&self.bounds);
        let enters = stages
            .map(|(step, bound)| step.beta() * libm::sqrt((1.0 + bounds::ALLOWANCE) * bound))
            .fold(1.0, f64::max);
        let finest = self.limbs[self.limbs.len() - 1] as i32;
        let gx = enters * libm::ldexp(norm, -finest);
        let x = libm::ldexp(norm * self.limbs.len() as f64, -(self.x_fraction as i32));
        // The residual is a sum of eigenvalues of 1 - M; those below zero come from rounding alone. It is
        // revealed to some ten bits.
        let before = RESIDUAL_LIMIT + 2.0 * (gx + x) + libm::ldexp(f64::from(parties), -10);
        before * before + gx + x
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
        self.settings.budget()
    }

    /// How the products of X with the summands of G X are opened in `step`.
    pub(super) fn x(&self, step: Step) -> impl Iterator<Item = BoundedOpening> + '_ {
        // One bit more is dropped for X + X^T.
        let limbs = self.x.iter().zip(&self.limbs);
        limbs.map(move |(&spec, limb)| BoundedOpening { drop: limb + step.shift + 1, ..spec })
    }

    /// Orders the correlations of one inverse; and the left factor of G, if the settings say that it
    /// is used again.
    pub fn order(&self, orders: &mut Orders) -> (InverseOrders, Option<KeptLeft<Z128>>) {
        let d = self.settings.order;
        let matrix = orders.left(d, d);
        let steps = self.product_steps().iter().map(|_| {
            let gx = orders.right(&matrix, d);
            let x = orders.left(d, d);
            let xgx = orders.right(&x, d * self.limbs.len());
            StepOrders { gx, x, xgx }
        });
        let steps = steps.collect();
        let kept = self.settings.reuse.then(|| orders.keep(&matrix));
        (InverseOrders { matrix, steps }, kept)
    }

    /// The number of left factors among [`requests`](Self::requests).
    #[must_use]
    pub fn lefts(&self) -> u32 {
        let mut orders = Orders::new();
        let _ = self.order(&mut orders);
        orders.lefts()
    }

    /// The correlations of one inverse, in order. `first_left` is the number of left factors that
    /// were ordered before.
    #[must_use]
    pub fn requests(&self, first_left: u32) -> Vec<Request> {
        let mut orders = Orders::new();
        let _ = self.order(&mut orders);
        orders.numbered(first_left)
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
        // The first round, and in each step the openings of G X and of what becomes X.
        let bounded = 1 + 2 * self.product_steps().len() as u64;
        Cost::to_all(me, self.settings.parties as usize, self.rounds(), bytes).bounded(bounded)
    }

    /// Elements that are opened under statistical masks: what the study's sigma counts. Does not
    /// depend on sigma but through the number of summands of G X: at most three.
    #[must_use]
    pub fn masked_elements(settings: &InverseSettings) -> u64 {
        let InverseSettings { order, least, .. } = *settings;
        let (d, steps) = (order as u64, schedule(least, order));
        let steps = steps.map_or(0, |steps| steps.len() as u64 + 1);
        steps * d * (d + MOST_LIMBS as u64 * (d + 1) / 2 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::super::SolutionPlan;
    use super::*;
    use crate::correlations::RightRequest;

    fn settings(order: usize, condition: f64, parties: u32) -> InverseSettings {
        InverseSettings {
            order,
            parties,
            sigma: 60,
            diagonal: TOP / order as f64,
            least: TOP / (order as f64 * condition),
            start: StartBound::Identity,
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
    fn factors_are_ordered_as_they_are_taken() {
        let reuse = |reuse| {
            let plan = InversePlan::new(InverseSettings { reuse, ..settings(7, 2.2e4, 3) });
            plan.expect("fits")
        };
        let (once, again) = (reuse(false), reuse(true));
        let steps = once.product_steps().len() as u32;
        let limbs = once.limbs().len() as u32;
        let expected = |kept: bool| {
            let left = || Request::Left { m: 7, k: 7, ring: 128 };
            let mut due = vec![left()];
            for step in 0..steps {
                let last = step + 1 == steps && !kept;
                due.push(Request::Right(RightRequest { left: 40, n: 7, last }));
                due.push(left());
                let right = RightRequest { left: 41 + step, n: 7 * limbs, last: true };
                due.push(Request::Right(right));
            }
            due
        };
        assert_eq!(once.requests(40), expected(false));
        assert_eq!(again.requests(40), expected(true));
        assert_eq!(once.lefts(), steps + 1);
        let solution = SolutionPlan::new(&again, 0, 1.0, 2).expect("fits");
        let right = |left, n, last| Request::Right(RightRequest { left, n, last });
        let due = [
            Request::Left { m: 7, k: 7, ring: 128 },
            right(50, 2, false),
            right(40, 1, false),
            right(50, 2, false),
            right(40, 1, true),
            right(50, 2, true),
        ];
        assert_eq!(solution.requests(40, 50), due);
        assert_eq!(SolutionPlan::new(&again, 0, 1.0, 0).expect("fits").requests(40, 50).len(), 2);
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
