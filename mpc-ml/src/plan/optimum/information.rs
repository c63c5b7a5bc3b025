//! How the lift of the weights is taken off the variances of the coefficients
//! (docs/protocols.md 8).

use mpc_core::Cost;
use mpc_core::correlations::{Request, RightRequest};
use mpc_core::protocols::truncate::BoundedOpening;

use super::{Curve, Refresh, WEIGHT_FRACTION};
use crate::error::Error;
use crate::plan::refuse;

/// Fractional bits of X L, at most.
const MOST_FRACTION: u32 = 28;
/// Fractional bits of X where it meets L: what is made of that is a small part of a variance, and
/// variances are above 1 at their scale.
const COARSE_FRACTION: u32 = 10;
/// What the rounding of L may do to a variance, relative to it, in bits.
const PRECISION: u32 = 8;
/// The part of the information in one direction that the lift may be, squared: a tenth.
const SEPARATION: f64 = 0.01;

/// diag(X + X L X + X L X L X), where X is the inverse of a Hessian whose weights are lifted and L
/// what the lift (and a slack on the diagonal) has put on it: the inverse without the lift, up to the third power of the part
/// that the lift takes.
///
/// # Security
/// X and X L are opened under bounded masks. Entries are at most |X| and |X| |L e_j|, and that is
/// bounded, because L is a multiple of the parties' Gram matrices but for its rounding and the slack. |X| is bounded since its
/// check was revealed before.
#[derive(Clone, Debug)]
pub(crate) struct Information {
    order: usize,
    parties: usize,
    /// The lift, with [`WEIGHT_FRACTION`] bits.
    pub(crate) lift: i128,
    /// What was added to the diagonal of the Hessian and goes off with the lift, in units of L.
    pub(crate) slack: i128,
    /// Fractional bits of L.
    pub(crate) fraction: u32,
    /// How X is opened, to be rounded.
    pub(crate) inverse: BoundedOpening,
    /// How X L is opened.
    pub(crate) product: BoundedOpening,
    /// The lift over the typical weight.
    typical_part: f64,
}

impl Information {
    /// `weight` is the lifted weight; `typical` that of most rows, `largest` the largest of all, by which the bound of the Hessians was made.
    pub(super) fn new(
        refresh: &Refresh,
        weight: &Curve,
        lift: f64,
        typical: f64,
        largest: f64,
    ) -> Result<Self, Error> {
        let typical_part = lift / typical;
        let inverse = &refresh.inverse;
        let settings = inverse.settings();
        let (order, parties) = (settings.order, settings.parties);
        // Coefficients of series have no more bits than this.
        let units = libm::ceil(libm::ldexp(lift, WEIGHT_FRACTION as i32));
        let share = libm::ldexp(units, -(WEIGHT_FRACTION as i32)) / largest;
        let x_fraction = inverse.inverse_fraction();
        // With its rounding.
        let bound = inverse.bound_once_converged() + 1.0;
        // No weight is below its floor, so L <= lift / floor H, and X H X <= (1 + 2^-7) X: hence by
        // Cauchy and Schwarz (X L)_ij^2 <= (X L X)_ii L_jj <= 1.01 lift / floor X_ii L_jj.
        let ratio = if lift > 0.0 { lift / weight.least } else { 0.0 };
        let column = libm::sqrt(1.01 * ratio * bound * share * settings.diagonal.min(1.0));
        // Every party rounds each entry by half a unit.
        let rounding = f64::from(parties) / 2.0 * libm::sqrt(order as f64);
        let slack = |fraction: u32| {
            let shift = fraction as i32 - inverse.fraction() as i32;
            libm::floor(libm::ldexp(refresh.slack() as f64, shift))
        };
        let magnitude = |fraction: u32| {
            let rounding = bound * (rounding + slack(fraction));
            let entry = (libm::ldexp(column, fraction as i32) + rounding) * 1.000001;
            libm::ceil(libm::log2(libm::ldexp(entry, COARSE_FRACTION as i32)).max(1.0)) as u32
        };
        let room = 128 - settings.sigma - (parties + 1).next_power_of_two().ilog2();
        // X D X is at most |X| |D| times X, where D is the rounding of L: independent errors, whose
        // norm is some sqrt(order parties / 3) units.
        let norm = libm::sqrt(order as f64 * f64::from(parties) / 3.0);
        let needed = libm::ceil(libm::log2(bound * norm)) as u32 + PRECISION;
        let Some(fraction) = (needed..=needed + 16).rev().find(|&f| magnitude(f) <= room) else {
            return refuse(format!(
                "variances of {order} coefficients with {} bits of masking do not fit 128 bits: \
                 declare a smaller training.condition, or set output.inference to false",
                settings.sigma
            ));
        };
        let open = |magnitude: u32, drop: u32| {
            BoundedOpening::new(magnitude.max(drop), settings.sigma, drop, parties)
        };
        let drop = fraction + COARSE_FRACTION - MOST_FRACTION.min(fraction);
        let product = open(magnitude(fraction), drop)?;
        let bits = libm::ceil(libm::log2(bound)) as u32;
        let inverse = open(bits + x_fraction, x_fraction - COARSE_FRACTION)?;
        let (parties, lift) = (parties as usize, units as i128);
        let slack = slack(fraction) as i128;
        Ok(Self { order, parties, lift, slack, fraction, inverse, product, typical_part })
    }

