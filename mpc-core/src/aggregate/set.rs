//! A set of parties.

use std::fmt;

/// A set of parties, by their numbers, which are below [`Set::MOST`].
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Set(u128);

impl Set {
    /// How many parties there may be.
    pub const MOST: usize = 128;

    /// The parties below `count`.
    #[must_use]
    pub fn below(count: usize) -> Self {
        (0..count.min(Self::MOST)).collect()
    }

    /// Whether `party` is in it.
    #[must_use]
    pub fn contains(self, party: usize) -> bool {
        party < Self::MOST && self.0 >> party & 1 == 1
    }

    /// The set with `party`.
    #[must_use]
    pub fn with(self, party: usize) -> Self {
        if party < Self::MOST { Self(self.0 | 1 << party) } else { self }
    }

    /// The set without `party`.
    #[must_use]
    pub fn without(self, party: usize) -> Self {
        if party < Self::MOST { Self(self.0 & !(1 << party)) } else { self }
    }

    /// Those who are in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those who are in one of them.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those who are not in `other`.
    #[must_use]
    pub fn less(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all are in `other`.
    #[must_use]
    pub fn within(self, other: Self) -> bool {
        self.less(other).is_empty()
    }

    /// Whether nobody is in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many are in it.
    #[must_use]
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Its parties, in ascending order.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..Self::MOST).filter(move |&party| self.contains(party))
    }

    /// How many of its parties come before `party`.
    #[must_use]
    pub fn place(self, party: usize) -> usize {
        self.iter().take_while(|&other| other < party).count()
    }

    /// The first of its parties.
    #[must_use]
    pub fn first(self) -> Option<usize> {
        self.iter().next()
    }

    /// As bytes: bit i of the little-endian number is party i.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }

    /// The set with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_le_bytes(bytes))
    }
}

impl FromIterator<usize> for Set {
    fn from_iter<I: IntoIterator<Item = usize>>(parties: I) -> Self {
        parties.into_iter().fold(Self::default(), Self::with)
    }
}

impl fmt::Debug for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_those_of_their_parties() {
        let all = Set::below(128);
        assert_eq!(all.len(), 128);
        let some: Set = [3, 5, 127].into_iter().collect();
        assert!(some.within(all) && !all.within(some));
        assert_eq!((some.place(127), some.place(3), some.first()), (2, 0, Some(3)));
        assert_eq!(some.less([5].into_iter().collect()).iter().collect::<Vec<_>>(), [3, 127]);
        assert_eq!(Set::from_bytes(some.to_bytes()), some);
        assert_eq!(some.with(128), some);
        assert!(!some.contains(128));
        assert_eq!(format!("{some:?}"), "{3, 5, 127}");
    }
}
