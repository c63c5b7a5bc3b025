//! One pass over the data: four rounds, with a Hessian those of its inverse more.

use mpc_core::correlations::{OwnedProduct, Phasors};
use mpc_core::protocols::owned;
use mpc_core::protocols::product::FixedLeft;
use mpc_core::protocols::solve::{Inverse, InversePlan, Start, inverse};
use mpc_core::protocols::truncate::{BoundedOpening, open_bounded, truncate_reduce};
use mpc_core::ring::{Ring, Z64, Z128};
use mpc_core::{Batch, Recipients, Session, Shared};
use zeroize::Zeroizing;

use super::{End, Fitting, design, multiply};
use crate::error::Error;
use crate::plan::optimum::Curve;
use crate::plan::{E_FRACTION, W_FRACTION};

/// What the functions of the score are at all rows, stacked over the parties, and at the penalised
/// coefficients.
struct Values {
    residuals: Shared<Z128>,
    weights: Option<Shared<Z128>>,
    penalty: Option<Shared<Z128>>,
    /// The sum of the losses at the scale of the deviance.
    loss: Z128,
}

impl Fitting<'_> {
    /// One pass. The last gives what is left to reveal.
    pub(super) async fn pass(
        &mut self,
        pass: usize,
        session: &mut Session,
    ) -> Result<Option<End>, Error> {
        let last = pass + 1 == self.plan.passes();
        // What later passes need is made while this one runs.
        let due = self.ordered - pass <= self.plan.passes_an_order().div_ceil(2);
        if due && self.ordered < self.plan.passes() {
            self.order(Vec::new())?;
        }
        let weights = self.weights(&self.plan.factors().0, session.me());
        let (gradient, triangle, losses) = if pass == 0 {
            let (gradient, triangle) = self.first_sums();
            (gradient, triangle, Z128::ZERO)
        } else {
            let (z, low) = self.scores(&weights, session).await?;
            let values = self.values(&z, &low, pass, session).await?;
            let (gradient, made) = self.gradient(&values, session).await?;
            let triangle = match made {
                Some(made) => Some(self.lifted(pass, made, session).await?),
                None => None,
            };
            (gradient, triangle, values.loss)
        };
        let mut information = None;
        let step = match triangle {
            None if self.plan.hessian().is_none() => gradient.clone(),
            None if self.plan.refreshes() => self.first_step(&gradient, session).await?,
            None => self.fixed_step(&gradient, session).await?,
            Some(triangle) => {
                let inverse = self.refresh(pass, &triangle, session).await?;
                let step = multiply(self.source, &inverse.x, &gradient, session).await?;
                let own = self.plan.refresh_at(pass).map(|refresh| &refresh.inverse);
                let step = self.aligned(step, own);
                if last && self.plan.settings().inference {
                    information = Some((inverse.residual, inverse.x));
                }
                step
            }
        };
        self.steps.push(step);
        if !last {
            return Ok(None);
        }
        let distance = self.distance(&gradient, session).await?;
        let deviance = match self.plan.settings().inference {
            true => Some(self.half_deviance(&weights, losses, session).await?),
            false => None,
        };
        Ok(Some(End { distance, information, deviance }))
    }

    /// The gradient and, for Poisson models, the triangle of the Hessian of the first pass, where
    /// each owner knows the scores of its rows. Local.
    fn first_sums(&self) -> (Shared<Z128>, Option<Zeroizing<Vec<Z128>>>) {
        let (plan, settings) = (self.plan, self.plan.settings());
        let (residuals, weights) = design::first_residuals(plan, &self.labels, &self.offsets);
        let columns = settings.columns as usize;
        let sums = owned::transposed(self.own.entries(), &residuals, Shared::zero(columns, 1));
        let mut gradient = sums.as_slice().to_vec();
        if settings.intercept {
            gradient.push(Z128::from_i128(residuals.iter().sum()).shl(plan.x_fraction()));
        }
        let triangle = match (plan.refresh_at(0), &self.products) {
            (Some(refresh), Some(own)) => {
                let order = settings.weights();
                let zero = Shared::zero(order * (order + 1) / 2, 1);
                let sums = owned::transposed(own.entries(), &weights, zero);
                let to = refresh.inverse.fraction();
                let rounded =
                    |sum: &Z128| design::rounded(sum.0 as i128, refresh.made_fraction, to);
                Some(Zeroizing::new(sums.as_slice().iter().map(rounded).collect()))
            }
            _ => None,
        };
        (Shared::column(gradient), triangle)
    }

    /// Opens the weights under masks that are uniform mod 2^64, and gives the scores mod 2^64 at
    /// scale fx + F, and this party's share of the weights. One round.
    async fn scores(
        &mut self,
        weights: &Shared<Z128>,
        session: &mut Session,
    ) -> Result<(Shared<Z64>, Shared<Z64>), Error> {
        let (plan, me) = (self.plan, session.me());
        let (settings, fx) = (plan.settings(), plan.x_fraction());
        let product = self.source.take().await?.forward()?;
        let mut narrow = weights.clone();
        let drop = plan.wide_fraction() - W_FRACTION;
        truncate_reduce(&mut narrow, 128, drop, me, session.parties());
        // At least 64 bits are left, and the scores need no more.
        let low = |value: &Z128| Z64(value.0 as u64);
        let low = Shared::column(narrow.as_slice().iter().map(low).collect());
        let mask = |rho: &Z128| Z64((rho.0 >> 64) as u64);
        let masks: Zeroizing<Vec<Z64>> = Zeroizing::new(product.rho.iter().map(mask).collect());
        let mut masked = low.clone();
        for (masked, &mask) in masked.as_mut_slice().iter_mut().zip(masks.iter()) {
            *masked += mask;
        }
        let mut round = Batch::new("optimum/open-weights");
        let slot = round.masked(&masked, 64, Recipients::All);
        let opened = session.open(round).await?;
        let public: Vec<i128> = opened.at(slot).iter().map(|c| c.0 as i128).collect();

        let columns = settings.columns as usize;
        let place = self.place(me);
        let mut z =
            owned::forward(self.own.entries(), place.clone(), &public[..columns], product.product);
        let mut everywhere = Z64::ZERO;
        if settings.intercept {
            everywhere -= masks[columns].shl(fx);
            if me == 0 {
                everywhere += Z64(public[columns] as u64).shl(fx);
            }
        }
        if me == 0 {
            everywhere -= fixed64(plan.link().centre, fx + W_FRACTION);
        }
        z.as_mut_slice().iter_mut().for_each(|z| *z += everywhere);
        for (z, &offset) in z.as_mut_slice()[place].iter_mut().zip(self.offsets.iter()) {
            *z += fixed64(offset, fx + W_FRACTION);
        }
        Ok((z, low))
    }

    /// Opens the angles, group by group, and evaluates the functions of the score. One round a
    /// group.
    async fn values(
        &mut self,
        z: &Shared<Z64>,
        low: &Shared<Z64>,
        pass: usize,
        session: &mut Session,
    ) -> Result<Values, Error> {
        let (plan, me) = (self.plan, session.me());
        let (link, settings) = (plan.link_at(pass), plan.settings());
        let last = pass + 1 == plan.passes();
        let scale = plan.x_fraction() + W_FRACTION;
        let harmonics = link.multiples(self.outer.is_some());
        let mean = link.mean.over(&harmonics)?;
        let weight = self.outer.map(|_| link.weight.over(&harmonics)).transpose()?;
        let loss = (last && settings.inference).then(|| link.loss.over(&harmonics)).transpose()?;
        let starts = self.starts();
        let mut residuals = Shared::zero(z.len(), 1);
        let mut weights = weight.as_ref().map(|_| Shared::zero(z.len(), 1));
        let mut penalty = None;
        let mut losses = Z128::ZERO;
        let groups: Vec<_> = plan.groups().collect();
        for (at, group) in groups.iter().enumerate() {
            let mut round = Batch::new("optimum/open-delta");
            let mut pending = Vec::new();
            for block in group.clone() {
                let phasors = self.source.take().await?.phasors()?;
                let ranges: Vec<_> = plan
                    .block(block)
                    .into_iter()
                    .zip(&starts)
                    .map(|((from, to), &start)| start + from as usize..start + to as usize)
                    .collect();
                let part: Vec<Z64> =
                    ranges.iter().flat_map(|range| &z.as_slice()[range.clone()]).copied().collect();
                let part = Shared::column(part);
                let masked = mean.series.masked_argument(&part, scale, &phasors, session)?;
                let slot = round.masked(&masked, phasors.angle_bits, Recipients::All);
                pending.push((slot, phasors, ranges));
            }
            let mut bent = None;
            if at + 1 == groups.len() && plan.penalty().is_some() {
                let phasors = self.source.take().await?.phasors()?;
                let mut part = Shared::column(low.as_slice()[..settings.columns as usize].to_vec());
                part.scale(Z64::ONE.shl(plan.x_fraction()));
                let series = &plan.link().penalty.series;
                let masked = series.masked_argument(&part, scale, &phasors, session)?;
                bent = Some((round.masked(&masked, phasors.angle_bits, Recipients::All), phasors));
            }
            let opened = session.open(round).await?;
            for (slot, phasors, ranges) in pending {
                let delta = opened.at(slot);
                scatter(&evaluate(&mean, delta, &phasors, session), &ranges, &mut residuals);
                if let (Some(weight), Some(weights)) = (&weight, &mut weights) {
                    scatter(&evaluate(weight, delta, &phasors, session), &ranges, weights);
                }
                if let Some(loss) = &loss {
                    losses += sum_of(loss, delta, &phasors, plan.loss_fraction(), session);
                }
            }
            if let Some((slot, phasors)) = bent {
                penalty = Some(evaluate(&plan.link().penalty, opened.at(slot), &phasors, session));
            }
        }
        let place = self.place(me);
        for (e, &y) in residuals.as_mut_slice()[place].iter_mut().zip(self.labels.iter()) {
            *e -= Z128::from_i128(libm::rint(libm::ldexp(y, E_FRACTION as i32)) as i128);
        }
        Ok(Values { residuals, weights, penalty, loss: losses })
    }

    /// Opens residuals and weights to the owners of the rows, and the penalty's part to all; gives
    /// the gradient at scale fx + fe, and the upper triangle of the Hessian, mod 2^128. One round.
    async fn gradient(
        &mut self,
        values: &Values,
        session: &mut Session,
    ) -> Result<(Shared<Z128>, Option<Shared<Z128>>), Error> {
        let (plan, me) = (self.plan, session.me());
        let (settings, columns) = (plan.settings(), plan.settings().columns as usize);
        let product = self.source.take().await?.transposed()?;
        let outer = match self.outer {
            Some(_) => Some(self.source.take().await?.transposed()?),
            None => None,
        };
        let mut round = Batch::new("optimum/open-residuals");
        let spec = *plan.residuals_opened();
        let mine = self.push(&values.residuals, spec, &product, &mut round, session)?;
        let mut weights = None;
        if let (Some(refresh), Some(outer), Some(values)) =
            (plan.refresh(), &outer, &values.weights)
        {
            weights = Some(self.push(values, refresh.weights, outer, &mut round, session)?);
        }
        let mut lifted = None;
        if let (Some(spec), Some(values)) = (plan.penalty(), &values.penalty) {
            let rho = self.masks.elements::<Z128>(values.len(), spec.mask_bits());
            let slot = spec.push(values, &rho, Recipients::All, &mut round, session)?;
            lifted = Some((spec, slot, rho));
        }
        let opened = session.open(round).await?;

        let public = spec.public_part(opened.at(mine));
        let masks = product.rho.iter().fold(Z128::ZERO, |sum, &rho| sum + rho);
        let share = owned::transposed(self.own.entries(), &public, product.product);
        let mut gradient = share.as_slice().to_vec();
        if settings.intercept {
            let sum = Z128::from_i128(public.iter().sum()) - masks;
            gradient.push(sum.shl(plan.x_fraction()));
        }
        if let Some((spec, slot, rho)) = lifted {
            let factor = Z128::from_i128(plan.penalty_factor());
            let public = spec.public_part(opened.at(slot));
            for (j, own) in spec.own_part(&rho).iter().enumerate() {
                let public = if me == 0 { public[j] } else { 0 };
                gradient[j] += factor * Z128::from_i128(public - own);
            }
        }
        debug_assert_eq!(gradient.len(), columns + usize::from(settings.intercept));
        let mut hessian = None;
        if let (Some(slot), Some(outer), Some(own), Some(plan)) =
            (weights, outer, &self.products, plan.refresh())
        {
            let public = plan.weights.public_part(opened.at(slot));
            hessian = Some(owned::transposed(own.entries(), &public, outer.product));
        }
        Ok((Shared::column(gradient), hessian))
    }

    /// Puts one value a row into a batch, towards the owners, and gives the place of the own ones.
    fn push(
        &self,
        values: &Shared<Z128>,
        spec: BoundedOpening,
        product: &OwnedProduct<Z128>,
        round: &mut Batch,
        session: &mut Session,
    ) -> Result<mpc_core::Slot, Error> {
        let me = session.me();
        let mut mine = None;
        for owner in 0..session.parties() {
            let range = self.place(owner);
            let part = Shared::column(values.as_slice()[range.clone()].to_vec());
            // The owner alone sees this opening, so it adds no mask of its own.
            let rho = if owner == me { &[][..] } else { &product.rho[range] };
            let slot = spec.push(&part, rho, Recipients::One(owner), round, session)?;
            if owner == me {
                mine = Some(slot);
            }
        }
        mine.ok_or_else(|| Error::Settings("this node owns no rows of the plan".to_owned()))
    }

    /// The triangle of a Hessian at the scale of its inverse. One round where it has to be lifted.
    async fn lifted(
        &mut self,
        pass: usize,
        made: Shared<Z128>,
        session: &mut Session,
    ) -> Result<Zeroizing<Vec<Z128>>, Error> {
        let Some(refresh) = self.plan.refresh_at(pass) else {
            return Err(Error::Settings("a Hessian is made where it is inverted".to_owned()));
        };
        if let Some(spec) = refresh.lift {
            let items = [(spec, &made)];
            let opened = open_bounded("optimum/lift", &items, &mut self.masks, session).await?;
            return Ok(opened[0].part(spec.drop, session.me()));
        }
        let up = refresh.inverse.fraction() - refresh.made_fraction;
        Ok(Zeroizing::new(made.as_slice().iter().map(|v| v.shl(up)).collect()))
    }

    /// The inverse of a Hessian, from its triangle. The rounds of the inverse.
    async fn refresh(
        &mut self,
        pass: usize,
        triangle: &[Z128],
        session: &mut Session,
    ) -> Result<Inverse, Error> {
        let (plan, me) = (self.plan, session.me());
        let (Some(hessian), Some(refresh), Some(start)) =
            (plan.hessian(), plan.refresh_at(pass), &self.bound)
        else {
            return Err(Error::Settings("a Hessian is inverted after its bound".to_owned()));
        };
        let fraction = refresh.inverse.fraction();
        let slack = if me == 0 { refresh.slack() } else { 0 };
        let penalty = if me == 0 { design::penalty(plan, hessian.scale, fraction) } else { 0 };
        let matrix = design::square(plan, triangle, slack, penalty);
        let start = Start::Warm(start);
        Ok(inverse(&refresh.inverse, &matrix, start, self.source, session).await?)
    }

    /// The first step of a logistic model: the inverse of its Hessian is a multiple of that of the
    /// bound. One round.
    async fn first_step(
        &mut self,
        gradient: &Shared<Z128>,
        session: &mut Session,
    ) -> Result<Shared<Z128>, Error> {
        let Some(bound) = &self.bound else {
            return Err(Error::Settings("a step comes after the inverse".to_owned()));
        };
        let step = multiply(self.source, bound, gradient, session).await?;
        Ok(self.aligned(step, self.plan.hessian().map(|hessian| &hessian.bound)))
    }

    /// A step made with an inverse of this plan, at the scale of all steps.
    fn aligned(&self, mut step: Shared<Z128>, own: Option<&InversePlan>) -> Shared<Z128> {
        if let (Some(hessian), Some(own)) = (self.plan.hessian(), own) {
            let up = hessian.step_fraction() - own.inverse_fraction();
            step.scale(Z128::ONE.shl(up));
        }
        step
    }

    /// The step with the inverse of the bound. One round.
    async fn fixed_step(
        &mut self,
        gradient: &Shared<Z128>,
        session: &mut Session,
    ) -> Result<Shared<Z128>, Error> {
        let mut round = Batch::new("optimum/open-gradient");
        let mut left = None;
        if self.fixed.is_none() {
            let factor = self.source.take().await?.left128()?;
            let Some(bound) = self.bound.take() else {
                return Err(Error::Settings("a step comes after the inverse".to_owned()));
            };
            left = Some(FixedLeft::push(&bound, factor, &mut round)?);
        }
        let right = self.source.take().await?.right128()?;
        let pending = FixedLeft::push_right(gradient, right, &mut round)?;
        let opened = session.open(round).await?;
        if let Some(left) = left {
            self.fixed = Some(FixedLeft::opened(left, &opened));
        }
        let fixed = self.fixed.as_ref();
        let fixed = fixed.ok_or_else(|| Error::Settings("a factor was not opened".to_owned()))?;
        Ok(fixed.finish(pending, &opened, session))
    }

    /// The product of the last gradient and step: the square of the distance from the optimum, its
    /// ring and its scale. One round.
    async fn distance(
        &mut self,
        gradient: &Shared<Z128>,
        session: &mut Session,
    ) -> Result<(Shared<Z128>, u32, u32), Error> {
        let (drops, fractions) = self.plan.distance_drops();
        let (me, parties) = (session.me(), session.parties());
        let mut row = Shared::new(gradient.as_slice().to_vec(), 1, gradient.len());
        truncate_reduce(&mut row, 128, drops.0, me, parties);
        let step = self.steps.last().unwrap_or(gradient);
        let mut column = step.clone();
        truncate_reduce(&mut column, 128, drops.1, me, parties);
        let square = multiply(self.source, &row, &column, session).await?;
        Ok((square, 128 - drops.0.max(drops.1), fractions.0 + fractions.1))
    }

    /// Where each party's rows begin in a stack.
    fn starts(&self) -> Vec<usize> {
        let rows = self.plan.settings().rows.iter();
        rows.scan(0, |at, &rows| {
            let start = *at;
            *at += rows as usize;
            Some(start)
        })
        .collect()
    }

    /// The place of a party's rows in a stack.
    pub(super) fn place(&self, party: usize) -> std::ops::Range<usize> {
        let rows = &self.plan.settings().rows;
        let start = rows[..party].iter().sum::<u64>() as usize;
        start..start + rows[party] as usize
    }
}

