//! From a table to the matrix that a model is fitted to.
//!
//! A numeric feature with [`Scaling::Joint`] becomes `(x - mean) / std`. The mean is that of the
//! cells that are there, over all parties; a missing cell takes the value that the study gives or
//! that mean. The standard deviation divides by the number of *all* rows, filled ones included
//! (`ddof = 0`). Categories and indicators are 0 or 1 and are not scaled.

use std::fmt;
use std::ops::Range;

use ndarray::{Array2, Axis};
use serde::{Deserialize, Serialize};

use super::{
    Column, Feature, FeatureKind, Numbers, Numeric, NumericMissing, Scaling, Schema, Table,
};

/// Rows that are encoded together.
const BLOCK: usize = 256;

/// Why a table cannot be encoded. Holds no cell's value.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodingError {
    /// Nobody has a value in the column.
    #[error(
        "the column {column:?} is empty at every party, so it has no mean; leave the feature out of the study"
    )]
    NoValues {
        /// The column.
        column: String,
    },
    /// The joint standard deviation is 0.
    #[error(
        "the column {column:?} has the same value in every row of every party, so it says nothing; leave the feature out of the study"
    )]
    Constant {
        /// The column.
        column: String,
    },
    /// A mean or standard deviation is missing or not usable.
    #[error("there is no usable joint mean and standard deviation for the column {column:?}")]
    NoStandardisation {
        /// The column.
        column: String,
    },
    /// The tables were read by different schemas.
    #[error("the tables follow different schemas")]
    DifferentSchemas,
}

/// The joint mean and standard deviation of one feature; revealed to the parties.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standardisation {
    /// The feature.
    pub name: String,
    /// The mean of the cells that are there, on the scale of the file.
    pub mean: f64,
    /// The standard deviation over all rows after filling in, `ddof = 0`.
    pub std: f64,
    /// How many cells are there, over all parties.
    pub present: u64,
}

/// What one party puts into the joint mean and standard deviation of one feature: **private
/// data**. Formatting it shows the name and the length.
pub struct JointColumn<'a> {
    /// The feature.
    pub name: String,
    /// The cells, on the scale of the file.
    pub cells: &'a Numbers,
    /// What the study says a missing cell is, if it says a number.
    pub fill: Option<f64>,
    /// The public bounds of the values, where the study names them.
    pub range: Option<(f64, f64)>,
}

impl JointColumn<'_> {
    /// A value per row. `None` where the cell is missing and takes the joint mean: such a cell
    /// counts neither for the mean nor for the number present, and for the standard deviation as a
    /// row with deviation 0. Cells that take a value named by the study hold that value.
    pub fn values(&self) -> impl Iterator<Item = Option<f64>> + Clone {
        self.cells.iter().map(|value| value.or(self.fill))
    }
}

/// A party's rows as a model sees them: **private data**. Formatting it shows the shape.
pub struct Encoded {
    /// The names of the columns of `x`.
    pub columns: Vec<String>,
    /// One row per row of the table, one column per encoded column.
    pub x: Array2<f64>,
    /// The target: 0 or 1, or a number. Empty when the table has no target.
    pub y: Vec<f64>,
    /// What is added to the score of each row. Empty when the schema has no offset.
    pub offset: Vec<f64>,
    /// How many rows each row counts as. Empty when the schema has no weights.
    pub weights: Vec<f64>,
    /// The group of each row. Empty when the schema has no groups.
    pub groups: Vec<u64>,
    /// The mean and the standard deviation that each column was scaled by: known to all parties.
    pub scales: Vec<(f64, f64)>,
    /// How many cells of `x` were cut to the bound. Private; it stays with the party.
    pub clipped: usize,
}

impl Table {
    /// This party's inputs to the joint statistics, one for each feature with
    /// [`Scaling::Joint`], in order.
    #[must_use]
    pub fn joint_columns(&self) -> Vec<JointColumn<'_>> {
        let features = self.schema().features().iter().zip(self.columns());
        let joint = features.filter_map(|(feature, column)| match (&feature.kind, column) {
            (
                FeatureKind::Numeric(Numeric { range, missing, scale: Scaling::Joint, .. }),
                Column::Numeric(cells),
            ) => {
                let fill = match missing {
                    NumericMissing::Value(value) => Some(*value),
                    NumericMissing::Refuse | NumericMissing::Mean => None,
                };
                Some(JointColumn { name: feature.name.clone(), cells, fill, range: *range })
            }
            _ => None,
        });
        joint.collect()
    }
}

