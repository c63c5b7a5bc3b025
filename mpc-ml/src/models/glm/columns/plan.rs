//! The plan of a fit on columns (docs/protocols.md 13.4).

use std::ops::Range;

use mpc_core::Cost;
use mpc_core::correlations::Origin;

use super::super::family::Family;
use super::super::link::{E_FRACTION, Link};
use super::super::plan::X_FRACTION;
use super::super::settings::{Finish, GlmSettings, Iterates};
use super::information::Information;
use super::scales::{Scales, Stage};
use super::{cost, labels};
use crate::error::Error;
use crate::inference::Robust;
use crate::model::{Canonical, Facts, Figures, Output, Owners, Plan, Settings, UNCHECKED_COLUMNS};
use crate::models::linear::cross::CrossPlan;
use crate::models::linear::{LinearPlan, LinearSettings};

/// The version of the arithmetic: to be raised when a rounding or a table changes.
const ARITHMETIC: u32 = 3;
/// A direction of the columns is told from rounding down to the products of so many rows.
const INFORMATION: f64 = 0.25;
/// The condition that an inverse is planned for, at most and at least.
const CONDITIONS: (f64, f64) = (65_536.0, 4.0);
/// What stands for the curvature of a row beside a penalty.
const CURVATURE: (f64, f64) = (0.25, 1.0);
/// Scores up to this are within the series of a logistic mean, up to so much where standard errors are told,
/// and up to so much from the mean those of a rate.
const EDGE: (f64, f64, f64) = (28.0, 24.0, 4.0);
/// Entries of a matrix with a dealer whose rows are spread, for each entry: see `Information`.
const SPREAD: u64 = 4;

/// The columns of a party.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Their places in the design matrix.
    pub(super) columns: Range<usize>,
    pub(super) owner: usize,
}

/// A fit on columns, planned.
#[derive(Clone, Debug)]
pub(in super::super) struct ColumnsPlan {
    pub(in super::super) settings: GlmSettings,
    pub(in super::super) facts: Facts,
    rows: u64,
    /// The parties that have columns.
    pub(super) parts: Vec<Part>,
    /// Who receives which coefficients, where nobody receives all.
    pub(super) owners: Option<Owners>,
    /// The same where all receive all: each its own first, to see that the mean was computed right.
    pub(super) first: Option<Owners>,
    pub(super) link: Link,
    /// How the products of all columns are made and inverted.
    pub(super) gram: LinearPlan,
    /// No entry of the design matrix is larger.
    pub(super) largest: f64,
    costs: Vec<Cost>,
}

impl ColumnsPlan {
    /// # Errors
    /// [`Error::Field`] or [`Error::Settings`] with the rule and the numbers.
    pub(in super::super) fn new(settings: &GlmSettings, facts: &Facts) -> Result<Self, Error> {
        settings.validate()?;
        facts.rows_for::<super::super::Glm>()?;
        check(settings, facts)?;
        let (rows, order) = (facts.total_rows(), facts.columns() + usize::from(settings.intercept));
        let mut parts = Vec::new();
        for owner in 0..facts.parties() {
            let columns = facts.columns_of(owner)?;
            if !columns.is_empty() {
                parts.push(Part { columns, owner });
            }
        }
        let public = facts.mean_squares.iter().fold(1.0f64, |most, &square| most.max(square));
        let largest = settings.clip.min(libm::sqrt(public * rows as f64)).max(1.0);
        // What is opened under statistical masks in the passes.
        let passes = u64::from(settings.passes);
        let mut opened = passes * (rows * parts.len() as u64 + order as u64);
        if facts.origin == Origin::Dealer {
            opened += rows * order as u64;
        }
        if settings.inference {
            let owners = parts.len() as u64;
            opened += Information::masked_elements(rows, owners, order as u64);
            if facts.origin == Origin::Dealer {
                opened += rows * order as u64 * SPREAD;
            }
        }
        let gram = gram(settings, facts, largest, opened)?;
        let owners = || Owners::of(facts, settings.intercept);
        let mut plan = Self {
            settings: settings.clone(),
            owners: facts.own.then(owners).transpose()?,
            first: facts.for_all().then(owners).transpose()?,
            facts: facts.clone(),
            rows,
            parts,
            link: Link::columns(settings.family),
            gram,
            largest,
            costs: Vec::new(),
        };
        if plan.entry_bits() > 30 {
            let rule =
                format!("lets entries of {largest} pass; at most 2^16 fit: set a smaller one");
            return Err(Error::field("clip", rule));
        }
        // With a mean as good as any: what would not fit is refused before anything is sent.
        let scales = Scales::new(&plan, 0.0)?;
        for stage in [Stage::Coarse, Stage::Fine] {
            scales.no_wrap(&plan, 64.0, stage)?;
        }
        let information = settings
            .inference
            .then(|| Information::new(&plan, plan.edges(0.0), 1.0))
            .transpose()?;
        let cost = |me| cost::expected(&plan, (&scales, information.as_ref()), me);
        plan.costs = (0..plan.parties()).map(cost).collect();
        Ok(plan)
    }

