//! A party's own rows.

use std::fmt;

use ndarray::Array2;
use zeroize::Zeroize;

use super::{Family, Terms};
use crate::error::Error;

/// The rows of one party, encoded, with a column of ones at the end. Wiped on drop; never printed.
pub struct OwnRows {
    pub(super) matrix: Array2<f64>,
    /// A row each: the number, or 1 in the place of the level.
    pub(super) targets: Array2<f64>,
}

impl OwnRows {
    /// The rows of the party in the place `me`: `values` row by row, without the intercept.
    ///
    /// # Errors
    /// [`Error::Data`] when they are not as many as the terms say, or a value is no finite number, or a target is not what the
    /// family predicts; it names the row and the column.
    pub fn new(terms: &Terms, me: usize, values: &[f64], targets: &[f64]) -> Result<Self, Error> {
        let (columns, rows) = (terms.columns.len(), targets.len());
        if terms.rows.get(me).is_none_or(|&due| due != rows as u64)
            || values.len() != rows * columns
        {
            return Err(Error::Data(
                "the rows of this party are not as many as was agreed".to_owned(),
            ));
        }
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            let (row, column) = (at / columns + 1, &terms.columns[at % columns]);
            return Err(Error::Data(format!("row {row}: {column} is not a finite number")));
        }
        let mut matrix = Array2::ones((rows, columns + 1));
        let mut encoded = Array2::zeros((rows, terms.family.scores()));
        for (row, &target) in targets.iter().enumerate() {
            for column in 0..columns {
                matrix[(row, column)] = values[row * columns + column];
            }
            let fits = match terms.family {
                Family::Linear => target.is_finite(),
                Family::Logistic => target == 0.0 || target == 1.0,
                Family::Multinomial { levels } => {
                    target >= 0.0 && target < levels as f64 && target.fract() == 0.0
                }
            };
            if !fits {
                let what = "is not a value that this model predicts";
                return Err(Error::Data(format!("row {}: the target {what}", row + 1)));
            }
            match terms.family {
                Family::Multinomial { .. } => encoded[(row, target as usize)] = 1.0,
                Family::Linear | Family::Logistic => encoded[(row, 0)] = target,
            }
        }
        Ok(Self { matrix, targets: encoded })
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.matrix.nrows() as u64
    }
}

impl Drop for OwnRows {
    fn drop(&mut self) {
        self.matrix.iter_mut().for_each(Zeroize::zeroize);
        self.targets.iter_mut().for_each(Zeroize::zeroize);
    }
}

impl fmt::Debug for OwnRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rows, columns) = self.matrix.dim();
        write!(f, "OwnRows({rows} x {columns})")
    }
}
