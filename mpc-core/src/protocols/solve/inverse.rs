//! The iteration on shares: four rounds a step.

use zeroize::Zeroizing;

use super::bounds::Step;
use super::orders::InverseOrders;
use super::plan::{InversePlan, WARM_FACTOR};
use super::settings::StartBound;
use crate::correlations::{CorrelationSource, Correlations, Orders};
use crate::error::Error;
use crate::protocols::product::FixedLeft;
use crate::protocols::truncate::{Bounded, open_bounded, own_masks};
use crate::rand::Prg;
use crate::ring::{Ring, Z128};
use crate::session::{Batch, Session};
use crate::share::Shared;

/// Where an iteration starts.
#[derive(Clone, Copy, Debug)]
pub enum Start<'a> {
    /// At the identity.
    Identity,
    /// At 7/8 of an earlier inverse X.
    ///
    /// # Security
    /// From two facts follow the bounds of what is opened. The earlier matrix must be at least the
    /// one that is inverted now, in the order of symmetric matrices and *as both were shared*,
    /// rounding and what was added to the diagonals included: add to the diagonal of the earlier
    /// one what covers its own rounding and twice that of the later one. And the residual of X must
    /// have been revealed and have [converged](InversePlan::converged).
    Warm(&'a Shared<Z128>),
}

/// An inverse, as one party sees it.
#[derive(Debug)]
pub struct Inverse {
    /// This party's share of X, exactly symmetric, at scale [`InversePlan::inverse_fraction`],
    /// mod 2^128.
    pub x: Shared<Z128>,
    /// The same, rounded to [`InversePlan::COARSE_FRACTION`] bits, mod 2^128: for products whose scale
    /// has no room for more.
    pub coarse: Shared<Z128>,
    /// This party's share of trace(I - G X) one step before the end, at scale
    /// [`InversePlan::residual_fraction`], mod 2^128. The last step squares the errors that are
    /// summed here. To be revealed, and X used only if [`InversePlan::converged`] says so.
    pub residual: Shared<Z128>,
    /// G, for further products with it.
    pub matrix: FixedLeft<Z128>,
}

/// [`invert`] with the next correlations of a source of which [`InversePlan::requests`] were
/// demanded.
///
/// # Security
/// See [`invert`].
///
/// # Errors
/// See [`invert`].
pub async fn inverse(
    plan: &InversePlan,
    g: &Shared<Z128>,
    start: Start<'_>,
    source: &mut dyn CorrelationSource,
    session: &mut Session,
) -> Result<Inverse, Error> {
    let mut orders = Orders::new();
    let (due, _) = plan.order(&mut orders);
    invert(plan, g, start, due, &mut Correlations::due(source, orders), session).await
}

/// The inverse of a shared G at scale [`InversePlan::fraction`]. [`InversePlan::rounds`];
/// [`InversePlan::cost`]. `due` are the correlations of [`InversePlan::order`].
///
/// # Security
/// G must be as [`InversePlan::new`] says. MaskSites: `BoundedMask`, `ZeroShareBounded`,
/// `TripleLeft`, `TripleRight`.
///
/// # Errors
/// When the shapes differ, the source fails or the network fails.
pub async fn invert(
    plan: &InversePlan,
    g: &Shared<Z128>,
    start: Start<'_>,
    due: InverseOrders,
    correlations: &mut Correlations<'_>,
    session: &mut Session,
) -> Result<Inverse, Error> {
    let d = plan.settings().order;
    let fits = (g.rows(), g.columns()) == (d, d) && due.steps.len() == plan.product_steps().len();
    if !fits || session.parties() != plan.settings().parties as usize {
        return Err(Error::internal("the plan of an inverse is for another matrix or session"));
    }
    let mut masks = own_masks(session)?;
    let first = match (start, plan.settings().start) {
        (Start::Identity, StartBound::Identity) => from_identity(plan, g, session.me()),
        (Start::Warm(x), StartBound::Warm { fraction, .. }) if x.len() == d * d => {
            let mut x = x.clone();
            let up = plan.inverse_fraction().saturating_sub(fraction);
            x.scale(Z128::from_i128(i128::from(WARM_FACTOR)).shl(up));
            x
        }
        _ => return Err(Error::internal("an inverse starts as it was planned")),
    };
    let triangle = upper(&first);
    let items = [(plan.start_opened(), &triangle)];
    let opened = open_bounded("inverse/start", &items, &mut masks, session).await?;
    let mut x = symmetric(&opened[0].part(plan.start_opened().drop, session.me()), d);

    let mut pending = Some(correlations.take(due.matrix).await?);
    let mut matrix = None;
    let mut residual = Shared::zero(1, 1);
    let mut coarse = Shared::zero(d, d);
    for (&step, due) in plan.product_steps().iter().zip(due.steps) {
        // G X, and X on its way to X (G X).
        let right = correlations.take(due.gx).await?;
        let left = correlations.take(due.x).await?;
        let mut batch = Batch::new("inverse/open-x");
        let new = pending.take().map(|left| FixedLeft::push(g, left, &mut batch)).transpose()?;
        let f = FixedLeft::push_right(&x, right, &mut batch)?;
        let e = FixedLeft::push(&x, left, &mut batch)?;
        let opened = session.open(batch).await?;
        if let Some(new) = new {
            matrix = Some(FixedLeft::opened(new, &opened));
        }
        let fixed = matrix.as_ref().ok_or_else(|| Error::internal("a matrix was not opened"))?;
        let gx = fixed.finish(f, &opened, session);
        let x_left = FixedLeft::opened(e, &opened);

        let items = [(plan.gx(), &gx)];
        let opened = open_bounded("inverse/truncate-gx", &items, &mut masks, session).await?;
        let (limbs, finest) = summands(&opened[0], &plan.gx_drops(), d, session.me())?;
        residual = residual_of(&finest, d, plan.residual_fraction(), session.me());

        let right = correlations.take(due.xgx).await?;
        let mut batch = Batch::new("inverse/open-gx");
        let f = FixedLeft::push_right(&limbs, right, &mut batch)?;
        let opened = session.open(batch).await?;
        let product = x_left.finish(f, &opened, session);
        (x, coarse) = round(plan, step, &x, &product, &mut masks, session).await?;
    }
    let matrix = matrix.ok_or_else(|| Error::internal("an inverse has products"))?;
    Ok(Inverse { x, coarse, residual, matrix })
}

