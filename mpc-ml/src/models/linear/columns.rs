//! From columns at different parties to shares of the normal equations (docs/protocols.md 13.3).

use std::ops::Range;
use std::sync::Arc;

use mpc_core::correlations::{OwnRows, OwnedMatrix, OwnedProduct, Request};
use mpc_core::protocols::owned;
use mpc_core::protocols::truncate::{Bounded, open_bounded, own_masks};
use mpc_core::ring::{Ring, Z128};
use mpc_core::{Batch, Fixed, Recipients, Session, Shared, offload, side_by_side};
use zeroize::Zeroizing;

use super::cross::{Block, CrossPlan, place};
use super::encoding::Encoding;
use super::moments::Moments;
use super::plan::{LinearPlan, X_FRACTION};
use crate::data::Dataset;
use crate::error::Error;
use crate::model::Run;
use crate::rows::Rows;

/// This party's part of the sums of products of all columns, of the target, and of the ones of an
/// intercept: integers mod 2^ring. The columns stand in the order of the design matrix, then the target,
/// then the ones. Of two columns at one party its party has the whole sum.
pub(in crate::models) struct Products {
    sums: Shared<Z128>,
    size: usize,
}

impl Products {
    pub(super) fn at(&self, i: usize, j: usize) -> Z128 {
        self.sums.as_slice()[i * self.size + j]
    }

    /// This party's share of |y - X w|^2 for public coefficients at scale 2^`bits`, in units of half the
    /// target's range, the intercept last: mod the ring of the plan, at
    /// [`residual_fraction`](CrossPlan::residual_fraction).
    pub(super) fn residual(&self, plan: &CrossPlan, w: &[i128], bits: u32, columns: usize) -> Z128 {
        let more = plan.fraction + bits - plan.target_fraction;
        let mut factors: Vec<Z128> = w.iter().map(|&w| Z128::from_i128(-w)).collect();
        factors.insert(columns, Z128::ONE.shl(more));
        let mut sum = Z128::ZERO;
        for (i, &a) in factors.iter().enumerate() {
            let row = factors.iter().enumerate();
            let row = row.fold(Z128::ZERO, |sum, (j, &b)| sum + b * self.at(i, j));
            sum += a * row;
        }
        sum
    }

    /// The sum and the sum of squares of the target, at the party that has it.
    pub(super) fn of_target(&self, columns: usize, intercept: bool) -> [Z128; 2] {
        let ones = if intercept { self.at(columns, columns + 1) } else { Z128::ZERO };
        [ones, self.at(columns, columns)]
    }
}

/// Entries as integers, row by row, the target behind them.
pub(super) fn encode(plan: &LinearPlan, cross: &CrossPlan, data: &Dataset) -> Vec<i32> {
    let clip = plan.settings().clip;
    let one = libm::ldexp(1.0, cross.fraction as i32);
    let rows = data.rows();
    let mut entries = Vec::with_capacity(rows.x().len() + rows.y().len());
    for row in 0..rows.len() {
        entries.extend(rows.row(row).iter().map(|x| libm::rint(x.clamp(-clip, clip) * one) as i32));
        entries.extend(target_entry(plan, cross, data, row));
    }
    entries
}

/// The target of a row as an integer, at the party that has it.
pub(super) fn target_entry(
    plan: &LinearPlan,
    cross: &CrossPlan,
    data: &Dataset,
    row: usize,
) -> Option<i32> {
    let encoding = plan.encoding();
    let (middle, half) = encoding.target_scale();
    let y = data.rows().y().get(row)?.clamp(encoding.target.0, encoding.target.1);
    let y = ((y - middle) / half).clamp(-1.0, 1.0);
    Some(libm::rint(libm::ldexp(y, cross.target_fraction as i32)) as i32)
}

/// Sums of products that are being made: this party's own are there.
pub(super) struct Begun {
    own: Arc<OwnRows>,
    matrices: Vec<u32>,
    pub(super) all: Products,
}

/// Shares of all sums of products. A round for each chunk of rows, those of the registrations, and the
/// orders of what comes `then` behind those of the products.
pub(in crate::models) async fn products(
    plan: &LinearPlan,
    cross: &CrossPlan,
    data: &Dataset,
    then: &[Request],
    run: &mut Run<'_>,
) -> Result<Products, Error> {
    let begun = begin(plan, cross, encode(plan, cross, data), data.len(), run).await?;
    finish(plan, cross, begun, then, run).await
}

