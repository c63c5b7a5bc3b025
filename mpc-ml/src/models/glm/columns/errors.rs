//! Standard errors at a revealed model (docs/protocols.md 13.4).

use std::sync::Arc;

use mpc_core::correlations::{OwnRows, OwnedMatrix};
use mpc_core::protocols::owned;
use mpc_core::protocols::product::multiply_fixed;
use mpc_core::protocols::solve::{Start, inverse};
use mpc_core::protocols::truncate::{open_bounded, own_masks};
use mpc_core::ring::{Ring, Z64, Z128};
use mpc_core::{Batch, Fixed, Recipients, Shared};
use zeroize::Zeroizing;

use super::super::family::Family;
use super::super::inversion::determined;
use super::super::labels::VARIANCES;
use super::super::link::E_FRACTION;
use super::super::plan::X_FRACTION;
use super::super::scales::W_FRACTION;
use super::deviance::{self, Sums};
use super::fit::ColumnsShares;
use super::gradient::{evaluate, open_to_owners, phasors};
use super::information::{CURVATURE_FRACTION, Information, WEIGHED_FRACTION};
use super::labels::INFORMATION_CHECK;
use super::losses::Losses;
use super::plan::ColumnsPlan;
use crate::data::Dataset;
use crate::error::Error;
use crate::inference::{diagonal, residual};
use crate::model::{Orders, Run};

/// Significant bits of the smallest variance that there can be.
const VARIANCE_BITS: u32 = 16;
/// Fractional bits of the inverse, and of what was added to the curvature, in what is taken off again.
const COARSE: u32 = 12;
const ADDED: u32 = 32;
const FACTOR_BITS: u32 = 20;
/// Of the product of both, in its square and beside it.
const INNER: (u32, u32) = (24, 36);

/// What standard errors are made at: the model, and between what its scores are less what is subtracted.
pub(super) struct At<'a> {
    pub(super) coefficients: &'a [f64],
    pub(super) scores: (f64, f64),
}

/// Reveals the variances of the coefficients, and how well the model fits where that can be told; gives the roots of
/// the variances, none of both where they would not be right to a hundredth.
pub(super) async fn std_errors(
    plan: &ColumnsPlan,
    at: At<'_>,
    shares: &mut ColumnsShares,
    data: &Dataset,
    run: &mut Run<'_>,
) -> Result<Option<(Vec<f64>, Option<Sums>)>, Error> {
    let (unit, subtracted) = (shares.unit, shares.subtracted);
    // All parties come to the same, and end the study with the model that they have.
    let Ok(how) = Information::new(plan, at.scores, unit) else { return Ok(None) };
    if !how.is_fine(shares.variance) {
        return Ok(None);
    }
    let me = run.session.me();
    // Each owner's rows, spread over the slots of its products.
    let mut spread = Vec::with_capacity(plan.parts.len());
    let mut mine = Arc::new(OwnRows::new(Vec::new()));
    for (place, part) in plan.parts.iter().enumerate() {
        let own =
            if part.owner == me { spread_rows(plan, &how, place, shares) } else { Vec::new() };
        let own = Arc::new(OwnRows::new(own));
        if part.owner == me {
            mine = Arc::clone(&own);
        }
        let shape = how.shape(plan, place);
        spread.push(run.source.register(OwnedMatrix { shape, own }).await?);
    }
    let opened = (how.variances.ring, E_FRACTION);
    let mut requests = phasors(plan, &how.link, &how.phasing.form, opened);
    for (place, &matrix) in spread.iter().enumerate() {
        requests.extend(how.weighing(plan, place, matrix));
    }
    run.source.demand(requests)?;
    let z = own_scores(plan, at.coefficients, data, (shares, subtracted + how.middle), me);
    let weighed = weigh(plan, &how, &z, &mine, run).await?;
    let curvature = multiply(plan, &how, &weighed, shares, run).await?;
    let errors = invert(plan, &how, curvature, (&mut *shares, unit), run).await?;
    let of = (&*shares, data);
    let fitted = match Losses::new(plan, at.scores, shares.centre) {
        Some(losses) => {
            let even = losses.at(plan, at.coefficients, of, run).await?;
            deviance::sums(plan, &at, (even, losses.middle()), of, run).await?
        }
        None if plan.settings.family == Family::Logistic => None,
        None => {
            // A mean is a variance.
            let variances = (weighed.sum, how.margin - how.link.rest);
            match deviance::means(plan, variances, unit, me)? {
                Some(means) => deviance::sums(plan, &at, (means, 0.0), of, run).await?,
                None => None,
            }
        }
    };
    Ok(Some((errors, fitted)))
}

