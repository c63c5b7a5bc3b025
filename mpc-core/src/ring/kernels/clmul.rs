//! Sums of products in the field of 2^128 elements, polynomials over two elements mod
//! x^128 + x^7 + x^2 + x + 1: bit i of a block is the coefficient of x^i.
//!
//! Products are summed before they are reduced. With the instruction for carry-less products, where
//! the processor has it, and with integer products that leave room for carries elsewhere; both in
//! constant time.

#![allow(
    unsafe_code,
    reason = "a call into #[target_feature] code promises that the processor has it"
)]

#[cfg(target_arch = "x86_64")]
use std::sync::LazyLock;

#[cfg(target_arch = "x86_64")]
use super::Level;

/// 128 bits; bit r is bit r mod 8 of byte r / 8.
type Block = [u8; 16];

/// 1, a, a^2, .. of a public element a.
pub(crate) struct Powers(Vec<u128>);

impl Powers {
    /// The first `count` of them.
    pub(crate) fn new(a: Block, count: usize) -> Self {
        let a = u128::from_le_bytes(a);
        Self(std::iter::successors(Some(1), |&last| Some(product(last, a))).take(count).collect())
    }

    /// Public elements that are no powers, in place of them: a row x_0 .. x_(n-1) is folded into
    /// a_(n-1) x_0 + .. + a_0 x_(n-1), for n elements and a sum that begins at zero.
    pub(crate) fn independent(elements: &[Block]) -> Self {
        // The factor of the sum so far, which is zero, comes last.
        let elements = elements.iter().map(|a| u128::from_le_bytes(*a));
        Self(elements.chain(std::iter::once(1)).collect())
    }

    /// For each row of n blocks and its sum s: s becomes s a^n + x_0 a^(n-1) + .. + x_(n-1).
    ///
    /// # Panics
    /// Unless there is a sum for each row, and a^n among the powers.
    pub(crate) fn fold(&self, rows: &[Block], n: usize, sums: &mut [Block]) {
        assert!(n < self.0.len() && rows.len() == n * sums.len());
        #[cfg(target_arch = "x86_64")]
        if *HAS {
            // SAFETY: the processor was asked.
            return unsafe { vector::fold(&self.0, rows, n, sums) };
        }
        fold(&self.0, rows, n, sums);
    }
}

#[cfg(target_arch = "x86_64")]
static HAS: LazyLock<bool> = LazyLock::new(|| {
    Level::of_processor() != Level::Portable && std::arch::is_x86_feature_detected!("pclmulqdq")
});

fn fold(powers: &[u128], rows: &[Block], n: usize, sums: &mut [Block]) {
    for (sum, row) in sums.iter_mut().zip(rows.chunks_exact(n)) {
        let mut all = [0; 3];
        let factors = std::iter::once(&*sum).chain(row).zip(powers[..=n].iter().rev());
        for (x, &power) in factors {
            let parts = parts(u128::from_le_bytes(*x), power);
            all.iter_mut().zip(parts).for_each(|(all, part)| *all ^= part);
        }
        *sum = reduced(all).to_le_bytes();
    }
}

fn product(a: u128, b: u128) -> u128 {
    reduced(parts(a, b))
}

/// The products of the low halves, of unlike halves (their sum), and of the high halves.
fn parts(a: u128, b: u128) -> [u128; 3] {
    let [a, b] = [a, b].map(|x| [x as u64, (x >> 64) as u64]);
    let (low, high) = (carryless(a[0], b[0]), carryless(a[1], b[1]));
    let all = carryless(a[0] ^ a[1], b[0] ^ b[1]);
    [low, all ^ low ^ high, high]
}

/// The element that low + x^64 middle + x^128 high is.
fn reduced([low, middle, high]: [u128; 3]) -> u128 {
    let (low, high) = (low ^ middle << 64, high ^ middle >> 64);
    // x^128 is x^7 + x^2 + x + 1; what that brings beyond x^127 has seven bits at most.
    let beyond = high >> 127 ^ high >> 126 ^ high >> 121;
    let fold = |x: u128| x ^ x << 1 ^ x << 2 ^ x << 7;
    low ^ fold(high) ^ fold(beyond)
}