/// A public number mod 2^64 at a scale.
fn fixed64(value: f64, scale: u32) -> Z64 {
    Z64::from_i128(libm::rint(libm::ldexp(value, scale as i32)) as i128)
}

/// A curve at the scale of the residuals. Local.
fn evaluate(curve: &Curve, delta: &[Z128], phasors: &Phasors, session: &Session) -> Shared<Z128> {
    let mut values = raw(curve, delta, phasors, session);
    let scale = curve.series.fraction + phasors.fraction;
    let drop = scale - E_FRACTION;
    truncate_reduce(&mut values, phasors.ring, drop, session.me(), session.parties());
    values
}

/// A curve with all its bits.
fn raw(curve: &Curve, delta: &[Z128], phasors: &Phasors, session: &Session) -> Shared<Z128> {
    let mut values = curve.series.evaluate(delta, phasors);
    if session.me() == 0 {
        let constant = Z128::from_i128(i128::from(curve.constant)).shl(phasors.fraction);
        values.as_mut_slice().iter_mut().for_each(|value| *value += constant);
    }
    values
}

/// The sum of a curve at a scale.
fn sum_of(
    curve: &Curve,
    delta: &[Z128],
    phasors: &Phasors,
    fraction: u32,
    session: &Session,
) -> Z128 {
    let values = raw(curve, delta, phasors, session);
    let sum = values.as_slice().iter().fold(Z128::ZERO, |sum, &value| sum + value);
    let scale = curve.series.fraction + phasors.fraction;
    if scale <= fraction {
        return sum.shl(fraction - scale);
    }
    let mut sum = Shared::column(vec![sum]);
    let (me, parties) = (session.me(), session.parties());
    truncate_reduce(&mut sum, phasors.ring, scale - fraction, me, parties);
    sum.as_slice()[0]
}

/// Puts the values of a block where its rows are in the stack.
fn scatter(values: &Shared<Z128>, ranges: &[std::ops::Range<usize>], out: &mut Shared<Z128>) {
    let mut from = 0;
    for range in ranges {
        let to = from + range.len();
        out.as_mut_slice()[range.clone()].copy_from_slice(&values.as_slice()[from..to]);
        from = to;
    }
}
