//! The passes on shares, from the mean to the optimum (docs/protocols.md 13.4).

use mpc_core::correlations::Request;
use mpc_core::protocols::product::multiply_fixed;
use mpc_core::protocols::truncate::{open_bounded_fixed, own_masks};
use mpc_core::rand::Prg;
use mpc_core::ring::Z128;
use mpc_core::{Fixed, Session, Shared};
use zeroize::Zeroizing;

use super::super::family::Family;
use super::super::products::Factor;
use super::super::start::alike;
use super::gradient::Gradient;
use super::plan::ColumnsPlan;
use super::scales::{LENGTH_FRACTION, Scales, Stage};
use super::walk::{Aim, Next, Walk};
use super::{gram, labels};
use crate::data::Dataset;
use crate::error::Error;
use crate::model::{Orders, Run};

/// The score of the mean target is revealed to so many fractional bits.
const MEAN_FRACTION: u32 = 2;
/// It is no further from 0.
const FURTHEST: f64 = 30.0;
/// Bits of an inner product, beside that of the pass before.
const PRODUCT_BITS: i32 = 12;
/// The unit of the first squared length, in squared standard errors.
const FIRST_UNIT: i32 = -8;

/// This party's share of the coefficients at the optimum.
pub(in super::super) struct ColumnsShares {
    pub(super) w: Fixed,
    /// The score of the mean target.
    pub(super) centre: f64,
    pub(super) passes: u32,
    /// The length of the last step in standard errors, and what it had to come to.
    pub(super) length: f64,
    pub(super) tolerance: f64,
    /// What standard errors take: the own columns, the matrix of the products of all of them, what was ordered,
    /// and the units.
    pub(super) gradient: Gradient,
    pub(super) matrix: Shared<Z128>,
    /// The products of all columns with the target.
    pub(super) right: Shared<Z128>,
    pub(super) orders: Orders,
    pub(super) unit: f64,
    pub(super) subtracted: f64,
    /// The variance of a row with the mean target, in units of the fit.
    pub(super) variance: f64,
}

impl std::fmt::Debug for ColumnsShares {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ColumnsShares").field("w", &self.w).finish_non_exhaustive()
    }
}

/// Fits on shares; `agreed` is the digest of the plan. Where an earlier session kept its state, the passes go on from it.
pub(in super::super) async fn fit(
    plan: &ColumnsPlan,
    agreed: [u8; 32],
    data: &Dataset,
    run: &mut Run<'_>,
) -> Result<ColumnsShares, Error> {
    let (mean, cut) = check(plan, data, run.session.me())?;
    let centre = centre(plan, (mean, cut), run.session).await?;
    let scales = Scales::new(plan, centre).map_err(alike)?;
    let (inverse, [matrix, right]) = gram::directions(plan, data, run).await?;
    let inverse = inverse.truncate(scales.inverse_fraction(), run.session)?;
    let gradient = Gradient::register(plan, &scales, data, run).await?;
    let orders = Orders::after(plan.gram.inverse().lefts());
    let mut start = vec![0.0; plan.order()];
    if plan.settings.intercept {
        start[plan.facts.columns()] = centre;
    }
    let mut fitting = Fitting {
        plan,
        agreed,
        scales: &scales,
        centre,
        gradient,
        masks: own_masks(run.session)?,
        inverse,
        left: None,
        factor: None,
        orders,
        walk: Walk::new(scales.values(Stage::Coarse).aim),
        stage: Stage::Coarse,
        start,
        steps: Vec::new(),
        bounds: Vec::new(),
        run,
    };
    let w = fitting.run().await?;
    let (passes, length) = (fitting.walk.made(), fitting.walk.length());
    let Fitting { gradient, orders, .. } = fitting;
    // Where noise let no step be shorter, it is below the other bound.
    let aim = scales.values(Stage::Fine).aim;
    let tolerance = if length > aim.tolerance { aim.loosest } else { aim.tolerance };
    Ok(ColumnsShares {
        w,
        centre,
        passes,
        length,
        tolerance,
        gradient,
        matrix,
        right,
        orders,
        unit: scales.unit,
        subtracted: scales.subtracted,
        variance: scales.variance,
    })
}

