//! From columns to shares of the coefficients, by way of the equations that are left when the widest
//! block is eliminated (docs/protocols.md 13.3, The widest block).

use std::sync::Arc;

use mpc_core::correlations::{OwnRows, OwnedMatrix};
use mpc_core::protocols::owned;
use mpc_core::protocols::product::{self, FixedLeft};
use mpc_core::protocols::truncate::{Bounded, open_bounded, own_masks};
use mpc_core::ring::{Ring, Z128};
use mpc_core::{Batch, Fixed, Recipients, Session, Shared};
use zeroize::Zeroizing;

use super::basis::Basis;
use super::end::Eliminated;
use super::plan::Elimination;
use crate::data::Dataset;
use crate::error::Error;
use crate::model::{Agreed, Progress, Run};
use crate::models::linear::columns::{Products, begin, encode, finish, rounded};
use crate::models::linear::cross::{CrossPlan, Lift};
use crate::models::linear::fit::{LinearShares, Sums, solve};
use crate::models::linear::plan::LinearPlan;

/// Shares of what is lifted: the equations of the other columns, and Q^T M / nu, rounded finely and
/// coarsely.
struct Lifted {
    g: Shared<Z128>,
    c: Shared<Z128>,
    fine: Shared<Z128>,
    coarse: Shared<Z128>,
}

/// Fits. The rounds of [`Elimination::cost`], of the sums of products, of the inverse and of the solution.
///
/// # Errors
/// [`Error::Data`] at the owner of the widest block when its columns follow from each other, before
/// anything is sent; those of a fit.
pub(in super::super) async fn fit(
    plan: &Agreed<LinearPlan>,
    (how, cross): (&Elimination, &CrossPlan),
    data: &Dataset,
    run: &mut Run<'_>,
) -> Result<LinearShares, Error> {
    let me = run.session.me();
    let (basis, own) = if me == how.widest.party {
        let (basis, entries) = Basis::of(plan, (how, cross), data).await?;
        (Some(basis), entries)
    } else {
        (None, encode(plan, cross, data))
    };
    let begun = begin(plan, cross, own, data.len(), run).await?;
    let owner = basis.map(|basis| basis.corrected(plan, how, &begun.all)).transpose()?;
    let entries = owner.as_ref().map(|owner| owner.entries.clone()).unwrap_or_default();
    let matrix = Arc::new(OwnRows::new(entries));
    let number = OwnedMatrix { shape: how.shape(), own: Arc::clone(&matrix) };
    let number = run.source.register(number).await?;
    let orders = how.requests(number, plan.inverse(), plan.solution());
    let products = finish(plan, cross, begun, &orders, run).await?;
    (run.progress)(Progress::Prepared);

    let Lifted { g, c, fine, coarse } = lifted(plan, (how, cross), &products, run.session).await?;
    let (corrected, columns) = multiplied(how, &matrix, fine, run).await?;
    let (left, reduced) = reduced(plan, how, (&corrected, &coarse), run).await?;
    let (rg, rc) = reduced;
    let mut sums = Sums { g: g.clone(), c: c.clone() };
    sums.g -= &rg;
    sums.c -= &rc;
    let solved = solve(plan, sums, run).await?;

    let (a, r) = how.orders();
    let mut eliminated = Eliminated { products, g, c, corrected, left, owner, diagonal: None };
    let w = solved.coefficients().parts().0.clone();
    let own = columns.column_range(0..r)?;
    let left = run.source.take().await?.left128()?;
    let right = run.source.take().await?.right128()?;
    let with = if how.errors { Shared::beside(&[&solved.inverse.x, &w])? } else { w.clone() };
    let product = product::multiply(&own, &with, left, right, run.session).await?;
    let solution = plan.solution().fraction();
    let mut of_columns = columns.column_range(r..r + 1)?;
    of_columns.scale(Z128::ONE.shl(solution));
    of_columns -= &product.column_range(with.columns() - 1..with.columns())?;
    if how.errors {
        let wide = product.column_range(0..r)?;
        let variances = variances(how, (&wide, &own), run).await?;
        let inverse = (&solved.inverse.x, plan.inverse().inverse_fraction());
        eliminated.diagonal = Some(eliminated.diagonal(how, inverse, &variances)?);
    }
    let mut all = Shared::zero(a + r, 1);
    for (column, &value) in how.widest.columns.clone().zip(of_columns.as_slice()) {
        all.as_mut_slice()[column] = value;
    }
    for (&place, &value) in how.widest.kept.iter().zip(w.as_slice()) {
        all.as_mut_slice()[place] = value.shl(how.columns_fraction);
    }
    let coefficients = Fixed::new(all, 128, how.coefficient_fraction(solution))?;
    Ok(LinearShares { coefficients, eliminated: Some(eliminated), ..solved })
}

