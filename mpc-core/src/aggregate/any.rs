//! A party of a sum that is sent anything, for fuzzing: whatever the others send, it must not panic.

use super::Set;
use super::machine::Machine;
use super::masks::Masks;
use crate::rand::{MaskSwitch, Seed};
use crate::ring::Z64;

/// Party 0 of four gets messages: each behind a byte for its sender and what happens besides, and one for its length.
pub(crate) fn any_messages(bytes: &[u8]) {
    [None, Some(3)].into_iter().for_each(|threshold| any_of(bytes, threshold));
}

fn any_of(bytes: &[u8], threshold: Option<usize>) {
    const LEN: usize = 5;
    let seed = |name: u8| Seed::from_secret("fuzzing", &[&[name]]);
    let pairs = (0..4).map(|peer| (peer > 0).then(|| seed(peer))).collect();
    let masks = Masks::new(0, pairs, seed(9), MaskSwitch::default());
    let mut machine = Machine::new(4, (3, threshold), LEN, masks);
    let mut rest = bytes;
    let mut round = 1;
    let begun = machine.begin(round, Some(vec![Z64(1); LEN].into()), Vec::new());
    assert!(begun.is_ok(), "the first round begins");
    while let [what, length, more @ ..] = rest {
        let (message, left) = more.split_at(usize::from(*length).min(more.len()));
        rest = left;
        match what >> 2 {
            0 => machine.overdue(),
            1 => machine.lose(usize::from(what % 4).max(1)),
            2 => machine.is_stale(),
            _ => machine.receive(usize::from(what % 4), message),
        }
        while let Some((to, _)) = machine.next() {
            assert!(Set::below(4).without(0).contains(to), "it sends to others");
        }
        machine.faults();
        if machine.ended().is_some() {
            round += 1;
            let begun = machine.begin(round, Some(vec![Z64(1); LEN].into()), Vec::new());
            assert!(begun.is_ok(), "rounds grow");
        }
    }
}
