//! One party's part of the joint table as a model takes it.

use std::fmt;

use ndarray::{ArrayView1, ArrayView2};
use zeroize::Zeroizing;

use super::Encoded;
use crate::error::Error;
use crate::model::Facts;
use crate::rows::Rows;

/// A party's own rows: **private data**. The design matrix on the common scale, the target, and what
/// else a row may have. Wiped on drop; formatting it shows the shape.
#[derive(Clone)]
pub struct Dataset {
    rows: Rows,
    offset: Zeroizing<Vec<f64>>,
    weights: Zeroizing<Vec<f64>>,
    ids: Zeroizing<Vec<u64>>,
    /// Public: the mean and the standard deviation that each column was scaled by.
    scales: Vec<(f64, f64)>,
    clipped: u64,
}

// Views are passed by value, as everywhere with ndarray.
#[allow(clippy::needless_pass_by_value)]
impl Dataset {
    /// Copies a design matrix (a row for each row of the table, without a column for the intercept)
    /// and its target.
    ///
    /// # Errors
    /// [`Error::Data`] when there is not one target for each row.
    pub fn new(design: ArrayView2<'_, f64>, target: ArrayView1<'_, f64>) -> Result<Self, Error> {
        has_rows("target", target.len(), design.nrows())?;
        let (x, y) = (design.iter().copied().collect(), target.iter().copied().collect());
        Ok(Self::from(Rows::new(x, y, design.ncols())))
    }

    /// Copies the columns of a party that has no target: another one has it.
    #[must_use]
    pub fn without_target(design: ArrayView2<'_, f64>) -> Self {
        let x = design.iter().copied().collect();
        Self::from(Rows::without_target(x, design.nrows(), design.ncols()))
    }

    /// Takes encoded rows, with their memory. No targets at all are those that another party has.
    ///
    /// # Errors
    /// [`Error::Data`] when there is not one target, offset, weight and group for each row where there are any.
    pub fn encoded(encoded: Encoded) -> Result<Self, Error> {
        let Encoded { x, y, offset, weights, groups, scales, clipped, .. } = encoded;
        let of_rows = [
            ("target", y.len()),
            ("offset", offset.len()),
            ("weight", weights.len()),
            ("group", groups.len()),
        ];
        for (what, given) in of_rows.into_iter().filter(|(_, given)| *given > 0) {
            has_rows(what, given, x.nrows())?;
        }
        let (count, columns) = (x.nrows(), x.ncols());
        let x = if x.is_standard_layout() {
            x.into_raw_vec_and_offset().0
        } else {
            x.iter().copied().collect()
        };
        let rows = if y.is_empty() {
            Rows::without_target(x, count, columns)
        } else {
            Rows::new(x, y, columns)
        };
        let data = Self::from(rows);
        Ok(Self {
            offset: Zeroizing::new(offset),
            weights: Zeroizing::new(weights),
            ids: Zeroizing::new(groups),
            scales,
            clipped: clipped as u64,
            ..data
        })
    }

    /// With a number for each row that is added to its score.
    ///
    /// # Errors
    /// [`Error::Data`] when there is not one for each row.
    pub fn with_offset(mut self, offset: ArrayView1<'_, f64>) -> Result<Self, Error> {
        has_rows("offset", offset.len(), self.len())?;
        self.offset = Zeroizing::new(offset.iter().copied().collect());
        Ok(self)
    }

    /// With a weight for each row: how many rows it counts as.
    ///
    /// # Errors
    /// [`Error::Data`] when there is not one for each row, or one is no finite number from 0.
    pub fn with_weights(mut self, weights: ArrayView1<'_, f64>) -> Result<Self, Error> {
        has_rows("weight", weights.len(), self.len())?;
        if weights.iter().any(|weight| !(weight.is_finite() && *weight >= 0.0)) {
            return Err(Error::Data("a weight is not a number from 0".to_owned()));
        }
        self.weights = Zeroizing::new(weights.iter().copied().collect());
        Ok(self)
    }

    /// With the number of the group (the person, the ward) that each row belongs to.
    ///
    /// # Errors
    /// [`Error::Data`] when there is not one for each row.
    pub fn with_ids(mut self, ids: ArrayView1<'_, u64>) -> Result<Self, Error> {
        has_rows("id", ids.len(), self.len())?;
        self.ids = Zeroizing::new(ids.iter().copied().collect());
        Ok(self)
    }

