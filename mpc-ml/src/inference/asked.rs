//! What a study asks for beside usual standard errors, and what it may not ask for.

use super::{Robust, WaldPlan};
use crate::data::Schema;
use crate::error::Error;
use crate::model::{Facts, features};

/// The settings of a fit that say what is told of its coefficients.
pub(crate) struct Asked<'a> {
    pub(crate) inference: bool,
    pub(crate) l2: f64,
    pub(crate) robust: Robust,
    pub(crate) covariance: bool,
    pub(crate) tests: &'a [String],
}

impl Asked<'_> {
    /// Refuses what does not go together.
    ///
    /// # Errors
    /// [`Error::Field`] of `robust`, `covariance` or `tests`.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        let given = [
            ("robust", self.robust != Robust::None),
            ("covariance", self.covariance),
            ("tests", !self.tests.is_empty()),
        ];
        for (field, _) in given.into_iter().filter(|(_, given)| *given) {
            if self.l2 > 0.0 {
                let rule = "is not possible with a penalty, which draws the coefficients towards 0: \
                            remove it, or set l2 = 0.0 and inference = true";
                return Err(Error::field(field, rule));
            }
            if !self.inference {
                return Err(Error::field(field, "needs inference = true"));
            }
        }
        if !self.tests.is_empty() && self.robust != Robust::None {
            let rule = "rest on the usual covariances, not on robust ones: remove them, or set robust = \
                        \"none\"";
            return Err(Error::field("tests", rule));
        }
        Ok(())
    }

    /// Refuses what does not fit the columns of a study.
    ///
    /// # Errors
    /// [`Error::Field`] of `groups` or `tests`.
    pub(crate) fn suits(&self, schema: &Schema) -> Result<(), Error> {
        if schema.groups().is_some() && self.robust != Robust::Cluster {
            let rule =
                "are for robust = \"cluster\" alone, and would change nothing here: remove them";
            return Err(Error::field("groups", rule));
        }
        WaldPlan::of(self.tests, &features(schema)).map(drop)
    }

    /// Refuses what does not fit the parties and their rows.
    ///
    /// # Errors
    /// [`Error::Field`] of `robust` or `covariance`.
    pub(crate) fn fits(&self, facts: &Facts) -> Result<(), Error> {
        if self.robust == Robust::Cluster && !facts.groups {
            let rule = "= \"cluster\" needs the groups of the rows";
            return Err(Error::field("robust", rule));
        }
        if self.covariance && facts.parties() == 2 {
            let rule = "is not revealed between two parties: each would learn the weighted Gram matrix \
                        of the other's rows from it, exactly";
            return Err(Error::field("covariance", rule));
        }
        Ok(())
    }
}
