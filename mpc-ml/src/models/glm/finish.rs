//! The end of a fit: from a revealed model near the optimum the last steps are made in the clear at
//! each owner, and checked (docs/protocols.md 8.5).

use std::sync::Arc;

use mpc_core::Fixed;
use mpc_core::offload;
use mpc_core::protocols::product::multiply_fixed;
use mpc_core::protocols::solve::Start;
use zeroize::Zeroizing;

use super::certificate::Certificate;
use super::distance;
use super::fit::RowsShares;
use super::inference::{self, Found, Inference};
use super::inverses;
use super::inversion::{Inversion, Inverted, determined, no_inverse};
use super::labels;
use super::own::Own;
use super::plan::RowsPlan;
use super::products::Factor;
use super::scales::Scales;
use super::settings::Finish;
use super::start::Totals;
use crate::error::Error;
use crate::inference::{sizes, unit};
use crate::model::{Orders, Run};
use crate::sums::Triangle;

/// Fractional bits of gradients that are made in the clear.
const GRADIENT_FRACTION: u32 = 30;
/// Fractional bits of a gradient in the length of a step.
const LENGTH_FRACTION: u32 = 20;
/// Bits of a coefficient beyond those of its standard error.
const ROUNDING_BITS: u32 = 11;
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
    /// What that had to come to.
    pub tolerance: f64,
    /// The largest entry of the joint gradient there, as the parties computed it from their rows, in
    /// units of what the tolerance allows: at most 1. None where not all parties know the model.
    pub gradient: Option<f64>,
    /// Passes over the rows on shares.
    pub passes: u32,
    /// Models that were revealed, the result included.
    pub revealed: u32,
    /// Standard errors and what describes the fit, if the study asks for inference.
    pub inference: Option<Inference>,
    /// Standard errors of the coefficients where that is all that can be told: the parties hold different
    /// columns.
    pub std_errors: Option<Vec<f64>>,
}

/// The inverse of the curvature at a model.
pub(super) struct Information {
    pub(super) inverse: Inverted,
    /// Whether it is that of the whole curvature: no row was cut to what it weighed before.
    whole: bool,
    pub(super) factor: Factor,
    pub(super) left: u32,
}

/// Reveals the result.
pub(super) async fn release(
    plan: &RowsPlan,
    shares: RowsShares,
    columns: &[(f64, f64)],
    run: &mut Run<'_>,
) -> Result<Option<GlmFit>, Error> {
    let bits = plan.settings.release_bits;
    let RowsShares { own, totals, scales, w, passes, length, orders, inverse, slopes } = shares;
    if plan.finish == Finish::Hidden {
        let w = w.clone().raise(bits.max(w.fraction()))?;
        let revealed = run.session.reveal_fixed(labels::COEFFICIENTS, &w, bits).await?;
        return Ok(revealed.map(|coefficients| GlmFit {
            coefficients,
            distance: length,
            tolerance: plan.settings.tolerance,
            gradient: None,
            passes,
            revealed: 1,
            inference: None,
            std_errors: None,
        }));
    }
    let known = inverse.map(|x| (x, scales.exponent));
    let mut finish =
        Finishing { plan, own, totals, scales: &scales, orders, known, slopes, passes, run };
    let End { model: coefficients, distance, revealed, exponent, information } =
        finish.run(&w).await?;
    let gradient = Some(finish.certify(&coefficients, exponent).await?);
    let inference = match information {
        Some(information) if plan.settings.inference => {
            let Finishing { own, totals, mut orders, run, .. } = finish;
            let (own, w, information) = (&own, &coefficients, &information);
            let found = Found { plan, own, totals, w, columns, information };
            let inverses = scales.inverses.as_ref().ok_or_else(no_inverse)?;
            Some(inference::reveal(&found, &inverses.first, &mut orders, run).await?)
        }
        _ => None,
    };
    let tolerance = plan.settings.tolerance;
    Ok(Some(GlmFit {
        coefficients,
        distance,
        tolerance,
        gradient,
        passes,
        revealed,
        inference,
        std_errors: None,
    }))
}

/// A model at the optimum.
struct End {
    model: Vec<f64>,
    distance: f64,
    /// Models that were revealed, it included.
    revealed: u32,
    /// The distance is that in a curvature below 2^this.
    exponent: u32,
    /// The inverse of the curvature there, with inference; of one nearby without.
    information: Option<Information>,
}

struct Finishing<'a, 'r> {
    plan: &'a RowsPlan,
    own: Arc<Own>,
    totals: Totals,
    scales: &'a Scales,
    orders: Orders,
    /// The last inverse and its power of two, and what each own row weighs in its matrix.
    known: Option<(Fixed, u32)>,
    slopes: Zeroizing<Vec<f64>>,
    /// Passes that were made on shares, for who hears of the progress.
    passes: u32,
    run: &'a mut Run<'r>,
}

