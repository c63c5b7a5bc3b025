//! The plan of a linear regression: scales and bounds of the normal equations, chosen from public
//! facts before a share is sent (docs/protocols.md 7.2).

use mpc_core::Cost;
use mpc_core::correlations::Request;
use mpc_core::protocols::solve::{Aim, InversePlan, InverseSettings, SolutionPlan, StartBound};
use mpc_core::ring::wire::element_bytes;

use super::{ARITHMETIC, LEAST_SIGMA, has_parties, in_range, refuse};
use crate::agreed::Plan;
use crate::data::{Feature, FeatureKind, Numeric, Scaling, Schema};
use crate::error::Error;

/// Fractional bits of the entries of the design matrix. Nothing of it is opened, so there may be
/// many.
pub const X_FRACTION: u32 = 28;
/// Fractional bits of the targets, in units of half their range.
pub const Y_FRACTION: u32 = 40;
/// Fractional bits of the revealed convergence check.
pub const CHECK_FRACTION: u32 = 12;
/// Fractional bits of the revealed diagonal of the inverse, at most.
const DIAGONAL_FRACTION: u32 = 16;
/// How often the solution is improved.
const REFINEMENTS: u32 = 1;
/// By how much the mean square of a jointly standardised column may exceed 1: its revealed
/// deviation is good to 2^-18.
const STANDARDISED: f64 = 1.0 + 1.0 / 16384.0;
/// The matrix is scaled below 15/16, with this to spare for what covers its rounding.
const TOP: f64 = 15.0 / 16.0 - 1.0 / 1024.0;

/// What a study says about a linear regression.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearSettings {
    /// Rows of each party; public.
    pub rows: Vec<u64>,
    /// For each column of the design matrix, without the intercept, a bound on the mean of its
    /// squares over all parties' rows: see [`mean_squares`]. **A condition of privacy.**
    pub mean_squares: Vec<f64>,
    /// Whether there is an intercept.
    pub intercept: bool,
    /// The L2 penalty: (1/2n) |y - X w - b|^2 + (l2 / 2) |w|^2, the intercept not penalised.
    pub l2: f64,
    /// The bound on the magnitude of the entries of the design matrix, made true by clipping.
    pub clip: f64,
    /// The largest condition number of the design matrix for which the study is solved: the
    /// smallest singular value of X / sqrt(n) is at least 1 / `condition`. With less, the study is
    /// refused at the end.
    pub condition: f64,
    /// The public range of the target; a target outside is cut to it.
    pub target: (f64, f64),
    /// Fractional bits of the revealed coefficients, in units of half the target's range.
    pub release_fraction: u32,
    /// Whether the diagonal of the inverse and the sums of squares are revealed. Only without a
    /// penalty are there standard errors.
    pub inference: bool,
}

/// A linear regression, planned to the last bit (docs/protocols.md 7.2).
#[derive(Clone, Debug)]
pub struct LinearPlan {
    settings: LinearSettings,
    sigma: u32,
    /// X^T X / n is divided by this.
    scale: f64,
    /// Units that are added to the diagonal, so that rounding leaves no eigenvalue negative.
    shift: u64,
    inverse: InversePlan,
    solution: SolutionPlan,
}

/// For each encoded column, a bound on the mean of its squares that is known in public: 1 for
/// columns that were standardised jointly, over the same rows that the model is fitted to (by
/// construction, and clipping and filling in only lower it), and
/// for 0/1 columns, the square of the declared range for others, and the square of the clip.
#[must_use]
pub fn mean_squares(schema: &Schema, clip: f64) -> Vec<f64> {
    let mut all = Vec::new();
    for feature in schema.features() {
        match &feature.kind {
            FeatureKind::Numeric(Numeric { range, scale, indicator, .. }) => {
                let most = |mean: f64, std: f64| {
                    range.map_or(f64::INFINITY, |(low, high)| {
                        let largest = ((low - mean) / std).abs().max(((high - mean) / std).abs());
                        // Entries are rounded to fixed point after this.
                        (largest * largest).max(1e-12) * STANDARDISED
                    })
                };
                all.push(match *scale {
                    Scaling::Joint => STANDARDISED,
                    Scaling::None => most(0.0, 1.0),
                    Scaling::Constants { mean, std } => most(mean, std),
                });
                if *indicator {
                    all.push(1.0);
                }
            }
            FeatureKind::Categorical(_) => all.extend(feature.columns().iter().map(|_| 1.0)),
        }
    }
    all.iter().map(|square| square.min(clip * clip)).collect()
}

