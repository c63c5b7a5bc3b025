//! The plan of a fit: what follows from settings and public facts before a share is sent
//! (docs/protocols.md 8). What follows from revealed integers on the way is in `scales`.

use mpc_core::Cost;
use mpc_core::correlations::{MatrixShape, Origin};
use serde::Serialize;

use super::labels;
use super::link::{E_FRACTION, Link};
use super::scales::Scales;
use super::settings::{Finish, GlmSettings, Iterates};
use super::{Family, cost};
use crate::error::Error;
use crate::inference::{Contrast, ContrastPlan, INVERSE_STEPS, WaldPlan};
use crate::model::{Canonical, Facts, Figures, Output, Plan, Settings};

/// The version of the arithmetic: to be raised when a rounding or a table changes.
const ARITHMETIC: u32 = 6;
/// Fractional bits of the entries of the design matrix in products with shares.
pub(super) const X_FRACTION: u32 = 12;
/// The largest matrix that is inverted on shares.
const MOST_ORDER: usize = 256;
/// Rows that each party has for each coefficient where owners' inverses take the place of a joint one.
const ROWS_A_COLUMN: u64 = 1;
/// Models that are revealed on the way where the study says that they may be, and steps in the clear
/// from a model near the optimum else.
const REVEALED: u32 = 6;
const STEPS_IN_THE_CLEAR: u32 = 4;
/// Between two parties, fits of fewer coefficients than this show fewer models.
const FEW_COEFFICIENTS: usize = 12;

/// What makes a step of a gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Preconditioner {
    /// The inverse of the sum of the owners' curvatures.
    Inverse,
    /// The mean of the owners' own inverses, for hundreds of columns.
    Owners,
}

/// A fit, planned.
#[derive(Clone, Debug)]
pub struct RowsPlan {
    pub(super) settings: GlmSettings,
    pub(super) facts: Facts,
    pub(super) rows: Vec<u64>,
    pub(super) link: Link,
    pub(super) finish: Finish,
    pub(super) preconditioner: Preconditioner,
    /// Bits of statistical masking of what is opened.
    pub(super) sigma: u32,
    /// Bits of statistical masking of a dealer's masked matrices.
    pub(super) matrix_sigma: u32,
    /// No entry of the design matrix is larger.
    pub(super) largest: f64,
    /// The joint tests.
    pub(super) tests: Vec<WaldPlan>,
    /// The combinations of coefficients.
    pub(super) contrasts: Vec<ContrastPlan>,
    /// What the fit is expected to cost each party, and what noise is expected to move a coefficient
    /// by, in standard errors.
    costs: Vec<Cost>,
    noise: f64,
}

impl RowsPlan {
    /// Plans a fit.
    ///
    /// # Errors
    /// [`Error::Field`] or [`Error::Settings`] with the rule and the numbers.
    pub fn new(settings: &GlmSettings, facts: &Facts) -> Result<Self, Error> {
        Self::one_of(1, settings, facts)
    }

