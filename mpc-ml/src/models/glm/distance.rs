//! How finely the squared distance of a model from the optimum is revealed, and what it says
//! (docs/protocols.md 8.5).

/// The squared tolerance in units of a revealed squared distance.
const UNITS: f64 = 64.0;
/// Fractional bits of the squared distance of the first model, at most.
const FIRST_BITS: u32 = 14;
/// Rounding takes up to a unit a party.
const LEAST_UNITS: f64 = 8.0;

/// Fractional bits of the squared distance of model `at`: what the tolerance needs; and no more than
/// what tells how far the first model is, which is seldom the result.
pub(super) fn bits(tolerance: f64, at: u32) -> u32 {
    let bits = libm::ceil(libm::log2(UNITS / (tolerance * tolerance))) as u32;
    if at == 0 { bits.min(FIRST_BITS) } else { bits }
}

/// A distance from its square, which was revealed to so many fractional bits: no less than what these
/// can tell. A square is not negative but for rounding; one that has wrapped, or was bent, is.
pub(super) fn told(square: f64, tolerance: f64, bits: u32) -> f64 {
    let unit = libm::ldexp(1.0, -(bits as i32));
    let within = tolerance * tolerance;
    // A square that is told so coarsely is never within the tolerance.
    let coarse = unit * UNITS > within;
    let least = if coarse { (LEAST_UNITS * unit).max(1.001 * within) } else { 0.0 };
    if square < -within.max(LEAST_UNITS * unit) {
        f64::INFINITY
    } else {
        libm::sqrt(square.max(least))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_is_within_the_tolerance_only_where_that_can_be_told() {
        for tolerance in [1e-5, 1e-3, 0.02, 0.1] {
            for at in 0..3 {
                let bits = bits(tolerance, at);
                let within = |square: f64| told(square, tolerance, bits) <= tolerance;
                let square = tolerance * tolerance;
                let fine = at > 0 || tolerance > 0.07;
                assert_eq!(within(0.9 * square), fine, "{tolerance} {at}");
                assert_eq!(within(0.0), fine, "{tolerance} {at}");
                assert!(!within(1.1 * square));
                // No distance that another one is compared with is nothing.
                assert!(fine || told(0.0, tolerance, bits) > 0.02);
                for bent in [-0.9, -0.01] {
                    assert!(!within(bent - square), "{tolerance} {at} {bent}");
                }
            }
        }
    }
}
