//! The plan of a linear regression: scales and bounds of the normal equations, chosen from public
//! facts before a share is sent (docs/protocols.md 7.2).

use std::sync::Arc;

use mpc_core::correlations::{Origin, Request};
use mpc_core::protocols::solve::{InversePlan, InverseSettings, SolutionPlan, StartBound};

use super::LinearSettings;
use super::cross::{Aim, CrossPlan, Lift};
use super::crossed::CrossedPlan;
use super::eliminate::{Elimination, Wanted, Widest};
use super::encoding::Encoding;
use super::refusals::check;
use crate::data::Cut;
use crate::error::Error;
use crate::inference::{Contrast, ContrastPlan, WaldPlan};
use crate::model::{Facts, LEAST_SIGMA, Orders, Owners, Settings};

/// Fractional bits of the entries of the design matrix. Nothing of it is opened, so there may be
/// many.
pub const X_FRACTION: u32 = 28;
/// Fractional bits of the targets, in units of half their range.
pub const Y_FRACTION: u32 = 40;
/// Fractional bits of the revealed convergence check.
pub const CHECK_FRACTION: u32 = 12;
/// How often the solution is improved.
pub(super) const REFINEMENTS: u32 = 1;
/// The conditions that are tried where a study names none, the largest for which there are bits. At 1000 a
/// column may follow from others to three digits; twice as much takes some four rounds more.
pub const CONDITIONS: [f64; 15] = [
    1000.0, 700.0, 500.0, 350.0, 250.0, 180.0, 130.0, 100.0, 70.0, 50.0, 35.0, 25.0, 18.0, 12.0,
    8.0,
];
/// The matrix is scaled below 15/16, with this to spare for what covers its rounding.
const TOP: f64 = 15.0 / 16.0 - 1.0 / 1024.0;

/// A linear regression, planned to the last bit (docs/protocols.md 7.2).
#[derive(Clone, Debug)]
pub struct LinearPlan {
    settings: LinearSettings,
    /// The largest condition that is solved: what the settings say, or as large a one as fits.
    condition: f64,
    facts: Facts,
    /// Rows of each party.
    rows: Vec<u64>,
    encoding: Encoding,
    sigma: u32,
    /// X^T X / n is divided by this.
    scale: f64,
    /// How columns at different parties are multiplied, and how what comes of it is lifted.
    cross: Option<(CrossPlan, [Lift; 2])>,
    /// How the widest block of them is eliminated: then what is inverted and solved is the rest.
    elimination: Option<Elimination>,
    /// Units that are added to the diagonal, so that rounding leaves no eigenvalue negative.
    shift: u64,
    inverse: InversePlan,
    solution: SolutionPlan,
    /// The joint tests.
    tests: Vec<WaldPlan>,
    /// The combinations of coefficients.
    contrasts: Vec<ContrastPlan>,
    /// The fits by which a penalty is found; this plan is then that of the first of them.
    crossed: Option<Arc<CrossedPlan>>,
}

impl LinearPlan {
    /// Plans a regression. Where the parties hold columns, the widest block of them is eliminated if that
    /// costs fewer bytes.
    ///
    /// # Errors
    /// [`Error::Field`] and [`Error::Settings`] with the rule and the numbers when something does
    /// not fit.
    pub fn new(settings: &LinearSettings, facts: &Facts) -> Result<Self, Error> {
        settings.validate()?;
        if let Some(cross) = &settings.cross_validation {
            let crossed = CrossedPlan::new(settings, cross, facts)?;
            let first = crossed.fits()[0].clone();
            return Ok(Self {
                settings: settings.clone(),
                crossed: Some(Arc::new(crossed)),
                ..first
            });
        }
        // What needs the whole inverse in one piece.
        let whole = settings.covariance || !settings.tests.is_empty();
        let widest = match facts.cut() {
            Cut::Vertical if !whole => Widest::of(facts, settings.intercept)?,
            _ => None,
        };
        Self::largest(settings, |condition| {
            let directly = Self::with_condition(settings, facts, condition, 0, None);
            let Some(widest) = &widest else { return directly };
            let widest = Some(widest.clone());
            match (directly, Self::with_condition(settings, facts, condition, 0, widest)) {
                (Ok(directly), Ok(eliminating)) => {
                    let fewer = eliminating.training_bytes() < directly.training_bytes();
                    Ok(if fewer { eliminating } else { directly })
                }
                (Err(_), Ok(eliminating)) => Ok(eliminating),
                (directly, Err(_)) => directly,
            }
        })
    }