/// The product of polynomials, by integer products of every fourth bit: below x^64 at most 16 terms
/// come together, whose carry reaches the next bit of the same product only at x^64, which is cut.
fn carryless(a: u64, b: u64) -> u128 {
    fn low(a: u64, b: u64) -> u64 {
        const EVERY: u64 = 0x1111_1111_1111_1111;
        let [a, b] = [a, b].map(|x| [0, 1, 2, 3].map(|i| x & EVERY << i));
        let mut out = 0;
        for i in 0..4 {
            let sum = (0..4).fold(0, |sum, j| sum ^ a[j].wrapping_mul(b[(i + 4 - j) % 4]));
            out |= sum & EVERY << i;
        }
        out
    }
    let high = low(a.reverse_bits(), b.reverse_bits()).reverse_bits() >> 1;
    u128::from(low(a, b)) | u128::from(high) << 64
}

#[cfg(target_arch = "x86_64")]
mod vector {
    use std::arch::x86_64::*;

    use super::{Block, reduced};

    #[target_feature(enable = "sse2")]
    fn load(x: u128) -> __m128i {
        _mm_set_epi64x((x >> 64) as i64, x as i64)
    }

    #[target_feature(enable = "sse2")]
    fn store(x: __m128i) -> u128 {
        let high = _mm_unpackhi_epi64(x, x);
        let word = |x| _mm_cvtsi128_si64(x) as u64;
        u128::from(word(x)) | u128::from(word(high)) << 64
    }

    #[target_feature(enable = "pclmulqdq,sse2")]
    pub(super) fn fold(powers: &[u128], rows: &[Block], n: usize, sums: &mut [Block]) {
        for (sum, row) in sums.iter_mut().zip(rows.chunks_exact(n)) {
            let mut all = [_mm_setzero_si128(); 4];
            let factors = std::iter::once(&*sum).chain(row).zip(powers[..=n].iter().rev());
            for (x, &power) in factors {
                let (x, y) = (load(u128::from_le_bytes(*x)), load(power));
                all[0] = _mm_xor_si128(all[0], _mm_clmulepi64_si128::<0x00>(x, y));
                all[1] = _mm_xor_si128(all[1], _mm_clmulepi64_si128::<0x01>(x, y));
                all[2] = _mm_xor_si128(all[2], _mm_clmulepi64_si128::<0x10>(x, y));
                all[3] = _mm_xor_si128(all[3], _mm_clmulepi64_si128::<0x11>(x, y));
            }
            let [low, one, other, high] = all.map(|x| store(x));
            *sum = reduced([low, one ^ other, high]).to_le_bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// By shifts, as the definition says.
    fn plain(a: u128, mut b: u128) -> u128 {
        let mut sum = 0;
        for i in 0..128 {
            if a >> i & 1 == 1 {
                sum ^= b;
            }
            b = b << 1 ^ if b >> 127 == 1 { 0x87 } else { 0 };
        }
        sum
    }

    proptest! {
        #[test]
        fn products_are_those_of_the_field(a: u128, b: u128) {
            for (a, b) in [(a, b), (u128::MAX, b), (a, 1 << 127), (u128::MAX, u128::MAX)] {
                prop_assert_eq!(product(a, b), plain(a, b));
            }
        }

        #[test]
        fn rows_are_folded_alike_everywhere(a: [u8; 16], rows: [[u8; 16]; 12], sums: [[u8; 16]; 3]) {
            let powers = Powers::new(a, 9);
            for n in [1, 4] {
                let rows = &rows[..3 * n];
                let (mut one, mut other) = (sums, sums);
                powers.fold(rows, n, &mut one);
                fold(&powers.0, rows, n, &mut other);
                prop_assert_eq!(one, other);
                let horner = |sum: &[u8; 16], row: &[[u8; 16]]| {
                    row.iter().fold(u128::from_le_bytes(*sum), |sum, x| {
                        plain(sum, u128::from_le_bytes(a)) ^ u128::from_le_bytes(*x)
                    })
                };
                for (at, sum) in sums.iter().enumerate() {
                    prop_assert_eq!(
                        horner(sum, &rows[at * n..(at + 1) * n]).to_le_bytes(),
                        one[at]
                    );
                }
            }
        }
    }
}
