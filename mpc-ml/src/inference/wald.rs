//! Joint Wald tests of features of several columns, from the inverse on shares and its revealed
//! diagonal (docs/protocols.md 8.6, Joint tests).

use std::collections::BTreeSet;

use mpc_core::protocols::solve::{InversePlan, InverseSettings, Start, StartBound, inverse};
use mpc_core::ring::{Ring, Z128};
use mpc_core::{Fixed, Shared, fixed};

use super::{Inverse, labels, named};
use crate::error::Error;
use crate::model::{Orders, Run};

/// The trace of the matrix that is inverted, at most; 15/16 is what an inverse allows.
const TRACE: f64 = 0.92;
/// By how much a variance that an earlier run revealed may be smaller than that of this run's inverse of the same
/// matrix: both have passed the check (docs/protocols.md 0, Release).
const EARLIER: f64 = 1.01;
/// Eigenvalues of that matrix above 2^-`this` are told apart from 0, if they fit: the first that leave
/// the matrix as many fractional bits as it needs.
const LEAST: std::ops::RangeInclusive<u32> = 8..=18;
const ENOUGH_FRACTION: u32 = 44;
/// The part that the slack of a curvature may take of a tested column's information.
const MOST_SLACK: f64 = 0.01;
/// Fractional bits of the public factors of an inverse's entries, and of a revealed statistic.
const FACTOR_FRACTION: u32 = 30;
pub(super) const STATISTIC_FRACTION: u32 = 12;
/// A factor of an entry is below 2^this, or the statistic is not told: the coefficients are so sure
/// that no test is needed.
const MOST_FACTOR: i32 = 40;
/// Fractional bits of a revealed residual of an inverse.
pub(super) const RESIDUAL_FRACTION: u32 = 11;

/// Steps of an inverse that sigma counts: more are refused.
pub(crate) const INVERSE_STEPS: u64 = 48;

/// A joint test, planned.
#[derive(Clone, Debug)]
pub(crate) struct WaldPlan {
    /// What the study calls it: a feature, features of one origin, or several of them with plus signs between.
    pub(crate) feature: String,
    /// Ascending.
    pub(crate) columns: Vec<usize>,
    /// How the covariances of its columns are inverted; none for one column.
    pub(crate) inverse: Option<InversePlan>,
}

/// A joint test that the coefficients of one or several features are all zero.
#[derive(Clone, Debug, PartialEq)]
pub struct WaldTest {
    /// The features, in the words of the study.
    pub feature: String,
    /// How many coefficients it has.
    pub degrees_of_freedom: u64,
    /// Chi squared; none where its columns nearly determine each other, or tell too little.
    pub statistic: Option<f64>,
}

impl WaldPlan {
    /// The tests that these words ask for, among the features of a study and how many columns each has
    /// ([`tested`](super::named::tested)).
    ///
    /// # Errors
    /// [`Error::Field`] of `tests` when one names no feature, or the same columns as another one.
    pub(crate) fn of(tests: &[String], features: &[(String, u32)]) -> Result<Vec<Self>, Error> {
        let mut plans = Vec::<Self>::new();
        for test in tests {
            let wrong = |rule: &str| Err(Error::field("tests", format!("names {test:?}, {rule}")));
            let columns = match named::tested(test, features) {
                Ok(columns) => columns,
                Err(unknown) if unknown == *test => {
                    return wrong("which is no feature of the study");
                }
                Err(unknown) => {
                    return wrong(&format!("and {unknown:?} is no feature of the study"));
                }
            };
            if let Some(plan) = plans.iter().find(|plan| plan.columns == columns) {
                if plan.feature == *test {
                    return wrong("a second time");
                }
                return wrong(&format!("whose columns are those of {:?}", plan.feature));
            }
            plans.push(Self { feature: test.clone(), columns, inverse: None });
        }
        Ok(plans)
    }

    /// Whether some column is in several of these tests.
    pub(crate) fn overlap(tests: &[Self]) -> bool {
        let mut seen = BTreeSet::new();
        !tests.iter().flat_map(|test| &test.columns).all(|column| seen.insert(*column))
    }

    /// Elements that are opened under statistical masks where these are tested, at most: none for a
    /// single column.
    pub(crate) fn masked_elements(tests: &[Self]) -> u64 {
        let columns = tests.iter().map(|test| test.columns.len() as u64).filter(|&k| k > 1);
        columns.map(|k| INVERSE_STEPS * (5 * k * k / 2 + 3 * k)).sum()
    }

