//! Cosine and sine of public angles, in integers, the same on every machine.
//!
//! The public factors of docs/protocols.md 5 multiply shares: one unit of difference between two
//! nodes' mathematics libraries, times a uniform share, would be garbage. So no float is used.

use std::sync::LazyLock;

/// An angle is a whole number of turns / 2^24.
pub const ANGLE_BITS: u32 = 24;

/// Cosine and sine have 30 fractional bits.
pub const FRACTION_BITS: u32 = 30;

const COARSE_BITS: u32 = 12;
const FINE_BITS: u32 = ANGLE_BITS - COARSE_BITS;

/// A full turn, 2 pi, at scale 2^60.
const TURN_Q60: i128 = 7_244_019_458_077_122_842;

/// (cos, sin) of i / 2^12 turns.
static COARSE: LazyLock<Vec<(i64, i64)>> = LazyLock::new(|| {
    // cos h and sin h for h = 2 pi / 2^12 by their Taylor series at scale 2^60, then the powers of
    // e^(ih): 4096 products leave an error far below one unit of 2^-30.
    let h = TURN_Q60 >> COARSE_BITS;
    let times = |a: i128, b: i128| (a * b + (1 << 59)) >> 60;
    let h2 = times(h, h);
    let one = 1i128 << 60;
    let cos_h = one - h2 / 2 + times(h2, h2) / 24 - times(times(h2, h2), h2) / 720;
    let sin_h = h - times(h, h2) / 6 + times(times(h, h2), h2) / 120;
    let (mut c, mut s) = (one, 0i128);
    let round = |v: i128| ((v + (1 << 29)) >> 30) as i64;
    (0..1 << COARSE_BITS)
        .map(|_| {
            let point = (round(c), round(s));
            (c, s) = (times(c, cos_h) - times(s, sin_h), times(s, cos_h) + times(c, sin_h));
            point
        })
        .collect()
});

/// Cosine and sine of `angle` / 2^24 turns, with 30 fractional bits, within two units.
///
/// Only for public angles and, at a dealer, for angles that it drew itself: the table look-up is
/// not constant-time.
#[must_use]
pub fn cosine_sine(angle: u32) -> (i64, i64) {
    let angle = angle & ((1 << ANGLE_BITS) - 1);
    let (c, s) = COARSE[(angle >> FINE_BITS) as usize];
    // The rest x is below 2 pi / 2^12: sin x = x - x^3/6 and cos x = 1 - x^2/2 at 30 bits.
    let fine = i64::from(angle & ((1 << FINE_BITS) - 1));
    let x = (fine * (TURN_Q60 >> 24) as i64 + (1 << 29)) >> 30;
    let x2 = x * x;
    let sin = x - ((x2 >> 30) * x) / (6 << 30);
    let cos = (1 << 30) - ((x2 + (1 << 30)) >> 31);
    let round = |v: i64| (v + (1 << 29)) >> 30;
    (round(c * cos - s * sin), round(s * cos + c * sin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_floating_point_everywhere() {
        for angle in (0..1u32 << 24).step_by(997).chain([0, 1 << 22, 1 << 23, (1 << 24) - 1]) {
            let (c, s) = cosine_sine(angle);
            let theta = f64::from(angle) / f64::from(1 << 24) * std::f64::consts::TAU;
            let unit = f64::from(1 << 30);
            assert!((c as f64 / unit - theta.cos()).abs() < 2.0 / unit, "cos at {angle}");
            assert!((s as f64 / unit - theta.sin()).abs() < 2.0 / unit, "sin at {angle}");
        }
    }

    /// Golden values: a change of one unit would make two versions of this crate incompatible.
    #[test]
    fn golden_values() {
        assert_eq!(cosine_sine(0), (1 << 30, 0));
        assert_eq!(cosine_sine(1 << 22), (0, 1 << 30));
        assert_eq!(cosine_sine(1 << 21), (759_250_125, 759_250_125));
    }
}
