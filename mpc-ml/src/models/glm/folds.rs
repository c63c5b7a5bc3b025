//! Which rows of a party are in which fold: a public rule on the number of a row alone.

use std::ops::RangeInclusive;

use mpc_core::rand::hash;
use serde::{Deserialize, Serialize};

use super::settings::GlmSettings;
use crate::error::Error;
use crate::model::Facts;

/// How many folds there may be.
const FOLDS: RangeInclusive<u32> = 2..=20;
/// How many penalties may be compared.
const CANDIDATES: RangeInclusive<usize> = 2..=12;
/// Rows of each party in each fold, at least: what is told on the way to a fold's fit is a sum over the others.
const ROWS_A_FOLD: u64 = 10;

/// Cross-validation of the penalty: which ones are compared, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrossValidation {
    /// The penalties that are compared, ascending; 2 to 12 of them, from 10^-6 to 1000.
    pub l2: Vec<f64>,
    /// Into how many parts the rows of each party are divided: 2 to 20.
    #[serde(default = "folds")]
    pub folds: u32,
    /// Another one gives another division.
    #[serde(default)]
    pub seed: u32,
}

fn folds() -> u32 {
    5
}

impl CrossValidation {
    /// Refuses settings that do not fit each other, or this penalty and inference beside it.
    pub(in crate::models) fn validate(&self, l2: f64, inference: bool) -> Result<(), Error> {
        let refused = |rule: String| Err(Error::field("cross_validation", rule));
        let within = self.l2.iter().all(|l2| (1e-6..=1e3).contains(l2));
        if !within || !CANDIDATES.contains(&self.l2.len()) || !self.l2.is_sorted_by(|a, b| a < b) {
            return refused(
                "has an l2 that is not 2 to 12 numbers from 1e-6 to 1000, ascending".into(),
            );
        }
        if !FOLDS.contains(&self.folds) {
            return refused(format!("has {} folds: must be 2 to 20", self.folds));
        }
        if l2 != 0.0 {
            return refused("stands beside l2, which it finds: leave model.l2 out".into());
        }
        if inference {
            return refused("stands beside inference, which a penalised fit has none of".into());
        }
        Ok(())
    }

    /// The same for a fit to the optimum.
    pub(super) fn is_for(&self, settings: &GlmSettings) -> Result<(), Error> {
        let refused = |rule: &str| Err(Error::field("cross_validation", rule));
        if settings.family != super::Family::Logistic {
            return refused("is for logistic and linear models");
        }
        if settings.iterates == super::Iterates::Revealed {
            return refused("stands beside iterates = \"revealed\": its fits are not shown");
        }
        self.validate(settings.l2, settings.inference)
    }

    /// Refuses rows that it cannot divide.
    pub(in crate::models) fn suits(&self, facts: &Facts, rows: &[u64]) -> Result<(), Error> {
        let refused = |rule: String| Err(Error::field("cross_validation", rule));
        if facts.weights.is_some() || facts.groups {
            return refused(
                "is not for studies with weights or groups: rows of a group would be in several folds"
                    .to_owned(),
            );
        }
        let least = ROWS_A_FOLD * u64::from(self.folds);
        match rows.iter().find(|&&rows| rows < least) {
            Some(few) => refused(format!(
                "with {} folds needs at least {least} rows of each party, and one has {few}: take fewer folds",
                self.folds
            )),
            None => Ok(()),
        }
    }

    /// How many of so many rows are in a fold.
    pub(in crate::models) fn held(&self, rows: u64, fold: u32) -> u64 {
        let (folds, fold) = (u64::from(self.folds), u64::from(fold));
        rows / folds + u64::from(fold < rows % folds)
    }

    /// The rows of a party that are fitted without a fold, and those of the fold, both counted from 0, ascending.
    #[must_use]
    pub fn divide(&self, party: usize, rows: usize, fold: u32) -> (Vec<usize>, Vec<usize>) {
        let key = |row: usize| {
            let numbers = [u64::from(self.seed), party as u64, row as u64].map(u64::to_le_bytes);
            hash("fold of a row", &numbers.each_ref().map(<[u8; 8]>::as_slice))
        };
        let mut order: Vec<([u8; 32], usize)> = (0..rows).map(|row| (key(row), row)).collect();
        order.sort_unstable();
        let mut fold_of = vec![0; rows];
        for (place, (_, row)) in order.into_iter().enumerate() {
            fold_of[row] = place % self.folds as usize;
        }
        (0..rows).partition(|&row| fold_of[row] != fold as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_is_held_out_once_and_folds_are_alike() {
        let cross = CrossValidation { l2: vec![0.1, 1.0], folds: 4, seed: 7 };
        let mut seen = vec![0; 103];
        for fold in 0..4 {
            let (fitted, held) = cross.divide(1, 103, fold);
            assert_eq!(held.len() as u64, cross.held(103, fold));
            assert_eq!(fitted.len() + held.len(), 103);
            held.iter().for_each(|&row| seen[row] += 1);
            assert!(fitted.iter().all(|row| !held.contains(row)));
        }
        assert!(seen.iter().all(|&times| times == 1));
        // Another party's rows, and another seed, are divided in another way.
        let held = |cross: &CrossValidation, party| cross.divide(party, 103, 0).1;
        assert_ne!(held(&cross, 1), held(&cross, 0));
        assert_ne!(held(&cross, 1), held(&CrossValidation { seed: 8, ..cross.clone() }, 1));
    }
}