    pub(in super::super) fn parties(&self) -> usize {
        self.facts.parties()
    }

    /// The number of coefficients, the intercept included.
    pub(in super::super) fn order(&self) -> usize {
        self.facts.columns() + usize::from(self.settings.intercept)
    }

    pub(in super::super) fn total_rows(&self) -> u64 {
        self.rows
    }

    /// Bits of statistical masking.
    pub(in super::super) fn sigma(&self) -> u32 {
        self.gram.sigma()
    }

    /// Entries of the design matrix are below 2^this in magnitude.
    pub(super) fn entry_bits(&self) -> u32 {
        X_FRACTION + libm::ceil(libm::log2(self.largest * 1.001)) as u32 + 1
    }

    /// t: the inverse of X^T X is that of a matrix below 15/16, over 2^t.
    pub(super) fn exponent(&self) -> u32 {
        self.gram.scale_bits().max(0) as u32
    }

    /// Whether each party can tell how large its part of a score may be at the model.
    pub(super) fn knows_parts(&self) -> bool {
        self.owners.is_some() || self.facts.for_all()
    }

    /// The bounds between which scores must be: from `centre` for rates.
    pub(super) fn edges(&self, centre: f64) -> (f64, f64) {
        match self.settings.family {
            Family::Logistic if self.settings.inference => (-EDGE.1, EDGE.1),
            Family::Logistic => (-EDGE.0, EDGE.0),
            Family::Poisson => (centre - EDGE.2, centre + EDGE.2),
        }
    }
}

/// How the products of all columns are made and inverted: as those of a linear model with as large a
/// condition as there are rows for, or as fits.
fn gram(
    settings: &GlmSettings,
    facts: &Facts,
    clip: f64,
    opened: u64,
) -> Result<LinearPlan, Error> {
    let curvature = match settings.family {
        Family::Logistic => CURVATURE.0,
        Family::Poisson => CURVATURE.1,
    };
    let facts = Facts {
        target: facts.target.or(Some((0.0, 1.0))),
        offset: None,
        recipients: mpc_core::Recipients::All,
        own: false,
        ..facts.clone()
    };
    let mut condition =
        libm::sqrt(facts.total_rows() as f64 / INFORMATION).clamp(CONDITIONS.1, CONDITIONS.0);
    loop {
        let linear = LinearSettings {
            intercept: settings.intercept,
            l2: (settings.l2 / curvature).min(1e3),
            clip,
            condition: Some(condition),
            release_bits: 8,
            ..LinearSettings::default()
        };
        match LinearPlan::beside(&linear, &facts, opened) {
            Ok(plan) => return Ok(plan),
            Err(Error::Settings(_)) if condition / 2.0 >= CONDITIONS.1 => condition /= 2.0,
            Err(error) => return Err(error),
        }
    }
}

