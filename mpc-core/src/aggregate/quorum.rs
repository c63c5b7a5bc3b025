//! One attempt that `t` parties can end (docs/protocols.md 18.7, steps 2 to 5).

use std::ops::Range;

use curve25519_dalek::constants::RISTRETTO_BASEPOINT_TABLE;
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use zeroize::Zeroizing;

use super::Set;
use super::attempt::Step;
use super::masks::{Masks, slice};
use super::shares::{Secrets, Shares, factors};
use crate::ring::Z64;

type Values = Zeroizing<Vec<Z64>>;

/// What a party was sent of another one in step 2.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Keys {
    pub(super) point: CompressedRistretto,
    pub(super) shares: Shares,
}

/// What a party has of such an attempt.
pub(super) struct Quorum {
    /// Who began it.
    pub(super) set: Set,
    /// Who is to be in the sum.
    pub(super) members: Set,
    pub(super) step: Step,
    /// As of an [`Attempt`](super::attempt::Attempt).
    pub(super) stale: bool,
    threshold: usize,
    me: usize,
    len: usize,
    secrets: Secrets,
    keys: Vec<Option<(RistrettoPoint, Shares)>>,
    /// The own vector, when it is masked.
    masked: Values,
    /// The slices that this party adds up.
    slices: Vec<Option<Values>>,
    /// Pieces of the slices of those who are away.
    pieces: Vec<Option<Values>>,
    sums: Vec<Option<Values>>,
    /// Each one's shares of a secret of each of those who began it.
    tells: Vec<Option<Zeroizing<Vec<Scalar>>>>,
}

fn there<T>(of: &[Option<T>]) -> Set {
    (0..of.len()).filter(|&party| of[party].is_some()).collect()
}

impl Quorum {
    /// Begins an attempt, and gives what each other member is sent first.
    pub(super) fn begin(
        (me, parties, set): (usize, usize, Set),
        (threshold, len): (usize, usize),
        secrets: Secrets,
    ) -> (Self, Vec<(usize, Keys)>) {
        let point = secrets.point();
        let to = |party| (party, Keys { point, shares: secrets.shares(party) });
        let sent = set.without(me).iter().map(to).collect();
        let own = Keys { point, shares: secrets.shares(me) };
        let none = || vec![None; parties];
        let mut quorum = Self {
            set,
            members: set,
            step: Step::Keys,
            stale: false,
            threshold,
            me,
            len,
            secrets,
            keys: vec![None; parties],
            masked: Zeroizing::default(),
            slices: none(),
            pieces: none(),
            sums: none(),
            tells: vec![None; parties],
        };
        quorum.take_keys(me, own);
        (quorum, sent)
    }

    /// The attempt that this party is in, when all keys are there, and for whom it has told its shares.
    pub(super) fn report(&self) -> (Set, Set) {
        let set = if self.step == Step::Keys { Set::default() } else { self.set };
        (set, if self.told() { self.members } else { Set::default() })
    }

    /// Whether this party has said its shares.
    pub(super) fn told(&self) -> bool {
        self.step == Step::Finish
    }

    /// Whom this step waits for.
    pub(super) fn missing(&self) -> Set {
        match self.step {
            Step::Keys => self.set.less(there(&self.keys)),
            Step::Slices => self.members.less(there(&self.slices).and(self.with_pieces())),
            Step::Complete => self.members.less(self.summed()),
            Step::Finish => self.members.less(there(&self.tells)),
        }
    }

    /// Whose sums are held.
    pub(super) fn summed(&self) -> Set {
        there(&self.sums)
    }

    fn with_pieces(&self) -> Set {
        if self.members == self.set { self.set } else { there(&self.pieces) }
    }

    pub(super) fn sum_of(&self, owner: usize) -> Option<&Values> {
        self.sums.get(owner).and_then(Option::as_ref)
    }

    /// The elements that a member adds up: its slice, and its pieces of the slices of those who are away.
    fn parts(&self, member: usize) -> Vec<Range<usize>> {
        let of = |party| slice(self.set.place(party), self.set.len(), self.len);
        let (place, members) = (self.members.place(member), self.members.len());
        let away = self.set.less(self.members);
        let pieces = away.iter().map(|away| {
            let all = of(away);
            let piece = slice(place, members, all.len());
            all.start + piece.start..all.start + piece.end
        });
        std::iter::once(of(member)).chain(pieces).collect()
    }

    /// Takes the keys of a member; `false` if they are none that are due.
    pub(super) fn take_keys(&mut self, from: usize, keys: Keys) -> bool {
        let Some(point) = keys.point.decompress() else { return false };
        let due = self.step == Step::Keys && self.keys[from].is_none();
        if due {
            self.keys[from] = Some((point, keys.shares));
        }
        due
    }

    /// Masks the own vector, when all keys are there, and gives each other member's slice of it. `None` where they are not.
    pub(super) fn mask(
        &mut self,
        masks: &Masks,
        domain: &str,
        own: &Values,
    ) -> Option<Vec<(usize, Values)>> {
        if self.step != Step::Keys || !self.missing().is_empty() {
            return None;
        }
        let mut masked = own.clone();
        for peer in self.set.without(self.me).iter() {
            let (point, _) = self.keys[peer].as_ref()?;
            masks.in_common(domain, (self.me, peer), (&self.secrets.key, point), &mut masked);
        }
        masks.own(domain, &self.secrets.own, true, &mut masked);
        self.masked = masked;
        self.step = Step::Slices;
        let part = |party| slice(self.set.place(party), self.set.len(), self.len);
        let of = |party| Zeroizing::new(self.masked[part(party)].to_vec());
        let out = self.set.without(self.me).iter().map(|party| (party, of(party))).collect();
        self.slices[self.me] = Some(of(self.me));
        Some(out)
    }

