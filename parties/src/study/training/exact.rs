//! `solver = "exact"`.

use super::condition;
use crate::study::StudyError;
use crate::study::raw::RawTraining;

/// The normal equations of a linear model, solved jointly.
#[derive(Clone, Debug, PartialEq)]
pub struct Exact {
    /// The largest condition number of the standardised columns that is supported. It decides how
    /// often the inverse is improved; columns beyond it are refused by a check that all see.
    pub condition: f64,
}

pub(super) fn check(raw: &RawTraining) -> Result<Exact, StudyError> {
    Ok(Exact { condition: condition(raw, "exact")? })
}
