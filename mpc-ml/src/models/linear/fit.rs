//! From rows to shares of the coefficients.

use mpc_core::protocols::solve::{Inverse, Start, inverse, solution};
use mpc_core::ring::{Ring, Z128};
use mpc_core::{Fixed, Session, Shared};

use super::columns::{self, Products};
use super::crossed;
use super::eliminate::{self, Eliminated};
use super::moments::Moments;
use super::outputs::CHECK;
use super::plan::{CHECK_FRACTION, LinearPlan, X_FRACTION, Y_FRACTION};
use crate::data::Dataset;
use crate::error::Error;
use crate::model::{Agreed, Progress, Run, Watched};
use crate::models::glm::Crossed;

/// This party's shares of a solved regression.
pub struct LinearShares {
    pub(super) coefficients: Fixed,
    /// The inverse of (X^T X / n + l2) / [`LinearPlan::scale`].
    pub(super) inverse: Inverse,
    /// The revealed check: at most 1/64.
    pub(super) check: f64,
    /// The equations themselves, where the parties hold columns: nobody can make its part of what they
    /// tell anew.
    pub(super) columns: Option<Equations>,
    /// The place of the penalty that was chosen, and what was found of all, where some were compared.
    pub(super) crossed: Option<(usize, Crossed)>,
    /// The same where the widest block of them was eliminated: then `inverse` is that of the rest.
    pub(super) eliminated: Option<Eliminated>,
}

/// This party's shares of the equations of columns at different parties.
pub(super) struct Equations {
    pub(super) products: Products,
    pub(super) g: Shared<Z128>,
    pub(super) c: Shared<Z128>,
}

impl LinearShares {
    /// The coefficients, a column, the intercept last: in units of half the target's range, and the
    /// intercept from the middle of it.
    #[must_use]
    pub fn coefficients(&self) -> &Fixed {
        &self.coefficients
    }
}

/// This party's shares of the normal equations: sums of products of its own rows.
pub struct Sums {
    /// G = (X^T X / n + l2) / scale, with the shift.
    pub(super) g: Shared<Z128>,
    /// c = X^T y / (n scale).
    pub(super) c: Shared<Z128>,
}

/// Solves the normal equations. Goes through the own rows once while the correlations are made;
/// [`sums`] and [`solve`].
///
/// # Errors
/// [`Error::Data`] when the rows do not fit the plan, before anything is sent;
/// [`Error::NotConverged`] when the design is too ill-conditioned; network errors.
pub(super) async fn fit(
    plan: &Agreed<LinearPlan>,
    data: &Dataset,
    run: &mut Run<'_>,
) -> Result<LinearShares, Error> {
    check(plan, data, run.session.me())?;
    if let Some(crossed) = plan.crossed() {
        return crossed::fit(crossed, data, run).await;
    }
    if let (Some(how), Some(cross)) = (plan.elimination(), plan.cross()) {
        return eliminate::fit(plan, (how, cross), data, run).await;
    }
    if let Some(cross) = plan.cross() {
        let products = columns::products(plan, cross, data, &plan.requests(), run).await?;
        (run.progress)(Progress::Prepared);
        let (g, c) = columns::equations(plan, cross, &products, run.session).await?;
        let sums = Sums { g: g.clone(), c: c.clone() };
        let columns = Some(Equations { products, g, c });
        return Ok(LinearShares { columns, ..solve(plan, sums, run).await? });
    }
    run.source.demand(plan.requests())?;
    let sums = sums(plan, data, run.session.me()).await?;
    (run.progress)(Progress::Prepared);
    solve(plan, sums, run).await
}

fn check(plan: &LinearPlan, data: &Dataset, me: usize) -> Result<(), Error> {
    data.check(plan.facts(), me, plan.settings().clip)?;
    data.check_unweighted()?;
    let due = if plan.facts().groups { data.len() } else { 0 };
    if data.ids().len() != due {
        let given = data.ids().len();
        return Err(Error::Data(format!("{given} groups of rows were given, and {due} are due")));
    }
    Ok(())
}

/// The first half of a fit to whole rows: exact sums of products of the own rows, clipped and rounded, each
/// rounded once to shares of G and c. No round.
///
/// # Errors
/// [`Error::Data`] when the rows do not fit the plan, [`Error::Settings`] when the parties hold columns.
pub async fn sums(plan: &LinearPlan, data: &Dataset, me: usize) -> Result<Sums, Error> {
    check(plan, data, me)?;
    if plan.cross().is_some() {
        let what = "the parties hold different columns, whose sums of products are made together";
        return Err(Error::Settings(what.to_owned()));
    }
    Ok(normal_equations(plan, &Moments::of(data.rows(), plan.encoding()).await, me))
}