    /// Some of the rows, by their numbers from 0, with all that belongs to them.
    ///
    /// # Panics
    /// When there are no such rows.
    #[must_use]
    pub fn part(&self, rows: &[usize]) -> Self {
        let of = |values: &[f64]| {
            let some = rows.iter().filter(|_| !values.is_empty());
            Zeroizing::new(some.map(|&row| values[row]).collect())
        };
        let ids = rows.iter().filter(|_| !self.ids.is_empty()).map(|&row| self.ids[row]);
        Self {
            rows: self.rows.ordered(rows),
            offset: of(&self.offset),
            weights: of(&self.weights),
            ids: Zeroizing::new(ids.collect()),
            scales: self.scales.clone(),
            clipped: self.clipped,
        }
    }

    /// With the mean and the standard deviation that each column was scaled by.
    ///
    /// # Errors
    /// [`Error::Data`] when there is not one pair for each column.
    pub fn with_scales(mut self, scales: &[(f64, f64)]) -> Result<Self, Error> {
        if scales.len() != self.columns() {
            let what = format!("{} scales for {} columns", scales.len(), self.columns());
            return Err(Error::Data(what));
        }
        self.scales = scales.to_vec();
        Ok(self)
    }

    /// The mean and the standard deviation that each column was scaled by, where that is known; 0 and
    /// 1 else.
    #[must_use]
    pub fn scales(&self) -> &[(f64, f64)] {
        &self.scales
    }

    /// The number of own rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The number of columns of the design matrix.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.rows.columns()
    }

    /// Design matrix and target, row by row.
    #[must_use]
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// The design matrix.
    #[must_use]
    pub fn design(&self) -> ArrayView2<'_, f64> {
        ArrayView2::from_shape((self.len(), self.columns()), self.rows.x())
            .expect("the shape was checked when the rows were taken")
    }

    /// Whether the target is here, and not at another party.
    #[must_use]
    pub fn has_target(&self) -> bool {
        self.rows.has_target()
    }

    /// The target; empty where another party has it.
    #[must_use]
    pub fn target(&self) -> ArrayView1<'_, f64> {
        ArrayView1::from(self.rows.y())
    }

    /// What is added to the score of each row; empty where nothing is.
    #[must_use]
    pub fn offset(&self) -> &[f64] {
        &self.offset
    }

    /// How many rows each row counts as; empty where each counts as one.
    #[must_use]
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// The group of each row; empty where there are none.
    #[must_use]
    pub fn ids(&self) -> &[u64] {
        &self.ids
    }

    /// How many entries were cut to the bound on encoded values before they came here.
    #[must_use]
    pub fn clipped(&self) -> u64 {
        self.clipped
    }

    /// Refuses rows that are not those of party `me` in a plan from these facts: as many rows of as
    /// many columns as are due from it, of finite numbers, with a finite target each where the target is its own and with none
    /// else, and, once they are cut to `clip`, no larger than the bounds on mean squares allow.
    ///
    /// # Errors
    /// [`Error::Data`]; it shows none of them.
    ///
    /// # Security
    /// The bounds of all openings rest on the mean squares. Rows that exceed them by themselves are
    /// not shared: they would be seen through.
    pub fn check(&self, facts: &Facts, me: usize, clip: f64) -> Result<(), Error> {
        let rows = facts.rows()?.get(me).copied().unwrap_or_default();
        let columns = facts.columns_of(me)?;
        if self.len() as u64 != rows || self.columns() != columns.len() {
            let given = (self.len(), self.columns());
            return Err(Error::other_shape(given, (rows, columns.len())));
        }
        self.check_holder(facts, me)?;
        if self.rows.x().iter().chain(self.rows.y()).any(|v| !v.is_finite()) {
            return Err(Error::Data("an entry of the rows is not a number".to_owned()));
        }
        self.check_squares(facts, me, clip)
    }

    /// Where the parties hold columns, one of them has what belongs to a whole row, and the others have
    /// nothing of the kind.
    fn check_holder(&self, facts: &Facts, me: usize) -> Result<(), Error> {
        let Some(holder) = facts.holder.filter(|&holder| holder != me) else {
            if self.has_target() {
                return Ok(());
            }
            return Err(Error::Data("the rows have no target, and this party has it".to_owned()));
        };
        let given = [
            ("a target", self.rows.y().is_empty()),
            ("offsets", self.offset.is_empty()),
            ("weights", self.weights.is_empty()),
            ("ids", self.ids.is_empty()),
        ];
        match given.into_iter().find(|(_, none)| !none) {
            Some((what, _)) => Err(Error::Data(format!(
                "{what} came with this party's columns, and in the plan party {} has them",
                holder + 1
            ))),
            None => Ok(()),
        }
    }

    /// The squares of the own entries alone are no more than those of all parties together may be.
    fn check_squares(&self, facts: &Facts, me: usize, clip: f64) -> Result<(), Error> {
        let mut squares = Zeroizing::new(vec![0.0; self.columns()]);
        for row in 0..self.len() {
            let entries = self.rows.row(row).iter().map(|x| x.clamp(-clip, clip));
            squares.iter_mut().zip(entries).for_each(|(square, x)| *square += x * x);
        }
        // Rounding of the sums is far less than this.
        let most = |mean_square: f64| mean_square * facts.total_rows() as f64 * (1.0 + 1e-9);
        let bounds = &facts.mean_squares[facts.columns_of(me)?];
        let mut columns = squares.iter().zip(bounds);
        let beyond = columns.position(|(&square, &bound)| square > most(bound));
        let why = match facts.holder {
            None => {
                "alone are more than the plan allows for all parties, so the joint mean and deviation, or \
                 the declared range, is not one of these rows"
            }
            Some(_) => {
                "are more than the plan allows, so the mean and deviation that they were scaled by, or the \
                 declared range, is not one of these rows"
            }
        };
        let what = match beyond {
            Some(column) => format!("column {column} of the encoded rows"),
            None if squares.iter().sum::<f64>() > most(facts.total_mean_square) => {
                "all columns of the encoded rows together".to_owned()
            }
            None => return Ok(()),
        };
        Err(Error::Data(format!("{what}: the squares of this party's entries {why}")))
    }

    /// Refuses offsets, weights and ids, for a model that would not look at them.
    ///
    /// # Errors
    /// [`Error::Data`] with what was given.
    pub fn check_plain(&self) -> Result<(), Error> {
        self.check_unweighted()?;
        has_no("ids", self.ids.is_empty())
    }

    /// Refuses offsets and weights, for a model that has a place for groups alone.
    ///
    /// # Errors
    /// [`Error::Data`] with what there is.
    pub fn check_unweighted(&self) -> Result<(), Error> {
        has_no("offsets", self.offset.is_empty())?;
        has_no("weights", self.weights.is_empty())
    }
}