    /// Fractional bits of X L after its opening.
    pub(crate) fn product_fraction(&self) -> u32 {
        self.fraction + COARSE_FRACTION - self.product.drop
    }

    /// Fractional bits of the variances.
    pub(crate) fn variance_fraction(&self) -> u32 {
        COARSE_FRACTION + 2 * self.product_fraction()
    }

    /// By how many bits that is above the scale of X.
    pub(crate) fn inverse_shift(&self) -> u32 {
        self.variance_fraction() - COARSE_FRACTION - self.inverse.drop
    }

    /// Elements that are opened under bounded masks.
    pub(super) fn masked_elements(order: usize) -> u64 {
        2 * (order * order) as u64
    }

    /// The largest trace of (X L)^2 with which variances are accepted. It sums the squares of the
    /// parts that the lift takes of the information in each direction of the coefficients: near 1
    /// where rows are all but certain, as those of separable classes are. Rows of the typical weight
    /// are allowed twice their part.
    pub(crate) fn most_separation(&self) -> f64 {
        let expected = 2.0 * self.typical_part;
        self.order as f64 * expected * expected + SEPARATION
    }

    /// The correlations, in order; `lefts` counts the left factors.
    pub(super) fn requests(&self, lefts: &mut u32) -> Vec<Request> {
        let d = self.order as u32;
        let left = Request::Left { m: d, k: d, ring: 128 };
        let right = |left, last| Request::Right(RightRequest { left, n: d, last });
        let first = *lefts;
        *lefts += 3;
        // X with L, X with L X, X L with X L X, and the elements of X L with those of L X.
        vec![
            left.clone(),
            right(first, false),
            right(first, true),
            left,
            right(first + 1, true),
            Request::Left { m: 1, k: d * d, ring: 128 },
            Request::Right(RightRequest { left: first + 2, n: 1, last: true }),
        ]
    }

    /// What it costs `me`. Six rounds.
    pub(super) fn cost(&self, me: usize) -> Cost {
        let square = self.order * self.order;
        let to_all = |bytes: u64| Cost::to_all(me, self.parties, 1, bytes);
        let element = 16 * square as u64;
        to_all(self.inverse.bytes(square))
            + to_all(2 * element)
            + to_all(self.product.bytes(square))
            + to_all(element)
            + to_all(2 * element)
            + to_all(2 * element)
    }
}
