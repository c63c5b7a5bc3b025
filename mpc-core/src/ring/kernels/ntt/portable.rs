//! Plain loops for every processor, and the reference that the vector loops equal bit for bit.

use super::{Modulus, Multiplier, Ntt, Roots, few_panels, whole_panels};

impl Roots {
    fn at(&self, index: usize) -> Multiplier {
        Multiplier { value: self.values[index], quotient: self.quotients[index] }
    }
}

/// The residue of a number below 4q.
#[inline(always)]
fn canonical(q: Modulus, x: u64) -> u64 {
    q.once(x.min(x.wrapping_sub(2 * q.value())))
}

/// Of `count` polynomials at once, coefficient by coefficient, of as many coefficients as there are: a power of
/// two, up to the degree. The first constants are those of the smaller degree.
pub fn forward(ntt: &Ntt, count: usize, x: &mut [u64]) {
    let q = ntt.modulus;
    let two = 2 * q.value();
    let mut half = x.len() / 2;
    let mut groups = 1;
    while half >= count {
        for (group, block) in x.chunks_exact_mut(2 * half).enumerate() {
            let root = ntt.forward.at(groups + group);
            let (front, back) = block.split_at_mut(half);
            for (a, b) in front.iter_mut().zip(back) {
                let (u, v) = ((*a).min(a.wrapping_sub(two)), q.lazy(*b, root));
                *a = u + v;
                *b = u + two - v;
            }
        }
        groups *= 2;
        half /= 2;
    }
    for x in x {
        *x = canonical(q, *x);
    }
}

pub fn inverse(ntt: &Ntt, x: &mut [u64]) {
    let q = ntt.modulus;
    let two = 2 * q.value();
    let mut half = 1;
    while half < ntt.degree {
        let groups = ntt.degree / (2 * half);
        for (group, block) in x.chunks_exact_mut(2 * half).enumerate() {
            let root = ntt.inverse.at(groups + group);
            let (front, back) = block.split_at_mut(half);
            for (a, b) in front.iter_mut().zip(back) {
                let sum = *a + *b;
                *b = q.lazy(*a + two - *b, root);
                *a = sum.min(sum.wrapping_sub(two));
            }
        }
        half *= 2;
    }
    for x in x {
        *x = q.times(*x, ntt.scale);
    }
}

/// What reduces a sum of products below 2^128.
pub(super) struct Reduction {
    q: Modulus,
    high: Multiplier,
    one: Multiplier,
}

impl Reduction {
    pub(super) fn new(q: Modulus) -> Self {
        let high = q.multiplier(((1u128 << 64) % u128::from(q.value())) as u64);
        Self { q, high, one: q.multiplier(1) }
    }

    #[inline(always)]
    pub(super) fn of(&self, sum: u128) -> u64 {
        let q = self.q;
        canonical(q, q.lazy((sum >> 64) as u64, self.high) + q.lazy(sum as u64, self.one))
    }
}

pub fn add_products(ntt: &Ntt, x: &[u64], y: &[u64], out: &mut [u64]) {
    let reduction = Reduction::new(ntt.modulus);
    whole_panels(ntt.degree, (x, y), out, |x, y, out| {
        let mut sums = out.map(u128::from);
        for (x, y) in x.iter().zip(y) {
            for ((sum, &x), &y) in sums.iter_mut().zip(x).zip(y) {
                *sum += u128::from(x) * u128::from(y);
            }
        }
        *out = sums.map(|sum| reduction.of(sum));
    });
}

pub fn add_few_products(ntt: &Ntt, count: usize, x: &[u64], y: &[u64], out: &mut [u64]) {
    let reduction = Reduction::new(ntt.modulus);
    few_panels((ntt.degree, count), (x, y), out, |x, y, out| {
        let mut sums = out.map(u128::from);
        for (&x, y) in x.iter().zip(y) {
            for (sum, &y) in sums.iter_mut().zip(y) {
                *sum += u128::from(x) * u128::from(y);
            }
        }
        *out = sums.map(|sum| reduction.of(sum));
    });
}