    /// The same with the inverse of all columns, where so many elements are opened under statistical masks
    /// elsewhere in the session.
    pub(in crate::models) fn beside(
        settings: &LinearSettings,
        facts: &Facts,
        elsewhere: u64,
    ) -> Result<Self, Error> {
        settings.validate()?;
        Self::largest(settings, |condition| {
            Self::with_condition(settings, facts, condition, elsewhere, None)
        })
    }

    /// With the condition that is named, or the largest that fits.
    fn largest(
        settings: &LinearSettings,
        plan: impl Fn(f64) -> Result<Self, Error>,
    ) -> Result<Self, Error> {
        if let Some(condition) = settings.condition {
            return plan(condition);
        }
        let mut last = Err(Error::untold("conditions"));
        for condition in CONDITIONS {
            last = plan(condition);
            if last.is_ok() {
                break;
            }
        }
        last
    }

    /// Bytes that all parties send in the rounds of the fit.
    fn training_bytes(&self) -> u64 {
        let all = (0..self.parties()).flat_map(|party| self.training_cost(party).bytes);
        all.sum()
    }

    fn with_condition(
        settings: &LinearSettings,
        facts: &Facts,
        condition: f64,
        elsewhere: u64,
        widest: Option<Widest>,
    ) -> Result<Self, Error> {
        let rows = facts.rows_for::<super::Linear>()?;
        let encoding = Encoding::new(settings, facts)?;
        check(settings, facts, &encoding)?;
        let parties = rows.len() as u32;
        let order = widest.as_ref().map_or(encoding.weights(), |widest| widest.kept.len());

        // X^T X / n + l2 has a trace of at most `trace`, and so no larger eigenvalue.
        let by_columns = facts.cut() == Cut::Vertical;
        let fraction =
            if by_columns { CrossPlan::entry_fraction(settings.clip) } else { X_FRACTION };
        let all = diagonal(settings, facts, fraction);
        let bounds = match &widest {
            Some(widest) => widest.kept.iter().map(|&place| all[place]).collect(),
            None => all.clone(),
        };
        let trace: f64 = bounds.iter().sum();
        let total = facts.total_rows() as f64;
        let scale = if by_columns {
            // n scale is a power of two, by which shares can be divided.
            libm::ldexp(1.0 / total, scale_bits(total * trace / TOP))
        } else {
            trace / TOP
        };
        let largest = bounds.iter().fold(0.0, |a: f64, &b| a.max(b));
        let smallest = 1.0 / (condition * condition);
        // With an intercept a penalty of the rest bounds the spectrum from below by this.
        let penalised =
            settings.l2 / if settings.intercept { 1.0 + all.iter().sum::<f64>() } else { 1.0 };
        let least = (smallest.max(penalised) / scale).min(TOP);

        let mut wanted = InverseSettings {
            order,
            parties,
            sigma: LEAST_SIGMA,
            // The shift below is far under 1/1024.
            diagonal: (largest / scale + 1.0 / 1024.0).min(15.0 / 16.0),
            least,
            start: StartBound::Identity,
            reuse: true,
        };
        let tests = WaldPlan::of(&settings.tests, &facts.features)?;
        let contrasts = Contrast::plan(&settings.contrasts, &facts.names, settings.intercept)?;
        let mut masked = InversePlan::masked_elements(&wanted)
            + SolutionPlan::masked_elements(order, REFINEMENTS)
            + WaldPlan::masked_elements(&tests)
            + elsewhere;
        if by_columns {
            masked += CrossPlan::masked_elements(facts)?;
            masked += widest.as_ref().map_or(0, Elimination::masked_elements);
            // A dealer's masked matrices.
            if facts.origin == Origin::Dealer {
                masked += facts.total_rows().saturating_mul(encoding.weights() as u64);
                masked += widest.as_ref().map_or(0, Elimination::entries);
            }
        }
        wanted.sigma = (41 + libm::ceil(libm::log2(masked as f64)) as u32).max(LEAST_SIGMA);
        let too_large = |error: mpc_core::Error| {
            Error::Settings(format!(
                "a design of {order} columns and condition {condition} needs more bits than there \
                 are: {error}"
            ))
        };
        let inverse = InversePlan::new(wanted).map_err(too_large)?;
        // c = G^(1/2) u with |u|^2 <= |y|^2 / (n scale), and |y| <= 1 a row.
        // Of an elimination, with what is added to the diagonal: less than 2^-11.
        let added = if widest.is_some() { libm::ldexp(1.0, -11) } else { 0.0 };
        let norm = libm::sqrt(1.0 / scale + added) * (1.0 + 1e-9);
        let solution =
            |shift| SolutionPlan::new(&inverse, shift, norm, REFINEMENTS).map_err(too_large);
        let sigma = inverse.settings().sigma;
        let (mut cross, mut elimination) = (None, None);
        if by_columns {
            let aim = Aim {
                sigma,
                scale: scale_bits(total * trace / TOP),
                matrix: inverse.fraction(),
                right: solution(1)?.right_fraction(),
            };
            let basis = widest.as_ref().map(|_| Elimination::basis(facts.total_rows()));
            let (mut plan, lifts) = CrossPlan::new(settings, facts, largest, aim, basis)?;
            if let Some(widest) = widest {
                let unpenalised = LinearSettings { l2: 0.0, ..settings.clone() };
                let wanted = Wanted {
                    settings,
                    facts,
                    widest,
                    condition,
                    sigma,
                    scale: aim.scale,
                    squares: &diagonal(&unpenalised, facts, fraction),
                    matrix: inverse.fraction(),
                    inverse: inverse.inverse_fraction(),
                };
                let found = Elimination::new(&wanted, &plan)?;
                plan = plan.for_lifts(&found.lifts);
                elimination = Some(found);
            }
            cross = Some((plan, lifts));
        }
        // Every party rounds each entry by at most 0.51 units; the Frobenius norm of all of it.
        let rounding = 0.51 * f64::from(parties);
        let rounding = cross.as_ref().map_or(rounding, |(plan, lifts)| plan.rounding(lifts[0]));
        let moved = match &elimination {
            Some(elimination) => elimination.shift(inverse.fraction(), rounding),
            None => rounding * order as f64,
        };
        let shift = libm::ceil(moved) as u64 + 1;
        let added = libm::ldexp(shift as f64, -(inverse.fraction() as i32));
        if elimination.is_some() && added > least / 32.0 {
            let what = format!(
                "a design of {order} columns beside those of one party is off by up to {added:.1e}, too much \
                 for condition {condition}"
            );
            return Err(Error::Settings(what));
        }
        if libm::ldexp(2.0 * shift as f64, -(inverse.fraction() as i32)) > 1.0 / 1024.0 {
            let what = format!("a design of {order} columns has too few fractional bits");
            return Err(Error::Settings(what));
        }
        let solution = solution(shift)?;
        if settings.release_bits > solution.fraction() {
            let rule = format!(
                "is {}, and the solution has {} fractional bits",
                settings.release_bits,
                solution.fraction()
            );
            return Err(Error::field("release_bits", rule));
        }
        let tests = tests.into_iter().map(|test| test.with_inverse(rows.len(), sigma));
        let tests = tests.collect::<Result<_, _>>()?;
        let (settings, facts) = (settings.clone(), facts.clone());
        Ok(Self {
            settings,
            condition,
            facts,
            rows,
            encoding,
            sigma,
            scale,
            cross,
            elimination,
            shift,
            inverse,
            solution,
            tests,
            contrasts,
            crossed: None,
        })
    }