/// The joint statistics in the clear, over tables that one process can see: the reference that the
/// protocol is tested against.
///
/// # Errors
/// When the schemas differ, or a column is empty or constant.
pub fn joint_statistics(tables: &[&Table]) -> Result<Vec<Standardisation>, EncodingError> {
    let Some((first, rest)) = tables.split_first() else { return Ok(Vec::new()) };
    if rest.iter().any(|table| table.schema() != first.schema()) {
        return Err(EncodingError::DifferentSchemas);
    }
    let columns: Vec<Vec<JointColumn<'_>>> =
        tables.iter().map(|table| table.joint_columns()).collect();
    let names = first.schema().joint_features().map(|feature| feature.name.clone()).enumerate();
    names
        .map(|(index, name)| {
            let parts = || columns.iter().map(|columns| &columns[index]);
            let rows = parts().map(|column| column.cells.len()).sum();
            statistics(name, rows, || parts().flat_map(JointColumn::values).flatten())
        })
        .collect()
}

/// Mean and standard deviation of `values` among `rows` rows; two passes, for accuracy.
fn statistics<I: Iterator<Item = f64>>(
    name: String,
    rows: usize,
    values: impl Fn() -> I,
) -> Result<Standardisation, EncodingError> {
    let present = values().count();
    if present == 0 {
        return Err(EncodingError::NoValues { column: name });
    }
    let mean = sum(values()) / present as f64;
    let std = (sum(values().map(|value| (value - mean).powi(2))) / rows as f64).sqrt();
    if std == 0.0 {
        return Err(EncodingError::Constant { column: name });
    }
    Ok(Standardisation { name, mean, std, present: present as u64 })
}

/// A sum with Neumaier's compensation, so that the reference is exact to the last digits.
fn sum(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut lost) = (0.0_f64, 0.0_f64);
    for value in values {
        let next = sum + value;
        lost += if sum.abs() >= value.abs() { (sum - next) + value } else { (value - next) + sum };
        sum = next;
    }
    sum + lost
}

/// Encodes a table with the joint statistics of its features, and cuts every value to
/// `[-clip, clip]`; an infinite `clip` cuts nothing.
///
/// `standardisation` has one entry for each feature with [`Scaling::Joint`], in any order.
///
/// # Errors
/// When such an entry is missing or not finite, or when its standard deviation is 0 or so small
/// that it cannot be told from 0: the column is then constant over all parties.
pub fn encode(
    table: &Table,
    standardisation: &[Standardisation],
    clip: f64,
) -> Result<Encoded, EncodingError> {
    let columns = table.schema().columns();
    let mut encoders = Vec::new();
    let mut at = 0;
    for (feature, column) in table.schema().features().iter().zip(table.columns()) {
        let width = feature.columns().len();
        encoders.push(Encoder::new(feature, column, standardisation, at..at + width)?);
        at += width;
    }
    let mut x = Array2::zeros((table.rows(), columns.len()));
    let mut clipped = 0;
    // Block by block: a column alone would touch a line of the cache for every cell.
    for (block, mut x) in x.axis_chunks_iter_mut(Axis(0), BLOCK).enumerate() {
        let Some(x) = x.as_slice_mut() else { unreachable!("rows of a new array are contiguous") };
        for encoder in &encoders {
            encoder.fill(block * BLOCK, x, columns.len());
        }
        clipped += clip_to(x, clip);
    }
    let y = table.target().map(<[f64]>::to_vec).unwrap_or_default();
    let offset = table.offset().map(<[f64]>::to_vec).unwrap_or_default();
    let weights = table.weights().map(<[f64]>::to_vec).unwrap_or_default();
    let groups = table.groups().map(<[u64]>::to_vec).unwrap_or_default();
    let scales = column_scales(table.schema(), standardisation)?;
    Ok(Encoded { columns, x, y, offset, weights, groups, scales, clipped })
}