/// A bound on the sum of [`mean_squares`]: the indicators of one categorical feature count 1
/// together, since a row has at most one of them. A condition of privacy as well.
#[must_use]
pub fn total_mean_square(schema: &Schema, clip: f64) -> f64 {
    let mut squares = mean_squares(schema, clip).into_iter();
    let of_feature = |feature: &Feature| {
        let own = squares.by_ref().take(feature.columns().len());
        match &feature.kind {
            FeatureKind::Numeric(_) => own.sum(),
            FeatureKind::Categorical(_) => own.fold(0.0, f64::max),
        }
    };
    schema.features().iter().map(of_feature).sum()
}

impl LinearPlan {
    /// Plans a regression.
    ///
    /// # Errors
    /// [`Error::Settings`] with the rule and the numbers when something does not fit.
    pub fn new(settings: LinearSettings) -> Result<Self, Error> {
        settings.check()?;
        let parties = settings.rows.len() as u32;
        let order = settings.weights();

        // X^T X / n + l2 has a trace of at most `trace`, and so no larger eigenvalue.
        let bounds = settings.diagonal();
        let trace: f64 = bounds.iter().sum();
        let scale = trace / TOP;
        let largest = bounds.iter().fold(0.0, |a: f64, &b| a.max(b));
        let smallest = 1.0 / (settings.condition * settings.condition);
        // With an intercept a penalty of the rest bounds the spectrum from below by this.
        let penalised = settings.l2 / if settings.intercept { 1.0 + trace } else { 1.0 };
        let least = (smallest.max(penalised) / scale).min(TOP);

        let mut wanted = InverseSettings {
            order,
            parties,
            sigma: LEAST_SIGMA,
            // The shift below is far under 1/1024.
            diagonal: (largest / scale + 1.0 / 1024.0).min(15.0 / 16.0),
            least,
            start: StartBound::Identity,
            aim: Aim::Checked,
            reuse: true,
        };
        let masked = InversePlan::masked_elements(&wanted)
            + SolutionPlan::masked_elements(order, REFINEMENTS);
        wanted.sigma = (41 + libm::ceil(libm::log2(masked as f64)) as u32).max(LEAST_SIGMA);
        let too_large = |error: mpc_core::Error| {
            Error::Settings(format!(
                "a design of {order} columns and condition {} needs more bits than there are: \
                 {error}",
                settings.condition
            ))
        };
        let inverse = InversePlan::new(wanted).map_err(too_large)?;
        // Every party rounds each entry by at most 0.51 units; the Frobenius norm of all of it.
        let shift = libm::ceil(0.51 * f64::from(parties) * order as f64) as u64 + 1;
        if libm::ldexp(2.0 * shift as f64, -(inverse.fraction() as i32)) > 1.0 / 1024.0 {
            return refuse(format!("a design of {order} columns has too few fractional bits"));
        }
        // c = G^(1/2) u with |u|^2 <= |y|^2 / (n scale), and |y| <= 1 a row.
        let norm = libm::sqrt(1.0 / scale) * (1.0 + 1e-9);
        let solution = SolutionPlan::new(&inverse, shift, norm, REFINEMENTS).map_err(too_large)?;
        if settings.release_fraction > solution.fraction() {
            return refuse(format!(
                "the solution has {} fractional bits, fewer than output.release_bits {}",
                solution.fraction(),
                settings.release_fraction
            ));
        }
        Ok(Self { sigma: inverse.settings().sigma, settings, scale, shift, inverse, solution })
    }

    /// What the study says.
    #[must_use]
    pub fn settings(&self) -> &LinearSettings {
        &self.settings
    }

    /// Bits of statistical masking.
    #[must_use]
    pub fn sigma(&self) -> u32 {
        self.sigma
    }

    /// The number of parties.
    #[must_use]
    pub fn parties(&self) -> usize {
        self.settings.rows.len()
    }

