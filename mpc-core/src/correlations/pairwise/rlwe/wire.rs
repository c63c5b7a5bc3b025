//! Polynomials as bytes, without a bit to spare.

use super::params::{Params, RESIDUE_BITS, VALUE};

/// Bytes of four residues.
const GROUP: usize = RESIDUE_BITS as usize / 2;

/// Appends a polynomial mod q: 50 bits a residue, the lowest first.
pub(super) fn put_poly(poly: &[u64], out: &mut Vec<u8>) {
    for &[a, b, c, d] in poly.as_chunks::<4>().0 {
        let [a, b, c, d] = [a, b, c, d].map(u128::from);
        let low = a | b << 50 | c << 100;
        let high = c >> 28 | d << 22;
        out.extend_from_slice(&low.to_le_bytes());
        out.extend_from_slice(&high.to_le_bytes()[..GROUP - 16]);
    }
}

/// Adds the polynomial to `sum`. `None`, and the sum is spoilt, unless the bytes are as many as are
/// due and every residue is below its prime.
pub(super) fn add_poly(params: Params, bytes: &[u8], sum: &mut [u64]) -> Option<()> {
    if bytes.len() != params.poly_bytes() {
        return None;
    }
    let limbs = bytes.chunks_exact(bytes.len() / params.limbs());
    for (limb, (bytes, sum)) in limbs.zip(sum.chunks_exact_mut(params.degree())).enumerate() {
        add_limb(params, limb, bytes, sum)?;
    }
    Some(())
}

/// The same for the residues mod one of the primes.
pub(super) fn add_limb(params: Params, limb: usize, bytes: &[u8], sum: &mut [u64]) -> Option<()> {
    const MASK: u128 = (1 << RESIDUE_BITS) - 1;
    if bytes.len() * params.limbs() != params.poly_bytes() {
        return None;
    }
    let q = params.rns().modulus(limb);
    let mut refused = false;
    for (bytes, sum) in bytes.as_chunks::<GROUP>().0.iter().zip(sum.as_chunks_mut::<4>().0) {
        let (mut low, mut high) = ([0; 16], [0; 16]);
        low.copy_from_slice(&bytes[..16]);
        high[..GROUP - 16].copy_from_slice(&bytes[16..]);
        let (low, high) = (u128::from_le_bytes(low), u128::from_le_bytes(high));
        let residues = [low, low >> 50, low >> 100 | high << 28, high >> 22];
        for (sum, residue) in sum.iter_mut().zip(residues) {
            let residue = (residue & MASK) as u64;
            refused |= residue >= q.value();
            *sum = q.once(*sum + residue);
        }
    }
    (!refused).then_some(())
}

/// Numbers of one public width, bit after bit.
pub(super) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    waiting: u128,
    count: u32,
}

impl<'a> BitWriter<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, waiting: 0, count: 0 }
    }

    /// Appends a number below 2^bits.
    pub(super) fn put(&mut self, value: [u64; VALUE], bits: u32) {
        for (word, at) in value.into_iter().zip((0..bits).step_by(64)) {
            self.waiting |= u128::from(word) << self.count;
            self.count += (bits - at).min(64);
            if self.count >= 64 {
                self.out.extend_from_slice(&(self.waiting as u64).to_le_bytes());
                self.waiting >>= 64;
                self.count -= 64;
            }
        }
    }

    /// Appends what is left, whole bytes.
    pub(super) fn finish(self) {
        let left = self.count.div_ceil(8) as usize;
        self.out.extend_from_slice(&self.waiting.to_le_bytes()[..left]);
    }
}

/// What a [`BitWriter`] wrote. Reads zeros past the end.
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    waiting: u128,
    count: u32,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, waiting: 0, count: 0 }
    }

    pub(super) fn take(&mut self, bits: u32) -> [u64; VALUE] {
        let mut value = [0; VALUE];
        for (word, at) in value.iter_mut().zip((0..bits).step_by(64)) {
            let width = (bits - at).min(64);
            if self.count < width {
                let (now, later) = self.bytes.split_at(self.bytes.len().min(8));
                let mut next = [0; 8];
                next[..now.len()].copy_from_slice(now);
                self.bytes = later;
                self.waiting |= u128::from(u64::from_le_bytes(next)) << self.count;
                self.count += 64;
            }
            *word = self.waiting as u64 & (u64::MAX >> (64 - width));
            self.waiting >>= width;
            self.count -= width;
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_survive(values: Vec<[u64; 3]>, bits in 1u32..=192) {
            let cut = |value: [u64; 3]| {
                std::array::from_fn(|i| {
                    let left = bits.saturating_sub(64 * i as u32).min(64);
                    if left == 0 { 0 } else { value[i] & (u64::MAX >> (64 - left)) }
                })
            };
            let values: Vec<[u64; 3]> = values.into_iter().map(cut).collect();
            let mut bytes = Vec::new();
            let mut writer = BitWriter::new(&mut bytes);
            values.iter().for_each(|&value| writer.put(value, bits));
            writer.finish();
            prop_assert_eq!(bytes.len(), (values.len() * bits as usize).div_ceil(8));
            let mut reader = BitReader::new(&bytes);
            for value in values {
                prop_assert_eq!(reader.take(bits), value);
            }
        }
    }

    #[test]
    fn residues_survive_and_those_too_large_are_refused() {
        let params = Params::ALL[2];
        let rns = params.rns();
        let mut poly = rns.poly();
        let mut state = 1u64;
        for (i, x) in poly.iter_mut().enumerate() {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(99);
            *x = (state >> 14) % rns.modulus(i / params.degree()).value();
        }
        poly[5] = rns.modulus(0).value() - 1;
        let mut bytes = Vec::new();
        put_poly(&poly, &mut bytes);
        assert_eq!(bytes.len(), params.poly_bytes());
        let mut back = rns.poly();
        assert!(add_poly(params, &bytes, &mut back).is_some());
        assert!(*back == *poly);
        assert!(add_poly(params, &bytes[1..], &mut back).is_none());
        for at in [0, 5, 8191, 8192, 3 * 8192 - 1] {
            let mut poly = poly.to_vec();
            poly[at] = rns.modulus(at / params.degree()).value();
            let mut bytes = Vec::new();
            put_poly(&poly, &mut bytes);
            assert!(add_poly(params, &bytes, &mut rns.poly()).is_none());
        }
    }
}
