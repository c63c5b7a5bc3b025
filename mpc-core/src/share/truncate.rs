//! The truncation that needs no message.

use crate::ring::{Ring, wire};

use super::Shared;

/// Truncate-reduce (docs/protocols.md 3a): divides a value mod 2^`bits` by 2^`drop`; the result lives mod
/// 2^(`bits` - `drop`). Free, and exact for any number of parties: unbiased, error below
/// `parties` units, never a large error.
///
/// Sound when the consumer needs the result only in the smaller ring.
///
/// # Panics
/// Unless `drop` < `bits` <= BITS.
pub fn truncate_reduce<R: Ring>(
    share: &mut Shared<R>,
    bits: u32,
    drop: u32,
    me: usize,
    parties: usize,
) {
    assert!(drop < bits && bits <= R::BITS);
    if drop == 0 {
        return;
    }
    let mask = wire::mask(bits);
    // Party 0 adds half a unit for every party, so that the floors below are unbiased.
    let half = if me == 0 { (parties as u128) << (drop - 1) } else { 0 };
    for value in share.as_mut_slice() {
        *value = R::from_u128((value.to_u128().wrapping_add(half) & mask) >> drop);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ring::Z128;

    proptest! {
        #[test]
        fn truncate_reduce_is_within_its_bound(
            value in -(1i128 << 90)..(1i128 << 90),
            noise in prop::collection::vec(any::<u128>(), 1..6),
            bits in 100u32..=128,
            drop in 1u32..60,
        ) {
            let mut shares: Vec<_> = noise.iter().map(|&v| Z128(v & wire::mask(bits))).collect();
            let sum = shares.iter().fold(Z128::ZERO, |a, &b| a + b);
            shares.push(Z128::from_i128(value) - sum);
            let parties = shares.len();
            let mut sum = Z128::ZERO;
            for (me, share) in shares.into_iter().enumerate() {
                let mut share = Shared::column(vec![share]);
                truncate_reduce(&mut share, bits, drop, me, parties);
                sum += share.as_slice()[0];
            }
            let got = sum.to_signed(bits - drop);
            let wrapped = Z128::from_i128(value >> drop).to_signed(bits - drop);
            let error = Z128::from_i128(got - wrapped).to_signed(bits - drop);
            prop_assert!(error.abs() <= parties as i128, "error {error}");
        }
    }
}