/// Step 4: what comes out of products is lifted under masks of all; the rest is rounded by the party that
/// has it. One round.
async fn lifted(
    plan: &LinearPlan,
    (how, cross): (&Elimination, &CrossPlan),
    all: &Products,
    session: &mut Session,
) -> Result<Lifted, Error> {
    let me = session.me();
    let (a, r) = how.orders();
    let columns = plan.encoding().columns;
    let own = how.widest.columns.clone();
    let lifts = plan.lifts().ok_or_else(|| Error::untold("columns"))?;
    let holders = cross.holders(columns);
    // The place of a coefficient or of the target among all sums.
    let at = |place: usize| if place < columns { place } else { columns + 1 };
    let kept: Vec<usize> = how.widest.kept.iter().map(|&place| at(place)).collect();
    let target = columns;
    // Row and column in what becomes of it, and the places of both columns among all sums.
    let mut pairs: [Vec<[usize; 4]>; 4] = Default::default();
    for (i, column) in own.clone().enumerate() {
        let others = kept.iter().enumerate().filter(|&(_, &it)| !holders.at_one(column, it));
        pairs[0].extend(others.map(|(j, &other)| [i, j, column, other]));
        pairs[1].extend((!holders.at_one(column, target)).then_some([i, r, column, target]));
    }
    for (i, &one) in kept.iter().enumerate() {
        let others =
            kept.iter().enumerate().skip(i + 1).filter(|&(_, &it)| !holders.at_one(one, it));
        pairs[2].extend(others.map(|(j, &other)| [i, j, one, other]));
        pairs[3].extend((!holders.at_one(one, target)).then_some([i, 0, one, target]));
    }
    let specs: [Lift; 4] = [how.lifts[0], how.lifts[1], lifts[0], lifts[1]];
    let mut g = Shared::zero(r, r);
    let mut c = Shared::zero(r, 1);
    let mut fine = Shared::zero(a, r + 1);
    let mut coarse = Shared::zero(a, r + 1);
    if cross.chunks() > 0 {
        let shares: Vec<Shared<Z128>> = pairs
            .iter()
            .zip(&specs)
            .map(|(pairs, spec)| {
                Shared::column(
                    pairs.iter().map(|&[.., i, j]| all.at(i, j).shl(spec.raise)).collect(),
                )
            })
            .collect();
        let items: Vec<_> = specs.iter().map(|spec| spec.opening).zip(&shares).collect();
        let mut masks = own_masks(session)?;
        let opened = open_bounded("linear/lift-sums", &items, &mut masks, session).await?;
        let part = |at: usize, more: u32| opened[at].part(specs[at].opening.drop + more, me);
        let less = how.fraction - how.coarse;
        for (of, pairs) in pairs.iter().take(2).enumerate() {
            let (finely, coarsely) = (part(of, 0), part(of, less));
            for ((&[i, j, ..], &value), &rough) in
                pairs.iter().zip(finely.iter()).zip(coarsely.iter())
            {
                fine.as_mut_slice()[i * (r + 1) + j] = value;
                coarse.as_mut_slice()[i * (r + 1) + j] = rough;
            }
        }
        for (&[i, j, ..], &value) in pairs[2].iter().zip(part(2, 0).iter()) {
            g.as_mut_slice()[i * r + j] = value;
            g.as_mut_slice()[j * r + i] = value;
        }
        for (&[i, ..], &value) in pairs[3].iter().zip(part(3, 0).iter()) {
            c.as_mut_slice()[i] = value;
        }
    }
    // What one party has by itself it rounds by itself: what is over 2^units or 2^scale.
    let with = |place: usize| if place == target { cross.target_fraction } else { cross.fraction };
    for (i, column) in own.enumerate() {
        for (j, &other) in kept.iter().chain(std::iter::once(&target)).enumerate() {
            if holders.at_one(column, other) {
                let value = all.at(column, other);
                let down = (how.basis + with(other) + how.units) as i32;
                let place = i * (r + 1) + j;
                fine.as_mut_slice()[place] = rounded(value, how.fraction as i32 - down);
                coarse.as_mut_slice()[place] = rounded(value, how.coarse as i32 - down);
            }
        }
    }
    let (matrix, right) = (plan.inverse().fraction() as i32, plan.solution().right_fraction());
    for (i, &one) in kept.iter().enumerate() {
        for (j, &other) in kept.iter().enumerate() {
            if holders.at_one(one, other) {
                let down = 2 * cross.fraction as i32 + how.scale;
                g.as_mut_slice()[i * r + j] = rounded(all.at(one, other), matrix - down);
            }
        }
        if holders.at_one(one, target) {
            let down = (cross.fraction + cross.target_fraction) as i32 + how.scale;
            c.as_mut_slice()[i] = rounded(all.at(one, target), right as i32 - down);
        }
        if me == 0 {
            let penalty = if one < columns { plan.settings().l2 / plan.scale() } else { 0.0 };
            let penalty = libm::rint(libm::ldexp(penalty, matrix)) as i128;
            g.as_mut_slice()[i * (r + 1)] +=
                Z128::from_i128(penalty) + Z128(u128::from(plan.shift()));
        }
    }
    Ok(Lifted { g, c, fine, coarse })
}

