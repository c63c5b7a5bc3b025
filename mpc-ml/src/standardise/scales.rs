//! The units in which a column is summed, from public facts.

use crate::error::Error;

/// The range that is assumed where the study declares none: +-2^31.
const DEFAULT_MAGNITUDE: u32 = 31;
/// Bits that a sum has at most, in its units, where the range is declared.
const SUM_DIGITS: i32 = 30;
/// Bits that a sum of squares has at most, in its units, where the range is declared.
const SQUARES_DIGITS: i32 = 40;
/// No unit is finer than 2^-100.
const MOST_FRACTION: i32 = 100;
/// No sum has more bits.
const SUM_BITS: i32 = 126;

/// The units of one column. No value is larger than 2^magnitude; sums count 2^-sum, sums of squares
/// 2^-squares, and either may be negative.
pub(super) struct Scales {
    magnitude: i32,
    sum: i32,
    squares: i32,
}

impl Scales {
    pub(super) fn new(range: Option<(f64, f64)>, rows: u64) -> Self {
        let magnitude = range.map_or(f64::from(DEFAULT_MAGNITUDE), |(low, high)| {
            libm::ceil(libm::log2(low.abs().max(high.abs()).max(f64::MIN_POSITIVE)))
        });
        let rows = rows.max(1).next_power_of_two().ilog2() as i32;
        // A narrow range needs no more than 2^-50 of it. In a wide one values are refused whose
        // squares would not fit: a sum that wraps would pass for a small deviation, and the encoded
        // column would be larger than the plans of all fits rely on.
        let most = ((SUM_BITS - rows) / 2 - 1).clamp(-50, 50);
        let magnitude = magnitude.clamp(-50.0, f64::from(most)) as i32;
        let (sum, squares) = (magnitude + rows, 2 * (magnitude + 1) + rows);
        let scale = |bits: i32, digits: i32| {
            if range.is_some() { digits - bits } else { (SUM_BITS - bits).clamp(0, MOST_FRACTION) }
        };
        Self { magnitude, sum: scale(sum, SUM_DIGITS), squares: scale(squares, SQUARES_DIGITS) }
    }

    /// No value is larger.
    pub(super) fn largest(&self) -> f64 {
        libm::ldexp(1.0, self.magnitude)
    }

    /// An own sum in units, to the nearest.
    pub(super) fn round_sum(&self, sum: f64) -> Result<i128, Error> {
        integer(libm::rint(libm::ldexp(sum, self.sum)))
    }

    /// An own sum of squares in units, rounded **up**: what the joint sum makes of the encoded
    /// column is then never larger than the plans rely on.
    pub(super) fn round_squares(&self, squares: f64) -> Result<i128, Error> {
        integer(libm::ceil(libm::ldexp(squares, self.squares)))
    }

    /// The sum that so many units are.
    pub(super) fn sum(&self, units: i128) -> f64 {
        libm::ldexp(units as f64, -self.sum)
    }

    /// The sum of squares that so many units are.
    pub(super) fn squares(&self, units: i128) -> f64 {
        libm::ldexp(units as f64, -self.squares)
    }

    /// A bound, in units, on the magnitude of the sum of `cells` cells of `parties` parties.
    pub(super) fn largest_sum(&self, cells: i128, parties: i128) -> f64 {
        cells as f64 * libm::ldexp(1.0, self.magnitude + self.sum) + parties as f64
    }

    /// A bound, in units, on the sum of the squares of `cells` cells of `parties` parties around a
    /// mean that is no larger than a value may be, but for its rounding.
    pub(super) fn largest_squares(&self, cells: i128, parties: i128) -> f64 {
        let most = libm::ldexp(1.0, 2 * (self.magnitude + 1) + self.squares);
        1.001 * cells as f64 * most + parties as f64
    }
}

fn integer(units: f64) -> Result<i128, Error> {
    if units.is_finite() && units.abs() < libm::ldexp(1.0, SUM_BITS) {
        return Ok(units as i128);
    }
    // Values were compared with the range before; what is left is a joint mean out of any range.
    Err(Error::Data("a sum of the own rows is too large".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value moves by at most twice the magnitude from the mean.
    #[test]
    fn no_sum_wraps() {
        for exponent in -80..=200 {
            let end = libm::ldexp(1.0, exponent);
            for rows in [1, 2, 1000, 1 << 24, 1 << 25, 1_000_000_000, 1 << 40] {
                for range in [None, Some((-end, end)), Some((0.0, end))] {
                    let scales = Scales::new(range, rows);
                    let (largest, rows) = (f64::from(scales.magnitude), (rows as f64).log2());
                    let sum = largest + rows + f64::from(scales.sum);
                    let squares = 2.0 * (largest + 1.0) + rows + f64::from(scales.squares);
                    assert!(sum <= 126.0 && squares <= 126.0, "{range:?}, 2^{rows} rows");
                    if range.is_some() {
                        assert!(sum <= 30.0 && squares <= 40.0, "{range:?}, 2^{rows} rows");
                    }
                }
            }
        }
    }

    #[test]
    fn squares_are_rounded_up_and_sums_to_the_nearest() {
        let scales = Scales::new(Some((0.0, 1.0)), 1);
        assert_eq!((scales.sum, scales.squares), (30, 38));
        let unit = libm::ldexp(1.0, -30);
        assert_eq!(scales.round_sum(2.4 * unit).unwrap(), 2);
        assert_eq!(scales.round_sum(-2.6 * unit).unwrap(), -3);
        let unit = libm::ldexp(1.0, -38);
        assert_eq!(scales.round_squares(2.1 * unit).unwrap(), 3);
        assert_eq!(scales.round_squares(0.0).unwrap(), 0);
        assert!(scales.round_squares(f64::NAN).is_err());
        assert!(scales.round_squares(1e300).is_err());
    }
}
