//! Draws from the usual laws, alike on every machine.

use rand_core::Rng;

/// From 0 to below 1.
pub(super) fn uniform(rng: &mut impl Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// By Box and Muller.
pub(super) fn normal(rng: &mut impl Rng) -> f64 {
    let radius = libm::sqrt(-2.0 * libm::log(1.0 - uniform(rng)));
    radius * libm::cos(std::f64::consts::TAU * uniform(rng))
}

/// A count of the given rate: small rates by multiplying uniform draws, larger ones by the
/// transformed rejection PTRS (Hoermann, Insurance: Mathematics and Economics 12, 1993).
pub(super) fn poisson(rng: &mut impl Rng, rate: f64) -> f64 {
    if rate < 20.0 {
        let (end, mut product, mut count) = (libm::exp(-rate), uniform(rng), 0.0);
        while product > end {
            product *= uniform(rng);
            count += 1.0;
        }
        return count;
    }
    let b = 0.931 + 2.53 * libm::sqrt(rate);
    let a = -0.059 + 0.024_83 * b;
    let inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
    let near = 0.9277 - 3.6224 / (b - 2.0);
    loop {
        let u = uniform(rng) - 0.5;
        let v = uniform(rng);
        let us = 0.5 - u.abs();
        let count = libm::floor((2.0 * a / us + b) * u + rate + 0.43);
        if us >= 0.07 && v <= near {
            return count;
        }
        if count < 0.0 || (us < 0.013 && v > us) {
            continue;
        }
        let left = libm::log(v * inverse_alpha / (a / (us * us) + b));
        if left <= count * libm::log(rate) - rate - libm::lgamma(count + 1.0) {
            return count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    /// Mean and variance within five standard errors, on both sides of the change of method.
    #[test]
    fn counts_have_the_mean_and_the_variance_of_their_rate() {
        let mut rng = ChaCha20Rng::from_seed([3; 32]);
        for rate in [0.1, 3.0, 19.0, 21.0, 400.0, 1e6] {
            let n = 20_000.0;
            let draws: Vec<f64> = (0..20_000).map(|_| poisson(&mut rng, rate)).collect();
            let mean = draws.iter().sum::<f64>() / n;
            let variance = draws.iter().map(|c| (c - rate) * (c - rate)).sum::<f64>() / n;
            assert!((mean - rate).abs() < 5.0 * (rate / n).sqrt(), "{rate}: {mean}");
            let error = ((2.0 * rate * rate + rate) / n).sqrt();
            assert!((variance - rate).abs() < 5.0 * error, "{rate}: {variance}");
        }
    }
}
