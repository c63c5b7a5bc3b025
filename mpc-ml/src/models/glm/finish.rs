//! The end of a fit: from a revealed model near the optimum the last steps are made in the clear at
//! each owner, and checked (docs/protocols.md 8.5).

use std::sync::Arc;

use mpc_core::Fixed;
use mpc_core::protocols::product::multiply_fixed;
use mpc_core::offload;
use zeroize::Zeroizing;

use super::fit::{GlmShares, Orders, curvature, inverted};
use super::inference::{self, Inference};
use super::labels;
use super::own::Own;
use super::plan::GlmPlan;
use super::products::Factor;
use super::scales::{self, Scales};
use super::settings::Finish;
use super::start::{self, Totals};
use super::sums::Triangle;
use crate::error::Error;
use crate::model::Run;

/// Fractional bits of gradients that are made in the clear.
const GRADIENT_FRACTION: u32 = 30;
/// Fractional bits of a gradient in the length of a step.
const LENGTH_FRACTION: u32 = 20;
/// Bits of a step in the length, beside the scale of the curvature.
const STEP_FRACTION: u32 = 25;

/// A fit, as the parties that receive it learn it.
#[derive(Clone, Debug, PartialEq)]
pub struct GlmFit {
    /// The coefficients, the intercept last.
    pub coefficients: Vec<f64>,
    /// How far they are from the optimum, in standard errors: revealed, where the last steps were made
    /// in the clear; the length of the last step else.
    pub distance: f64,
    /// Passes over the rows on shares.
    pub passes: u32,
    /// Models that were revealed, the result included.
    pub revealed: u32,
    /// Standard errors and what describes the fit, if the study asks for inference.
    pub inference: Option<Inference>,
}

/// What an owner computes at a revealed model.
struct Clear {
    gradient: Zeroizing<Vec<f64>>,
    curvature: Triangle,
}

/// The inverse of the curvature at the model `at`.
pub(super) struct Information {
    pub(super) x: Fixed,
    pub(super) exponent: u32,
    factor: Factor,
    left: u32,
}

/// Reveals the result.
pub(super) async fn release(
    plan: &GlmPlan,
    shares: GlmShares,
    run: &mut Run<'_>,
) -> Result<Option<GlmFit>, Error> {
    let bits = plan.settings.release_bits;
    let GlmShares { own, totals, scales, w, passes, length, orders } = shares;
    let w = if w.fraction() < bits { w.raise(bits)? } else { w };
    if plan.finish == Finish::Hidden {
        let revealed = run.session.reveal_fixed(labels::COEFFICIENTS, &w, bits).await?;
        return Ok(revealed.map(|coefficients| GlmFit {
            coefficients,
            distance: length,
            passes,
            revealed: 1,
            inference: None,
        }));
    }
    let mut finish = Finishing { plan, own, totals, scales: &scales, orders, run };
    let (coefficients, distance, revealed, information) = finish.run(&w).await?;
    let inference = match information {
        Some(information) if plan.settings.inference => {
            let Finishing { own, totals, run, .. } = finish;
            Some(inference::reveal(plan, (&own, totals), &coefficients, &information, run).await?)
        }
        _ => None,
    };
    Ok(Some(GlmFit { coefficients, distance, passes, revealed, inference }))
}

struct Finishing<'a, 'r> {
    plan: &'a GlmPlan,
    own: Arc<Own>,
    totals: Totals,
    scales: &'a Scales,
    orders: Orders,
    run: &'a mut Run<'r>,
}

impl Finishing<'_, '_> {
    /// Reveals models until one is at the optimum: it, its distance, how many were revealed, and the
    /// inverse of the curvature there.
    async fn run(
        &mut self,
        w: &Fixed,
    ) -> Result<(Vec<f64>, f64, u32, Option<Information>), Error> {
        let plan = self.plan;
        let (bits, tolerance) = (plan.settings.release_bits, plan.settings.tolerance);
        let mut model = self.reveal(0, w, bits).await?;
        let mut information: Option<Information> = None;
        let mut before = f64::INFINITY;
        let mut at = 0;
        loop {
            let clear = self.clear(&model).await?;
            let gradient = self.gradient(&clear, &model)?;
            let mut seen = None;
            // Without inference the curvature of the model before is good enough to tell the distance.
            if let Some(known) = information.as_ref().filter(|_| !plan.settings.inference) {
                let step = self.again(known, &gradient).await?;
                let distance = self.distance(at, &gradient, &step, known.exponent).await?;
                if distance <= tolerance {
                    return Ok((model, distance, at + 1, information));
                }
                seen = Some(distance);
            }
            let (new, step) = self.invert(at, &clear, &gradient).await?;
            let distance = match seen {
                Some(distance) => distance,
                None => self.distance(at, &gradient, &step, new.exponent).await?,
            };
            information = Some(new);
            if distance <= tolerance {
                return Ok((model, distance, at + 1, information));
            }
            at += 1;
            if at >= plan.most_revealed() || distance > 2.0 * before {
                return Err(Error::NotConverged(format!(
                    "after {at} models in the clear the fit was {distance:.3} standard errors from its \
                     optimum, where {tolerance} is asked for: a level or a combination of columns may \
                     decide the target by itself. Merge or leave out rare levels, or set l2"
                )));
            }
            before = distance;
            let public = Fixed::public(&model, model.len(), 1, step.fraction(), self.run.session)?;
            model = self.reveal(at, &public.plus(&step)?, bits).await?;
        }
    }

