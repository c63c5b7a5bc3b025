//! The transform with 52-bit products (IFMA).
//!
//! Two stages are taken at a time while a group has at least four vectors, the last three stages
//! within pairs of vectors. Numbers stay below 4q < 2^52, so that they are what IFMA multiplies.

#![allow(
    unsafe_code,
    reason = "vector loads and stores take pointers, and a call into #[target_feature] code \
              promises that the processor has it"
)]

use std::arch::x86_64::*;

use super::super::Avx512;
use super::{Modulus, Ntt, PANEL, Panel, Roots, few_panels, whole_panels};

/// A vector.
type Lanes = [u64; 8];

impl Avx512 {
    pub(super) fn ntt_forward(self, ntt: &Ntt, x: &mut [u64]) {
        // SAFETY: self exists, so the processor has the features.
        unsafe { forward(ntt, x) }
    }

    pub(super) fn ntt_inverse(self, ntt: &Ntt, x: &mut [u64]) {
        // SAFETY: self exists, so the processor has the features.
        unsafe { inverse(ntt, x) }
    }

    pub(super) fn ntt_add_products(self, ntt: &Ntt, x: &[u64], y: &[u64], out: &mut [u64]) {
        // SAFETY: self exists, so the processor has the features.
        unsafe { add_products(ntt, x, y, out) }
    }

