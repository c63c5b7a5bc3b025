//! Logistic and Poisson regression to the optimum, on rows that stay with their owners
//! (docs/protocols.md 8).

mod design;
mod inference;
mod pass;

use std::sync::Arc;

use mpc_core::correlations::{CorrelationSource, OwnRows, OwnedMatrix, Production, Request};
use mpc_core::protocols::product::{self, FixedLeft};
use mpc_core::protocols::solve::{Start, inverse};
use mpc_core::protocols::truncate::own_masks;
use mpc_core::rand::Prg;
use mpc_core::ring::{Ring, Z128};
use mpc_core::{Outputs, Recipients, Session, Shared, fixed};
use zeroize::Zeroizing;

use crate::agreed::Agreed;
use crate::error::Error;
use crate::plan::optimum::{Family, Method, OptimumPlan};
use crate::rows::Rows;
use inference::Deviances;

/// The output that reveals the coefficients.
pub const COEFFICIENTS: &str = "coefficients";
/// The output that says whether the inverse that a fit begins with has converged: one number that
/// is near 0 unless the design is worse conditioned than the study declares.
pub const INVERSE_CHECK: &str = "inverse check";
/// The output that says how far the last pass was from the optimum: one number.
pub const CONVERGENCE: &str = "convergence";
/// The output that says whether the inverse behind the standard errors has converged.
pub const INFORMATION_CHECK: &str = "information check";
/// The output that says how much of the information rests on rows that are all but certain: one
/// number, near 0 unless the classes are separable.
pub const SEPARATION_CHECK: &str = "separation check";
/// The output that reveals the variances of the coefficients: the diagonal of the inverse of the
/// information.
pub const INFORMATION: &str = "information";
/// The output that reveals the deviance.
pub const DEVIANCE: &str = "deviance";
/// The output that reveals the sum of the targets, and of e^offset.
pub const TARGETS: &str = "targets";
/// The output that reveals the deviance of the model without features; of Poisson models.
pub const NULL_DEVIANCE: &str = "null deviance";

/// Fractional bits of revealed checks and variances.
pub(crate) const CHECK_FRACTION: u32 = 20;
/// Fractional bits of revealed sums over rows.
pub(crate) const SUM_FRACTION: u32 = 16;

/// A fit, as the parties learn it.
#[derive(Clone, Debug, PartialEq)]
pub struct GlmFit {
    /// The coefficients, the intercept last.
    pub coefficients: Vec<f64>,
    /// Their standard errors, if the study asks for inference.
    pub std_errors: Option<Vec<f64>>,
    /// The deviance, if the study asks for inference.
    pub deviance: Option<f64>,
    /// The deviance of the model without features, if the study asks for inference.
    pub null_deviance: Option<f64>,
    /// Passes over the data.
    pub iterations: u64,
    /// What was checked.
    pub checks: Checks,
}

/// What was revealed to check a fit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Checks {
    /// The residual of the inverse that the fit began with, where there is one.
    pub inverse: Option<f64>,
    /// The residual of the inverse behind the standard errors.
    pub information: Option<f64>,
    /// How much of the information rests on rows that are all but certain, and what is accepted.
    pub separation: Option<(f64, f64)>,
    /// How far the last pass was from the optimum: the length of the Newton step there in standard
    /// errors; for wide data a bound on the distance of the coefficients.
    pub distance: f64,
    /// Whether the fit is as near to the optimum as the study wants. A caller says so to the
    /// user where it is not.
    pub converged: bool,
}

/// The outputs of a fit: coefficients (and what belongs to them) for `model`, checks for all.
#[must_use]
pub fn outputs(plan: &OptimumPlan, outputs: Outputs, model: Recipients) -> Outputs {
    let mut outputs = outputs.allow(COEFFICIENTS, model).allow(CONVERGENCE, Recipients::All);
    if plan.hessian().is_some() {
        outputs = outputs.allow(INVERSE_CHECK, Recipients::All);
    }
    if plan.settings().inference {
        for label in [INFORMATION_CHECK, SEPARATION_CHECK] {
            outputs = outputs.allow(label, Recipients::All);
        }
        for label in [INFORMATION, DEVIANCE, TARGETS] {
            outputs = outputs.allow(label, model);
        }
        if matches!(plan.settings().family, Family::Poisson { .. }) {
            outputs = outputs.allow(NULL_DEVIANCE, model);
        }
    }
    outputs
}

