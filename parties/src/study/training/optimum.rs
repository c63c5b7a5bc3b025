//! `solver = "optimum"`.

use mpc_ml::artifact::ModelKind;

use super::{condition, needed, number, whole, window};
use crate::study::StudyError;
use crate::study::raw::RawTraining;

/// The optimum of the likelihood, or of the penalised likelihood, by steps on all rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Optimum {
    /// The largest condition number of the standardised columns that is supported.
    pub condition: f64,
    /// How near the coefficients come to the optimum, in standard errors.
    pub tolerance: f64,
    /// What the kind of model asks for.
    pub link: Link,
    /// A bound on the largest eigenvalue of X'X/n, for wide models without an inverse.
    pub largest_eigenvalue: Option<f64>,
}

/// From scores to means.
#[derive(Clone, Debug, PartialEq)]
pub enum Link {
    /// The logistic function.
    Logistic {
        /// The declared share of the rarer class; the number of steps is planned from it.
        prevalence: f64,
        /// How the logistic function is computed.
        sigmoid: Series,
    },
    /// The exponential function.
    Poisson(Rate),
}

/// A trigonometric series in place of the logistic function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// The period of the series, a power of two.
    pub window: u32,
    /// The number of its terms.
    pub terms: u32,
}

/// Where the exponential function is computed.
#[derive(Clone, Debug, PartialEq)]
pub struct Rate {
    /// The declared typical rate, where the steps begin.
    pub mean: f64,
    /// The middle of the window of scores.
    pub centre: f64,
    /// How far the window reaches to both sides.
    pub halfwidth: f64,
    /// The number of terms.
    pub terms: u32,
}

pub(super) fn check(raw: &RawTraining, kind: ModelKind) -> Result<Optimum, StudyError> {
    let tolerance = raw.tolerance.unwrap_or(0.01);
    let only = |field: &str, given: bool, other: &str| {
        if given {
            let rule = format!("belongs to a {other} model: remove it");
            return Err(StudyError::rule(field, rule));
        }
        Ok(())
    };
    let link = if kind == ModelKind::Poisson {
        only("training.sigmoid", raw.sigmoid.is_some(), "logistic")?;
        only("training.prevalence", raw.prevalence.is_some(), "logistic")?;
        Link::Poisson(rate(raw)?)
    } else {
        only("training.rate", raw.rate.is_some(), "Poisson")?;
        Link::Logistic { prevalence: prevalence(raw)?, sigmoid: sigmoid(raw)? }
    };
    let eigenvalue = raw.largest_eigenvalue.map(|value| {
        let fits = value.is_finite() && value > 0.0;
        number("training.largest_eigenvalue", value, fits, "a number above 0")
    });
    Ok(Optimum {
        condition: condition(raw, "optimum")?,
        tolerance: number(
            "training.tolerance",
            tolerance,
            (1e-6..=1.0).contains(&tolerance),
            "a number from 0.000001 to 1: how near to the optimum, in standard errors",
        )?,
        link,
        largest_eigenvalue: eigenvalue.transpose()?,
    })
}

fn prevalence(raw: &RawTraining) -> Result<f64, StudyError> {
    let value = raw.prevalence.unwrap_or(0.5);
    let rule = "a number above 0, at most 0.5: the share of the rarer class among all rows";
    number("training.prevalence", value, value > 0.0 && value <= 0.5, rule)
}

fn sigmoid(raw: &RawTraining) -> Result<Series, StudyError> {
    let Some(series) = &raw.sigmoid else { return Ok(Series { window: 64, terms: 16 }) };
    if series.fit.is_some() {
        let rule = "belongs to the solver \"sgd\": remove it";
        return Err(StudyError::rule("training.sigmoid.fit", rule));
    }
    let terms = whole("training.sigmoid.terms", series.terms, 1, 64)?;
    Ok(Series { window: window(series.window)?, terms })
}

fn rate(raw: &RawTraining) -> Result<Rate, StudyError> {
    let rate = needed("training.rate", raw.rate.as_ref(), "optimum")?;
    let mean = number(
        "training.rate.mean",
        rate.mean,
        rate.mean > 0.0 && rate.mean <= 1e9,
        "a number above 0: the count that is typical for a row",
    )?;
    let centre = rate.centre.unwrap_or_else(|| libm::log(mean));
    Ok(Rate {
        mean,
        centre: number(
            "training.rate.centre",
            centre,
            centre.abs() <= 30.0,
            "a number from -30 to 30: the score in the middle",
        )?,
        halfwidth: number(
            "training.rate.halfwidth",
            rate.halfwidth,
            (0.5..=16.0).contains(&rate.halfwidth),
            "a number from 0.5 to 16: how far scores may be from the middle",
        )?,
        terms: whole("training.rate.terms", rate.terms.unwrap_or(24), 1, 64)?,
    })
}
