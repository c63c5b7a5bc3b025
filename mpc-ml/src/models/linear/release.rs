//! From shares of the coefficients to a model.

use mpc_core::protocols::solve::Inverse;
use mpc_core::{Fixed, Session};
use zeroize::Zeroizing;

use super::outputs::{COEFFICIENTS, DIAGONAL, SUMS};
use super::plan::LinearPlan;
use super::{LinearShares, certificate};
use crate::artifact::{CheckRecord, LeastSquares};
use crate::data::Dataset;
use crate::error::Error;
use crate::model::Agreed;
use crate::plaintext::score;

/// What a linear regression reveals.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearFit {
    /// The coefficients, the intercept last where there is one.
    pub coefficients: Vec<f64>,
    /// Their standard errors, if the study asks for inference and has no penalty.
    pub std_errors: Option<Vec<f64>>,
    /// What follows from the sums of squares over all parties' rows, if the study asks for
    /// inference.
    pub statistics: Option<LeastSquares>,
    /// The convergence check: at most 1/64, or there is no fit.
    pub check: f64,
    /// That the coefficients are the optimum of the parties' rows, where all parties receive them.
    pub certificate: Option<CheckRecord>,
}

/// Reveals the coefficients, then, where all parties receive them, the gradient there, and
/// [`DIAGONAL`] and [`SUMS`] as far as the plan says. One round an output.
///
/// # Errors
/// [`Error::Uncertified`] when the coefficients are not the optimum of the parties' rows; network
/// errors.
pub(super) async fn release(
    plan: &Agreed<LinearPlan>,
    shares: LinearShares,
    data: &Dataset,
    session: &mut Session,
) -> Result<Option<LinearFit>, Error> {
    let (settings, encoding) = (plan.settings(), plan.encoding());
    let (bits, own) = (settings.release_bits, shares.coefficients());
    let coefficients = session.reveal_fixed(COEFFICIENTS, own, bits).await?;
    let (middle, half) = encoding.target_scale();
    let certificate = match &coefficients {
        Some(values) if plan.facts().for_all() => {
            Some(certificate::certify(plan, values, data, session).await?)
        }
        _ => None,
    };
    let coefficients = coefficients.map(|values| {
        let mut all: Vec<f64> = values.iter().map(|value| half * value).collect();
        if settings.intercept {
            all[encoding.columns] += middle;
        }
        all
    });
    let diagonal = if settings.std_errors() {
        reveal_diagonal(plan, &shares.inverse, session).await?
    } else {
        None
    };
    let statistics = if settings.inference {
        let coefficients = coefficients.as_ref().ok_or_else(|| {
            Error::Settings("inference needs the coefficients to be for every party".to_owned())
        })?;
        reveal_sums(plan, data, coefficients, session).await?
    } else {
        None
    };
    Ok(coefficients.map(|coefficients| {
        let std_errors = diagonal.zip(statistics.as_ref()).map(|(diagonal, statistics)| {
            let variance = statistics.residual_variance;
            diagonal.iter().map(|d| libm::sqrt(d * variance)).collect()
        });
        LinearFit { coefficients, std_errors, statistics, check: shares.check, certificate }
    }))
}

/// The diagonal of (X^T X)^-1.
async fn reveal_diagonal(
    plan: &LinearPlan,
    inverted: &Inverse,
    session: &mut Session,
) -> Result<Option<Vec<f64>>, Error> {
    let d = inverted.x.rows();
    let diagonal: Vec<usize> = (0..d).map(|i| i * (d + 1)).collect();
    let diagonal = inverted.x.select(&diagonal)?;
    let diagonal = Fixed::new(diagonal, 128, plan.inverse().inverse_fraction())?;
    let revealed = session.reveal_fixed(DIAGONAL, &diagonal, plan.diagonal_fraction()).await?;
    let unit = plan.scale() * plan.total_rows() as f64;
    Ok(revealed.map(|all| all.into_iter().map(|v| v / unit).collect()))
}

/// Sums of squares under the revealed coefficients: each party's own, in the clear, are its shares.
async fn reveal_sums(
    plan: &LinearPlan,
    data: &Dataset,
    coefficients: &[f64],
    session: &mut Session,
) -> Result<Option<LeastSquares>, Error> {
    let (settings, encoding) = (plan.settings(), plan.encoding());
    let (rows, columns) = (data.rows(), encoding.columns);
    let (middle, half) = encoding.target_scale();
    let centre = if settings.intercept { coefficients[columns] } else { 0.0 };
    // Public, and the same for all: no residual is larger, in units of half the range.
    let slopes: f64 = coefficients[..columns].iter().map(|w| w.abs()).sum();
    let largest = 2.0 + (slopes * settings.clip + (centre - middle).abs()) / half;
    let bits = libm::ceil(libm::log2(largest * largest * plan.total_rows() as f64)) as u32;
    let scale = 120u32.saturating_sub(bits).min(60);

    let mut own = [0.0; 3];
    let mut clipped = Zeroizing::new(Vec::with_capacity(columns));
    for (row, &y) in rows.y().iter().enumerate() {
        clipped.clear();
        let entries = rows.row(row).iter();
        clipped.extend(entries.map(|x| x.clamp(-settings.clip, settings.clip)));
        let y = y.clamp(encoding.target.0, encoding.target.1);
        let residual = (y - score(coefficients, &clipped)) / half;
        let about = (y - centre) / half;
        own[0] += residual * residual;
        own[1] += about;
        own[2] += about * about;
    }
    let own = Fixed::own_part(&own, 3, 1, scale)?;
    let revealed = session.reveal_fixed(SUMS, &own, scale).await?;
    let revealed: Option<[f64; 3]> = revealed.and_then(|all| all.try_into().ok());
    let Some([residual, sum, squares]) = revealed else { return Ok(None) };
    let rows = plan.total_rows();
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
