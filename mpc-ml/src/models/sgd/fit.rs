//! From rows to shares of the weights.

use std::ops::Range;

use mpc_core::correlations::{OwnedProduct, Phasors};
use mpc_core::protocols::owned;
use mpc_core::protocols::truncate::truncate_reduce;
use mpc_core::ring::{Ring, Z64, Z128};
use mpc_core::{Batch, Fixed, Recipients, Session, Shared};
use zeroize::Zeroizing;

use super::arithmetic::Opening;
use super::parts::Own;
use super::plan::{COEFFICIENT_FRACTION, E_FRACTION, SgdPlan, W_FRACTION, X_FRACTION};
use crate::data::Dataset;
use crate::error::Error;
use crate::model::{Agreed, Progress, Run};

/// This party's shares of a trained model.
#[derive(Debug)]
pub struct SgdShares {
    weights: Fixed,
}

impl SgdShares {
    /// The weights, a column, the intercept last: they know their ring and scale, so that they can
    /// be computed with while the model stays hidden.
    #[must_use]
    pub fn weights(&self) -> &Fixed {
        &self.weights
    }
}

/// Trains to the end. The rounds of registering the own rows with the source, then three rounds an
/// iteration: [`SgdPlan::training_cost`].
///
/// # Errors
/// [`Error::Data`] when the rows do not fit the plan, before anything is sent; network errors.
pub(super) async fn fit(
    plan: &Agreed<SgdPlan>,
    data: &Dataset,
    run: &mut Run<'_>,
) -> Result<SgdShares, Error> {
    let training = Training::begin(plan, data, run).await?;
    (run.progress)(Progress::Prepared);
    training.run(run).await
}

/// A joint training in progress, as one party sees it: the two halves of a fit.
pub struct Training<'a> {
    pub(super) plan: &'a Agreed<SgdPlan>,
    /// The numbers of the registered matrices.
    matrices: Vec<u32>,
    own: Own<'a>,
    /// This party's share of w~; of penalised weights as the end will see them, where they are not
    /// lifted.
    pub(super) weights: Shared<Z128>,
    /// This party's share of the weights one step before, for momentum.
    pub(super) before: Shared<Z128>,
    /// Iterations that were done.
    pub(super) done: u64,
}

impl<'a> Training<'a> {
    /// Registers the own rows (in the order of the schedule, clipped) with the source. The rounds
    /// of the registration.
    ///
    /// # Errors
    /// [`Error::Data`] when the rows do not fit the plan, before anything is sent.
    pub async fn begin(
        plan: &'a Agreed<SgdPlan>,
        data: &Dataset,
        run: &mut Run<'_>,
    ) -> Result<Self, Error> {
        let own = Own::new(plan, data, run.session.me())?;
        let matrices = own.register(run).await?;
        let zero = Shared::zero(plan.weights(), 1);
        let (weights, before, done) = (zero.clone(), zero, 0);
        let mut training = Self { plan, matrices, own, weights, before, done };
        if let Some(state) = run.resumed(&plan.digest())?
            && training.goes_on_from(state)?
        {
            run.goes_on(training.done, plan.iterations());
        }
        Ok(training)
    }

    /// Trains to the end. Three rounds an iteration; [`SgdPlan::training_cost`]. Where checkpoints are
    /// kept a round more at each of [`SgdPlan::checkpoint_after`].
    ///
    /// # Errors
    /// Network errors.
    pub async fn run(mut self, run: &mut Run<'_>) -> Result<SgdShares, Error> {
        let batches = self.plan.schedule().batches() as u64;
        let (epochs, all) = (self.plan.settings().epochs, self.plan.iterations());
        let stretch = self.plan.epochs_an_order();
        let first = self.done / batches.max(1);
        self.order(first..(first + stretch).min(epochs), run)?;
        for epoch in first..epochs {
            // What the next epochs need is made while these run.
            let next = epoch + stretch;
            if (epoch - first).is_multiple_of(stretch) && next < epochs {
                self.order(next..epochs.min(next + stretch), run)?;
            }
            for (step, batch) in self.left(epoch) {
                self.iterate((epoch, step), batch, run).await?;
                self.done += 1;
                if self.plan.checkpoint_after(self.done) {
                    run.checkpoint(&self.plan.digest(), self.state()?).await?;
                }
                run.step(self.done, all);
            }
        }
        let ring = self.plan.weights_ring();
        let weights = Fixed::new(self.weights, ring, self.plan.wide_fraction())?;
        Ok(SgdShares { weights })
    }

