//! What follows from the plan of a linear regression: what it costs, and how far rounding can take what is
//! revealed (docs/protocols.md 7.2).

use mpc_core::Cost;
use mpc_core::ring::wire::element_bytes;

use super::cross::CrossPlan;
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

    /// Fractional bits of the shared coefficients.
    #[must_use]
    pub fn coefficient_fraction(&self) -> u32 {
        let solution = self.solution().fraction();
        self.elimination().map_or(solution, |how| how.coefficient_fraction(solution))
    }

    /// Fractional bits of the shared diagonal of the inverse.
    fn variance_fraction(&self) -> u32 {
        let inverse = self.inverse().inverse_fraction();
        self.elimination().map_or(inverse, |how| how.variance_fraction(inverse))
    }

    /// Where the parties hold columns: the ring of the three sums of squares, and their fractional bits.
    pub(super) fn sums_of_columns(&self, cross: &CrossPlan) -> (u32, u32) {
        let products = cross.residual_fraction(self.settings());
        let release = self.settings().release_bits;
        let fraction =
            self.elimination().map_or(products, |how| how.residual_fraction(products, release));
        ((cross.ring + fraction - products).min(128), fraction)
    }

    /// What rounding leaves of a gradient, at most, at coefficients of some length.
    fn rounded_gradient(&self, length: f64) -> f64 {
        let (d, parties) = (self.weights() as f64, self.parties() as f64);
        let released = libm::ldexp(parties / 2.0 + 0.5, -(self.settings().release_bits as i32));
        let rest = self.solution().left_over();
        // The rounding of the shared matrix, and double precision.
        let units = match self.elimination() {
            Some(_) => self.shift() as f64,
            None => 0.51 * parties * d + 1.0,
        };
        let matrix =
            libm::ldexp(units, -(self.inverse().fraction() as i32)) + libm::ldexp(1.0, -32);
        match self.elimination() {
            Some(how) => how.largest_gradient((released, rest, matrix), length),
            None => rest + libm::sqrt(d) * released + matrix * (1.0 + length),
        }
    }

    /// Fractional bits of the revealed gradient: as few as show what is due. A party's part is rounded
    /// once.
    #[must_use]
    pub fn gradient_fraction(&self) -> u32 {
        let unit = self.rounded_gradient(0.0)
            / (self.parties() as f64 * libm::sqrt(self.weights() as f64));
        libm::ceil(-libm::log2(unit)).max(1.0) as u32 + 1
    }

    /// The largest gradient at coefficients of some length, in the revealed units
    /// (docs/protocols.md 7.2, The certificate).
    #[must_use]
    pub fn largest_gradient(&self, length: f64) -> f64 {
        let (d, parties) = (self.weights() as f64, self.parties() as f64);
        let revealed =
            libm::ldexp(parties * libm::sqrt(d) / 2.0, -(self.gradient_fraction() as i32));
        // From shares, what is revealed is truncated behind a mask.
        let revealed = if self.cross().is_some() { 2.0 * revealed } else { revealed };
        self.rounded_gradient(length) + revealed
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
            (Some(plan), Some(lifts)) => match self.elimination() {
                Some(how) => inverted + plan.products_cost(me) + how.cost(me, plan, &lifts),
                None => inverted + plan.cost(me, &lifts),
            },
            _ => inverted,
        }
    }

    /// Fractional bits of the gradient at the revealed coefficients, from shares of the equations.
    pub(super) fn shared_gradient_fraction(&self) -> u32 {
        let release = self.settings().release_bits;
        let others = (self.inverse().fraction() + release).max(self.solution().right_fraction());
        self.elimination().map_or(others, |how| how.gradient_fraction(others, release))
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
        let dropped = self.coefficient_fraction() - self.settings().release_bits;
        if let Ok(Some(owners)) = self.owners() {
            return check + owners.cost(me, self.parties(), element_bytes(128 - dropped));
        }
        let model = output(weights, dropped);
        let mut cost = check + model;
        if self.facts().for_all() {
            let shared = self.shared_gradient_fraction() - self.gradient_fraction();
            cost = cost + output(weights, if self.cross().is_some() { shared } else { 0 });
            cost = self.elimination().map_or(cost.clone(), |how| cost + how.check_cost(me));
        }
        if self.settings().inference {
            let dropped = self.cross().map_or(0, |cross| {
                let (ring, bits) = self.sums_of_columns(cross);
                128 - ring + bits - cross.sums_fraction(self.settings())
            });
            cost = cost + output(3, dropped);
        }
        if self.settings().std_errors() {
            cost = cost + output(weights, self.variance_fraction() - self.diagonal_fraction());
        }
        let size = (weights, self.inverse().inverse_fraction());
        let party = (me, self.parties());
        cost + inference::cost(&self.settings().asked(), self.tests(), size, party)
    }
}