/// Refuses rows that do not fit; gives the score of the mean target, where this party has it, and how many
/// own cells are beyond the clip.
fn check(plan: &ColumnsPlan, data: &Dataset, me: usize) -> Result<(Option<f64>, u64), Error> {
    data.check(&plan.facts, me, plan.largest)?;
    let family = plan.settings.family;
    let wrong = |what: &str| Err(Error::Data(what.to_owned()));
    let (rows, offsets) = (data.rows(), data.offset());
    if !data.weights().is_empty() || !data.ids().is_empty() {
        return wrong("case weights or groups were given, and the plan has none");
    }
    let clip = plan.settings.clip;
    let cut = rows.x().iter().filter(|x| x.abs() > clip).count() as u64 + data.clipped();
    let due = plan.facts.offset.is_some() && plan.facts.holder == Some(me);
    if offsets.len() != if due { rows.len() } else { 0 } {
        let (given, rule) = (offsets.len(), if due { "one for each row" } else { "none" });
        return Err(Error::Data(format!("{given} offsets were given, and the plan has {rule}")));
    }
    if offsets.iter().any(|offset| offset.is_nan() || offset.abs() > 64.0) {
        return wrong("an offset is beyond 64 in magnitude");
    }
    if plan.facts.holder != Some(me) {
        return Ok((None, cut));
    }
    let targets = rows.y();
    if !targets.iter().all(|&y| family.admits(y)) {
        return wrong(match family {
            Family::Logistic => "a label is neither 0 nor 1",
            Family::Poisson => "a target is no count: it is below 0 or above 10^12",
        });
    }
    if family == Family::Poisson
        && plan.facts.target.is_some_and(|(_, most)| targets.iter().any(|&y| y > most))
    {
        return wrong("a target is beyond the range that the study declares");
    }
    let sum: f64 = targets.iter().sum();
    let exposure = match family {
        Family::Poisson if !offsets.is_empty() => offsets.iter().map(|&o| libm::exp(o)).sum(),
        _ => targets.len() as f64,
    };
    if sum <= 0.0 || family == Family::Logistic && sum >= exposure {
        return wrong("all targets are alike: there is nothing to fit");
    }
    Ok((Some(family.score(sum / exposure)), cut))
}

/// Reveals the score of the mean target, coarsely. One round.
async fn centre(
    plan: &ColumnsPlan,
    (own, cut): (Option<f64>, u64),
    session: &mut Session,
) -> Result<f64, Error> {
    let steps = libm::ldexp(1.0, MEAN_FRACTION as i32);
    let own = own.unwrap_or(0.0).clamp(-FURTHEST, FURTHEST);
    let own = Zeroizing::new([libm::rint(own * steps) / steps, cut as f64]);
    let share = Fixed::own_part(&own[..], 2, 1, MEAN_FRACTION)?;
    let told = session.reveal_fixed(labels::MEAN, &share, MEAN_FRACTION).await?;
    let told = told.ok_or_else(|| Error::untold(labels::MEAN))?;
    let (centre, beyond) = (told[0], told[1]);
    if beyond > plan.settings.most_cut as f64 {
        return Err(Error::Unusable(format!(
            "{beyond:.0} cells of all parties together are beyond clip = {} on the common scale, and \
             {} may be cut: set a larger clip, transform the column, or allow as many with most_cut",
            plan.settings.clip, plan.settings.most_cut
        )));
    }
    if centre.abs() > FURTHEST {
        return Err(Error::Unusable("the revealed mean of the target is none".to_owned()));
    }
    Ok(centre)
}

