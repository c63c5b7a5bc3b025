//! How sure the coefficients of a model are.

use serde::{Deserialize, Serialize};

use super::{FitStatistics, JointTest, ModelError, ModelKind, NamedValues, laws};

/// What the intercept is called in lists.
pub(super) const INTERCEPT: &str = "(intercept)";
/// What covariances are called in errors.
const COVARIANCES: &str = "covariances";

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
/// standard error needs their covariances. Where these were not revealed, it is known on the
/// standardised scale, and on that of the files only where no column has a mean taken off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inference {
    /// On the scale of the data files: the usual ones, which trust the model's variance.
    pub std_errors: StandardErrors,
    /// On the standardised scale.
    pub standardised_std_errors: StandardErrors,
    /// Those that do not trust it, where the study asks for them. Tests and intervals rest on them
    /// then. Since version 3 of the file.
    pub robust: Option<RobustErrors>,
    /// The covariances of the coefficients on the scale of the data files, where they were revealed;
    /// those of [`std_errors`](Self::std_errors). Since version 3.
    pub covariance: Option<Covariance>,
    /// The same on the standardised scale.
    pub standardised_covariance: Option<Covariance>,
    /// How well the model fits.
    pub fit: FitStatistics,
    /// Joint tests of the features that the study names (Wald). Since version 4.
    #[serde(default)]
    pub tests: Vec<FeatureTest>,
    /// The linear combinations of coefficients that the study declares. Since version 5.
    #[serde(default)]
    pub contrasts: Vec<Contrast>,
}

/// A linear combination of coefficients, on the scale of the data files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contrast {
    /// What the study calls it.
    pub name: String,
    /// The weights of the encoded columns, and of `(intercept)`; no others have one.
    pub weights: NamedValues,
    /// The combination of the coefficients.
    pub estimate: f64,
    /// Its standard error.
    pub std_error: f64,
}

/// A test that all coefficients of a feature are 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureTest {
    /// The feature.
    pub feature: String,
    /// The test.
    pub joint: JointTest,
}

/// Standard errors that do not trust the model's variance (White; Liang and Zeger).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RobustErrors {
    /// How they were made.
    pub kind: ErrorKind,
    /// On the scale of the data files.
    pub std_errors: StandardErrors,
    /// On the standardised scale.
    pub standardised_std_errors: StandardErrors,
}

/// How standard errors were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// From the model's variance.
    Usual,
    /// From squared residuals.
    Hc0,
    /// The same, times n / (n - d).
    Hc1,
    /// From residuals summed over groups of rows.
    Cluster,
    /// From the model's variance and the noise of differential privacy.
    Noise,
}

/// A covariance matrix of coefficients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Covariance {
    /// What its rows and columns stand for: the encoded columns in order, then `(intercept)` where
    /// the model has one.
    pub names: Vec<String>,
    /// Row by row.
    pub values: Vec<Vec<f64>>,
}

/// What [`Inference`] is made from, on the standardised scale.
#[derive(Clone, Debug, PartialEq)]
pub struct InferenceParts {
    /// The usual standard errors: one for each encoded column, in order.
    pub coefficients: Vec<f64>,
    /// That of the intercept, for a model that has one.
    pub intercept: Option<f64>,
    /// Robust standard errors.
    pub robust: Option<RobustParts>,
    /// The covariance matrix, row by row, the intercept last.
    pub covariance: Option<Vec<f64>>,
    /// Joint tests of features.
    pub tests: Vec<FeatureTest>,
    /// Linear combinations of coefficients.
    pub contrasts: Vec<Contrast>,
    /// How well the model fits.
    pub fit: FitStatistics,
}

/// What [`RobustErrors`] are made from, on the standardised scale.
#[derive(Clone, Debug, PartialEq)]
pub struct RobustParts {
    /// How they were made.
    pub kind: ErrorKind,
    /// One for each encoded column, in order.
    pub coefficients: Vec<f64>,
    /// That of the intercept, for a model that has one.
    pub intercept: Option<f64>,
}

impl Inference {
    /// The standard errors that tests and intervals rest on: how they were made, on the scale of the
    /// data files, and on the standardised scale.
    #[must_use]
    pub fn tested(&self) -> (ErrorKind, &StandardErrors, &StandardErrors) {
        match &self.robust {
            Some(robust) => (robust.kind, &robust.std_errors, &robust.standardised_std_errors),
            None => {
                let kind = match self.fit {
                    FitStatistics::Noisy(_) => ErrorKind::Noise,
                    _ => ErrorKind::Usual,
                };
                (kind, &self.std_errors, &self.standardised_std_errors)
            }
        }
    }

