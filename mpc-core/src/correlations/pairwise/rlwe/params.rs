//! Degrees and moduli, and the change between residues and fractions.

use std::sync::LazyLock;

use zeroize::Zeroizing;

use super::words::Words;
use crate::ring::kernels::Level;
use crate::ring::kernels::ntt::{Modulus, Multiplier, Ntt};

/// The four largest primes below 2^50 that are 1 mod 2^14.
const PRIMES: [u64; 4] =
    [0x3_ffff_ffff_c001, 0x3_ffff_fffc_c001, 0x3_ffff_ffef_4001, 0x3_ffff_ffe9_4001];

/// Bits of a residue on the wire.
pub(super) const RESIDUE_BITS: u32 = 50;

/// A set of parameters: polynomials mod x^n + 1 and q = q_1 .. q_l, primes of 50 bits.
///
/// # Security
/// Every set has 128 bits with ternary secrets by the tables of the Homomorphic Encryption
/// Standard (Albrecht et al. 2018): log2 q at most 109 for n = 4096 and 218 for n = 8192. (Its
/// errors have a standard deviation of 3.2, those here 3.24.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Params {
    degree: u16,
    limbs: u8,
}

impl Params {
    /// All sets, the cheapest first.
    pub(super) const ALL: [Self; 4] = [
        Self { degree: 4096, limbs: 2 },
        Self { degree: 8192, limbs: 2 },
        Self { degree: 8192, limbs: 3 },
        Self { degree: 8192, limbs: 4 },
    ];

    /// A set that protects nothing: for whoever feeds the decoders with any bytes, often.
    #[cfg(any(test, feature = "test-util"))]
    pub(super) const INSECURE: Self = Self { degree: 64, limbs: 2 };

    /// n.
    #[must_use]
    pub fn degree(self) -> usize {
        self.degree.into()
    }

    /// The number of primes.
    #[must_use]
    pub fn limbs(self) -> usize {
        self.limbs.into()
    }

    /// Bytes of a polynomial mod q.
    pub(in crate::correlations::pairwise) fn poly_bytes(self) -> usize {
        self.degree() * self.limbs() * RESIDUE_BITS as usize / 8
    }

    pub(super) fn rns(self) -> &'static Rns {
        static SETS: [LazyLock<Rns>; 4] = [
            LazyLock::new(|| Rns::new(Params::ALL[0])),
            LazyLock::new(|| Rns::new(Params::ALL[1])),
            LazyLock::new(|| Rns::new(Params::ALL[2])),
            LazyLock::new(|| Rns::new(Params::ALL[3])),
        ];
        #[cfg(any(test, feature = "test-util"))]
        if self == Self::INSECURE {
            static INSECURE: LazyLock<Rns> = LazyLock::new(|| Rns::new(Params::INSECURE));
            return &INSECURE;
        }
        let at = Self::ALL.iter().position(|&set| set == self).unwrap_or(0);
        &SETS[at]
    }
}

/// Words of a fraction c / q.
const FRACTION: usize = 4;

/// Words of what a fraction is rounded to.
pub(super) const VALUE: usize = 3;

/// The tables of a parameter set. A polynomial is its residues mod the first prime, then those
/// mod the second, and so on.
pub(super) struct Rns {
    degree: usize,
    ntts: Vec<Ntt>,
    /// For each prime: (q / q_l)^-1 mod q_l, and floor(2^256 / q_l).
    parts: Vec<(Multiplier, [u64; FRACTION])>,
    /// q mod 2^192.
    q: [u64; VALUE],
}

