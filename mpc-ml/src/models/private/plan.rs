//! The plan of a fit with differential privacy (docs/protocols.md 16): how many noisy sums there are, how long a
//! row's contribution to each may be, and how much noise that takes.

use mpc_core::{Cost, Recipients};

use super::newton;
use super::recipe::{Part, Recipe, What};
use super::settings::PrivateSettings;
use crate::artifact::ModelKind;
use crate::error::Error;
use crate::model::{Canonical, Facts, Figures, Output, Plan, in_range};
use crate::privacy::Rho;

/// The version of the arithmetic.
const ARITHMETIC: u32 = 2;
/// The least signal for each noise with which a study is run, and below which its result is rough.
const LEAST_SIGNAL: f64 = 5.0;
/// See [`LEAST_SIGNAL`].
const ROUGH_SIGNAL: f64 = 25.0;
/// Above it, a part of rho of a logistic model goes to a noisy matrix of products, by which steps are scaled.
const MOMENTS_FROM: f64 = 20.0;
/// The most columns: the matrix is then 33,000 numbers.
const MOST_COLUMNS: usize = 256;
/// The largest count that a Poisson model may be told of.
const MOST_COUNT: f64 = 10_000.0;

/// What follows from settings and public facts.
#[derive(Clone, Debug)]
pub struct PrivatePlan {
    pub(super) settings: PrivateSettings,
    pub(super) facts: Facts,
    pub(super) recipe: Recipe,
    /// The noisy sums, each of one part or several.
    pub(super) sums: Vec<Vec<Part>>,
    signal: f64,
}

/// The label of a noisy sum.
pub(super) fn label(sum: usize) -> String {
    format!("noisy sums {sum}")
}

impl PrivatePlan {
    pub(super) fn new(settings: &PrivateSettings, facts: &Facts) -> Result<Self, Error> {
        let all: u64 = facts.rows_for::<super::Private>()?.iter().sum();
        let (rows, parties) = (all as f64, facts.parties());
        let columns = facts.columns();
        if columns == 0 || columns > MOST_COLUMNS {
            let rule = format!("become {columns} columns; this model has from 1 to {MOST_COLUMNS}");
            return Err(Error::field("features", rule));
        }
        if facts.recipients != Recipients::All {
            let rule = "must be \"all\" with [privacy]: every party computes the next step from the \
                        noisy sums, so all know the model";
            return Err(Error::field("recipients", rule));
        }
        settings.guarantee().suits(all)?;
        let rho = settings.rho()?;
        let features = if facts.features.is_empty() { columns } else { facts.features.len() };
        let (centre, half) = target(settings, facts)?;
        let longest = match settings.kind {
            // Shortening would bias what standard errors are of.
            _ if settings.inference => 1.0,
            ModelKind::Linear | ModelKind::Multinomial => 2.0 / 3.0,
            _ => 0.75,
        };
        let mut recipe = Recipe {
            kind: settings.kind,
            order: columns + 1,
            parties,
            rows,
            longest: longest * libm::sqrt(features as f64),
            errors: settings.inference,
            moments: !settings.inference,
            gradients: 0,
            residual: 1.0,
            centre,
            half,
            ridge: 0.0,
        };
        let noise = recipe.length() * libm::sqrt((parties * recipe.order) as f64)
            / libm::sqrt(2.0 * rho.to_f64());
        let noise = noise * settings.times() as f64;
        let mut signal = rows / noise;
        match settings.kind {
            _ if settings.inference => {}
            ModelKind::Logistic => {
                recipe.moments = signal > MOMENTS_FROM;
                recipe.gradients = if recipe.moments { 8 } else { 10 };
                recipe.ridge =
                    if recipe.moments { 0.001 * rows } else { noise * noise / (0.15 * rows) };
            }
            ModelKind::Linear | ModelKind::Multinomial => {
                recipe.residual = 0.35;
                recipe.gradients = 12;
            }
            ModelKind::Poisson => {
                recipe.residual = (half / 2.0).max(1.0);
                recipe.gradients = 5;
                signal *= (2.0 / recipe.residual).min(1.0);
            }
        }
        if signal < LEAST_SIGNAL {
            return Err(too_noisy(settings, rho, signal, all));
        }
        let sums = recipe.sums(settings, rho)?;
        let plan = Self { settings: settings.clone(), facts: facts.clone(), recipe, sums, signal };
        plan.can_pass()?;
        Ok(plan)
    }