fn has_no(what: &str, none: bool) -> Result<(), Error> {
    if none {
        return Ok(());
    }
    Err(Error::Data(format!("this model has no place for {what}")))
}

impl From<Rows> for Dataset {
    fn from(rows: Rows) -> Self {
        let offset = Zeroizing::default();
        let (weights, ids) = (Zeroizing::default(), Zeroizing::default());
        let scales = vec![(0.0, 1.0); rows.columns()];
        Self { rows, offset, weights, ids, scales, clipped: 0 }
    }
}

impl fmt::Debug for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dataset({} x {})", self.len(), self.columns())
    }
}

fn has_rows(what: &str, count: usize, rows: usize) -> Result<(), Error> {
    if count == rows {
        return Ok(());
    }
    Err(Error::Data(format!("there is not one {what} for each row: {count} for {rows} rows")))
}

#[cfg(test)]
mod tests {
    use mpc_core::correlations::Origin;
    use ndarray::{arr1, arr2};

    use super::*;

    #[test]
    fn views_of_any_layout_are_taken_row_by_row() {
        let table = arr2(&[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
        let data = Dataset::new(table.view(), arr1(&[7.0, 8.0]).view()).expect("fits");
        assert_eq!(data.rows().x(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(data.design(), table);
        let across = Dataset::new(table.t(), arr1(&[7.0, 8.0, 9.0]).view()).expect("fits");
        assert_eq!(across.rows().x(), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        assert_eq!(across.target(), arr1(&[7.0, 8.0, 9.0]));
        let encoded = Encoded {
            columns: vec!["a".into(), "b".into()],
            x: table.t().to_owned(),
            y: vec![0.0; 3],
            offset: vec![1.0; 3],
            weights: vec![2.0; 3],
            groups: vec![7, 7, 8],
            scales: vec![(1.0, 2.0), (0.0, 1.0)],
            clipped: 0,
        };
        let encoded = Dataset::encoded(encoded).expect("fits");
        assert_eq!(encoded.design(), table.t());
        assert_eq!(encoded.offset(), [1.0; 3]);
        assert_eq!(encoded.scales(), [(1.0, 2.0), (0.0, 1.0)]);
        assert!(encoded.clone().with_scales(&[(0.0, 1.0)]).is_err());
        assert_eq!((encoded.weights(), encoded.ids()), (&[2.0; 3][..], &[7, 7, 8][..]));
    }

    #[test]
    fn every_row_has_one_of_each() {
        let table = arr2(&[[1.0], [4.0]]);
        let two = arr1(&[0.0, 1.0]);
        assert!(Dataset::new(table.view(), arr1(&[7.0]).view()).is_err());
        let data = || Dataset::new(table.view(), two.view()).expect("fits");
        assert!(data().with_offset(arr1(&[7.0]).view()).is_err());
        assert!(data().with_weights(arr1(&[7.0, -1.0]).view()).is_err());
        assert!(data().with_ids(arr1(&[7]).view()).is_err());
        let full = data().with_weights(two.view()).expect("fits");
        assert_eq!(full.weights(), [0.0, 1.0]);
        assert!(full.check_plain().is_err() && data().check_plain().is_ok());
    }

    /// What a lie about the joint deviation makes of the rows of others is not shared.
    #[test]
    fn rows_beyond_the_bounds_of_the_plan_are_refused() {
        let data = |x: [f64; 4]| {
            let table = arr2(&[[x[0], x[1]], [x[2], x[3]]]);
            Dataset::new(table.view(), arr1(&[0.0, 1.0]).view()).expect("fits")
        };
        let facts = |rows: &[u64], total: f64| Facts {
            total_mean_square: total,
            ..Facts::horizontal(rows, vec![1.0, 4.0], Origin::Dealer)
        };
        let check = |x, rows: &[u64], total| data(x).check(&facts(rows, total), 0, 3.5);
        assert!(check([1.0, 2.0, -1.0, 2.0], &[2, 1], 5.0).is_ok());
        // Three rows in all may have squares of 3 and of 12.
        assert!(check([1.7, 0.0, 0.0, 3.4], &[2, 1], 5.0).is_ok());
        assert!(check([0.0, 0.0, 0.0, 1e6], &[2, 2], 5.0).is_ok());
        for (x, what) in [([1.8, 0.0, 0.0, 0.0], "column 0"), ([0.0, 2.5, 0.0, 2.5], "column 1")] {
            let error = check(x, &[2, 1], 5.0).expect_err("refused").to_string();
            assert!(error.contains(what), "{error}");
        }
        let error = check([1.7, 0.0, 0.0, 3.4], &[2, 1], 4.5).expect_err("refused").to_string();
        assert!(error.contains("all columns"), "{error}");
        assert!(
            check([1.0; 4], &[3, 1], 5.0).is_err() && check([f64::NAN; 4], &[2, 1], 5.0).is_err()
        );
    }

    /// One party has the target, and nobody else can pretend to.
    #[test]
    fn columns_of_the_same_rows_have_their_target_at_one_party() {
        let facts = Facts::vertical(2, &[2, 0], 1, vec![1.0, 4.0], Origin::Dealer);
        let table = arr2(&[[1.0, 2.0], [-1.0, 2.0]]);
        let (target, none) = (arr1(&[0.0, 1.0]), arr2(&[[], []]));
        let columns = Dataset::without_target(table.view());
        assert!(!columns.has_target() && columns.target().is_empty() && columns.len() == 2);
        assert!(columns.check(&facts, 0, 3.5).is_ok());
        let holder = || Dataset::new(none.view(), target.view()).expect("fits");
        assert!(holder().check(&facts, 1, 3.5).is_ok());
        let refused =
            |data: Dataset, me| data.check(&facts, me, 3.5).expect_err("refused").to_string();
        let both = Dataset::new(table.view(), target.view()).expect("fits");
        assert!(refused(both, 0).contains("a target came with this party's columns"));
        assert!(refused(Dataset::without_target(none.view()), 1).contains("have no target"));
        assert!(refused(holder(), 0).contains("2 rows of 0 columns"));
        assert!(refused(columns.clone(), 1).contains("has 2 of 0"));
        let weighed = columns.with_weights(target.view()).expect("fits");
        assert!(refused(weighed, 0).contains("weights came with this party's columns"));
        // Of the columns, those of this party are held against their own bounds.
        let facts = Facts::vertical(2, &[1, 1], 0, vec![1.0, 4.0], Origin::Dealer);
        let column = |x: f64| Dataset::without_target(arr2(&[[x], [0.0]]).view());
        assert!(column(2.8).check(&facts, 1, 3.5).is_ok());
        let error = column(2.9).check(&facts, 1, 3.5).expect_err("refused").to_string();
        assert!(error.contains("column 0") && error.contains("scaled by"), "{error}");
        // A plan for whole rows has a target at every party.
        let whole = Facts::horizontal(&[2, 1], vec![1.0, 4.0], Origin::Dealer);
        let error = Dataset::without_target(table.view()).check(&whole, 0, 3.5);
        assert!(error.expect_err("refused").to_string().contains("have no target"));
    }

    #[test]
    fn debug_shows_no_entry() {
        let table = arr2(&[[12345.0], [54321.0]]);
        let data = Dataset::new(table.view(), arr1(&[777.0, 888.0]).view()).expect("fits");
        assert_eq!(format!("{data:?}"), "Dataset(2 x 1)");
    }
}