/// Registers the own `entries`, of so many rows, orders the products of the first chunk, and multiplies what this party has by
/// itself. The rounds of the registrations.
pub(super) async fn begin(
    plan: &LinearPlan,
    cross: &CrossPlan,
    entries: Vec<i32>,
    rows: usize,
    run: &mut Run<'_>,
) -> Result<Begun, Error> {
    let me = run.session.me();
    let own = Arc::new(OwnRows::new(entries));
    let mut matrices = Vec::new();
    for (block, shape) in cross.owners().zip(cross.shapes()) {
        let mine = block.party == me;
        let own = if mine { Arc::clone(&own) } else { Arc::new(OwnRows::new(Vec::new())) };
        matrices.push(run.source.register(OwnedMatrix { shape, own }).await?);
    }
    if cross.chunks() > 0 {
        run.source.demand(cross.requests(&matrices, 0))?;
    }
    let size = plan.encoding().columns + 1 + usize::from(plan.settings().intercept);
    let mut all = Products { sums: Shared::zero(size, size), size };
    own_products(plan, cross, rows, (&own, me), &mut all).await;
    Ok(Begun { own, matrices, all })
}

/// Multiplies all rows, with what comes `then` on order behind the last of them. A round for each chunk.
pub(super) async fn finish(
    plan: &LinearPlan,
    cross: &CrossPlan,
    begun: Begun,
    then: &[Request],
    run: &mut Run<'_>,
) -> Result<Products, Error> {
    let Begun { own, matrices, mut all } = begun;
    let chunks = cross.chunks();
    if chunks == 0 {
        run.source.demand(then.to_vec())?;
    }
    for chunk in 0..chunks {
        let next = chunk + 1;
        let requests = if next < chunks { cross.requests(&matrices, next) } else { then.to_vec() };
        run.source.demand(requests)?;
        multiply(cross, chunk, (&own, plan.encoding().columns), &mut all, run).await?;
    }
    Ok(all)
}

/// The sums of products of what this party has, exactly. Local.
async fn own_products(
    plan: &LinearPlan,
    cross: &CrossPlan,
    rows: usize,
    (own, me): (&OwnRows, usize),
    all: &mut Products,
) {
    let (columns, intercept) = (plan.encoding().columns, plan.settings().intercept);
    let size = all.size;
    let sums = all.sums.as_mut_slice();
    if intercept && me == 0 {
        sums[size * size - 1] = Z128::from_u128(rows as u128).shl(2 * cross.fraction);
    }
    let Some(block) = cross.blocks.iter().find(|block| block.party == me) else { return };
    let width = block.width();
    let fraction = cross.fraction_of(block);
    let unit = libm::ldexp(1.0, -(fraction as i32));
    let entries: Vec<f64> = own.entries().iter().map(|&x| f64::from(x) * unit).collect();
    let encoding = Encoding {
        columns: width,
        intercept,
        // Public: nothing is cut by it.
        clip: libm::ldexp(1.0, cross.whole_of(block, plan.settings().clip) as i32),
        target: (-1.0, 1.0),
    };
    let entries = Rows::without_target(entries, rows, width);
    let moments = Moments::of(&entries, &encoding).await;
    let at = |column: usize| {
        if column < width { place(block, column, columns) } else { columns + 1 }
    };
    let mut found = moments.xx.iter();
    for i in 0..encoding.weights() {
        for j in i..encoding.weights() {
            let Some(&sum) = found.next() else { return };
            if i == width {
                continue; // The ones are everybody's.
            }
            let other = if j < width { fraction } else { cross.fraction };
            let value = Z128::from_i128(sum >> (2 * X_FRACTION - fraction - other));
            sums[at(i) * size + at(j)] = value;
            sums[at(j) * size + at(i)] = value;
        }
    }
}