/// Fits the model. `offsets` has one number for each own row where the plan has an offset, and is
/// empty where not. `progress` hears the number of passes done and how far
/// the production of correlations is. `None` for a party that does not
/// receive the model. [`OptimumPlan::cost`].
///
/// # Errors
/// [`Error::Data`] when the rows do not fit the plan, before anything is sent;
/// [`Error::NotConverged`] when a check fails, the same at all parties and before the coefficients
/// are revealed; network errors. After an error the source is dropped and not finished, since what
/// is on order is not taken any more.
pub async fn run(
    plan: &Agreed<OptimumPlan>,
    rows: &Rows,
    offsets: &[f64],
    source: &mut dyn CorrelationSource,
    session: &mut Session,
    mut progress: impl FnMut(u64, Production),
) -> Result<Option<GlmFit>, Error> {
    let mut fit = Fitting::begin(plan, rows, offsets, source, session).await?;
    let inverse = fit.invert_bound(session).await?;
    let mut end = None;
    for pass in 0..plan.passes() {
        end = fit.pass(pass, session).await?;
        progress(pass as u64 + 1, fit.source.production());
    }
    let end = end.ok_or_else(|| Error::Settings("a fit has at least one pass".to_owned()))?;
    fit.release(end, inverse, session).await
}

/// A fit in progress, as one party sees it.
struct Fitting<'a> {
    plan: &'a OptimumPlan,
    source: &'a mut dyn CorrelationSource,
    matrix: u32,
    outer: Option<u32>,
    own: Arc<OwnRows>,
    products: Option<Arc<OwnRows>>,
    /// The sum of own outer products, X'^T X', at twice the coarse scale: the upper triangle.
    gram: Zeroizing<Vec<i128>>,
    labels: Zeroizing<Vec<f64>>,
    offsets: Zeroizing<Vec<f64>>,
    /// This party's share of the steps (or gradients) so far.
    steps: Vec<Shared<Z128>>,
    /// The inverse of the bound of all Hessians.
    bound: Option<Shared<Z128>>,
    /// The same, opened as a factor for all steps, where it is not refreshed.
    fixed: Option<FixedLeft<Z128>>,
    /// Passes and left factors on order so far.
    ordered: usize,
    lefts: u32,
    masks: Prg,
}

/// What the last pass leaves for the release.
struct End {
    /// The square of the distance from the optimum, its ring, and its scale.
    distance: (Shared<Z128>, u32, u32),
    /// The trace that checks the last inverse, and the inverse.
    information: Option<(Shared<Z128>, Shared<Z128>)>,
    /// Half the deviance.
    deviance: Option<Shared<Z128>>,
}

impl<'a> Fitting<'a> {
    async fn begin(
        plan: &'a OptimumPlan,
        rows: &Rows,
        offsets: &[f64],
        source: &'a mut dyn CorrelationSource,
        session: &mut Session,
    ) -> Result<Self, Error> {
        design::check(plan, rows, offsets, session.me())?;
        let own = Arc::new(design::entries(plan, rows)?);
        let coarse = design::coarse(plan, rows);
        let gram = design::gram(plan, &coarse);
        let products = plan.outer_shape().map(|_| Arc::new(design::outer(plan, &coarse)));
        let shape = plan.matrix_shape();
        let matrix = source.register(OwnedMatrix { shape, own: Arc::clone(&own) }).await?;
        let mut outer = None;
        if let (Some(shape), Some(own)) = (plan.outer_shape(), &products) {
            let own = Arc::clone(own);
            outer = Some(source.register(OwnedMatrix { shape, own }).await?);
        }
        let mut fit = Self {
            plan,
            source,
            matrix,
            outer,
            own,
            products,
            gram,
            labels: Zeroizing::new(rows.y().to_vec()),
            offsets: Zeroizing::new(offsets.to_vec()),
            steps: Vec::new(),
            bound: None,
            fixed: None,
            ordered: 0,
            lefts: 0,
            masks: own_masks()?,
        };
        let first = plan.first_requests(&mut fit.lefts);
        fit.order(first)?;
        Ok(fit)
    }

