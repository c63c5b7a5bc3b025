//! From shares of the coefficients to a model.

use mpc_core::correlations::Request;
use mpc_core::{Fixed, Session};
use zeroize::Zeroizing;

use super::certificate::Source;
use super::outputs::{COEFFICIENTS, DIAGONAL, SUMS};
use super::plan::LinearPlan;
use super::scatter::{Residuals, scatter};
use super::{LinearShares, certificate, columns};
use crate::artifact::{CheckRecord, LeastSquares};
use crate::data::Dataset;
use crate::error::Error;
use crate::inference::{
    COVARIANCE, COVARIANCE_FRACTION, ContrastFit, Expected, Inverse, Robust, WaldTest, contrasts,
    diagonal, robust, tests,
};
use crate::model::{Agreed, Orders, Run};
use crate::models::glm::Crossed;

/// What a linear regression reveals.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearFit {
    /// The coefficients, the intercept last where there is one: all of them, or those that this party
    /// receives.
    pub coefficients: Vec<f64>,
    /// Whether the last of them is the intercept.
    pub intercept: bool,
    /// Their standard errors, if the study asks for inference and has no penalty.
    pub std_errors: Option<Vec<f64>>,
    /// Robust ones, where the study asks for them and they can be told.
    pub robust: Option<Vec<f64>>,
    /// The whole covariance matrix, row by row, if the study asks for it.
    pub covariance: Option<Vec<f64>>,
    /// The joint tests that the study asks for, each as chi squared: F times the number of columns.
    pub tests: Vec<WaldTest>,
    /// The combinations of coefficients that it declares.
    pub contrasts: Vec<ContrastFit>,
    /// What follows from the sums of squares over all parties' rows, if the study asks for
    /// inference.
    pub statistics: Option<LeastSquares>,
    /// The convergence check: at most 1/64, or there is no fit.
    pub check: f64,
    /// That the coefficients are the optimum of the parties' rows, where all parties receive them.
    pub certificate: Option<CheckRecord>,
    /// What cross-validation found, where the study asks for it: squared errors.
    pub crossed: Option<Crossed>,
}

