//! The number-theoretic transform of polynomials mod (x^n + 1, q), and products in its domain.
//!
//! The transform turns the n coefficients of a polynomial into its values at the n odd powers of
//! psi, psi^n = -1, in bit-reversed order; products of polynomials are then products of values.
//! Butterflies and multiplication by constants as Harvey ("Faster arithmetic for
//! number-theoretic transforms", 2014): numbers stay below 4q or 2q in between, and every result
//! is the one below q, so that all levels agree bit for bit. Nothing depends on the data but the
//! data: a subtraction of q that may be due is taken as the smaller of two unsigned numbers.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod modulus;
mod portable;

pub use modulus::{Modulus, Multiplier};

use super::Level;

/// What the loops over values take at a time.
pub const PANEL: usize = 32;

/// The smallest degree.
pub const SMALLEST_DEGREE: usize = PANEL;

/// Products that are added up before a sum is reduced: 2^10 products below 2^100 leave room at
/// every level.
const BLOCKS: usize = 1 << 10;

/// Polynomial number `which` of `count` that stand panel by panel: panels of [`PANEL`] values, the
/// first of every polynomial, then the second of every, and so on. So a sum of products reads its
/// factors from one end to the other.
///
/// # Panics
/// When `count` is zero.
pub fn panels_mut(
    all: &mut [u64],
    count: usize,
    which: usize,
) -> impl Iterator<Item = &mut [u64; PANEL]> {
    all.as_chunks_mut().0.iter_mut().skip(which).step_by(count)
}

/// The tables of one prime q below 2^50 and one degree n, q = 1 mod 2n.
pub struct Ntt {
    modulus: Modulus,
    degree: usize,
    /// psi to the power of the bit-reversed index.
    forward: Roots,
    /// Its inverses.
    inverse: Roots,
    /// 1 / n.
    scale: Multiplier,
}

/// Constants in the order of their use, and floor(2^64 root / q) of each.
struct Roots {
    values: Vec<u64>,
    quotients: Vec<u64>,
}

impl Roots {
    fn new(modulus: Modulus, degree: usize, psi: u64) -> Self {
        let bits = degree.trailing_zeros();
        let mut powers = vec![1u64; degree];
        for i in 1..degree {
            powers[i] = modulus.product(powers[i - 1], psi);
        }
        let reversed = |i: usize| i.reverse_bits() >> (usize::BITS - bits);
        let values: Vec<u64> = (0..degree).map(|i| powers[reversed(i)]).collect();
        let quotients = values.iter().map(|&root| modulus.multiplier(root).quotient).collect();
        Self { values, quotients }
    }
}

impl Ntt {
    /// The tables for the prime `q` and the power of two `degree`.
    ///
    /// # Panics
    /// Unless 2^49 < q < 2^50, q = 1 mod 2 `degree`, and the degree is a power of two of at least
    /// [`SMALLEST_DEGREE`]; or when q is no prime and no root is found.
    #[must_use]
    pub fn new(q: u64, degree: usize) -> Self {
        assert!(degree.is_power_of_two() && degree >= SMALLEST_DEGREE);
        let order = 2 * degree as u64;
        assert_eq!(q % order, 1, "q = 1 mod 2n");
        let modulus = Modulus::new(q);
        let psi = (2..1000)
            .map(|base| modulus.power(base, (q - 1) / order))
            .find(|&psi| modulus.power(psi, degree as u64) == q - 1);
        let psi = psi.expect("half of all numbers are no squares mod a prime");
        Self {
            modulus,
            degree,
            forward: Roots::new(modulus, degree, psi),
            inverse: Roots::new(modulus, degree, modulus.inverse(psi)),
            scale: modulus.multiplier(modulus.inverse(degree as u64)),
        }
    }

    /// The prime.
    #[must_use]
    pub fn modulus(&self) -> Modulus {
        self.modulus
    }

    /// The degree n.
    #[must_use]
    pub fn degree(&self) -> usize {
        self.degree
    }

