//! The plan of a training: every scale, ring and bound, chosen from public facts before a share
//! is sent, and refused with the numbers where something could wrap.

use mpc_core::Cost;
use mpc_core::approx::fit::{Fit, Symmetry, fit};
use mpc_core::correlations::{MatrixShape, Origin, OwnedProductRequest, PhasorForm, Request};
use mpc_core::protocols::truncate::BoundedOpening;
use mpc_core::ring::wire::element_bytes;

use super::SgdSettings;
use super::schedule::Schedule;
use super::steps::{self, Steps};
use crate::error::Error;
use crate::model::{Facts, LEAST_SIGMA, Settings};
use crate::plaintext::centred_sigmoid;

/// Fractional bits of the design matrix.
pub const X_FRACTION: u32 = 12;
/// Fractional bits of the weights where they meet the data.
pub const W_FRACTION: u32 = 24;
/// Fractional bits of the residuals.
pub const E_FRACTION: u32 = 16;
/// Fractional bits of the public coefficients of the sigmoid.
pub const COEFFICIENT_FRACTION: u32 = 18;
/// Bits of the parties' own phasors at the most, where they make them.
const PHASOR_BITS: u32 = 9;
/// Residuals are below 2^this: more than 1 is needed where many parties' roundings add up.
const MOST_RESIDUAL_BITS: u32 = 3;

/// Owned products that may wait to be used, in bytes at each party.
const ORDERED_BYTES: u64 = 128 << 20;
const MOST_ORDERED_EPOCHS: u64 = 128;

/// A training, planned to the last bit (docs/protocols.md 5).
#[derive(Clone, Debug)]
pub struct SgdPlan {
    settings: SgdSettings,
    facts: Facts,
    schedule: Schedule,
    sigmoid: Fit,
    steps: Steps,
    /// The statistical security of every mask of the study.
    sigma: u32,
    /// How the weights are opened: E, k_w and s'.
    weights: BoundedOpening,
    /// How the residuals are opened: k_e.
    residuals: BoundedOpening,
    /// In which form the phasors come.
    phasors: PhasorForm,
}

impl SgdPlan {
    /// Plans a training.
    ///
    /// # Errors
    /// [`Error::Field`] and [`Error::Settings`] with the rule and the numbers when something does
    /// not fit.
    pub fn new(settings: &SgdSettings, facts: &Facts) -> Result<Self, Error> {
        settings.validate()?;
        let rows = facts.rows()?;
        check(facts)?;
        let weights = facts.columns() + usize::from(settings.intercept);
        let parties = rows.len() as u32;
        let schedule = Schedule::new(&rows, settings.batch, settings.seed)?;
        // At most 2^16, so that scores fit the ring of 64 bits.
        let sigmoid = fit(
            centred_sigmoid,
            Symmetry::Odd,
            settings.sigmoid.window.ilog2(),
            settings.sigmoid.terms as usize,
            settings.sigmoid.fit.weighting(),
            COEFFICIENT_FRACTION,
        );

        // One sigma for the study: the union over all elements that are opened under a
        // statistical mask stays below 2^-40 (docs/protocols.md 0).
        let iterations = settings.epochs * schedule.batches() as u64;
        if iterations > 10_000_000 {
            let rule = format!("give {iterations} iterations; at most ten million are possible");
            return Err(Error::field("epochs", rule));
        }
        let masked = iterations as f64 * (weights as f64 + settings.batch as f64)
            + facts.total_rows() as f64 * facts.columns() as f64;
        let sigma = (41 + libm::ceil(libm::log2(masked)) as u32).max(LEAST_SIGMA);

        let (residual_bound, residuals, phasors) =
            residuals_opening(facts.origin, rows.len(), &sigmoid, sigma)?;
        let batches = schedule.batches() as u64;
        let bound = steps::weight_bound(settings, rows.len(), batches, residual_bound);
        let opening = |h| weights_opening(bound, h, sigma, parties);
        let steps = Steps::new(settings, |h| opening(h).ok())?;
        let weights = opening(steps.exponent())?;
        let (settings, facts) = (settings.clone(), facts.clone());
        let plan =
            Self { settings, facts, schedule, sigmoid, steps, sigma, weights, residuals, phasors };
        let wire = plan.matrix_shape().wire_bits();
        if plan.facts.origin == Origin::Dealer && wire > 96 {
            let rule = format!(
                "is {}, and with {sigma} bits of masking an entry needs {wire} bits; at most 96 are \
                 possible",
                plan.settings.clip
            );
            return Err(Error::field("clip", rule));
        }
        Ok(plan)
    }

