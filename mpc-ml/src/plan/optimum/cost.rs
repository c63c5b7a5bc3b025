//! What a fit costs, and how its distance from the optimum is measured.

use mpc_core::Cost;
use mpc_core::ring::wire::element_bytes;

use super::{DISTANCE_FRACTION, E_FRACTION, Method, OptimumPlan, method};
use crate::plan::optimum::Family;
use crate::plan::refuse;
use crate::solvers::optimum::{CHECK_FRACTION, SUM_FRACTION};

impl OptimumPlan {
    /// What a fit costs `me` to the last release, where every output goes to all parties. What a source needs is not counted.
    #[must_use]
    pub fn cost(&self, me: usize) -> Cost {
        let passes = (0..self.passes).map(|pass| self.pass_cost(me, pass));
        passes.fold(self.bound_cost(me), |sum, cost| sum + cost) + self.release_cost(me)
    }

    fn to_all(&self, me: usize, elements: usize, bits: u32) -> Cost {
        let bytes = (elements * element_bytes(bits)) as u64;
        Cost::to_all(me, self.parties(), 1, bytes)
    }

    /// The inverse that a fit begins with, and its check.
    fn bound_cost(&self, me: usize) -> Cost {
        let Some(hessian) = &self.hessian else { return Cost::default() };
        hessian.bound.cost(me) + self.to_all(me, 1, 128)
    }

    /// One pass.
    #[must_use]
    pub fn pass_cost(&self, me: usize, pass: usize) -> Cost {
        let (settings, last) = (&self.settings, pass + 1 == self.passes);
        let order = settings.weights();
        // What the first pass sums over the rows, every owner knows.
        let mut cost = if pass > 0 { self.scores_cost(me, pass) } else { Cost::default() };
        if self.hessian.is_some() {
            if let Some(refresh) = self.refresh_at(pass) {
                let triangle = order * (order + 1) / 2;
                if let Some(spec) = refresh.lift.filter(|_| pass > 0) {
                    cost = cost + Cost::to_all(me, self.parties(), 1, spec.bytes(triangle));
                }
                cost = cost + refresh.inverse.cost(me);
            }
            let left = if self.refreshes() || pass == 0 { order * order } else { 0 };
            cost = cost + self.to_all(me, left + order, 128);
        }
        if last {
            let products = 1 + u64::from(settings.inference);
            cost = cost + self.to_all(me, 2 * order, 128) * products;
        }
        cost
    }

    /// The scores, the functions of them, and the sums over the rows.
    fn scores_cost(&self, me: usize, pass: usize) -> Cost {
        let settings = &self.settings;
        let (rows, order) = (settings.total_rows() as usize, settings.weights());
        let columns = settings.columns as usize;
        // The angles, a round a group.
        let angle = self.phasors(pass, 1).angle_bits;
        let mut angles = self.to_all(me, rows, angle);
        if let Some(request) = self.penalty_phasors() {
            angles = angles + self.to_all(me, columns, request.angle_bits);
        }
        angles.rounds = self.groups().count() as u64;
        // Residuals and weights to the owners of the rows, the penalty to all.
        let bytes: u64 = self.penalty.map_or(0, |spec| spec.bytes(columns));
        let own = |to: usize| {
            let rows = settings.rows[to] as usize;
            let weights = self.refresh().map_or(0, |refresh| refresh.weights.bytes(rows));
            self.residuals.bytes(rows) + weights
        };
        let bytes = (0..self.parties()).map(|to| if to == me { 0 } else { bytes + own(to) });
        self.to_all(me, order, 64) + angles + Cost { rounds: 1, bytes: bytes.collect() }
    }

    /// The outputs.
    fn release_cost(&self, me: usize) -> Cost {
        let (settings, order) = (&self.settings, self.settings.weights());
        let (drops, fractions) = self.distance_drops();
        let drop = (fractions.0 + fractions.1).saturating_sub(CHECK_FRACTION);
        let mut cost = self.to_all(me, 1, 128 - drops.0.max(drops.1) - drop);
        let drop = self.wide_fraction - settings.release_fraction;
        cost = cost + self.to_all(me, order, 128 - drop);
        if let Some(information) = &self.information {
            let drop = information.variance_fraction() - CHECK_FRACTION;
            let sums = self.loss_ring() - (self.loss_fraction() - SUM_FRACTION);
            cost = cost
                + self.to_all(me, 1, 128)
                + information.cost(me)
                + self.to_all(me, 1, 128 - (2 * information.product_fraction() - CHECK_FRACTION))
                + self.to_all(me, order, 128 - drop)
                + self.to_all(me, 1, sums)
                + self.to_all(me, 2, 128);
            if matches!(settings.family, Family::Poisson { .. }) {
                cost = cost + self.to_all(me, 1, 128);
            }
        }
        cost
    }

    /// How many bits of the last gradient and of the last step are dropped before their product,
    /// and how many fractional bits they have then.
    pub(crate) fn distance_drops(&self) -> ((u32, u32), (u32, u32)) {
        let gradient = self.x_fraction + E_FRACTION;
        let step = match self.method {
            Method::Newton => self.wide_fraction,
            Method::FixedHessian { .. } => self.wide_fraction - method::FACTOR_FRACTION,
            Method::Gradient { .. } => gradient,
        };
        let (left, mut right) = DISTANCE_FRACTION;
        if matches!(self.method, Method::Gradient { .. }) {
            right = left;
        }
        ((gradient - left, step - right), (left, right))
    }

    /// The distance from the optimum at the last pass, from the revealed product of its gradient
    /// and step.
    #[must_use]
    pub fn distance(&self, square: f64) -> f64 {
        let length = libm::sqrt(square.max(0.0));
        match self.method {
            Method::Newton => length,
            // g^T H^-1 g is at most so much more than with the bound of H.
            Method::FixedHessian { .. } => {
                let least = method::least_weight(&self.settings.family);
                length * libm::sqrt(self.largest_weight() / least)
            }
            // The objective is l2-strongly convex.
            Method::Gradient { .. } => {
                length / (self.settings.total_rows() as f64 * self.settings.l2)
            }
        }
    }

    /// The distance at the last pass with which a fit counts as converged.
    #[must_use]
    pub fn allowed_distance(&self) -> f64 {
        match self.method {
            // The last step squares it.
            Method::Newton => libm::sqrt(self.settings.tolerance),
            _ => self.settings.tolerance,
        }
    }

    /// What a user may try when a fit has not converged.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match (&self.method, &self.settings.family) {
            (Method::Gradient { .. }, _) => {
                "Declare a larger training.largest_eigenvalue, or leave it out"
            }
            (_, Family::Logistic { .. }) => {
                "The classes may be separable: then there is no optimum without model.l2. Else \
                 declare the prevalence better, or a larger sigmoid window"
            }
            (_, Family::Poisson { .. }) => {
                "Declare the typical rate better, rather above than below it, or a larger window"
            }
        }
    }
}

/// A refusal that names the numbers, for plans whose precision is not what the study asks for.
pub(super) fn too_coarse<T>(what: &str, got: f64, allowed: f64) -> Result<T, crate::Error> {
    refuse(format!(
        "{what} may move a coefficient by {got:.2e} standard errors; the study allows {allowed:.2e} \
         (training.tolerance)"
    ))
}