/// Step 5: C, and U at its own scale. Two rounds.
async fn multiplied(
    how: &Elimination,
    matrix: &OwnRows,
    mut fine: Shared<Z128>,
    run: &mut Run<'_>,
) -> Result<(Shared<Z128>, Shared<Z128>), Error> {
    let (me, owner) = (run.session.me(), how.widest.party);
    let (a, r) = how.orders();
    let mut taken = Vec::with_capacity(r + 1);
    let mut values = Zeroizing::new(Vec::with_capacity(a * (r + 1)));
    let vectors = fine.transposed();
    for vector in vectors.as_slice().chunks_exact(a) {
        let product = run.source.take().await?.transposed()?;
        for (&value, &rho) in vector.iter().zip(product.rho.iter()) {
            // The owner alone sees this opening, so it adds no mask of its own.
            values.push(value + if me == owner { Z128::ZERO } else { rho });
        }
        taken.push(product.product);
    }
    let mut round = Batch::new("linear/open-sums");
    let values = Shared::column(std::mem::take(&mut *values));
    let slot = round.masked(&values, how.ring(), Recipients::One(owner));
    let opened = run.session.open(round).await?;
    let opened: Zeroizing<Vec<i128>> = if me == owner {
        Zeroizing::new(opened.at(slot).iter().map(|value| value.0 as i128).collect())
    } else {
        Zeroizing::default()
    };
    let mut parts = [0; 3].map(|_| Vec::with_capacity(a * (r + 1)));
    for (number, product) in taken.into_iter().enumerate() {
        let public = if me == owner { &opened[number * a..(number + 1) * a] } else { &opened[..] };
        let all = owned::transposed(matrix.entries(), public, product);
        for (part, values) in parts.iter_mut().zip(all.as_slice().chunks_exact(a)) {
            part.extend_from_slice(values);
        }
    }
    let parts = parts.map(Shared::column);
    let items: Vec<_> = how.parts.iter().copied().zip(&parts).collect();
    let mut masks = own_masks(run.session)?;
    let opened = open_bounded("linear/lift-owned", &items, &mut masks, run.session).await?;
    let part = |at: usize| {
        let opened: &Bounded = &opened[at];
        let values = opened.part(how.parts[at].drop, me).to_vec();
        Shared::new(values, r + 1, a).transposed()
    };
    fine += &part(0);
    let mut columns = part(1);
    columns += &part(2);
    Ok((fine, columns))
}