    /// What the study says.
    #[must_use]
    pub fn settings(&self) -> &SgdSettings {
        &self.settings
    }

    /// What is known in public.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Columns of the design matrix, without the intercept.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.facts.columns()
    }

    /// The number of weights, the intercept included.
    #[must_use]
    pub fn weights(&self) -> usize {
        self.columns() + usize::from(self.settings.intercept)
    }

    /// Scores beyond this, on both sides, are outside the window of the logistic function.
    #[must_use]
    pub fn edge(&self) -> f64 {
        f64::from(self.settings.sigmoid.window) / 4.0
    }

    /// Which rows are in which batch.
    #[must_use]
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// The sigmoid in use and how well it fits.
    #[must_use]
    pub fn sigmoid(&self) -> &Fit {
        &self.sigmoid
    }

    /// The step sizes as integers.
    #[must_use]
    pub fn steps(&self) -> &Steps {
        &self.steps
    }

    /// Bits of statistical masking.
    #[must_use]
    pub fn sigma(&self) -> u32 {
        self.sigma
    }

    /// How the weights are opened under masks (step 1).
    #[must_use]
    pub fn weights_opened(&self) -> &BoundedOpening {
        &self.weights
    }

    /// How the residuals are opened under masks (step 5).
    #[must_use]
    pub fn residuals_opened(&self) -> &BoundedOpening {
        &self.residuals
    }

    /// The number of parties.
    #[must_use]
    pub fn parties(&self) -> usize {
        self.facts.parties()
    }

    /// The number of iterations.
    #[must_use]
    pub fn iterations(&self) -> u64 {
        self.settings.epochs * self.schedule.batches() as u64
    }

    /// Fractional bits of w~: the weights and s' more.
    #[must_use]
    pub fn wide_fraction(&self) -> u32 {
        W_FRACTION + self.weights.drop
    }

    /// In which form the phasors come.
    #[must_use]
    pub fn phasors(&self) -> &PhasorForm {
        &self.phasors
    }

    /// The ring in which the sigmoid is evaluated.
    #[must_use]
    pub fn series_ring(&self) -> u32 {
        self.headroom() + self.phasors.fraction
    }

    /// Bits of that ring beside the fraction of the phasors.
    fn headroom(&self) -> u32 {
        headroom(&self.residuals)
    }

    /// The shape of the design matrix, for a source of correlations.
    #[must_use]
    pub fn matrix_shape(&self) -> MatrixShape {
        MatrixShape {
            rows: self.schedule.rows().to_vec(),
            columns: self.facts.partition.columns(),
            entry_bits: self.settings.entry_bits(),
            sigma: self.sigma,
        }
    }

    /// The three correlations of one iteration on `batch`, for the registered `matrix`.
    #[must_use]
    pub fn requests(&self, matrix: u32, batch: usize) -> [Request; 3] {
        let rows = self.schedule.parts(batch).to_vec();
        let forward = OwnedProductRequest {
            matrix,
            rows: rows.clone(),
            transposed: false,
            ring: 64,
            mask_bits: self.weights.mask_bits(),
            drop: self.weights.drop,
            public_columns: u32::from(self.settings.intercept),
        };
        let transposed = OwnedProductRequest {
            matrix,
            rows,
            transposed: true,
            ring: self.weights.ring,
            mask_bits: self.residuals.mask_bits(),
            drop: 0,
            public_columns: 0,
        };
        let count = u32::try_from(self.settings.batch).unwrap_or(u32::MAX);
        let phasors = self.phasors.request(&self.sigmoid.series, count, self.headroom());
        [
            Request::OwnedProduct(forward),
            Request::Phasors(phasors),
            Request::OwnedProduct(transposed),
        ]
    }

    /// For how many epochs correlations are ordered at once: as many as fit the memory, since
    /// products for the same rows are cheaper together.
    #[must_use]
    pub fn epochs_an_order(&self) -> u64 {
        let (weights, batch) = (self.weights() as u64, self.settings.batch);
        let batches = self.schedule.batches() as u64;
        let bytes = batches.saturating_mul(2 * 16 * weights + (8 + 16) * batch);
        (ORDERED_BYTES / bytes.max(1)).clamp(1, MOST_ORDERED_EPOCHS).min(self.settings.epochs)
    }

    /// What one iteration on `batch` costs `me`: three rounds, and the bytes of the table of
    /// docs/protocols.md 5.
    #[must_use]
    pub fn iteration_cost(&self, me: usize, batch: usize) -> Cost {
        let parts = self.schedule.parts(batch);
        let bytes = (0..self.parties())
            .map(|to| {
                if to == me {
                    return 0;
                }
                let own_rows = (parts[to].1 - parts[to].0) as usize;
                self.weights.bytes(self.weights())
                    + element_bytes(self.phasors.angle_bits) as u64 * self.settings.batch
                    + self.residuals.bytes(own_rows)
            })
            .collect();
        Cost { rounds: 3, bytes, ..Cost::default() }.bounded(2)
    }

    /// What the whole training costs `me`, the release not included.
    #[must_use]
    pub fn training_cost(&self, me: usize) -> Cost {
        (0..self.schedule.batches())
            .map(|batch| self.iteration_cost(me, batch))
            .fold(Cost::default(), |sum, cost| sum + cost)
            * self.settings.epochs
    }

    /// What revealing the model costs `me`, if every party receives it.
    #[must_use]
    pub fn release_cost(&self, me: usize) -> Cost {
        let bits = self.weights.ring - self.release_drop();
        let bytes = self.weights() * element_bytes(bits);
        Cost::to_all(me, self.parties(), 1, bytes as u64).results(1)
    }

    /// How many bits of w~ the release drops.
    #[must_use]
    pub fn release_drop(&self) -> u32 {
        self.wide_fraction() - self.settings.release_bits
    }
}

