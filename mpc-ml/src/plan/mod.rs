//! The plan of a training: every scale, ring and bound, chosen from public facts before a share
//! is sent, and refused with the numbers where something could wrap.

pub mod linear;
pub mod optimum;
mod steps;

use mpc_core::Cost;
use mpc_core::correlations::{MatrixShape, Origin, OwnedProductRequest, PhasorForm, Request};
use mpc_core::protocols::fit::{Fit, Symmetry, Weighting, fit};
use mpc_core::protocols::truncate::BoundedOpening;
use mpc_core::ring::wire::element_bytes;

use crate::agreed::Plan;
use crate::error::Error;
use crate::schedule::Schedule;
pub use steps::Steps;

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

/// The version of the arithmetic: to be raised when a rounding or a table changes, so that nodes
/// that would compute something else refuse each other.
const ARITHMETIC: u32 = 2;
/// Masks have a place in the streams that is made for more than 64 bits; small studies are masked
/// by a few bits more than they need.
const LEAST_SIGMA: u32 = 53;

/// What a study says about a logistic training by mini-batch gradient descent.
#[derive(Clone, Debug, PartialEq)]
pub struct SgdSettings {
    /// Where the correlated randomness comes from.
    pub origin: Origin,
    /// Rows of each party; public.
    pub rows: Vec<u64>,
    /// Columns of the design matrix, without the intercept.
    pub columns: u32,
    /// Whether there is an intercept.
    pub intercept: bool,
    /// The L2 penalty: (l2 / 2) |w|^2, the intercept not penalised.
    pub l2: f64,
    /// The bound on the magnitude of the entries of the design matrix, made true by clipping.
    pub clip: f64,
    /// How often every batch is used.
    pub epochs: u64,
    /// Rows of a batch.
    pub batch: u64,
    /// The step size of the first epoch.
    pub learning_rate: f64,
    /// The step size of epoch e is learning_rate / (1 + decay e).
    pub decay: f64,
    /// Heavy-ball momentum, 0 for none.
    pub momentum: f64,
    /// The public seed of the schedule.
    pub seed: u64,
    /// The sigmoid's window: the period is 2^window.
    pub window: u32,
    /// The number of terms of the sigmoid.
    pub terms: u32,
    /// How the sigmoid is fitted.
    pub weighting: Weighting,
    /// Fractional bits of the revealed coefficients.
    pub release_fraction: u32,
}

/// A training, planned to the last bit (docs/protocols.md 5).
#[derive(Clone, Debug)]
pub struct SgdPlan {
    settings: SgdSettings,
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

/// sigma(z) - 1/2, which is odd.
fn centred_sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-z)) - 0.5
}

fn refuse<T>(why: String) -> Result<T, Error> {
    Err(Error::Settings(why))
}

/// Refuses a setting that is outside its range, or no number.
fn in_range(name: &str, value: f64, from: f64, to: f64) -> Result<(), Error> {
    if value.is_finite() && value >= from && value <= to {
        return Ok(());
    }
    refuse(format!("{name} is {value}, and must be from {from} to {to}"))
}

/// Refuses a study of one party.
fn has_parties(rows: &[u64]) -> Result<(), Error> {
    if rows.len() >= 2 {
        return Ok(());
    }
    refuse("a joint study has at least two parties".to_owned())
}

impl SgdPlan {
    /// Plans a training.
    ///
    /// # Errors
    /// [`Error::Settings`] with the rule and the numbers when something does not fit.
    pub fn new(settings: SgdSettings) -> Result<Self, Error> {
        settings.check()?;
        let parties = settings.rows.len() as u32;
        let schedule = Schedule::new(&settings.rows, settings.batch, settings.seed)?;
        let sigmoid = fit(
            centred_sigmoid,
            Symmetry::Odd,
            settings.window,
            settings.terms as usize,
            settings.weighting,
            COEFFICIENT_FRACTION,
        );
        if settings.window + X_FRACTION + W_FRACTION > 64 {
            return refuse(format!(
                "a sigmoid window of 2^{} does not fit the ring: at most 2^{} is possible",
                settings.window,
                64 - X_FRACTION - W_FRACTION
            ));
        }

        // One sigma for the study: the union over all elements that are opened under a
        // statistical mask stays below 2^-40 (docs/protocols.md 0).
        let iterations = settings.epochs * schedule.batches() as u64;
        if iterations > 10_000_000 {
            return refuse(format!("the study has {iterations} iterations; at most ten million"));
        }
        let masked = iterations as f64 * (settings.weights() as f64 + settings.batch as f64)
            + settings.rows.iter().sum::<u64>() as f64 * f64::from(settings.columns);
        let sigma = (41 + libm::ceil(libm::log2(masked)) as u32).max(LEAST_SIGMA);

        let (residual_bound, residuals, phasors) = residuals_opening(&settings, &sigmoid, sigma)?;
        let bound = steps::weight_bound(&settings, schedule.batches() as u64, residual_bound);
        let opening = |h| weights_opening(bound, h, sigma, parties);
        let steps = Steps::new(&settings, |h| opening(h).ok())?;
        let weights = opening(steps.exponent())?;
        let plan = Self { settings, schedule, sigmoid, steps, sigma, weights, residuals, phasors };
        if plan.settings.origin == Origin::Dealer && plan.matrix_shape().wire_bits() > 96 {
            return refuse(format!(
                "a clip of {} with {sigma} bits of masking needs {} bits an entry; at most 96 are \
                 possible",
                plan.settings.clip,
                plan.matrix_shape().wire_bits()
            ));
        }
        Ok(plan)
    }