    /// Coefficients below q become values below q, in place.
    ///
    /// # Panics
    /// Unless there are n of them.
    pub fn forward(&self, level: Level, x: &mut [u64]) {
        assert_eq!(x.len(), self.degree);
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(level) => level.ntt_forward(self, x),
            _ => portable::forward(self, 1, x),
        }
    }

    /// The values of `count` polynomials in x^(n / m), from their m coefficients, below q, in place: the first
    /// coefficients of all, then the second, and so on, and the same of values. Each value stands n / m times in
    /// a row among those of the whole transform, so one of m numbers does.
    ///
    /// # Panics
    /// Unless m is a power of two up to n.
    pub fn forward_few(&self, count: usize, x: &mut [u64]) {
        let few = x.len() / count;
        assert!(x.len().is_multiple_of(count) && few.is_power_of_two() && few <= self.degree);
        portable::forward(self, count, x);
    }

    /// Values below q become coefficients below q, in place.
    ///
    /// # Panics
    /// Unless there are n of them.
    pub fn inverse(&self, level: Level, x: &mut [u64]) {
        assert_eq!(x.len(), self.degree);
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(level) => level.ntt_inverse(self, x),
            _ => portable::inverse(self, x),
        }
    }

    /// out += sum over i of x_i y_i mod q, value by value, for polynomials x_0, x_1, .. and y_0,
    /// y_1, .. that stand panel by panel ([`panels_mut`]); everything below q.
    ///
    /// # Panics
    /// Unless `out` is one polynomial and `x` and `y` are equally many.
    pub fn add_products(&self, level: Level, x: &[u64], y: &[u64], out: &mut [u64]) {
        assert_eq!(out.len(), self.degree);
        assert_eq!(x.len(), y.len());
        assert!(x.len().is_multiple_of(self.degree));
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(level) => level.ntt_add_products(self, x, y, out),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2(level) => level.ntt_add_products(self, x, y, out),
            Level::Portable => portable::add_products(self, x, y, out),
        }
    }

    /// The same for polynomials in x^(n / m) on the left ([`forward_few`](Self::forward_few)), and for several sums with
    /// the same `count` polynomials on the right: `x` has those of the first sum, then those of the second, and so
    /// on; `y` stands panel by panel.
    ///
    /// # Panics
    /// Unless `out` are whole polynomials, `y` is `count`, `x` has m numbers for each of both, and n / m is at least
    /// [`PANEL`].
    pub fn add_few_products(
        &self,
        level: Level,
        count: usize,
        x: &[u64],
        y: &[u64],
        out: &mut [u64],
    ) {
        assert!(out.len().is_multiple_of(self.degree));
        assert_eq!(y.len(), count * self.degree);
        if count == 0 || out.is_empty() {
            return;
        }
        let pairs = count * (out.len() / self.degree);
        let few = x.len() / pairs;
        assert!(x.len() == few * pairs && few.is_power_of_two() && few * PANEL <= self.degree);
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(level) => level.ntt_add_few_products(self, count, x, y, out),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2(level) => level.ntt_add_few_products(self, count, x, y, out),
            Level::Portable => portable::add_few_products(self, count, x, y, out),
        }
    }
}

/// A panel of values.
type Panel = [u64; PANEL];

/// Gives, for each panel of the sum of [`Ntt::add_products`], the panels on the left and on the right, as many as may be added
/// up, and the panel of the sum.
#[inline]
fn whole_panels(
    degree: usize,
    (x, y): (&[u64], &[u64]),
    out: &mut [u64],
    mut each: impl FnMut(&[Panel], &[Panel], &mut Panel),
) {
    let count = (x.len() / degree).max(1);
    let (x, y) = (x.as_chunks().0, y.as_chunks().0);
    let out = out.as_chunks_mut().0;
    for ((x, y), out) in x.chunks(count).zip(y.chunks(count)).zip(out) {
        for (x, y) in x.chunks(BLOCKS).zip(y.chunks(BLOCKS)) {
            each(x, y, out);
        }
    }
}

/// The same for each panel of each sum of [`Ntt::add_few_products`], with the numbers on the left. The sums are in the inner loop: a
/// panel on the right is read from memory once.
#[inline]
fn few_panels(
    (degree, count): (usize, usize),
    (x, y): (&[u64], &[u64]),
    out: &mut [u64],
    mut each: impl FnMut(&[u64], &[Panel], &mut Panel),
) {
    let of_sum = x.len() / (out.len() / degree);
    let panels = degree / PANEL;
    // Panels in which a value stands.
    let repeated = panels / (of_sum / count);
    let out = out.as_chunks_mut::<PANEL>().0;
    for (panel, y) in y.as_chunks::<PANEL>().0.chunks_exact(count).enumerate() {
        let at = panel / repeated * count;
        for (sum, x) in x.chunks_exact(of_sum).enumerate() {
            let out = &mut out[sum * panels + panel];
            for (x, y) in x[at..at + count].chunks(BLOCKS).zip(y.chunks(BLOCKS)) {
                each(x, y, out);
            }
        }
    }
}
