//! The passes on shares, from the owners' own fits towards the joint optimum (docs/protocols.md 8).

use std::sync::Arc;

use mpc_core::Fixed;
use mpc_core::correlations::{OwnedMatrix, Request};
use mpc_core::protocols::product::multiply_fixed;
use mpc_core::protocols::truncate::{open_bounded_fixed, own_masks};
use mpc_core::rand::Prg;
use mpc_core::ring::Z128;
use zeroize::Zeroizing;

use super::inversion::no_inverse;
use super::labels;
use super::link::E_FRACTION;
use super::own::Own;
use super::pass::Gradient;
use super::plan::{Preconditioner, RowsPlan, X_FRACTION};
use super::products::{Matrix, Opening};
use super::resume::Place;
use super::rule::{Next, Rule};
use super::scales::{Scales, W_FRACTION};
use super::settings::Finish;
use super::start::{self, Expected, LARGEST_OWN, Totals};
use super::steps::Steps;
use crate::data::Dataset;
use crate::error::Error;
use crate::model::{Orders, Progress, Run};

/// Fractional bits of gradient and step in the length of a step.
const LENGTH_FRACTION: u32 = 8;
/// A squared length that is further below zero, in its units, has wrapped.
const WRAPPED: i128 = 1 << 10;
/// Passes after the one that would be the last, with hundreds of columns.
const PASSES_MORE: u32 = 6;
/// A step that is longer, in standard errors, is not lifted.
const LONGEST: f64 = 4096.0;

/// What the passes on shares leave: this party's share of coefficients near the optimum, or at it.
pub struct RowsShares {
    pub(super) own: Arc<Own>,
    pub(super) totals: Totals,
    pub(super) scales: Scales,
    pub(super) w: Fixed,
    /// Passes that were made.
    pub(super) passes: u32,
    /// The length of the last step, in standard errors.
    pub(super) length: f64,
    /// Left factors that were ordered so far.
    pub(super) orders: Orders,
    /// The inverse of the curvature that the passes began with.
    pub(super) inverse: Option<Fixed>,
    /// What each own row weighs in that curvature.
    pub(super) slopes: Zeroizing<Vec<f64>>,
}

impl std::fmt::Debug for RowsShares {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowsShares").field("w", &self.w).finish_non_exhaustive()
    }
}

/// Fits on shares, after so many orders; its states are those of a fit by `agreed`.
pub(super) async fn whole(
    plan: &RowsPlan,
    agreed: [u8; 32],
    data: &Dataset,
    orders: Orders,
    run: &mut Run<'_>,
) -> Result<RowsShares, Error> {
    fit(plan, Some(agreed), data, orders, run).await
}

/// The same of a fit that is a part of another one, of which no state is kept.
pub(super) async fn part(
    plan: &RowsPlan,
    data: &Dataset,
    orders: Orders,
    run: &mut Run<'_>,
) -> Result<RowsShares, Error> {
    fit(plan, None, data, orders, run).await
}

async fn fit(
    plan: &RowsPlan,
    agreed: Option<[u8; 32]>,
    data: &Dataset,
    orders: Orders,
    run: &mut Run<'_>,
) -> Result<RowsShares, Error> {
    let (own, beyond) = start::own_rows(plan, data, run.session.me())?;
    let own = Arc::new(own);
    (run.progress)(Progress::Prepared);
    let totals = start::totals(plan, &own, beyond, run.session).await?;
    let expected = start::expect(plan, &own, totals).await?;
    let (scales, squares) = start::scales(plan, totals, &expected, run.session).await?;
    let slopes = expected.slopes.clone();
    let more = if plan.preconditioner == Preconditioner::Owners { PASSES_MORE } else { 0 };
    let mut fitting = Fitting {
        agreed,
        plan,
        scales: &scales,
        totals,
        squares,
        largest: LARGEST_OWN,
        whole: None,
        rule: Rule::new(scales.tolerance, plan.settings.passes).with_more(more),
        masks: own_masks(run.session)?,
        orders,
        resumed: false,
        run,
    };
    let end = fitting.run(&own, expected).await?;
    let (orders, inverse) = (fitting.orders, fitting.whole);
    let End { w, passes, length } = end;
    Ok(RowsShares { own, totals, w, passes, length, scales, orders, inverse, slopes })
}