/// The own rows, each at its slot.
fn spread_rows(
    plan: &ColumnsPlan,
    how: &Information,
    place: usize,
    shares: &ColumnsShares,
) -> Vec<i32> {
    let (width, slots) = (plan.parts[place].columns.len(), how.slots[place] as usize);
    let rows = plan.total_rows() as usize;
    let own = shares.gradient.own();
    let mut all = vec![0; rows * slots * width];
    for row in 0..rows {
        let start = row * slots * width + (row % slots) * width;
        all[start..start + width].copy_from_slice(&own[row * width..(row + 1) * width]);
    }
    all
}

/// This party's part of all scores at the model: its own columns', in the clear.
pub(super) fn own_scores(
    plan: &ColumnsPlan,
    coefficients: &[f64],
    data: &Dataset,
    (shares, subtracted): (&ColumnsShares, f64),
    me: usize,
) -> Shared<Z64> {
    let rows = plan.total_rows() as usize;
    let part = plan.parts.iter().find(|part| part.owner == me);
    let width = part.map_or(0, |part| part.columns.len());
    let own = shares.gradient.own();
    let unit = libm::ldexp(1.0, -(X_FRACTION as i32));
    let holds = plan.facts.holder == Some(me);
    let intercept = if holds && plan.settings.intercept {
        coefficients.last().copied().unwrap_or(0.0)
    } else {
        0.0
    };
    let fixed = if holds { intercept - subtracted } else { 0.0 };
    let scale = (W_FRACTION + X_FRACTION) as i32;
    let score = |row: usize| {
        let entries = own[row * width..(row + 1) * width].iter();
        let w = part.map_or(&[][..], |part| &coefficients[part.columns.clone()]);
        let sum: f64 = entries.zip(w).map(|(&x, w)| f64::from(x) * unit * w).sum();
        let all = sum + fixed + data.offset().get(row).copied().unwrap_or(0.0);
        Z64(libm::rint(libm::ldexp(all, scale)) as i64 as u64)
    };
    Shared::column((0..rows).map(score).collect())
}

/// Shares of each column times the variances of the rows, of a column of ones last, mod 2^128.
struct Weighed {
    columns: Vec<Vec<Z128>>,
    /// The sum of all variances.
    sum: Z128,
}

/// The variances of all rows, opened to each owner of columns under masks of the others, which multiplies
/// its rows by them. Two rounds, and one more for each further 65,536 rows.
async fn weigh(
    plan: &ColumnsPlan,
    how: &Information,
    z: &Shared<Z64>,
    mine: &OwnRows,
    run: &mut Run<'_>,
) -> Result<Weighed, Error> {
    let me = run.session.me();
    let mut values = evaluate(plan, &how.link, z, (how.variances.ring, E_FRACTION), run).await?;
    if me == 0 {
        let margin = libm::rint(libm::ldexp(how.margin, E_FRACTION as i32)) as i128;
        values.as_mut_slice().iter_mut().for_each(|value| *value += Z128::from_i128(margin));
    }
    let mut taken = Vec::with_capacity(plan.parts.len());
    for slots in &how.slots {
        let chunks = plan.total_rows().div_ceil(u64::from(*slots));
        let mut products = Vec::with_capacity(chunks as usize);
        for _ in 0..chunks {
            products.push(run.source.take().await?.transposed()?);
        }
        taken.push(products);
    }
    let masks: Vec<Zeroizing<Vec<Z128>>> = taken
        .iter()
        .map(|products| {
            let all = products.iter().flat_map(|product| product.rho.iter().copied());
            Zeroizing::new(all.collect())
        })
        .collect();
    let of: Vec<&[Z128]> = masks.iter().map(|masks| &masks[..]).collect();
    let step = "glm/open-variances";
    let public = open_to_owners(step, &values, &of, (plan, how.variances), run.session).await?;
    let rows = plan.total_rows() as usize;
    let mut weighed = Weighed { columns: Vec::with_capacity(plan.order()), sum: Z128::ZERO };
    for (place, products) in taken.into_iter().enumerate() {
        let part = &plan.parts[place];
        let (width, slots) = (part.columns.len(), how.slots[place] as usize);
        let own = part.owner == me;
        if place == 0 {
            let masks = masks[0].iter().fold(Z128::ZERO, |sum, &rho| sum + rho);
            let public = if own { &public[..] } else { &[][..] };
            weighed.sum = public.iter().fold(-masks, |sum, &c| sum + Z128::from_i128(c));
        }
        let mut columns = vec![vec![Z128::ZERO; rows]; width];
        for (chunk, product) in products.into_iter().enumerate() {
            let (from, to) = (chunk * slots, rows.min((chunk + 1) * slots));
            let all = slots * width;
            let (entries, public) = if own {
                (&mine.entries()[from * all..to * all], &public[from..to])
            } else {
                (&[][..], &[][..])
            };
            let block = owned::transposed(entries, public, product.product);
            for row in from..to {
                for (column, to) in columns.iter_mut().enumerate() {
                    to[row] = block.as_slice()[(row % slots) * width + column];
                }
            }
        }
        weighed.columns.append(&mut columns);
    }
    Ok(weighed)
}

