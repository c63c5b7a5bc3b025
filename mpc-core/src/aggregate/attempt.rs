//! One attempt at a sum, from the first slice to the sum (docs/protocols.md 18.2, steps 2 to 4).

use zeroize::Zeroizing;

use super::Set;
use super::masks::{Masks, OwnMask, slice};
use super::message::Finish;
use crate::ring::Z64;

/// A masked slice and who adds it up.
type Slice = (usize, Zeroizing<Vec<Z64>>);

/// How far an attempt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// Of an attempt that a quorum can end: not all keys are there.
    Keys,
    /// Not all slices are there.
    Slices,
    /// Not all have said that they have theirs.
    Complete,
    /// The own mask is told.
    Finish,
}

/// What a party has of an attempt.
pub(super) struct Attempt {
    pub(super) set: Set,
    pub(super) step: Step,
    /// Whether the others may have gone on without this party: then it no longer tells its mask by itself.
    pub(super) stale: bool,
    len: usize,
    me: usize,
    /// The sum of the slices that are there.
    sum: Zeroizing<Vec<Z64>>,
    /// Whose slices are in it.
    pub(super) got: Set,
    /// Who said that it has all slices.
    pub(super) complete: Set,
    own: OwnMask,
    /// What each party sent in the last step.
    finishes: Vec<Option<Finish>>,
}

impl Attempt {
    /// Begins an attempt with the masked vector, and gives each member's slice of it.
    pub(super) fn begin(
        (me, parties, set): (usize, usize, Set),
        masked: &[Z64],
        own: OwnMask,
    ) -> (Self, Vec<Slice>) {
        let len = masked.len();
        let part = |place| Zeroizing::new(masked[slice(place, set.len(), len)].to_vec());
        let others = set.iter().enumerate().filter(|&(_, party)| party != me);
        let slices = others.map(|(place, party)| (party, part(place))).collect();
        let attempt = Self {
            set,
            step: Step::Slices,
            stale: false,
            len,
            me,
            sum: part(set.place(me)),
            got: Set::default().with(me),
            complete: Set::default(),
            own,
            finishes: vec![None; parties],
        };
        (attempt, slices)
    }

    /// The length of the slice that a member adds up.
    pub(super) fn slice_of(&self, member: usize) -> usize {
        slice(self.set.place(member), self.set.len(), self.len).len()
    }

    /// Adds a slice of `from`; `false` if it is none that is due.
    pub(super) fn add(&mut self, from: usize, values: &[Z64]) -> bool {
        let due = self.step == Step::Slices && !self.got.contains(from);
        if !due || values.len() != self.sum.len() {
            return false;
        }
        for (sum, value) in self.sum.iter_mut().zip(values) {
            *sum += *value;
        }
        self.got = self.got.with(from);
        true
    }

    /// What this party sends in the last step, from now on held by it too.
    pub(super) fn finish(&mut self) -> Finish {
        self.step = Step::Finish;
        let finish = Finish { own: self.own.clone(), sum: self.sum.clone() };
        self.finishes[self.me] = Some(finish.clone());
        finish
    }

    /// Keeps what `owner` sent in the last step; `false` if it cannot be that.
    pub(super) fn keep(&mut self, owner: usize, finish: Finish) -> bool {
        if owner == self.me || finish.sum.len() != self.slice_of(owner) {
            return false;
        }
        match &self.finishes[owner] {
            Some(held) => *held == finish,
            None => {
                self.finishes[owner] = Some(finish);
                true
            }
        }
    }

    /// What `owner` sent in the last step.
    pub(super) fn held(&self, owner: usize) -> Option<&Finish> {
        self.finishes.get(owner).and_then(Option::as_ref)
    }

    /// Whose messages of the last step are held.
    pub(super) fn holds(&self) -> Set {
        self.set.iter().filter(|&party| self.held(party).is_some()).collect()
    }

    /// The sum, if all of the last step are there.
    pub(super) fn total(&self, masks: &Masks) -> Option<Zeroizing<Vec<Z64>>> {
        if self.step != Step::Finish || self.holds() != self.set {
            return None;
        }
        let mut total = Zeroizing::new(Vec::with_capacity(self.len));
        let all = || self.set.iter().filter_map(|party| self.held(party));
        all().for_each(|finish| total.extend_from_slice(&finish.sum));
        all().for_each(|finish| masks.unmask(&finish.own, &mut total));
        Some(total)
    }
}
