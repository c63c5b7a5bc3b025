//! The decoders of bytes from peers, for fuzzing. None of them may panic, whatever the bytes.

use crate::aggregate;
use crate::correlations::dealer;
use crate::correlations::pairwise::rlwe;
use crate::ring::wire::{decode, encode};
use crate::ring::{Ring, Z64, Z128};

/// Decodes `bytes` as a command to the dealer, and checks what it orders.
pub fn command(bytes: &[u8]) {
    dealer::check_command(bytes);
}

/// Decodes `bytes`, but the first, as elements of the ring that the first names.
pub fn ring_wire(bytes: &[u8]) {
    let Some((&first, rest)) = bytes.split_first() else { return };
    let bits = u32::from(first) % 128 + 1;
    both_ways::<Z128>(rest, bits);
    if bits <= 64 {
        both_ways::<Z64>(rest, bits);
    }
}

/// Decodes `bytes`, but the first, as what an owner or another party gets in a product by RLWE; the
/// first says which of them.
pub fn rlwe(bytes: &[u8]) {
    rlwe::views::decode(bytes);
}

/// Gives `bytes` to a party of a sum, as one message after the other: each behind its sender and its length.
pub fn aggregate(bytes: &[u8]) {
    aggregate::any_messages(bytes);
}

/// There is one way to write a value, so what is decoded encodes to the same bytes.
fn both_ways<R: Ring>(bytes: &[u8], bits: u32) {
    if let Some(values) = decode::<R>(bytes, bits) {
        let mut again = Vec::new();
        encode(&values, bits, &mut again);
        assert_eq!(again, bytes);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_bytes_make_a_decoder_panic(bytes: Vec<u8>) {
            super::command(&bytes);
            super::ring_wire(&bytes);
            super::rlwe(&bytes);
            super::aggregate(&bytes);
        }
    }
}