    /// Refuses numbers that are no standard errors or covariances of these columns.
    pub(super) fn check(&self, columns: &[String]) -> Result<(), ModelError> {
        let usual = [
            ("standard errors", &self.std_errors),
            ("standardised standard errors", &self.standardised_std_errors),
        ];
        let robust = self.robust.iter().flat_map(|robust| {
            [
                ("robust standard errors", &robust.std_errors),
                ("standardised robust standard errors", &robust.standardised_std_errors),
            ]
        });
        for (what, errors) in usual.into_iter().chain(robust) {
            if !errors.coefficients.names().eq(columns.iter().map(String::as_str)) {
                return Err(ModelError::Columns { what });
            }
            if !errors.coefficients.values().all(f64::is_finite) {
                return Err(ModelError::NotFinite { what });
            }
            let intercept = errors.intercept.iter().map(|&error| (INTERCEPT, error));
            let mut all = intercept.chain(errors.coefficients.iter());
            if let Some((name, _)) = all.find(|(_, e)| !(e.is_finite() && *e > 0.0)) {
                return Err(ModelError::StandardError { name: name.to_owned() });
            }
        }
        let intercept = self.standardised_std_errors.intercept.is_some();
        for covariance in [&self.covariance, &self.standardised_covariance].into_iter().flatten() {
            covariance.check(columns, intercept)?;
        }
        for Contrast { name, estimate, std_error, weights } in &self.contrasts {
            if !(estimate.is_finite() && weights.values().all(f64::is_finite)) {
                return Err(ModelError::NotFinite { what: "contrasts" });
            }
            if !(std_error.is_finite() && *std_error > 0.0) {
                return Err(ModelError::StandardError { name: name.clone() });
            }
        }
        let tests = self.tests.iter().flat_map(|test| [test.joint.statistic, test.joint.p_value]);
        if !tests.chain(self.fit.values()).all(f64::is_finite) {
            return Err(ModelError::NotFinite { what: "statistics of the fit" });
        }
        Ok(())
    }

    /// What it was made from.
    pub(super) fn parts(&self) -> InferenceParts {
        let of = |errors: &StandardErrors| errors.coefficients.values().collect();
        let usual = &self.standardised_std_errors;
        InferenceParts {
            coefficients: of(usual),
            intercept: usual.intercept,
            robust: self.robust.as_ref().map(|robust| RobustParts {
                kind: robust.kind,
                coefficients: of(&robust.standardised_std_errors),
                intercept: robust.standardised_std_errors.intercept,
            }),
            covariance: self.standardised_covariance.as_ref().map(|all| all.values.concat()),
            tests: self.tests.clone(),
            contrasts: self.contrasts.clone(),
            fit: self.fit.clone(),
        }
    }

    /// Whether another one has the same numbers but for rounding, on all scales.
    pub(super) fn agrees(&self, other: &Self) -> bool {
        let robust = match (&self.robust, &other.robust) {
            (None, None) => true,
            (Some(own), Some(other)) => own.std_errors.agree(&other.std_errors),
            _ => false,
        };
        let covariance = match (&self.covariance, &other.covariance) {
            (None, None) => true,
            (Some(own), Some(other)) => own.agrees(other),
            _ => false,
        };
        let own = self.standardised_covariance.as_ref();
        let diagonal = own.is_none_or(|all| all.has_diagonal(&self.standardised_std_errors));
        robust && covariance && diagonal && self.std_errors.agree(&other.std_errors)
    }
}

impl StandardErrors {
    fn agree(&self, other: &Self) -> bool {
        let mut pairs = self.coefficients.values().zip(other.coefficients.values());
        let intercepts = match (self.intercept, other.intercept) {
            (None, None) => true,
            (Some(own), Some(other)) => near(own, other, own),
            _ => false,
        };
        pairs.all(|(own, other)| near(own, other, own)) && intercepts
    }
}

/// Whether two numbers differ by no more than rounding of numbers of this size.
fn near(a: f64, b: f64, size: f64) -> bool {
    (a - b).abs() <= 1e-9 * size.abs()
}

impl Covariance {
    /// A matrix of revealed integers, row by row: its halves, and its diagonal and the squares of the
    /// standard errors, may differ by their rounding.
    pub(super) fn new(
        columns: &[String],
        errors: &StandardErrors,
        mut values: Vec<f64>,
    ) -> Result<Self, ModelError> {
        let mut names = columns.to_vec();
        names.extend(errors.intercept.map(|_| INTERCEPT.to_owned()));
        let order = names.len();
        if values.len() != order * order {
            return Err(ModelError::Columns { what: COVARIANCES });
        }
        for i in 0..order {
            for j in 0..i {
                let mean = 0.5 * (values[i * order + j] + values[j * order + i]);
                values[i * order + j] = mean;
                values[j * order + i] = mean;
            }
        }
        for (j, error) in errors.coefficients.values().chain(errors.intercept).enumerate() {
            values[j * (order + 1)] = error * error;
        }
        let values = values.chunks(order.max(1)).map(<[f64]>::to_vec).collect();
        Ok(Self { names, values })
    }

