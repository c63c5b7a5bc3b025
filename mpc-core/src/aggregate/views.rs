//! What a coalition sees of an aggregation (docs/protocols.md 18.4): for each mask there is a look that fails without it.
//!
//! Parties 0 and 1 are honest, the others pool what they see and know. The vectors are fixed, so that nothing but the
//! masks is random, and so small that what is not masked is seen at once.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use super::Set;
use super::machine::{Bytes, Machine};
use super::message::{Body, Message};
use super::tests::{LEN, machines, vector};
use crate::rand::{MaskSite, MaskSwitch, Prg, Seed};
use crate::ring::Z64;

const RUNS: usize = 400;

pub(super) type Look = Result<(), String>;

/// Everything that was sent, by round, set and sender: slices by whose they are, and seeds of own masks.
#[derive(Default)]
struct Seen {
    slices: BTreeMap<(u64, Set, usize), BTreeMap<usize, Vec<Z64>>>,
    seeds: BTreeMap<(u64, Set, usize), [u8; 32]>,
}

/// A network that delivers in order until nothing is left, but for what `passes` holds back. `sees` gets all that is delivered,
/// with sender and receiver.
pub(super) fn delivered(
    machines: &mut [Machine],
    passes: impl Fn(usize, &Message) -> bool,
    mut sees: impl FnMut(usize, usize, Message),
) {
    loop {
        let mut sent: Vec<(usize, usize, Bytes)> = Vec::new();
        for (from, machine) in machines.iter_mut().enumerate() {
            while let Some((to, bytes)) = machine.next() {
                sent.push((from, to, bytes));
            }
        }
        if sent.is_empty() {
            return;
        }
        for (from, to, bytes) in sent {
            let message = Message::decode(&bytes).unwrap();
            if !passes(from, &message) {
                continue;
            }
            sees(from, to, message);
            machines[to].receive(from, &bytes);
        }
    }
}

/// All that is sent to the coalition is seen.
fn deliver(machines: &mut [Machine], seen: &mut Seen, passes: impl Fn(usize, &Message) -> bool) {
    delivered(machines, passes, |from, to, message| {
        if to > 1 {
            let attempt = (message.round, message.set, from);
            match message.body {
                Body::Slice(values) => {
                    seen.slices.entry(attempt).or_default().insert(to, values.to_vec());
                }
                Body::Finish { owner, ref finish } if owner == from => {
                    seen.seeds.insert(attempt, *finish.own);
                }
                _ => {}
            }
        }
    });
}

/// Two rounds of four parties, and a third one in which party 3 leaves when all slices are sent, so that there is an attempt that nobody
/// finishes, and one without it.
fn run(number: usize, off: Option<MaskSite>) -> Seen {
    let name = format!("views {number}");
    let mut all = machines(&name, 4, (3, None), MaskSwitch::new(off));
    let mut seen = Seen::default();
    for round in 1..=3 {
        for (party, machine) in all.iter_mut().enumerate() {
            // The same vector in all rounds: only masks differ.
            let small = vector(party, 1).iter().map(|value| Z64(value.0 >> 24)).collect::<Vec<_>>();
            machine.begin(round, Some(small.into()), Vec::new()).unwrap();
        }
        if round < 3 {
            deliver(&mut all, &mut seen, |_, _| true);
        } else {
            deliver(&mut all, &mut seen, |from, message| {
                from != 3 || matches!(message.body, Body::View { .. })
            });
            (0..3).for_each(|party| all[party].lose(3));
            deliver(&mut all, &mut seen, |from, _| from != 3);
        }
        for (party, machine) in all.iter_mut().enumerate().take(3) {
            assert!(machine.ended().is_some(), "party {party} ends round {round}");
            assert!(machine.faults().is_empty());
        }
        all[3].ended();
    }
    seen
}

