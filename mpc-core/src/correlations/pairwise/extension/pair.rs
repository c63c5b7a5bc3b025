//! Both sides of an extension on one machine, for tests and measurements.

use super::*;

/// How long each side takes for `count` OTs, pads included: the sender's time, the receiver's.
///
/// # Panics
/// When there is no randomness.
#[cfg(feature = "test-util")]
#[must_use]
pub fn measure_extension(
    expansion: Expansion,
    checked: bool,
    count: usize,
) -> [std::time::Duration; 2] {
    use std::time::{Duration, Instant};
    const BATCH: usize = 1 << 14;
    let (mut sender, mut receiver) = ideal_pair((expansion, checked), MaskSwitch::default());
    let mut times = [Duration::ZERO; 2];
    let (mut zero, mut one) = (vec![[0; 16]; BATCH], vec![[0; 16]; BATCH]);
    let mut choices = Bits::default();
    (0..BATCH).for_each(|i| choices.push((i as u32).wrapping_mul(0x9e37_79b9) >> 31));
    for _ in 0..count / BATCH {
        let mut message = Vec::new();
        let start = Instant::now();
        let t = receiver.extend(&choices, &mut message);
        receiver.pads(&t, 0, 1, &mut one);
        times[1] += start.elapsed();
        let start = Instant::now();
        let q = sender.extend(BATCH, &message).expect("the length is right");
        sender.pads(&q, 0, 1, [&mut zero, &mut one]);
        times[0] += start.elapsed();
    }
    times
}

/// Both sides after ideal base OTs.
#[cfg(any(test, feature = "test-util"))]
pub(in super::super) fn ideal_pair(
    how: (Expansion, bool),
    switch: MaskSwitch,
) -> (Sender, Receiver) {
    let expansion = how.0;
    let binding = super::super::base_ot::Binding { session: [5; 32], sender: 0, receiver: 1 };
    let keys = Keys::new(&binding, b"a", b"b");
    let mut coins = Coins::fresh().expect("randomness");
    let delta = fresh(1, &mut coins)[0];
    let base: Vec<[Block; 2]> = fresh(2 * BASE, &mut coins).as_chunks::<2>().0.to_vec();
    let chosen: Vec<Block> = base_choices(&delta, expansion)
        .iter()
        .zip(&base)
        .map(|(&c, keys)| keys[usize::from(c)])
        .collect();
    let (receiver, message) = Receiver::new(how, &keys, &base, switch, &mut coins);
    let sender = Sender::new(how, &keys, delta, &chosen, &message, switch).expect("fits");
    (sender, receiver)
}