    /// What the study says.
    #[must_use]
    pub fn settings(&self) -> &LinearSettings {
        &self.settings
    }

    /// The largest condition number of the columns that is solved.
    #[must_use]
    pub fn condition(&self) -> f64 {
        self.condition
    }

    /// What is known in public.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The rows of each party.
    #[must_use]
    pub fn rows(&self) -> &[u64] {
        &self.rows
    }

    /// The number of coefficients, the intercept included.
    #[must_use]
    pub fn weights(&self) -> usize {
        self.encoding.weights()
    }

    /// Who receives which coefficients, where each party receives its own.
    pub(super) fn owners(&self) -> Result<Option<Owners>, Error> {
        let owners = || Owners::of(&self.facts, self.settings.intercept);
        self.facts.own.then(owners).transpose()
    }

    /// How a row becomes integers.
    pub(super) fn encoding(&self) -> &Encoding {
        &self.encoding
    }

    /// The middle of the target's range, and half of it: none may be subtracted without an intercept.
    pub(in crate::models) fn target_scale(&self) -> (f64, f64) {
        self.encoding.target_scale()
    }

    /// Bits of statistical masking.
    #[must_use]
    pub fn sigma(&self) -> u32 {
        self.sigma
    }

    /// The number of parties.
    #[must_use]
    pub fn parties(&self) -> usize {
        self.rows.len()
    }