/// The mean and the standard deviation that each encoded column was scaled by, in order.
pub(crate) fn column_scales(
    schema: &Schema,
    standardisation: &[Standardisation],
) -> Result<Vec<(f64, f64)>, EncodingError> {
    let mut scales = Vec::new();
    for feature in schema.features() {
        for index in 0..feature.columns().len() {
            scales.push(match &feature.kind {
                // The column after the first is the indicator, which is not scaled.
                FeatureKind::Numeric(numeric) if index == 0 => {
                    scale(&feature.name, numeric.scale, standardisation)?
                }
                _ => (0.0, 1.0),
            });
        }
    }
    Ok(scales)
}

/// One feature, and where its encoded columns are.
enum Encoder<'a> {
    Numeric { cells: &'a Numbers, fill: f64, mean: f64, std: f64, indicator: bool, at: usize },
    Categorical { cells: &'a [Option<u32>], base: Option<usize>, missing: Option<usize>, at: usize },
}

impl<'a> Encoder<'a> {
    fn new(
        feature: &Feature,
        column: &'a Column,
        standardisation: &[Standardisation],
        at: Range<usize>,
    ) -> Result<Self, EncodingError> {
        match (&feature.kind, column) {
            (FeatureKind::Numeric(numeric), Column::Numeric(cells)) => {
                let (mean, std) = scale(&feature.name, numeric.scale, standardisation)?;
                let fill = match numeric.missing {
                    NumericMissing::Value(value) => value,
                    // Refused cells are not in the table.
                    NumericMissing::Refuse | NumericMissing::Mean => mean,
                };
                let indicator = numeric.indicator;
                Ok(Self::Numeric { cells, fill, mean, std, indicator, at: at.start })
            }
            (FeatureKind::Categorical(categorical), Column::Categorical(cells)) => {
                let base = categorical.levels.iter().position(|level| *level == categorical.base);
                let missing = (at.len() == categorical.levels.len()).then(|| at.len() - 1);
                Ok(Self::Categorical { cells, base, missing, at: at.start })
            }
            _ => unreachable!("columns are made by the kinds of the features"),
        }
    }

    /// Fills in rows of `width` columns, which are zero, from row number `first` on.
    fn fill(&self, first: usize, x: &mut [f64], width: usize) {
        let rows = x.chunks_exact_mut(width);
        match *self {
            Self::Numeric { cells, fill, mean, std, indicator, at } => {
                for (row, value) in rows.zip(cells.iter().skip(first)) {
                    row[at] = (value.unwrap_or(fill) - mean) / std;
                    if indicator {
                        row[at + 1] = f64::from(u8::from(value.is_none()));
                    }
                }
            }
            Self::Categorical { cells, base, missing, at } => {
                for (row, value) in rows.zip(&cells[first..]) {
                    // The column of a level is its place among the levels without the base.
                    let place = match (value.map(|level| level as usize), base) {
                        (Some(level), Some(base)) if level < base => Some(level),
                        (Some(level), Some(base)) if level > base => Some(level - 1),
                        (None, _) => missing,
                        _ => None,
                    };
                    if let Some(place) = place {
                        row[at + place] = 1.0;
                    }
                }
            }
        }
    }
}

/// The mean and the standard deviation that `scale` stands for.
fn scale(
    name: &str,
    scale: Scaling,
    standardisation: &[Standardisation],
) -> Result<(f64, f64), EncodingError> {
    let column = || name.to_owned();
    match scale {
        Scaling::None => Ok((0.0, 1.0)),
        Scaling::Constants { mean, std } => Ok((mean, std)),
        Scaling::Joint => match standardisation.iter().find(|entry| entry.name == name) {
            Some(entry) if entry.std == 0.0 => Err(EncodingError::Constant { column: column() }),
            // A normal number, so that dividing by it cannot overflow for want of digits.
            Some(entry) if entry.mean.is_finite() && entry.std.is_normal() && entry.std > 0.0 => {
                Ok((entry.mean, entry.std))
            }
            _ => Err(EncodingError::NoStandardisation { column: column() }),
        },
    }
}

fn clip_to(x: &mut [f64], clip: f64) -> usize {
    let mut clipped = 0;
    for value in x.iter_mut().filter(|value| value.abs() > clip) {
        *value = clip.copysign(*value);
        clipped += 1;
    }
    clipped
}

impl fmt::Debug for JointColumn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JointColumn({:?}, [{} values, redacted])", self.name, self.cells.len())
    }
}

impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encoded([{} x {} values, redacted])", self.x.nrows(), self.x.ncols())
    }
}

#[cfg(test)]
mod tests;