    /// The rows of all parties.
    #[must_use]
    pub fn total_rows(&self) -> u64 {
        self.settings.rows.iter().sum()
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

    /// The correlations of the regression, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        let mut requests = self.inverse.requests(0);
        requests.extend(self.solution.requests(0, self.inverse.lefts()));
        requests
    }

    /// Fractional bits of the revealed diagonal of the inverse.
    #[must_use]
    pub fn diagonal_fraction(&self) -> u32 {
        DIAGONAL_FRACTION.min(self.inverse.inverse_fraction())
    }

    /// What the regression costs `me`, without what is revealed: independent of the rows.
    #[must_use]
    pub fn training_cost(&self, me: usize) -> Cost {
        self.inverse.cost(me) + self.solution.cost(me)
    }

    /// What revealing the outputs costs `me`, if every party receives all of them.
    #[must_use]
    pub fn release_cost(&self, me: usize) -> Cost {
        let weights = self.settings.weights();
        let output = |elements: usize, dropped: u32| {
            let bytes = elements * element_bytes(128 - dropped);
            Cost::to_all(me, self.parties(), 1, bytes as u64)
        };
        let check = output(1, self.inverse.residual_fraction() - CHECK_FRACTION);
        let model = output(weights, self.solution.fraction() - self.settings.release_fraction);
        let mut cost = check + model;
        if self.settings.inference {
            cost = cost + output(3, 0);
        }
        if self.settings.std_errors() {
            cost =
                cost + output(weights, self.inverse.inverse_fraction() - self.diagonal_fraction());
        }
        cost
    }
}

impl Plan for LinearPlan {
    fn canonical(&self) -> String {
        format!(
            "arithmetic {ARITHMETIC} linear {X_FRACTION} {Y_FRACTION} {CHECK_FRACTION} {:?} \
             scale={:?} shift={} inverse={:?} solution={:?}",
            self.settings, self.scale, self.shift, self.inverse, self.solution
        )
    }
}

impl LinearSettings {
    /// The number of coefficients, the intercept included.
    #[must_use]
    pub fn weights(&self) -> usize {
        self.mean_squares.len() + usize::from(self.intercept)
    }

    /// Whether standard errors are revealed: they are asked for, and there is no penalty.
    #[must_use]
    pub fn std_errors(&self) -> bool {
        self.inference && self.l2 == 0.0
    }

    /// What is subtracted from a target, and what the rest is divided by, so that it is from -1
    /// to 1. Without an intercept nothing may be subtracted.
    #[must_use]
    pub fn target_scale(&self) -> (f64, f64) {
        let (low, high) = self.target;
        if self.intercept {
            ((low + high) / 2.0, (high - low) / 2.0)
        } else {
            (0.0, low.abs().max(high.abs()))
        }
    }

    /// Bounds of the entries on the diagonal of X^T X / n + l2, rounding to fixed point included.
    fn diagonal(&self) -> Vec<f64> {
        // An entry of at most `clip` moves by 2^-29, and so does its mean square by less than
        // that times 2 clip + 1.
        let rounding = libm::ldexp(2.0 * self.clip + 1.0, -(X_FRACTION as i32));
        let mut all: Vec<f64> =
            self.mean_squares.iter().map(|square| square + rounding + self.l2).collect();
        if self.intercept {
            all.push(1.0);
        }
        all
    }