    /// Plans the inverse.
    ///
    /// # Errors
    /// [`Error::Field`] of `tests` when none fits.
    pub(crate) fn with_inverse(mut self, parties: usize, sigma: u32) -> Result<Self, Error> {
        let order = self.columns.len();
        if order < 2 {
            return Ok(self);
        }
        for bits in LEAST.rev() {
            let settings = InverseSettings {
                order,
                parties: parties as u32,
                sigma,
                diagonal: TRACE,
                least: libm::ldexp(1.0, -(bits as i32)),
                start: StartBound::Identity,
                reuse: false,
            };
            let Ok(plan) = InversePlan::new(settings) else { continue };
            let enough = plan.fraction() >= ENOUGH_FRACTION;
            self.inverse = Some(plan);
            if enough {
                break;
            }
        }
        if self.inverse.is_none() {
            let rule = format!("names {:?}, which has too many columns", self.feature);
            return Err(Error::field("tests", rule));
        }
        Ok(self)
    }
}

/// The factors that bring the covariances of some columns to a trace below 1.
struct Scaling {
    /// The factors are these integers times 2^-`fraction`.
    factors: Vec<i128>,
    fraction: u32,
}

impl Scaling {
    /// For columns with these variances, in units in which a variance is at least 1, each true one at
    /// most `above` larger.
    fn new(variances: &[f64], above: f64) -> Option<Self> {
        let part = TRACE / variances.len() as f64;
        let roots: Vec<f64> = variances.iter().map(|v| libm::sqrt(part / (v + above))).collect();
        let least = roots.iter().copied().fold(f64::INFINITY, f64::min);
        if !(least > 0.0 && least.is_finite() && variances.iter().all(|v| *v > 0.0)) {
            return None;
        }
        // The smallest is 2 or 3.
        let fraction = u32::try_from(1 - libm::ilogb(least)).ok()?;
        let factor = |root: &f64| libm::floor(libm::ldexp(*root, fraction as i32)) as i128;
        Some(Self { factors: roots.iter().map(factor).collect(), fraction })
    }
}

/// Fractional bits of a statistic on shares.
pub(super) fn statistic_fraction(inverse: &InversePlan) -> u32 {
    inverse.inverse_fraction() + FACTOR_FRACTION
}

/// Reveals the tests that the coefficients `w` are 0, one after the other: the rounds of an inverse and
/// two for each that has more than one column. Covariances are those of the inverse's unit times
/// `dispersion`.
pub(crate) async fn reveal(
    plans: &[WaldPlan],
    inverse: &Inverse<'_>,
    (w, dispersion): (&[f64], f64),
    orders: &mut Orders,
    run: &mut Run<'_>,
) -> Result<Vec<WaldTest>, Error> {
    let per = inverse.unit / dispersion;
    let mut tests = Vec::with_capacity(plans.len());
    for plan in plans {
        let columns = &plan.columns;
        let statistic = match &plan.inverse {
            Some(inverse_plan) => joint(plan, inverse_plan, inverse, (w, per), orders, run).await?,
            None => {
                let (w, variance) = (w[columns[0]], inverse.diagonal[columns[0]] / per);
                (variance > 0.0).then(|| w * w / variance)
            }
        };
        let degrees_of_freedom = columns.len() as u64;
        tests.push(WaldTest { feature: plan.feature.clone(), degrees_of_freedom, statistic });
    }
    Ok(tests)
}