struct End {
    w: Fixed,
    passes: u32,
    length: f64,
}

/// A fit in progress.
pub(super) struct Fitting<'a, 'r> {
    /// A digest of what all parties compute by; none where no state is kept.
    pub(super) agreed: Option<[u8; 32]>,
    pub(super) plan: &'a RowsPlan,
    pub(super) scales: &'a Scales,
    totals: Totals,
    /// A bound of the sum of the squared weighed entries of all rows.
    squares: f64,
    /// No coefficient is larger, with a penalty: proven from revealed lengths.
    pub(super) largest: f64,
    /// The inverse that steps are made with, to all its bits.
    pub(super) whole: Option<Fixed>,
    pub(super) rule: Rule,
    masks: Prg,
    pub(super) orders: Orders,
    /// Whether it goes on from a pass of an earlier session.
    pub(super) resumed: bool,
    pub(super) run: &'a mut Run<'r>,
}

/// A pass: where it was made, and its step.
#[derive(Clone)]
pub(super) struct Pass {
    pub(super) w: Fixed,
    pub(super) s: Fixed,
}

impl Pass {
    /// Where the step leads.
    fn ahead(&self) -> Result<Fixed, Error> {
        Ok(self.w.clone().plus_raised(&self.s)?)
    }
}

impl Fitting<'_, '_> {
    async fn run(&mut self, own: &Own, expected: Expected) -> Result<End, Error> {
        let resumed = self.resume()?;
        let mut steps = self.preconditioner(own, &expected).await?;
        let mut at = match resumed {
            Some(place) => place,
            None => Place::beginning(self.begin(&expected, &mut steps).await?),
        };
        if self.skips() && !self.resumed {
            return Ok(End { w: at.w, passes: 0, length: f64::NAN });
        }
        if at.ended {
            return Ok(self.end(at.w));
        }
        let gradient = self.register(expected).await?;
        loop {
            let requests = self.requests(&gradient, &mut steps, at.last.is_some());
            self.run.source.demand(requests)?;
            let g = gradient.at(&at.w, self.plan, self.run).await?;
            let g = self.penalised(g, &at.w)?;
            let step = self.step(&g, &mut steps).await?;
            let (next, s) = self.judge(&g, step, at.last.as_ref()).await?;
            let pass = Pass { w: at.w, s };
            if self.rule.is_best() {
                at.best = Some(pass.clone());
            }
            let w = match next {
                Next::Stop | Next::Plain => pass.ahead()?,
                Next::Mixed(quarters) => mixed(&pass, at.last.as_ref(), quarters)?,
                Next::Back(h) => {
                    let best = at.best.as_ref().unwrap_or(&pass);
                    let s = best.s.clone().times_real(libm::ldexp(1.0, -(h as i32) - 1), h + 1)?;
                    best.w.clone().plus_raised(&s)?
                }
                // In the clear the fit may get from there to its optimum all the same.
                Next::Refuse if self.plan.finish == Finish::Hidden => return Err(self.refused()),
                Next::Refuse => at.best.as_ref().unwrap_or(&pass).w.clone(),
            };
            let ended = matches!(next, Next::Stop | Next::Refuse);
            at = Place { w, last: Some(pass), best: at.best, ended };
            self.keep(&at).await?;
            let made = u64::from(self.rule.made());
            self.run.step(made, u64::from(self.plan.settings.passes));
            if ended {
                return Ok(self.end(at.w));
            }
        }
    }

    fn end(&self, w: Fixed) -> End {
        End { w, passes: self.rule.made(), length: self.rule.length() }
    }

