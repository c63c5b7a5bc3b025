//! From a party's rows to the numbers a model sees.
//!
//! * [`Schema`] says which columns a study uses and how each becomes numbers; it is public.
//! * [`Table`] holds one party's rows, checked cell by cell against a schema; it is private.
//! * [`joint_columns`](Table::joint_columns) gives the inputs to the joint means and standard
//!   deviations, [`Standardisation`] holds their results, and [`encode`] turns the table into an
//!   [`Encoded`] matrix with them.
//! * [`Dataset`] is a party's part of the joint table as a model takes it, [`Partition`] says who
//!   holds which part.
//! * [`joint_statistics`] computes the same figures in the clear, as a reference.

mod alike;
mod bounds;
mod cell;
mod dataset;
mod encoding;
mod partition;
mod schema;
mod table;
mod target;
#[cfg(test)]
pub(crate) mod testing;
mod validate;

pub use alike::{Difference, look_alike};
pub use bounds::{STANDARDISED, mean_squares, total_mean_square};
pub use cell::{Cell, CellError};
pub use dataset::Dataset;
pub(crate) use encoding::column_scales;
pub use encoding::{
    Encoded, EncodingError, JointColumn, Standardisation, encode, joint_statistics,
};
pub use partition::{Block, Cut, Partition};
pub use schema::{
    CaseWeights, Categorical, CategoricalMissing, Feature, FeatureKind, Numeric, NumericMissing,
    Offset, RowColumns, Scaling, Schema,
};
pub use table::{BadCell, Column, Numbers, Table, TableBuilder};
pub use target::{BinaryTarget, CountTarget, LevelsTarget, NumericTarget, Target};
pub use validate::SchemaError;