    /// What it spends, in the sense of its settings.
    ///
    /// # Errors
    /// None: the settings were checked.
    pub fn rho(&self) -> Result<Rho, Error> {
        self.settings.rho()
    }

    /// What the operator of every party should know about the result.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut all = Vec::new();
        if self.signal < ROUGH_SIGNAL {
            all.push(format!(
                "the noise is large for these rows: the signal is {:.0} times the noise, where {ROUGH_SIGNAL} \
                 are comfortable; coefficients of rare levels mean little",
                self.signal
            ));
        }
        if !self.settings.inference {
            all.push(
                "no standard errors: those of a fit without noise would be too small here, and the usual tests do \
                 not hold"
                    .to_owned(),
            );
        }
        if self.recipe.kind == ModelKind::Poisson {
            all.push(format!("counts above {} were cut to it", self.recipe.half));
        }
        all
    }
}

impl PrivatePlan {
    /// What the least eigenvalue of the last noisy matrix must be for standard errors, and the most that it can be.
    fn eigenvalues(&self) -> Option<(f64, f64)> {
        let recipe = &self.recipe;
        let matrix = self.sums.iter().rev().find(|parts| parts.len() > 1)?.first()?;
        let unit = recipe.deviation(matrix) * libm::sqrt(recipe.order as f64);
        Some((newton::LEAST * unit, recipe.curvature() * recipe.rows))
    }

    /// Refuses to ask for standard errors that no rows could have.
    fn can_pass(&self) -> Result<(), Error> {
        let Some((needed, most)) = self.eigenvalues().filter(|_| self.recipe.errors) else {
            return Ok(());
        };
        if needed < most {
            return Ok(());
        }
        let rule = format!(
            "cannot be had with this noise, whatever the rows are: of {} rows the least eigenvalue of the noisy matrix \
             is at most {most:.0}, and must be {needed:.0}. Ask for it with {:.0} rows or many more, with a larger \
             epsilon or fewer columns, or remove it",
            self.recipe.rows,
            (self.recipe.rows * needed / most).ceil()
        );
        Err(Error::field("inference", rule))
    }

    /// What asking for standard errors costs, and when there are some.
    fn asked(&self) -> Vec<String> {
        let Some((needed, _)) = self.eigenvalues().filter(|_| self.recipe.errors) else {
            return Vec::new();
        };
        let rows = needed / self.recipe.curvature();
        vec![
            "standard errors are asked for: about two fifths of epsilon go to a noisy matrix for them, and rows are not \
             shortened. Where rows are few, columns correlated or levels rare, coefficients are up to some three times as \
             far off as in a study that does not ask; elsewhere about the same"
                .to_owned(),
            format!(
                "whether there are standard errors is seen at the end, from released numbers: the least eigenvalue of \
                 the noisy matrix must be {needed:.0}. A level with fewer than about {rows:.0} rows of all parties makes \
                 that fail, and so may correlated columns; the coefficients are told all the same"
            ),
        ]
    }
}

