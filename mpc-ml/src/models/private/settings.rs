//! What a study says about a fit with differential privacy.

use serde::{Deserialize, Serialize};

use crate::artifact::ModelKind;
use crate::error::Error;
use crate::model::{Settings, in_range};
use crate::privacy::Rho;

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
    #[serde(default = "one")]
    pub persons: u32,
    /// Between which numbers nearly all targets lie, as the study declares from what is known without these rows; a
    /// target beyond is cut to them. If left out, the range of the target. Not for a target of two classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub typical_target: Option<(f64, f64)>,
}

/// Which pairs of tables the guarantee is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Neighbours {
    /// A row, or in its place one that counts nothing.
    #[default]
    Blank,
    /// A row, or any other one in its place.
    Replace,
}

fn one() -> u32 {
    1
}

impl PrivateSettings {
    /// What such a study spends.
    ///
    /// # Errors
    /// [`Error::Field`] of `epsilon` or `delta`.
    pub fn rho(&self) -> Result<Rho, Error> {
        Rho::within(self.epsilon, self.delta)
    }

    /// How many times the bound of one row a sum may move between neighbours.
    pub(super) fn times(&self) -> u64 {
        let each = match self.neighbours {
            Neighbours::Blank => 1,
            Neighbours::Replace => 2,
        };
        each * u64::from(self.persons)
    }

    /// The guarantee, for people: against whom it holds, and of what.
    #[must_use]
    pub fn in_words(&self) -> String {
        let Self { epsilon, delta, persons, .. } = self;
        let rho = self.rho().unwrap_or_default();
        let (blank, replace) = match self.neighbours {
            Neighbours::Blank => (*epsilon, (rho * 4).epsilon(*delta)),
            // A quarter of rho is left for blanking.
            Neighbours::Replace => (rho.part(4).epsilon(*delta), *epsilon),
        };
        let rows = match persons {
            1 => "a single row".to_owned(),
            _ => format!("all rows of a person who has at most {persons} at one party"),
        };
        format!(
            "differentially private for {rows} of any party, against all other parties together and \
             whoever sees the results: epsilon {blank:.2} for leaving it out, epsilon {replace:.2} for \
             replacing it by any other, both with delta {delta:.1e}"
        )
    }
}

impl Settings for PrivateSettings {
    fn validate(&self) -> Result<(), Error> {
        in_range("persons", f64::from(self.persons), 1.0, 100.0)?;
        if self.typical_target.is_some() && self.kind == ModelKind::Logistic {
            return Err(Error::field(
                "typical_target",
                "has no place in a logistic model: remove it",
            ));
        }
        self.rho().map(|_| ())
    }

    /// Declared scales are from -1 to 1.
    fn clip(&self) -> f64 {
        1.0
    }
}
