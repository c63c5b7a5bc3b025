//! Zero-concentrated differential privacy (docs/protocols.md 16.5): what is spent is a number that adds up, an
//! integer number of units, and is turned into epsilon and delta for people.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Mul};

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::model::in_range;

/// Units in one rho: 2^40.
const UNITS: u64 = 1 << 40;
/// Values of epsilon that mean anything.
const EPSILON: (f64, f64) = (0.01, 50.0);
/// Values of delta that mean anything.
const DELTA: (f64, f64) = (1e-15, 1e-2);

/// A parameter of zero-concentrated differential privacy (Bun and Steinke 2016), in units of 2^-40: outputs that
/// have it add theirs up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rho(u64);

impl Rho {
    /// So many units of 2^-40.
    #[must_use]
    pub const fn units(units: u64) -> Self {
        Self(units)
    }

    /// In units of 2^-40.
    #[must_use]
    pub const fn in_units(self) -> u64 {
        self.0
    }

    /// As a number.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        self.0 as f64 / UNITS as f64
    }

    /// The largest that is (`epsilon`, `delta`)-differentially private by [`epsilon`], rounded down.
    ///
    /// # Errors
    /// [`Error::Field`] of `epsilon` or `delta` outside 0.01 to 50 and 1e-15 to 0.01.
    pub fn within(epsilon: f64, delta: f64) -> Result<Self, Error> {
        in_range("epsilon", epsilon, EPSILON.0, EPSILON.1)?;
        in_range("delta", delta, DELTA.0, DELTA.1)?;
        // rho is below its epsilon.
        let (mut within, mut beyond) = (0, (epsilon * UNITS as f64) as u64);
        while beyond - within > 1 {
            let middle = within + (beyond - within) / 2;
            if Self(middle).epsilon(delta) <= epsilon {
                within = middle;
            } else {
                beyond = middle;
            }
        }
        Ok(Self(within))
    }

    /// The epsilon that it is, with this delta.
    #[must_use]
    pub fn epsilon(self, delta: f64) -> f64 {
        epsilon(self.to_f64(), delta)
    }

    /// What is left of it after `spent`; nothing if that is more.
    #[must_use]
    pub fn saturating_sub(self, spent: Self) -> Self {
        Self(self.0.saturating_sub(spent.0))
    }

    /// This many hundredths of it, rounded down.
    #[must_use]
    pub fn hundredths(self, share: u64) -> Self {
        Self((u128::from(self.0) * u128::from(share) / 100) as u64)
    }

    /// An equal part of it for each of `parts`, rounded down.
    #[must_use]
    pub fn part(self, parts: u64) -> Self {
        Self(self.0 / parts.max(1))
    }

    /// The least parameter sigma^2 of discrete Gaussian noise by which a sum in which neighbours differ by a
    /// vector of a squared length of at most `squared` has this rho: squared / (2 rho), rounded up.
    ///
    /// # Errors
    /// [`Error::Settings`] when there is no such noise: rho is 0, or the length too large.
    pub fn noise(self, squared: u128) -> Result<u128, Error> {
        let units = u128::from(UNITS / 2);
        let sigma = squared.checked_mul(units).filter(|_| self.0 > 0);
        sigma.map(|product| product.div_ceil(u128::from(self.0))).ok_or_else(|| {
            Error::Settings(format!("no noise is {self} for sums that move by sqrt({squared})"))
        })
    }
}

impl Add for Rho {
    type Output = Self;

    /// At the end of the scale it stays there: more than anybody may spend.
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Mul<u64> for Rho {
    type Output = Self;

    fn mul(self, times: u64) -> Self {
        Self(self.0.saturating_mul(times))
    }
}

impl Sum for Rho {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}

impl fmt::Display for Rho {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rho {:.6}", self.to_f64())
    }
}

/// The epsilon with which whatever is `rho`-zCDP is (epsilon, `delta`)-differentially private: Canonne, Kamath and
/// Steinke 2020, proposition 12, at the best alpha that is found. Every alpha gives a true statement, so how well
/// it is searched is a question of accuracy alone.
#[must_use]
pub fn epsilon(rho: f64, delta: f64) -> f64 {
    if rho <= 0.0 {
        return 0.0;
    }
    // alpha = 1 + e^x.
    let at = |x: f64| {
        let over = libm::exp(x);
        let alpha = 1.0 + over;
        let lost = -libm::log(delta) + over * (x - libm::log1p(over)) - libm::log1p(over);
        alpha * rho + lost / over
    };
    const STEPS: i32 = 400;
    let grid = |step: i32| -12.0 + 40.0 * f64::from(step) / f64::from(STEPS);
    let best = (0..=STEPS).min_by(|a, b| at(grid(*a)).total_cmp(&at(grid(*b)))).unwrap_or(0);
    let (mut low, mut high) = (grid(best - 1), grid(best + 1));
    for _ in 0..80 {
        let (a, b) = (low + (high - low) / 3.0, high - (high - low) / 3.0);
        if at(a) < at(b) {
            high = b;
        } else {
            low = a;
        }
    }
    // Rounding of these few operations is far below one part in 10^12.
    (at(low) * (1.0 + 1e-12)).max(0.0)
}

