//! How well coefficients that nobody sees predict rows that they were not fitted to: the loss of all held-out rows
//! together, on shares (docs/protocols.md 8.12).

use std::sync::Arc;

use mpc_core::correlations::{MatrixShape, OwnRows, OwnedMatrix};
use mpc_core::protocols::product::multiply_fixed;
use mpc_core::ring::Z64;
use mpc_core::{Fixed, Shared, fixed};
use zeroize::Zeroizing;

use super::link::Link;
use super::plan::{RowsPlan, X_FRACTION};
use super::products::Matrix;
use super::scales::W_FRACTION;
use super::totals::Total;
use crate::data::Dataset;
use crate::error::Error;
use crate::model::{Orders, Run};

/// Fractional bits of a sum of losses.
pub(super) const LOSS_FRACTION: u32 = 12;
/// The noise that a row's loss may have, if that can be.
const NOISE: f64 = 0.002;
/// The series: right to 1e-3 for scores up to 56. Passes do not come to an end with larger ones.
const SERIES: (u32, usize) = (7, 24);

/// How the losses of held-out rows are computed.
#[derive(Clone, Debug)]
pub(super) struct Losses {
    even: Total,
    middle: f64,
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
        let (link, middle) = Link::losses(SERIES);
        let even = Total::new(link, (plan.facts.origin, plan.parties()), NOISE)?;
        Ok(Self { even, middle })
    }

    /// The standard deviation of the noise in the loss of a row.
    pub(super) fn noise(&self) -> f64 {
        self.even.noise()
    }

    /// A row's loss, less this, is even in its score but for (1/2 - y) times the score.
    pub(super) fn middle(&self) -> f64 {
        self.middle
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

    /// The sum of the losses of all held-out rows at shared coefficients, less [`middle`](Self::middle) for each. Two
    /// rounds, and one for each 65,536 rows.
    pub(super) async fn at(
        &self,
        held: &Held,
        w: &Fixed,
        orders: &mut Orders,
        run: &mut Run<'_>,
    ) -> Result<Fixed, Error> {
        let mut requests = vec![held.matrix.forward_request()];
        requests.extend(self.even.requests(held.rows));
        let left = orders.left(1, held.slopes.len(), &mut requests);
        Orders::right(left, 1, true, &mut requests);
        run.source.demand(requests)?;

        let session = &mut *run.session;
        let needed = W_FRACTION + X_FRACTION + self.even.period();
        let short = w.clone().truncate(W_FRACTION, session)?.narrow(needed)?;
        let product = run.source.take().await?.forward()?;
        let (z, scale): (Shared<Z64>, u32) = held.matrix.forward(&short, product, session).await?;
        let even = self.even.at((&z, scale), run).await?.truncate(LOSS_FRACTION, run.session)?;

        let (left, right) = run.factors().await?;
        let slopes = Fixed::own_part(&held.slopes[..], 1, held.slopes.len(), X_FRACTION)?;
        let linear = multiply_fixed(&slopes, w, left, right, run.session).await?;
        let linear = linear.truncate(LOSS_FRACTION, run.session)?;
        let ring = even.ring().min(linear.ring());
        Ok(even.narrow(ring)?.plus(&linear.narrow(ring)?)?)
    }
}