    fn order(&self, epochs: Range<u64>, run: &mut Run<'_>) -> Result<(), Error> {
        let batches = epochs.flat_map(|epoch| self.left(epoch));
        let requests =
            batches.flat_map(|(_, batch)| self.plan.requests(&self.matrices, batch)).collect();
        Ok(run.source.demand(requests)?)
    }

    async fn iterate(
        &mut self,
        at: (u64, u64),
        batch: usize,
        run: &mut Run<'_>,
    ) -> Result<(), Error> {
        let mut forward = Vec::with_capacity(self.matrices.len());
        for _ in &self.matrices {
            forward.push(run.source.take().await?.forward()?);
        }
        let phasors = run.source.take().await?.phasors()?;
        let mut transposed = Vec::with_capacity(self.matrices.len());
        for _ in &self.matrices {
            transposed.push(run.source.take().await?.transposed()?);
        }
        let session = &mut *run.session;
        let weights = self.open_weights(at, &self.masks(&forward), session).await?;
        let z = self.scores(batch, &weights, forward, session);
        let e = self.residuals(batch, &z, phasors, session).await?;
        let gradient = self.gradient(batch, &e, transposed, session).await?;
        self.update(at, &weights, &gradient, session.me());
        Ok(())
    }

    /// The masks of the weights: those of the columns, and that of the intercept, which comes with the first
    /// matrix.
    fn masks(&self, forward: &[OwnedProduct<Z64>]) -> Zeroizing<Vec<Z128>> {
        let mut masks = Zeroizing::new(Vec::with_capacity(self.plan.weights()));
        for (part, product) in self.plan.parts().iter().zip(forward) {
            masks.extend_from_slice(&product.rho[..part.columns.len()]);
        }
        if let (Some(part), Some(product)) = (self.plan.parts().first(), forward.first()) {
            masks.extend_from_slice(&product.rho[part.columns.len()..]);
        }
        masks
    }

    /// Step 1: opens w under masks. Where weights are lifted this truncates the last update as well.
    async fn open_weights(
        &self,
        at: (u64, u64),
        rho: &[Z128],
        session: &mut Session,
    ) -> Result<MaskedWeights, Error> {
        let mut batch = Batch::new("logistic/open-weights");
        match self.plan.weights_opened() {
            Opening::Bounded(spec) => {
                let slot = spec.push(&self.weights, rho, Recipients::All, &mut batch, session)?;
                let opened = session.open(batch).await?;
                spec.accept(opened.at(slot), rho, "logistic/open-weights", session)?;
                let public = spec.public_part(opened.at(slot));
                Ok(MaskedWeights { public, mask: spec.own_part(rho) })
            }
            Opening::Uniform(bits) => {
                let mut masked = self.weights_now(at, session);
                let (_, drop) = self.plan.weights_opened().forward_masks();
                let mask: Vec<i128> = rho.iter().map(|rho| (rho.0 >> drop) as i128).collect();
                let mask = Zeroizing::new(mask);
                for (value, &mask) in masked.as_mut_slice().iter_mut().zip(mask.iter()) {
                    *value += Z128::from_i128(mask);
                }
                let slot = batch.masked(&masked, *bits, Recipients::All);
                let opened = session.open(batch).await?;
                let public = opened.at(slot).iter().map(|c| c.0 as i128).collect();
                Ok(MaskedWeights { public: Zeroizing::new(public), mask })
            }
        }
    }

