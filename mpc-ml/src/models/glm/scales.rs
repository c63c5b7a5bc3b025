//! What of a fit follows from the revealed size of its curvature: rings, scales, phasors
//! (docs/protocols.md 8.2 and 8.3).

use mpc_core::protocols::solve::InversePlan;
use mpc_core::protocols::truncate::{BoundedOpening, fixed_opening};

use super::family::Family;
use super::inverses::{Inverses, SMALLEST_PART, exponent, inverses};
use super::link::{E_FRACTION, Phasing};
use super::plan::{Preconditioner, RowsPlan, X_FRACTION};
use super::rule::REFINING_BITS;
use super::settings::Finish;
use crate::error::Error;

/// Fractional bits of the coefficients where they meet the data.
pub(super) const W_FRACTION: u32 = 24;
/// Fractional bits of the inverse, beside the scale of the curvature, in steps.
const STEP_FRACTION: u32 = InversePlan::COARSE_FRACTION;
/// The same for a step that is lifted, where more do not fit.
const LEAST_STEP_FRACTION: u32 = 8;
/// Steps of so many standard errors are to be lifted, if that can be.
const LIKELY: f64 = 8.0;
/// Fractional bits of an owner's own inverse, in units of the largest that it can be.
const OWNERS_FRACTION: u32 = 20;
/// The part of the joint mean's variance that pulls the intercept in the preconditioner.
const INTERCEPT_PULL: f64 = 0.1;
/// Steps on shares end at so many standard errors where the last ones are made in the clear.
const NEAR: f64 = 0.1;
/// Steps on shares alone end at no fewer standard errors.
const HIDDEN: f64 = 0.005;
/// Where rows are few, standard errors are large beside the coefficients: noise is kept finer.
const FEW_ROWS: u64 = 1 << 16;
/// Bits by which lengths of steps have more room where the fit is not checked in the clear.
const HIDDEN_ROOM: u32 = 10;
/// How fine residuals are where the last steps are made in the clear.
const OPEN_NOISE: f64 = 0.03;

/// The numbers of a fit.
#[derive(Clone, Debug)]
pub(super) struct Scales {
    /// Curvature and penalty over 2^`exponent` have no eigenvalue above 15/16.
    pub(super) exponent: u32,
    /// None where no joint curvature is inverted.
    pub(super) inverses: Option<Inverses>,
    /// Fractional bits of the preconditioner in steps.
    pub(super) step_fraction: u32,
    /// Fractional bits of the rows times what their owner expects.
    pub(super) weighed_fraction: u32,
    /// Fractional bits of gradients.
    pub(super) gradient_fraction: u32,
    /// Gradients and steps are known mod 2^this.
    pub(super) ring: u32,
    /// How residuals are opened where they must be bounded: with a penalty.
    pub(super) residuals: Option<BoundedOpening>,
    pub(super) penalty: Option<Penalty>,
    pub(super) phasing: Phasing,
    /// Steps on shares end at this length in standard errors.
    pub(super) tolerance: f64,
    noise: f64,
}

/// A penalty as integers that all parties hold alike.
#[derive(Clone, Copy, Debug)]
pub(super) struct Penalty {
    /// n l2 is `factor` 2^`exponent`, with 13 bits of factor.
    pub(super) factor: i128,
    pub(super) exponent: i32,
    /// The pull on coefficients and on the intercept in the preconditioner, times n.
    pub(super) pulls: (f64, f64),
}

impl Penalty {
    fn new(weight: f64, l2: f64, variance: f64) -> Self {
        let all = weight * l2;
        let exponent = libm::frexp(all).1 - 13;
        let factor = libm::rint(libm::ldexp(all, -exponent)) as i128;
        let pulls = (all, weight * l2.min(INTERCEPT_PULL * variance));
        Self { factor, exponent, pulls }
    }

    /// No eigenvalue of the preconditioner is larger.
    pub(super) fn largest_inverse(&self) -> f64 {
        1.01 / self.pulls.0.min(self.pulls.1)
    }

    /// n l2 as it is applied.
    pub(super) fn applied(&self) -> f64 {
        libm::ldexp(self.factor as f64, self.exponent)
    }
}