/// Refuses what the training has no place for.
fn check(facts: &Facts) -> Result<(), Error> {
    if facts.columns() == 0 {
        return Err(Error::field("features", "are missing: this model has at least one"));
    }
    if facts.offset.is_some() || facts.weights.is_some() || facts.groups {
        let rule = "have offsets, weights or groups, for which training on batches has no place";
        return Err(Error::field("rows", rule));
    }
    Ok(())
}

/// The opening of weights of magnitude `bound`, when steps are multiples of 2^-h.
fn weights_opening(bound: f64, h: u32, sigma: u32, parties: u32) -> Result<BoundedOpening, Error> {
    let magnitude = W_FRACTION + libm::ceil(libm::log2(bound.max(1.0))) as u32;
    let shift = steps::weight_shift(h);
    BoundedOpening::new(magnitude + shift, sigma, shift, parties).map_err(|error| {
        Error::Settings(format!(
            "the weights may reach {bound:.0} in this study, and steps need {shift} bits below the \
             weights: {error}. Reduce the learning rate, the epochs, the momentum or the clip, or \
             set an l2 penalty"
        ))
    })
}

/// How residuals are opened, with the largest magnitude that one can have: the label's distance
/// from 1/2, the series, and the worst rounding on the way.
fn residuals_opening(
    origin: Origin,
    parties: usize,
    sigmoid: &Fit,
    sigma: u32,
) -> Result<(f64, BoundedOpening, PhasorForm), Error> {
    let unit = |bits: u32| libm::ldexp(1.0, -(bits as i32));
    let terms = sigmoid.series.terms.len() as f64;
    let exact = 0.5
        + sigmoid.largest
        + 2.0 * terms * unit(COEFFICIENT_FRACTION)
        + parties as f64 * unit(E_FRACTION);
    for bits in 1..=MOST_RESIDUAL_BITS {
        let opening = BoundedOpening::new(E_FRACTION + bits, sigma, 0, parties as u32 - 1)?;
        let phasors =
            PhasorForm::new(origin, &sigmoid.series, parties, headroom(&opening), PHASOR_BITS)?;
        let bound = exact + phasors.error;
        if bound < f64::from(1 << bits) {
            return Ok((bound, opening, phasors));
        }
    }
    Err(Error::Settings(format!(
        "with {parties} parties the roundings of the sigmoid may add up to more than {}: use fewer \
         terms or a smaller window",
        1 << MOST_RESIDUAL_BITS
    )))
}

/// Bits of the ring of the series beside the fraction of the phasors.
fn headroom(residuals: &BoundedOpening) -> u32 {
    residuals.ring + COEFFICIENT_FRACTION - E_FRACTION
}