impl Rns {
    fn new(params: Params) -> Self {
        let primes = &PRIMES[..params.limbs()];
        let ntts: Vec<Ntt> = primes.iter().map(|&q| Ntt::new(q, params.degree())).collect();
        let part = |ntt: &Ntt| {
            let modulus = ntt.modulus();
            let others = primes.iter().filter(|&&other| other != modulus.value());
            let rest =
                others.fold(1, |product, other| modulus.product(product, other % modulus.value()));
            (modulus.multiplier(modulus.inverse(rest)), fraction_of_one(modulus.value()))
        };
        let parts = ntts.iter().map(part).collect();
        let mut q = [1, 0, 0];
        for &prime in primes {
            let mut carry = 0;
            for word in &mut q {
                (*word, carry) = multiply_add(*word, prime, 0, carry);
            }
        }
        Self { degree: params.degree(), ntts, parts, q }
    }

    pub(super) fn limbs(&self) -> usize {
        self.ntts.len()
    }

    pub(super) fn modulus(&self, limb: usize) -> Modulus {
        self.ntts[limb].modulus()
    }

    /// A zero polynomial.
    pub(super) fn poly(&self) -> Words {
        Words::zero(self.limbs() * self.degree)
    }

    /// The residues of a polynomial, prime by prime.
    #[cfg(any(test, feature = "test-util"))]
    pub(super) fn each<'a>(&self, poly: &'a [u64]) -> std::slice::ChunksExact<'a, u64> {
        poly.chunks_exact(self.degree)
    }

    /// Adds a polynomial of small signed coefficients.
    pub(super) fn add_signed(&self, small: &[i64], poly: &mut [u64]) {
        for (ntt, poly) in self.ntts.iter().zip(poly.chunks_exact_mut(self.degree)) {
            let q = ntt.modulus();
            for (to, &value) in poly.iter_mut().zip(small) {
                *to = q.sum(*to, q.signed(value));
            }
        }
    }

    pub(super) fn forward(&self, poly: &mut [u64]) {
        for (ntt, poly) in self.ntts.iter().zip(poly.chunks_exact_mut(self.degree)) {
            ntt.forward(Level::of_processor(), poly);
        }
    }

    /// One limb only.
    pub(super) fn forward_limb(&self, limb: usize, poly: &mut [u64]) {
        self.ntts[limb].forward(Level::of_processor(), poly);
    }

    /// One limb of `count` polynomials in a power of x, coefficient by coefficient.
    pub(super) fn forward_few(&self, limb: usize, count: usize, x: &mut [u64]) {
        self.ntts[limb].forward_few(count, x);
    }

    pub(super) fn inverse(&self, poly: &mut [u64]) {
        for (ntt, poly) in self.ntts.iter().zip(poly.chunks_exact_mut(self.degree)) {
            ntt.inverse(Level::of_processor(), poly);
        }
    }

    /// out += sum of x_i y_i, where `x` and `y` have all x_i and y_i of the first prime, panel by
    /// panel, then those of the second, and so on. In the domain of the transform.
    pub(super) fn add_products(&self, x: &[u64], y: &[u64], out: &mut [u64]) {
        let share = x.len() / self.limbs();
        let factors = x.chunks_exact(share).zip(y.chunks_exact(share));
        let outs = out.chunks_exact_mut(self.degree);
        for ((ntt, (x, y)), out) in self.ntts.iter().zip(factors).zip(outs) {
            ntt.add_products(Level::of_processor(), x, y, out);
        }
    }

    /// The same for `sums` polynomials that stand prime by prime, the first of all sums, then the next prime: each is the sum
    /// of `count` polynomials in a power of x times those of `y`.
    pub(super) fn add_few_products(&self, count: usize, x: &[u64], y: &[u64], out: &mut [u64]) {
        let limbs = self.limbs();
        let factors = x.chunks_exact(x.len() / limbs).zip(y.chunks_exact(y.len() / limbs));
        let outs = out.chunks_exact_mut(out.len() / limbs);
        for ((ntt, (x, y)), out) in self.ntts.iter().zip(factors).zip(outs) {
            ntt.add_few_products(Level::of_processor(), count, x, y, out);
        }
    }

    /// round(2^bits c / q) mod 2^bits of coefficient `at`, for bits up to 192.
    ///
    /// The fraction is the sum of y_l / q_l with y_l = c_l (q / q_l)^-1 mod q_l. Each 1 / q_l is
    /// cut to 256 bits and each y_l below 2^50, so the sum is too small by less than 2^-204.
    pub(super) fn scaled(&self, poly: &[u64], at: usize, bits: u32) -> [u64; VALUE] {
        let mut sum = [0u64; FRACTION];
        let residues = poly[at..].iter().step_by(self.degree);
        for ((ntt, &residue), (inverse, fraction)) in
            self.ntts.iter().zip(residues).zip(&self.parts)
        {
            let y = ntt.modulus().times(residue, *inverse);
            let mut carry = 0;
            for (sum, &fraction) in sum.iter_mut().zip(fraction) {
                (*sum, carry) = multiply_add(y, fraction, *sum, carry);
            }
        }
        let half = 255 - bits as usize;
        let mut carry = 0;
        for (word, sum) in sum.iter_mut().enumerate() {
            let add = if word == half / 64 { 1 << (half % 64) } else { 0 };
            (*sum, carry) = multiply_add(1, add, *sum, carry);
        }
        let (skip, shift) = ((256 - bits as usize) / 64, (256 - bits) % 64);
        std::array::from_fn(|word| {
            let word_at = |at: usize| u128::from(sum.get(at).copied().unwrap_or(0));
            ((word_at(word + skip) | word_at(word + skip + 1) << 64) >> shift) as u64
        })
    }
}