/// The first step from X = I: linear - quadratic G, before it is rounded.
fn from_identity(plan: &InversePlan, g: &Shared<Z128>, me: usize) -> Shared<Z128> {
    let (d, step) = (g.rows(), plan.first_step());
    let mut first = g.clone();
    first.scale(Z128::from_i128(i128::from(-step.quadratic)));
    if me == 0 {
        let one = Z128::from_i128(i128::from(step.linear)).shl(plan.fraction());
        for i in 0..d {
            first.as_mut_slice()[i * (d + 1)] += one;
        }
    }
    first
}

/// An opened matrix as summands side by side: the first rounded coarsely, by the first of `drops`,
/// each further one what the rounding before left over, less what finer rounding does. And the
/// finest rounding itself.
pub(super) fn summands(
    opened: &Bounded,
    drops: &[u32],
    rows: usize,
    me: usize,
) -> Result<(Shared<Z128>, Zeroizing<Vec<Z128>>), Error> {
    let mut finest = opened.part(drops[0], me);
    let width = finest.len() / rows;
    let mut parts = vec![Shared::new(finest.to_vec(), rows, width)];
    for gap in drops.windows(2) {
        let finer = opened.part(gap[1], me);
        let left_over = finer.iter().zip(finest.iter());
        let left_over = left_over.map(|(&fine, coarse)| fine - coarse.shl(gap[0] - gap[1]));
        parts.push(Shared::new(left_over.collect(), rows, width));
        finest = finer;
    }
    Ok((Shared::beside(&parts.iter().collect::<Vec<_>>())?, finest))
}

/// d less the trace of a matrix at scale `fraction`.
fn residual_of(matrix: &[Z128], d: usize, fraction: u32, me: usize) -> Shared<Z128> {
    let whole = if me == 0 { Z128(d as u128).shl(fraction) } else { Z128::ZERO };
    let residual = (0..d).fold(whole, |rest, i| rest - matrix[i * (d + 1)]);
    Shared::column(vec![residual])
}

/// The end of a step: (linear X - quadratic X G X) / 2^shift, made symmetric and rounded; and rounded
/// coarsely, from the same openings.
async fn round(
    plan: &InversePlan,
    step: Step,
    x: &Shared<Z128>,
    product: &Shared<Z128>,
    masks: &mut Prg,
    session: &mut Session,
) -> Result<(Shared<Z128>, Shared<Z128>), Error> {
    let (d, limbs) = (plan.settings().order, plan.limbs());
    let linear = Z128::from_i128(i128::from(2 * step.linear)).shl(limbs[0]);
    let quadratic = Z128::from_i128(i128::from(step.quadratic));
    let columns = product.columns();
    let parts: Vec<Shared<Z128>> = (0..limbs.len())
        .map(|limb| {
            let at = |i: usize, j: usize| product.as_slice()[i * columns + limb * d + j];
            let mut values = Vec::with_capacity(d * (d + 1) / 2);
            for i in 0..d {
                for j in i..d {
                    let own = if limb == 0 { linear * x.as_slice()[i * d + j] } else { Z128::ZERO };
                    values.push(own - quadratic * (at(i, j) + at(j, i)));
                }
            }
            Shared::column(values)
        })
        .collect();
    let specs: Vec<_> = plan.x(step).collect();
    let items: Vec<_> = specs.iter().copied().zip(&parts).collect();
    let opened = open_bounded("inverse/truncate-x", &items, masks, session).await?;
    let more = plan.inverse_fraction() - InversePlan::COARSE_FRACTION;
    let mut sums = [0, 1].map(|_| Shared::zero(d * (d + 1) / 2, 1));
    for (opened, spec) in opened.iter().zip(&specs) {
        for (sum, drop) in sums.iter_mut().zip([spec.drop, spec.drop + more]) {
            // What is smaller than a unit is left out.
            if drop <= spec.magnitude {
                *sum += &Shared::column(opened.part(drop, session.me()).to_vec());
            }
        }
    }
    let [fine, coarse] = sums.map(|sum| symmetric(sum.as_slice(), d));
    Ok((fine, coarse))
}

/// The upper triangle, row by row.
fn upper(matrix: &Shared<Z128>) -> Shared<Z128> {
    let d = matrix.rows();
    let row = |i: usize| matrix.as_slice()[i * d + i..(i + 1) * d].iter().copied();
    Shared::column((0..d).flat_map(row).collect())
}

/// The symmetric matrix with this upper triangle.
fn symmetric(upper: &[Z128], d: usize) -> Shared<Z128> {
    let mut matrix = Shared::zero(d, d);
    let mut values = upper.iter();
    for i in 0..d {
        for (j, &value) in (i..d).zip(values.by_ref()) {
            matrix.as_mut_slice()[i * d + j] = value;
            matrix.as_mut_slice()[j * d + i] = value;
        }
    }
    matrix
}