/// Step 6: the left factor C^T, and C^T C with what becomes of the right side, at the scales of the equations.
/// Two rounds.
async fn reduced(
    plan: &LinearPlan,
    how: &Elimination,
    (corrected, coarse): (&Shared<Z128>, &Shared<Z128>),
    run: &mut Run<'_>,
) -> Result<(FixedLeft<Z128>, (Shared<Z128>, Shared<Z128>)), Error> {
    let me = run.session.me();
    let r = how.orders().1;
    let mut raised = coarse.clone();
    raised.scale(Z128::ONE.shl(how.fraction - how.coarse));
    let mut rest = corrected.clone();
    rest -= &raised;
    let left = run.source.take().await?.left128()?;
    let right = run.source.take().await?.right128()?;
    let mut batch = Batch::new("linear/square");
    let e = FixedLeft::push(&corrected.transposed(), left, &mut batch)?;
    let f = FixedLeft::push_right(&Shared::beside(&[coarse, &rest])?, right, &mut batch)?;
    let opened = run.session.open(batch).await?;
    let left = FixedLeft::opened(e, &opened);
    let product = left.finish(f, &opened, run.session);
    // The upper triangle, then the target's column.
    let width = 2 * (r + 1);
    let matrix = (0..r).flat_map(|i| (i..r).map(move |j| i * width + j));
    let places: Vec<usize> = matrix.chain((0..r).map(|i| i * width + r)).collect();
    let further: Vec<usize> = places.iter().map(|place| place + r + 1).collect();
    let parts = [product.select(&places)?, product.select(&further)?];
    let items: Vec<_> = how.products.iter().copied().zip(&parts).collect();
    let mut masks = own_masks(run.session)?;
    let opened = open_bounded("linear/lift-square", &items, &mut masks, run.session).await?;
    let at = [how.fraction + how.coarse, 2 * how.fraction];
    let down = how.scale - how.units as i32;
    let sum = |wanted: u32| {
        let mut sum = Shared::zero(places.len(), 1);
        for (opened, at) in opened.iter().zip(at) {
            let drop = at as i32 + down - wanted as i32;
            let values = opened.part(drop.max(0) as u32, me).to_vec();
            let mut values = Shared::column(values);
            values.scale(Z128::ONE.shl((-drop).max(0) as u32));
            sum += &values;
        }
        sum
    };
    let triangle = places.len() - r;
    let upper = sum(plan.inverse().fraction());
    let mut g = Shared::zero(r, r);
    let pairs = (0..r).flat_map(|i| (i..r).map(move |j| (i, j)));
    for ((i, j), &value) in pairs.zip(&upper.as_slice()[..triangle]) {
        g.as_mut_slice()[i * r + j] = value;
        g.as_mut_slice()[j * r + i] = value;
    }
    let c = sum(plan.solution().right_fraction()).slice(triangle..places.len())?;
    Ok((left, (g, c)))
}

/// Of step 8: the sums of products of the entries of equal rows, not lifted. One round.
async fn variances(
    how: &Elimination,
    (wide, own): (&Shared<Z128>, &Shared<Z128>),
    run: &mut Run<'_>,
) -> Result<Vec<Z128>, Error> {
    let mut batch = Batch::new("linear/variances");
    let mut pending = Vec::new();
    for block in how.blocks() {
        let left = run.source.take().await?.left128()?;
        let right = run.source.take().await?.right128()?;
        let e = FixedLeft::push(&wide.row_range(block.clone())?, left, &mut batch)?;
        let own = own.row_range(block.clone())?.transposed();
        let f = FixedLeft::push_right(&own, right, &mut batch)?;
        pending.push((block.len(), e, f));
    }
    let opened = run.session.open(batch).await?;
    let mut found = Vec::new();
    for (rows, e, f) in pending {
        let product = FixedLeft::opened(e, &opened).finish(f, &opened, run.session);
        found.extend((0..rows).map(|i| product.as_slice()[i * (rows + 1)]));
    }
    Ok(found)
}