    fn refused(&self) -> Error {
        Error::NotConverged(format!(
            "the fit did not come to its optimum in {} passes; the last step was {:.3} standard errors, \
             where {:.3} end it. A level or a combination of columns may decide the target by itself: \
             merge or leave out rare levels, or set l2; more passes are allowed by `passes`",
            self.rule.made(),
            self.rule.length(),
            self.scales.tolerance
        ))
    }

    /// Makes the own matrices known to the source.
    async fn register(&mut self, expected: Expected) -> Result<Gradient, Error> {
        let (plan, scales) = (self.plan, self.scales);
        let mut start = 0;
        let places: Vec<_> = plan
            .rows
            .iter()
            .map(|&rows| {
                start += rows as usize;
                start - rows as usize..start
            })
            .collect();
        let shape = plan.shape(plan.entry_bits());
        let own = expected.design;
        let number = self.run.source.register(OwnedMatrix { shape, own: Arc::clone(&own) }).await?;
        let design = Matrix { number, own, fraction: X_FRACTION, places: places.clone() };
        let weighed = match expected.weighed {
            None => design.clone(),
            Some(own) => {
                let shape = plan.shape(plan.weighed_bits());
                let matrix = OwnedMatrix { shape, own: Arc::clone(&own) };
                let number = self.run.source.register(matrix).await?;
                Matrix { number, own, fraction: scales.weighed_fraction, places }
            }
        };
        let fraction = scales.weighed_fraction + E_FRACTION;
        let linear = Fixed::own_part(&expected.linear, plan.order(), 1, fraction)?;
        let opening = match scales.residuals {
            Some(spec) => Opening::Bounded(spec),
            None => Opening::Uniform(scales.ring),
        };
        Ok(Gradient { design, weighed, shifts: expected.shifts, linear, opening })
    }

    /// What a pass takes, in order.
    fn requests(&mut self, gradient: &Gradient, steps: &mut Steps, later: bool) -> Vec<Request> {
        let (plan, scales) = (self.plan, self.scales);
        let mut requests = gradient.requests(plan, scales);
        match steps {
            Steps::Inverse { left, .. } => {
                let number = match *left {
                    Some(number) => number,
                    None => self.orders.left(plan.order(), plan.order(), &mut requests),
                };
                *left = Some(number);
                Orders::right(number, 1, false, &mut requests);
            }
            Steps::Owners(matrix) => {
                requests.push(matrix.transposed_request(Opening::Uniform(128)));
            }
        }
        let left = self.orders.left(1, plan.order(), &mut requests);
        Orders::right(left, 1 + usize::from(later), true, &mut requests);
        requests
    }

    /// The gradient with the pull of the penalty. Local.
    fn penalised(&self, g: Fixed, w: &Fixed) -> Result<Fixed, Error> {
        let Some(penalty) = self.scales.penalty else { return Ok(g) };
        let g = g.raise(self.scales.gradient_fraction)?;
        let w = w.clone().truncate(W_FRACTION, self.run.session)?;
        let (share, ring, _) = w.times(penalty.factor).into_parts();
        let mut pull = share;
        if self.plan.settings.intercept {
            pull.as_mut_slice()[self.plan.facts.columns()] = Z128(0);
        }
        let fraction = (W_FRACTION as i32 - penalty.exponent) as u32;
        Ok(g.minus(&Fixed::new(pull, ring, fraction)?.raise(self.scales.gradient_fraction)?)?)
    }

