//! The gradient at shared coefficients: two rounds, and one for each 65,536 rows
//! (docs/protocols.md 8.3).

use std::ops::Range;

use mpc_core::correlations::Request;
use mpc_core::ring::{Z64, Z128};
use mpc_core::{Batch, Fixed, Recipients, Shared};
use zeroize::Zeroizing;

use super::link::E_FRACTION;
use super::plan::{RowsPlan, X_FRACTION};
use super::products::{Matrix, Opening};
use super::scales::{Scales, W_FRACTION};
use crate::error::Error;
use crate::model::Run;

/// Scores whose phasors are one item on order.
const BLOCK: u64 = 4096;
/// Scores whose angles are opened in one round: what bounds the memory of a pass.
const GROUP: u64 = 1 << 16;

/// What the gradient is made from.
pub(super) struct Gradient {
    /// The design matrix.
    pub(super) design: Matrix,
    /// Rows times what their owner expects; the same where that is the design matrix.
    pub(super) weighed: Matrix,
    /// For each own row, what its argument of the series is less than its part in X w.
    pub(super) shifts: Zeroizing<Vec<f64>>,
    /// This party's part of the gradient that does not depend on the coefficients.
    pub(super) linear: Fixed,
    pub(super) opening: Opening,
}

impl Gradient {
    /// What one gradient takes, in order.
    pub(super) fn requests(&self, plan: &RowsPlan, scales: &Scales) -> Vec<Request> {
        let mut requests = vec![self.design.forward_request()];
        let form = &scales.phasing.form;
        let headroom = self.opening.sent();
        for block in 0..blocks(plan) {
            let count = parts(plan, block).iter().map(|part| part.end - part.start).sum::<u64>();
            requests.push(Request::Phasors(form.request(
                &plan.link.series,
                count as u32,
                headroom,
            )));
        }
        requests.push(self.weighed.transposed_request(self.opening));
        requests
    }

    /// The gradient of the log-likelihood at coefficients w, without a penalty, at the scale of
    /// gradients of the data.
    pub(super) async fn at(
        &self,
        w: &Fixed,
        plan: &RowsPlan,
        run: &mut Run<'_>,
    ) -> Result<Fixed, Error> {
        let session = &mut *run.session;
        let needed = W_FRACTION + X_FRACTION + plan.link.period();
        let w = w.clone().truncate(W_FRACTION, session)?.narrow(needed)?;
        let product = run.source.take().await?.forward()?;
        let (mut z, scale) = self.design.forward(&w, product, session).await?;
        let place = self.design.places[session.me()].clone();
        for (z, &shift) in z.as_mut_slice()[place].iter_mut().zip(self.shifts.iter()) {
            *z += Z64(libm::rint(libm::ldexp(shift, scale as i32)) as i64 as u64);
        }
        let values = self.values(&z, scale, plan, run).await?;
        let product = run.source.take().await?.transposed()?;
        let sums = self.weighed.transposed(&values, self.opening, product, run.session).await?;
        Ok(self.linear.clone().minus(&sums)?)
    }

    /// The series at all rows. One round for each group of rows.
    async fn values(
        &self,
        z: &Shared<Z64>,
        scale: u32,
        plan: &RowsPlan,
        run: &mut Run<'_>,
    ) -> Result<Fixed, Error> {
        let mut values = Shared::<Z128>::zero(z.len(), 1);
        let ring = self.opening.sent();
        for from in (0..blocks(plan)).step_by((GROUP / BLOCK) as usize) {
            let mut round = Batch::new("glm/open-angles");
            let mut pending = Vec::new();
            for block in from..(from + GROUP / BLOCK).min(blocks(plan)) {
                let phasors = run.source.take().await?.phasors()?;
                let ranges: Vec<Range<usize>> = parts(plan, block)
                    .iter()
                    .zip(&self.design.places)
                    .map(|(part, place)| {
                        place.start + part.start as usize..place.start + part.end as usize
                    })
                    .collect();
                let rows: Vec<usize> = ranges.iter().cloned().flatten().collect();
                let part = z.select(&rows)?;
                let series = &plan.link.series;
                let masked = series.masked_argument(&part, scale, &phasors, run.session)?;
                let slot = round.masked(&masked, phasors.angle_bits, Recipients::All);
                pending.push((slot, phasors, rows));
            }
            let opened = run.session.open(round).await?;
            for (slot, phasors, rows) in pending {
                let value = plan.link.at(opened.at(slot), &phasors, E_FRACTION, run.session)?;
                for (&row, &value) in rows.iter().zip(value.parts().0.as_slice()) {
                    values.as_mut_slice()[row] = value;
                }
            }
        }
        Ok(Fixed::new(values, ring, E_FRACTION)?)
    }
}

fn blocks(plan: &RowsPlan) -> u64 {
    plan.total_rows().div_ceil(BLOCK)
}

/// Rounds of the angles of one pass.
pub(super) fn groups(plan: &RowsPlan) -> u64 {
    blocks(plan).div_ceil(GROUP / BLOCK)
}

/// The part of each party's rows in a block of phasors.
fn parts(plan: &RowsPlan, block: u64) -> Vec<Range<u64>> {
    let blocks = blocks(plan);
    plan.rows.iter().map(|&rows| rows * block / blocks..rows * (block + 1) / blocks).collect()
}