    /// The same on the scale of the data files, for columns with these means and standard
    /// deviations: T C T^T, where T takes the coefficients there.
    pub(super) fn rescaled(&self, scales: &[(f64, f64)]) -> Self {
        let order = self.names.len();
        // A row of T has its own 1 / std; that of the intercept has 1 and -mean / std.
        let takes = |values: &dyn Fn(usize) -> f64, row: usize| match scales.get(row) {
            Some((_, std)) => values(row) / std,
            None => {
                let moved =
                    scales.iter().enumerate().map(|(j, (mean, std))| values(j) * mean / std);
                values(row) - moved.sum::<f64>()
            }
        };
        let half: Vec<Vec<f64>> = (0..order)
            .map(|i| (0..order).map(|j| takes(&|k| self.values[k][j], i)).collect())
            .collect();
        let mut values: Vec<Vec<f64>> =
            (0..order).map(|i| (0..order).map(|j| takes(&|k| half[i][k], j)).collect()).collect();
        // Exactly symmetric, as rounding leaves it.
        for i in 1..order {
            let (above, below) = values.split_at_mut(i);
            below[0].iter_mut().zip(above.iter()).for_each(|(entry, row)| *entry = row[i]);
        }
        Self { names: self.names.clone(), values }
    }

    /// The variance of the last coefficient: the intercept, where there is one.
    pub(super) fn last_variance(&self) -> f64 {
        self.values.last().and_then(|row| row.last()).copied().unwrap_or(f64::NAN)
    }

    fn check(&self, columns: &[String], intercept: bool) -> Result<(), ModelError> {
        let last = intercept.then_some(INTERCEPT);
        let names = columns.iter().map(String::as_str).chain(last);
        let order = self.names.len();
        let square = self.values.len() == order && self.values.iter().all(|row| row.len() == order);
        if !(square && names.eq(self.names.iter().map(String::as_str))) {
            return Err(ModelError::Columns { what: COVARIANCES });
        }
        if !self.values.iter().flatten().all(|value| value.is_finite()) {
            return Err(ModelError::NotFinite { what: COVARIANCES });
        }
        Ok(())
    }

    fn agrees(&self, other: &Self) -> bool {
        let size = |i: usize, j: usize| (self.values[i][i] * self.values[j][j]).abs().sqrt();
        let order = self.names.len();
        self.names == other.names
            && (0..order * order).all(|at| {
                let (i, j) = (at / order, at % order);
                near(self.values[i][j], other.values[i][j], size(i, j))
            })
    }

    /// Whether the variances are the squares of these standard errors.
    fn has_diagonal(&self, errors: &StandardErrors) -> bool {
        let all = errors.coefficients.values().chain(errors.intercept);
        let mut pairs = all.enumerate();
        pairs.all(|(j, error)| near(self.values[j][j], error * error, error * error))
    }
}

/// A coefficient with its test and interval.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CoefficientTest {
    /// The encoded column, `(intercept)`, or `(intercept, standardised)`.
    pub name: String,
    /// The coefficient.
    pub estimate: f64,
    /// Its standard error: robust, where the model has robust ones.
    pub std_error: f64,
    /// The coefficient by its standard error: t for a linear model, otherwise z.
    pub statistic: f64,
    /// How likely a statistic as far from 0 is, if the true coefficient is 0.
    pub p_value: f64,
    /// The lower end of the confidence interval.
    pub low: f64,
    /// The upper end of the confidence interval.
    pub high: f64,
    /// The odds ratio of a logistic model, the rate ratio of a Poisson model; none for a linear model and for
    /// the intercept.
    pub ratio: Option<Ratio>,
}

/// What one unit of a column multiplies the odds, or the expected count, by: the exponential of a coefficient.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// The exponential of the coefficient.
    pub estimate: f64,
    /// The lower end of the confidence interval.
    pub low: f64,
    /// The upper end of the confidence interval.
    pub high: f64,
}

impl CoefficientTest {
    /// The same with the ratio, where this is a model of such a kind and `slope` no intercept.
    pub(super) fn with_ratio(self, kind: ModelKind, slope: bool) -> Self {
        let is_ratio = slope && matches!(kind, ModelKind::Logistic | ModelKind::Poisson);
        let of = |value: f64| value.exp();
        let ratio = is_ratio.then(|| Ratio {
            estimate: of(self.estimate),
            low: of(self.low),
            high: of(self.high),
        });
        Self { ratio, ..self }
    }

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
            ratio: None,
        }
    }
}