/// The second half, with [`LinearPlan::requests`] on order: the rounds of [`LinearPlan::inverse`],
/// one for [`CHECK`], and those of [`LinearPlan::solution`]. [`LinearPlan::training_cost`], and a
/// result of one element.
///
/// # Errors
/// [`Error::NotConverged`] when the design is too ill-conditioned; network errors.
pub async fn solve(
    plan: &Agreed<LinearPlan>,
    sums: Sums,
    run: &mut Run<'_>,
) -> Result<LinearShares, Error> {
    solve_planned(plan, sums, run).await
}

/// The same of one of several fits.
pub(super) async fn solve_planned(
    plan: &LinearPlan,
    sums: Sums,
    run: &mut Run<'_>,
) -> Result<LinearShares, Error> {
    let Sums { g, c } = sums;
    let ordered = plan.requests().len() as u64;
    let steps = plan.inverse().steps() as u64;
    let mut source = Watched::new(run.source, run.progress, ordered, steps);
    let session = &mut *run.session;
    let inverse = inverse(plan.inverse(), &g, Start::Identity, &mut source, session).await?;
    let check = reveal_check(plan, &inverse, session).await?;
    let coefficients = solution(plan.solution(), &inverse, &c, &mut source, session).await?;
    let coefficients = Fixed::new(coefficients, 128, plan.solution().fraction())?;
    Ok(LinearShares {
        coefficients,
        inverse,
        check,
        columns: None,
        eliminated: None,
        crossed: None,
    })
}

async fn reveal_check(
    plan: &LinearPlan,
    inverted: &Inverse,
    session: &mut Session,
) -> Result<f64, Error> {
    let residual = plan.inverse().residual_fraction();
    let residual = Fixed::new(inverted.residual.clone(), 128, residual)?;
    let check = session.reveal_fixed(CHECK, &residual, CHECK_FRACTION).await?;
    let check =
        check.and_then(|values| values.first().copied()).ok_or_else(|| Error::untold(CHECK))?;
    if plan.inverse().converged(check) {
        return Ok(check);
    }
    // Where the study names none, it is the largest there are bits for.
    let larger =
        if plan.settings().condition.is_some() { ", or allow a larger condition" } else { "" };
    Err(Error::NotConverged(format!(
        "the design is too ill-conditioned for condition {}: its columns are close to \
         linearly dependent. Leave out columns that follow from others, or set an l2 penalty{larger} \
         (the check is {check:.3}, at most 1/64 is converged); nothing was revealed",
        plan.condition()
    )))
}

/// This party's shares of G = (X^T X / n + l2) / scale, with the shift, and of
/// c = X^T y / (n scale), both rounded once from exact integers.
pub(super) fn normal_equations(plan: &LinearPlan, sums: &Moments, me: usize) -> Sums {
    let (settings, encoding) = (plan.settings(), plan.encoding());
    let (columns, d) = (encoding.columns, encoding.weights());
    let per_row = plan.scale() * plan.total_rows() as f64;
    let rounded = |sum: i128, scale: i32| {
        Z128::from_i128(libm::rint(libm::ldexp(sum as f64, scale) / per_row) as i128)
    };
    let g_scale = plan.inverse().fraction() as i32 - 2 * X_FRACTION as i32;
    let c_scale = plan.solution().right_fraction() as i32 - (X_FRACTION + Y_FRACTION) as i32;
    let mut g = Shared::zero(d, d);
    let mut at = 0;
    for i in 0..d {
        for j in i..d {
            let mut value = rounded(sums.xx[at], g_scale);
            if i == j && me == 0 {
                let penalty = if i < columns { settings.l2 / plan.scale() } else { 0.0 };
                let penalty = libm::ldexp(penalty, plan.inverse().fraction() as i32);
                value +=
                    Z128::from_i128(libm::rint(penalty) as i128) + Z128(u128::from(plan.shift()));
            }
            g.as_mut_slice()[i * d + j] = value;
            g.as_mut_slice()[j * d + i] = value;
            at += 1;
        }
    }
    let c = sums.xy.iter().map(|&sum| rounded(sum, c_scale)).collect();
    Sums { g, c: Shared::column(c) }
}
