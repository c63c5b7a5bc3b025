//! What fewer than a quorum see of an aggregation that a quorum can end (docs/protocols.md 18.7).
//!
//! Of five parties with a threshold of three, 3 and 4 pool what they see and know. As in [`views`](super::views), vectors are fixed and
//! small.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;

use super::Set;
use super::machine::Machine;
use super::masks::{Masks, domain, slice};
use super::message::{Body, Message};
use super::quorum::Keys;
use super::shares::{Secrets, factors};
use super::tests::{LEN, machines, vector};
use super::views::{Look, delivered, uniform};
use crate::rand::{MaskSite, MaskSwitch, Seed};
use crate::ring::Z64;

const PARTIES: usize = 5;
const THRESHOLD: usize = 3;
const COALITION: [usize; 2] = [3, 4];
const RUNS: usize = 100;

/// What was sent to the coalition, by round and sender.
#[derive(Default)]
struct Seen {
    keys: BTreeMap<(u64, usize), BTreeMap<usize, Keys>>,
    slices: BTreeMap<(u64, usize), BTreeMap<usize, Vec<Z64>>>,
    /// Shares that were told, with those whom the sum is of.
    tells: BTreeMap<(u64, usize), (Set, Vec<Scalar>)>,
}

/// Delivers in order what `passes`, until nothing is left.
fn deliver(all: &mut [Machine], seen: &mut Seen, passes: impl Fn(usize, &Message) -> bool) {
    delivered(all, passes, |from, to, message| {
        if COALITION.contains(&to) {
            let place = (message.round, from);
            match message.body {
                Body::Keys(keys) => drop(seen.keys.entry(place).or_default().insert(to, keys)),
                Body::Slice(values) => {
                    seen.slices.entry(place).or_default().insert(to, values.to_vec());
                }
                Body::Tell(of, shares) => {
                    seen.tells.insert(place, (of, shares.to_vec()));
                }
                _ => {}
            }
        }
    });
}

/// A round of all; one in which party 2 is lost when all slices are there; one in which nobody makes a sum.
fn run(name: &str, off: Option<MaskSite>) -> Seen {
    let mut all = machines(name, PARTIES, (3, Some(THRESHOLD)), MaskSwitch::new(off));
    let mut seen = Seen::default();
    for round in 1..=3 {
        for (party, machine) in all.iter_mut().enumerate() {
            let small = vector(party, 1).iter().map(|value| Z64(value.0 >> 24)).collect::<Vec<_>>();
            machine.begin(round, Some(small.into()), Vec::new()).unwrap();
        }
        let is_sum = |message: &Message| matches!(message.body, Body::Sum(..) | Body::Tell(..));
        match round {
            1 => deliver(&mut all, &mut seen, |_, _| true),
            2 => {
                deliver(&mut all, &mut seen, |from, message| from != 2 || !is_sum(message));
                [0, 1, 3, 4].into_iter().for_each(|party| all[party].lose(2));
                deliver(&mut all, &mut seen, |from, _| from != 2);
            }
            _ => deliver(&mut all, &mut seen, |from, message| from != 2 && !is_sum(message)),
        }
        for party in [0, 1, 3, 4].into_iter().filter(|_| round < 3) {
            assert!(all[party].ended().is_some(), "party {party} ends round {round}");
            assert!(all[party].faults().is_empty());
        }
        all[2].ended();
    }
    seen
}

/// What the coalition computes with.
struct Coalition<'a> {
    name: &'a str,
    seen: &'a Seen,
    round: u64,
    set: Set,
    masks: Masks,
    switch: MaskSwitch,
}

