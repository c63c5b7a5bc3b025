//! What follows from the plan of a linear regression: what it costs, and how far rounding can take what is
//! revealed (docs/protocols.md 7.2).

use mpc_core::Cost;
use mpc_core::ring::wire::element_bytes;

use super::plan::{CHECK_FRACTION, LinearPlan};
use crate::inference;

/// Fractional bits of the revealed diagonal of the inverse, at most.
const DIAGONAL_FRACTION: u32 = 16;

impl LinearPlan {
    /// Fractional bits of the revealed diagonal of the inverse.
    #[must_use]
    pub fn diagonal_fraction(&self) -> u32 {
        DIAGONAL_FRACTION.min(self.inverse().inverse_fraction())
    }

    /// What rounding leaves of a gradient, at most, but for a multiple of the coefficients.
    fn rounded_gradient(&self) -> f64 {
        let (d, parties) = (self.weights() as f64, self.parties() as f64);
        let released = libm::ldexp(parties / 2.0 + 0.5, -(self.settings().release_bits as i32));
        self.solution().left_over() + libm::sqrt(d) * released
    }

    /// Fractional bits of the revealed gradient: as few as show what is due. A party's part is rounded
    /// once.
    #[must_use]
    pub fn gradient_fraction(&self) -> u32 {
        let unit =
            self.rounded_gradient() / (self.parties() as f64 * libm::sqrt(self.weights() as f64));
        libm::ceil(-libm::log2(unit)).max(1.0) as u32 + 1
    }

    /// The largest gradient at coefficients of some length, in the revealed units
    /// (docs/protocols.md 7.2, The certificate).
    #[must_use]
    pub fn largest_gradient(&self, length: f64) -> f64 {
        let (d, parties) = (self.weights() as f64, self.parties() as f64);
        // The rounding of the shared matrix, and double precision.
        let matrix = libm::ldexp(0.51 * parties * d + 1.0, -(self.inverse().fraction() as i32))
            + libm::ldexp(1.0, -32);
        let revealed =
            libm::ldexp(parties * libm::sqrt(d) / 2.0, -(self.gradient_fraction() as i32));
        // From shares, what is revealed is truncated behind a mask.
        let revealed = if self.cross().is_some() { 2.0 * revealed } else { revealed };
        self.rounded_gradient() + matrix * (1.0 + length) + revealed
    }

    /// What the regression costs `me`, without what is revealed: independent of the rows, where these are
    /// whole.
    #[must_use]
    pub fn training_cost(&self, me: usize) -> Cost {
        self.matrix_cost(me) + self.solution().cost(me)
    }

    /// What of that makes the matrix and inverts it.
    pub(in crate::models) fn matrix_cost(&self, me: usize) -> Cost {
        let inverted = self.inverse().cost(me);
        match (self.cross(), self.lifts()) {
            (Some(plan), Some(lifts)) => inverted + plan.cost(me, &lifts),
            _ => inverted,
        }
    }

    /// Fractional bits of the gradient at the revealed coefficients, from shares of the equations.
    pub(super) fn shared_gradient_fraction(&self) -> u32 {
        (self.inverse().fraction() + self.settings().release_bits)
            .max(self.solution().right_fraction())
    }

    /// What revealing the outputs costs `me`, if every party receives all of them.
    #[must_use]
    pub fn release_cost(&self, me: usize) -> Cost {
        let weights = self.weights();
        let output = |elements: usize, dropped: u32| {
            let bytes = elements * element_bytes(128 - dropped);
            Cost::to_all(me, self.parties(), 1, bytes as u64).results(1)
        };
        let check = output(1, self.inverse().residual_fraction() - CHECK_FRACTION);
        let dropped = self.solution().fraction() - self.settings().release_bits;
        if let Ok(Some(owners)) = self.owners() {
            return check + owners.cost(me, self.parties(), element_bytes(128 - dropped));
        }
        let model = output(weights, dropped);
        let mut cost = check + model;
        if self.facts().for_all() {
            let shared = self.shared_gradient_fraction() - self.gradient_fraction();
            cost = cost + output(weights, if self.cross().is_some() { shared } else { 0 });
        }
        if self.settings().inference {
            let dropped = self.cross().map_or(0, |cross| {
                let bits = cross.residual_fraction(self.settings());
                128 - cross.ring + bits - cross.sums_fraction(self.settings())
            });
            cost = cost + output(3, dropped);
        }
        if self.settings().std_errors() {
            cost = cost
                + output(weights, self.inverse().inverse_fraction() - self.diagonal_fraction());
        }
        let size = (weights, self.inverse().inverse_fraction());
        let party = (me, self.parties());
        cost + inference::cost(&self.settings().asked(), self.tests(), size, party)
    }
}