    /// Orders the next passes, behind `before`, all at once: what is ordered together is made
    /// together.
    fn order(&mut self, before: Vec<Request>) -> Result<(), Error> {
        let mut requests = before;
        let from = self.ordered;
        self.ordered = (from + self.plan.passes_an_order()).min(self.plan.passes());
        for pass in from..self.ordered {
            requests.extend(self.plan.requests(pass, self.matrix, self.outer, &mut self.lefts));
        }
        Ok(self.source.demand(requests)?)
    }

    /// Inverts the bound of all Hessians, and reveals whether that has worked. The rounds of the
    /// inverse and one.
    async fn invert_bound(&mut self, session: &mut Session) -> Result<Option<f64>, Error> {
        let Some(hessian) = self.plan.hessian() else { return Ok(None) };
        let plan = &hessian.bound;
        let matrix = design::bound(self.plan, hessian, &self.gram, session.me());
        let result = inverse(plan, &matrix, Start::Identity, self.source, session).await?;
        let residual =
            reveal_one(INVERSE_CHECK, &result.residual, 128, plan.residual_fraction(), session)
                .await?;
        if !plan.converged(residual) {
            return Err(Error::NotConverged(format!(
                "the columns are closer to collinear than training.condition = {} allows (residual \
                 of the inverse {residual:.3e}): declare a larger condition, or leave columns out",
                self.plan.settings().condition
            )));
        }
        self.bound = Some(result.x);
        Ok(Some(residual))
    }

    /// The weights as combinations of the steps so far, by the public `factors`: mod 2^128 at
    /// [`OptimumPlan::wide_fraction`].
    fn weights(&self, factors: &[i64], me: usize) -> Shared<Z128> {
        let (plan, settings) = (self.plan, self.plan.settings());
        let mut weights = Shared::zero(settings.weights(), 1);
        if me == 0 && settings.intercept {
            // A float has 53 bits; the rest of the scale is a shift.
            let start = libm::rint(libm::ldexp(settings.family.start(), 40)) as i128;
            let up = plan.wide_fraction() as i32 - 40;
            let start = if up >= 0 { start << up } else { start >> -up };
            weights.as_mut_slice()[settings.columns as usize] = Z128::from_i128(start);
        }
        for (step, &factor) in self.steps.iter().rev().zip(factors) {
            let columns = settings.columns as usize;
            for (j, (weight, &step)) in
                weights.as_mut_slice().iter_mut().zip(step.as_slice()).enumerate()
            {
                let longer = if j == columns { plan.intercept_factor() } else { 1 };
                *weight -= Z128::from_i128(i128::from(factor) * i128::from(longer)) * step;
            }
        }
        weights
    }

