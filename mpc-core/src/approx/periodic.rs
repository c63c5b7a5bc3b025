//! Series of all multiples of the base frequency, for functions that are not odd or even about
//! the quarter period: positive everywhere, as the weights of a Hessian have to be
//! (docs/protocols.md 8).

use super::fit::solve;
use super::series::{Series, Term};

/// A constant and a series, and what is proven or measured of their sum.
#[derive(Clone, Debug)]
pub struct PeriodicFit {
    /// The terms, with integer coefficients.
    pub series: Series,
    /// The constant, at the scale of the coefficients.
    pub constant: i64,
    /// The largest error on the window.
    pub error: f64,
    /// The largest error on the window in relation to the function.
    pub relative: f64,
    /// No value of constant and series is smaller: a bound, for exact phasors.
    pub least: f64,
    /// No value of constant and series is larger: a bound, for exact phasors.
    pub largest: f64,
}

/// Points of the grid on a period.
const GRID: usize = 4096;
/// Keeps the coefficients of an exponential small, in relation to the mean square of its columns.
const RIDGE: f64 = 1e-12;

impl PeriodicFit {
    /// Fits cosines of the multiples 1 to `terms` to an even `f`, that is as good as zero at half
    /// the period 2^`period`, on the whole period.
    #[must_use]
    pub fn bell(f: impl Fn(f64) -> f64, period: u32, terms: u32, fraction: u32) -> Self {
        let p = libm::ldexp(1.0, period as i32);
        let at = |i: usize| p * (i as f64 / GRID as f64 - 0.5);
        let values: Vec<f64> = (0..GRID).map(|i| f(at(i))).collect();
        // The cosines are orthogonal on the grid.
        let project = |k: u32| {
            let sum: f64 = values
                .iter()
                .enumerate()
                .map(|(i, value)| value * libm::cos(angle(k, at(i), p)))
                .sum();
            (sum / GRID as f64, 0.0)
        };
        let coefficients: Vec<(f64, f64)> = (0..=terms).map(project).collect();
        Self::of(&coefficients, period, fraction, &f, p / 2.0, false)
    }

    /// Fits e^z on |z - `centre`| <= `halfwidth`, as a function of z - centre, by the *square* of
    /// a series of `terms` / 2 multiples: so it is positive everywhere, but for the rounding of
    /// its coefficients. The period is the power of two from three half widths on.
    #[must_use]
    pub fn exponential(centre: f64, halfwidth: f64, terms: u32, fraction: u32) -> Self {
        let period = libm::ceil(libm::log2(3.0 * halfwidth)).max(0.0) as u32;
        let p = libm::ldexp(1.0, period as i32);
        let half = (terms / 2).max(1) as usize;
        let columns = 2 * half + 1;
        let row = |z: f64| -> Vec<f64> {
            let waves = (1..=half as u32)
                .flat_map(|k| [libm::cos(angle(k, z, p)), libm::sin(angle(k, z, p))]);
            std::iter::once(1.0).chain(waves).collect()
        };
        let f = |z: f64| libm::exp((centre + z) / 2.0);
        let root = least_squares(&row, &f, halfwidth, columns);
        // The square has twice as many multiples, so its projection on them is exact.
        let at = |i: usize| p * i as f64 / GRID as f64;
        let squares: Vec<f64> = (0..GRID)
            .map(|i| {
                let value: f64 = row(at(i)).iter().zip(&root).map(|(a, b)| a * b).sum();
                value * value
            })
            .collect();
        let coefficients: Vec<(f64, f64)> = (0..=2 * half as u32)
            .map(|k| {
                let (mut cosine, mut sine) = (0.0, 0.0);
                for (i, value) in squares.iter().enumerate() {
                    cosine += value * libm::cos(angle(k, at(i), p));
                    sine += value * libm::sin(angle(k, at(i), p));
                }
                (cosine / GRID as f64, sine / GRID as f64)
            })
            .collect();
        let exact = |z| libm::exp(centre + z);
        Self::of(&coefficients, period, fraction, &exact, halfwidth, true)
    }

    /// Fits `f` on |z| <= `halfwidth` by all multiples up to `terms`, by least squares with a ridge
    /// that keeps the coefficients small. `halfwidth` is less than half the period 2^`period`.
    #[must_use]
    pub fn window(
        f: impl Fn(f64) -> f64,
        halfwidth: f64,
        period: u32,
        terms: u32,
        fraction: u32,
    ) -> Self {
        let p = libm::ldexp(1.0, period as i32);
        let waves = |z: f64| -> Vec<f64> {
            let pairs =
                (1..=terms).flat_map(|k| [libm::cos(angle(k, z, p)), libm::sin(angle(k, z, p))]);
            std::iter::once(1.0).chain(pairs).collect()
        };
        let solution = least_squares(&waves, &f, halfwidth, 2 * terms as usize + 1);
        let pairs = solution[1..].chunks_exact(2).map(|pair| (pair[0] / 2.0, pair[1] / 2.0));
        let coefficients: Vec<_> = std::iter::once((solution[0], 0.0)).chain(pairs).collect();
        Self::of(&coefficients, period, fraction, &f, halfwidth, false)
    }

