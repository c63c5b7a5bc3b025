//! Trigonometric series with integer coefficients.

/// One term: the multiple k and the coefficients of sin(2 pi k z / P) and cos(2 pi k z / P) as
/// integers at the scale of the series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// The multiple of the base frequency.
    pub k: u32,
    /// The coefficient of the sine.
    pub sine: i64,
    /// The coefficient of the cosine.
    pub cosine: i64,
}

/// A series with integer coefficients, the same at every party.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// The period is 2^period.
    pub period: u32,
    /// The coefficients have this many fractional bits.
    pub fraction: u32,
    /// The terms.
    pub terms: Vec<Term>,
}

impl Series {
    /// The multiples k, for a [`PhasorRequest`](crate::correlations::PhasorRequest).
    #[must_use]
    pub fn harmonics(&self) -> Vec<u32> {
        self.terms.iter().map(|term| term.k).collect()
    }

    /// The series in floating point, as it would be without rounding.
    #[must_use]
    pub fn value(&self, z: f64) -> f64 {
        let unit = libm::ldexp(1.0, -(self.fraction as i32));
        let turn = std::f64::consts::TAU * libm::ldexp(z, -(self.period as i32));
        self.terms
            .iter()
            .map(|term| {
                let angle = f64::from(term.k) * turn;
                unit * (term.sine as f64 * libm::sin(angle) + term.cosine as f64 * libm::cos(angle))
            })
            .sum()
    }
}
