//! How large something is, so that all parties can choose rings and scales for it.

use mpc_core::{Fixed, Session};

use crate::error::Error;

/// Bits of a revealed size, if it is what is expected.
const SIZE_BITS: i32 = 8;
/// Nothing is expected to be smaller.
const SMALLEST: f64 = 1e-30;

/// The unit of a size that is expected to be so large, as a power of two.
pub(crate) fn unit(expected: f64) -> i32 {
    libm::floor(libm::log2(expected.max(SMALLEST))) as i32 - SIZE_BITS
}

/// Reveals bounds of the sums of the parties' own sizes, in units of powers of two. One round.
///
/// # Errors
/// [`Error::Unusable`] when one is negative, [`Error::Protocol`] when one is too large for its unit, or
/// the network fails.
pub(crate) async fn sizes(
    label: &str,
    own: &[f64],
    units: &[i32],
    session: &mut Session,
) -> Result<Vec<f64>, Error> {
    // Upwards, so that the sum is a bound.
    let rounded = own.iter().zip(units).map(|(size, unit)| libm::ceil(libm::ldexp(*size, -unit)));
    let rounded = zeroize::Zeroizing::new(rounded.collect::<Vec<f64>>());
    let share = Fixed::own_part(&rounded, rounded.len(), 1, 0)?;
    let revealed = session.reveal_fixed(label, &share, 0).await?;
    let revealed = revealed.ok_or_else(|| Error::untold(label))?;
    if revealed.iter().any(|size| *size < 0.0) {
        return Err(Error::Unusable(format!("the output `{label}` is no size")));
    }
    Ok(revealed.iter().zip(units).map(|(size, unit)| libm::ldexp(*size, *unit)).collect())
}