    pub(super) fn ntt_add_few_products(
        self,
        ntt: &Ntt,
        count: usize,
        x: &[u64],
        y: &[u64],
        out: &mut [u64],
    ) {
        // SAFETY: self exists, so the processor has the features.
        unsafe { add_few_products(ntt, count, x, y, out) }
    }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load(from: &Lanes) -> __m512i {
    // SAFETY: the array has 64 bytes; the load needs no alignment.
    unsafe { _mm512_loadu_epi64(from.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn store(to: &mut Lanes, value: __m512i) {
    // SAFETY: the array has 64 bytes; the store needs no alignment.
    unsafe { _mm512_storeu_epi64(to.as_mut_ptr().cast(), value) }
}

/// Eight words from number `at` on, zero where the slice has ended.
#[target_feature(enable = "avx512f")]
#[inline]
fn load_at(from: &[u64], at: usize) -> __m512i {
    let left = from.len().saturating_sub(at);
    let lanes: __mmask8 = if left >= 8 { !0 } else { (1 << left) - 1 };
    // SAFETY: the mask admits only lanes within the slice; the others are not accessed.
    unsafe { _mm512_maskz_loadu_epi64(lanes, from.as_ptr().wrapping_add(at).cast()) }
}

/// A constant in each lane, and floor(2^52 constant / q).
#[derive(Clone, Copy)]
struct Factor {
    value: __m512i,
    quotient: __m512i,
}

impl Factor {
    /// floor(2^52 c / q) is floor(2^64 c / q) without its last twelve bits.
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn new(value: __m512i, quotient: __m512i) -> Self {
        Self { value, quotient: _mm512_srli_epi64::<12>(quotient) }
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn of(modulus: Modulus, value: u64) -> Self {
        let constant = modulus.multiplier(value);
        Self::new(
            _mm512_set1_epi64(constant.value as i64),
            _mm512_set1_epi64(constant.quotient as i64),
        )
    }

    /// The same root in every lane.
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn all(roots: &Roots, index: usize) -> Self {
        Self::new(
            _mm512_set1_epi64(roots.values[index] as i64),
            _mm512_set1_epi64(roots.quotients[index] as i64),
        )
    }

    /// Roots from number `index` on, spread over the lanes.
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn spread(roots: &Roots, index: usize, order: __m512i) -> Self {
        let value = _mm512_permutexvar_epi64(order, load_at(&roots.values, index));
        let quotient = _mm512_permutexvar_epi64(order, load_at(&roots.quotients, index));
        Self::new(value, quotient)
    }
}

/// q, 2q and so on in every lane.
#[derive(Clone, Copy)]
struct Prime {
    one: __m512i,
    two: __m512i,
    four: __m512i,
    /// 2^52 - q.
    minus: __m512i,
    low: __m512i,
}

impl Prime {
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn new(modulus: Modulus) -> Self {
        let q = modulus.value() as i64;
        Self {
            one: _mm512_set1_epi64(q),
            two: _mm512_set1_epi64(2 * q),
            four: _mm512_set1_epi64(4 * q),
            minus: _mm512_set1_epi64((1 << 52) - q),
            low: _mm512_set1_epi64((1 << 52) - 1),
        }
    }

    /// x c mod q below 2q, for x < 2^52.
    #[target_feature(enable = "avx512f,avx512ifma")]
    #[inline]
    fn times(self, x: __m512i, c: Factor) -> __m512i {
        let zero = _mm512_setzero_si512();
        let high = _mm512_madd52hi_epu64(zero, x, c.quotient);
        let product = _mm512_madd52lo_epu64(zero, x, c.value);
        _mm512_and_si512(_mm512_madd52lo_epu64(product, high, self.minus), self.low)
    }

    /// x - `bound` if x is not below it.
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn once(x: __m512i, bound: __m512i) -> __m512i {
        _mm512_min_epu64(x, _mm512_sub_epi64(x, bound))
    }

    /// a + w b and a - w b, from below 4q to below 4q.
    #[target_feature(enable = "avx512f,avx512ifma")]
    #[inline]
    fn forward(self, a: __m512i, b: __m512i, w: Factor) -> (__m512i, __m512i) {
        let (u, v) = (Self::once(a, self.two), self.times(b, w));
        (_mm512_add_epi64(u, v), _mm512_sub_epi64(_mm512_add_epi64(u, self.two), v))
    }

    /// a + b and w (a - b), from below 2q to below 2q.
    #[target_feature(enable = "avx512f,avx512ifma")]
    #[inline]
    fn inverse(self, a: __m512i, b: __m512i, w: Factor) -> (__m512i, __m512i) {
        let sum = Self::once(_mm512_add_epi64(a, b), self.two);
        (sum, self.times(_mm512_sub_epi64(_mm512_add_epi64(a, self.two), b), w))
    }

    /// From below 4q to below q.
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn canonical(self, x: __m512i) -> __m512i {
        Self::once(Self::once(x, self.two), self.one)
    }
}

/// The four quarters of a block.
fn quarters(block: &mut [Lanes]) -> [&mut [Lanes]; 4] {
    let (front, back) = block.split_at_mut(block.len() / 2);
    let (a, b) = front.split_at_mut(front.len() / 2);
    let (c, d) = back.split_at_mut(back.len() / 2);
    [a, b, c, d]
}

/// Which of sixteen lanes, those of a first vector and then those of a second, go where.
#[target_feature(enable = "avx512f")]
#[inline]
fn order(lanes: [i64; 8]) -> __m512i {
    let [a, b, c, d, e, f, g, h] = lanes;
    _mm512_setr_epi64(a, b, c, d, e, f, g, h)
}

/// The orders of the last three stages.
struct Orders {
    /// One root for four lanes, and one for two.
    by_four: __m512i,
    by_two: __m512i,
    /// From groups of eight to the halves of each: elements 0..4 and 8..12, and the others.
    eights: [__m512i; 2],
    /// From there to the halves of groups of four, and back.
    fours: [__m512i; 2],
    /// From there to even and odd elements, and back.
    pairs: [__m512i; 2],
    /// From even and odd elements to consecutive ones.
    whole: [__m512i; 2],
}

impl Orders {
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn new() -> Self {
        Self {
            by_four: order([0, 0, 0, 0, 1, 1, 1, 1]),
            by_two: order([0, 0, 1, 1, 2, 2, 3, 3]),
            eights: [order([0, 1, 2, 3, 8, 9, 10, 11]), order([4, 5, 6, 7, 12, 13, 14, 15])],
            fours: [order([0, 1, 8, 9, 4, 5, 12, 13]), order([2, 3, 10, 11, 6, 7, 14, 15])],
            pairs: [order([0, 8, 2, 10, 4, 12, 6, 14]), order([1, 9, 3, 11, 5, 13, 7, 15])],
            whole: [order([0, 8, 1, 9, 2, 10, 3, 11]), order([4, 12, 5, 13, 6, 14, 7, 15])],
        }
    }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn reorder(a: __m512i, b: __m512i, orders: [__m512i; 2]) -> (__m512i, __m512i) {
    (_mm512_permutex2var_epi64(a, orders[0], b), _mm512_permutex2var_epi64(a, orders[1], b))
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn forward(ntt: &Ntt, x: &mut [u64]) {
    let q = Prime::new(ntt.modulus);
    let roots = &ntt.forward;
    let x = x.as_chunks_mut::<8>().0;
    // Vectors of half a group.
    let mut half = x.len() / 2;
    let mut groups = 1;
    if half.trailing_zeros() % 2 == 0 {
        let w = Factor::all(roots, 1);
        let (front, back) = x.split_at_mut(half);
        for (a, b) in front.iter_mut().zip(back) {
            let (u, v) = q.forward(load(a), load(b), w);
            store(a, u);
            store(b, v);
        }
        (groups, half) = (2, half / 2);
    }
    while half >= 2 {
        for (group, block) in x.chunks_exact_mut(2 * half).enumerate() {
            let outer = Factor::all(roots, groups + group);
            let left = Factor::all(roots, 2 * (groups + group));
            let right = Factor::all(roots, 2 * (groups + group) + 1);
            let [a, b, c, d] = quarters(block);
            for (((a, b), c), d) in a.iter_mut().zip(b).zip(c).zip(d) {
                let (s, u) = q.forward(load(a), load(c), outer);
                let (t, v) = q.forward(load(b), load(d), outer);
                let (s, t) = q.forward(s, t, left);
                let (u, v) = q.forward(u, v, right);
                store(a, s);
                store(b, t);
                store(c, u);
                store(d, v);
            }
        }
        groups *= 4;
        half /= 4;
    }
    let orders = Orders::new();
    for (pair, block) in x.as_chunks_mut::<2>().0.iter_mut().enumerate() {
        let [first, second] = block;
        let (a, b) = reorder(load(first), load(second), orders.eights);
        let w = Factor::spread(roots, groups + 2 * pair, orders.by_four);
        let (a, b) = q.forward(a, b, w);
        let (a, b) = reorder(a, b, orders.fours);
        let w = Factor::spread(roots, 2 * groups + 4 * pair, orders.by_two);
        let (a, b) = q.forward(a, b, w);
        let (a, b) = reorder(a, b, orders.pairs);
        let at = 4 * groups + 8 * pair;
        let w = Factor::new(load_at(&roots.values, at), load_at(&roots.quotients, at));
        let (a, b) = q.forward(a, b, w);
        let (a, b) = reorder(q.canonical(a), q.canonical(b), orders.whole);
        store(first, a);
        store(second, b);
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn inverse(ntt: &Ntt, x: &mut [u64]) {
    let q = Prime::new(ntt.modulus);
    let roots = &ntt.inverse;
    let orders = Orders::new();
    // Groups of eight elements.
    let mut groups = x.len() / 8;
    let x = x.as_chunks_mut::<8>().0;
    for (pair, block) in x.as_chunks_mut::<2>().0.iter_mut().enumerate() {
        let [first, second] = block;
        let (a, b) = (load(first), load(second));
        let even = order([0, 2, 4, 6, 8, 10, 12, 14]);
        let odd = order([1, 3, 5, 7, 9, 11, 13, 15]);
        let (a, b) = reorder(a, b, [even, odd]);
        let at = 4 * groups + 8 * pair;
        let w = Factor::new(load_at(&roots.values, at), load_at(&roots.quotients, at));
        let (a, b) = q.inverse(a, b, w);
        // Each of these orders is its own inverse.
        let (a, b) = reorder(a, b, orders.pairs);
        let w = Factor::spread(roots, 2 * groups + 4 * pair, orders.by_two);
        let (a, b) = q.inverse(a, b, w);
        let (a, b) = reorder(a, b, orders.fours);
        let w = Factor::spread(roots, groups + 2 * pair, orders.by_four);
        let (a, b) = q.inverse(a, b, w);
        let (a, b) = reorder(a, b, orders.eights);
        store(first, a);
        store(second, b);
    }
    // Vectors of half a group.
    let mut half = 1;
    while 4 * half <= x.len() {
        groups /= 4;
        for (group, block) in x.chunks_exact_mut(4 * half).enumerate() {
            let outer = Factor::all(roots, groups + group);
            let left = Factor::all(roots, 2 * (groups + group));
            let right = Factor::all(roots, 2 * (groups + group) + 1);
            let [a, b, c, d] = quarters(block);
            for (((a, b), c), d) in a.iter_mut().zip(b).zip(c).zip(d) {
                let (s, t) = q.inverse(load(a), load(b), left);
                let (u, v) = q.inverse(load(c), load(d), right);
                let (s, u) = q.inverse(s, u, outer);
                let (t, v) = q.inverse(t, v, outer);
                store(a, s);
                store(b, t);
                store(c, u);
                store(d, v);
            }
        }
        half *= 4;
    }
    if half < x.len() {
        let w = Factor::all(roots, 1);
        let (front, back) = x.split_at_mut(half);
        for (a, b) in front.iter_mut().zip(back) {
            let (u, v) = q.inverse(load(a), load(b), w);
            store(a, u);
            store(b, v);
        }
    }
    let scale = Factor::of(ntt.modulus, ntt.scale.value);
    for x in x {
        let scaled = q.times(load(x), scale);
        store(x, Prime::once(scaled, q.one));
    }
}

/// Vectors of a panel.
const VECTORS: usize = PANEL / 8;

/// Sums of the low halves of products, and of the high ones. Of 2^10 products the former stay below 2^62 + 2^50,
/// the latter below 2^58.
struct Sums {
    low: [__m512i; VECTORS],
    high: [__m512i; VECTORS],
}

impl Sums {
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn from(out: &Panel) -> Self {
        let zero = [_mm512_setzero_si512(); VECTORS];
        let mut sums = Self { low: zero, high: zero };
        for (low, out) in sums.low.iter_mut().zip(out.as_chunks::<8>().0) {
            *low = load(out);
        }
        sums
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    #[inline]
    fn add(&mut self, vector: usize, x: __m512i, y: &Lanes) {
        let y = load(y);
        self.low[vector] = _mm512_madd52lo_epu64(self.low[vector], x, y);
        self.high[vector] = _mm512_madd52hi_epu64(self.high[vector], x, y);
    }
}

/// What takes sums to numbers below q.
struct Reduction {
    q: Prime,
    /// 1, 2^52 and 2^104.
    powers: [Factor; 3],
}

impl Reduction {
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn new(modulus: Modulus) -> Self {
        let power = |bits: u32| ((1u128 << bits) % u128::from(modulus.value())) as u64;
        let [one, middle, top] = [0, 52, 104].map(power);
        let powers =
            [Factor::of(modulus, one), Factor::of(modulus, middle), Factor::of(modulus, top)];
        Self { q: Prime::new(modulus), powers }
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    #[inline]
    fn put(&self, sums: &Sums, out: &mut Panel) {
        let (q, [one, middle, top]) = (self.q, self.powers);
        let out = out.as_chunks_mut::<8>().0;
        for ((&low, &high), out) in sums.low.iter().zip(&sums.high).zip(out) {
            let high = _mm512_add_epi64(high, _mm512_srli_epi64::<52>(low));
            let above = _mm512_srli_epi64::<52>(high);
            // IFMA takes the lower 52 bits of a factor by itself, so these need no mask; the
            // products are below 2q each.
            let sum = _mm512_add_epi64(q.times(low, one), q.times(high, middle));
            let sum = _mm512_add_epi64(sum, q.times(above, top));
            store(out, q.canonical(Prime::once(sum, q.four)));
        }
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn add_products(ntt: &Ntt, x: &[u64], y: &[u64], out: &mut [u64]) {
    let reduction = Reduction::new(ntt.modulus);
    whole_panels(ntt.degree, (x, y), out, |x, y, out| {
        let mut sums = Sums::from(out);
        for (x, y) in x.iter().zip(y) {
            let factors = x.as_chunks::<8>().0.iter().zip(y.as_chunks::<8>().0);
            for (vector, (x, y)) in factors.enumerate() {
                sums.add(vector, load(x), y);
            }
        }
        reduction.put(&sums, out);
    });
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn add_few_products(ntt: &Ntt, count: usize, x: &[u64], y: &[u64], out: &mut [u64]) {
    let reduction = Reduction::new(ntt.modulus);
    few_panels((ntt.degree, count), (x, y), out, |x, y, out| {
        let mut sums = Sums::from(out);
        for (&x, y) in x.iter().zip(y) {
            let x = _mm512_set1_epi64(x as i64);
            for (vector, y) in y.as_chunks::<8>().0.iter().enumerate() {
                sums.add(vector, x, y);
            }
        }
        reduction.put(&sums, out);
    });
}