/// The upper triangle of the curvature, row by row, at its scale mod its ring. A round for each chunk of
/// rows.
async fn multiply(
    plan: &ColumnsPlan,
    how: &Information,
    weighed: &Weighed,
    shares: &ColumnsShares,
    run: &mut Run<'_>,
) -> Result<Vec<Z128>, Error> {
    let (me, order, columns) = (run.session.me(), plan.order(), plan.facts.columns());
    let mut matrix = vec![Z128::ZERO; order * order];
    let own = shares.gradient.own();
    for chunk in Information::chunks(plan) {
        let requests = how.multiplying(plan, shares.gradient.matrices(), chunk);
        run.source.demand(requests)?;
        let rows = chunk.0 as usize..chunk.1 as usize;
        let mut round = Batch::new("glm/open-weighed");
        let (mut taken, mut mine) = (Vec::new(), None);
        for (place, part) in plan.parts.iter().enumerate() {
            let mut products = Vec::new();
            let mut values = Zeroizing::new(Vec::new());
            for column in part.columns.start..columns {
                let product = run.source.take().await?.transposed()?;
                for (at, row) in rows.clone().enumerate() {
                    // The owner alone sees this opening, so it adds no mask of its own.
                    let mask = if part.owner == me { Z128::ZERO } else { product.rho[at] };
                    values.push(weighed.columns[column][row] + mask);
                }
                products.push(product);
            }
            let values = Shared::column(std::mem::take(&mut *values));
            let slot = round.masked(&values, how.ring, Recipients::One(part.owner));
            if part.owner == me {
                mine = Some(slot);
            }
            taken.push((place, products));
        }
        let opened = run.session.open(round).await?;
        let public = mine.map(|slot| opened.at(slot)).unwrap_or_default();
        let public: Zeroizing<Vec<i128>> =
            Zeroizing::new(public.iter().map(|c| c.0 as i128).collect());
        for (place, products) in taken {
            let part = &plan.parts[place];
            let width = part.columns.len();
            for (at, product) in products.into_iter().enumerate() {
                let (entries, public) = if part.owner == me {
                    let entries = &own[rows.start * width..rows.end * width];
                    (entries, &public[at * rows.len()..(at + 1) * rows.len()])
                } else {
                    (&[][..], &[][..])
                };
                let block = owned::transposed(entries, public, product.product);
                let column = part.columns.start + at;
                for (a, &value) in part.columns.clone().zip(block.as_slice()) {
                    matrix[a * order + column] += value;
                }
            }
        }
    }
    if plan.settings.intercept {
        for (column, values) in weighed.columns.iter().enumerate() {
            let sum = values.iter().fold(Z128::ZERO, |sum, &value| sum + value);
            matrix[column * order + columns] = sum.shl(CURVATURE_FRACTION - WEIGHED_FRACTION);
        }
        matrix[order * order - 1] = weighed.sum.shl(CURVATURE_FRACTION - E_FRACTION);
    }
    Ok((0..order)
        .flat_map(|i| (i..order).map(move |j| (i, j)))
        .map(|(i, j)| matrix[i * order + j])
        .collect())
}