impl Scales {
    /// `variance` is that of a target with the joint mean; `trace` bounds that of the joint curvature,
    /// and `squares` that of the weighed rows.
    pub(super) fn new(
        plan: &RowsPlan,
        (weight, variance): (f64, f64),
        trace: f64,
        squares: f64,
    ) -> Result<Self, Error> {
        let penalty = plan.penalised().then(|| Penalty::new(weight, plan.settings.l2, variance));
        let order = plan.order() as f64;
        let pulls = penalty.map_or(0.0, |penalty| penalty.pulls.0 * order);
        let exponent = exponent(trace + pulls);
        let inverses = match plan.preconditioner {
            Preconditioner::Inverse => {
                let least = match penalty {
                    // No eigenvalue is smaller, whatever the rows are.
                    Some(it) => libm::ldexp(it.pulls.0.min(it.pulls.1), -(exponent as i32)) / 1.01,
                    // A quarter of a row's information, of a large study 2^-21 of all: with less there
                    // is nothing to tell.
                    None => libm::ldexp(0.25, -(exponent as i32)).max(SMALLEST_PART),
                };
                Some(inverses(plan, least)?)
            }
            Preconditioner::Owners => None,
        };
        let weighed_fraction = weighed_fraction(plan, variance);
        let gradient = weighed_fraction + E_FRACTION;
        let mut scales = Self {
            exponent,
            step_fraction: exponent + STEP_FRACTION,
            inverses,
            weighed_fraction,
            gradient_fraction: gradient,
            ring: 128,
            residuals: None,
            penalty,
            phasing: Phasing::none(),
            tolerance: 0.0,
            noise: 0.0,
        };
        match penalty {
            Some(penalty) => scales.lifted(plan, penalty)?,
            None => scales.wide(plan)?,
        }
        scales.finish(plan, trace + pulls, squares)?;
        Ok(scales)
    }

    /// Steps are never lifted: only as much of the ring as the next product needs.
    fn wide(&mut self, plan: &RowsPlan) -> Result<(), Error> {
        let steps = self.steps_fraction();
        // Where nothing is checked in the clear, no length may wrap: it is below the deviance.
        let room = if plan.finish == Finish::Hidden { HIDDEN_ROOM } else { 0 };
        let ring = (steps + REFINING_BITS + X_FRACTION + plan.link.period() + room).max(65);
        if ring > 128 {
            return Err(Error::Settings(format!(
                "steps of this fit would need a ring of {ring} bits; at most 128 are possible: leave out \
                 rows or columns"
            )));
        }
        self.ring = ring;
        self.phasing(plan, ring)
    }

    /// Steps are lifted, so that a penalty can be taken of the coefficients.
    fn lifted(&mut self, plan: &RowsPlan, penalty: Penalty) -> Result<(), Error> {
        // Coefficients times 2^W, times the factor, are at this scale.
        let pull = W_FRACTION as i32 - penalty.exponent;
        self.gradient_fraction = self.gradient_fraction.max(pull.max(0) as u32);
        if pull < 0 {
            return Err(Error::Settings("a penalty times the rows is above 2^36".to_owned()));
        }
        match plan.preconditioner {
            Preconditioner::Owners => {
                let units = -libm::ceil(libm::log2(penalty.largest_inverse())) as i32;
                self.step_fraction = (OWNERS_FRACTION as i32 + units).max(0) as u32;
            }
            Preconditioner::Inverse => {
                let fits =
                    |&bits: &u32| self.opening(plan, self.exponent + bits, LIKELY, 128).is_ok();
                // d N units of rounding are at most half of a matrix that is at least 1.
                let units = (plan.order() * plan.parties()) as f64;
                let least = LEAST_STEP_FRACTION.max(libm::ceil(libm::log2(2.0 * units)) as u32);
                let bits = (least..=STEP_FRACTION.max(least)).rev().find(fits);
                self.step_fraction = self.exponent + bits.unwrap_or(least);
            }
        }
        // Refused here with the numbers.
        self.opening(plan, self.step_fraction, 1.0, 128)?;
        // Any bound of the series will do: with all phasors that could be taken.
        let parties = plan.parties();
        let draft = plan.link.phasing(plan.facts.origin, parties, 80, OPEN_NOISE)?;
        let largest = 2.0 * plan.link.largest(&draft, parties);
        let magnitude = E_FRACTION + libm::ceil(libm::log2(largest)).max(0.0) as u32;
        let residuals = BoundedOpening::new(magnitude, plan.sigma, 0, parties as u32 - 1)?;
        self.residuals = Some(residuals);
        self.phasing(plan, residuals.ring)?;
        if plan.link.largest(&self.phasing, parties) > largest {
            return Err(Error::Settings(
                "the phasors of so many parties are too coarse for a penalty: use a dealer"
                    .to_owned(),
            ));
        }
        Ok(())
    }

