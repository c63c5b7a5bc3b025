//! The plan of a training: every scale, ring and bound, chosen from public facts before a share
//! is sent, and refused with the numbers where something could wrap.

use mpc_core::Cost;
use mpc_core::approx::fit::{Fit, Symmetry, fit};
use mpc_core::correlations::{MatrixShape, Origin, PhasorForm, Request};
use mpc_core::ring::wire::element_bytes;

use super::SgdSettings;
use super::arithmetic::{Arithmetic, Given, Opening, headroom};
use super::certificate::LOSS_FRACTION;
use super::parts::Part;
use super::schedule::Schedule;
use super::steps::Steps;
use crate::data::Cut;
use crate::error::Error;
use crate::model::{Facts, LEAST_SIGMA, Owners, Settings};
use crate::plaintext::centred_sigmoid;

/// Fractional bits of the design matrix.
pub const X_FRACTION: u32 = 12;
/// Fractional bits of the weights where they meet the data.
pub const W_FRACTION: u32 = 24;
/// Fractional bits of the residuals.
pub const E_FRACTION: u32 = 16;
/// Fractional bits of the public coefficients of the sigmoid.
pub const COEFFICIENT_FRACTION: u32 = 18;

/// Rows that go through from one checkpoint to the next, and iterations at most.
const CHECKPOINT_ROWS: u64 = 8192;
const MOST_UNKEPT: u64 = 64;

/// Owned products that may wait to be used, in bytes at each party.
const ORDERED_BYTES: u64 = 128 << 20;
const MOST_ORDERED_EPOCHS: u64 = 128;

/// A training, planned to the last bit (docs/protocols.md 5).
#[derive(Clone, Debug)]
pub struct SgdPlan {
    settings: SgdSettings,
    facts: Facts,
    parts: Vec<Part>,
    schedule: Schedule,
    sigmoid: Fit,
    arithmetic: Arithmetic,
    /// The statistical security of the masks that are longer than what they hide.
    sigma: u32,
}