/// Reveals the coefficients, to each party its own or to those whom the session allows, then, where all parties receive them, the gradient there, and
/// [`DIAGONAL`], [`SUMS`] and what is asked for besides as far as the plan says. One round an output,
/// and those of what is computed for it.
///
/// # Errors
/// [`Error::Uncertified`] when the coefficients are not the optimum of the parties' rows; network
/// errors.
pub(super) async fn release(
    plan: &Agreed<LinearPlan>,
    shares: LinearShares,
    data: &Dataset,
    run: &mut Run<'_>,
) -> Result<Option<LinearFit>, Error> {
    let chosen = shares.crossed.as_ref().and_then(|(at, _)| plan.crossed()?.fits().get(*at));
    let plan: &LinearPlan = match chosen {
        Some(chosen) => chosen,
        None => plan,
    };
    let (settings, encoding) = (plan.settings(), plan.encoding());
    let (bits, own) = (settings.release_bits, shares.coefficients());
    let (coefficients, intercept) = match plan.owners()? {
        Some(owners) => {
            let mine = owners.reveal(own, bits, run.session).await?;
            (Some(mine), owners.has_intercept(run.session.me()))
        }
        None => {
            let all = run.session.reveal_fixed(COEFFICIENTS, own, bits).await?;
            (all, settings.intercept)
        }
    };
    let (middle, half) = encoding.target_scale();
    let eliminated = shares.eliminated.as_ref().zip(plan.elimination());
    let all = coefficients.as_ref().filter(|_| plan.facts().for_all());
    // What the coefficients give with the basis of an eliminated block, for the check and the sums.
    let fitted = match (eliminated, all) {
        (Some((shares, how)), Some(values)) => Some(shares.fitted(how, values, run).await?),
        _ => None,
    };
    let certificate = match all {
        Some(values) => {
            let from = match (eliminated, &fitted, &shares.columns) {
                (Some((shares, how)), Some(fitted), _) => Source::Eliminated(shares, how, fitted),
                (_, _, Some(equations)) => Source::Equations(equations),
                _ => Source::Rows(data),
            };
            Some(certificate::certify(plan, values, from, run.session).await?)
        }
        None => None,
    };
    let released = coefficients.clone();
    let coefficients = coefficients.map(|values| {
        let mut all: Vec<f64> = values.iter().map(|value| half * value).collect();
        if let Some(last) = all.last_mut().filter(|_| intercept) {
            *last += middle;
        }
        all
    });
    let x = Fixed::new(shares.inverse.x, 128, plan.inverse().inverse_fraction())?;
    let entries = if settings.std_errors() {
        let own = match eliminated.and_then(|(shares, _)| shares.diagonal.as_ref()) {
            Some(diagonal) => diagonal.clone(),
            None => diagonal(&x)?,
        };
        run.session.reveal_fixed(DIAGONAL, &own, plan.diagonal_fraction()).await?
    } else {
        None
    };
    let statistics = if settings.inference {
        let coefficients = coefficients.as_ref().ok_or_else(|| {
            Error::Settings("inference needs the coefficients to be for every party".to_owned())
        })?;
        let columns = match (&released, plan.cross(), &shares.columns) {
            (Some(values), Some(cross), Some(equations)) => {
                Some(columns::sums(plan, cross, &equations.products, values)?)
            }
            (Some(values), Some(cross), None) => match (eliminated, &fitted) {
                (Some((shares, how)), Some(fitted)) => {
                    Some(shares.sums((plan, how), cross, values, fitted)?)
                }
                _ => None,
            },
            _ => None,
        };
        match columns {
            Some(own) => reveal_sums_of_columns(plan, &own, run.session).await?,
            None => reveal_sums(plan, data, coefficients, run.session).await?,
        }
    } else {
        None
    };
    let Some(coefficients) = coefficients else { return Ok(None) };
    let (check, tests) = (shares.check, Vec::new());
    let mut fit = LinearFit {
        coefficients,
        intercept,
        std_errors: None,
        robust: None,
        covariance: None,
        tests,
        contrasts: Vec::new(),
        statistics,
        check,
        certificate,
        crossed: shares.crossed.map(|(_, crossed)| crossed),
    };
    if let Some(entries) = entries {
        infer(plan, (&x, &entries), data, &mut fit, run).await?;
    }
    Ok(Some(fit))
}

/// How sure the coefficients are, from the inverse and its revealed diagonal.
async fn infer(
    plan: &LinearPlan,
    (x, entries): (&Fixed, &[f64]),
    data: &Dataset,
    fit: &mut LinearFit,
    run: &mut Run<'_>,
) -> Result<(), Error> {
    let Some(statistics) = &fit.statistics else { return Ok(()) };
    let (settings, encoding) = (plan.settings(), plan.encoding());
    let unit = plan.scale() * plan.total_rows() as f64;
    let dispersion = statistics.residual_variance;
    let root = |variance: f64| libm::sqrt(variance.max(0.0));
    fit.std_errors = Some(entries.iter().map(|v| root(v / unit * dispersion)).collect());

    let slack = libm::ldexp(plan.shift() as f64, -(plan.inverse().fraction() as i32));
    let inverse = Inverse { x, correction: None, unit, slack, diagonal: entries };
    let lefts = plan.requests().iter().filter(|of| matches!(of, Request::Left { .. })).count();
    let mut orders = Orders::after(lefts as u32);
    let w = &fit.coefficients;
    fit.tests = tests(plan.tests(), &inverse, (w, dispersion), &mut orders, run).await?;
    let scales = data.scales();
    fit.contrasts = contrasts(plan.contrasts(), &inverse, (w, dispersion), scales, run).await?;
    if settings.robust != Robust::None {
        let scatter = scatter(plan, data, w).await;
        let half = encoding.target_scale().1;
        // Each row has squared entries of at most this in the mean.
        let squares = plan.facts().total_mean_square + 1.0;
        let size = statistics.residual_sum_of_squares / (half * half) * squares;
        let (weight, dispersion) = (plan.total_rows() as f64, dispersion / (half * half));
        let expected = Expected { size, weight, dispersion };
        let kind = settings.robust;
        let variances = robust(&inverse, kind, scatter, expected, &mut orders, run).await?;
        fit.robust = variances.map(|all| all.iter().map(|v| half * root(*v)).collect());
    }
    if settings.covariance {
        let bits = COVARIANCE_FRACTION.min(x.fraction());
        let all = run.session.reveal_fixed(COVARIANCE, x, bits).await?;
        fit.covariance = all.map(|all| all.iter().map(|v| v / unit * dispersion).collect());
    }
    Ok(())
}