impl Coalition<'_> {
    fn point(&self, party: usize) -> RistrettoPoint {
        if COALITION.contains(&party) {
            return self.own(party).point().decompress().unwrap();
        }
        let keys = &self.seen.keys[&(self.round, party)][&COALITION[0]];
        keys.point.decompress().unwrap()
    }

    fn own(&self, party: usize) -> Secrets {
        let own = Seed::from_secret(self.name, &[&[party as u8], b"own"]);
        Secrets::new(&own.derive(&domain(self.round, self.set)), THRESHOLD, self.switch)
    }

    /// The secret of a party of which shares were told, whichever it is.
    fn told(&self, party: usize) -> Scalar {
        let tells = self.seen.tells.iter().filter(|((round, _), _)| *round == self.round);
        let tells: BTreeMap<usize, Scalar> =
            tells.map(|((_, from), (_, told))| (*from, told[self.set.place(party)])).collect();
        let of: Set = tells.keys().copied().take(THRESHOLD).collect();
        assert_eq!(of.len(), THRESHOLD);
        of.iter().zip(factors(of)).map(|(from, factor)| tells[&from] * factor).sum()
    }

    /// The masks of an honest party that follow from the own keys, or from `key` as its key, and from `own` as the secret of its own mask,
    /// taken off its slices.
    fn left(&self, honest: usize, key: Option<Scalar>, own: Option<Scalar>) -> Vec<Z64> {
        let (domain, mut known) = (domain(self.round, self.set), vec![Z64(0); LEN]);
        for other in self.set.without(honest).iter() {
            let pair = (honest, other);
            if let Some(key) = key {
                self.masks.in_common(&domain, pair, (&key, &self.point(other)), &mut known);
            } else if COALITION.contains(&other) {
                let key = self.own(other).key;
                self.masks.in_common(&domain, pair, (&key, &self.point(honest)), &mut known);
            }
        }
        if let Some(own) = own {
            self.masks.own(&domain, &own, true, &mut known);
        }
        let mut out = Vec::new();
        for (&to, values) in &self.seen.slices[&(self.round, honest)] {
            let part = slice(self.set.place(to), self.set.len(), LEN);
            out.extend(values.iter().zip(&known[part]).map(|(&value, &known)| value - known));
        }
        out
    }
}

fn look(off: Option<MaskSite>) -> Look {
    let mut words: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for number in 0..RUNS {
        let name = format!("quorum views {number}");
        let (seen, switch) = (run(&name, off), MaskSwitch::new(off));
        let of = |round, set| {
            let masks =
                Masks::new(0, Vec::new(), Seed::from_secret("nobody", &[]), MaskSwitch::new(off));
            Coalition { name: &name, seen: &seen, round, set, masks, switch }
        };
        let all = Set::below(PARTIES);
        let mut note = |what, values: Vec<Z64>| {
            words.entry(what).or_default().extend(values.iter().map(|value| value.0));
        };
        let share = |round, of: usize| seen.keys[&(round, of)][&3].shares.clone();
        let first = of(1, all);
        note("a vector in a sum", first.left(0, None, Some(first.told(0))));
        note("the same, without its own mask", first.left(0, None, None));
        let key = *share(1, 0).key;
        note("the same, a share taken for the key", first.left(0, Some(key), Some(first.told(0))));
        let second = of(2, all);
        assert!(seen.tells.contains_key(&(2, 0)) && !seen.tells.contains_key(&(2, 2)));
        let key = second.told(2);
        assert_eq!(RistrettoPoint::mul_base(&key), second.point(2), "the key was told");
        note("the vector of one who was lost", second.left(2, Some(key), None));
        let own = *share(2, 2).own;
        note("the same, a share taken for the own mask", second.left(2, Some(key), Some(own)));
        let third = of(3, all.without(2));
        assert!(!seen.tells.keys().any(|(round, _)| *round == 3), "nobody tells");
        let shares = share(3, 0);
        note("a vector in no sum", third.left(0, None, None));
        let left = third.left(0, Some(*shares.key), Some(*shares.own));
        note("the same, shares taken for secrets", left);
    }
    words.iter().try_for_each(|(what, words)| uniform(what, words))
}

#[test]
fn every_mask_is_needed_where_a_quorum_ends_a_sum() {
    look(None).expect("with all masks");
    for site in [MaskSite::AggregateZero, MaskSite::AggregateSelf, MaskSite::AggregateShares] {
        match look(Some(site)) {
            Ok(()) => panic!("nobody notices that {site:?} is missing"),
            Err(seen) => assert!(!seen.is_empty()),
        }
    }
}