/// A fit in progress.
pub(super) struct Fitting<'a, 'r> {
    pub(super) plan: &'a ColumnsPlan,
    /// The digest of the plan.
    pub(super) agreed: [u8; 32],
    pub(super) scales: &'a Scales,
    /// The score of the mean target.
    pub(super) centre: f64,
    gradient: Gradient,
    masks: Prg,
    /// The inverse, before it meets its first vector and after.
    inverse: Fixed,
    left: Option<u32>,
    factor: Option<Factor>,
    orders: Orders,
    pub(super) walk: Walk,
    pub(super) stage: Stage,
    start: Vec<f64>,
    /// The steps so far, lifted, and what each is below.
    pub(super) steps: Vec<Fixed>,
    pub(super) bounds: Vec<f64>,
    pub(super) run: &'a mut Run<'r>,
}

impl Fitting<'_, '_> {
    async fn run(&mut self) -> Result<Fixed, Error> {
        if self.resume()? {
            return self.point();
        }
        loop {
            let w = self.point()?;
            let requests = self.requests();
            self.run.source.demand(requests)?;
            let how = (self.plan, self.scales, self.scales.values(self.stage));
            let g = self.gradient.at(&w, how, self.run).await?;
            let g = self.penalised(g, &w)?;
            let s = self.step(&g).await?;
            let next = self.judge(&g, s).await?;
            let more = self.walk.made() < self.plan.settings.passes;
            let ended = match next {
                Next::Pass => false,
                Next::Stop if self.stage == Stage::Fine => true,
                Next::Stop if more => {
                    self.stage = Stage::Fine;
                    self.walk.refine(self.scales.values(Stage::Fine).aim);
                    false
                }
                Next::Stop | Next::Refuse => return Err(self.refused()),
            };
            self.keep(ended).await?;
            self.run.step(u64::from(self.walk.made()), u64::from(self.plan.settings.passes));
            if ended {
                return self.point();
            }
        }
    }

    fn refused(&self) -> Error {
        let aim = self.scales.values(Stage::Fine).aim;
        let begun = format!(
            "the fit did not come to its optimum in {} passes; the last step was about {:.3} standard \
             errors, where {:.4} end it",
            self.walk.made(),
            self.walk.length(),
            aim.tolerance
        );
        Error::NotConverged(if self.walk.is_noise() {
            format!(
                "{begun}. What is left is the noise of the randomness that the parties make: use a \
                 dealer, or allow a larger `tolerance`"
            )
        } else {
            format!(
                "{begun}. A level or a combination of columns may decide the target by itself: merge or \
                 leave out rare levels, or set l2; more passes are allowed by `passes`"
            )
        })
    }

    /// The coefficients of the next pass: a public combination of the steps so far.
    fn point(&self) -> Result<Fixed, Error> {
        let bits = self.scales.bits;
        let fraction = self.scales.lifted + bits;
        let order = self.plan.order();
        let mut w = Fixed::public(&self.start, order, 1, fraction, self.run.session)?;
        for (step, &part) in self.steps.iter().zip(self.walk.point()) {
            w = w.plus(&step.clone().times_real(part, bits)?)?;
        }
        Ok(w)
    }

    /// No coefficient of the next pass is larger.
    fn largest(&self) -> f64 {
        let start = self.start.iter().fold(0.0f64, |most, w| most.max(w.abs()));
        let parts = self.walk.point().iter().zip(&self.bounds);
        start + parts.map(|(part, bound)| part.abs() * bound).sum::<f64>()
    }

    /// What a pass takes, in order.
    fn requests(&mut self) -> Vec<Request> {
        let values = self.scales.values(self.stage);
        let mut requests = self.gradient.requests(self.plan, values);
        let order = self.plan.order();
        let inverse = match self.left {
            Some(number) => number,
            None => self.orders.left(order, order, &mut requests),
        };
        self.left = Some(inverse);
        Orders::right(inverse, 1, false, &mut requests);
        let left = self.orders.left(1, self.plan.order(), &mut requests);
        Orders::right(left, self.steps.len() + 1, true, &mut requests);
        requests
    }

