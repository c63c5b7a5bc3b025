//! `solver = "exact"`: linear regression by its normal equations.

use mpc_ml::artifact::{ExactRecord, SolverRecord};

use crate::study::Exact;

pub(super) fn record(training: &Exact) -> SolverRecord {
    SolverRecord::Exact(ExactRecord { condition: training.condition })
}
