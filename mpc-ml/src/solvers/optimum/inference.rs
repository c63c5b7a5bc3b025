//! The variances of the coefficients, the deviance of a fit, and that of the model without features.

use mpc_core::protocols::product::FixedLeft;
use mpc_core::protocols::truncate::{open_bounded, truncate_reduce};
use mpc_core::ring::{Ring, Z128};
use mpc_core::{Batch, Session, Shared, fixed};

use super::{DEVIANCE, Fitting, NULL_DEVIANCE, SUM_FRACTION, TARGETS, design, multiply};
use crate::error::Error;
use crate::plan::W_FRACTION;
use crate::plan::optimum::Family;

/// What says how well a model fits, for those who receive it.
#[derive(Default)]
pub(super) struct Deviances {
    pub(super) deviance: Option<f64>,
    /// That of the model without features.
    pub(super) null: Option<f64>,
}

fn transposed(matrix: &Shared<Z128>) -> Shared<Z128> {
    let (rows, columns) = (matrix.rows(), matrix.columns());
    let at = |i: usize| matrix.as_slice()[i % rows * columns + i / rows];
    Shared::new((0..rows * columns).map(at).collect(), columns, rows)
}

/// y log y, which is 0 at 0.
fn y_log_y(y: f64) -> f64 {
    if y > 0.0 { y * libm::log(y) } else { 0.0 }
}

