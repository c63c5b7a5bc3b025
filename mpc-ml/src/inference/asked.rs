//! What a study asks for beside usual standard errors, and what it may not ask for.

use super::{Contrast, Robust, WaldPlan};
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
    pub(crate) contrasts: &'a [Contrast],
    pub(crate) intercept: bool,
}

impl Asked<'_> {
    /// Refuses what does not go together.
    ///
    /// # Errors
    /// [`Error::Field`] of `robust`, `covariance`, `tests` or `contrasts`.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        let given = [
            ("robust", self.robust != Robust::None),
            ("covariance", self.covariance),
            ("tests", !self.tests.is_empty()),
            ("contrasts", !self.contrasts.is_empty()),
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
        let resting = [("tests", self.tests.is_empty()), ("contrasts", self.contrasts.is_empty())];
        for (field, _) in resting.into_iter().filter(|(_, none)| !none) {
            if self.robust != Robust::None {
                let rule = "rest on the usual covariances, not on robust ones: remove them, or set \
                            robust = \"none\"";
                return Err(Error::field(field, rule));
            }
        }
        Contrast::validate(self.contrasts)
    }

    /// Refuses what does not fit the columns of a study.
    ///
    /// # Errors
    /// [`Error::Field`] of `groups`, `tests` or `contrasts`.
    pub(crate) fn suits(&self, schema: &Schema) -> Result<(), Error> {
        if schema.groups().is_some() && self.robust != Robust::Cluster {
            let rule =
                "are for robust = \"cluster\" alone, and would change nothing here: remove them";
            return Err(Error::field("groups", rule));
        }
        Contrast::plan(self.contrasts, &schema.columns(), self.intercept)?;
        WaldPlan::of(self.tests, &features(schema)).map(drop)
    }

    /// Refuses what does not fit the parties and their rows.
    ///
    /// # Errors
    /// [`Error::Field`] of `robust`, `covariance`, `tests` or `contrasts`.
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
        let tests = WaldPlan::of(self.tests, &facts.features)?;
        self.few(&tests, facts.columns() + usize::from(self.intercept))
    }

    /// Refuses so many combinations and tests that, with the variances, they tell half of the covariances. Tests of
    /// columns of their own are fewer than columns.
    fn few(&self, tests: &[WaldPlan], order: usize) -> Result<(), Error> {
        let most = order * order.saturating_sub(1) / 4;
        let told = self.contrasts.len() + tests.len();
        let apart = self.contrasts.is_empty() && !WaldPlan::overlap(tests);
        if apart || self.covariance || told <= most {
            return Ok(());
        }
        let (field, what) = match (self.contrasts.is_empty(), tests.is_empty()) {
            (true, _) => ("tests", "joint tests that share columns"),
            (false, true) => ("contrasts", "contrasts"),
            (false, false) => ("contrasts", "contrasts and joint tests"),
        };
        let rule = format!(
            "and the variances would tell more than half of the covariances of {order} coefficients, which \
             are {}: at most {most} {what} are possible; leave some out, or ask for the whole \
             matrix with covariance = true and read what study check says of it",
            order * order.saturating_sub(1) / 2
        );
        Err(Error::field(field, rule))
    }
}