    /// The rows of all parties.
    #[must_use]
    pub fn total_rows(&self) -> u64 {
        self.facts.total_rows()
    }

    /// How columns at different parties are multiplied.
    pub(in crate::models) fn cross(&self) -> Option<&CrossPlan> {
        self.cross.as_ref().map(|(plan, _)| plan)
    }

    /// How sums of products of entries are lifted, and those of entries with the target.
    pub(super) fn lifts(&self) -> Option<[Lift; 2]> {
        self.cross.as_ref().map(|(_, lifts)| *lifts)
    }

    /// How the widest block of columns at different parties is eliminated, where it is.
    pub(super) fn elimination(&self) -> Option<&Elimination> {
        self.elimination.as_ref()
    }

    /// t: where the parties hold columns, n times the scale is 2^t.
    pub(in crate::models) fn scale_bits(&self) -> i32 {
        scale_bits(self.scale * self.total_rows() as f64 * (1.0 - 1e-9))
    }

    /// X^T X / n and X^T y / n are divided by this.
    #[must_use]
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// Units that party 0 adds to the diagonal of the matrix.
    #[must_use]
    pub fn shift(&self) -> u64 {
        self.shift
    }

    /// How the matrix is inverted.
    #[must_use]
    pub fn inverse(&self) -> &InversePlan {
        &self.inverse
    }

    /// How the normal equations are solved.
    #[must_use]
    pub fn solution(&self) -> &SolutionPlan {
        &self.solution
    }

    /// The correlations of the inverse and the solution, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        let mut requests = Vec::new();
        Orders::default().solved((&self.inverse, &self.solution), &mut requests);
        requests
    }

    /// The combinations of coefficients.
    pub(super) fn contrasts(&self) -> &[ContrastPlan] {
        &self.contrasts
    }

    /// The fits by which a penalty is found, where the study asks for that.
    pub(super) fn crossed(&self) -> Option<&CrossedPlan> {
        self.crossed.as_deref()
    }

    /// The joint tests.
    pub(super) fn tests(&self) -> &[WaldPlan] {
        &self.tests
    }
}

/// The smallest t with 2^t at least so much.
fn scale_bits(least: f64) -> i32 {
    libm::ceil(libm::log2(least)) as i32
}