impl Finishing<'_, '_> {
    /// Reveals models until one is at the optimum.
    async fn run(&mut self, w: &Fixed) -> Result<End, Error> {
        let plan = self.plan;
        // Rounding must not keep the model from its optimum where standard errors are tiny.
        let bits = plan.settings.release_bits.max(self.scales.exponent / 2 + ROUNDING_BITS);
        let tolerance = plan.settings.tolerance;
        let w = w.clone().raise(bits.max(w.fraction()))?;
        let mut model = self.reveal(0, &w, bits).await?;
        let mut information: Option<Information> = None;
        let mut before = f64::INFINITY;
        let mut at = 0;
        loop {
            let gradient = self.gradient(&model).await?;
            let mut seen = None;
            // Without inference the curvature of the model before is good enough to tell the distance.
            if let Some(known) = information.as_ref().filter(|_| !plan.settings.inference) {
                let step = self.again(known, &gradient).await?;
                let exponent = known.inverse.exponent;
                let distance = self.distance(at, &gradient, &step, exponent).await?;
                if distance <= tolerance {
                    let revealed = at + 1;
                    return Ok(End { model, distance, revealed, exponent, information });
                }
                seen = Some(distance);
            }
            let (new, step) = self.invert(at, &model, &gradient, seen.is_none()).await?;
            let distance = match seen {
                Some(distance) => distance,
                None => self.distance(at, &gradient, &step, new.inverse.exponent).await?,
            };
            if distance <= tolerance {
                // Standard errors are those of the whole curvature.
                let anew = plan.settings.inference && !new.whole;
                let (revealed, exponent) = (at + 1, new.inverse.exponent);
                let new = if anew { self.anew(at, &model, &gradient).await? } else { new };
                let information = Some(new);
                return Ok(End { model, distance, revealed, exponent, information });
            }
            information = Some(new);
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
        model.ok_or_else(|| Error::untold(&label))
    }

    /// Makes sure that a model is the optimum of the parties' rows. One round.
    async fn certify(&mut self, model: &[f64], exponent: u32) -> Result<f64, Error> {
        let own = self.own_gradient(model).await?;
        let certificate = Certificate::new(self.plan, &self.totals, model, exponent);
        certificate.check(&own, self.run.session).await
    }

    /// The gradient of the own rows. On another thread.
    async fn own_gradient(&self, model: &[f64]) -> Result<Zeroizing<Vec<f64>>, Error> {
        let (rows, w) = (Arc::clone(&self.own), model.to_vec());
        Ok(offload(move || rows.gradient(&w)).await?)
    }

    /// The own sums are shares of the joint gradient; party 0 has the pull of the penalty.
    async fn gradient(&self, model: &[f64]) -> Result<Fixed, Error> {
        let gradient = self.own_gradient(model).await?;
        let pull = self.totals.weight * self.plan.settings.l2;
        let penalised = self.plan.facts.columns();
        let own = Zeroizing::new(
            gradient
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

    /// The inverse of the curvature at the model `at`, and the step there; with what it takes to
    /// `measure` the step.
    async fn invert(
        &mut self,
        at: u32,
        model: &[f64],
        gradient: &Fixed,
        measure: bool,
    ) -> Result<(Information, Fixed), Error> {
        let (inverse, whole) = match self.warm(at, model).await? {
            Some(found) => found,
            None => (self.cold(at, model).await?, true),
        };
        self.opened(inverse, whole, gradient, measure).await
    }

    /// The inverse of the whole curvature at the model `at`, where rows were cut in the one that it
    /// was found with.
    async fn anew(
        &mut self,
        at: u32,
        model: &[f64],
        gradient: &Fixed,
    ) -> Result<Information, Error> {
        let inverse = self.cold(at, model).await?;
        Ok(self.opened(inverse, true, gradient, false).await?.0)
    }

    /// Opens an inverse as a factor, and multiplies a gradient by it.
    async fn opened(
        &mut self,
        inverse: Inverted,
        whole: bool,
        gradient: &Fixed,
        measure: bool,
    ) -> Result<(Information, Fixed), Error> {
        let order = self.plan.order();
        let mut requests = Vec::new();
        let left = self.orders.left(order, order, &mut requests);
        Orders::right(left, 1, false, &mut requests);
        if measure {
            let inner = self.orders.left(1, order, &mut requests);
            Orders::right(inner, 1, true, &mut requests);
        }
        self.run.source.demand(requests)?;
        let factors = self.run.factors().await?;
        let (factor, step) = Factor::open(&inverse.x, gradient, factors, self.run.session).await?;
        Ok((Information { inverse, whole, factor, left }, step))
    }

    /// The inverse from the one before, where there is one, rows weigh not much more than in it and it
    /// is reached; and whether it is that of the whole curvature.
    async fn warm(&mut self, at: u32, model: &[f64]) -> Result<Option<(Inverted, bool)>, Error> {
        let (plan, scales) = (self.plan, self.scales);
        let warm = scales.inverses.as_ref().and_then(|inverses| inverses.warm.get(at as usize));
        let Some(warm) = warm else { return Ok(None) };
        let Some((x, exponent)) = self.known.take() else { return Ok(None) };
        let before = Some((std::mem::take(&mut self.slopes), warm.rise));
        let (curvature, slopes, cut) = self.curvature(model, before).await?;
        let any = f64::from(u8::from(cut > 0));
        let cut = sizes(&labels::size(at), &[any], &[0], self.run.session).await?[0];
        // Near the end the curvature must be whole; before it only has to be good enough for a step.
        if plan.settings.inference && at > 0 && cut > 0.0 {
            return Ok(None);
        }
        self.slopes = slopes;
        let exponent = exponent + warm.rise;
        let mut requests = Vec::new();
        self.orders.inverse(&warm.plan, &mut requests);
        self.run.source.demand(requests)?;
        let inversion = Inversion {
            plan: &warm.plan,
            exponent,
            slack: warm.slack,
            pulls: self.pulls(),
            start: Start::Warm(x.parts().0),
        };
        let label = labels::check(at);
        let found = inversion.run(plan, &curvature, &label, self.run).await?;
        if !found.reached {
            return Ok(None);
        }
        self.known = Some((found.x.clone(), exponent));
        Ok(Some((found, cut == 0.0)))
    }

    /// The inverse of a curvature of which nothing is known but its size.
    async fn cold(&mut self, at: u32, model: &[f64]) -> Result<Inverted, Error> {
        let (plan, scales) = (self.plan, self.scales);
        let order = plan.order();
        let (curvature, _, _) = self.curvature(model, None).await?;
        let unit = unit(self.totals.weight * order as f64 * self.totals.variance);
        let label = labels::whole_size(at);
        let sizes = sizes(&label, &[curvature.trace()], &[unit], self.run.session).await?;
        let pulls = scales.penalty.map_or(0.0, |penalty| penalty.pulls.0 * order as f64);
        let exponent = inverses::exponent(sizes[0] + pulls);
        let inverses = scales.inverses.as_ref().ok_or_else(no_inverse)?;
        let mut requests = Vec::new();
        self.orders.inverse(&inverses.first, &mut requests);
        self.run.source.demand(requests)?;
        let inversion = Inversion {
            plan: &inverses.first,
            exponent,
            slack: inverses.slack,
            pulls: self.pulls(),
            start: Start::Identity,
        };
        let label = labels::whole_check(at);
        let found = inversion.run(plan, &curvature, &label, self.run).await?;
        if !found.reached {
            return Err(determined(plan.order(), &inverses.first, &found.x, self.run).await?);
        }
        Ok(found)
    }

    /// What the penalty adds to the curvature: nothing to the intercept, where the steps are exact.
    fn pulls(&self) -> (f64, f64) {
        (self.scales.penalty.map_or(0.0, |penalty| penalty.pulls.0), 0.0)
    }

    /// The own curvature at a model, what each row weighs in it, and how many rows would weigh more
    /// than 2^rise of what they did before. On another thread.
    async fn curvature(
        &self,
        model: &[f64],
        before: Option<(Zeroizing<Vec<f64>>, u32)>,
    ) -> Result<(Triangle, Zeroizing<Vec<f64>>, u64), Error> {
        let (own, model) = (Arc::clone(&self.own), model.to_vec());
        let work = move || {
            let before = before.as_ref().map(|(slopes, rise)| (slopes.as_slice(), *rise));
            let (slopes, cut) = own.slopes_at(&model, before);
            (own.curvature(&slopes), slopes, cut)
        };
        Ok(offload(work).await?)
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
        let (left, right) = self.run.factors().await?;
        let session = &mut *self.run.session;
        let row = gradient.clone().truncate(LENGTH_FRACTION, session)?.transposed();
        let column = step.clone().truncate(exponent + STEP_FRACTION, session)?;
        let square = multiply_fixed(&row, &column, left, right, session).await?;
        let tolerance = self.plan.settings.tolerance;
        let bits = distance::bits(tolerance, at);
        let label = labels::distance(at);
        let square = session.reveal_fixed(&label, &square, bits).await?;
        let square = square.and_then(|values| values.first().copied());
        let square = square.ok_or_else(|| Error::untold(&label))?;
        let distance = distance::told(square, tolerance, bits);
        // A model in the clear counts as a step; with one that is not at the optimum there is a next.
        let done = self.passes + at + 1;
        let all = if distance <= tolerance { done } else { done + 1 };
        self.run.step(u64::from(done), u64::from(all));
        Ok(distance)
    }
}