    /// Reveals how long a step is, and what follows; gives the step as coefficients take it. Two
    /// rounds, with a penalty three.
    async fn judge(
        &mut self,
        g: &Fixed,
        s: Fixed,
        last: Option<&Pass>,
    ) -> Result<(Next, Fixed), Error> {
        let (left, right) = self.run.factors().await?;
        let session = &mut *self.run.session;
        let short = |v: &Fixed, fraction| v.clone().truncate(fraction, session);
        let fraction = self.scales.step_fraction + LENGTH_FRACTION;
        let row = short(g, LENGTH_FRACTION)?.transposed();
        let mut columns = vec![short(&s, fraction)?];
        if let Some(last) = last {
            columns.push(if last.s.fraction() > fraction {
                short(&last.s, fraction)?
            } else {
                last.s.clone().raise(fraction)?
            });
        }
        let columns = Fixed::beside(&columns.iter().collect::<Vec<_>>())?;
        let products = multiply_fixed(&row, &columns, left, right, session).await?;
        if self.scales.penalty.is_some() {
            self.no_wrap(&products)?;
        }
        let session = &mut *self.run.session;
        let label = labels::step(self.rule.made());
        let unit = self.rule.unit();
        let revealed = session.reveal_integers(&label, &products, (-unit) as u32).await?;
        let revealed = revealed.ok_or_else(|| Error::untold(&label))?;
        let square = revealed.first().copied().unwrap_or_default();
        // What rounding leaves of nothing is a few units; more below zero has wrapped.
        if square < -WRAPPED {
            if self.plan.finish == Finish::Hidden || self.scales.penalty.is_some() {
                return Err(Error::NotConverged(
                    "the parties' own fits are too far from each other: a step is longer than can be \
                     told. Merge or leave out rare levels, or set l2"
                        .to_owned(),
                ));
            }
            return Ok((Next::Refuse, s));
        }
        let next = self.rule.judge(square, revealed.get(1).copied().unwrap_or_default());
        if self.scales.penalty.is_none() {
            return Ok((next, s));
        }
        // Lifted, because the penalty is taken of it. Its length is a fact now.
        let square = libm::ldexp((square.max(0) + 2) as f64, unit);
        let length = self.scales.longest(self.plan, square, LENGTH_FRACTION);
        if length > LONGEST {
            return Err(Error::NotConverged(format!(
                "a step of {length:.0} standard errors: the parties' own fits are too far from each other"
            )));
        }
        self.scales.lifts(self.plan, length, s.ring()).map_err(start::alike)?;
        let items = [(&s, self.scales.step_bound(length))];
        let sigma = self.plan.sigma;
        let opened =
            open_bounded_fixed("glm/lift", &items, sigma, &mut self.masks, session).await?;
        let factor = match next {
            Next::Mixed(quarters) => {
                (1.0 - quarters as f64 / 4.0).abs() + (quarters as f64 / 4.0).abs()
            }
            _ => 1.0,
        };
        self.largest = factor * (self.largest + libm::ldexp(1.0, self.scales.step_bound(length)));
        Ok((next, opened[0].at(W_FRACTION)?))
    }

    /// The revealed length bounds what is lifted, so it must not have wrapped: |P| |g|^2 is below the
    /// ring, whatever the data are.
    fn no_wrap(&self, products: &Fixed) -> Result<(), Error> {
        let (plan, scales) = (self.plan, self.scales);
        let penalty = scales.penalty.ok_or_else(no_inverse)?;
        // |y - mean| in units of what an owner expects, but for y, which has a sum.
        let residual = plan.link.largest(&scales.phasing, plan.parties()) + 4.0;
        let columns = libm::sqrt(plan.order() as f64);
        let data = libm::sqrt(self.squares * plan.total_rows() as f64) * residual
            + columns * plan.largest * self.totals.targets;
        let gradient = data + penalty.applied() * self.largest * columns;
        let square = penalty.largest_inverse() * gradient * gradient;
        let bits = libm::log2(square) + f64::from(products.fraction()) + 2.0;
        if bits > f64::from(products.ring()) {
            return Err(Error::Unusable(format!(
                "the length of a step could need {bits:.0} bits, and {} are left: leave out rows or \
                 columns, or set a larger l2",
                products.ring()
            )));
        }
        Ok(())
    }
}

/// (1 - g)(w + s) + g (w' + s') for g in quarters.
fn mixed(now: &Pass, last: Option<&Pass>, quarters: i64) -> Result<Fixed, Error> {
    let part = quarters as f64 / 4.0;
    let last = last.unwrap_or(now).ahead()?.times_real(part, 2)?;
    Ok(now.ahead()?.times_real(1.0 - part, 2)?.plus_raised(&last)?)
}
