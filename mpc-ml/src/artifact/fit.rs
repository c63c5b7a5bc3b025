//! How well a model fits, and what follows from it: figures of the whole data, not of a row.

use serde::{Deserialize, Serialize};

use super::laws;

/// How well a model fits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FitStatistics {
    /// Of a linear model.
    LeastSquares(LeastSquares),
    /// Of a logistic or Poisson model.
    Likelihood(Likelihood),
    /// Of a logistic or Poisson model of columns at different parties, where nobody has a score.
    Rows(RowCount),
    /// Of a model with differential privacy: its standard errors count the noise beside chance. Since version 6 of the
    /// file.
    Noisy(RowCount),
}

/// What a model rests on, where nothing is known of how well it fits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowCount {
    /// Rows that all parties have.
    pub rows: u64,
    /// Rows less coefficients, the intercept among them.
    pub degrees_of_freedom: u64,
}

impl RowCount {
    /// That of a fit of `features` coefficients and perhaps an intercept to `rows` rows. `None` when there
    /// are not more rows than coefficients.
    #[must_use]
    pub fn new(rows: u64, features: u64, intercept: bool) -> Option<Self> {
        Some(Self { rows, degrees_of_freedom: freedom(rows, features, intercept)? })
    }
}

/// How well a linear model fits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeastSquares {
    /// Rows of all parties.
    pub rows: u64,
    /// Rows less coefficients, the intercept among them.
    pub degrees_of_freedom: u64,
    /// The sum of the squared residuals.
    pub residual_sum_of_squares: f64,
    /// The sum of the squared deviations of the target from its mean; from 0 for a model without
    /// intercept.
    pub total_sum_of_squares: f64,
    /// The residual sum of squares by its degrees of freedom.
    pub residual_variance: f64,
    /// The share of the total sum of squares that the model explains; `None` for a target that
    /// does not vary.
    pub r2: Option<f64>,
    /// The same, less what as many useless features would explain.
    pub adjusted_r2: Option<f64>,
    /// The test of all features together.
    pub f_test: Option<JointTest>,
}

/// How well a logistic or Poisson model fits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Likelihood {
    /// Rows of all parties.
    pub rows: u64,
    /// Rows less coefficients, the intercept among them.
    pub degrees_of_freedom: u64,
    /// The factor of the variance, which these models fix.
    pub dispersion: f64,
    /// Twice the log-likelihood that is missing to a model with a parameter for each row.
    pub deviance: f64,
    /// The same for a model without features.
    pub null_deviance: f64,
    /// The test of all features together: how much of the deviance they take away.
    pub likelihood_ratio_test: Option<JointTest>,
    /// The logarithm of the likelihood. This and what follows since version 3 of the file.
    pub log_likelihood: Option<f64>,
    /// Akaike's criterion: twice the coefficients less twice the log-likelihood.
    pub aic: Option<f64>,
    /// Schwarz's criterion: the coefficients times the logarithm of the rows, less the same.
    pub bic: Option<f64>,
    /// Rows whose expected value is all but certain: 0, or 1 in a logistic model.
    pub certain_rows: Option<u64>,
}

/// A test that several coefficients are all 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JointTest {
    /// F, or chi squared.
    pub statistic: f64,
    /// How many coefficients are tested.
    pub degrees_of_freedom: u64,
    /// How likely a statistic as large is if all of them are 0.
    pub p_value: f64,
}

impl JointTest {
    /// A statistic whose law is chi squared.
    #[must_use]
    pub fn chi_squared(statistic: f64, degrees_of_freedom: u64) -> Self {
        let p_value = laws::chi_squared_beyond(statistic, degrees_of_freedom);
        Self { statistic, degrees_of_freedom, p_value }
    }

    /// F on so many and `free` degrees of freedom.
    #[must_use]
    pub fn f(statistic: f64, degrees_of_freedom: u64, free: u64) -> Self {
        let p_value = laws::f_beyond(statistic, degrees_of_freedom, free);
        Self { statistic, degrees_of_freedom, p_value }
    }
}

impl LeastSquares {
    /// The statistics of a fit of `features` coefficients and perhaps an intercept to `rows` rows.
    /// `None` when there are not more rows than coefficients.
    #[must_use]
    pub fn new(
        rows: u64,
        features: u64,
        intercept: bool,
        residual_sum_of_squares: f64,
        total_sum_of_squares: f64,
    ) -> Option<Self> {
        let degrees_of_freedom = freedom(rows, features, intercept)?;
        let (rss, tss) = (residual_sum_of_squares, total_sum_of_squares);
        let residual_variance = rss / degrees_of_freedom as f64;
        let r2 = (tss > 0.0).then(|| 1.0 - rss / tss);
        let total_freedom = (rows - u64::from(intercept)) as f64;
        let f = (tss - rss) / features as f64 / residual_variance;
        Some(Self {
            rows,
            degrees_of_freedom,
            residual_sum_of_squares,
            total_sum_of_squares,
            residual_variance,
            r2,
            adjusted_r2: r2.map(|r2| 1.0 - (1.0 - r2) * total_freedom / degrees_of_freedom as f64),
            f_test: (features > 0 && f.is_finite() && f >= 0.0)
                .then(|| JointTest::f(f, features, degrees_of_freedom)),
        })
    }
}