/// Refuses what there is not for parties that hold columns.
fn check(settings: &GlmSettings, facts: &Facts) -> Result<(), Error> {
    const COLUMNS: &str = "where the parties hold different columns";
    let refused = |field: &str, what: &str| Err(Error::field(field, format!("{what} {COLUMNS}")));
    if facts.columns() == 0 {
        return Err(Error::field("features", "are missing: there is nothing to fit"));
    }
    if settings.inference && !facts.for_all() {
        let rule = "is for all parties where they hold different columns: standard errors are made at a model \
                    that all know. Give the model to all, or set inference = false";
        return Err(Error::field("inference", rule));
    }
    let others = [
        (
            "robust",
            settings.robust != Robust::None,
            "needs each residual beside all columns of its row, which no party has",
        ),
        ("covariance", settings.covariance, "is not told"),
        ("tests", !settings.tests.is_empty(), "are not told"),
        (
            "contrasts",
            !settings.contrasts.is_empty(),
            "need the scales of all columns, of which each party knows its own",
        ),
    ];
    if let Some((field, _, what)) = others.iter().find(|(_, asked, _)| *asked) {
        return refused(field, &format!("{what}: remove it"));
    }
    if settings.finish == Finish::Open {
        return refused(
            "finish",
            "cannot be \"open\": nobody has whole rows to make the last steps in the clear from, so take \
             \"auto\"",
        );
    }
    if settings.iterates == Iterates::Revealed {
        return refused("iterates", "cannot be \"revealed\": remove it");
    }
    if facts.weights.is_some() {
        return refused(
            "weights",
            "are not possible: the weights of rows are at one party alone. Remove them",
        );
    }
    if facts.groups {
        return refused("groups", "have no place: remove them");
    }
    if settings.family == Family::Poisson {
        if !facts.target.is_some_and(|(_, most)| most >= 1.0) {
            let rule = "needs a range that holds all its counts: the scales follow from it";
            return Err(Error::field("target", rule));
        }
        if !(facts.own || facts.for_all()) {
            let rule = "must be all parties, or \"own\", in a Poisson model whose parties hold different \
                        columns: each party checks at its coefficients that no rate leaves the window of the \
                        series";
            return Err(Error::field("recipients", rule));
        }
    }
    Ok(())
}

impl Plan for ColumnsPlan {
    fn outputs(&self) -> Vec<Output> {
        labels::outputs(self)
    }

    fn canonical(&self) -> Result<Canonical, Error> {
        let gram = self.gram.inverse();
        let derived = (
            (self.sigma(), self.entry_bits(), self.exponent()),
            (gram.fraction(), gram.inverse_fraction(), gram.steps() as u64),
        );
        let cross = self.gram.cross().map(CrossPlan::canonical);
        Canonical::new("glm on columns", ARITHMETIC)
            .with(&self.settings)?
            .with(&self.facts)?
            .field("scales that follow", &derived)?
            .field("products that follow", &cross)?
            .field("series", &(self.link.period(), E_FRACTION, self.link.constant))
    }

    fn cost(&self, me: usize) -> Cost {
        self.costs[me].clone()
    }

    fn checkpoints(&self) -> u64 {
        cost::passes(self)
    }

    fn figures(&self) -> Figures {
        let mut precision = vec![
            format!(
                "{} standard errors from the optimum, as far as the last steps tell, or what the noise of \
                 the randomness leaves",
                self.settings.tolerance
            ),
            UNCHECKED_COLUMNS.to_owned(),
        ];
        if !self.knows_parts() {
            precision.push(
                "nobody can see whether scores leave the window of the logistic function, since not all \
                 parties receive their coefficients"
                    .to_owned(),
            );
        }
        Figures {
            steps: u64::from(self.settings.passes),
            passes: true,
            sigma: self.sigma(),
            precision,
            public: vec!["the number of passes over the data".to_owned()],
            ..Figures::default()
        }
    }
}