/// The variances: lifts the curvature, inverts it, takes off what was added to it, and reveals the diagonal.
async fn invert(
    plan: &ColumnsPlan,
    how: &Information,
    triangle: Vec<Z128>,
    (shares, unit): (&mut ColumnsShares, f64),
    run: &mut Run<'_>,
) -> Result<Vec<f64>, Error> {
    let (me, order) = (run.session.me(), plan.order());
    let share = Shared::column(triangle.iter().map(|value| value.shl(how.raise)).collect());
    let mut masks = own_masks(run.session)?;
    let lifted =
        open_bounded("glm/lift-information", &[(how.lift, &share)], &mut masks, run.session)
            .await?;
    let part = lifted[0].part(how.lift.drop, me);
    let mut matrix = Shared::zero(order, order);
    let places = (0..order).flat_map(|i| (i..order).map(move |j| (i, j)));
    for ((i, j), &value) in places.zip(part.iter()) {
        matrix.as_mut_slice()[i * order + j] = value;
        matrix.as_mut_slice()[j * order + i] = value;
    }
    let with_slack = |matrix: &mut Shared<Z128>, units: i128| {
        if me == 0 {
            for j in 0..order {
                matrix.as_mut_slice()[j * (order + 1)] += Z128::from_i128(units);
            }
        }
    };
    with_slack(&mut matrix, how.slack);
    let mut requests = Vec::new();
    shares.orders.inverse(&how.inverse, &mut requests);
    for _ in 0..3 {
        let left = shares.orders.left(order, order, &mut requests);
        Orders::right(left, order, true, &mut requests);
    }
    run.source.demand(requests)?;
    let found = inverse(&how.inverse, &matrix, Start::Identity, run.source, run.session).await?;
    let told = residual(&how.inverse, found.residual, INFORMATION_CHECK, run).await?;
    let fraction = how.inverse.inverse_fraction();
    let x = Fixed::new(found.x, 128, fraction)?;
    if !how.inverse.converged(told) {
        return Err(determined(order, &how.inverse, &x, run).await?);
    }
    // What was added: to each variance the margin, which is as many times X^T X, and the slack.
    let gram = plan.gram.inverse().fraction();
    let part = libm::ldexp(how.margin, plan.exponent() as i32 - how.exponent as i32);
    let added = Fixed::new(shares.matrix.clone(), 128, gram)?.times_real(part, FACTOR_BITS)?;
    let (mut share, ring, scale) = added.into_parts();
    let slack = libm::ldexp(how.slack as f64, scale as i32 - how.inverse.fraction() as i32);
    with_slack(&mut share, libm::rint(slack) as i128);
    let added = Fixed::new(share, ring, scale)?.truncate(ADDED.min(scale), run.session)?;
    let short = x.clone().truncate(COARSE.min(fraction), run.session)?;
    // With Y what was added times X, the inverse is X + X (Y + Y Y) but for the cube of Y.
    let (left, right) = run.factors().await?;
    let once = multiply_fixed(&added, &short, left, right, run.session).await?;
    let few = once.clone().truncate(INNER.0, run.session)?;
    let (left, right) = run.factors().await?;
    let twice = multiply_fixed(&few, &few, left, right, run.session).await?;
    let both = once.plus_raised(&twice)?.truncate(INNER.1, run.session)?;
    let (left, right) = run.factors().await?;
    let missing = multiply_fixed(&short, &both, left, right, run.session).await?;
    let (share, ring, scale) = diagonal(&x.plus_raised(&missing)?)?.into_parts();
    let variances = Fixed::new(share, ring, scale + how.exponent)?;
    let bits = variances.fraction().min(how.exponent + VARIANCE_BITS);
    let told = run.session.reveal_fixed(VARIANCES, &variances, bits).await?;
    let told = told.ok_or_else(|| Error::untold(VARIANCES))?;
    Ok(told.iter().map(|variance| libm::sqrt((variance / unit).max(0.0))).collect())
}
