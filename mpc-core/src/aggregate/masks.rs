//! The masks of an attempt (docs/protocols.md 18.1).

use std::ops::Range;

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use zeroize::Zeroizing;

use super::Set;
use super::shares::{Secrets, in_common, own_mask};
use crate::rand::{MaskSite, MaskSwitch, Prg, Seed};
use crate::ring::Z64;

/// What the masks of one party follow from, and which attempts it has masked for.
pub(super) struct Masks {
    pub(super) me: usize,
    /// The seed in common with each other party.
    pub(super) pairs: Vec<Option<Seed>>,
    /// What the own masks follow from.
    pub(super) own: Seed,
    pub(super) switch: MaskSwitch,
    /// The last attempt.
    spent: Option<(u64, Set)>,
    /// The last round in which shares were told.
    told: u64,
}

/// The seed of a mask of one's own in one attempt: it is told to all in the end, and to nobody else.
pub(super) type OwnMask = Zeroizing<[u8; 32]>;

/// What belongs to one attempt and to no other.
pub(super) fn domain(round: u64, set: Set) -> String {
    format!("aggregate {round} {:032x}", u128::from_le_bytes(set.to_bytes()))
}

impl Masks {
    pub(super) const fn new(
        me: usize,
        pairs: Vec<Option<Seed>>,
        own: Seed,
        switch: MaskSwitch,
    ) -> Self {
        Self { me, pairs, own, switch, spent: None, told: 0 }
    }

    /// Whether an attempt comes after all before: in a later round, or in the same one with fewer parties. From now on it is spent.
    fn spend(&mut self, round: u64, set: Set) -> bool {
        let fresh = self.spent.is_none_or(|(last, before)| {
            round > last || (round == last && set.within(before) && set != before)
        });
        if fresh {
            self.spent = Some((round, set));
        }
        fresh
    }

    /// Whether this party may tell its shares in a round: once.
    pub(super) fn may_tell(&mut self, round: u64) -> bool {
        let may = round > self.told;
        if may {
            self.told = round;
        }
        may
    }

    /// The secrets of an attempt that `threshold` parties can end. `None` as [`mask`](Self::mask).
    pub(super) fn secrets(&mut self, round: u64, set: Set, threshold: usize) -> Option<Secrets> {
        let fresh = self.spend(round, set);
        fresh.then(|| Secrets::new(&self.own.derive(&domain(round, set)), threshold, self.switch))
    }

    /// Adds what one party has on its vector in common with another one: of the first the key, of the second the point.
    pub(super) fn in_common(
        &self,
        domain: &str,
        (one, other): (usize, usize),
        (key, point): (&Scalar, &RistrettoPoint),
        values: &mut [Z64],
    ) {
        self.pair(&in_common(domain, key, point), one < other, values);
    }

    /// Adds what two parties have in common, with the sign of the first.
    fn pair(&self, seed: &Seed, first: bool, values: &mut [Z64]) {
        self.put(MaskSite::AggregateZero, seed, first, values);
    }

    /// Puts a mask on, or takes it off.
    fn put(&self, site: MaskSite, seed: &Seed, on: bool, values: &mut [Z64]) {
        let mut stream = Prg::under(seed, site, self.switch);
        if on {
            stream.add_to(values, 64);
        } else {
            stream.subtract_from(values, 64);
        }
    }

    /// Puts the own mask that follows from a secret on, or takes it off.
    pub(super) fn own(&self, domain: &str, secret: &Scalar, on: bool, values: &mut [Z64]) {
        self.put(MaskSite::AggregateSelf, &own_mask(domain, secret), on, values);
    }

    /// Masks the own vector for an attempt, and gives the seed of the own mask. `None` for an attempt that does
    /// not come after all before: in a later round, or in the same one with fewer parties.
    pub(super) fn mask(&mut self, round: u64, set: Set, values: &mut [Z64]) -> Option<OwnMask> {
        if !self.spend(round, set) {
            return None;
        }
        let domain = domain(round, set);
        for peer in set.iter().filter(|&peer| peer != self.me) {
            let seed = self.pairs.get(peer)?.as_ref()?.derive(&domain);
            self.pair(&seed, self.me < peer, values);
        }
        let own = self.own.derive(&domain);
        Prg::under(&own, MaskSite::AggregateSelf, self.switch).add_to(values, 64);
        Some(own.to_bytes())
    }

    /// Takes the mask with this seed off.
    pub(super) fn unmask(&self, own: &OwnMask, values: &mut [Z64]) {
        let seed = Seed::from_bytes(own.clone());
        Prg::under(&seed, MaskSite::AggregateSelf, self.switch).subtract_from(values, 64);
    }
}

/// The elements of the slice of the party in this place of `parties`.
pub(super) fn slice(place: usize, parties: usize, len: usize) -> Range<usize> {
    let at = |place: usize| (place as u128 * len as u128 / parties.max(1) as u128) as usize;
    at(place)..at(place + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_all_of_a_vector() {
        for (parties, len) in [(3, 10), (7, 3), (5, 0), (128, 1_000_003)] {
            let slices: Vec<_> = (0..parties).map(|place| slice(place, parties, len)).collect();
            assert_eq!(slices[0].start, 0);
            assert_eq!(slices[parties - 1].end, len);
            assert!(slices.windows(2).all(|pair| pair[0].end == pair[1].start));
            assert!(slices.iter().all(|slice| slice.len() <= len.div_ceil(parties)));
        }
    }

    #[test]
    fn an_attempt_is_masked_for_once() {
        let seed = |name: &[u8]| Seed::from_secret("test", &[name]);
        let pairs = vec![None, Some(seed(b"1")), Some(seed(b"2"))];
        let (own, switch) = (seed(b"own"), MaskSwitch::default());
        let mut masks = Masks::new(0, pairs, own, switch);
        let (all, two) = (Set::below(3), Set::below(2));
        let mut seen = Vec::new();
        for (round, set) in [(1, all), (1, two), (2, all), (3, two)] {
            let mut values = vec![Z64(0); 4];
            let own = masks.mask(round, set, &mut values).expect("is fresh");
            assert!(!seen.contains(&(own.clone(), values.clone())));
            seen.push((own, values));
            // Neither the same, nor more parties again, nor a round before.
            for (round, set) in [(round, set), (round, all), (round - 1, two)] {
                assert!(masks.mask(round, set, &mut [Z64(0)]).is_none());
                assert!(masks.secrets(round, set, 2).is_none());
            }
        }
    }

    #[test]
    fn shares_are_told_once_a_round_and_secrets_are_of_one_attempt() {
        let own = Seed::from_secret("test", &[b"own"]);
        let mut masks = Masks::new(0, Vec::new(), own, MaskSwitch::default());
        assert!(masks.may_tell(1) && !masks.may_tell(1) && masks.may_tell(2) && !masks.may_tell(1));
        let mut seen = Vec::new();
        for (round, set) in [(1, Set::below(3)), (1, Set::below(2)), (2, Set::below(3))] {
            let secrets = masks.secrets(round, set, 2).expect("is fresh");
            let all = [*secrets.key, *secrets.own, *secrets.shares(0).key, *secrets.shares(0).own];
            for one in all {
                assert!(!seen.contains(&one));
                seen.push(one);
            }
        }
    }
}
