//! The gradient at shared coefficients, where the parties hold different columns of the same rows: two
//! rounds, and one for each 65,536 rows (docs/protocols.md 13.1 and 13.4).

use std::ops::Range;
use std::sync::Arc;

use mpc_core::correlations::{
    MatrixShape, OwnRows, OwnedMatrix, OwnedProduct, OwnedProductRequest, PhasorForm, Request,
};
use mpc_core::protocols::owned;
use mpc_core::protocols::truncate::BoundedOpening;
use mpc_core::ring::{Ring, Z64, Z128};
use mpc_core::{Batch, Fixed, Recipients, Session, Shared, fixed};
use zeroize::Zeroizing;

use super::super::link::{E_FRACTION, Link};
use super::super::plan::X_FRACTION;
use super::super::scales::W_FRACTION;
use super::plan::{ColumnsPlan, Part};
use super::scales::{Scales, Values};
use crate::data::Dataset;
use crate::error::Error;
use crate::model::Run;

/// Scores whose phasors are one item on order.
const BLOCK: u64 = 4096;
/// Scores whose angles are opened in one round: what bounds the memory of a pass.
const GROUP: u64 = 1 << 16;

/// What a gradient is made from.
pub(super) struct Gradient {
    /// The number of each part at the source.
    matrices: Vec<u32>,
    own: Arc<OwnRows>,
    /// What this party adds to the score of each row: the offset. None where there is none.
    shifts: Zeroizing<Vec<f64>>,
    /// The target of each row in units of the fit; none where another party has it.
    targets: Zeroizing<Vec<f64>>,
}

/// The shape of the matrix of a part.
fn shape(plan: &ColumnsPlan, part: &Part) -> MatrixShape {
    let mut rows = vec![0; plan.parties()];
    rows[part.owner] = plan.total_rows();
    let columns = part.columns.len() as u32;
    MatrixShape { rows, columns, entry_bits: plan.entry_bits(), sigma: plan.sigma() }
}

/// What `me` enters of a part: its entries, if it is its own.
fn entries(me: usize, part: &Part, own: &Arc<OwnRows>) -> Arc<OwnRows> {
    if part.owner == me { Arc::clone(own) } else { Arc::new(OwnRows::new(Vec::new())) }
}

impl Gradient {
    /// The own entries in fixed point, row by row.
    pub(super) fn own(&self) -> &[i32] {
        self.own.entries()
    }

    /// The number of each part at the source.
    pub(super) fn matrices(&self) -> &[u32] {
        &self.matrices
    }

    /// Registers the own columns with the source. The rounds of the registrations.
    pub(super) async fn register(
        plan: &ColumnsPlan,
        scales: &Scales,
        data: &Dataset,
        run: &mut Run<'_>,
    ) -> Result<Self, Error> {
        let me = run.session.me();
        let (bits, most) = (plan.entry_bits(), plan.largest);
        let rows = data.rows();
        let mut own = Zeroizing::new(Vec::with_capacity(rows.x().len()));
        for x in rows.x() {
            own.push(fixed::encode(x.clamp(-most, most), X_FRACTION, bits)? as i32);
        }
        let own = Arc::new(OwnRows::new(std::mem::take(&mut *own)));
        let mut matrices = Vec::with_capacity(plan.parts.len());
        for part in &plan.parts {
            let matrix = OwnedMatrix { shape: shape(plan, part), own: entries(me, part, &own) };
            matrices.push(run.source.register(matrix).await?);
        }
        let shifts = Zeroizing::new(data.offset().to_vec());
        let targets = rows.y().iter().map(|y| y / scales.unit).collect();
        Ok(Self { matrices, own, shifts, targets: Zeroizing::new(targets) })
    }

    fn product(&self, plan: &ColumnsPlan, at: usize, transposed: Option<(u32, u32)>) -> Request {
        let part = &plan.parts[at];
        let mut rows = vec![(0, 0); plan.parties()];
        rows[part.owner] = (0, plan.total_rows());
        // Forward mu is uniform mod 2^64. The intercept is masked with the first columns.
        let intercept = u32::from(plan.settings.intercept && at == 0);
        let (ring, mask_bits, drop, public_columns) = match transposed {
            Some((ring, mask_bits)) => (ring, mask_bits, 0, 0),
            None => (64, 128, 64, intercept),
        };
        Request::OwnedProduct(OwnedProductRequest {
            matrix: self.matrices[at],
            rows,
            transposed: transposed.is_some(),
            ring,
            mask_bits,
            drop,
            public_columns,
        })
    }

    /// What one gradient takes, in order.
    pub(super) fn requests(&self, plan: &ColumnsPlan, values: &Values) -> Vec<Request> {
        let mut requests: Vec<Request> =
            (0..plan.parts.len()).map(|at| self.product(plan, at, None)).collect();
        let opened = (values.opening.ring, values.fraction);
        requests.extend(phasors(plan, &plan.link, &values.phasing.form, opened));
        let transposed = Some((Z128::BITS, values.opening.mask_bits()));
        requests.extend((0..plan.parts.len()).map(|at| self.product(plan, at, transposed)));
        requests
    }