/// Multiplies a chunk of rows: each owner learns the columns of those behind it under masks of all
/// others. One round.
async fn multiply(
    cross: &CrossPlan,
    chunk: usize,
    (own, columns): (&Arc<OwnRows>, usize),
    all: &mut Products,
    run: &mut Run<'_>,
) -> Result<(), Error> {
    let me = run.session.me();
    let rows = cross.chunk(chunk);
    let mut taken = Vec::new();
    for at in 0..cross.owners().count() {
        let mut products = Vec::with_capacity(cross.vectors(at));
        for _ in 0..cross.vectors(at) {
            products.push(run.source.take().await?.transposed()?);
        }
        taken.push(products);
    }
    let width = cross.blocks.iter().find(|block| block.party == me).map_or(0, Block::width);
    let entries = rows.start * width..rows.end * width;
    let chunk = &own.entries()[entries.clone()];
    let mut round = Batch::new("linear/open-columns");
    let mut mine = None;
    for (at, (owner, products)) in cross.owners().zip(&taken).enumerate() {
        let mut values = Zeroizing::new(Vec::with_capacity(products.len() * rows.len()));
        let behind = &cross.blocks[at + 1..];
        let vectors = behind.iter().flat_map(|b| (0..b.width()).map(move |c| (b.party, c)));
        for ((party, column), product) in vectors.zip(products) {
            for row in 0..rows.len() {
                let value = if party == me { chunk[row * width + column] } else { 0 };
                // The owner alone sees this opening, so it adds no mask of its own.
                let mask = if owner.party == me { Z128::ZERO } else { product.rho[row] };
                values.push(Z128::from_i128(value.into()) + mask);
            }
        }
        let values = Shared::column(std::mem::take(&mut *values));
        let slot = round.masked(&values, cross.ring, Recipients::One(owner.party));
        if owner.party == me {
            mine = Some(slot);
        }
    }
    let opened = run.session.open(round).await?;
    let opened = mine.map(|slot| opened.at(slot)).unwrap_or_default();
    let opened: Zeroizing<Vec<i128>> = Zeroizing::new(opened.iter().map(|c| c.0 as i128).collect());
    let taken = with_own((own, entries, rows.len()), opened, (cross, me), taken).await?;
    let size = all.size;
    for (at, (owner, products)) in cross.owners().zip(taken).enumerate() {
        let behind = &cross.blocks[at + 1..];
        let vectors = behind.iter().flat_map(|b| (0..b.width()).map(move |c| (b, c)));
        for ((other, column), block) in vectors.zip(products) {
            let j = place(other, column, columns);
            for (i, &value) in block.as_slice().iter().enumerate() {
                let i = place(owner, i, columns);
                all.sums.as_mut_slice()[i * size + j] += value;
                all.sums.as_mut_slice()[j * size + i] += value;
            }
        }
    }
    Ok(())
}

/// This party's shares of all products of a chunk: an owner's matrix, of `entries` and so many rows, times what was opened to
/// it, and what the source made.
async fn with_own(
    (own, entries, rows): (&Arc<OwnRows>, Range<usize>, usize),
    opened: Zeroizing<Vec<i128>>,
    (cross, me): (&CrossPlan, usize),
    taken: Vec<Vec<OwnedProduct<Z128>>>,
) -> Result<Vec<Vec<Shared<Z128>>>, Error> {
    let owns: Vec<bool> = cross.owners().map(|owner| owner.party == me).collect();
    let own = Arc::clone(own);
    let all = offload(move || {
        let shares = owns.into_iter().zip(taken).map(|(owns, products)| {
            let mut shares: Vec<_> = products.into_iter().map(|it| it.product).collect();
            let (own, rows) =
                if owns { (&own.entries()[entries.clone()], rows) } else { (&[][..], 0) };
            side_by_side(shares.iter_mut().enumerate(), |(number, share)| {
                let public = &opened[number * rows..(number + 1) * rows];
                let product = std::mem::replace(share, Shared::zero(0, 0));
                *share = owned::transposed(own, public, product);
            });
            shares
        });
        shares.collect()
    });
    Ok(all.await?)
}

/// An integer times 2^exponent, rounded: what one party has by itself.
pub(super) fn rounded(value: Z128, exponent: i32) -> Z128 {
    Z128::from_i128(libm::rint(libm::ldexp(value.0 as i128 as f64, exponent)) as i128)
}

