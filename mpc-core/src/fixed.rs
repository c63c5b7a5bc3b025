//! Fixed point: a real v at scale s is the integer round(v 2^s).

use crate::error::Error;

/// The integer nearest to `value` 2^`scale`.
///
/// # Errors
/// [`Error::Range`] when `value` is not finite or the integer needs more than `bits` bits and a
/// sign. The value itself is not told.
pub fn encode(value: f64, scale: u32, bits: u32) -> Result<i128, Error> {
    let scaled = libm::rint(libm::ldexp(value, i32::try_from(scale).unwrap_or(i32::MAX)));
    if !scaled.is_finite() || scaled.abs() >= libm::ldexp(1.0, i32::try_from(bits).unwrap_or(0)) {
        return Err(Error::Range(format!(
            "a value does not fit {bits} bits at scale 2^{scale}, or is not a number"
        )));
    }
    Ok(scaled as i128)
}

/// The real that the integer `value` stands for at scale `scale`.
#[must_use]
pub fn decode(value: i128, scale: u32) -> f64 {
    libm::ldexp(value as f64, -(i32::try_from(scale).unwrap_or(i32::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_to_the_nearest_integer_and_back() {
        assert_eq!(encode(-1.5, 4, 20).expect("fits"), -24);
        assert_eq!(encode(0.03, 4, 20).expect("fits"), 0);
        assert!((decode(encode(3.25, 20, 40).expect("fits"), 20) - 3.25).abs() < 1e-9);
    }

    #[test]
    fn refuses_what_does_not_fit() {
        assert!(encode(16.0, 4, 8).is_err());
        assert!(encode(f64::NAN, 4, 8).is_err());
        assert!(encode(f64::INFINITY, 4, 100).is_err());
    }
}
