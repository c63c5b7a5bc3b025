//! Reals of a sum as integers (docs/protocols.md 18.5).

use zeroize::Zeroizing;

use crate::error::Error;
use crate::ring::Z64;

/// Fractional bits of a value, before it is multiplied by its weight.
pub const FRACTION: u32 = 24;

/// The vector of a party of weight `weight` (its number of rows): weight x round(value 2^24), so that the sum over any
/// parties is the exact sum of the rounded values, each as often as its weight. `total` is the weight of all
/// parties.
///
/// # Errors
/// [`Error::Range`], which names the value by `name`, when one is not finite or so large that a sum could wrap. Nothing
/// is ever cut.
pub fn encode(
    values: &[f64],
    (weight, total): (u64, u64),
    name: impl Fn(usize) -> String,
) -> Result<Zeroizing<Vec<Z64>>, Error> {
    if weight > total || total == 0 {
        return Err(Error::internal("a weight above the weight of all"));
    }
    let most = (1u64 << 62) / total;
    let mut out = Zeroizing::new(Vec::with_capacity(values.len()));
    for (at, &value) in values.iter().enumerate() {
        let scaled = libm::round(libm::ldexp(value, FRACTION as i32));
        if !scaled.is_finite() {
            return Err(Error::Range(format!("{} of this party is not a finite number", name(at))));
        }
        if scaled.abs() > most as f64 {
            return Err(Error::Range(format!(
                "{} of this party is too large to be summed: beyond {:.3e} for {total} rows",
                name(at),
                libm::ldexp(most as f64, -(FRACTION as i32))
            )));
        }
        // Whole, and below 2^62.
        out.push(Z64((scaled as i64 as u64).wrapping_mul(weight)));
    }
    Ok(out)
}

/// The mean by weights of a sum over parties whose weights sum to `weight`.
#[must_use]
pub fn decode(sum: &[Z64], weight: u64) -> Vec<f64> {
    let scale = libm::ldexp(weight as f64, FRACTION as i32);
    sum.iter().map(|value| value.0 as i64 as f64 / scale).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(at: usize) -> String {
        format!("the change of column {at}")
    }

    proptest! {
        #[test]
        fn sums_are_exact(
            parts in proptest::collection::vec((1u64..1000, -1000.0f64..1000.0), 1..20)
        ) {
            let total = parts.iter().map(|part| part.0).sum();
            let mut sum = vec![Z64(0)];
            let mut exact = 0i128;
            for &(weight, value) in &parts {
                sum[0] += encode(&[value], (weight, total), name).unwrap()[0];
                exact += i128::from(weight) * libm::round(value * 16_777_216.0) as i128;
            }
            prop_assert_eq!(i128::from(sum[0].0 as i64), exact);
            let mean = exact as f64 / (total as f64 * 16_777_216.0);
            prop_assert!((decode(&sum, total)[0] - mean).abs() <= mean.abs() * 1e-15);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let refused = |value: f64, total| {
            encode(&[0.0, value], (1, total), name).expect_err("refused").to_string()
        };
        assert!(
            refused(f64::NAN, 1).contains("the change of column 1 of this party is not a finite")
        );
        assert!(refused(f64::NEG_INFINITY, 1).contains("column 1"));
        assert!(refused(1e300, 1).contains("too large"));
        // All parties at the bound together do not wrap; a little more is refused.
        let total = 1 << 20;
        let bound = libm::ldexp(1.0, 62 - 20 - 24);
        let most = encode(&[bound], (total, total), name).unwrap();
        assert_eq!(most[0].0 as i64, 1 << 62);
        assert!(refused(bound + 1.0, total).contains("too large"));
        assert!(encode(&[-bound - 1.0], (1, total), name).is_err());
    }
}