    fn phasing(&mut self, plan: &RowsPlan, headroom: u32) -> Result<(), Error> {
        let aim = match plan.finish {
            Finish::Hidden if plan.total_rows() <= FEW_ROWS => {
                plan.settings.tolerance.max(HIDDEN) / 64.0
            }
            Finish::Hidden => plan.settings.tolerance.max(HIDDEN) / 8.0,
            _ => OPEN_NOISE,
        };
        self.phasing = plan.link.phasing(plan.facts.origin, plan.parties(), headroom, aim)?;
        Ok(())
    }

    /// What noise leaves of the precision.
    fn finish(&mut self, plan: &RowsPlan, trace: f64, squares: f64) -> Result<(), Error> {
        self.noise = self.phasing.noise * libm::sqrt(squares / trace.max(1.0));
        let walk = 2.0 * libm::sqrt(plan.order() as f64) * self.noise;
        let few = plan.total_rows() <= FEW_ROWS;
        let asked = plan.settings.tolerance.max(if few { 0.0 } else { HIDDEN });
        self.tolerance = match plan.finish {
            Finish::Hidden => asked.max(walk),
            _ => NEAR.max(walk),
        };
        if plan.finish == Finish::Hidden && self.noise > asked {
            return Err(Error::Settings(format!(
                "the noise of the joint randomness would move coefficients by {:.1e} standard \
                 errors, and the tolerance is {asked}: use a dealer, a larger tolerance, or finish = \
                 \"open\"",
                self.noise
            )));
        }
        Ok(())
    }

    /// What the noise of the phasors moves a coefficient by, in standard errors.
    pub(super) fn noise(&self) -> f64 {
        self.noise
    }

    /// Fractional bits of a step.
    pub(super) fn steps_fraction(&self) -> u32 {
        self.step_fraction + self.gradient_fraction
    }

    /// A step of `length` standard errors is below 2^this: for a positive preconditioner P,
    /// |e_j P g| <= sqrt(P_jj) sqrt(g P g). A condition of privacy.
    pub(super) fn step_bound(&self, length: f64) -> i32 {
        let inverse = self.penalty.map_or(1.0, |penalty| penalty.largest_inverse());
        libm::ceil(libm::log2(1.01 * libm::sqrt(inverse) * length.max(1e-6))) as i32
    }

    /// A bound of the length sqrt(g P g) of a step whose square was revealed as `square`, made of a
    /// gradient truncated to `fraction` bits: d N units of rounding times |P g| <= sqrt(|P|) length, and
    /// what the rounding of P may hide.
    pub(super) fn longest(&self, plan: &RowsPlan, square: f64, fraction: u32) -> f64 {
        let inverse = self.penalty.map_or(1.0, |penalty| penalty.largest_inverse());
        let units = (plan.order() * plan.parties()) as f64;
        let rounding = libm::ldexp(units, -(fraction as i32)) * libm::sqrt(inverse);
        // |E| <= r P for the rounding E of P, which is at least 1 in its units: so P is at least
        // 1 - r of what is revealed, and a step at most 1 + r of what that says.
        let r = match self.inverses {
            Some(_) => libm::ldexp(units, self.exponent as i32 - self.step_fraction as i32),
            None => 0.0,
        };
        (1.0 + r) / libm::sqrt(1.0 - r) * (rounding + libm::sqrt(square + rounding * rounding))
    }

