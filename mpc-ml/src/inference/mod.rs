//! How sure the coefficients of a fit are: what is made from the inverse of its curvature, which is on
//! shares, and from what each owner knows of its own rows at the revealed coefficients. Linear,
//! logistic and Poisson fits share it (docs/protocols.md 8.6).

mod asked;
mod contrasts;
mod cost;
mod labels;
mod named;
mod robust;
mod sizes;
mod wald;

use mpc_core::Fixed;
use serde::{Deserialize, Serialize};

pub(crate) use asked::Asked;
pub use contrasts::{Contrast, ContrastFit};
pub(crate) use contrasts::{ContrastPlan, reveal as contrasts};
pub(crate) use cost::cost;
pub(crate) use labels::{COVARIANCE, outputs};
pub(crate) use robust::{Expected, Scatter, reveal as robust};
pub(crate) use sizes::{sizes, unit};
pub use wald::WaldTest;
pub(crate) use wald::{INVERSE_STEPS, WaldPlan, residual, reveal as tests};

use crate::artifact::{self, ErrorKind, FeatureTest, JointTest};
use crate::error::Error;

/// Standard errors that do not trust the model's variance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Robust {
    /// None.
    #[default]
    None,
    /// From squared residuals (White).
    Hc0,
    /// The same, times n / (n - d).
    Hc1,
    /// From the residuals summed over each group of rows.
    Cluster,
}

impl Robust {
    /// What a model file calls it.
    pub(crate) fn record(self) -> ErrorKind {
        match self {
            Self::None => ErrorKind::Usual,
            Self::Hc0 => ErrorKind::Hc0,
            Self::Hc1 => ErrorKind::Hc1,
            Self::Cluster => ErrorKind::Cluster,
        }
    }

    /// What covariances from rows of this weight in all, in so many groups, are multiplied by.
    fn factor(self, weight: f64, order: usize, groups: f64) -> f64 {
        let free = weight / (weight - order as f64);
        match self {
            Self::Cluster => groups / (groups - 1.0) * (weight - 1.0) / weight * free,
            Self::Hc1 => free,
            _ => 1.0,
        }
    }
}

/// The inverse of a fit's curvature on shares, in units in which the curvature is below 1, and what is
/// public of it.
pub(crate) struct Inverse<'a> {
    /// X, mod 2^128 at the scale of its plan: exactly symmetric, at least 1/16, checked.
    pub(crate) x: &'a Fixed,
    /// What is missing of X, in the same units, because of what was added to the curvature: to first
    /// order, where it is known.
    pub(crate) correction: Option<&'a Fixed>,
    /// X is the inverse of the curvature times this.
    pub(crate) unit: f64,
    /// What was added to the diagonal of the curvature, in the same units.
    pub(crate) slack: f64,
    /// The diagonal of X, as it was revealed.
    pub(crate) diagonal: &'a [f64],
}

/// Bits of a covariance beside the smallest variance that there can be.
pub(crate) const COVARIANCE_FRACTION: u32 = 20;
/// What rounding may take of a revealed entry of the diagonal, for each coefficient and party.
const DIAGONAL_ROUNDING: f64 = 1.02 / 4096.0;

impl Inverse<'_> {
    fn order(&self) -> usize {
        self.diagonal.len()
    }

    /// Each entry of the diagonal of X is at most so much above what was revealed.
    fn above(&self, parties: usize) -> f64 {
        (self.order() as f64 + 1.0) * parties as f64 * DIAGONAL_ROUNDING
    }
}

/// The diagonal of a square matrix.
pub(crate) fn diagonal(x: &Fixed) -> Result<Fixed, Error> {
    let places: Vec<usize> = (0..x.rows()).map(|j| j * (x.columns() + 1)).collect();
    Ok(x.select(&places)?)
}

/// Whether tests can rest on these standard errors.
fn usable(errors: &[f64]) -> bool {
    errors.iter().all(|error| error.is_finite() && *error > 0.0)
}

/// Robust standard errors that tests can rest on; what to tell where there are none.
pub(crate) fn told(kind: Robust, errors: Option<&[f64]>) -> (Option<&[f64]>, Option<String>) {
    let errors = errors.filter(|errors| usable(errors));
    let untold = (errors.is_none() && kind != Robust::None).then(|| {
        "robust standard errors are not told: one is 0 (a column that its groups alone make up, or too \
         few groups), or rounding would show in one (a column with very few rows beside all others). \
         The usual standard errors are given in their place"
            .to_owned()
    });
    (errors, untold)
}

/// Combinations of coefficients as a model file has them, and what to tell of those that have no
/// standard error.
pub(crate) fn combined(
    asked: &[Contrast],
    found: &[ContrastFit],
) -> (Vec<artifact::Contrast>, Vec<String>) {
    let usable = |fit: &&ContrastFit| fit.std_error.is_some_and(|e| e.is_finite() && e > 0.0);
    let told = asked.iter().zip(found).filter(|(_, fit)| usable(fit)).map(|(own, fit)| {
        artifact::Contrast {
            name: fit.name.clone(),
            weights: own.weights.iter().map(|(name, weight)| (name.clone(), *weight)).collect(),
            estimate: fit.estimate,
            std_error: fit.std_error.unwrap_or_default(),
        }
    });
    let untold = found.iter().filter(|fit| !usable(fit)).map(|fit| {
        format!(
            "the contrast {:?} is not told: its weights nearly take each other's coefficients out, so \
             that rounding would show in its standard error",
            fit.name
        )
    });
    (told.collect(), untold.collect())
}

/// Joint tests as a model file has them, and what to tell of those that there are not.
pub(crate) fn tested(
    tests: &[WaldTest],
    law: impl Fn(f64, u64) -> JointTest,
) -> (Vec<FeatureTest>, Vec<String>) {
    let told = tests.iter().filter_map(|test| {
        let joint = law(test.statistic?, test.degrees_of_freedom);
        Some(FeatureTest { feature: test.feature.clone(), joint })
    });
    let untold = tests.iter().filter(|test| test.statistic.is_none()).map(|test| {
        format!(
            "the joint test of {:?} is not told: its columns nearly determine each other, or one of \
             them has too few rows beside the others",
            test.feature
        )
    });
    (told.collect(), untold.collect())
}
