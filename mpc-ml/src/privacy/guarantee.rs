//! What a study with differential privacy promises.

use serde::{Deserialize, Serialize};

use super::Rho;
use crate::error::Error;
use crate::model::in_range;

/// A promise of differential privacy: of which rows, and how much may be told of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guarantee {
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

/// A row for each person.
pub(crate) const fn one() -> u32 {
    1
}

impl Guarantee {
    /// Checks each number by itself.
    ///
    /// # Errors
    /// [`Error::Field`] with the number and its range.
    pub fn validate(&self) -> Result<(), Error> {
        in_range("persons", f64::from(self.persons), 1.0, 100.0)?;
        self.rho().map(|_| ())
    }

    /// What is spent.
    ///
    /// # Errors
    /// [`Error::Field`] of `epsilon` or `delta`.
    pub fn rho(&self) -> Result<Rho, Error> {
        Rho::within(self.epsilon, self.delta)
    }

    /// Refuses a delta that would allow to publish one of so many rows as it is.
    ///
    /// # Errors
    /// [`Error::Field`] of `delta`.
    pub fn suits(&self, rows: u64) -> Result<(), Error> {
        let most = 0.1 / rows as f64;
        if self.delta <= most {
            return Ok(());
        }
        // Rounded down, so that what is named is allowed.
        let digits = libm::pow(10.0, libm::floor(libm::log10(most)) - 1.0);
        let named = libm::floor(most / digits) * digits;
        let rule = format!(
            "is {:.1e}, and must be at most {named:.1e}, a tenth of 1 / (rows of all parties): a larger one would \
             allow to publish a row as it is",
            self.delta
        );
        Err(Error::field("delta", rule))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delta_that_is_named_is_allowed() {
        let guarantee =
            Guarantee { epsilon: 1.0, delta: 1e-2, neighbours: Neighbours::Blank, persons: 1 };
        for rows in [11, 17, 999, 1000, 123_457, 40_000_000] {
            let said = guarantee.suits(rows).expect_err("too large").to_string();
            let rest = &said[said.find("at most ").expect("says it") + 8..];
            let named: f64 =
                rest.split(',').next().and_then(|it| it.parse().ok()).expect("a number");
            assert!(Guarantee { delta: named, ..guarantee }.suits(rows).is_ok(), "{rows}: {said}");
            assert!(
                Guarantee { delta: 1.2 * named, ..guarantee }.suits(rows).is_err(),
                "{rows}: {said}"
            );
        }
    }
}