    /// The same of one of so many like it in a session, whose openings under statistical masks count together.
    pub(super) fn one_of(fits: u64, settings: &GlmSettings, facts: &Facts) -> Result<Self, Error> {
        settings.validate()?;
        let rows = facts.rows_for::<super::Glm>()?;
        if facts.own {
            let rule = "cannot be \"own\" where the parties hold whole rows";
            return Err(Error::field("recipients", rule));
        }
        let order = facts.columns() + usize::from(settings.intercept);
        let total = facts.total_rows();
        if order == 0 {
            return Err(Error::field("features", "are missing: there is nothing to fit"));
        }
        let few = order <= MOST_ORDER;
        let finish = match settings.finish {
            Finish::Auto if few && facts.for_all() => Finish::Open,
            Finish::Auto => Finish::Hidden,
            told => told,
        };
        open(settings, facts, finish, few, order)?;
        let preconditioner = if few { Preconditioner::Inverse } else { Preconditioner::Owners };
        if !few {
            many_columns(settings, &rows, order)?;
        }
        settings.asked().fits(facts)?;
        if settings.inference && total <= order as u64 {
            let rule =
                format!("is not possible: {total} rows do not determine {order} coefficients");
            return Err(Error::field("inference", rule));
        }
        if settings.iterates == Iterates::Revealed {
            revealed(&rows, order)?;
        }

        let tests = WaldPlan::of(&settings.tests, &facts.features)?;
        let contrasts = Contrast::plan(&settings.contrasts, &facts.names, settings.intercept)?;
        // Openings under statistical masks, of all inverses and of every lifted step.
        let (d, passes) = (order as u64, u64::from(settings.passes));
        let inverses = if few { 1 + u64::from(REVEALED) } else { 0 };
        let lifted = if settings.l2 > 0.0 { passes * (total + d) } else { 0 };
        let steps = |d: u64| INVERSE_STEPS * (5 * d * d / 2 + 3 * d);
        let opened = fits * (inverses * steps(d) + WaldPlan::masked_elements(&tests) + lifted);
        let bits = |count: u64| 64 - count.max(1).leading_zeros();
        let dealer = u32::from(facts.origin == Origin::Dealer);
        let sigma = (41 + dealer + bits(opened)).max(53);
        let matrix_sigma = (42 + bits(2 * fits * total * d)).max(53);
        let public = facts.mean_squares.iter().fold(1.0f64, |most, &square| most.max(square));
        let largest = settings.clip.min(libm::sqrt(public * total as f64)).max(1.0);
        let tests = tests.into_iter().map(|test| test.with_inverse(rows.len(), sigma));
        let tests = tests.collect::<Result<_, _>>()?;
        let mut plan = Self {
            link: Link::new(settings.family, finish == Finish::Hidden),
            settings: settings.clone(),
            facts: facts.clone(),
            rows,
            finish,
            preconditioner,
            sigma,
            matrix_sigma,
            largest,
            tests,
            contrasts,
            costs: Vec::new(),
            noise: 0.0,
        };
        if plan.entry_bits() > 30 {
            return Err(Error::field(
                "clip",
                format!("lets entries of {largest} pass; at most 2^16 fit: set a smaller one"),
            ));
        }
        let expected = plan.expected()?;
        plan.noise = expected.noise();
        plan.costs = (0..plan.parties()).map(|me| cost::expected(&plan, &expected, me)).collect();
        Ok(plan)
    }

    /// The number of parties.
    #[must_use]
    pub fn parties(&self) -> usize {
        self.rows.len()
    }

    /// The number of coefficients, the intercept included.
    #[must_use]
    pub fn order(&self) -> usize {
        self.facts.columns() + usize::from(self.settings.intercept)
    }

    /// The rows of all parties.
    #[must_use]
    pub fn total_rows(&self) -> u64 {
        self.facts.total_rows()
    }

    /// What the study says.
    #[must_use]
    pub fn settings(&self) -> &GlmSettings {
        &self.settings
    }

    /// Bits of statistical masking of what is opened.
    #[must_use]
    pub fn sigma(&self) -> u32 {
        self.sigma
    }

    /// How the fit ends.
    #[must_use]
    pub fn finish(&self) -> Finish {
        self.finish
    }

    /// Whether coefficients are penalised.
    pub(super) fn penalised(&self) -> bool {
        self.settings.l2 > 0.0
    }

    /// Whether the transposed product takes a matrix of its own: rows times what their owner expects.
    pub(super) fn weighs_rows(&self) -> bool {
        self.settings.family == Family::Poisson || self.facts.weights.is_some()
    }

    /// Models that are revealed, the one near the optimum first.
    pub(super) fn most_revealed(&self) -> u32 {
        match self.settings.iterates {
            // Two parties could tell each other's sums from as many models of few coefficients.
            Iterates::Hidden if self.parties() == 2 && self.order() < FEW_COEFFICIENTS => {
                STEPS_IN_THE_CLEAR
            }
            _ => REVEALED,
        }
    }

    /// Entries of the design matrix are below 2^this in magnitude.
    pub(super) fn entry_bits(&self) -> u32 {
        X_FRACTION + libm::ceil(libm::log2(self.largest * 1.001)) as u32 + 1
    }

    /// Entries of the rows times what their owner expects are below 2^this.
    pub(super) fn weighed_bits(&self) -> u32 {
        match self.facts.origin {
            Origin::Pairwise => 30,
            Origin::Dealer => 30.min(94 - self.matrix_sigma),
        }
    }

    /// The shape of the design matrix, or of the rows times what their owner expects.
    pub(super) fn shape(&self, entry_bits: u32) -> MatrixShape {
        let columns = self.order() as u32;
        MatrixShape { rows: self.rows.clone(), columns, entry_bits, sigma: self.matrix_sigma }
    }