/// Where the target lies: the middle and half the width of its range, of counts 0 and the largest.
fn target(settings: &PrivateSettings, facts: &Facts) -> Result<(f64, f64), Error> {
    let range = settings.typical_target.or(facts.target).ok_or_else(|| {
        let rule = "is missing: say between which numbers nearly all targets lie, from what is known without these \
                    rows, typical_target = [LOW, HIGH]; targets beyond are cut";
        Error::field("typical_target", rule)
    })?;
    const FIELD: &str = "typical_target";
    match settings.kind {
        ModelKind::Logistic => Ok((0.0, 1.0)),
        ModelKind::Poisson => {
            in_range(FIELD, range.1, 1.0, MOST_COUNT)?;
            Ok((0.0, range.1))
        }
        ModelKind::Linear | ModelKind::Multinomial => {
            in_range(FIELD, range.0, -1e12, 1e12)?;
            in_range(FIELD, range.1, -1e12, 1e12)?;
            let half = (range.1 - range.0) / 2.0;
            if half <= 0.0 {
                return Err(Error::field(FIELD, "is empty: give a smaller and a larger number"));
            }
            Ok((range.0 + half, half))
        }
    }
}

/// The refusal of a study whose noise exceeds its signal, with what would do.
fn too_noisy(settings: &PrivateSettings, rho: Rho, signal: f64, rows: u64) -> Error {
    let more = LEAST_SIGNAL / signal;
    let units = rho.in_units() as f64 * more * more;
    let epsilon = Rho::units(units as u64 + 1).epsilon(settings.delta);
    let epsilon = (epsilon * 10.0).ceil() / 10.0;
    let needed = (rows as f64 * more).ceil();
    let or = if epsilon <= 50.0 {
        format!(", or epsilon = {epsilon:.1} with these")
    } else {
        ", and no epsilon would do with these".to_owned()
    };
    Error::field(
        "epsilon",
        format!(
            "is {}, with which the noise exceeds the signal: of {rows} rows the signal is {signal:.1} times the \
             noise, and must be {LEAST_SIGNAL} times. Some {needed} rows would do (with a delta of at most a tenth \
             of 1 / rows){or}; fewer features, or fewer levels, do as well",
            settings.epsilon
        ),
    )
}

impl Plan for PrivatePlan {
    fn outputs(&self) -> Vec<Output> {
        let errors = if self.recipe.errors {
            ", and so do its standard errors where a public test of these sums allows them (which take about two fifths \
             of epsilon, and more noise in coefficients of rare levels and correlated columns)"
        } else {
            ""
        };
        let promise = self.settings.in_words();
        let why = format!("the model follows from them alone, by a public rule{errors}: {promise}");
        let told = |sum: usize| match self.recipe.what(sum) {
            What::Moments => "the products of the columns with each other and with the target",
            What::Gradient => {
                "the columns times what the model so far is off by; the last ones give the model"
            }
            What::Curvature => {
                "the products of the columns with each other, weighted by the curvature of the model so far, and the \
                 columns times what it is off by; the last ones give the model and its standard errors"
            }
            What::Spread => "the squares of what the model so far is off by, one number",
        };
        let of = "sums over all parties' rows with noise of every party in each number";
        let output = |sum| {
            let what = format!("{of}: {}", told(sum));
            Output::result(label(sum), Recipients::All, what, why.clone())
        };
        (0..self.sums.len()).map(output).collect()
    }

    fn canonical(&self) -> Result<Canonical, Error> {
        Canonical::new(super::NAME, ARITHMETIC)
            .with(&self.settings)?
            .with(&self.facts)?
            .field("number of features", &(self.facts.features.len() as u64))
    }

    fn cost(&self, me: usize) -> Cost {
        let values = |parts: &[Part]| parts.iter().map(|part| part.values as u64).sum::<u64>();
        let each = |parts: &Vec<Part>| {
            Cost::to_all(me, self.recipe.parties, 1, 8 * values(parts)).results(1)
        };
        self.sums.iter().map(each).fold(Cost::default(), std::ops::Add::add)
    }

    fn figures(&self) -> Figures {
        let mut precision = vec![
            self.settings.in_words(),
            format!("signal: {:.0} times the noise of all parties", self.signal),
        ];
        precision.extend(self.warnings());
        precision.extend(self.asked());
        let accuracy = vec![format!("{} noisy sums", self.sums.len())];
        Figures { steps: self.sums.len() as u64, precision, accuracy, ..Figures::default() }
    }
}
