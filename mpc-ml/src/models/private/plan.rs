//! The plan of a fit with differential privacy (docs/protocols.md 16): how many noisy sums there are, how long a
//! row's contribution to each may be, and how much noise that takes.

use mpc_core::noise::DiscreteGaussian;
use mpc_core::{Cost, Recipients};

use super::settings::PrivateSettings;
use crate::artifact::ModelKind;
use crate::error::Error;
use crate::model::{Canonical, Facts, Figures, Output, Plan, in_range};
use crate::privacy::Rho;

/// The version of the arithmetic.
const ARITHMETIC: u32 = 2;
/// Units in one: contributions are integers.
pub(super) const UNIT: f64 = (1 << 20) as f64;
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

/// Numbers that share a bound and a noise.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    /// How many.
    pub(super) values: usize,
    /// The longest that one row's contribution to them may be.
    pub(super) bound: u64,
    /// What each party adds to each of them.
    pub(super) noise: DiscreteGaussian,
}

/// What is fitted how: public numbers alone.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    pub(super) kind: ModelKind,
    /// Columns and the intercept.
    pub(super) order: usize,
    pub(super) parties: usize,
    pub(super) rows: f64,
    /// Rows are shortened to this length, without the intercept.
    pub(super) longest: f64,
    /// Whether the first sum is the matrix of products.
    pub(super) moments: bool,
    /// Gradients.
    pub(super) gradients: usize,
    /// The residual is cut to it.
    pub(super) residual: f64,
    /// A target of a linear model is (y - centre) / half; a count is cut to `half`.
    pub(super) centre: f64,
    pub(super) half: f64,
    /// The weight of half the squared coefficients.
    pub(super) ridge: f64,
}

impl Recipe {
    /// The length of a shortened row with its intercept.
    fn length(&self) -> f64 {
        libm::sqrt(self.longest * self.longest + 1.0)
    }

    /// The largest magnitude of what the row is multiplied by in the first sum.
    fn first(&self) -> f64 {
        match self.kind {
            ModelKind::Logistic => 0.5,
            ModelKind::Poisson => self.half,
            ModelKind::Linear | ModelKind::Multinomial => 1.0,
        }
    }
}

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
            ModelKind::Linear | ModelKind::Multinomial => 2.0 / 3.0,
            _ => 0.75,
        };
        let mut recipe = Recipe {
            kind: settings.kind,
            order: columns + 1,
            parties,
            rows,
            longest: longest * libm::sqrt(features as f64),
            moments: true,
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
        let sums = sums(settings, &recipe, rho)?;
        Ok(Self { settings: settings.clone(), facts: facts.clone(), recipe, sums, signal })
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
        all.push(
            "no standard errors: those of a fit without noise would be too small here, and the usual tests do not \
             hold"
                .to_owned(),
        );
        if self.recipe.kind == ModelKind::Poisson {
            all.push(format!("counts above {} were cut to it", self.recipe.half));
        }
        all
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

/// The noisy sums, whose rho add up to no more than `rho`.
fn sums(settings: &PrivateSettings, recipe: &Recipe, rho: Rho) -> Result<Vec<Vec<Part>>, Error> {
    let length = recipe.length();
    let part = |values: usize, real: f64, rho: Rho| {
        let bound = (real * UNIT).ceil() as u64 + 1;
        let moved = u128::from(bound) * u128::from(settings.times());
        let noise = DiscreteGaussian::at_least(rho.noise(moved * moved)?)?;
        // Sixty-four deviations are never seen.
        let noisy = 64.0 * libm::sqrt(noise.parameter() as f64) * recipe.parties as f64;
        if recipe.rows * bound as f64 + noisy > libm::ldexp(1.0, 62) {
            return Err(Error::Settings(format!(
                "sums of {} rows with contributions of {bound} units do not fit 64 bits: fewer rows, or a \
                 narrower range of the target",
                recipe.rows
            )));
        }
        Ok(Part { values, bound, noise })
    };
    let order = recipe.order;
    let mut all = Vec::new();
    let mut left = rho;
    if recipe.moments {
        let first = rho.hundredths(25);
        let matrix = match recipe.kind {
            ModelKind::Poisson => first.hundredths(30),
            ModelKind::Linear | ModelKind::Multinomial => first.hundredths(40),
            ModelKind::Logistic => first.hundredths(60),
        };
        all.push(vec![
            part(order * (order + 1) / 2, length * length, matrix)?,
            part(order, recipe.first() * length, first.saturating_sub(matrix))?,
        ]);
        left = rho.saturating_sub(first);
    }
    let each = left.part(recipe.gradients as u64);
    let gradient = part(order, recipe.residual * length, each)?;
    all.extend(std::iter::repeat_n(vec![gradient], recipe.gradients));
    Ok(all)
}

impl Plan for PrivatePlan {
    fn outputs(&self) -> Vec<Output> {
        let why = format!(
            "the model follows from them alone, by a public rule: {}",
            self.settings.in_words()
        );
        let matrix = "sums over all parties' rows with noise of every party in each number: the products of the \
                      columns with each other and with the target";
        let gradient = "sums over all parties' rows with noise of every party in each number: the columns times \
                        what the model so far is off by; the last ones give the model";
        (0..self.sums.len())
            .map(|sum| {
                let what = if sum == 0 && self.recipe.moments { matrix } else { gradient };
                Output::result(label(sum), Recipients::All, what, why.clone())
            })
            .collect()
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
        let accuracy = vec![format!("{} noisy sums", self.sums.len())];
        Figures { steps: self.sums.len() as u64, precision, accuracy, ..Figures::default() }
    }
}