/// a b + c + d: its low and its high word.
#[inline(always)]
fn multiply_add(a: u64, b: u64, c: u64, d: u64) -> (u64, u64) {
    let all = u128::from(a) * u128::from(b) + u128::from(c) + u128::from(d);
    (all as u64, (all >> 64) as u64)
}

/// floor(2^256 / q).
fn fraction_of_one(q: u64) -> [u64; FRACTION] {
    let mut out = [0; FRACTION];
    let mut rest = 1u128;
    for word in out.iter_mut().rev() {
        rest <<= 64;
        *word = (rest / u128::from(q)) as u64;
        rest %= u128::from(q);
    }
    out
}

/// round(q v / 2^bits) as residues, for v below 2^bits and bits up to 192.
///
/// With h = 2^(bits-1) and r = (q v + h) mod 2^bits it is (q v + h - r) / 2^bits, and mod q_l that
/// is (h - r) 2^-bits.
pub(super) struct Lift {
    degree: usize,
    bits: u32,
    q: [u64; VALUE],
    limbs: Vec<Limb>,
}

struct Limb {
    modulus: Modulus,
    /// 2^-bits, 2^(64-bits), 2^(128-bits).
    powers: [Multiplier; VALUE],
    /// h 2^-bits = 1/2.
    half: u64,
}

impl Lift {
    pub(super) fn new(rns: &Rns, bits: u32) -> Self {
        let limb = |ntt: &Ntt| {
            let modulus = ntt.modulus();
            let inverse = modulus.inverse(modulus.power(2, bits.into()));
            let power =
                |at: u64| modulus.multiplier(modulus.product(inverse, modulus.power(2, 64 * at)));
            Limb { modulus, powers: [power(0), power(1), power(2)], half: modulus.inverse(2) }
        };
        let limbs = rns.ntts.iter().map(limb).collect();
        Self { degree: rns.degree, bits, q: rns.q, limbs }
    }

    /// Adds round(q v / 2^bits) for each v of `values` to the coefficients from number `first` on.
    pub(super) fn add(&self, values: &[[u64; VALUE]], first: usize, poly: &mut [u64]) {
        match self.bits.div_ceil(64) {
            1 => self.add_words::<1>(values, first, poly),
            2 => self.add_words::<2>(values, first, poly),
            _ => self.add_words::<3>(values, first, poly),
        }
    }

