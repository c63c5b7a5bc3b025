//! How sure the coefficients of a model are.

use serde::{Deserialize, Serialize};

use super::{FitStatistics, NamedValues, laws};

/// Standard errors of the coefficients on one scale.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StandardErrors {
    /// Of the intercept, where it is known.
    pub intercept: Option<f64>,
    /// One value for each encoded column.
    pub coefficients: NamedValues,
}

/// How sure the coefficients are and how well the model fits.
///
/// A coefficient of a scaled column is divided by a known number, so its standard error is known on
/// both scales. The intercept on the scale of the files is a sum over all coefficients, whose
/// standard error needs their covariances; these are not revealed. So it is known on the
/// standardised scale, and on that of the files only where no column has a mean taken off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inference {
    /// On the scale of the data files.
    pub std_errors: StandardErrors,
    /// On the standardised scale.
    pub standardised_std_errors: StandardErrors,
    /// How well the model fits.
    pub fit: FitStatistics,
}

/// What [`Inference`] is made from.
#[derive(Clone, Debug, PartialEq)]
pub struct InferenceParts {
    /// Standard errors on the standardised scale: one for each encoded column, in order.
    pub coefficients: Vec<f64>,
    /// That of the intercept, for a model that has one.
    pub intercept: Option<f64>,
    /// How well the model fits.
    pub fit: FitStatistics,
}

/// A coefficient with its test and interval.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CoefficientTest {
    /// The encoded column, `(intercept)`, or `(intercept, standardised)`.
    pub name: String,
    /// The coefficient.
    pub estimate: f64,
    /// Its standard error.
    pub std_error: f64,
    /// The coefficient by its standard error: t for a linear model, otherwise z.
    pub statistic: f64,
    /// How likely a statistic as far from 0 is, if the true coefficient is 0.
    pub p_value: f64,
    /// The lower end of the confidence interval.
    pub low: f64,
    /// The upper end of the confidence interval.
    pub high: f64,
}

impl CoefficientTest {
    pub(super) fn new(
        name: &str,
        estimate: f64,
        std_error: f64,
        fit: &FitStatistics,
        confidence: f64,
    ) -> Self {
        let freedom = fit.t_freedom();
        let statistic = estimate / std_error;
        let reach = std_error * laws::quantile_beyond((1.0 - confidence) / 2.0, freedom);
        Self {
            name: name.to_owned(),
            estimate,
            std_error,
            statistic,
            p_value: laws::two_sided(statistic, freedom),
            low: estimate - reach,
            high: estimate + reach,
        }
    }
}
