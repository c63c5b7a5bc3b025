//! The plan of fits to the optimum, and what its parts share with other plans.

pub mod optimum;

use crate::error::Error;
pub(crate) use crate::model::LEAST_SIGMA;
pub(crate) use crate::plaintext::centred_sigmoid;

/// Fractional bits of the weights where they meet the data.
pub(crate) const W_FRACTION: u32 = 24;
/// Fractional bits of the residuals.
pub(crate) const E_FRACTION: u32 = 16;
fn refuse<T>(why: String) -> Result<T, Error> {
    Err(Error::Settings(why))
}

/// Refuses a setting that is outside its range, or no number.
fn in_range(name: &str, value: f64, from: f64, to: f64) -> Result<(), Error> {
    if value.is_finite() && value >= from && value <= to {
        return Ok(());
    }
    refuse(format!("{name} is {value}, and must be from {from} to {to}"))
}

/// Refuses a study of one party.
fn has_parties(rows: &[u64]) -> Result<(), Error> {
    if rows.len() >= 2 {
        return Ok(());
    }
    refuse("a joint study has at least two parties".to_owned())
}
