//! Functions of a score as a line and waves (docs/protocols.md 17.5): what is public, in the clear.

use std::f64::consts::{PI, TAU};

/// Waves: odd multiples of the base frequency.
pub(super) const WAVES: usize = 32;
/// The logarithm of the period, and how far scores come: a little below a quarter of it.
pub(super) const PERIOD: u32 = 5;
const WINDOW: f64 = 7.5;
/// The narrowest window, and the widest that has waves enough, in scores to either side of the middle.
const NARROWEST: f64 = 1.0 / 16.0;
const WIDEST: f64 = 30.0;
/// Points of a quadrature.
const GRID: usize = 4096;
/// How fast waves fade out in the step of a ranking: their kernel has no second moment, so that what is smooth is
/// ranked as if they did not.
const FADING: f64 = 4.0;

/// How scores between two bounds are placed on the circle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Window {
    pub(super) middle: f64,
    /// What a unit of the score becomes.
    pub(super) stretch: f64,
}

/// A function of a score: `level` + `slope` u + the sum of its waves, u the placed score.
#[derive(Clone, Debug)]
pub(super) struct Smooth {
    pub(super) level: f64,
    pub(super) slope: f64,
    /// The coefficients of cosine and sine of each wave.
    pub(super) waves: Vec<(f64, f64)>,
}

impl Window {
    /// None where the bounds are too far apart.
    pub(super) fn between(low: f64, high: f64) -> Option<Self> {
        let half = ((high - low) / 2.0).max(NARROWEST);
        (half <= WIDEST).then(|| Self { middle: (low + high) / 2.0, stretch: WINDOW / half })
    }

    /// The function with this value and this derivative, as a function of the placed score. The line is taken off so
    /// that what is left goes on into its opposite at the ends of the half period, with its derivative.
    pub(super) fn smooth(&self, f: impl Fn(f64) -> f64, derivative: impl Fn(f64) -> f64) -> Smooth {
        let end = libm::ldexp(1.0, PERIOD as i32 - 2);
        let score = |u: f64| self.middle + u / self.stretch;
        let level = (f(score(end)) + f(score(-end))) / 2.0;
        let slope = (derivative(score(end)) + derivative(score(-end))) / (2.0 * self.stretch);
        let mut waves = vec![(0.0, 0.0); WAVES];
        for at in 0..GRID {
            let u = end * ((2 * at + 1) as f64 / GRID as f64 - 1.0);
            let rest = (f(score(u)) - level - slope * u) * 2.0 / GRID as f64;
            for (wave, (cosine, sine)) in waves.iter_mut().enumerate() {
                let angle = frequency(wave) * u;
                *cosine += rest * libm::cos(angle);
                *sine += rest * libm::sin(angle);
            }
        }
        Smooth { level, slope, waves }
    }
}

/// Scores between bounds so far apart are told apart from this difference on: one and a half half-lengths of the
/// shortest wave.
pub(super) fn resolution(width: f64) -> f64 {
    let half = (width / 2.0).max(NARROWEST);
    1.5 * libm::ldexp(1.0, PERIOD as i32) / (2 * WAVES) as f64 * half / WINDOW
}

/// Radians of a wave for a unit of a placed score.
pub(super) fn frequency(wave: usize) -> f64 {
    TAU * (2 * wave + 1) as f64 / libm::ldexp(1.0, PERIOD as i32)
}

/// The sines of the step from -1 to 1 at 0, as far as waves go.
pub(super) fn step() -> Vec<f64> {
    let of = |wave: usize| {
        let k = (2 * wave + 1) as f64;
        let part = k / (2 * WAVES) as f64;
        4.0 / (PI * k) * libm::exp(-FADING * part * part * part * part)
    };
    (0..WAVES).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_of_a_score_are_lines_and_waves() {
        let loss = |z: f64| z.max(0.0) + libm::log1p(libm::exp(-z.abs()));
        let mean = |z: f64| 1.0 / (1.0 + libm::exp(-z));
        for (low, high, most) in [
            (-3.0, 2.0, 2e-5),
            (-8.0, 8.0, 5e-5),
            (-9.0, -7.0, 1e-6),
            (-30.0, 30.0, 1e-3),
            (0.5, 0.5, 1e-6),
        ] {
            let window = Window::between(low, high).expect("is narrow enough");
            let smooth = window.smooth(loss, mean);
            for at in 0..=100 {
                let z = low + (high - low) * f64::from(at) / 100.0;
                let u = (z - window.middle) * window.stretch;
                assert!(u.abs() <= WINDOW + 1e-9);
                let waves = smooth.waves.iter().enumerate().map(|(wave, (cosine, sine))| {
                    let angle = frequency(wave) * u;
                    cosine * libm::cos(angle) + sine * libm::sin(angle)
                });
                let value = smooth.level + smooth.slope * u + waves.sum::<f64>();
                assert!((value - loss(z)).abs() < most, "{z}: {value} for {}", loss(z));
            }
        }
        assert!(Window::between(-31.0, 30.0).is_none());
    }

    /// Scores further apart than the resolution are ranked to some hundredths, equal ones count half.
    #[test]
    fn a_step_is_a_step_but_near_it() {
        let step = step();
        let at = |d: f64| {
            let waves = step.iter().enumerate().map(|(wave, c)| c * libm::sin(frequency(wave) * d));
            waves.sum::<f64>()
        };
        assert!(at(0.0).abs() < 1e-12);
        assert!((resolution(15.0) - 0.75).abs() < 1e-12);
        for tenth in 8..=150 {
            let d = f64::from(tenth) / 10.0;
            let off = (at(d) - 1.0).abs();
            assert!(off < if tenth < 20 { 0.02 } else { 0.002 }, "{d}: {}", at(d));
            assert!((at(d) + at(-d)).abs() < 1e-12);
        }
    }
}
