//! What a study says about a fit to the optimum, and which of it cannot be.

use crate::error::Error;
use crate::plan::{has_parties, in_range, refuse};

/// The distribution of the target.
#[derive(Clone, Debug, PartialEq)]
pub enum Family {
    /// 0 or 1, with the logit as the link.
    Logistic {
        /// The declared share of the rarer class: where the intercept starts.
        prevalence: f64,
        /// The sigmoid's period is 2^window.
        window: u32,
        /// The number of terms of the sigmoid.
        terms: u32,
    },
    /// Counts, with the logarithm as the link.
    Poisson {
        /// The declared typical rate: where the intercept starts.
        mean: f64,
        /// The middle of the window of the score.
        centre: f64,
        /// The scores for which the rate is exact are at most so far from the middle.
        halfwidth: f64,
        /// The number of multiples of the series of the rate.
        terms: u32,
        /// No target is larger. **A condition of privacy.**
        most: f64,
    },
}

impl Family {
    /// A logistic model with the usual window.
    #[must_use]
    pub fn logistic(prevalence: f64) -> Self {
        Self::Logistic { prevalence, window: 6, terms: 16 }
    }

    /// A Poisson model whose window reaches a factor of 55 up and down from the declared rate.
    #[must_use]
    pub fn poisson(mean: f64, most: f64) -> Self {
        Self::Poisson { mean, centre: libm::log(mean), halfwidth: 4.0, terms: 24, most }
    }

    /// The same with fewer terms: so many eighths, an even number where there are multiples.
    pub(super) fn with_terms(&self, eighths: u32) -> Self {
        let mut family = self.clone();
        match &mut family {
            Self::Logistic { terms, .. } => *terms = (*terms * eighths / 8).max(2),
            Self::Poisson { terms, .. } => *terms = (*terms * eighths / 16).max(2) * 2,
        }
        family
    }

    /// The score at which the intercept starts.
    #[must_use]
    pub fn start(&self) -> f64 {
        match *self {
            Self::Logistic { prevalence, .. } => libm::log(prevalence / (1.0 - prevalence)),
            Self::Poisson { mean, .. } => libm::log(mean),
        }
    }

    /// No target is larger.
    #[must_use]
    pub fn most(&self) -> f64 {
        match *self {
            Self::Logistic { .. } => 1.0,
            Self::Poisson { most, .. } => most,
        }
    }
}

/// What a study says about a logistic or Poisson model that is fitted to its optimum.
#[derive(Clone, Debug, PartialEq)]
pub struct GlmSettings {
    /// The distribution of the target, and what is declared of it.
    pub family: Family,
    /// Rows of each party; public.
    pub rows: Vec<u64>,
    /// Columns of the design matrix, without the intercept.
    pub columns: u32,
    /// Whether there is an intercept.
    pub intercept: bool,
    /// Whether every row has a known number that is added to its score.
    pub offset: bool,
    /// The L2 penalty: (l2 / 2) |w|^2 beside the mean loss, the intercept not penalised.
    pub l2: f64,
    /// The bound on the magnitude of the entries of the design matrix, made true by clipping.
    pub clip: f64,
    /// **A condition of privacy.** The mean square of no column is larger: 1 + 2^-14 for columns
    /// that are standardised jointly, 1 for indicators, and never more than clip^2.
    pub mean_square: f64,
    /// **A condition of privacy.** The mean squares of all columns together are not larger: all
    /// indicators of one feature count 1, since a row has one of them at most.
    pub trace: f64,
    /// The largest condition number of the design matrix that is supported.
    pub condition: f64,
    /// How near to the optimum the fit has to be, in standard errors.
    pub tolerance: f64,
    /// For wide data: no eigenvalue of X^T X / n is larger. Not a condition of privacy; a fit with
    /// a wrong one does not converge, and is refused.
    pub largest_eigenvalue: Option<f64>,
    /// Whether standard errors and the deviance are revealed.
    pub inference: bool,
    /// Fractional bits of the revealed coefficients.
    pub release_fraction: u32,
}

impl GlmSettings {
    /// The number of weights, the intercept included.
    #[must_use]
    pub fn weights(&self) -> usize {
        self.columns as usize + usize::from(self.intercept)
    }

    /// Rows of all parties.
    #[must_use]
    pub fn total_rows(&self) -> u64 {
        self.rows.iter().sum()
    }

    /// The bits of the integer part of an entry.
    pub(super) fn clip_bits(&self) -> u32 {
        libm::ceil(libm::log2(self.clip.max(1.0))) as u32
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        has_parties(&self.rows)?;
        if self.columns == 0 {
            return refuse("the study has no features".to_owned());
        }
        let (rows, weights) = (self.total_rows(), self.weights());
        if rows <= weights as u64 && self.l2 == 0.0 {
            return refuse(format!(
                "{rows} rows cannot determine {weights} coefficients: there is no single optimum \
                 without model.l2"
            ));
        }
        in_range("the number of rows", rows as f64, 2.0, 16e6)?;
        in_range("model.l2", self.l2, 0.0, 1e3)?;
        in_range("model.clip", self.clip, 1e-3, 1024.0)?;
        in_range("the mean square of the columns", self.mean_square, 1e-6, 1048577.0)?;
        let most = f64::from(self.columns) * self.mean_square * 1.000001;
        in_range("the sum of the mean squares of the columns", self.trace, 1e-6, most)?;
        in_range("training.condition", self.condition, 1.0, 1e6)?;
        in_range("training.tolerance", self.tolerance, 1e-6, 1.0)?;
        if let Some(largest) = self.largest_eigenvalue {
            in_range("training.largest_eigenvalue", largest, 1e-6, 1e9)?;
        }
        in_range("output.release_bits", f64::from(self.release_fraction), 4.0, 24.0)?;
        if self.inference && self.l2 > 0.0 {
            return refuse(
                "standard errors are those of an unpenalised fit: set model.l2 to 0 or \
                 output.inference to false"
                    .to_owned(),
            );
        }
        match self.family {
            Family::Logistic { prevalence, window, terms } => {
                if self.offset {
                    return refuse("a logistic model has no offset".to_owned());
                }
                in_range("training.prevalence", prevalence, 1e-3, 0.5)?;
                in_range("the logarithm of training.sigmoid.window", f64::from(window), 3.0, 10.0)?;
                in_range("training.sigmoid.terms", f64::from(terms), 2.0, 128.0)
            }
            Family::Poisson { mean, centre, halfwidth, terms, most } => {
                in_range("training.rate.mean", mean, 1e-4, 1e4)?;
                in_range("training.rate.centre", centre, -12.0, 12.0)?;
                in_range("training.rate.halfwidth", halfwidth, 0.5, 8.0)?;
                in_range("training.rate.terms", f64::from(terms), 4.0, 64.0)?;
                in_range("the top of the target's range", most, 1e-3, 1e6)
            }
        }
    }
}