    /// Checks, then reveals the results. One round for each output of the plan.
    async fn release(
        mut self,
        end: End,
        inverse: Option<f64>,
        session: &mut Session,
    ) -> Result<Option<GlmFit>, Error> {
        let (plan, settings) = (self.plan, self.plan.settings());
        let (square, ring, fraction) = &end.distance;
        let square = reveal_fraction(CONVERGENCE, square, *ring, *fraction, session).await?;
        let distance = plan.distance(square);
        // A fit that is out by a standard error is no fit at all.
        let refused = match plan.method() {
            Method::Gradient { .. } => distance > 100.0 * settings.tolerance,
            _ => distance > 1.0,
        };
        if refused || !distance.is_finite() {
            return Err(Error::NotConverged(format!(
                "the fit did not converge: after {} passes it was {distance:.3} from the optimum. \
                 {}",
                plan.passes(),
                plan.advice()
            )));
        }
        let (mut information, mut separation) = (None, None);
        let mut variances = None;
        if let (Some(hessian), Some(refresh), Some(own), Some((residual, x))) =
            (plan.hessian(), plan.refresh(), plan.information(), &end.information)
        {
            let inverse = &refresh.inverse;
            let fraction = inverse.residual_fraction();
            let residual = reveal_one(INFORMATION_CHECK, residual, 128, fraction, session).await?;
            if !inverse.converged(residual) {
                return Err(Error::NotConverged(format!(
                    "the inverse of the information did not converge (residual {residual:.3e}), so \
                     there are no standard errors: declare a smaller prevalence, or set \
                     output.inference to false"
                )));
            }
            information = Some(residual);
            let (diagonal, trace) = self.variances(x, session).await?;
            let fraction = 2 * own.product_fraction();
            let part = reveal_fraction(SEPARATION_CHECK, &trace, 128, fraction, session).await?;
            if part > own.most_separation() {
                return Err(Error::NotConverged(format!(
                    "some coefficients have no standard errors ({part:.3} of the information rests on \
                     rows that are all but certain, {:.3} is accepted): {}",
                    own.most_separation(),
                    match settings.family {
                        Family::Logistic { .. } =>
                            "a level or a combination of columns may decide the class by itself, or \
                             features are very strong. Merge or leave out rare levels, set \
                             model.l2, set output.inference to false, or use a dealer, whose \
                             randomness is finer",
                        Family::Poisson { .. } =>
                            "a level may have no counts at all. Merge or leave out rare levels, set \
                             model.l2, or set output.inference to false",
                    }
                )));
            }
            separation = Some((part, own.most_separation()));
            let drop = own.variance_fraction() - CHECK_FRACTION;
            let revealed = session.reveal(INFORMATION, &diagonal, 128, drop).await?;
            variances = revealed.map(|values| {
                let unit = libm::ldexp(1.0, -(hessian.scale as i32));
                let variance = |v| unit * fixed::decode(v, CHECK_FRACTION);
                values.into_iter().map(variance).collect::<Vec<f64>>()
            });
        }
        let weights = self.weights(&plan.factors().1, session.me());
        let drop = plan.wide_fraction() - settings.release_fraction;
        let coefficients = session.reveal(COEFFICIENTS, &weights, 128, drop).await?;
        let fits = match &end.deviance {
            Some(half) => self.deviances(half, session).await?,
            None => Deviances::default(),
        };
        let std_error = |variance: f64| libm::sqrt(variance.max(0.0));
        let checks = Checks {
            inverse,
            information,
            separation,
            distance,
            converged: distance <= plan.allowed_distance(),
        };
        Ok(coefficients.map(|values| GlmFit {
            coefficients: values
                .into_iter()
                .map(|v| fixed::decode(v, settings.release_fraction))
                .collect(),
            std_errors: variances.map(|v| v.into_iter().map(std_error).collect()),
            deviance: fits.deviance,
            null_deviance: fits.null,
            iterations: plan.passes() as u64,
            checks,
        }))
    }
}

/// The product of two shared matrices, with the factors that are next on order. One round.
async fn multiply(
    source: &mut dyn CorrelationSource,
    x: &Shared<Z128>,
    y: &Shared<Z128>,
    session: &mut Session,
) -> Result<Shared<Z128>, Error> {
    let left = source.take().await?.left128()?;
    let right = source.take().await?.right128()?;
    Ok(product::multiply(x, y, left, right, session).await?)
}

/// Reveals one number for everybody, as exact as it is.
async fn reveal_one(
    label: &'static str,
    share: &Shared<Z128>,
    bits: u32,
    fraction: u32,
    session: &mut Session,
) -> Result<f64, Error> {
    reveal_number(label, share, (bits, 0), fraction, session).await
}

/// Reveals one number for everybody with [`CHECK_FRACTION`] bits.
async fn reveal_fraction(
    label: &'static str,
    share: &Shared<Z128>,
    bits: u32,
    fraction: u32,
    session: &mut Session,
) -> Result<f64, Error> {
    let drop = fraction.saturating_sub(CHECK_FRACTION);
    reveal_number(label, share, (bits, drop), fraction, session).await
}

/// Reveals one number for everybody, less its lowest `drop` bits.
async fn reveal_number(
    label: &'static str,
    share: &Shared<Z128>,
    (bits, drop): (u32, u32),
    fraction: u32,
    session: &mut Session,
) -> Result<f64, Error> {
    let revealed = session.reveal(label, share, bits, drop).await?;
    let value = revealed.as_ref().and_then(|values| values.first()).copied();
    value
        .map(|value| fixed::decode(value, fraction - drop))
        .ok_or_else(|| Error::Settings(format!("the output `{label}` is for everybody")))
}
