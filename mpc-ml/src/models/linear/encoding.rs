//! How a row of a linear regression becomes integers.

use super::LinearSettings;
use crate::error::Error;
use crate::model::Facts;

/// How a row becomes integers: public.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Encoding {
    /// Columns, without the intercept.
    pub(super) columns: usize,
    /// Whether there is an intercept.
    pub(super) intercept: bool,
    /// Entries are cut to this magnitude.
    pub(super) clip: f64,
    /// Targets are cut to this range.
    pub(super) target: (f64, f64),
}

impl Encoding {
    /// That of a study.
    ///
    /// # Errors
    /// [`Error::Field`] of `target` when its range is not known.
    pub(super) fn new(settings: &LinearSettings, facts: &Facts) -> Result<Self, Error> {
        let target = facts.target.ok_or_else(|| {
            let rule = "needs a range that holds all its values: the scales follow from it";
            Error::field("target", rule)
        })?;
        let LinearSettings { intercept, clip, .. } = *settings;
        Ok(Self { columns: facts.columns(), intercept, clip, target })
    }

    /// The number of coefficients, the intercept included.
    pub(super) fn weights(&self) -> usize {
        self.columns + usize::from(self.intercept)
    }

    /// What is subtracted from a target, and what the rest is divided by, so that it is from -1
    /// to 1. Without an intercept nothing may be subtracted.
    pub(super) fn target_scale(&self) -> (f64, f64) {
        let (low, high) = self.target;
        if self.intercept {
            ((low + high) / 2.0, (high - low) / 2.0)
        } else {
            (0.0, low.abs().max(high.abs()))
        }
    }
}