impl Likelihood {
    /// The statistics of a fit of `features` coefficients and perhaps an intercept to `rows` rows.
    /// `None` when there are not more rows than coefficients.
    #[must_use]
    pub fn new(
        rows: u64,
        features: u64,
        intercept: bool,
        deviance: f64,
        null_deviance: f64,
    ) -> Option<Self> {
        let degrees_of_freedom = freedom(rows, features, intercept)?;
        let ratio = null_deviance - deviance;
        Some(Self {
            rows,
            degrees_of_freedom,
            dispersion: 1.0,
            deviance,
            null_deviance,
            likelihood_ratio_test: (features > 0 && ratio >= 0.0)
                .then(|| JointTest::chi_squared(ratio, features)),
            log_likelihood: None,
            aic: None,
            bic: None,
            certain_rows: None,
        })
    }

    /// With the logarithm of the likelihood and what follows from it, and how many rows are all but
    /// certain.
    #[must_use]
    pub fn with_likelihood(self, log_likelihood: f64, certain_rows: u64) -> Self {
        let coefficients = (self.rows - self.degrees_of_freedom) as f64;
        let criterion = |each: f64| Some(each * coefficients - 2.0 * log_likelihood);
        Self {
            log_likelihood: Some(log_likelihood),
            aic: criterion(2.0),
            bic: criterion((self.rows as f64).ln()),
            certain_rows: Some(certain_rows),
            ..self
        }
    }
}

/// Rows less coefficients.
fn freedom(rows: u64, features: u64, intercept: bool) -> Option<u64> {
    rows.checked_sub(features + u64::from(intercept)).filter(|&left| left > 0)
}

impl FitStatistics {
    /// The degrees of freedom of the t law of the coefficients; `None` for the normal law.
    pub(super) fn t_freedom(&self) -> Option<u64> {
        match self {
            Self::LeastSquares(fit) => Some(fit.degrees_of_freedom),
            Self::Likelihood(_) | Self::Rows(_) | Self::Noisy(_) => None,
        }
    }

    /// Every number of the record.
    pub(super) fn values(&self) -> Vec<f64> {
        let test = |test: &Option<JointTest>| {
            test.as_ref().map_or(Vec::new(), |test| vec![test.statistic, test.p_value])
        };
        match self {
            Self::LeastSquares(fit) => {
                let mut values = vec![
                    fit.residual_sum_of_squares,
                    fit.total_sum_of_squares,
                    fit.residual_variance,
                ];
                values.extend(fit.r2.iter().chain(&fit.adjusted_r2));
                values.extend(test(&fit.f_test));
                values
            }
            Self::Likelihood(fit) => {
                let mut values = vec![fit.dispersion, fit.deviance, fit.null_deviance];
                values.extend(test(&fit.likelihood_ratio_test));
                values.extend(fit.log_likelihood.iter().chain(&fit.aic).chain(&fit.bic));
                values
            }
            Self::Rows(_) | Self::Noisy(_) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: f64, expected: f64) {
        assert!((got / expected - 1.0).abs() < 1e-9, "{got} instead of {expected}");
    }

    /// The certified values of Longley's data (NIST Statistical Reference Datasets).
    #[test]
    fn the_statistics_of_longley() {
        let rss = 836_424.055_505_915;
        let fit = LeastSquares::new(16, 6, true, rss, 184_172_401.944_494 + rss).unwrap();
        assert_eq!(fit.degrees_of_freedom, 9);
        close(fit.residual_variance.sqrt(), 304.854_073_561_965);
        close(fit.r2.unwrap(), 0.995_479_004_577_296);
        close(fit.f_test.as_ref().unwrap().statistic, 330.285_339_234_588);
        close(fit.adjusted_r2.unwrap(), 0.992_465_007_628_826);
        let p = fit.f_test.unwrap().p_value;
        assert!((p / 4.984e-10 - 1.0).abs() < 1e-3, "{p}");
    }

    #[test]
    fn a_model_that_takes_every_degree_of_freedom_has_no_statistics() {
        assert_eq!(LeastSquares::new(7, 6, true, 1.0, 2.0), None);
        assert!(LeastSquares::new(7, 6, false, 1.0, 2.0).is_some());
        assert_eq!(Likelihood::new(3, 6, true, 1.0, 2.0), None);
        let constant = LeastSquares::new(10, 1, true, 0.0, 0.0).unwrap();
        assert_eq!((constant.r2, constant.f_test), (None, None));
    }

    #[test]
    fn features_take_deviance_away() {
        let fit = Likelihood::new(1000, 24, true, 800.0, 1400.0).unwrap();
        let test = fit.likelihood_ratio_test.unwrap();
        assert_eq!((fit.degrees_of_freedom, test.degrees_of_freedom), (975, 24));
        close(test.statistic, 600.0);
        close(test.p_value, 2.371_374_453_455_898e-111);
        assert_eq!(fit.aic, None);
        // As R's logLik, AIC and BIC have them for these figures.
        let fit = Likelihood::new(1000, 24, true, 800.0, 1400.0).unwrap();
        let fit = fit.with_likelihood(-400.0, 7);
        assert_eq!((fit.log_likelihood, fit.aic), (Some(-400.0), Some(850.0)));
        close(fit.bic.unwrap(), 972.693_881_974_553_3);
        assert_eq!(fit.certain_rows, Some(7));
        // Rounding can leave a useless model a little worse than nothing.
        let none = Likelihood::new(1000, 24, true, 800.0, 799.999).unwrap();
        assert_eq!(none.likelihood_ratio_test, None);
    }
}