    /// Rounds the projections of a function on the multiples, and measures what that gives.
    fn of(
        projections: &[(f64, f64)],
        period: u32,
        fraction: u32,
        f: &dyn Fn(f64) -> f64,
        halfwidth: f64,
        square: bool,
    ) -> Self {
        let unit = libm::ldexp(1.0, fraction as i32);
        let integer = |c: f64| libm::rint(c * unit) as i64;
        let terms: Vec<Term> = (1u32..)
            .zip(&projections[1..])
            .map(|(k, &(cosine, sine))| Term {
                k,
                sine: integer(2.0 * sine),
                cosine: integer(2.0 * cosine),
            })
            .collect();
        let constant = integer(projections[0].0);
        let series = Series { period, fraction, terms };
        let value = |z: f64| series.value(z) + constant as f64 / unit;

        let window = |i: usize| halfwidth * (2.0 * i as f64 / GRID as f64 - 1.0);
        let errors = (0..=GRID).map(|i| {
            let (exact, error) = (f(window(i)), (value(window(i)) - f(window(i))).abs());
            (error, error / exact)
        });
        let (error, relative) =
            errors.fold((0.0f64, 0.0f64), |(e, r), (error, part)| (e.max(error), r.max(part)));
        let p = libm::ldexp(1.0, period as i32);
        let values = || (0..GRID).map(|i| value(p * i as f64 / GRID as f64));
        // At a largest or smallest value the slope is zero, so the nearest point of the grid is off
        // by at most this, of the steepest curvature.
        let curvature: f64 = series
            .terms
            .iter()
            .map(|t| f64::from(t.k * t.k) * ((t.sine.abs() + t.cosine.abs()) as f64) / unit)
            .sum();
        let step = std::f64::consts::TAU / GRID as f64 / 2.0;
        let between = curvature * step * step / 2.0;
        let largest = values().fold(f64::NEG_INFINITY, f64::max) + between;
        let least = if square {
            // A cosine or sine is rounded by half a unit, so what was positive stays above this.
            -((2 * series.terms.len() + 1) as f64) / unit / 2.0
        } else {
            values().fold(f64::INFINITY, f64::min) - between
        };
        Self { series, constant, error, relative, least, largest }
    }
}

/// The combination of `columns` functions that is next to `f` on |z| <= `halfwidth`.
fn least_squares(
    functions: &dyn Fn(f64) -> Vec<f64>,
    f: &dyn Fn(f64) -> f64,
    halfwidth: f64,
    columns: usize,
) -> Vec<f64> {
    let mut matrix = vec![vec![0.0; columns]; columns];
    let mut right = vec![0.0; columns];
    for i in 0..GRID {
        let z = halfwidth * (2.0 * (i as f64 + 0.5) / GRID as f64 - 1.0);
        let (row, value) = (functions(z), f(z));
        for a in 0..columns {
            for b in 0..columns {
                matrix[a][b] += row[a] * row[b] / GRID as f64;
            }
            right[a] += row[a] * value / GRID as f64;
        }
    }
    let trace: f64 = (0..columns).map(|i| matrix[i][i]).sum();
    for (i, row) in matrix.iter_mut().enumerate() {
        row[i] += RIDGE * trace / columns as f64;
    }
    solve(matrix, right)
}

fn angle(k: u32, z: f64, period: f64) -> f64 {
    std::f64::consts::TAU * f64::from(k) * z / period
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exponential_is_exact_on_its_window_and_positive_everywhere() {
        for (centre, halfwidth, period) in [(1.0, 4.0, 4), (0.0, 3.0, 4), (-1.0, 2.5, 3)] {
            let fit = PeriodicFit::exponential(centre, halfwidth, 24, 20);
            assert_eq!(fit.series.period, period);
            let top = libm::exp(centre + halfwidth);
            assert!(fit.error < 1e-5 * top, "{} of {top}", fit.error);
            assert!(fit.relative < 2e-4, "{}", fit.relative);
            assert!(fit.largest < 5.0 * top, "{} of {top}", fit.largest);
            assert!(fit.least > -1e-4, "{}", fit.least);
        }
    }

    /// What a fit takes for rates within e of what their owner expects: errors in relation to the
    /// rate, and coefficients that do not grow.
    #[test]
    fn few_multiples_follow_an_exponential_on_a_small_window() {
        for (terms, relative) in [(5, 1e-3), (6, 2e-4), (8, 1e-5)] {
            let fit = PeriodicFit::window(libm::exp, 1.0, 2, terms, 24);
            assert!(fit.relative < relative, "{terms}: {}", fit.relative);
            let size: f64 =
                fit.series.terms.iter().map(|t| libm::hypot(t.sine as f64, t.cosine as f64)).sum();
            assert!(size < 4.0 * libm::ldexp(1.0, 24), "{terms}: {size}");
        }
    }

    #[test]
    fn a_bell_is_exact_on_the_whole_period() {
        let f = |z: f64| {
            let p = 1.0 / (1.0 + libm::exp(-z));
            p * (1.0 - p)
        };
        let fit = PeriodicFit::bell(f, 6, 31, 20);
        assert!(fit.error < 2e-4, "{}", fit.error);
        assert!(fit.least > -2e-4 && fit.largest < 0.2505, "{} {}", fit.least, fit.largest);
    }
}
