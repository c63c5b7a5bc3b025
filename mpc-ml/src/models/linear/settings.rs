//! What a study says about a linear regression.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::inference::{Asked, Contrast, Robust};
use crate::model::{Settings, in_range};
use crate::models::glm::CrossValidation;

/// The settings of a linear regression.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinearSettings {
    /// Whether there is an intercept.
    #[serde(default = "intercept")]
    pub intercept: bool,
    /// The L2 penalty: (1/2n) |y - X w - b|^2 + (l2 / 2) |w|^2, the intercept not penalised. From 0
    /// to 1000.
    #[serde(default)]
    pub l2: f64,
    /// The bound on the magnitude of the entries of the design matrix, made true by clipping. From
    /// 0.001 to 65536.
    #[serde(default = "clip")]
    pub clip: f64,
    /// The largest condition number of the design matrix for which the study is solved: the
    /// smallest singular value of X / sqrt(n) is at least 1 / `condition`. With less, the study is
    /// refused at the end. From 1 to 10^6; none is as large a one as there are bits for, of
    /// [`CONDITIONS`](super::CONDITIONS).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<f64>,
    /// Binary digits after the point of the revealed coefficients, in units of half the target's
    /// range. From 8 to 24.
    #[serde(default = "release_bits")]
    pub release_bits: u32,
    /// Whether the diagonal of the inverse and the sums of squares are revealed. Only without a
    /// penalty are there standard errors.
    #[serde(default)]
    pub inference: bool,
    /// Which standard errors are revealed beside the usual ones.
    #[serde(default)]
    pub robust: Robust,
    /// Whether the whole inverse of X^T X is revealed. It tells all parties but one together the Gram
    /// matrix of the remaining one's rows.
    #[serde(default)]
    pub covariance: bool,
    /// Features of which it is tested whether all their coefficients are zero. They rest on the usual
    /// covariances, so they do not go with robust standard errors.
    #[serde(default)]
    pub tests: Vec<String>,
    /// Linear combinations of coefficients whose standard errors are told. They rest on the usual
    /// covariances too.
    #[serde(default)]
    pub contrasts: Vec<Contrast>,
    /// Whether the penalty is found by cross-validation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cross_validation: Option<CrossValidation>,
}

fn intercept() -> bool {
    true
}

/// So wide that no standardised value of less than a million rows is cut.
fn clip() -> f64 {
    1024.0
}

fn release_bits() -> u32 {
    20
}

impl Default for LinearSettings {
    /// The plain fit of a table whose columns are standardised, without inference.
    fn default() -> Self {
        Self {
            intercept: true,
            l2: 0.0,
            clip: 8.0,
            condition: None,
            release_bits: 20,
            inference: false,
            robust: Robust::None,
            covariance: false,
            tests: Vec::new(),
            contrasts: Vec::new(),
            cross_validation: None,
        }
    }
}

impl LinearSettings {
    /// Whether standard errors are revealed: they are asked for, and there is no penalty.
    #[must_use]
    pub fn std_errors(&self) -> bool {
        self.inference && self.l2 == 0.0
    }

    /// What is to be told of the coefficients.
    pub(super) fn asked(&self) -> Asked<'_> {
        Asked {
            inference: self.inference,
            l2: self.l2,
            robust: self.robust,
            covariance: self.covariance,
            tests: &self.tests,
            contrasts: &self.contrasts,
            intercept: self.intercept,
        }
    }
}

impl Settings for LinearSettings {
    fn validate(&self) -> Result<(), Error> {
        if let Some(cross) = &self.cross_validation {
            cross.validate(self.l2, self.inference)?;
        }
        in_range("l2", self.l2, 0.0, 1e3)?;
        in_range("clip", self.clip, 1e-3, 65536.0)?;
        in_range("condition", self.condition.unwrap_or(1.0), 1.0, 1e6)?;
        in_range("release_bits", f64::from(self.release_bits), 8.0, 24.0)?;
        self.asked().validate()
    }

    fn clip(&self) -> f64 {
        self.clip
    }
}
