//! What a linear regression reveals, and what its parties compare and are told beforehand.

use mpc_core::Cost;

use super::plan::{CHECK_FRACTION, LinearPlan, X_FRACTION, Y_FRACTION};
use crate::error::Error;
use crate::inference;
use crate::model::{Canonical, Figures, Output, Plan, UNCHECKED, steps};

/// The output that says whether the inverse has converged: the sum of the errors of its spectrum.
/// Always for everybody, and first.
pub const CHECK: &str = "convergence check";
/// The output that reveals the coefficients.
pub const COEFFICIENTS: &str = "coefficients";
/// The output that shows that the coefficients are the optimum of the parties' rows: the gradient
/// there.
pub const CERTIFICATE: &str = "gradient at the coefficients";
/// The output that reveals the diagonal of the inverse of X^T X, for standard errors.
pub const DIAGONAL: &str = "diagonal of the inverse";
/// The output that reveals the sum of squared residuals, and the sum and the sum of squares of
/// the targets about the intercept.
pub const SUMS: &str = "sums of squares";

/// The version of the arithmetic: to be raised when a rounding or a scale changes.
const ARITHMETIC: u32 = 5;

/// What is said where the parties hold columns.
const UNCHECKED_EQUATIONS: &str = "the parties hold different columns, so none of them can compute on its own whether the equations are \
     those of the rows: it is checked that the model solves the equations, and whoever receives it trusts \
     that all kept to the protocol where these were made";

impl Plan for LinearPlan {
    fn outputs(&self) -> Vec<Output> {
        if let Some(crossed) = self.crossed() {
            return crossed.outputs();
        }
        let (settings, recipients) = (self.settings(), self.facts().recipients);
        let how = format!("in {} of half the target's range", steps(settings.release_bits));
        let check = "whether the equations could be solved: how far the computed inverse is from \
                     an exact one, in one figure for all columns together";
        let (columns, intercept) = (self.encoding().columns, settings.intercept);
        let mut outputs = vec![Output::check(CHECK, check)];
        if let Ok(Some(owners)) = self.owners() {
            outputs.extend(owners.outputs(&how));
            return outputs;
        }
        outputs.push(Output::coefficients(COEFFICIENTS, recipients, columns, intercept, &how));
        if self.facts().for_all() {
            let what = "that the model is right: the gradient of the joint rows at the coefficients, \
                        which is zero but for some units of rounding";
            let why = if self.cross().is_some() {
                "it is computed from the shares of the equations, so the model is the solution of the \
                 equations that the parties solved; whether these are those of their columns nobody can check, \
                 since none has whole rows"
            } else {
                "each party computes its own part at the revealed model, so the model is the \
                 optimum of the parties' rows and nothing else; if it is not, the study ends \
                 without a model"
            };
            outputs.push(Output::result(CERTIFICATE, recipients, what, why));
        }
        if settings.std_errors() {
            let what = format!(
                "the uncertainty of each coefficient{} (its variance)",
                if intercept { " and the intercept" } else { "" }
            );
            let why = "standard errors, tests and confidence intervals of the coefficients are \
                       computed from these figures at the recipients; correlations between \
                       coefficients are not revealed";
            outputs.push(Output::result(DIAGONAL, recipients, what, why));
        }
        if settings.inference {
            let what = "how well the model fits: the sum of the squared residuals, and the sum and \
                        the sum of the squares of the target";
            let mut why =
                "the variance of the residuals, R2 and the F test are computed from these \
                           figures at the recipients"
                    .to_owned();
            if self.cross().is_some() {
                why += ". The sum and the sum of squares of the target are those of the party that has it: \
                        everybody learns its mean and its standard deviation; set inference = false to \
                        avoid this";
            } else if self.parties() == 2 {
                why += ". WARNING: with two parties, each can compute its own part of these sums, \
                        and learns by subtraction the other's sum of squared residuals, and the \
                        mean and the standard deviation of its target; set inference = false to \
                        avoid this";
            }
            outputs.push(Output::result(SUMS, recipients, what, why));
        }
        outputs.extend(inference::outputs(&settings.asked(), self.tests(), recipients));
        outputs
    }

    fn canonical(&self) -> Result<Canonical, Error> {
        if let Some(crossed) = self.crossed() {
            return crossed.canonical();
        }
        // What follows from settings and facts, if both compute alike.
        let derived = (
            (X_FRACTION, Y_FRACTION, CHECK_FRACTION, self.sigma()),
            (self.scale().to_bits(), self.shift(), self.inverse().steps() as u64),
            (self.inverse().fraction(), self.solution().fraction(), self.diagonal_fraction()),
            self.gradient_fraction(),
        );
        let canonical = Canonical::new("linear", ARITHMETIC)
            .with(self.settings())?
            .with(self.facts())?
            .field("scales that follow", &derived)?;
        let canonical = match self.cross() {
            Some(cross) => canonical.field("products that follow", &cross.canonical())?,
            None => canonical,
        };
        match self.elimination() {
            Some(how) => canonical.field("elimination that follows", &how.canonical()),
            None => Ok(canonical),
        }
    }

    fn cost(&self, me: usize) -> Cost {
        match self.crossed() {
            Some(crossed) => crossed.cost(me),
            None => self.training_cost(me) + self.release_cost(me),
        }
    }

    fn figures(&self) -> Figures {
        if let Some(crossed) = self.crossed() {
            return crossed.figures();
        }
        let condition = self.condition();
        let (_, half) = self.encoding().target_scale();
        let unit = libm::ldexp(half, -(self.settings().release_bits as i32));
        let mut precision = vec![
            format!("standardised coefficients are released in steps of {unit:.1e}"),
            format!(
                "columns with a condition number up to {condition} are solved; beyond that the \
                 study may end without a model"
            ),
        ];
        if self.cross().is_some() {
            let fraction = self.cross().map_or(0, |cross| cross.fraction);
            precision.push(format!(
                "entries are rounded to {} before they are multiplied",
                steps(fraction)
            ));
            if let Some(how) = self.elimination() {
                precision.push(format!(
                    "party {}, which has the most columns, eliminates its {} by itself; that its own \
                     coefficients belong to them is its word",
                    how.widest.party + 1,
                    how.widest.columns.len()
                ));
            }
            precision.push(UNCHECKED_EQUATIONS.to_owned());
        } else if !self.facts().for_all() {
            precision.push(UNCHECKED.to_owned());
        }
        Figures {
            steps: self.inverse().steps() as u64,
            sigma: self.sigma(),
            precision,
            accuracy: vec![format!("the largest condition number {condition} of the columns")],
            ..Figures::default()
        }
    }
}