    /// What the study says.
    #[must_use]
    pub fn settings(&self) -> &SgdSettings {
        &self.settings
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
        self.settings.rows.len()
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
            rows: self.settings.rows.clone(),
            columns: self.settings.columns,
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
        let (weights, batch) = (self.settings.weights() as u64, self.settings.batch);
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
                self.weights.bytes(self.settings.weights())
                    + element_bytes(self.phasors.angle_bits) as u64 * self.settings.batch
                    + self.residuals.bytes(own_rows)
            })
            .collect();
        Cost { rounds: 3, bytes }
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
        let bytes = self.settings.weights() * element_bytes(bits);
        Cost::to_all(me, self.parties(), 1, bytes as u64)
    }

    /// How many bits of w~ the release drops.
    #[must_use]
    pub fn release_drop(&self) -> u32 {
        self.wide_fraction() - self.settings.release_fraction
    }
}

impl Plan for SgdPlan {
    /// Settings, scales, rings, and every public coefficient that multiplies a share.
    fn canonical(&self) -> String {
        format!(
            "arithmetic {ARITHMETIC} scales {X_FRACTION} {W_FRACTION} {E_FRACTION} \
             {COEFFICIENT_FRACTION} {:?} phasors={:?} sigma={} weights={:?} residuals={:?} \
             steps={:?} series={:?}",
            self.settings,
            self.phasors,
            self.sigma,
            self.weights,
            self.residuals,
            self.steps,
            self.sigmoid.series
        )
    }
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
    settings: &SgdSettings,
    sigmoid: &Fit,
    sigma: u32,
) -> Result<(f64, BoundedOpening, PhasorForm), Error> {
    let parties = settings.rows.len();
    let unit = |bits: u32| libm::ldexp(1.0, -(bits as i32));
    let terms = sigmoid.series.terms.len() as f64;
    let exact = 0.5
        + sigmoid.largest
        + 2.0 * terms * unit(COEFFICIENT_FRACTION)
        + parties as f64 * unit(E_FRACTION);
    for bits in 1..=MOST_RESIDUAL_BITS {
        let opening = BoundedOpening::new(E_FRACTION + bits, sigma, 0, parties as u32 - 1)?;
        let phasors = PhasorForm::new(
            settings.origin,
            &sigmoid.series,
            parties,
            headroom(&opening),
            PHASOR_BITS,
        )?;
        let bound = exact + phasors.error;
        if bound < f64::from(1 << bits) {
            return Ok((bound, opening, phasors));
        }
    }
    refuse(format!(
        "with {parties} parties the roundings of the sigmoid may add up to more than {}: use fewer \
         terms or a smaller window",
        1 << MOST_RESIDUAL_BITS
    ))
}

/// Bits of the ring of the series beside the fraction of the phasors.
fn headroom(residuals: &BoundedOpening) -> u32 {
    residuals.ring + COEFFICIENT_FRACTION - E_FRACTION
}

impl SgdSettings {
    /// The number of weights, the intercept included.
    #[must_use]
    pub fn weights(&self) -> usize {
        self.columns as usize + usize::from(self.intercept)
    }

    /// Entries of the design matrix are below 2^entry_bits in fixed point.
    #[must_use]
    pub fn entry_bits(&self) -> u32 {
        X_FRACTION + libm::ceil(libm::log2(self.clip.max(1.0))) as u32 + 1
    }

    fn check(&self) -> Result<(), Error> {
        has_parties(&self.rows)?;
        if self.columns == 0 {
            return refuse("the study has no features".to_owned());
        }
        in_range("training.epochs", self.epochs as f64, 1.0, 1e6)?;
        in_range("training.batch", self.batch as f64, 1.0, 1e7)?;
        in_range("training.learning_rate", self.learning_rate, 1e-9, 1e3)?;
        in_range("training.decay", self.decay, 0.0, 1e6)?;
        in_range("training.momentum", self.momentum, 0.0, 0.999)?;
        in_range("model.l2", self.l2, 0.0, 1e3)?;
        in_range("model.clip", self.clip, 1e-3, 65536.0)?;
        in_range("the logarithm of training.sigmoid.window", f64::from(self.window), 2.0, 16.0)?;
        in_range("training.sigmoid.terms", f64::from(self.terms), 1.0, 256.0)?;
        in_range("output.release_bits", f64::from(self.release_fraction), 4.0, 24.0)?;
        if self.learning_rate * self.l2 > 0.5 {
            return refuse(format!(
                "learning_rate x l2 is {}, and must be at most 0.5: the penalty alone would \
                 overshoot",
                self.learning_rate * self.l2
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