    /// The weights as this step meets them, at scale F: w~ times what the penalty has not taken yet,
    /// truncate-reduced. Local.
    fn weights_now(&self, (epoch, step): (u64, u64), session: &Session) -> Shared<Z128> {
        let arithmetic = self.plan.arithmetic();
        let mut weights = self.weights.clone();
        if arithmetic.growth > 0 {
            let growth = arithmetic.steps.growth(epoch, step, arithmetic.growth);
            let (growth, one) = (Z128::from_i128(growth.into()), Z128::ONE.shl(arithmetic.growth));
            for (j, weight) in weights.as_mut_slice().iter_mut().enumerate() {
                *weight *= if j == self.plan.columns() { one } else { growth };
            }
        }
        let drop = arithmetic.shift() + arithmetic.growth;
        truncate_reduce(&mut weights, arithmetic.ring, drop, session.me(), session.parties());
        weights
    }

    /// Step 2: z = X Delta - X lambda mod 2^64, at scale fx + F: the sum over the matrices.
    fn scores(
        &self,
        batch: usize,
        weights: &MaskedWeights,
        products: Vec<OwnedProduct<Z64>>,
        session: &Session,
    ) -> Shared<Z64> {
        let (me, columns) = (session.me(), self.plan.columns());
        let mut z = Shared::zero(self.plan.settings().batch as usize, 1);
        for (part, product) in self.plan.parts().iter().zip(products) {
            let (place, own) = self.own.of(part, batch);
            let public = &weights.public[part.columns.clone()];
            z += &owned::forward(own, place, public, product.product);
        }
        if self.plan.settings().intercept {
            // A public column of ones: party 0 adds its public part, everybody the own mask.
            let mut intercept = -weights.mask[columns];
            if me == 0 {
                intercept += weights.public[columns];
            }
            let intercept = Z64::from_i128(intercept).shl(X_FRACTION);
            z.as_mut_slice().iter_mut().for_each(|z| *z += intercept);
        }
        z
    }

    /// Steps 3 and 4: e = sigma(z) - y mod 2^k_e, at scale fe.
    async fn residuals(
        &self,
        batch: usize,
        z: &Shared<Z64>,
        phasors: Phasors,
        session: &mut Session,
    ) -> Result<Shared<Z128>, Error> {
        let series = &self.plan.sigmoid().series;
        let masked = series.masked_argument(z, X_FRACTION + W_FRACTION, &phasors, session)?;
        let mut round = Batch::new("logistic/open-delta");
        let slot = round.masked(&masked, phasors.angle_bits, Recipients::All);
        let opened = session.open(round).await?;
        let mut e = series.evaluate(opened.at(slot), &phasors);
        let (me, parties) = (session.me(), session.parties());
        let scale = COEFFICIENT_FRACTION + phasors.fraction;
        if me == 0 {
            e.as_mut_slice().iter_mut().for_each(|e| *e += Z128(1 << (scale - 1)));
        }
        let (place, labels) = self.own.labels(batch);
        for (e, &y) in e.as_mut_slice()[place].iter_mut().zip(labels) {
            *e -= Z128((y * libm::ldexp(1.0, scale as i32)) as u128);
        }
        truncate_reduce(&mut e, self.plan.series_ring(), scale - E_FRACTION, me, parties);
        Ok(e)
    }

    /// Steps 5 and 6: opens e + u to the owners of the rows, or of columns of them, and gives
    /// g = X^T e mod 2^k_w, at scale fx + fe.
    async fn gradient(
        &self,
        batch: usize,
        e: &Shared<Z128>,
        products: Vec<OwnedProduct<Z128>>,
        session: &mut Session,
    ) -> Result<Shared<Z128>, Error> {
        let public = self.open_residuals(batch, e, &products, session).await?;
        let mut gradient = Vec::with_capacity(self.plan.weights());
        let mut intercept = None;
        for (part, product) in self.plan.parts().iter().zip(products) {
            let (_, own) = self.own.of(part, batch);
            let public = if own.is_empty() { &[][..] } else { &public };
            // The first matrix tells the sum of all residuals.
            if intercept.is_none() {
                let masks = product.rho.iter().fold(Z128::ZERO, |sum, &rho| sum + rho);
                let sum = public.iter().fold(-masks, |sum, &c| sum + Z128::from_i128(c));
                intercept = Some(sum.shl(X_FRACTION));
            }
            let block = owned::transposed(own, public, product.product);
            gradient.extend_from_slice(block.as_slice());
        }
        gradient.extend(intercept.filter(|_| self.plan.settings().intercept));
        Ok(Shared::column(gradient))
    }

