//! How well coefficients that nobody sees predict rows that they were not fitted to: the loss of all held-out rows
//! together, on shares (docs/protocols.md 8.12).

use std::sync::Arc;

use mpc_core::correlations::{MatrixShape, OwnRows, OwnedMatrix, PhasorForm, Request};
use mpc_core::protocols::product::multiply_fixed;
use mpc_core::ring::{Z64, Z128};
use mpc_core::{Batch, Fixed, Recipients, Shared, fixed};
use zeroize::Zeroizing;

use super::link::{Link, Phasing};
use super::plan::{RowsPlan, X_FRACTION};
use super::products::Matrix;
use super::scales::W_FRACTION;
use crate::data::Dataset;
use crate::error::Error;
use crate::model::{Orders, Run};

/// A row's loss, less this, is even in its score but for (1/2 - y) times the score.
pub(super) const MIDDLE: f64 = 16.0;
/// Fractional bits of a sum of losses.
pub(super) const LOSS_FRACTION: u32 = 12;
/// What the ring has beside the scale of phasors: the scale of the series, and a sum below 2^29.
const HEADROOM: u32 = 48;
/// The noise that a row's loss may have, if that can be.
const NOISE: f64 = 0.002;
/// Rows whose phasors are one item on order, and those whose angles are opened in one round.
const BLOCK: usize = 4096;
const GROUP: usize = 16;

/// How the losses of held-out rows are computed.
#[derive(Clone, Debug)]
pub(super) struct Losses {
    link: Link,
    phasing: Phasing,
}

/// The held-out rows of all parties.
pub(super) struct Held {
    matrix: Matrix,
    /// This party's sum of (1/2 - y) x.
    slopes: Zeroizing<Vec<f64>>,
    rows: usize,
}

impl Losses {
    /// The series and its phasors.
    pub(super) fn new(plan: &RowsPlan) -> Result<Self, Error> {
        let link = Link::losses(MIDDLE);
        let parties = plan.parties();
        let phasing = link.phasing(plan.facts.origin, parties, HEADROOM, NOISE)?;
        Ok(Self { link, phasing })
    }

    /// The standard deviation of the noise in the loss of a row.
    pub(super) fn noise(&self) -> f64 {
        self.phasing.noise
    }

    /// Makes the held-out rows known to the source.
    pub(super) async fn register(
        &self,
        plan: &RowsPlan,
        (data, held): (&Dataset, &[u64]),
        run: &mut Run<'_>,
    ) -> Result<Held, Error> {
        let order = plan.order();
        let mut entries = Zeroizing::new(Vec::with_capacity(data.len() * order));
        let mut slopes = Zeroizing::new(vec![0.0; order]);
        for row in 0..data.len() {
            let clip = plan.largest;
            let own = data.rows().row(row).iter().map(|x| x.clamp(-clip, clip));
            let own = own.chain(plan.settings.intercept.then_some(1.0));
            for (x, slope) in own.zip(slopes.iter_mut()) {
                entries.push(fixed::encode(x, X_FRACTION, plan.entry_bits())? as i32);
                *slope += (0.5 - data.rows().y()[row]) * x;
            }
        }
        let own = Arc::new(OwnRows::new(std::mem::take(&mut *entries)));
        let shape = MatrixShape { rows: held.to_vec(), ..plan.shape(plan.entry_bits()) };
        let number = run.source.register(OwnedMatrix { shape, own: Arc::clone(&own) }).await?;
        let mut start = 0;
        let places = held.iter().map(|&rows| {
            start += rows as usize;
            start - rows as usize..start
        });
        let places: Vec<_> = places.collect();
        Ok(Held {
            matrix: Matrix { number, own, fraction: X_FRACTION, places },
            slopes,
            rows: start,
        })
    }

    /// The sum of the losses of all held-out rows at shared coefficients, less [`MIDDLE`] for each. Two rounds,
    /// and one for each 65,536 rows.
    pub(super) async fn at(
        &self,
        held: &Held,
        w: &Fixed,
        orders: &mut Orders,
        run: &mut Run<'_>,
    ) -> Result<Fixed, Error> {
        let form: &PhasorForm = &self.phasing.form;
        let blocks: Vec<usize> = (0..held.rows).step_by(BLOCK).collect();
        let mut requests = vec![held.matrix.forward_request()];
        for &from in &blocks {
            let count = BLOCK.min(held.rows - from) as u32;
            requests.push(Request::Phasors(form.request(&self.link.series, count, HEADROOM)));
        }
        let left = orders.left(1, held.slopes.len(), &mut requests);
        Orders::right(left, 1, true, &mut requests);
        run.source.demand(requests)?;

        let session = &mut *run.session;
        let needed = W_FRACTION + X_FRACTION + self.link.period();
        let short = w.clone().truncate(W_FRACTION, session)?.narrow(needed)?;
        let product = run.source.take().await?.forward()?;
        let (z, scale): (Shared<Z64>, u32) = held.matrix.forward(&short, product, session).await?;

        let mut sum = Shared::<Z128>::zero(1, 1);
        let mut series_scale = None;
        for group in blocks.chunks(GROUP) {
            let mut round = Batch::new("glm/open-angles");
            let mut pending = Vec::new();
            for &from in group {
                let phasors = run.source.take().await?.phasors()?;
                let part = z.slice(from..(from + BLOCK).min(held.rows))?;
                let series = &self.link.series;
                let masked = series.masked_argument(&part, scale, &phasors, run.session)?;
                let slot = round.masked(&masked, phasors.angle_bits, Recipients::All);
                pending.push((slot, phasors));
            }
            let opened = run.session.open(round).await?;
            for (slot, phasors) in pending {
                let values = self.link.series.evaluate(opened.at(slot), &phasors);
                for &value in values.as_slice() {
                    sum.as_mut_slice()[0] += value;
                }
                series_scale = Some((phasors.ring, self.link.series.fraction + phasors.fraction));
            }
        }
        let (ring, fraction) =
            series_scale.ok_or_else(|| Error::Settings("no row is held out".to_owned()))?;
        let even = Fixed::new(sum, ring, fraction)?.truncate(LOSS_FRACTION, run.session)?;

        let (left, right) = run.factors().await?;
        let slopes = Fixed::own_part(&held.slopes[..], 1, held.slopes.len(), X_FRACTION)?;
        let linear = multiply_fixed(&slopes, w, left, right, run.session).await?;
        let linear = linear.truncate(LOSS_FRACTION, run.session)?;
        let ring = even.ring().min(linear.ring());
        Ok(even.narrow(ring)?.plus(&linear.narrow(ring)?)?)
    }
}
