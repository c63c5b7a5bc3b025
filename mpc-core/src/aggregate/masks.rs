//! The masks of an attempt (docs/protocols.md 18.1).

use std::ops::Range;

use zeroize::Zeroizing;

use super::Set;
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
    pub(super) spent: Option<(u64, Set)>,
}

/// The seed of a mask of one's own in one attempt: it is told to all in the end, and to nobody else.
pub(super) type OwnMask = Zeroizing<[u8; 32]>;

/// What belongs to one attempt and to no other.
fn domain(round: u64, set: Set) -> String {
    format!("aggregate {round} {:032x}", u128::from_le_bytes(set.to_bytes()))
}

impl Masks {
    /// Masks the own vector for an attempt, and gives the seed of the own mask. `None` for an attempt that does
    /// not come after all before: in a later round, or in the same one with fewer parties.
    pub(super) fn mask(&mut self, round: u64, set: Set, values: &mut [Z64]) -> Option<OwnMask> {
        let fresh = self.spent.is_none_or(|(last, before)| {
            round > last || (round == last && set.within(before) && set != before)
        });
        if !fresh {
            return None;
        }
        self.spent = Some((round, set));
        let domain = domain(round, set);
        for peer in set.iter().filter(|&peer| peer != self.me) {
            let seed = self.pairs.get(peer)?.as_ref()?.derive(&domain);
            let mut stream = Prg::under(&seed, MaskSite::AggregateZero, self.switch);
            if self.me < peer {
                stream.add_to(values, 64);
            } else {
                stream.subtract_from(values, 64);
            }
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
        let mut masks = Masks { me: 0, pairs, own, switch, spent: None };
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
            }
        }
    }
}
