//! Discrete Gaussian noise, exactly and on integers only (docs/protocols.md 16.2).
//!
//! The algorithms are those of Canonne, Kamath and Steinke, *The Discrete Gaussian for Differential
//! Privacy* (NeurIPS 2020): every decision is a Bernoulli trial with a rational probability, made of uniform
//! integers. No floating point, whose gaps would show which value lies under the noise (Mironov, CCS 2012).
//!
//! # Security
//! How long a draw takes depends on what is drawn, a little. So who adds noise to a secret draws all that a
//! run needs before the first message that carries any of it.

use std::fmt;

use zeroize::Zeroize;

use crate::error::Error;
use crate::rand::{Coins, MaskDomain, MaskSite, Prg};
use crate::ring::Z64;

/// The streams that noise is made of.
const NOISE: MaskDomain = MaskDomain::new("discrete gaussian noise");
/// Words that are taken from the stream at a time.
const BLOCK: usize = 64;
/// The largest variance: all numerators and denominators then fit 128 bits.
const MOST_VARIANCE: u128 = 1 << 80;
/// The largest one that may be any integer.
const MOST_EXACT: u128 = 1 << 40;
/// No geometric number above this is kept. It has a probability of e^-100000.
const MOST_STEPS: u64 = 100_000;

/// A stream of uniform integers, from the coins of whoever adds the noise. Never printed.
pub struct NoiseStream {
    prg: Prg,
    words: Vec<u64>,
}

impl NoiseStream {
    /// A new stream.
    pub fn new(coins: &mut Coins) -> Self {
        Self { prg: Prg::new(&coins.seed("noise"), MaskSite::from(NOISE)), words: Vec::new() }
    }

    fn word(&mut self) -> u64 {
        loop {
            if let Some(word) = self.words.pop() {
                return word;
            }
            self.words.extend(self.prg.elements::<Z64>(BLOCK, 64).iter().map(|word| word.0));
        }
    }

    /// Uniform in [0, `below`), by rejection; `below` is at least 1.
    fn below(&mut self, below: u128) -> u128 {
        let bits = 128 - (below - 1).leading_zeros();
        if bits == 0 {
            return 0;
        }
        loop {
            let low = u128::from(self.word());
            let high = if bits > 64 { u128::from(self.word()) } else { 0 };
            let value = (high << 64 | low) >> (if bits > 64 { 128 - bits } else { 0 });
            let value = if bits < 64 { value >> (64 - bits) } else { value };
            if value < below {
                return value;
            }
        }
    }

    /// True with probability `numerator` / `denominator`, at most 1.
    fn bernoulli(&mut self, numerator: u128, denominator: u128) -> bool {
        self.below(denominator) < numerator
    }

    /// True with probability exp(-`numerator` / `denominator`), an exponent from 0 to 1 (algorithm 1).
    fn exp_below_one(&mut self, numerator: u128, denominator: u128) -> bool {
        let mut k = 1;
        while self.bernoulli(numerator, denominator * k) {
            k += 1;
        }
        k % 2 == 1
    }

    /// The same for any exponent from 0.
    fn exp(&mut self, numerator: u128, denominator: u128) -> bool {
        for _ in 0..numerator / denominator {
            if !self.exp_below_one(1, 1) {
                return false;
            }
        }
        self.exp_below_one(numerator % denominator, denominator)
    }

    /// How often in a row an event of probability 1/e happens.
    fn geometric(&mut self) -> u64 {
        let mut steps = 0;
        while steps < MOST_STEPS && self.exp_below_one(1, 1) {
            steps += 1;
        }
        steps
    }

    /// A discrete Laplace number: x has a probability in proportion to exp(-|x| / `scale`) (algorithm 2).
    fn laplace(&mut self, scale: u64) -> (u64, bool) {
        loop {
            let low = loop {
                let low = self.below(u128::from(scale));
                if self.exp_below_one(low, u128::from(scale)) {
                    break low as u64;
                }
            };
            let magnitude = low + scale * self.geometric();
            let negative = self.word() >> 63 == 1;
            if magnitude != 0 || !negative {
                return (magnitude, negative);
            }
        }
    }
}

