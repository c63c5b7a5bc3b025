//! Probabilities of the normal, t, F and chi squared laws.
//!
//! The survival functions are those of `statrs`. Its quantiles lose digits where there are many
//! degrees of freedom, so quantiles are found here by halving an interval on the survival function.

use statrs::distribution::{ChiSquared, ContinuousCDF, FisherSnedecor, Normal, StudentsT};

/// The law of a coefficient by its standard error, if it is 0: t with these degrees of freedom, or
/// the normal law without.
fn beyond(statistic: f64, freedom: Option<u64>) -> f64 {
    let tail = match freedom {
        Some(freedom) => StudentsT::new(0.0, 1.0, freedom as f64).map(|law| law.sf(statistic)).ok(),
        None => Normal::new(0.0, 1.0).map(|law| law.sf(statistic)).ok(),
    };
    // The laws exist for every positive number of degrees of freedom.
    tail.unwrap_or(f64::NAN)
}

/// How likely a statistic as far from 0 is, on either side.
pub(crate) fn two_sided(statistic: f64, freedom: Option<u64>) -> f64 {
    (2.0 * beyond(statistic.abs(), freedom)).min(1.0)
}

/// The statistic that is exceeded with probability `tail` < 1/2.
pub(crate) fn quantile_beyond(tail: f64, freedom: Option<u64>) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while beyond(high, freedom) > tail {
        (low, high) = (high, 2.0 * high);
    }
    // Until the two are neighbours.
    loop {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            return high;
        }
        if beyond(middle, freedom) > tail { low = middle } else { high = middle }
    }
}

/// How likely an F as large is.
pub(crate) fn f_beyond(f: f64, numerator: u64, denominator: u64) -> f64 {
    FisherSnedecor::new(numerator as f64, denominator as f64).map_or(f64::NAN, |law| law.sf(f))
}

/// How likely a chi squared as large is.
pub(crate) fn chi_squared_beyond(chi_squared: f64, freedom: u64) -> f64 {
    ChiSquared::new(freedom as f64).map_or(f64::NAN, |law| law.sf(chi_squared))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn close(got: f64, expected: f64, tolerance: f64) {
        assert!((got / expected - 1.0).abs() < tolerance, "{got} instead of {expected}");
    }

    /// Against scipy 1.x (`stats.t.sf`, `norm.sf`, `f.sf`, `chi2.sf`).
    #[test]
    fn tails() {
        close(two_sided(12.4151, Some(815)), 1.541_305_101_246e-32, 1e-10);
        close(two_sided(-4.016_889_798, Some(6)), 0.006_983_476_618_022, 1e-10);
        close(two_sided(0.177_376_02, Some(6)), 0.865_049_555_078_488, 1e-10);
        close(two_sided(5.0, Some(1_000_000)), 5.733_997_870_890e-7, 1e-8);
        close(two_sided(5.0, None), 5.733_031_437_583e-7, 1e-9);
        close(two_sided(1.96, None), 0.049_995_790_296_440, 1e-9);
        close(f_beyond(330.285, 6, 9), 4.984_053_422_648e-10, 1e-10);
        close(f_beyond(175.5, 8, 815), 1.591_163_879_849e-171, 1e-9);
        close(chi_squared_beyond(600.0, 24), 2.371_374_453_455e-111, 1e-10);
        close(chi_squared_beyond(3.84, 1), 0.050_043_521_248_705, 1e-10);
        assert_eq!(two_sided(0.0, None), 1.0);
        assert_eq!(two_sided(1e9, None), 0.0);
    }

    #[test]
    fn quantiles() {
        close(quantile_beyond(0.025, Some(1)), 12.706_204_736_174_694, 1e-9);
        close(quantile_beyond(0.025, Some(6)), 2.446_911_851_144_978, 1e-10);
        close(quantile_beyond(0.025, Some(815)), 1.962_879_000_821_758, 1e-10);
        close(quantile_beyond(0.025, Some(1_000_000)), 1.959_966_356_814_107, 1e-8);
        close(quantile_beyond(0.025, None), 1.959_963_984_540_054, 1e-10);
    }
}