/// w^T V^-1 w for the covariances V of some columns: with C = diag(c), C V C is brought to a trace
/// below 1 and inverted, and the statistic is a public combination of what comes of it.
async fn joint(
    plan: &WaldPlan,
    inverse_plan: &InversePlan,
    found: &Inverse<'_>,
    (w, per): (&[f64], f64),
    orders: &mut Orders,
    run: &mut Run<'_>,
) -> Result<Option<f64>, Error> {
    let Inverse { x, slack, diagonal, .. } = found;
    let (columns, order) = (&plan.columns, w.len());
    let diagonal: Vec<f64> = columns.iter().map(|&column| diagonal[column]).collect();
    // What was added to the curvature, beside the information of the columns.
    let hidden = diagonal.iter().any(|entry| slack * entry > MOST_SLACK);
    // They may be those of an inverse of the same matrix in an earlier run.
    let most: Vec<f64> = diagonal.iter().map(|entry| EARLIER * entry).collect();
    let scaling = Scaling::new(&most, found.above(run.session.parties()));
    let Some(scaling) = scaling.filter(|_| !hidden) else { return Ok(None) };
    let fraction = x.fraction() + 2 * scaling.fraction;
    let Some(up) = inverse_plan.fraction().checked_sub(fraction) else { return Ok(None) };
    let scaled = |at: usize| {
        let factor = libm::ldexp(scaling.factors[at] as f64, -(scaling.fraction as i32));
        factor * w[columns[at]]
    };
    let k = columns.len();
    let factors: Vec<f64> = (0..k * k).map(|at| scaled(at / k) * scaled(at % k) * per).collect();
    let most = libm::ldexp(1.0, MOST_FACTOR);
    if !factors.iter().all(|factor| factor.abs() < most) {
        return Ok(None);
    }

    let places: Vec<usize> =
        columns.iter().flat_map(|i| columns.iter().map(move |j| i * order + j)).collect();
    let mut matrix = x.parts().0.select(&places)?.reshape(k, k)?;
    for (at, entry) in matrix.as_mut_slice().iter_mut().enumerate() {
        let factor = scaling.factors[at / k] * scaling.factors[at % k];
        *entry *= Z128::from_i128(factor << up);
    }
    let mut requests = Vec::new();
    orders.inverse(inverse_plan, &mut requests);
    run.source.demand(requests)?;
    let result = inverse(inverse_plan, &matrix, Start::Identity, run.source, run.session).await?;
    let label = labels::wald_check(&plan.feature);
    let residual = residual(inverse_plan, result.residual, &label, run).await?;
    if !inverse_plan.converged(residual) {
        return Ok(None);
    }
    let mut sum = Z128::ZERO;
    for (&entry, &factor) in result.x.as_slice().iter().zip(&factors) {
        sum += entry * Z128::from_i128(fixed::encode(factor, FACTOR_FRACTION, 100)?);
    }
    let statistic = Shared::column(vec![sum]);
    let statistic = Fixed::new(statistic, 128, statistic_fraction(inverse_plan))?;
    let label = labels::wald(&plan.feature);
    let told = run.session.reveal_fixed(&label, &statistic, STATISTIC_FRACTION).await?;
    let told = told.and_then(|values| values.first().copied());
    Ok(Some(told.ok_or_else(|| Error::untold(&label))?.max(0.0)))
}

/// Reveals the residual of an inverse. One round.
pub(crate) async fn residual(
    plan: &InversePlan,
    residual: Shared<Z128>,
    label: &str,
    run: &mut Run<'_>,
) -> Result<f64, Error> {
    let residual = Fixed::new(residual, 128, plan.residual_fraction())?;
    let told = run.session.reveal_fixed(label, &residual, RESIDUAL_FRACTION).await?;
    told.and_then(|values| values.first().copied()).ok_or_else(|| Error::untold(label))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bound that privacy rests on: the trace of what is inverted, from variances as they may be.
    #[test]
    fn a_scaled_block_has_a_trace_below_1() {
        for variances in [vec![1.0, 1.0], vec![1.0, 3e4, 17.5], vec![2.0; 40], vec![9e5, 1.01]] {
            for above in [1e-4, 0.3] {
                let scaling = Scaling::new(&variances, above).expect("is scaled");
                let factors = scaling.factors.iter();
                let factor = |c: &i128| libm::ldexp(*c as f64, -(scaling.fraction as i32));
                let parts = factors.zip(&variances).map(|(c, v)| factor(c).powi(2) * (v + above));
                let trace: f64 = parts.sum();
                assert!(trace <= TRACE && trace > TRACE / 4.0, "{variances:?}: {trace}");
                let least = scaling.factors.iter().min().copied();
                assert!(least.is_some_and(|c| c == 2 || c == 3), "{least:?}");
            }
        }
        assert!(Scaling::new(&[1.0, 0.0], 0.1).is_none());
        assert!(Scaling::new(&[1.0, f64::NAN], 0.1).is_none());
    }

    #[test]
    fn inverses_leave_the_matrix_its_bits() {
        for (parties, sigma) in [(2, 58), (3, 62), (7, 66)] {
            for columns in [2, 4, 12] {
                let features = [("a".to_owned(), 1), ("b".to_owned(), columns)];
                let plans =
                    WaldPlan::of(&["b".to_owned(), "a".to_owned()], &features).expect("are");
                let plan = plans[0].clone().with_inverse(parties, sigma).expect("fits");
                let inverse = plan.inverse.as_ref().expect("has one");
                println!("{parties} {sigma} {columns}: {} {}", inverse.fraction(), inverse.steps());
                assert_eq!(plan.columns, (1..1 + columns as usize).collect::<Vec<_>>());
                // Far more than the three digits that a statistic is good for.
                assert!(inverse.fraction() >= 30, "{}", inverse.fraction());
                let plan = plans[1].clone().with_inverse(parties, sigma).expect("fits");
                assert!(plan.inverse.is_none());
            }
        }
    }
}