/// Sums of squares under the revealed coefficients: each party's own, in the clear, are its shares.
async fn reveal_sums(
    plan: &LinearPlan,
    data: &Dataset,
    coefficients: &[f64],
    session: &mut Session,
) -> Result<Option<LeastSquares>, Error> {
    let (settings, encoding) = (plan.settings(), plan.encoding());
    let columns = encoding.columns;
    let (middle, half) = encoding.target_scale();
    let centre = if settings.intercept { coefficients[columns] } else { 0.0 };
    // Public, and the same for all: no residual is larger, in units of half the range.
    let slopes: f64 = coefficients[..columns].iter().map(|w| w.abs()).sum();
    let largest = 2.0 + (slopes * settings.clip + (centre - middle).abs()) / half;
    let bits = libm::ceil(libm::log2(largest * largest * plan.total_rows() as f64)) as u32;
    let scale = 120u32.saturating_sub(bits).min(60);

    let mut own = Zeroizing::new([0.0; 3]);
    let mut rows = Residuals::new(plan, data, coefficients);
    for row in 0..data.len() {
        let (_, y, residual) = rows.row(row);
        let about = (y - centre) / half;
        own[0] += residual * residual;
        own[1] += about;
        own[2] += about * about;
    }
    let own = Fixed::own_part(&own[..], 3, 1, scale)?;
    let revealed = session.reveal_fixed(SUMS, &own, scale).await?;
    let revealed: Option<[f64; 3]> = revealed.and_then(|all| all.try_into().ok());
    let Some([residual, sum, squares]) = revealed else { return Ok(None) };
    least_squares(plan, residual, sum, squares)
}

/// Sums of squares of columns at different parties, from their products: the target's are about the
/// middle of its range.
async fn reveal_sums_of_columns(
    plan: &LinearPlan,
    own: &Fixed,
    session: &mut Session,
) -> Result<Option<LeastSquares>, Error> {
    let scale = plan.cross().map_or(0, |cross| cross.sums_fraction(plan.settings()));
    let revealed = session.reveal_fixed(SUMS, own, scale).await?;
    let revealed: Option<[f64; 3]> = revealed.and_then(|all| all.try_into().ok());
    let Some([residual, sum, squares]) = revealed else { return Ok(None) };
    // Of a fit without a residual, rounding may leave less than nothing.
    least_squares(plan, residual.max(0.0), sum, squares)
}

/// In units of half the target's range: the sum of squared residuals, and the sum and the sum of squares of
/// the targets about one number.
fn least_squares(
    plan: &LinearPlan,
    residual: f64,
    sum: f64,
    squares: f64,
) -> Result<Option<LeastSquares>, Error> {
    let (settings, columns, rows) = (plan.settings(), plan.encoding().columns, plan.total_rows());
    let half = plan.encoding().target_scale().1;
    let about_mean = if settings.intercept { sum * sum / rows as f64 } else { 0.0 };
    let fit = LeastSquares::new(
        rows,
        columns as u64,
        settings.intercept,
        half * half * residual,
        half * half * (squares - about_mean),
    );
    // The plan has seen to it that there are more rows than coefficients.
    fit.map(Some).ok_or_else(|| Error::Settings("no degrees of freedom are left".to_owned()))
}