/// This party's shares of G and c, mod 2^128 at the scales of the plan: what comes out of products is
/// lifted, under masks of all; the rest is rounded by the party that has it. One round.
pub(in crate::models) async fn equations(
    plan: &LinearPlan,
    cross: &CrossPlan,
    all: &Products,
    session: &mut Session,
) -> Result<(Shared<Z128>, Shared<Z128>), Error> {
    let me = session.me();
    let (columns, weights) = (plan.encoding().columns, plan.encoding().weights());
    let lifts = plan.lifts().ok_or_else(|| Error::untold("columns"))?;
    // Which sums come out of products: those of columns at different parties.
    let holders = cross.holders(columns);
    let pairs = |target: bool| {
        let holders = &holders;
        (0..columns).flat_map(move |i| {
            let others = if target { columns..columns + 1 } else { i + 1..columns };
            others.filter(move |&j| !holders.at_one(i, j)).map(move |j| (i, j))
        })
    };
    let mut g = Shared::zero(weights, weights);
    let mut c = Shared::zero(weights, 1);
    if cross.chunks() > 0 {
        let shares = [false, true].map(|target| {
            let raise = lifts[usize::from(target)].raise;
            Shared::column(pairs(target).map(|(i, j)| all.at(i, j).shl(raise)).collect())
        });
        let items = [(lifts[0].opening, &shares[0]), (lifts[1].opening, &shares[1])];
        let mut masks = own_masks(session)?;
        let lifted = open_bounded("linear/lift-sums", &items, &mut masks, session).await?;
        let part = |at: usize| {
            let bounded: Option<&Bounded> = lifted.get(at);
            bounded.map(|it| it.part(lifts[at].opening.drop, me)).unwrap_or_default()
        };
        for ((i, j), &value) in pairs(false).zip(part(0).iter()) {
            g.as_mut_slice()[i * weights + j] = value;
            g.as_mut_slice()[j * weights + i] = value;
        }
        for ((i, _), &value) in pairs(true).zip(part(1).iter()) {
            c.as_mut_slice()[i] = value;
        }
    }
    // What one party has by itself it rounds by itself.
    let scaled = |value: Z128, scale: u32, wanted: u32| {
        rounded(value, wanted as i32 - scale as i32 - plan.scale_bits())
    };
    let entries = 2 * cross.fraction;
    let with_target = cross.fraction + cross.target_fraction;
    // The place of a coefficient among all sums: the target stands before the ones.
    let at = |j: usize| if j < columns { j } else { columns + 1 };
    for i in 0..weights {
        for j in 0..weights {
            if holders.at_one(at(i), at(j)) {
                let value = scaled(all.at(at(i), at(j)), entries, plan.inverse().fraction());
                g.as_mut_slice()[i * weights + j] = value;
            }
        }
        if holders.at_one(at(i), columns) {
            let value =
                scaled(all.at(at(i), columns), with_target, plan.solution().right_fraction());
            c.as_mut_slice()[i] = value;
        }
        if me == 0 {
            let penalty = if i < columns { plan.settings().l2 / plan.scale() } else { 0.0 };
            let penalty = libm::ldexp(penalty, plan.inverse().fraction() as i32);
            g.as_mut_slice()[i * (weights + 1)] +=
                Z128::from_i128(libm::rint(penalty) as i128) + Z128(u128::from(plan.shift()));
        }
    }
    Ok((g, c))
}

/// Shares of the three sums of squares: of residuals at the revealed coefficients (in units of half the
/// target's range, the intercept from its middle), of the target from its middle, and of its squares.
pub(super) fn sums(
    plan: &LinearPlan,
    cross: &CrossPlan,
    all: &Products,
    values: &[f64],
) -> Result<Fixed, Error> {
    let (settings, columns) = (plan.settings(), plan.encoding().columns);
    let bits = settings.release_bits;
    let fraction = cross.residual_fraction(settings);
    // Exact: they were revealed to so many bits.
    let w: Vec<i128> =
        values.iter().map(|v| libm::rint(libm::ldexp(*v, bits as i32)) as i128).collect();
    let residual = all.residual(cross, &w, bits, columns);
    let [sum, squares] = all.of_target(columns, settings.intercept);
    let sum = sum.shl(fraction - cross.fraction - cross.target_fraction);
    let squares = squares.shl(fraction - 2 * cross.target_fraction);
    Ok(Fixed::new(Shared::column(vec![residual, sum, squares]), cross.ring, fraction)?)
}