impl Drop for NoiseStream {
    fn drop(&mut self) {
        self.words.zeroize();
    }
}

impl fmt::Debug for NoiseStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NoiseStream([redacted])")
    }
}

/// The law of an integer x with a probability in proportion to exp(-x^2 / (2 sigma^2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiscreteGaussian {
    /// The scale of the Laplace numbers that are accepted or not, near sigma.
    scale: u64,
    /// sigma^2; a multiple of `scale` where it is large.
    parameter: u128,
    /// Distances are integers in units of one over this: so the exponents are of integers below 2^126.
    unit: u64,
}

impl DiscreteGaussian {
    /// The law whose sigma^2 is `parameter`, up to 2^40; above that the least multiple of its integer root that is not smaller, less
    /// than one part in 10^6 more.
    ///
    /// # Errors
    /// When `parameter` is 0, or above 2^80.
    pub fn at_least(parameter: u128) -> Result<Self, Error> {
        if parameter == 0 || parameter > MOST_VARIANCE {
            return Err(Error::internal(format!("noise with the parameter {parameter}")));
        }
        let scale = parameter.isqrt();
        let exact = parameter <= MOST_EXACT;
        let (parameter, unit) =
            if exact { (parameter, scale) } else { (parameter.div_ceil(scale) * scale, 1) };
        Ok(Self { scale: scale as u64, parameter, unit: unit as u64 })
    }

    /// sigma^2. The variance is a little smaller, by less than one part in 10^6 from sigma = 1 on.
    #[must_use]
    pub fn parameter(&self) -> u128 {
        self.parameter
    }

