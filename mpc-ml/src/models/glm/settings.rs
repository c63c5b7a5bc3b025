//! What a study says about a logistic or Poisson regression.

use serde::{Deserialize, Serialize};

use super::family::Family;
use super::folds::CrossValidation;
use crate::error::Error;
use crate::inference::{Asked, Contrast, Robust};
use crate::model::{self, in_range};

/// The settings of a logistic or Poisson regression. None but the family, the penalty and what is to
/// be revealed changes the result: a wrong one costs time, or ends in a refusal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GlmSettings {
    /// Which distribution the target has.
    #[serde(rename = "kind")]
    pub family: Family,
    /// Whether there is an intercept.
    #[serde(default = "intercept")]
    pub intercept: bool,
    /// The L2 penalty: the mean loss and (l2 / 2) |w|^2, the intercept not penalised. From 0 to 1000.
    #[serde(default)]
    pub l2: f64,
    /// The bound on the magnitude of the entries of the design matrix; what is beyond is cut, and the
    /// joint number of such cells is told to all. From 1 to 65536.
    #[serde(default = "clip")]
    pub clip: f64,
    /// How many cells may be cut. With more the fit is refused before anything else is revealed.
    #[serde(default)]
    pub most_cut: u64,
    /// How far the model may be from the optimum, in standard errors; a hidden finish allows 0.005 at
    /// least. From 10^-5 to 0.1.
    #[serde(default = "tolerance")]
    pub tolerance: f64,
    /// Passes over the data after which a fit that did not come to its optimum is refused. From 1 to
    /// 60.
    #[serde(default = "passes")]
    pub passes: u32,
    /// How the fit ends.
    #[serde(default)]
    pub finish: Finish,
    /// Whether the models on the way are seen.
    #[serde(default)]
    pub iterates: Iterates,
    /// Binary digits after the point of the revealed coefficients. From 8 to 30.
    #[serde(default = "release_bits")]
    pub release_bits: u32,
    /// Whether standard errors, the deviance and what follows from them are revealed.
    #[serde(default)]
    pub inference: bool,
    /// Which standard errors are revealed beside the usual ones.
    #[serde(default)]
    pub robust: Robust,
    /// Whether the whole covariance matrix of the coefficients is revealed. It tells all parties but
    /// one together the weighted Gram matrix of the remaining one's rows.
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

/// How a fit ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Finish {
    /// Open where all parties receive the model and there are at most 256 coefficients.
    #[default]
    Auto,
    /// A model near the optimum is shown to all; the last steps are made from what each owner computes
    /// in the clear: exact.
    Open,
    /// Nothing but the model is shown, to those who receive it; without standard errors.
    Hidden,
}

/// Whether the models on the way to the optimum are seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Iterates {
    /// They are shares.
    #[default]
    Hidden,
    /// All parties see every one of them, six at most: for very many rows.
    Revealed,
}

fn intercept() -> bool {
    true
}

fn release_bits() -> u32 {
    24
}

fn clip() -> f64 {
    1024.0
}

fn tolerance() -> f64 {
    0.001
}

fn passes() -> u32 {
    40
}

impl GlmSettings {
    /// The maximum-likelihood fit of a family, with an intercept and inference.
    #[must_use]
    pub fn new(family: Family) -> Self {
        Self {
            family,
            intercept: true,
            l2: 0.0,
            clip: clip(),
            most_cut: 0,
            tolerance: tolerance(),
            passes: passes(),
            finish: Finish::default(),
            iterates: Iterates::default(),
            release_bits: release_bits(),
            inference: true,
            robust: Robust::default(),
            covariance: false,
            tests: Vec::new(),
            contrasts: Vec::new(),
            cross_validation: None,
        }
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

impl model::Settings for GlmSettings {
    fn validate(&self) -> Result<(), Error> {
        in_range("l2", self.l2, 0.0, 1e3)?;
        in_range("clip", self.clip, 1.0, 65536.0)?;
        in_range("tolerance", self.tolerance, 1e-5, 0.1)?;
        in_range("passes", f64::from(self.passes), 1.0, 60.0)?;
        in_range("release_bits", f64::from(self.release_bits), 8.0, 30.0)?;
        let needs = |field: &str, set: bool, needed: &str, has: bool| {
            if set && !has {
                return Err(Error::field(field, format!("needs {needed}")));
            }
            Ok(())
        };
        if let Some(cross) = &self.cross_validation {
            cross.is_for(self)?;
        }
        let hidden = self.finish == Finish::Hidden;
        if self.inference && self.l2 > 0.0 {
            let rule = "is not possible with a penalty: it draws the coefficients towards 0, so \
                        tests and intervals from their standard errors would be wrong; set l2 = 0.0";
            return Err(Error::field("inference", rule));
        }
        needs(
            "inference",
            self.inference,
            "finish = \"open\": standard errors are made at a revealed model",
            !hidden,
        )?;
        self.asked().validate()?;
        let revealed = self.iterates == Iterates::Revealed;
        needs("iterates", revealed, "finish = \"open\"", !hidden)
    }

    fn clip(&self) -> f64 {
        self.clip
    }
}