    /// The gradient with the pull of the penalty. Local.
    fn penalised(&self, g: Fixed, w: &Fixed) -> Result<Fixed, Error> {
        let Some(pull) = self.scales.pull else { return Ok(g) };
        let fraction = self.scales.gradient_fraction(self.stage);
        let w = w.clone().truncate(pull.fraction, self.run.session)?;
        let (mut share, ring, _) = w.times(pull.factor).into_parts();
        if self.plan.settings.intercept {
            share.as_mut_slice()[self.plan.facts.columns()] = Z128(0);
        }
        let scale = pull.fraction as i32 - pull.exponent;
        let up = fraction as i32 - scale;
        share.scale(Z128(1u128 << up.clamp(0, 127)));
        Ok(g.raise(fraction)?.minus(&Fixed::new(share, ring, fraction)?)?)
    }

    /// s = Q g. One round.
    async fn step(&mut self, g: &Fixed) -> Result<Fixed, Error> {
        if let Some(factor) = &self.factor {
            let right = self.run.source.take().await?.right128()?;
            return factor.times(g, right, self.run.session).await;
        }
        let factors = self.run.factors().await?;
        let (factor, s) = Factor::open(&self.inverse, g, factors, self.run.session).await?;
        self.factor = Some(factor);
        Ok(s)
    }

    /// Reveals how a gradient lies to those before it, lifts its step, which is bounded by that, and says
    /// what follows. Three rounds.
    async fn judge(&mut self, g: &Fixed, s: Fixed) -> Result<Next, Error> {
        self.scales.no_wrap(self.plan, self.largest(), self.stage).map_err(alike)?;
        let (left, right) = self.run.factors().await?;
        let session = &mut *self.run.session;
        let row = g.clone().truncate(LENGTH_FRACTION, session)?.transposed();
        let fraction = self.scales.inverse_fraction() + LENGTH_FRACTION;
        let mut columns = Vec::with_capacity(self.steps.len() + 1);
        for step in &self.steps {
            columns.push(if step.fraction() > fraction {
                step.clone().truncate(fraction, session)?
            } else {
                step.clone().raise(fraction)?
            });
        }
        columns.push(s.clone().truncate(fraction, session)?);
        let columns = Fixed::beside(&columns.iter().collect::<Vec<_>>())?;
        let products = multiply_fixed(&row, &columns, left, right, session).await?;
        let label = labels::step(self.walk.made());
        let unit = unit(&self.scales.values(Stage::Fine).aim, &self.walk)
            .clamp(-(products.fraction() as i32), 0);
        let told = session.reveal_integers(&label, &products, (-unit) as u32).await?;
        let told = told.ok_or_else(|| Error::untold(&label))?;
        let told: Vec<f64> = told.iter().map(|&a| libm::ldexp(a as f64, unit)).collect();
        // Rounding takes up to a unit a party; its own length is a fact now.
        let parties = self.plan.parties() as f64;
        let square = told[self.steps.len()].max(0.0) + libm::ldexp(parties + 1.0, unit);
        let (bound, sigma) = (self.scales.step_bound(square), self.plan.sigma());
        self.scales.opening(square, self.stage).map_err(alike)?;
        let opened =
            open_bounded_fixed("glm/lift", &[(&s, bound)], sigma, &mut self.masks, session).await?;
        self.steps.push(opened[0].at(self.scales.lifted)?);
        self.bounds.push(libm::ldexp(1.0, bound));
        Ok(self.walk.judge(told))
    }
}

/// The unit of the inner products of the next pass, as a power of two.
fn unit(aim: &Aim, walk: &Walk) -> i32 {
    let errors = 1.0 / (aim.metric * aim.first);
    let least = aim.tolerance * aim.tolerance / 64.0 * errors;
    match walk.expected() {
        None => exponent(libm::ldexp(errors, FIRST_UNIT)),
        Some(square) => exponent(libm::ldexp(square, -PRODUCT_BITS).max(least)),
    }
}

/// The exponent of the power of two at or below a positive number.
fn exponent(value: f64) -> i32 {
    libm::frexp(value).1 - 1
}
