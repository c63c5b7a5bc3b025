//! The sum of a series over all rows, of which no single value is opened (docs/protocols.md 8.12, 13.4, 17.5).

use mpc_core::correlations::{Origin, PhasorRequest, Phasors, Request};
use mpc_core::ring::{Z64, Z128, wire};
use mpc_core::{Batch, Cost, Fixed, Recipients, Session, Shared};

use super::link::{Link, Phasing};
use crate::error::Error;
use crate::model::Run;

/// What the ring has beside the scale of phasors: the scale of the series, and a sum below 2^29.
pub(crate) const HEADROOM: u32 = 48;
/// Rows whose phasors are one item on order, and those whose angles are opened in one round.
const BLOCK: usize = 4096;
const GROUP: usize = 16;

/// A series that is summed over rows, and the phasors that it takes.
#[derive(Clone, Debug)]
pub(crate) struct Total {
    link: Link,
    phasing: Phasing,
    headroom: u32,
}

impl Total {
    /// With phasors that make the noise of a row `noise` at most, if that can be.
    pub(crate) fn new(
        link: Link,
        (origin, parties): (Origin, usize),
        noise: f64,
    ) -> Result<Self, Error> {
        Self::with_room(link, (origin, parties), noise, HEADROOM)
    }

    /// The same with so many bits of the ring beside the scale of phasors.
    pub(crate) fn with_room(
        link: Link,
        (origin, parties): (Origin, usize),
        noise: f64,
        headroom: u32,
    ) -> Result<Self, Error> {
        let phasing = link.phasing(origin, parties, headroom, noise)?;
        Ok(Self { link, phasing, headroom })
    }

    /// The standard deviation of the noise in the value of a row.
    pub(crate) fn noise(&self) -> f64 {
        self.phasing.noise
    }

    /// The logarithm of the period.
    pub(crate) fn period(&self) -> u32 {
        self.link.period()
    }

    /// What so many rows take, in order.
    pub(crate) fn phasors(&self, rows: usize) -> impl Iterator<Item = PhasorRequest> + '_ {
        (0..rows).step_by(BLOCK).map(move |from| {
            let count = BLOCK.min(rows - from) as u32;
            self.phasing.form.request(&self.link.series, count, self.headroom)
        })
    }

    /// The same as requests.
    pub(crate) fn requests(&self, rows: usize) -> impl Iterator<Item = Request> + '_ {
        self.phasors(rows).map(Request::Phasors)
    }

    /// The sum over all rows, without the constant of the series. One round for each 65,536 rows.
    pub(crate) async fn at(
        &self,
        (z, scale): (&Shared<Z64>, u32),
        run: &mut Run<'_>,
    ) -> Result<Fixed, Error> {
        let source = &mut *run.source;
        let next = async || Ok(source.take().await?.phasors()?);
        self.sum((z, scale), next, run.session).await
    }

    /// The same with phasors that come from anywhere.
    pub(crate) async fn sum(
        &self,
        at: (&Shared<Z64>, u32),
        next: impl AsyncFnMut() -> Result<Phasors, Error>,
        session: &mut Session,
    ) -> Result<Fixed, Error> {
        let mut sum = Shared::<Z128>::zero(1, 1);
        let (ring, fraction) = self
            .turned(at, next, session, |delta, phasors| {
                for &value in self.link.series.evaluate(delta, phasors).as_slice() {
                    sum.as_mut_slice()[0] += value;
                }
            })
            .await?;
        Ok(Fixed::new(sum, ring, fraction)?)
    }

    /// Opens the angles of all rows; the ring and the scale of what comes of them. Other series of the same multiples and
    /// the same scale may be evaluated there.
    pub(crate) async fn turned(
        &self,
        (z, scale): (&Shared<Z64>, u32),
        mut next: impl AsyncFnMut() -> Result<Phasors, Error>,
        session: &mut Session,
        mut then: impl FnMut(&[Z128], &Phasors),
    ) -> Result<(u32, u32), Error> {
        let blocks: Vec<usize> = (0..z.len()).step_by(BLOCK).collect();
        let mut scales = None;
        for group in blocks.chunks(GROUP) {
            let mut round = Batch::new("glm/open-angles");
            let mut pending = Vec::new();
            for &from in group {
                let phasors = next().await?;
                let part = z.slice(from..(from + BLOCK).min(z.len()))?;
                let series = &self.link.series;
                let masked = series.masked_argument(&part, scale, &phasors, session)?;
                let slot = round.masked(&masked, phasors.angle_bits, Recipients::All);
                pending.push((slot, phasors));
            }
            let opened = session.open(round).await?;
            for (slot, phasors) in pending {
                then(opened.at(slot), &phasors);
                scales = Some((phasors.ring, self.link.series.fraction + phasors.fraction));
            }
        }
        scales.ok_or_else(|| Error::Settings("there is no row to sum over".to_owned()))
    }

    /// What the angles of so many rows cost.
    pub(crate) fn cost(&self, rows: usize, me: usize, parties: usize) -> Cost {
        let rounds = rows.div_ceil(BLOCK * GROUP) as u64;
        let bytes = wire::element_bytes(self.phasing.form.angle_bits) * rows;
        Cost::to_all(me, parties, rounds, bytes as u64)
    }
}