    /// The gradient of the log-likelihood in units of the fit, without a penalty, mod 2^128.
    pub(super) async fn at(
        &self,
        w: &Fixed,
        (plan, scales, how): (&ColumnsPlan, &Scales, &Values),
        run: &mut Run<'_>,
    ) -> Result<Fixed, Error> {
        let needed = W_FRACTION + X_FRACTION + plan.link.period();
        let w = w.clone().truncate(W_FRACTION, run.session)?.narrow(needed)?;
        let mut forward = Vec::with_capacity(plan.parts.len());
        for _ in &plan.parts {
            forward.push(run.source.take().await?.forward()?);
        }
        let z = self.scores(&w, forward, (plan, scales), run.session).await?;
        let values = self.values(&z, (plan, how), run).await?;
        let mut products = Vec::with_capacity(plan.parts.len());
        for _ in &plan.parts {
            products.push(run.source.take().await?.transposed()?);
        }
        let masks: Vec<&[Z128]> = products.iter().map(|product| &product.rho[..]).collect();
        let opening = (plan, how.opening);
        let step = "glm/open-residuals";
        let (share, ..) = values.parts();
        let public = open_to_owners(step, share, &masks, opening, run.session).await?;
        let me = run.session.me();
        let mut gradient = Vec::with_capacity(plan.order());
        let mut intercept = None;
        for (part, product) in plan.parts.iter().zip(products) {
            let own = entries(me, part, &self.own);
            let public = if part.owner == me { &public[..] } else { &[][..] };
            // The first matrix tells the sum of all values.
            if intercept.is_none() {
                let masks = product.rho.iter().fold(Z128::ZERO, |sum, &rho| sum + rho);
                let sum = public.iter().fold(-masks, |sum, &c| sum + Z128::from_i128(c));
                intercept = Some(sum.shl(X_FRACTION));
            }
            let block = owned::transposed(own.entries(), public, product.product);
            gradient.extend_from_slice(block.as_slice());
        }
        gradient.extend(intercept.filter(|_| plan.settings.intercept));
        // Values are means less targets.
        let gradient = -Shared::column(gradient);
        Ok(Fixed::new(gradient, Z128::BITS, X_FRACTION + how.fraction)?)
    }

    /// z = X w + offset - centre mod 2^64: the coefficients of all blocks are opened at once, under masks
    /// that are uniform in their ring. One round.
    async fn scores(
        &self,
        w: &Fixed,
        products: Vec<OwnedProduct<Z64>>,
        (plan, scales): (&ColumnsPlan, &Scales),
        session: &mut Session,
    ) -> Result<Shared<Z64>, Error> {
        let mask = |rho: &Z128| (rho.0 >> 64) as u64;
        let columns = plan.facts.columns();
        let mut masks = Zeroizing::new(vec![0u64; plan.order()]);
        for (part, product) in plan.parts.iter().zip(&products) {
            for (to, rho) in masks[part.columns.clone()].iter_mut().zip(product.rho.iter()) {
                *to = mask(rho);
            }
        }
        if plan.settings.intercept {
            let first = products.first().and_then(|product| product.rho.last());
            masks[columns] = first.map(mask).unwrap_or_default();
        }
        let (share, ring, _) = w.parts();
        let masked = share.as_slice().iter().zip(masks.iter());
        let masked = masked.map(|(v, &mask)| Z64((v.0 as u64).wrapping_add(mask)));
        let mut round = Batch::new("glm/open-coefficients");
        let slot = round.masked(&Shared::column(masked.collect()), ring, Recipients::All);
        let opened = session.open(round).await?;
        let public: Vec<i128> = opened.at(slot).iter().map(|c| c.0 as i128).collect();
        let me = session.me();
        let rows = plan.total_rows() as usize;
        let mut z = Shared::zero(rows, 1);
        for (part, product) in plan.parts.iter().zip(products) {
            let own = entries(me, part, &self.own);
            let place = if part.owner == me { 0..rows } else { 0..0 };
            let block = &public[part.columns.clone()];
            z += &owned::forward(own.entries(), place, block, product.product);
        }
        let scale = (W_FRACTION + X_FRACTION) as i32;
        let mut all = Z64::ZERO;
        if plan.settings.intercept {
            all -= Z64(masks[columns]).shl(X_FRACTION);
            if me == 0 {
                all += Z64(public[columns] as u64).shl(X_FRACTION);
            }
        }
        let real = |value: f64| Z64(libm::rint(libm::ldexp(value, scale)) as i64 as u64);
        if me == 0 {
            all -= real(scales.subtracted);
        }
        z.as_mut_slice().iter_mut().for_each(|z| *z += all);
        for (z, &shift) in z.as_mut_slice().iter_mut().zip(self.shifts.iter()) {
            *z += real(shift);
        }
        Ok(z)
    }