/// An honest party's slices at the coalition, less what the coalition knows of them: the masks that it has `in_common` with that party, and the own
/// mask `told`.
fn left(
    number: usize,
    seen: &Seen,
    (round, set, honest): (u64, Set, usize),
    (in_common, told, off): (bool, Option<[u8; 32]>, Option<MaskSite>),
) -> Vec<Z64> {
    let switch = MaskSwitch::new(off);
    let mut whole = vec![Z64(0); LEN];
    let domain = format!("aggregate {round} {:032x}", u128::from_le_bytes(set.to_bytes()));
    for other in set.iter().filter(|&other| in_common && other > 1) {
        let ends = [honest as u8, other as u8];
        let seed = Seed::from_secret(&format!("views {number}"), &[&ends]).derive(&domain);
        // Honest parties have the smaller numbers, so they add.
        Prg::under(&seed, MaskSite::AggregateZero, switch).subtract_from(&mut whole, 64);
    }
    if let Some(told) = told {
        let seed = Seed::from_bytes(told.into());
        Prg::under(&seed, MaskSite::AggregateSelf, switch).subtract_from(&mut whole, 64);
    }
    let slices = &seen.slices[&(round, set, honest)];
    let mut out = Vec::new();
    for (&to, values) in slices {
        let slice = super::masks::slice(set.place(to), set.len(), LEN);
        out.extend(values.iter().zip(&whole[slice]).map(|(value, known)| *value + *known));
    }
    out
}

/// Whether words that are to be uniform, and independent of each other, look like it.
pub(super) fn uniform(what: &str, words: &[u64]) -> Look {
    let mut ones = [0u32; 64];
    for word in words {
        for (bit, ones) in ones.iter_mut().enumerate() {
            *ones += (word >> bit & 1) as u32;
        }
    }
    // Eight standard deviations: below 2^-40 for all bits together.
    let (count, half) = (words.len() as f64, words.len() as f64 / 2.0);
    let most = 8.0 * (count / 4.0).sqrt();
    match ones.iter().position(|&ones| (f64::from(ones) - half).abs() > most) {
        None => Ok(()),
        Some(bit) => Err(format!("{what}: bit {bit} is {} of {count} times", ones[bit])),
    }
}

fn look(off: Option<MaskSite>) -> Look {
    let (all, three) = (Set::below(4), Set::below(3));
    let finished = [(1, all), (2, all), (3, three)];
    let mut words: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    let mut note = |what, values: &mut dyn Iterator<Item = Z64>| {
        words.entry(what).or_default().extend(values.map(|value| value.0));
    };
    for number in 0..RUNS {
        let seen = run(number, off);
        let told = |round, set, party| seen.seeds.get(&(round, set, party)).copied();
        // Whatever it takes off of what it knows: what is not there, as it should be, does not hide anything either.
        for in_common in [true, false] {
            // Attempts that were finished: the own mask is known.
            for known in [true, false] {
                let mut before: Option<Vec<Z64>> = None;
                for (round, set) in finished {
                    let own = told(round, set, 0);
                    assert!(own.is_some(), "party 0 tells its mask in the end");
                    let how = (in_common, own.filter(|_| known), off);
                    let now = left(number, &seen, (round, set, 0), how);
                    note("a vector in a sum", &mut now.iter().copied());
                    if let Some(before) = before.filter(|before| before.len() == now.len()) {
                        note(
                            "its change from sum to sum",
                            &mut now.iter().zip(before).map(|(&a, b)| a - b),
                        );
                    }
                    before = Some(now);
                }
            }
            // The attempt that nobody finished: both honest parties together, so that what they have in common is gone.
            assert!(told(3, all, 0).is_none() && told(3, all, 1).is_none());
            let pair = |masks: [Option<[u8; 32]>; 2]| -> Vec<Z64> {
                let one = left(number, &seen, (3, all, 0), (in_common, masks[0], off));
                let other = left(number, &seen, (3, all, 1), (in_common, masks[1], off));
                one.into_iter().zip(other).map(|(a, b)| a + b).collect()
            };
            note("a sum that nobody finished", &mut pair([None, None]).into_iter());
            // The same with the masks that were told in the attempt after it, and in the round before.
            let after = [0, 1].map(|party| told(3, three, party));
            note("that sum, with the masks of the next one", &mut pair(after).into_iter());
            let earlier = [0, 1].map(|party| told(2, all, party));
            note("that sum, with the masks of the last round", &mut pair(earlier).into_iter());
        }
    }
    words.iter().try_for_each(|(what, words)| uniform(what, words))
}

#[test]
fn every_mask_of_a_sum_is_needed() {
    look(None).expect("with all masks");
    for site in [MaskSite::AggregateZero, MaskSite::AggregateSelf] {
        match look(Some(site)) {
            Ok(()) => panic!("nobody notices that {site:?} is missing"),
            Err(seen) => assert!(!seen.is_empty()),
        }
    }
}