/// Bounds of the entries on the diagonal of X^T X / n + l2, rounding to fixed point included.
fn diagonal(settings: &LinearSettings, facts: &Facts, fraction: u32) -> Vec<f64> {
    // An entry of at most `clip` moves by half a unit, and so does its mean square by less than
    // that times 2 clip + 1.
    let rounding = libm::ldexp(2.0 * settings.clip + 1.0, -(fraction as i32));
    let mut all: Vec<f64> =
        facts.mean_squares.iter().map(|square| square + rounding + settings.l2).collect();
    if settings.intercept {
        all.push(1.0);
    }
    all
}

#[cfg(test)]
mod tests {
    use mpc_core::correlations::Origin;

    use super::*;
    use crate::data::STANDARDISED;
    use crate::model::Plan;

    fn settings() -> LinearSettings {
        LinearSettings {
            intercept: true,
            l2: 0.0,
            clip: 8.0,
            condition: Some(141.0),
            release_bits: 20,
            inference: true,
            ..LinearSettings::default()
        }
    }

    fn plan(settings: &LinearSettings, rows: &[u64]) -> LinearPlan {
        let facts = Facts::horizontal(rows, vec![STANDARDISED; 100], Origin::Dealer);
        let facts = Facts { target: Some((0.0, 100.0)), ..facts };
        LinearPlan::new(settings, &facts).expect("fits")
    }

    #[test]
    fn the_study_of_the_design_keeps_to_its_rounds() {
        let plan = plan(&settings(), &[500, 300, 200]);
        assert_eq!(plan.inverse().rounds(), 61);
        assert!((plan.training_cost(0) + plan.release_cost(0)).rounds <= 75);
        // A hundred times the rows: the same bytes.
        let more = self::plan(&settings(), &[50_000, 30_000, 20_000]);
        assert_eq!(plan.training_cost(1), more.training_cost(1));
        // The clip does not matter where columns are standardised.
        let wide = self::plan(&LinearSettings { clip: 64.0, ..settings() }, &[500, 300, 200]);
        assert_eq!(plan.inverse().rounds(), wide.inverse().rounds());
        let fields = |plan: &LinearPlan| plan.canonical().expect("has a form");
        let (plan, wide) = (fields(&plan), fields(&wide));
        let pairs = plan.fields().zip(wide.fields());
        let differ: Vec<_> = pairs.filter(|(a, b)| a != b).map(|((name, _), _)| name).collect();
        assert_eq!(differ[0], "clip");
    }

    /// Where a study names no condition, as large a one as fits: some for 500 columns, also of two parties.
    #[test]
    fn a_condition_that_is_not_named_is_the_largest_that_fits() {
        let usual = LinearSettings::default();
        for (columns, most) in [(5, 1000.0), (330, 25.0), (500, 12.0)] {
            let facts = |facts| Facts { target: Some((0.0, 1.0)), ..facts };
            let squares = vec![STANDARDISED; columns];
            let rows = facts(Facts::horizontal(&[50_000; 2], squares.clone(), Origin::Pairwise));
            let widths = [2, columns as u32 - 2];
            let columns = facts(Facts::vertical(100_000, &widths, 0, squares, Origin::Pairwise));
            for facts in [rows, columns] {
                let plan = LinearPlan::new(&usual, &facts).expect("fits");
                // Of few columns beside those of one party there are bits for more.
                let few = plan.elimination().is_some();
                assert!(few || plan.condition() <= 2.0 * most);
                assert!(2.0 * plan.condition() >= most);
                let larger = CONDITIONS.iter().rev().find(|&&it| it > plan.condition());
                let named = |&it| LinearSettings { condition: Some(it), ..usual.clone() };
                assert!(larger.is_none_or(|it| LinearPlan::new(&named(it), &facts).is_err()));
            }
        }
    }

    #[test]
    fn a_penalty_saves_rounds() {
        let rows = [500, 300, 200];
        let plan = plan(&settings(), &rows);
        let ridge = self::plan(&LinearSettings { l2: 0.1, ..settings() }, &rows);
        assert!(ridge.inverse().rounds() < plan.inverse().rounds());
        assert!(!ridge.settings().std_errors());
    }
}