    /// What the mean is more than the target, at all rows, in units of the fit. One round for each group
    /// of rows.
    async fn values(
        &self,
        z: &Shared<Z64>,
        (plan, how): (&ColumnsPlan, &Values),
        run: &mut Run<'_>,
    ) -> Result<Fixed, Error> {
        let (ring, fraction) = (how.opening.ring, how.fraction);
        let mut values = evaluate(plan, &plan.link, z, (ring, fraction), run).await?;
        let unit = libm::ldexp(1.0, fraction as i32);
        for (value, target) in values.as_mut_slice().iter_mut().zip(self.targets.iter()) {
            *value -= Z128::from_i128(libm::rint(target * unit) as i128);
        }
        Ok(Fixed::new(values, ring, fraction)?)
    }
}

/// The phasors of a series at all rows, whose values are wanted mod 2^ring with so many fractional bits.
pub(super) fn phasors(
    plan: &ColumnsPlan,
    link: &Link,
    form: &PhasorForm,
    (ring, fraction): (u32, u32),
) -> Vec<Request> {
    // More bits of a coefficient are dropped with those of the phasors.
    let headroom = ring + link.series.fraction.saturating_sub(fraction);
    let count = |block| rows_of(plan, block).len() as u32;
    let request = |block| form.request(&link.series, count(block), headroom);
    (0..blocks(plan)).map(|block| Request::Phasors(request(block))).collect()
}

/// A series with its constant at the scores of all rows, mod 2^ring with so many fractional bits. One round
/// for each group of rows.
pub(super) async fn evaluate(
    plan: &ColumnsPlan,
    link: &Link,
    z: &Shared<Z64>,
    (ring, fraction): (u32, u32),
    run: &mut Run<'_>,
) -> Result<Shared<Z128>, Error> {
    let scale = W_FRACTION + X_FRACTION;
    let mut values = Shared::<Z128>::zero(z.len(), 1);
    for from in (0..blocks(plan)).step_by((GROUP / BLOCK) as usize) {
        let mut round = Batch::new("glm/open-angles");
        let mut pending = Vec::new();
        for block in from..(from + GROUP / BLOCK).min(blocks(plan)) {
            let phasors = run.source.take().await?.phasors()?;
            let rows = rows_of(plan, block);
            let part = z.slice(rows.clone())?;
            let masked = link.series.masked_argument(&part, scale, &phasors, run.session)?;
            let slot = round.masked(&masked, phasors.angle_bits, Recipients::All);
            pending.push((slot, phasors, rows));
        }
        let opened = run.session.open(round).await?;
        for (slot, phasors, rows) in pending {
            let value = link.at(opened.at(slot), &phasors, fraction, run.session)?;
            if value.ring() < ring {
                let what = format!("values mod 2^{} are not known mod 2^{ring}", value.ring());
                return Err(Error::Settings(what));
            }
            values.as_mut_slice()[rows].copy_from_slice(value.parts().0.as_slice());
        }
    }
    if run.session.me() == 0 {
        let constant = libm::ldexp(link.constant as f64, fraction as i32 - E_FRACTION as i32);
        let constant = Z128::from_i128(libm::rint(constant) as i128);
        values.as_mut_slice().iter_mut().for_each(|value| *value += constant);
    }
    Ok(values)
}

/// Opens values to each party that has columns, under masks that the others drew for it. One round.
pub(super) async fn open_to_owners(
    step: &'static str,
    share: &Shared<Z128>,
    masks: &[&[Z128]],
    (plan, opening): (&ColumnsPlan, BoundedOpening),
    session: &mut Session,
) -> Result<Zeroizing<Vec<i128>>, Error> {
    let me = session.me();
    let mut round = Batch::new(step);
    let mut mine = None;
    for (part, masks) in plan.parts.iter().zip(masks) {
        // The owner alone sees this opening, so it adds no mask of its own.
        let rho = if part.owner == me { &[][..] } else { masks };
        let slot = opening.push(share, rho, Recipients::One(part.owner), &mut round, session)?;
        if part.owner == me {
            mine = Some(slot);
        }
    }
    let opened = session.open(round).await?;
    let Some(mine) = mine else { return Ok(Zeroizing::default()) };
    opening.accept(opened.at(mine), &[], step, session)?;
    Ok(opening.public_part(opened.at(mine)))
}

fn blocks(plan: &ColumnsPlan) -> u64 {
    plan.total_rows().div_ceil(BLOCK)
}

/// Rounds of the angles of one pass.
pub(super) fn groups(plan: &ColumnsPlan) -> u64 {
    blocks(plan).div_ceil(GROUP / BLOCK)
}

fn rows_of(plan: &ColumnsPlan, block: u64) -> Range<usize> {
    let (rows, blocks) = (plan.total_rows(), blocks(plan));
    (rows * block / blocks) as usize..(rows * (block + 1) / blocks) as usize
}
