//! Linear and ridge regression by the normal equations (docs/protocols.md 7.2).
//!
//! A party's own X^T X and X^T y are its additive shares of the joint ones, so the cost does not
//! depend on the number of rows, and nothing of a row is ever opened.

use mpc_core::correlations::CorrelationSource;
use mpc_core::protocols::solve::{Inverse, Start, inverse, solution};
use mpc_core::ring::{Ring, Z128};
use mpc_core::{Outputs, Recipients, Session, Shared, fixed};
use zeroize::Zeroizing;

use crate::agreed::Agreed;
use crate::artifact::LeastSquares;
use crate::error::Error;
use crate::plaintext::score;
use crate::plan::linear::{CHECK_FRACTION, LinearPlan, X_FRACTION, Y_FRACTION};
use crate::rows::Rows;
use crate::solvers::moments::Moments;

/// The output that says whether the inverse has converged: the sum of the errors of its spectrum.
/// Always for everybody, and first.
pub const CHECK: &str = "convergence check";
/// The output that reveals the coefficients.
pub const COEFFICIENTS: &str = "coefficients";
/// The output that reveals the diagonal of the inverse of X^T X, for standard errors.
pub const DIAGONAL: &str = "diagonal of the inverse";
/// The output that reveals the sum of squared residuals, and the sum and the sum of squares of
/// the targets about the intercept.
pub const SUMS: &str = "sums of squares";

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
}

/// Allows the outputs of [`Regression::run`]: the check to everybody, the rest to `recipients`.
#[must_use]
pub fn allow(plan: &LinearPlan, outputs: Outputs, recipients: Recipients) -> Outputs {
    let outputs = outputs.allow(CHECK, Recipients::All).allow(COEFFICIENTS, recipients);
    let outputs = if plan.settings().inference { outputs.allow(SUMS, recipients) } else { outputs };
    if plan.settings().std_errors() { outputs.allow(DIAGONAL, recipients) } else { outputs }
}

/// A regression whose own sums of products are made: this party's shares of the normal equations.
pub struct Regression<'a> {
    plan: &'a Agreed<LinearPlan>,
    rows: &'a Rows,
    g: Shared<Z128>,
    c: Shared<Z128>,
}

impl<'a> Regression<'a> {
    /// Orders the correlations, and goes through the own rows once while they are made: exact sums
    /// of products, no round.
    ///
    /// # Errors
    /// [`Error::Data`] when the rows do not fit the plan, before anything is sent.
    pub async fn begin(
        plan: &'a Agreed<LinearPlan>,
        rows: &'a Rows,
        source: &mut dyn CorrelationSource,
        session: &Session,
    ) -> Result<Self, Error> {
        let settings = plan.settings();
        let (me, columns) = (session.me(), settings.mean_squares.len());
        if rows.len() as u64 != settings.rows[me] || rows.columns() != columns {
            return Err(Error::Data(format!(
                "{} rows of {} columns were given, where the plan has {} of {columns}",
                rows.len(),
                rows.columns(),
                settings.rows[me]
            )));
        }
        if rows.x().iter().chain(rows.y()).any(|v| !v.is_finite()) {
            return Err(Error::Data("an entry of the rows is not a number".to_owned()));
        }
        source.demand(plan.requests())?;
        let (g, c) = normal_equations(plan, rows, me).await;
        Ok(Self { plan, rows, g, c })
    }