    /// The next number (algorithm 3).
    pub fn draw(&self, from: &mut NoiseStream) -> i64 {
        let unit = u128::from(self.unit);
        // sigma^2 / t, t the scale, in units: below 2^41.
        let shift = self.parameter / u128::from(self.scale / self.unit);
        let twice = 2 * self.parameter * unit * unit;
        loop {
            let (magnitude, negative) = from.laplace(self.scale);
            let distance = (u128::from(magnitude) * unit).abs_diff(shift);
            // exp(-(|y| - sigma^2 / t)^2 / (2 sigma^2)).
            if from.exp(distance * distance, twice) {
                let magnitude = magnitude as i64;
                return if negative { -magnitude } else { magnitude };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rand::Seed;

    fn stream(name: &str) -> NoiseStream {
        NoiseStream::new(&mut Coins::of(Seed::from_secret("test", &[name.as_bytes()])))
    }

    /// The sum over all integers of exp(-x^2 / (2 sigma^2)), and the probability of each |x| below `most`.
    fn law(parameter: f64, most: i64) -> Vec<f64> {
        let weight = |x: i64| (-((x * x) as f64) / (2.0 * parameter)).exp();
        let total: f64 = (-400..=400).map(weight).sum();
        (-most..=most).map(|x| weight(x) / total).collect()
    }

    /// The squares of (seen - expected) / sqrt(expected), and the number of cells, of those with 5 or more.
    fn chi_square(seen: &[u64], expected: &[f64]) -> (f64, f64) {
        let cells = seen.iter().zip(expected).filter(|(_, expected)| **expected >= 5.0);
        cells.fold((0.0, 0.0), |(sum, cells), (&seen, &expected)| {
            (sum + (seen as f64 - expected).powi(2) / expected, cells + 1.0)
        })
    }

    // The streams are fixed, so these tests have one outcome: the limits (six deviations of a chi-square) say that it
    // was no lucky one.
    #[test]
    fn it_has_its_law() {
        for parameter in [1, 2, 3, 7, 25, 47, 110] {
            let law_of = DiscreteGaussian::at_least(parameter).expect("in range");
            let mut stream = stream("law");
            let (draws, most) = (60_000, 60);
            let mut seen = vec![0; 2 * most as usize + 1];
            for _ in 0..draws {
                seen[(law_of.draw(&mut stream) + most) as usize] += 1;
            }
            let law = law(law_of.parameter() as f64, most);
            let expected: Vec<f64> = law.iter().map(|p| p * f64::from(draws)).collect();
            let (sum, cells) = chi_square(&seen, &expected);
            let z = (sum - cells) / (2.0 * cells).sqrt();
            assert!(z.abs() < 6.0, "sigma^2 = {parameter}: {sum} for {cells} cells");
            // A variance that is off by a tenth is seen.
            let other = self::law(law_of.parameter() as f64 * 1.1, most);
            let expected: Vec<f64> = other.iter().map(|p| p * f64::from(draws)).collect();
            let (sum, cells) = chi_square(&seen, &expected);
            assert!((sum - cells) / (2.0 * cells).sqrt() > 6.0, "sigma^2 = {parameter}");
        }
    }

    #[test]
    fn large_parameters_have_their_moments() {
        for bits in [39, 40, 58, 80] {
            let law = DiscreteGaussian::at_least(1 << bits).expect("in range");
            let sigma = (law.parameter() as f64).sqrt();
            let mut stream = stream("large");
            let draws: Vec<f64> =
                (0..20_000).map(|_| law.draw(&mut stream) as f64 / sigma).collect();
            let mean = |of: &dyn Fn(f64) -> f64| {
                draws.iter().map(|&x| of(x)).sum::<f64>() / draws.len() as f64
            };
            // Deviations of these means: 0.0071, 0.01, 0.069, 0.0033.
            assert!(mean(&|x| x).abs() < 0.04, "{bits}");
            assert!((mean(&|x| x * x) - 1.0).abs() < 0.05, "{bits}");
            assert!((mean(&|x| x.powi(4)) - 3.0).abs() < 0.4, "{bits}");
            assert!((mean(&|x| f64::from(x.abs() < 1.0)) - 0.682_69).abs() < 0.02, "{bits}");
        }
    }

    #[test]
    fn parts_have_their_probabilities() {
        let mut stream = stream("parts");
        let mut share = |of: &dyn Fn(&mut NoiseStream) -> bool| {
            (0..40_000).filter(|_| of(&mut stream)).count() as f64 / 40_000.0
        };
        for (numerator, denominator) in [(0, 1), (1, 3), (1, 1), (7, 2), (5, 1 << 70)] {
            let p = (-(numerator as f64) / denominator as f64).exp();
            let seen = share(&|stream| stream.exp(numerator, denominator));
            assert!((seen - p).abs() < 0.015, "exp(-{numerator}/{denominator}): {seen}");
        }
        for below in [1_u128, 3, 5, 1 << 64, (1 << 64) + 1, 3 << 90] {
            let half = share(&|stream| stream.below(below) < below.div_ceil(2));
            let p = below.div_ceil(2) as f64 / below as f64;
            assert!((half - p).abs() < 0.015, "{below}: {half}");
        }
    }

    #[test]
    fn the_parameter_is_never_smaller_than_asked_for() {
        for asked in
            (1..300).chain([1 << 40, (1 << 40) + 1, (1 << 80) - 1, 1 << 80, (1 << 63) + 12345])
        {
            let law = DiscreteGaussian::at_least(asked).expect("in range");
            let extra = law.parameter() - asked;
            let most = if asked <= 1 << 40 { 0 } else { asked.isqrt() };
            assert!(law.parameter() >= asked && extra <= most, "{asked}: {extra}");
        }
        assert!(DiscreteGaussian::at_least(0).is_err());
        assert!(DiscreteGaussian::at_least((1 << 80) + 1).is_err());
    }

    #[test]
    fn draws_follow_from_the_coins() {
        let law = DiscreteGaussian::at_least(1 << 50).expect("in range");
        let draw = |name| {
            let mut stream = stream(name);
            (0..20).map(|_| law.draw(&mut stream)).collect::<Vec<_>>()
        };
        assert_eq!(draw("one"), draw("one"));
        assert_ne!(draw("one"), draw("two"));
        let mut coins = Coins::of(Seed::from_secret("test", &[b"one"]));
        let first = law.draw(&mut NoiseStream::new(&mut coins));
        assert_ne!(first, law.draw(&mut NoiseStream::new(&mut coins)));
        assert_eq!(format!("{:?}", stream("one")), "NoiseStream([redacted])");
    }
}