    /// Takes a slice; `false` if it is none that is due.
    pub(super) fn take_slice(&mut self, from: usize, values: Values) -> bool {
        let len = slice(self.set.place(self.me), self.set.len(), self.len).len();
        let due = self.slices[from].is_none() && values.len() == len;
        if due {
            self.slices[from] = Some(values);
        }
        due
    }

    /// Goes on without those who are away, none of whom is in the sum, and gives each other member's pieces of their slices.
    pub(super) fn narrow(&mut self, members: Set) -> Vec<(usize, Values)> {
        self.members = members;
        self.step = Step::Slices;
        self.stale = false;
        for kept in [&mut self.pieces, &mut self.sums] {
            kept.iter_mut().for_each(|values| *values = None);
        }
        self.tells.iter_mut().for_each(|told| *told = None);
        let of = |party| self.pieces_for(party);
        let out = members.without(self.me).iter().map(|party| (party, of(party))).collect();
        self.pieces[self.me] = Some(self.pieces_for(self.me));
        out
    }

    fn pieces_for(&self, member: usize) -> Values {
        let mut values = Zeroizing::new(Vec::new());
        for part in self.parts(member).into_iter().skip(1) {
            values.extend_from_slice(&self.masked[part]);
        }
        values
    }

    /// Takes pieces; `false` if they are none that are due.
    pub(super) fn take_pieces(&mut self, from: usize, values: Values) -> bool {
        let len: usize = self.parts(self.me).into_iter().skip(1).map(|part| part.len()).sum();
        let due = self.pieces[from].is_none() && values.len() == len;
        if due {
            self.pieces[from] = Some(values);
        }
        due
    }

    /// The sum over the members, when all that it is of is there.
    pub(super) fn add_up(&mut self) -> Option<Values> {
        if self.step != Step::Slices || !self.missing().is_empty() {
            return None;
        }
        let mut sum = self.slices[self.me].clone()?;
        sum.extend_from_slice(self.pieces[self.me].as_deref().map_or(&[], Vec::as_slice));
        for party in self.members.without(self.me).iter() {
            let pieces = self.pieces[party].as_deref().map_or(&[][..], Vec::as_slice);
            let all = self.slices[party].as_ref()?.iter().chain(pieces);
            sum.iter_mut().zip(all).for_each(|(sum, value)| *sum += *value);
        }
        self.step = Step::Complete;
        self.sums[self.me] = Some(sum.clone());
        Some(sum)
    }

    /// Takes a member's sum; `false` if it cannot be that.
    pub(super) fn take_sum(&mut self, owner: usize, values: Values) -> bool {
        let len: usize = self.parts(owner).into_iter().map(|part| part.len()).sum();
        if owner == self.me || values.len() != len {
            return false;
        }
        match &self.sums[owner] {
            Some(held) => *held == values,
            None => {
                self.sums[owner] = Some(values);
                true
            }
        }
    }

    /// Whether all sums are there, and nothing is told yet.
    pub(super) fn is_to_tell(&self) -> bool {
        self.step == Step::Complete && self.missing().is_empty()
    }

    /// The own shares that end the sum over the members: of the own mask of each of them, and of the key of each who is away. Never of both.
    pub(super) fn tell(&mut self) -> Option<Zeroizing<Vec<Scalar>>> {
        let mut told = Zeroizing::new(Vec::with_capacity(self.set.len()));
        for party in self.set.iter() {
            let (_, shares) = self.keys[party].as_ref()?;
            told.push(if self.members.contains(party) { *shares.own } else { *shares.key });
        }
        self.step = Step::Finish;
        self.tells[self.me] = Some(told.clone());
        Some(told)
    }

    /// Takes what a member tells; `false` if it is none that is due.
    pub(super) fn take_told(&mut self, from: usize, shares: Zeroizing<Vec<Scalar>>) -> bool {
        let due = self.tells[from].is_none() && shares.len() == self.set.len();
        if due {
            self.tells[from] = Some(shares);
        }
        due
    }

    /// The sum, when all sums are there, and a quorum has told; an error if what it told does not fit.
    pub(super) fn total(
        &self,
        masks: &Masks,
        domain: &str,
    ) -> Option<Result<Values, &'static str>> {
        let told: Set = there(&self.tells).iter().take(self.threshold).collect();
        if self.step != Step::Finish || told.len() < self.threshold {
            return None;
        }
        let mut total = Zeroizing::new(vec![Z64(0); self.len]);
        for member in self.members.iter() {
            let mut sum = self.sum_of(member)?.iter();
            for part in self.parts(member) {
                total[part].iter_mut().zip(&mut sum).for_each(|(to, value)| *to = *value);
            }
        }
        let factors = factors(told);
        for (at, party) in self.set.iter().enumerate() {
            let mut secret = Zeroizing::new(Scalar::ZERO);
            for (told, factor) in told.iter().zip(&factors) {
                *secret += self.tells[told].as_ref()?[at] * factor;
            }
            if self.members.contains(party) {
                masks.own(domain, &secret, false, &mut total);
                continue;
            }
            let (point, _) = self.keys[party].as_ref()?;
            if &*secret * RISTRETTO_BASEPOINT_TABLE != *point {
                return Some(Err("the shares of a key that parties told do not give it"));
            }
            // What the members have in common with it is still in the sum: its own side of it takes that away.
            for member in self.members.iter() {
                let (point, _) = self.keys[member].as_ref()?;
                masks.in_common(domain, (party, member), (&secret, point), &mut total);
            }
        }
        Some(Ok(total))
    }
}