    /// What the fit would be if every row weighed as the joint mean says it does: refuses what would
    /// not fit then, before anything is sent.
    fn expected(&self) -> Result<Scales, Error> {
        let weight = match self.settings.family {
            Family::Logistic => 0.25,
            Family::Poisson => 1.0,
        };
        let squares = self.facts.total_mean_square + 1.0;
        let trace = self.total_rows() as f64 * self.facts.weights.unwrap_or(1.0) * squares * weight;
        let rows = self.total_rows() as f64 * self.facts.weights.unwrap_or(1.0);
        Scales::new(self, (rows, weight), trace, trace / weight)
    }
}

/// Refuses an open finish that cannot be.
fn open(
    settings: &GlmSettings,
    facts: &Facts,
    finish: Finish,
    few: bool,
    order: usize,
) -> Result<(), Error> {
    if finish == Finish::Open && !facts.for_all() {
        let rule = "is not possible where some parties do not receive the model: a model near it is \
                    shown to all; take finish = \"hidden\"";
        return Err(Error::field("finish", rule));
    }
    if finish == Finish::Open && !few {
        let rule = format!(
            "is not possible with {order} coefficients, whose curvature is not inverted on shares (at \
             most {MOST_ORDER}); take finish = \"hidden\""
        );
        return Err(Error::field("finish", rule));
    }
    if settings.family == Family::Poisson && finish == Finish::Hidden {
        let rule = if few {
            "is for all parties in a Poisson model: rates that leave the window of their series can only be \
             told where the last steps are made in the clear. Give the model to all"
        } else {
            "is not possible in a Poisson model with so many coefficients: leave columns out"
        };
        return Err(Error::field("finish", rule));
    }
    if settings.inference && finish == Finish::Hidden {
        let rule = if few {
            "is for all parties: standard errors are made at a revealed model. Give the model to all, \
             or set inference = false"
        } else {
            "is not possible with so many coefficients; set inference = false"
        };
        return Err(Error::field("inference", rule));
    }
    Ok(())
}

/// Refuses many columns where the owners' own inverses say too little.
fn many_columns(settings: &GlmSettings, rows: &[u64], order: usize) -> Result<(), Error> {
    if settings.l2 == 0.0 {
        let rule = format!(
            "must be above 0 with {order} coefficients: at most {MOST_ORDER} are fitted without a \
             penalty"
        );
        return Err(Error::field("l2", rule));
    }
    if rows.iter().any(|&rows| rows > 0 && rows < ROWS_A_COLUMN * order as u64) {
        let rule = format!(
            "are too many: with {order} coefficients (more than {MOST_ORDER}) every party needs at \
             least {} rows; leave columns out",
            ROWS_A_COLUMN * order as u64
        );
        return Err(Error::field("features", rule));
    }
    Ok(())
}

/// The limits of revealed iterates (docs/protocols.md 8.7).
fn revealed(rows: &[u64], order: usize) -> Result<(), Error> {
    let few = rows.iter().any(|&rows| rows < 100 * order as u64);
    if few || rows.len() == 2 && order < 12 {
        let rule = format!(
            "may be revealed only where every party has at least {} rows (100 for each coefficient) \
             and, between two parties, there are at least 12 coefficients; take iterates = \"hidden\"",
            100 * order
        );
        return Err(Error::field("iterates", rule));
    }
    Ok(())
}

impl Plan for RowsPlan {
    fn outputs(&self) -> Vec<Output> {
        labels::outputs(self)
    }

    fn canonical(&self) -> Result<Canonical, Error> {
        Canonical::new("glm", ARITHMETIC)
            .with(&self.settings)?
            .with(&self.facts)?
            .field("finish", &self.finish)?
            .field("sigma", &(self.sigma, self.matrix_sigma))?
            .field("series", &(self.link.period(), E_FRACTION, self.link.constant))
    }

    fn cost(&self, me: usize) -> Cost {
        self.costs[me].clone()
    }

    fn checkpoints(&self) -> u64 {
        cost::passes(self.settings.iterates, self.finish)
    }

    fn figures(&self) -> Figures {
        let mut precision = vec![format!(
            "at most {} standard errors from the optimum, checked at the end",
            self.settings.tolerance
        )];
        if self.finish == Finish::Hidden {
            precision = vec![format!(
                "the noise of the randomness moves a coefficient by about {:.1e} standard errors",
                self.noise
            )];
        }
        Figures {
            steps: u64::from(self.settings.passes),
            passes: true,
            sigma: self.sigma,
            precision,
            public: vec!["the number of passes over the data".to_owned()],
            ..Figures::default()
        }
    }
}
