//! What a study says about a fit to the optimum.

use serde::{Deserialize, Serialize};

use crate::artifact::ModelKind;
use crate::error::Error;
use crate::model::{Facts, Settings, in_range};
use crate::plan::optimum::{Family, GlmSettings};

/// The settings of a fit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimumSettings {
    /// Logistic or Poisson.
    pub kind: ModelKind,
    /// Whether there is an intercept.
    pub intercept: bool,
    /// The L2 penalty: (l2 / 2) |w|^2 beside the mean loss, the intercept not penalised.
    pub l2: f64,
    /// The bound on the magnitude of the entries of the design matrix, made true by clipping.
    pub clip: f64,
    /// The largest condition number of the design matrix that is supported.
    pub condition: f64,
    /// How near to the optimum the fit has to be, in standard errors.
    #[serde(default = "tolerance")]
    pub tolerance: f64,
    /// The declared share of the rarer class, of a logistic model.
    pub prevalence: Option<f64>,
    /// How the logistic function is computed, of a logistic model.
    pub sigmoid: Option<Series>,
    /// Where the exponential function is computed, of a Poisson model.
    pub rate: Option<Rate>,
    /// For wide data: no eigenvalue of X^T X / n is larger.
    pub largest_eigenvalue: Option<f64>,
    /// Binary digits after the point of the revealed coefficients.
    pub release_bits: u32,
    /// Whether standard errors and the deviance are revealed.
    #[serde(default)]
    pub inference: bool,
}

fn tolerance() -> f64 {
    0.01
}

/// A trigonometric series in place of the logistic function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// The period of the series, a power of two.
    pub window: u32,
    /// The number of its terms.
    pub terms: u32,
}

/// Where the exponential function is computed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// The declared typical rate, where the steps begin.
    pub mean: f64,
    /// The middle of the window of scores; the logarithm of the mean if it is not given.
    pub centre: Option<f64>,
    /// How far the window reaches to both sides.
    pub halfwidth: f64,
    /// The number of terms.
    pub terms: Option<u32>,
}

impl OptimumSettings {
    /// The same with what is public, as the fits take it.
    pub(super) fn of(&self, facts: &Facts) -> Result<GlmSettings, Error> {
        let family = match self.kind {
            ModelKind::Poisson => {
                let rate = self.rate.ok_or_else(|| Error::field("rate", MISSING))?;
                let (_, most) = facts
                    .target
                    .ok_or_else(|| Error::field("target", "has no range of its counts"))?;
                Family::Poisson {
                    mean: rate.mean,
                    centre: rate.centre.unwrap_or_else(|| libm::log(rate.mean)),
                    halfwidth: rate.halfwidth,
                    terms: rate.terms.unwrap_or(24),
                    most,
                }
            }
            _ => {
                let Series { window, terms } =
                    self.sigmoid.unwrap_or(Series { window: 64, terms: 16 });
                let prevalence = self.prevalence.unwrap_or(0.5);
                Family::Logistic { prevalence, window: window.ilog2(), terms }
            }
        };
        Ok(GlmSettings {
            family,
            rows: facts.rows()?,
            columns: facts.partition.columns(),
            intercept: self.intercept,
            offset: facts.offset.is_some(),
            l2: self.l2,
            clip: self.clip,
            mean_square: facts.mean_squares.iter().copied().fold(0.0, f64::max),
            trace: facts.total_mean_square,
            condition: self.condition,
            tolerance: self.tolerance,
            largest_eigenvalue: self.largest_eigenvalue,
            inference: self.inference,
            release_fraction: self.release_bits,
        })
    }
}

const MISSING: &str = "is missing: a Poisson model needs it";

impl Settings for OptimumSettings {
    fn validate(&self) -> Result<(), Error> {
        let only = |field: &str, given: bool, other: &str| {
            if given {
                let rule = format!("belongs to a {other} model: remove it");
                return Err(Error::field(field, rule));
            }
            Ok(())
        };
        in_range("l2", self.l2, 0.0, 1e3)?;
        in_range("clip", self.clip, 1e-3, 1024.0)?;
        in_range("condition", self.condition, 1.0, 1e6)?;
        in_range("tolerance", self.tolerance, 1e-6, 1.0)?;
        in_range("release_bits", f64::from(self.release_bits), 8.0, 24.0)?;
        if let Some(largest) = self.largest_eigenvalue {
            in_range("largest_eigenvalue", largest, 1e-6, 1e9)?;
        }
        if self.inference && self.l2 > 0.0 {
            let rule = "is not possible with a penalty: it draws the coefficients towards 0, so \
                        tests and intervals from their standard errors would be wrong; set l2 = 0.0";
            return Err(Error::field("inference", rule));
        }
        if self.kind == ModelKind::Poisson {
            only("sigmoid", self.sigmoid.is_some(), "logistic")?;
            only("prevalence", self.prevalence.is_some(), "logistic")?;
            let rate = self.rate.ok_or_else(|| Error::field("rate", MISSING))?;
            in_range("rate.mean", rate.mean, 1e-4, 1e4)?;
            in_range("rate.halfwidth", rate.halfwidth, 0.5, 8.0)?;
            in_range("rate.centre", rate.centre.unwrap_or(0.0), -12.0, 12.0)?;
            return in_range("rate.terms", f64::from(rate.terms.unwrap_or(24)), 4.0, 64.0);
        }
        only("rate", self.rate.is_some(), "Poisson")?;
        in_range("prevalence", self.prevalence.unwrap_or(0.5), 1e-3, 0.5)?;
        let Some(series) = self.sigmoid else { return Ok(()) };
        in_range("sigmoid.window", f64::from(series.window), 8.0, 1024.0)?;
        if !series.window.is_power_of_two() {
            let example = series.window.next_power_of_two();
            let rule = format!("must be a power of two, for example {example}");
            return Err(Error::field("sigmoid.window", rule));
        }
        in_range("sigmoid.terms", f64::from(series.terms), 2.0, 128.0)
    }

    fn clip(&self) -> f64 {
        self.clip
    }
}
