//! Elements of the ring 2^k as bytes: ceil(k/8) bytes each, little-endian.

use zeroize::Zeroizing;

use super::Ring;

/// The bytes that one element mod 2^`bits` takes on the wire.
#[must_use]
pub const fn element_bytes(bits: u32) -> usize {
    bits.div_ceil(8) as usize
}

/// The largest value of the ring 2^`bits`.
#[must_use]
pub const fn mask(bits: u32) -> u128 {
    if bits >= 128 { u128::MAX } else { (1 << bits) - 1 }
}

/// Appends `values` mod 2^`bits` to `out`.
pub fn encode<R: Ring>(values: &[R], bits: u32, out: &mut Vec<u8>) {
    let width = element_bytes(bits);
    let mask = mask(bits);
    out.reserve(values.len() * width);
    for value in values {
        out.extend_from_slice(&(value.to_u128() & mask).to_le_bytes()[..width]);
    }
}

/// Reads elements mod 2^`bits` from `bytes`.
///
/// `None` unless `bytes` holds whole elements, each below 2^`bits`: there is one way to write a
/// value.
#[must_use]
pub fn decode<R: Ring>(bytes: &[u8], bits: u32) -> Option<Zeroizing<Vec<R>>> {
    let width = element_bytes(bits);
    let mask = mask(bits);
    if width == 0 || !bytes.len().is_multiple_of(width) {
        return None;
    }
    let mut values = Zeroizing::new(Vec::with_capacity(bytes.len() / width));
    for chunk in bytes.chunks_exact(width) {
        let mut word = [0; 16];
        word[..width].copy_from_slice(chunk);
        let value = u128::from_le_bytes(word);
        if value & !mask != 0 {
            return None;
        }
        values.push(R::from_u128(value));
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Z64, Z128};
    use super::*;

    proptest! {
        #[test]
        fn elements_survive_the_wire(values: Vec<u128>, bits in 1u32..=128) {
            let values: Vec<Z128> = values.into_iter().map(Z128).collect();
            let mut bytes = Vec::new();
            encode(&values, bits, &mut bytes);
            prop_assert_eq!(bytes.len(), values.len() * element_bytes(bits));
            let back = decode::<Z128>(&bytes, bits).expect("canonical");
            for (value, back) in values.iter().zip(back.iter()) {
                prop_assert_eq!(value.0 & mask(bits), back.0);
            }
        }

        #[test]
        fn any_bytes_are_elements_or_refused(bytes: Vec<u8>, bits in 1u32..=128) {
            if let Some(values) = decode::<Z128>(&bytes, bits) {
                let mut again = Vec::new();
                encode(&values, bits, &mut again);
                prop_assert_eq!(again, bytes);
            }
        }
    }

    #[test]
    fn a_value_beyond_the_ring_is_refused() {
        assert!(decode::<Z64>(&[0xff], 7).is_none());
        assert!(decode::<Z64>(&[0x7f], 7).is_some());
        assert!(decode::<Z64>(&[0; 3], 12).is_none());
    }
}
