//! Series of all multiples of the base frequency, for functions that are not odd or even about
//! the quarter period (docs/protocols.md 8.3).

use super::fit::solve;
use super::series::{Series, Term};

/// A constant and a series, and how well they follow a function.
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
}

/// Points of the grid on the window.
const GRID: usize = 4096;
/// Keeps the coefficients small, in relation to the mean square of the waves.
const RIDGE: f64 = 1e-12;

impl PeriodicFit {
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
        let point = |i: f64| halfwidth * (2.0 * i / GRID as f64 - 1.0);
        let columns = 2 * terms as usize + 1;
        let mut matrix = vec![vec![0.0; columns]; columns];
        let mut right = vec![0.0; columns];
        for i in 0..GRID {
            let z = point(i as f64 + 0.5);
            let (row, value) = (waves(z), f(z));
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
        let solution = solve(matrix, right);

        let unit = libm::ldexp(1.0, fraction as i32);
        let integer = |c: f64| libm::rint(c * unit) as i64;
        let pairs = (1u32..).zip(solution[1..].chunks_exact(2));
        let terms =
            pairs.map(|(k, pair)| Term { k, sine: integer(pair[1]), cosine: integer(pair[0]) });
        let series = Series { period, fraction, terms: terms.collect() };
        let constant = integer(solution[0]);
        let (mut error, mut relative) = (0.0f64, 0.0f64);
        for i in 0..=GRID {
            let exact = f(point(i as f64));
            let off = (series.value(point(i as f64)) + constant as f64 / unit - exact).abs();
            (error, relative) = (error.max(off), relative.max(off / exact));
        }
        Self { series, constant, error, relative }
    }
}

fn angle(k: u32, z: f64, period: f64) -> f64 {
    std::f64::consts::TAU * f64::from(k) * z / period
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a fit takes for rates within e of what their owner expects: errors in relation to the
    /// rate, and coefficients that do not grow.
    #[test]
    fn few_multiples_follow_an_exponential_on_a_small_window() {
        for (terms, relative) in [(5, 1e-3), (6, 2e-4), (8, 1e-5)] {
            let fit = PeriodicFit::window(libm::exp, 1.0, 2, terms, 24);
            assert!(fit.relative < relative, "{terms}: {}", fit.relative);
            assert!(fit.error <= fit.relative * std::f64::consts::E * 1.001);
            let size: f64 =
                fit.series.terms.iter().map(|t| libm::hypot(t.sine as f64, t.cosine as f64)).sum();
            assert!(size < 4.0 * libm::ldexp(1.0, 24), "{terms}: {size}");
        }
    }
}
