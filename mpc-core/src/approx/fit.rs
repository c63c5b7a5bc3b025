//! Fitting a trigonometric series to a function on a window.
//!
//! A function that is odd, or even, is fitted by odd multiples of the base frequency on the
//! quarter period |z| <= P/4: such a series is symmetric about P/4, so it bends back smoothly
//! outside (docs/protocols.md 5). All arithmetic is in `libm`'s portable functions and in IEEE
//! basic operations, so that every machine gets the same coefficients.

use super::series::{Series, Term};

/// What kind of function is fitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symmetry {
    /// f(-z) = -f(z): sines of odd multiples.
    Odd,
    /// f(-z) = f(z): cosines of odd multiples.
    Even,
}

/// How the points of the window count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weighting {
    /// All alike: for optima, where the largest error counts.
    Plain,
    /// More towards small |z|, where most arguments of a fitted model lie: for SGD.
    Weighted,
}

/// A fitted series and how well it fits.
#[derive(Clone, Debug)]
pub struct Fit {
    /// The series, with integer coefficients.
    pub series: Series,
    /// The largest error for |z| < P/16.
    pub error_near: f64,
    /// The largest error for |z| <= P/4.
    pub error_window: f64,
    /// The largest magnitude of the series anywhere: a bound, with the slack of the grid added.
    pub largest: f64,
}

/// Points of the grid on the quarter period.
const GRID: usize = 4096;

/// Fits `terms` terms to `f` on |z| <= P/4, P = 2^`period`, with coefficients of `fraction`
/// fractional bits.
pub fn fit(
    f: impl Fn(f64) -> f64,
    symmetry: Symmetry,
    period: u32,
    terms: usize,
    weighting: Weighting,
    fraction: u32,
) -> Fit {
    let p = libm::ldexp(1.0, period as i32);
    let basis = |k: usize, z: f64| {
        let angle = std::f64::consts::TAU * (2 * k + 1) as f64 * z / p;
        if symmetry == Symmetry::Odd { libm::sin(angle) } else { libm::cos(angle) }
    };
    let points: Vec<f64> = (0..GRID).map(|i| p / 4.0 * (i as f64 + 0.5) / GRID as f64).collect();
    let weight = |z: f64| match weighting {
        Weighting::Plain => 1.0,
        Weighting::Weighted => {
            let near = 1.0 + (16.0 * z / p) * (16.0 * z / p);
            1.0 / (near * near * near.sqrt())
        }
    };

    // The normal equations; the sines are orthogonal on the quarter period, so even the weighted
    // ones are far from singular.
    let mut matrix = vec![vec![0.0; terms]; terms];
    let mut right = vec![0.0; terms];
    for &z in &points {
        let row: Vec<f64> = (0..terms).map(|k| basis(k, z)).collect();
        let (w, y) = (weight(z), f(z));
        for i in 0..terms {
            for j in 0..terms {
                matrix[i][j] += w * row[i] * row[j];
            }
            right[i] += w * row[i] * y;
        }
    }
    let coefficients = solve(matrix, right);

    let unit = libm::ldexp(1.0, fraction as i32);
    let terms = coefficients
        .iter()
        .enumerate()
        .map(|(i, c)| {
            let (k, c) = ((2 * i + 1) as u32, libm::rint(c * unit) as i64);
            match symmetry {
                Symmetry::Odd => Term { k, sine: c, cosine: 0 },
                Symmetry::Even => Term { k, sine: 0, cosine: c },
            }
        })
        .collect();
    let series = Series { period, fraction, terms };

    let error_up_to = |limit: f64| {
        points
            .iter()
            .filter(|&&z| z <= limit)
            .map(|&z| (series.value(z) - f(z)).abs())
            .fold(0.0, f64::max)
    };
    // Between two grid points the series moves by at most half a step times its steepest slope.
    let slope: f64 = series
        .terms
        .iter()
        .map(|t| f64::from(t.k) * ((t.sine.abs() + t.cosine.abs()) as f64) / unit)
        .sum::<f64>()
        * std::f64::consts::TAU
        / p;
    let step = p / 4.0 / GRID as f64;
    let top = points.iter().map(|&z| series.value(z).abs()).fold(0.0, f64::max);
    Fit {
        error_near: error_up_to(p / 16.0),
        error_window: error_up_to(p / 4.0),
        largest: top + slope * step / 2.0,
        series,
    }
}

/// The solution of a symmetric positive definite system, by Cholesky.
pub(super) fn solve(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Vec<f64> {
    let n = b.len();
    for j in 0..n {
        for k in 0..j {
            for i in j..n {
                a[i][j] -= a[i][k] * a[j][k];
            }
        }
        let root = a[j][j].sqrt();
        for row in a.iter_mut().skip(j) {
            row[j] /= root;
        }
    }
    for i in 0..n {
        for k in 0..i {
            b[i] -= a[i][k] * b[k];
        }
        b[i] /= a[i][i];
    }
    for i in (0..n).rev() {
        for k in i + 1..n {
            b[i] -= a[k][i] * b[k];
        }
        b[i] /= a[i][i];
    }
    b
}

#[cfg(test)]
mod tests {
    use super::*;

    fn centred_sigmoid(z: f64) -> f64 {
        1.0 / (1.0 + libm::exp(-z)) - 0.5
    }

    #[test]
    fn errors_are_those_of_the_design() {
        for (period, terms, error) in
            [(5, 5, 1.2e-3), (5, 6, 3.7e-4), (6, 8, 4.4e-3), (6, 16, 3.2e-5), (7, 12, 1.5e-2)]
        {
            let fit = fit(centred_sigmoid, Symmetry::Odd, period, terms, Weighting::Plain, 24);
            assert!(fit.error_window < 1.15 * error, "{period} {terms}: {}", fit.error_window);
            assert!(fit.largest < 0.56);
        }
        let fit = fit(centred_sigmoid, Symmetry::Odd, 7, 12, Weighting::Weighted, 18);
        assert!(fit.error_near < 9e-3, "{}", fit.error_near);
        assert!(fit.error_window < 5e-2, "{}", fit.error_window);
    }

    #[test]
    fn fits_an_even_function() {
        let f = |z: f64| {
            let p = 1.0 / (1.0 + libm::exp(-z));
            p * (1.0 - p)
        };
        let fit = fit(f, Symmetry::Even, 6, 16, Weighting::Plain, 24);
        assert!(fit.error_window < 2e-4, "{}", fit.error_window);
    }
}