    async fn reveal(&mut self, at: u32, w: &Fixed, bits: u32) -> Result<Vec<f64>, Error> {
        let label = labels::model(at);
        let model = self.run.session.reveal_fixed(&label, w, bits).await?;
        model.ok_or_else(|| Error::Settings(format!("`{label}` is for everybody")))
    }

    /// Gradient and curvature over the own rows, on another thread.
    async fn clear(&self, model: &[f64]) -> Result<Clear, Error> {
        let (own, model) = (Arc::clone(&self.own), model.to_vec());
        let work = move || Clear {
            gradient: own.gradient(&model),
            curvature: own.curvature_at(&model),
        };
        Ok(offload(work).await?)
    }

    /// The own sums are shares of the joint gradient; party 0 has the pull of the penalty.
    fn gradient(&self, clear: &Clear, model: &[f64]) -> Result<Fixed, Error> {
        let pull = self.totals.weight * self.plan.settings.l2;
        let penalised = self.plan.facts.columns();
        let own = Zeroizing::new(
            clear
                .gradient
                .iter()
                .enumerate()
                .map(|(j, g)| {
                    let pulled = self.run.session.me() == 0 && j < penalised;
                    if pulled { g - pull * model[j] } else { *g }
                })
                .collect::<Vec<f64>>(),
        );
        Ok(Fixed::own_part(&own, own.len(), 1, GRADIENT_FRACTION)?)
    }

    /// The inverse of the curvature at the model `at`, and the step there.
    async fn invert(
        &mut self,
        at: u32,
        clear: &Clear,
        gradient: &Fixed,
    ) -> Result<(Information, Fixed), Error> {
        let (plan, order) = (self.plan, self.plan.order());
        let unit = start::unit(self.totals.weight * order as f64 * self.totals.variance);
        let own = [clear.curvature.trace()];
        let sizes = start::sizes(&labels::size(at), &own, &[unit], self.run.session).await?;
        let pulls = self.scales.penalty.map_or(0.0, |penalty| penalty.pulls.0 * order as f64);
        let exponent = scales::exponent(sizes[0] + pulls);
        let no_inverse = || Error::Settings("this fit has no joint inverse".to_owned());
        let inverse = self.scales.inverse.as_ref().ok_or_else(no_inverse)?;
        let mut requests = Vec::new();
        self.orders.inverse(inverse, &mut requests);
        let left = self.orders.left(order, order, &mut requests);
        Orders::right(left, 1, false, &mut requests);
        let inner = self.orders.left(1, order, &mut requests);
        Orders::right(inner, 1, true, &mut requests);
        self.run.source.demand(requests)?;
        let session = &*self.run.session;
        let matrix = curvature(plan, &clear.curvature, inverse, exponent, self.scales, session);
        let x = inverted(plan, inverse, &matrix, &labels::check(at), exponent, self.run).await?;
        let factors = (
            self.run.source.take().await?.left128()?,
            self.run.source.take().await?.right128()?,
        );
        let (factor, step) = Factor::open(&x, gradient, factors, self.run.session).await?;
        Ok((Information { x, exponent, factor, left }, step))
    }

    /// The step of another gradient with a curvature that is known.
    async fn again(&mut self, known: &Information, gradient: &Fixed) -> Result<Fixed, Error> {
        let mut requests = Vec::new();
        Orders::right(known.left, 1, false, &mut requests);
        let inner = self.orders.left(1, gradient.len(), &mut requests);
        Orders::right(inner, 1, true, &mut requests);
        self.run.source.demand(requests)?;
        let right = self.run.source.take().await?.right128()?;
        known.factor.times(gradient, right, self.run.session).await
    }

    /// How long a step is, in standard errors. Two rounds.
    async fn distance(
        &mut self,
        at: u32,
        gradient: &Fixed,
        step: &Fixed,
        exponent: u32,
    ) -> Result<f64, Error> {
        let session = &mut *self.run.session;
        let row = gradient.clone().truncate(LENGTH_FRACTION, session)?.transposed();
        let column = step.clone().truncate(exponent + STEP_FRACTION, session)?;
        let left = self.run.source.take().await?.left128()?;
        let right = self.run.source.take().await?.right128()?;
        let square = multiply_fixed(&row, &column, left, right, session).await?;
        let tolerance = self.plan.settings.tolerance;
        let bits = libm::ceil(libm::log2(256.0 / (tolerance * tolerance))) as u32;
        let label = labels::distance(at);
        let square = session.reveal_fixed(&label, &square, bits).await?;
        let square = square.and_then(|values| values.first().copied());
        let square = square.ok_or_else(|| Error::Settings(format!("`{label}` is for everybody")))?;
        // A square is not negative but for rounding; one that has wrapped is.
        let distance = if square < -1.0 { f64::INFINITY } else { libm::sqrt(square.max(0.0)) };
        let (done, all) = (self.plan.settings.passes, self.plan.settings.passes);
        self.run.step(u64::from(done), u64::from(all));
        Ok(distance)
    }
}