    /// Fits jointly. The rounds of [`LinearPlan::inverse`] and [`LinearPlan::solution`], and one an
    /// output: [`LinearPlan::training_cost`],
    /// [`LinearPlan::release_cost`]. Gives the fit to those whom the session allows.
    ///
    /// Reveals [`CHECK`] first, and nothing else if it fails; then [`COEFFICIENTS`], [`DIAGONAL`]
    /// and [`SUMS`] as far as the plan says.
    ///
    /// # Errors
    /// [`Error::NotConverged`] when the design is too ill-conditioned; network errors.
    pub async fn run(
        self,
        source: &mut dyn CorrelationSource,
        session: &mut Session,
    ) -> Result<Option<LinearFit>, Error> {
        let Self { plan, rows, g, c } = self;
        let settings = plan.settings();
        let columns = settings.mean_squares.len();
        let inverted = inverse(plan.inverse(), &g, Start::Identity, source, session).await?;
        let check = reveal_check(plan, &inverted, session).await?;
        let w = solution(plan.solution(), &inverted, &c, source, session).await?;

        let drop = plan.solution().fraction() - settings.release_fraction;
        let coefficients = session.reveal(COEFFICIENTS, &w, 128, drop).await?;
        let (middle, half) = settings.target_scale();
        let coefficients = coefficients.map(|values| {
            let decode = |&v| half * fixed::decode(v, settings.release_fraction);
            let mut all: Vec<f64> = values.iter().map(decode).collect();
            if settings.intercept {
                all[columns] += middle;
            }
            all
        });
        let diagonal = if settings.std_errors() {
            reveal_diagonal(plan, &inverted, session).await?
        } else {
            None
        };
        let statistics = if settings.inference {
            let coefficients = coefficients.as_ref().ok_or_else(|| {
                Error::Settings("inference needs the coefficients to be for every party".to_owned())
            })?;
            reveal_sums(plan, rows, coefficients, session).await?
        } else {
            None
        };
        Ok(coefficients.map(|coefficients| {
            let std_errors = diagonal.zip(statistics.as_ref()).map(|(diagonal, statistics)| {
                let variance = statistics.residual_variance;
                diagonal.iter().map(|d| libm::sqrt(d * variance)).collect()
            });
            LinearFit { coefficients, std_errors, statistics, check }
        }))
    }
}

async fn reveal_check(
    plan: &LinearPlan,
    inverted: &Inverse,
    session: &mut Session,
) -> Result<f64, Error> {
    let drop = plan.inverse().residual_fraction() - CHECK_FRACTION;
    let check = session.reveal(CHECK, &inverted.residual, 128, drop).await?;
    let check = check
        .and_then(|values| values.first().copied())
        .ok_or_else(|| Error::Settings(format!("the output `{CHECK}` is for everybody")))?;
    let check = fixed::decode(check, CHECK_FRACTION);
    if plan.inverse().converged(check) {
        return Ok(check);
    }
    Err(Error::NotConverged(format!(
        "the design is too ill-conditioned for training.condition {}: its columns are close to \
         linearly dependent. Leave out columns that follow from others, set an l2 penalty, or allow a larger \
         condition (the check is {check:.3}, at most 1/64 is converged); nothing was revealed",
        plan.settings().condition
    )))
}

/// The diagonal of (X^T X)^-1.
async fn reveal_diagonal(
    plan: &LinearPlan,
    inverted: &Inverse,
    session: &mut Session,
) -> Result<Option<Vec<f64>>, Error> {
    let d = inverted.x.rows();
    let diagonal = (0..d).map(|i| inverted.x.as_slice()[i * (d + 1)]).collect();
    let scale = plan.diagonal_fraction();
    let drop = plan.inverse().inverse_fraction() - scale;
    let revealed = session.reveal(DIAGONAL, &Shared::column(diagonal), 128, drop).await?;
    let unit = plan.scale() * plan.total_rows() as f64;
    Ok(revealed.map(|all| all.into_iter().map(|v| fixed::decode(v, scale) / unit).collect()))
}

/// Sums of squares under the revealed coefficients: each party's own, in the clear, are its shares.
async fn reveal_sums(
    plan: &LinearPlan,
    rows: &Rows,
    coefficients: &[f64],
    session: &mut Session,
) -> Result<Option<LeastSquares>, Error> {
    let settings = plan.settings();
    let (middle, half) = settings.target_scale();
    let columns = settings.mean_squares.len();
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
        let y = y.clamp(settings.target.0, settings.target.1);
        let residual = (y - score(coefficients, &clipped)) / half;
        let about = (y - centre) / half;
        own[0] += residual * residual;
        own[1] += about;
        own[2] += about * about;
    }
    let mut share = Vec::with_capacity(3);
    for value in own {
        share.push(Z128::from_i128(fixed::encode(value, scale, 126)?));
    }
    let revealed = session.reveal(SUMS, &Shared::column(share), 128, 0).await?;
    let Some(all) = revealed else { return Ok(None) };
    let [residual, sum, squares] = [0, 1, 2].map(|i| fixed::decode(all[i], scale));
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

/// This party's shares of G = (X^T X / n + l2) / scale, with the shift, and of
/// c = X^T y / (n scale), both rounded once from exact integers.
async fn normal_equations(
    plan: &LinearPlan,
    rows: &Rows,
    me: usize,
) -> (Shared<Z128>, Shared<Z128>) {
    let settings = plan.settings();
    let (columns, d) = (settings.mean_squares.len(), settings.weights());
    let sums = Moments::of(rows, settings).await;
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
    (g, Shared::column(c))
}