    /// Step 5: what this party learns, at the rows that it has something of.
    async fn open_residuals(
        &self,
        batch: usize,
        e: &Shared<Z128>,
        products: &[OwnedProduct<Z128>],
        session: &mut Session,
    ) -> Result<Zeroizing<Vec<i128>>, Error> {
        const STEP: &str = "logistic/open-residuals";
        let (me, opening) = (session.me(), self.plan.residuals_opened());
        let mut round = Batch::new(STEP);
        let mut mine = None;
        for owner in 0..session.parties() {
            let range = self.plan.opened_to(owner, batch);
            let masks = self.masks_for(owner, range.clone(), products);
            let mut part = Shared::column(e.as_slice()[range].to_vec());
            // The owner alone sees this opening, so it adds no mask of its own.
            let rho = if owner == me { &[][..] } else { masks };
            let to = Recipients::One(owner);
            let slot = match opening {
                Opening::Bounded(spec) => spec.push(&part, rho, to, &mut round, session)?,
                Opening::Uniform(bits) => {
                    for (value, &rho) in part.as_mut_slice().iter_mut().zip(rho) {
                        *value += rho;
                    }
                    round.masked(&part, *bits, to)
                }
            };
            if owner == me {
                mine = Some(slot);
            }
        }
        let opened = session.open(round).await?;
        let Some(mine) = mine else { return Ok(Zeroizing::default()) };
        Ok(match opening {
            Opening::Bounded(spec) => {
                spec.accept(opened.at(mine), &[], STEP, session)?;
                spec.public_part(opened.at(mine))
            }
            Opening::Uniform(_) => {
                Zeroizing::new(opened.at(mine).iter().map(|c| c.0 as i128).collect())
            }
        })
    }

    /// The own masks of what `owner` learns: in a matrix of whole rows those at its rows, else those of
    /// its own matrix.
    fn masks_for<'b>(
        &self,
        owner: usize,
        range: Range<usize>,
        products: &'b [OwnedProduct<Z128>],
    ) -> &'b [Z128] {
        let mut parts = self.plan.parts().iter().zip(products);
        match parts.find(|(part, _)| part.is_of(owner)) {
            Some((_, product)) => &product.rho[range],
            None => &[],
        }
    }

    /// Where weights are lifted w~ <- dec (Delta - lambda) - m g, and with momentum b times the last
    /// step; otherwise w~ <- w~ - m g. Local and exact.
    fn update(
        &mut self,
        (epoch, step): (u64, u64),
        weights: &MaskedWeights,
        gradient: &Shared<Z128>,
        me: usize,
    ) {
        let arithmetic = self.plan.arithmetic();
        let (steps, intercept) = (&arithmetic.steps, self.plan.columns());
        let whole = |factor: i64| Z128::from_i128(i128::from(factor));
        let multiplier = whole(steps.multiplier(epoch));
        if let Opening::Uniform(_) = arithmetic.weights {
            let shrunk = whole(steps.shrunk_multiplier(epoch, step));
            let gradient = gradient.as_slice().iter().enumerate();
            for (weight, (j, &g)) in self.weights.as_mut_slice().iter_mut().zip(gradient) {
                *weight -= if j == intercept { multiplier } else { shrunk } * g;
            }
            return;
        }
        let (momentum, decay) = (whole(steps.momentum()), whole(steps.decay(epoch)));
        let one = Z128::ONE.shl(arithmetic.shift());
        for j in 0..self.weights.len() {
            let mut now = Z128::from_i128(-weights.mask[j]);
            if me == 0 {
                now += Z128::from_i128(weights.public[j]);
            }
            let keep = if j == intercept { one } else { decay };
            self.weights.as_mut_slice()[j] = (keep + momentum) * now
                - momentum * self.before.as_slice()[j]
                - multiplier * gradient.as_slice()[j];
            self.before.as_mut_slice()[j] = now;
        }
    }
}

/// The weights as they were opened: w = public - sum of the masks, at scale F, mod the ring of the
/// opening or, where they were lifted, as integers.
struct MaskedWeights {
    public: Zeroizing<Vec<i128>>,
    mask: Zeroizing<Vec<i128>>,
}
