//! What a study says about a fit with differential privacy.

use serde::{Deserialize, Serialize};

use crate::artifact::ModelKind;
use crate::error::Error;
use crate::model::Settings;
use crate::privacy::{Guarantee, Neighbours, Rho};

/// The settings of a fit with differential privacy: the whole of `[privacy]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrivateSettings {
    /// Which regression it is.
    pub kind: ModelKind,
    /// How much the released numbers may tell of a row: they are at most e^epsilon times as likely with it as
    /// without it, but for `delta`. From 0.01 to 50.
    pub epsilon: f64,
    /// The probability with which that may not hold; at most a tenth of one divided by all rows.
    pub delta: f64,
    /// Which tables are to be hard to tell apart.
    #[serde(default)]
    pub neighbours: Neighbours,
    /// Rows of one party that may be about one person: all of them are protected together. From 1 to 100.
    #[serde(default = "crate::privacy::one")]
    pub persons: u32,
    /// Between which numbers nearly all targets lie, as the study declares from what is known without these rows; a
    /// target beyond is cut to them. If left out, the range of the target. Not for a target of two classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub typical_target: Option<(f64, f64)>,
    /// Whether standard errors are wanted, of linear and logistic models: a part of rho goes to them, and there are
    /// some if a public test of the released sums says so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inference: bool,
}

impl PrivateSettings {
    /// What such a study spends.
    ///
    /// # Errors
    /// [`Error::Field`] of `epsilon` or `delta`.
    pub fn rho(&self) -> Result<Rho, Error> {
        self.guarantee().rho()
    }

    /// How many times the bound of one row a sum may move between neighbours.
    pub(super) fn times(&self) -> u64 {
        let each = match self.neighbours {
            Neighbours::Blank => 1,
            Neighbours::Replace => 2,
        };
        each * u64::from(self.persons)
    }

    /// What the study promises.
    #[must_use]
    pub const fn guarantee(&self) -> Guarantee {
        let Self { epsilon, delta, neighbours, persons, .. } = *self;
        Guarantee { epsilon, delta, neighbours, persons }
    }

    /// The guarantee, for people: against whom it holds, and of what.
    #[must_use]
    pub fn in_words(&self) -> String {
        self.guarantee().in_words()
    }
}

impl Settings for PrivateSettings {
    fn validate(&self) -> Result<(), Error> {
        self.guarantee().validate()?;
        if self.typical_target.is_some() && self.kind == ModelKind::Logistic {
            return Err(Error::field(
                "typical_target",
                "has no place in a logistic model: remove it",
            ));
        }
        if self.inference && self.kind == ModelKind::Poisson {
            let rule = "is not possible for counts with [privacy]: how far they vary beyond a Poisson law would have \
                        to be told with noise as well, and is not. Remove it; or fit the count as a number \
                        (kind = \"linear\"), or whether it is above 0 (kind = \"logistic\"), which have standard errors";
            return Err(Error::field("inference", rule));
        }
        Ok(())
    }

    /// Declared scales are from -1 to 1.
    fn clip(&self) -> f64 {
        1.0
    }
}