/// The epsilon for a guarantee about replacing a row where `rho` is one about blanking it: such a pair of tables is
/// twice as far apart, which is four times rho.
#[must_use]
pub fn epsilon_of(rho: Rho, times: u64, delta: f64) -> f64 {
    (rho * (times * times)).epsilon(delta)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// rho, delta, epsilon of the Renyi accountant of dp-accounting 0.6.0 at orders in steps of 0.001, and of
    /// opendp 0.16.0 (`make_gaussian` by `make_zCDP_to_approxDP`).
    const PUBLISHED: [(f64, f64, f64, f64); 15] = [
        (0.0306, 1e-5, 1.000773, 1.000_772_738_029_937_4),
        (0.2242, 1e-5, 2.999631, 2.999_630_842_647_663_4),
        (1.2297, 1e-5, 7.999944, 7.999_943_724_407_976),
        (0.01, 1e-5, 0.545726, 0.545_725_548_274_002_5),
        (5.0, 1e-5, 19.047260, 19.047_259_552_325_187),
        (0.0306, 4e-7, 1.177869, 1.177_866_932_858_472_8),
        (0.2242, 4e-7, 3.459434, 3.459_433_900_613_578_6),
        (1.2297, 4e-7, 9.045118, 9.045_117_879_410_73),
        (0.01, 4e-7, 0.649641, 0.649_640_459_183_607_6),
        (5.0, 4e-7, 21.113712, 21.113_711_049_452_34),
        (0.0306, 1e-9, 1.453520, 1.453_519_108_753_527_3),
        (0.2242, 1e-9, 4.183316, 4.183_281_207_278_100_5),
        (1.2297, 1e-9, 10.702819, 10.702_818_519_863_722),
        (0.01, 1e-9, 0.810174, 0.810_174_467_867_534_3),
        (5.0, 1e-9, 24.405988, 24.405_987_557_559_385),
    ];

    #[test]
    fn epsilon_is_that_of_two_published_accountants() {
        for (rho, delta, accounting, opendp) in PUBLISHED {
            let own = epsilon(rho, delta);
            assert!((own - opendp).abs() < 1e-8, "{rho} {delta}: {own}, {opendp}");
            assert!(own <= accounting + 1e-6 && accounting - own < 1e-4, "{rho} {delta}: {own}");
        }
    }

    #[test]
    fn rho_is_the_largest_within_epsilon() {
        for (wanted, delta) in [(1.0, 1e-5), (3.0, 1e-5), (8.0, 1e-5), (0.01, 1e-15), (50.0, 1e-2)]
        {
            let rho = Rho::within(wanted, delta).expect("in range");
            assert!(rho.epsilon(delta) <= wanted);
            assert!((rho + Rho::units(1)).epsilon(delta) > wanted, "{wanted}: {rho}");
            assert!(rho.in_units() > 0, "{wanted}");
        }
        for (epsilon, delta, field) in
            [(0.0, 1e-5, "epsilon"), (f64::NAN, 1e-5, "epsilon"), (1.0, 0.5, "delta")]
        {
            let refused = Rho::within(epsilon, delta).expect_err("refused").to_string();
            assert!(refused.starts_with(field), "{refused}");
        }
    }

    #[test]
    fn noise_is_never_less_than_rho_asks_for() {
        for (units, squared) in [(UNITS, 8), (3, 5), (UNITS / 7, 1 << 60), (1, 1)] {
            let rho = Rho::units(units);
            let sigma = rho.noise(squared).expect("there is");
            // squared / (2 sigma^2) <= units 2^-40, and not with a unit of variance less.
            let spent = |sigma: u128| squared * u128::from(UNITS / 2) <= u128::from(units) * sigma;
            assert!(spent(sigma) && !spent(sigma - 1), "{units} {squared}: {sigma}");
        }
        assert!(Rho::units(0).noise(1).is_err());
        assert!(Rho::units(1).noise(u128::MAX / 2).is_err());
    }

    #[test]
    fn parts_are_never_more_than_the_whole() {
        let rho = Rho::within(3.0, 1e-5).expect("in range");
        let parts: Rho =
            (0..7).map(|_| rho.hundredths(75).part(7)).sum::<Rho>() + rho.hundredths(25);
        assert!(parts <= rho && rho.saturating_sub(parts) < Rho::units(16));
        // Replacing a row: epsilon 1, 3, 8 become 2.1, 6.6, 18.9.
        for (blank, replace) in [(1.0, 2.1), (3.0, 6.6), (8.0, 18.9)] {
            let rho = Rho::within(blank, 1e-5).expect("in range");
            assert!((epsilon_of(rho, 2, 1e-5) - replace).abs() < 0.06);
        }
    }
}