impl SgdPlan {
    /// Plans a training.
    ///
    /// # Errors
    /// [`Error::Field`] and [`Error::Settings`] with the rule and the numbers when something does
    /// not fit.
    pub fn new(settings: &SgdSettings, facts: &Facts) -> Result<Self, Error> {
        settings.validate()?;
        let rows = facts.rows_for::<super::Sgd>()?;
        check(facts)?;
        let weights = facts.columns() + usize::from(settings.intercept);
        let parts = Part::all(facts)?;
        // Columns of the same rows are scheduled as the rows of one party.
        let scheduled = if facts.holder.is_some() { &rows[..1] } else { &rows };
        let schedule = Schedule::new(scheduled, settings.batch, settings.seed)?;
        // At most 2^16, so that scores fit the ring of 64 bits.
        let sigmoid = fit(
            centred_sigmoid,
            Symmetry::Odd,
            settings.sigmoid.window.ilog2(),
            settings.sigmoid.terms as usize,
            settings.sigmoid.fit.weighting(),
            COEFFICIENT_FRACTION,
        );

        let batches = schedule.batches() as u64;
        let iterations = settings.epochs * batches;
        if iterations > 10_000_000 {
            let rule = format!("give {iterations} iterations; at most ten million are possible");
            return Err(Error::field("epochs", rule));
        }
        // One sigma for the study: the union over all elements that are opened under a
        // statistical mask stays below 2^-40 (docs/protocols.md 0).
        let entries = facts.total_rows() as f64 * facts.columns() as f64;
        let sigma = |elements: f64| (41 + libm::ceil(libm::log2(elements)) as u32).max(LEAST_SIGMA);
        // Each owner of columns learns the residuals of a batch, under masks of their own.
        let residuals = settings.batch as f64 * parts.len() as f64;
        let lifted = sigma(iterations as f64 * (weights as f64 + residuals) + entries);
        let given = Given {
            settings,
            origin: facts.origin,
            parties: rows.len(),
            batches,
            sigmoid: &sigmoid,
            sigma: lifted,
        };
        let arithmetic = Arithmetic::new(&given)?;
        let sigma = match arithmetic.weights {
            Opening::Uniform(_) => sigma(entries),
            Opening::Bounded(_) => lifted,
        };
        let (settings, facts) = (settings.clone(), facts.clone());
        let plan = Self { settings, facts, parts, schedule, sigmoid, arithmetic, sigma };
        let wire = plan.matrix_shapes().iter().map(MatrixShape::wire_bits).max().unwrap_or(0);
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

    /// The matrices that the table is multiplied as.
    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Who receives which coefficients, where each party receives its own.
    pub(super) fn owners(&self) -> Result<Option<Owners>, Error> {
        let owners = || Owners::of(&self.facts, self.settings.intercept);
        self.facts.own.then(owners).transpose()
    }

    /// The party that has all labels, where the parties hold columns of the same rows.
    pub(super) fn holder(&self) -> Option<usize> {
        self.facts.holder
    }

    /// Whether the parties can see how well the revealed model fits its rows: each computes its part,
    /// for which it needs the model and whole rows.
    pub(super) fn is_certified(&self) -> bool {
        self.facts.for_all() && self.facts.cut() == Cut::Horizontal
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
        &self.arithmetic.steps
    }

    /// Bits of statistical masking: of a dealer's matrices, and of weights and residuals where they are
    /// lifted.
    #[must_use]
    pub fn sigma(&self) -> u32 {
        self.sigma
    }

    /// How the weights are opened under masks (step 1).
    #[must_use]
    pub fn weights_opened(&self) -> &Opening {
        &self.arithmetic.weights
    }

    /// How the residuals are opened under masks (step 5).
    #[must_use]
    pub fn residuals_opened(&self) -> &Opening {
        &self.arithmetic.residuals
    }

    /// All rings and scales.
    pub(super) fn arithmetic(&self) -> &Arithmetic {
        &self.arithmetic
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

    /// Whether the state of the training is kept when so many iterations are done: whenever some thousand
    /// more rows have gone through, and at the end (docs/protocols.md 0, Checkpoints).
    #[must_use]
    pub fn checkpoint_after(&self, iterations: u64) -> bool {
        iterations.is_multiple_of(self.checkpoint_every()) || iterations == self.iterations()
    }

    /// Iterations from one checkpoint to the next.
    #[must_use]
    pub fn checkpoint_every(&self) -> u64 {
        (CHECKPOINT_ROWS / self.settings.batch.max(1)).clamp(1, MOST_UNKEPT)
    }

    /// Fractional bits of w~: the weights and s' more.
    #[must_use]
    pub fn wide_fraction(&self) -> u32 {
        self.arithmetic.wide_fraction()
    }

    /// In which form the phasors come.
    #[must_use]
    pub fn phasors(&self) -> &PhasorForm {
        &self.arithmetic.phasors
    }

    /// The ring in which the sigmoid is evaluated.
    #[must_use]
    pub fn series_ring(&self) -> u32 {
        self.headroom() + self.phasors().fraction
    }

    /// Bits of that ring beside the fraction of the phasors.
    fn headroom(&self) -> u32 {
        headroom(self.residuals_opened().ring())
    }

    /// The ring in which the model is kept when it is trained: no bit more than its range.
    #[must_use]
    pub fn model_ring(&self) -> u32 {
        (self.arithmetic.range + 1 + self.wide_fraction()).min(self.arithmetic.ring)
    }

    /// The ring in which the shares of the model are known.
    #[must_use]
    pub fn weights_ring(&self) -> u32 {
        self.arithmetic.ring
    }

    /// The correlations of one iteration on `batch`, for the registered `matrices`: the forward product
    /// of each, phasors, the transposed product of each.
    #[must_use]
    pub fn requests(&self, matrices: &[u32], batch: usize) -> Vec<Request> {
        let count = u32::try_from(self.settings.batch).unwrap_or(u32::MAX);
        let phasors = self.phasors().request(&self.sigmoid.series, count, self.headroom());
        let products = |transposed| {
            self.products(matrices, batch, transposed).into_iter().map(Request::OwnedProduct)
        };
        products(false).chain([Request::Phasors(phasors)]).chain(products(true)).collect()
    }

    /// For how many epochs correlations are ordered at once: as many as fit the memory, since
    /// products for the same rows are cheaper together.
    #[must_use]
    pub fn epochs_an_order(&self) -> u64 {
        let (weights, batch) = (self.weights() as u64, self.settings.batch);
        let batches = self.schedule.batches() as u64;
        let products = self.parts.len() as u64 * (8 + 16);
        let bytes = batches.saturating_mul(2 * 16 * weights + products * batch);
        (ORDERED_BYTES / bytes.max(1)).clamp(1, MOST_ORDERED_EPOCHS).min(self.settings.epochs)
    }

    /// What one iteration on `batch` costs `me`: three rounds, and the bytes of the table of
    /// docs/protocols.md 5.
    #[must_use]
    pub fn iteration_cost(&self, me: usize, batch: usize) -> Cost {
        let bytes = (0..self.parties())
            .map(|to| {
                if to == me {
                    return 0;
                }
                let own_rows = self.opened_to(to, batch).len();
                self.weights_opened().bytes(self.weights())
                    + element_bytes(self.phasors().angle_bits) as u64 * self.settings.batch
                    + self.residuals_opened().bytes(own_rows)
            })
            .collect();
        let bounded = [self.weights_opened(), self.residuals_opened()];
        let bounded = bounded.iter().filter(|it| matches!(it, Opening::Bounded(_))).count();
        Cost { rounds: 3, bytes, ..Cost::default() }.bounded(bounded as u64)
    }

    /// What the whole training costs `me`, the release not included.
    #[must_use]
    pub fn training_cost(&self, me: usize) -> Cost {
        (0..self.schedule.batches())
            .map(|batch| self.iteration_cost(me, batch))
            .fold(Cost::default(), |sum, cost| sum + cost)
            * self.settings.epochs
    }

    /// What revealing the model, and its loss, costs `me`, if every party receives it.
    #[must_use]
    pub fn release_cost(&self, me: usize) -> Cost {
        let bits = self.model_ring() - self.release_drop();
        if let Ok(Some(owners)) = self.owners() {
            return owners.cost(me, self.parties(), element_bytes(bits));
        }
        let bytes = self.weights() * element_bytes(bits);
        let model = Cost::to_all(me, self.parties(), 1, bytes as u64).results(1);
        model + self.certificate_cost(me)
    }

    /// What revealing the loss costs `me`.
    #[must_use]
    pub fn certificate_cost(&self, me: usize) -> Cost {
        if !self.is_certified() {
            return Cost::to_all(me, self.parties(), 0, 0);
        }
        Cost::to_all(me, self.parties(), 1, element_bytes(self.loss_ring()) as u64).results(1)
    }

    /// The ring in which the loss is revealed: it holds that of any model in its range.
    pub(super) fn loss_ring(&self) -> u32 {
        // A row's loss is at most 1 more than the magnitude of its score.
        let scores = self.columns() as f64 * self.settings.clip.max(1.0) + 2.0;
        let bits = libm::ceil(libm::log2(scores)) as u32 + self.arithmetic.range;
        (LOSS_FRACTION + bits + 2).min(128)
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