    fn check(&self) -> Result<(), Error> {
        has_parties(&self.rows)?;
        if self.mean_squares.is_empty() {
            return refuse("the study has no features".to_owned());
        }
        let rows = self.rows.iter().try_fold(0u64, |sum, &rows| sum.checked_add(rows));
        in_range("the number of rows", rows.unwrap_or(u64::MAX) as f64, 1.0, 1e9)?;
        in_range("the number of coefficients", self.weights() as f64, 1.0, 2000.0)?;
        in_range("model.l2", self.l2, 0.0, 1e3)?;
        in_range("model.clip", self.clip, 1e-3, 65536.0)?;
        in_range("training.condition", self.condition, 1.0, 1e9)?;
        in_range("output.release_bits", f64::from(self.release_fraction), 4.0, 24.0)?;
        for &square in &self.mean_squares {
            in_range("the mean square of a column", square, 0.0, self.clip * self.clip)?;
        }
        let (low, high) = self.target;
        in_range("the lower end of model.target.range", low, -1e15, 1e15)?;
        in_range("the upper end of model.target.range", high, -1e15, 1e15)?;
        if self.target_scale().1 <= 0.0 || low >= high {
            return refuse(format!("model.target.range is from {low} to {high}"));
        }
        if self.inference && rows.unwrap_or(0) <= self.weights() as u64 {
            return refuse(format!(
                "{} rows leave nothing to estimate the variance of {} coefficients from",
                rows.unwrap_or(0),
                self.weights()
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Categorical, CategoricalMissing, NumericMissing, NumericTarget, Target};

    fn settings() -> LinearSettings {
        LinearSettings {
            rows: vec![500, 300, 200],
            mean_squares: vec![STANDARDISED; 100],
            intercept: true,
            l2: 0.0,
            clip: 8.0,
            condition: 141.0,
            target: (0.0, 100.0),
            release_fraction: 20,
            inference: true,
        }
    }

    #[test]
    fn columns_are_bounded_by_what_the_study_says() {
        let numeric = |name: &str, range, scale, indicator| {
            let missing = if indicator { NumericMissing::Mean } else { NumericMissing::Refuse };
            let kind = FeatureKind::Numeric(Numeric { range, missing, indicator, scale });
            Feature { name: name.into(), kind }
        };
        let levels = ["a", "b", "c"].map(String::from).to_vec();
        let missing = CategoricalMissing::Base;
        let words = Categorical { levels, base: "a".into(), missing };
        let features = vec![
            numeric("joint", None, Scaling::Joint, true),
            numeric("range", Some((-1.0, 3.0)), Scaling::None, false),
            numeric(
                "constants",
                Some((0.0, 8.0)),
                Scaling::Constants { mean: 2.0, std: 3.0 },
                false,
            ),
            numeric("unknown", None, Scaling::Constants { mean: 2.0, std: 3.0 }, false),
            Feature { name: "words".into(), kind: FeatureKind::Categorical(words) },
        ];
        let target = Target::Numeric(NumericTarget { column: "y".into(), range: None });
        let schema = Schema::new(features, target).expect("valid");
        let expected = [1.0, 1.0, 9.0, 4.0, 16.0, 1.0, 1.0];
        let bounds = mean_squares(&schema, 4.0);
        assert_eq!(bounds.len(), schema.columns().len());
        for (bound, expected) in bounds.iter().zip(expected) {
            assert!(*bound >= expected && *bound <= expected * 1.001, "{bound} {expected}");
        }
        // The two indicators of `words` are never 1 in the same row.
        let total = total_mean_square(&schema, 4.0);
        assert!((32.0..32.1).contains(&total), "{total}");
        assert!(mean_squares(&schema, 0.5).iter().all(|&square| square <= 0.25));
    }

    #[test]
    fn the_study_of_the_design_keeps_to_its_rounds() {
        let plan = LinearPlan::new(settings()).expect("fits");
        assert_eq!(plan.inverse().rounds(), 61);
        assert!((plan.training_cost(0) + plan.release_cost(0)).rounds <= 75);
        // A hundred times the rows: the same bytes.
        let more = LinearSettings { rows: vec![50_000, 30_000, 20_000], ..settings() };
        let more = LinearPlan::new(more).expect("fits");
        assert_eq!(plan.training_cost(1), more.training_cost(1));
        // The clip does not matter where columns are standardised.
        let wide = LinearPlan::new(LinearSettings { clip: 64.0, ..settings() }).expect("fits");
        assert_eq!(plan.inverse().rounds(), wide.inverse().rounds());
        assert_ne!(plan.canonical(), wide.canonical());
    }

    #[test]
    fn a_penalty_saves_rounds() {
        let plan = LinearPlan::new(settings()).expect("fits");
        let ridge = LinearPlan::new(LinearSettings { l2: 0.1, ..settings() }).expect("fits");
        assert!(ridge.inverse().rounds() < plan.inverse().rounds());
        assert!(!ridge.settings().std_errors());
    }
}