    fn add_words<const WORDS: usize>(
        &self,
        values: &[[u64; VALUE]],
        first: usize,
        poly: &mut [u64],
    ) {
        /// Values that are taken prime by prime.
        const CHUNK: usize = 64;
        let mut rests = Zeroizing::new([[0u64; WORDS]; CHUNK]);
        for (at, values) in (first..).step_by(CHUNK).zip(values.chunks(CHUNK)) {
            for (rest, value) in rests.iter_mut().zip(values) {
                *rest = self.rest(value);
            }
            for (limb, residues) in self.limbs.iter().zip(poly[at..].chunks_mut(self.degree)) {
                let q = limb.modulus;
                for (residue, rest) in residues[..values.len()].iter_mut().zip(rests.iter()) {
                    // Below 6q: three products below 2q.
                    let words = rest.iter().zip(&limb.powers);
                    let sum: u64 = words.map(|(&word, &power)| q.lazy(word, power)).sum();
                    let sum = sum.min(sum.wrapping_sub(4 * q.value()));
                    let sum = q.once(sum.min(sum.wrapping_sub(2 * q.value())));
                    *residue = q.difference(q.sum(*residue, limb.half), sum);
                }
            }
        }
    }

    /// (q v + h) mod 2^bits.
    #[inline(always)]
    fn rest<const WORDS: usize>(&self, v: &[u64; VALUE]) -> [u64; WORDS] {
        let half = self.bits as usize - 1;
        let mut r = [0u64; WORDS];
        r[half / 64] = 1 << (half % 64);
        for i in 0..WORDS {
            let mut carry = 0;
            for j in 0..WORDS - i {
                (r[i + j], carry) = multiply_add(v[i], self.q[j], r[i + j], carry);
            }
        }
        r[WORDS - 1] &= u64::MAX >> (64 * WORDS as u32 - self.bits);
        r
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_moduli_are_what_the_tables_of_security_allow() {
        for params in Params::ALL {
            let most = if params.degree() == 4096 { 109 } else { 218 };
            assert!(params.limbs() as u32 * RESIDUE_BITS <= most);
        }
        for (i, &prime) in PRIMES.iter().enumerate() {
            assert!(prime < 1 << RESIDUE_BITS && PRIMES[..i].iter().all(|&other| other > prime));
            // An odd divisor of a 50-bit number is below 2^25, if there is one.
            assert!((3..1u64 << 25).step_by(2).all(|divisor| prime % divisor != 0));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// A value comes back from its residues, whatever is added that is below half a step.
        #[test]
        fn lifting_and_scaling_are_inverse(
            v in prop_oneof![any::<u128>(), Just(u128::MAX), Just(1 << 127), Just(0)],
            bits in prop_oneof![1u32..=80, Just(64), Just(65)],
            noise in -1000i64..=1000,
            at in 0usize..4096,
        ) {
            for params in [Params::ALL[0], Params::ALL[3]] {
                let rns = params.rns();
                let v = v & crate::ring::wire::mask(bits);
                let mut poly = rns.poly();
                let mut small = vec![0; params.degree()];
                small[at] = noise;
                rns.add_signed(&small, &mut poly);
                Lift::new(rns, bits).add(&[[v as u64, (v >> 64) as u64, 0]], at, &mut poly);
                let back = rns.scaled(&poly, at, bits);
                prop_assert_eq!(u128::from(back[0]) | u128::from(back[1]) << 64, v);
                prop_assert_eq!(back[2], 0);
            }
        }

        /// Up to 148 bits of a fraction say where it is.
        #[test]
        fn wide_values_survive(v: [u64; 3], bits in 129u32..=180) {
            let rns = Params::ALL[3].rns();
            let v = [v[0], v[1], v[2] & (u64::MAX >> (192 - bits))];
            let mut poly = rns.poly();
            Lift::new(rns, bits).add(&[v; 70], 7, &mut poly);
            for at in [7, 70, 71, 76] {
                prop_assert_eq!(rns.scaled(&poly, at, bits), v);
            }
            prop_assert_eq!(rns.scaled(&poly, 77, bits), [0; 3]);
        }
    }
}