    /// Whether a step of `length` standard errors can be lifted from a ring of so many bits.
    ///
    /// # Errors
    /// With the numbers when it cannot.
    pub(super) fn lifts(&self, plan: &RowsPlan, length: f64, ring: u32) -> Result<(), Error> {
        self.opening(plan, self.step_fraction, length, ring)
    }

    fn opening(
        &self,
        plan: &RowsPlan,
        step_fraction: u32,
        length: f64,
        ring: u32,
    ) -> Result<(), Error> {
        let fraction = step_fraction + self.gradient_fraction;
        let opening = fixed_opening(self.step_bound(length), fraction, plan.sigma, plan.parties());
        let enough = opening.as_ref().is_ok_and(|opening| {
            opening.ring <= ring && opening.magnitude + W_FRACTION >= fraction
        });
        if enough {
            return Ok(());
        }
        Err(Error::Settings(format!(
            "a step of {length:.1} standard errors, below 2^{} at scale 2^{fraction}, cannot be lifted \
             under {} bits of masking from {ring} bits: leave out rows or columns, or set a larger l2",
            self.step_bound(length),
            plan.sigma
        )))
    }
}

/// Fractional bits of the rows times what their owner expects: as many bits below the root of the joint
/// variance as an entry of the design has below 1.
pub(super) fn weighed_fraction(plan: &RowsPlan, variance: f64) -> u32 {
    if !plan.weighs_rows() {
        return X_FRACTION;
    }
    let bits = f64::from(X_FRACTION);
    let wanted = match plan.settings.family {
        Family::Logistic => bits,
        Family::Poisson => bits - libm::rint(libm::log2(variance.max(1e-9)) / 2.0),
    };
    let largest = plan.facts.weights.unwrap_or(1.0) * plan.largest;
    let most = f64::from(plan.weighed_bits()) - libm::ceil(libm::log2(largest.max(1.0))) - 1.0;
    let most =
        if plan.settings.family == Family::Poisson { f64::from(plan.weighed_bits()) } else { most };
    wanted.min(most).clamp(0.0, 22.0) as u32
}

#[cfg(test)]
mod tests {
    use mpc_core::correlations::Origin;

    use super::*;
    use crate::model::Facts;
    use crate::models::glm::GlmSettings;
    use crate::models::glm::inverses::ABOVE_SLACK;

    fn scales(rows: &[u64], columns: usize, trace: f64) -> Scales {
        let facts = Facts::horizontal(rows, vec![1.0; columns], Origin::Pairwise);
        let settings = GlmSettings::new(Family::Logistic);
        let plan = RowsPlan::new(&settings, &facts).expect("fits");
        let all = rows.iter().sum::<u64>() as f64;
        Scales::new(&plan, (all, 0.15), trace * all, 5.0 * trace * all).expect("fits")
    }

    /// What rounding adds to a curvature must not pass for information.
    #[test]
    fn slacks_are_small_beside_the_least_information_that_is_told() {
        for (rows, columns, trace) in [
            (vec![160u64; 3], 9, 1.0),
            (vec![1761, 1089, 713], 24, 2.0),
            (vec![94_000, 87_000, 81_000], 34, 2.5),
            (vec![333_333; 3], 100, 20.0),
            (vec![400; 7], 20, 3.0),
        ] {
            let found = scales(&rows, columns, trace);
            let inverses = found.inverses.as_ref().expect("is inverted");
            let first = &inverses.first;
            let slack = libm::ldexp(inverses.slack as f64, -(first.fraction() as i32));
            let least = first.settings().least;
            println!(
                "{rows:?} x {columns}: J {} f {} steps {} warm {:?} least {:.2} slack {:.4} k {}",
                found.exponent,
                first.fraction(),
                first.steps(),
                inverses
                    .warm
                    .iter()
                    .map(|w| (w.plan.steps(), w.plan.fraction()))
                    .collect::<Vec<_>>(),
                libm::ldexp(least, found.exponent as i32),
                libm::ldexp(slack, found.exponent as i32),
                found.ring
            );
            assert!(ABOVE_SLACK * slack <= least);
        }
    }
}