impl Fitting<'_> {
    /// The variances of the coefficients over 2^scale, from the inverse of a Hessian whose weights
    /// are lifted, without the lift: diag(X + X L X + X L X L X), at scale
    /// [`Information::variance_fraction`], mod 2^128; and the trace of (X L)^2 at twice
    /// [`Information::product_fraction`]. To be called after the check of X was revealed and found
    /// good: what is opened is bounded by that. Six rounds.
    ///
    /// [`Information::variance_fraction`]: crate::plan::optimum::Information::variance_fraction
    /// [`Information::product_fraction`]: crate::plan::optimum::Information::product_fraction
    pub(super) async fn variances(
        &mut self,
        x: &Shared<Z128>,
        session: &mut Session,
    ) -> Result<(Shared<Z128>, Shared<Z128>), Error> {
        let (plan, me) = (self.plan, session.me());
        let (Some(hessian), Some(information)) = (plan.hessian(), plan.information()) else {
            return Err(Error::Settings("variances are those of a fit with inference".to_owned()));
        };
        let d = x.rows();
        let lift = design::weighted(hessian, &self.gram, information.lift, information.fraction);
        let slack = if me == 0 { information.slack } else { 0 };
        let lift = design::square(plan, &lift, slack, 0);
        let (spec, masks) = (information.inverse, &mut self.masks);
        let opened = open_bounded("optimum/round-inverse", &[(spec, x)], masks, session).await?;
        let coarse = Shared::new(opened[0].part(spec.drop, me).to_vec(), d, d);
        let left = self.source.take().await?.left128()?;
        let right = self.source.take().await?.right128()?;
        let mut round = Batch::new("optimum/open-lift");
        let pending = FixedLeft::push(&coarse, left, &mut round)?;
        let product = FixedLeft::push_right(&lift, right, &mut round)?;
        let opened = session.open(round).await?;
        let fixed = FixedLeft::opened(pending, &opened);
        let product = fixed.finish(product, &opened, session);

        let spec = information.product;
        let items = [(spec, &product)];
        let opened = open_bounded("optimum/lift-part", &items, &mut self.masks, session).await?;
        let part = Shared::new(opened[0].part(spec.drop, me).to_vec(), d, d);
        let right = self.source.take().await?.right128()?;
        let mut round = Batch::new("optimum/open-lift-part");
        let turned = transposed(&part);
        let product = FixedLeft::push_right(&turned, right, &mut round)?;
        let opened = session.open(round).await?;
        let first = fixed.finish(product, &opened, session);

        let second = multiply(self.source, &part, &first, session).await?;
        let row = Shared::new(part.as_slice().to_vec(), 1, d * d);
        let column = Shared::column(turned.as_slice().to_vec());
        let trace = multiply(self.source, &row, &column, session).await?;

        let up = information.product_fraction();
        let sum = |i: usize| {
            let at = |matrix: &Shared<Z128>| matrix.as_slice()[i * (d + 1)];
            at(x).shl(information.inverse_shift()) + at(&first).shl(up) + at(&second)
        };
        Ok((Shared::column((0..d).map(sum).collect()), trace))
    }

    /// Half the deviance at the weights of the last pass, from the sum of its losses: logistic
    /// sum log(2 cosh(z/2)) - (y - 1/2) z, Poisson sum mu - y z + y log y - y. The products of
    /// targets and scores are one inner product of X^T y and w. One round.
    pub(super) async fn half_deviance(
        &mut self,
        weights: &Shared<Z128>,
        losses: Z128,
        session: &mut Session,
    ) -> Result<Shared<Z128>, Error> {
        let (plan, settings) = (self.plan, self.plan.settings());
        let logistic = matches!(settings.family, Family::Logistic { .. });
        let centre = if logistic { 0.5 } else { 0.0 };
        let columns = settings.columns as usize;
        let mut sums = vec![0.0; settings.weights()];
        for (row, y) in self.own.entries().chunks_exact(columns).zip(self.labels.iter()) {
            for (sum, &x) in sums.iter_mut().zip(row) {
                *sum += f64::from(x) * (y - centre);
            }
        }
        if settings.intercept {
            let sum: f64 = self.labels.iter().map(|y| y - centre).sum();
            sums[columns] = libm::ldexp(sum, plan.x_fraction() as i32);
        }
        let scale = plan.target_fraction() as i32 - plan.x_fraction() as i32;
        let integer = |sum: &f64| Z128::from_i128(libm::rint(libm::ldexp(*sum, scale)) as i128);
        let row = Shared::new(sums.iter().map(integer).collect(), 1, sums.len());
        let mut narrow = weights.clone();
        let (me, parties) = (session.me(), session.parties());
        truncate_reduce(&mut narrow, 128, plan.wide_fraction() - W_FRACTION, me, parties);
        let product = multiply(self.source, &row, &narrow, session).await?;

        let mut half = losses - product.as_slice()[0];
        if !logistic {
            let own = |(i, &y): (usize, &f64)| {
                y_log_y(y) - y - y * self.offsets.get(i).copied().unwrap_or(0.0)
            };
            let own: f64 = self.labels.iter().enumerate().map(own).sum();
            let own = libm::rint(libm::ldexp(own, plan.loss_fraction() as i32));
            half += Z128::from_i128(own as i128);
        }
        Ok(Shared::column(vec![half]))
    }

    /// Reveals the deviance, and what that of the model without features follows from. One
    /// round an output.
    pub(super) async fn deviances(
        &self,
        half: &Shared<Z128>,
        session: &mut Session,
    ) -> Result<Deviances, Error> {
        let (plan, settings) = (self.plan, self.plan.settings());
        let drop = plan.loss_fraction() - SUM_FRACTION;
        let revealed = session.reveal(DEVIANCE, half, plan.loss_ring(), drop).await?;
        let first = |values: Option<Vec<i128>>| {
            values.and_then(|v| v.first().copied()).map(|v| fixed::decode(v, SUM_FRACTION))
        };
        let deviance = first(revealed).map(|half| 2.0 * half);

        let integer =
            |sum: f64| Z128::from_i128(libm::rint(libm::ldexp(sum, SUM_FRACTION as i32)) as i128);
        let offset = |i: usize| self.offsets.get(i).copied().unwrap_or(0.0);
        let exposure: f64 = (0..self.labels.len()).map(|i| libm::exp(offset(i))).sum();
        let own = vec![integer(self.labels.iter().sum()), integer(exposure)];
        let revealed = session.reveal(TARGETS, &Shared::column(own), 128, 0).await?;
        let totals = revealed.map(|v| v.into_iter().map(|v| fixed::decode(v, SUM_FRACTION)));
        let totals: Option<Vec<f64>> = totals.map(Iterator::collect);
        let n = settings.total_rows() as f64;
        if matches!(settings.family, Family::Logistic { .. }) {
            let null = totals.map(|totals| {
                let share = if settings.intercept { totals[0] / n } else { 0.5 };
                let log = |part: f64, count: f64| if count > 0.0 { count * part.ln() } else { 0.0 };
                -2.0 * (log(share, totals[0]) + log(1.0 - share, n - totals[0]))
            });
            return Ok(Deviances { deviance, null });
        }
        // sum y log y - y offset, which says no more than the deviance itself: released as that.
        let own = |(i, &y): (usize, &f64)| y_log_y(y) - y * offset(i);
        let own: f64 = self.labels.iter().enumerate().map(own).sum();
        let share = Shared::column(vec![integer(own)]);
        let saturated = first(session.reveal(NULL_DEVIANCE, &share, 128, 0).await?);
        let null = saturated.zip(totals).map(|(saturated, totals)| {
            let (y, exposure) = (totals[0], totals[1]);
            if settings.intercept {
                let log = if y > 0.0 { y * (y / exposure).ln() } else { 0.0 };
                return 2.0 * (saturated - log);
            }
            2.0 * (saturated - y + exposure)
        });
        Ok(Deviances { deviance, null })
    }
}
