//! One party of an aggregation, without a network: what it sends follows from what it is told
//! (docs/protocols.md 18.2).

mod patience;
mod quorum;
mod steps;
mod views;

use std::collections::VecDeque;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::Set;
use super::attempt::Attempt;
use super::masks::Masks;
use super::message::{Body, Message, Report};
use super::quorum::Quorum;
use crate::error::Error;
use crate::rand::hash;
use crate::ring::Z64;

/// Bytes on their way to other parties.
pub(super) type Bytes = Arc<Zeroizing<Vec<u8>>>;

/// How a round ended for a party.
pub(super) enum Ended {
    /// All of the set were in it, and this is the sum.
    Sum(Set, Zeroizing<Vec<Z64>>),
    /// The others are further: this is the state from which they begin that round.
    Behind(u64, Vec<u8>),
    /// Only these are left.
    TooFew(Set),
    /// All others that are there have come to the end.
    Closed,
    /// Something that cannot be.
    Fault(&'static str),
}

/// What a round is for.
enum Vector {
    Values(Zeroizing<Vec<Z64>>),
    /// Nothing is summed any more.
    Closing,
}

struct Round {
    number: u64,
    vector: Vector,
    digest: [u8; 32],
    view: Set,
    /// The last report of each party.
    reports: Vec<Option<Report>>,
    attempt: Option<Attempt>,
    /// The same, where a quorum can end a sum.
    quorum: Option<Quorum>,
    /// The view by which the attempt goes on without those who are away.
    forward: Option<Set>,
    /// Whose messages of the last step are sent on, and by whom.
    relays: Vec<(usize, usize)>,
    /// First messages of what all are about to begin.
    early: Vec<Option<Body>>,
    /// Whom others have left out, and of whom there may be something on its way that must not be lost.
    doubted: Set,
    /// Another party has gone on without this one.
    excluded: bool,
    /// This party has asked those who say nothing whether they are further.
    asked: bool,
    /// Whether it has ended.
    over: bool,
    ended: Option<Ended>,
    /// Changes with every step.
    stamp: u64,
    /// How often there was nobody to wait for.
    idle: u32,
}

pub(super) struct Machine {
    parties: usize,
    least: usize,
    /// How many can end a sum that others fall out of; if nobody can, it begins anew without them.
    threshold: Option<usize>,
    len: usize,
    masks: Masks,
    round: Option<Round>,
    /// Who is not there any more.
    gone: Set,
    /// What parties said of a later round.
    ahead: Vec<Option<(u64, Report)>>,
    /// The state that the round starts from, for those who are behind.
    state: Vec<u8>,
    /// How often each asked for it.
    asked: Vec<u32>,
    /// The members of the last sum, and the sum while its round is the last one.
    summed: Set,
    total: Option<Zeroizing<Vec<Z64>>>,
    /// Whom to ask next.
    ask: usize,
    out: VecDeque<(usize, Bytes)>,
    /// Who sent something that was not due, and what.
    faults: Vec<(usize, &'static str)>,
}

type Due = Result<(), &'static str>;

impl Machine {
    pub(super) fn new(
        parties: usize,
        (least, threshold): (usize, Option<usize>),
        len: usize,
        masks: Masks,
    ) -> Self {
        Self {
            parties,
            least,
            threshold,
            len,
            masks,
            round: None,
            gone: Set::default(),
            ahead: vec![None; parties],
            state: Vec::new(),
            asked: vec![0; parties],
            summed: Set::default(),
            total: None,
            ask: 0,
            out: VecDeque::new(),
            faults: Vec::new(),
        }
    }

    /// The first round comes after one of an earlier session, with these members.
    pub(super) fn goes_on_after(&mut self, last: Set) {
        self.summed = last;
    }

    fn me(&self) -> usize {
        self.masks.me
    }

    /// Begins a round with the own vector; without one, waits for the others to come to their end.
    pub(super) fn begin(
        &mut self,
        number: u64,
        values: Option<Zeroizing<Vec<Z64>>>,
        state: Vec<u8>,
    ) -> Result<(), Error> {
        let last = self.round.as_ref().map_or(0, |round| round.number);
        if number <= last || values.as_ref().is_some_and(|values| values.len() != self.len) {
            return Err(Error::internal("rounds of an aggregation grow, and vectors do not"));
        }
        let behind = Set::below(self.parties).less(self.gone).less(self.summed);
        self.state = state;
        self.total = None;
        for party in Set::below(self.parties).less(self.gone).without(self.me()).iter() {
            let first = self.summed.less(self.gone).first() == Some(self.me());
            // It has begun an earlier round, before this party was there to answer.
            let earlier = self.ahead[party].take_if(|(round, _)| *round < number).is_some();
            if self.asked[party] > 0 || earlier || (first && behind.contains(party)) {
                self.send_state(number, party);
            }
        }
        self.asked = vec![0; self.parties];
        self.round = Some(Round {
            number,
            vector: values.map_or(Vector::Closing, Vector::Values),
            digest: hash("aggregate state", &[&number.to_le_bytes(), &self.state]),
            view: Set::below(self.parties).less(self.gone),
            reports: vec![None; self.parties],
            attempt: None,
            quorum: None,
            forward: None,
            relays: Vec::new(),
            early: self.nothing(),
            doubted: Set::default(),
            excluded: false,
            asked: false,
            over: false,
            ended: None,
            idle: 0,
            stamp: self.round.as_ref().map_or(0, |round| round.stamp) + 1,
        });
        self.announce();
        self.stop_if_few();
        for party in 0..self.parties {
            if let Some((_, report)) = self.ahead[party].take_if(|(round, _)| *round == number) {
                self.hear(party, report);
            }
        }
        self.decide();
        Ok(())
    }

    fn nothing(&self) -> Vec<Option<Body>> {
        (0..self.parties).map(|_| None).collect()
    }

    /// Ends a round that has not enough parties: no attempt is ever of fewer.
    fn stop_if_few(&mut self) -> bool {
        let Some(round) = &mut self.round else { return true };
        let few = round.view.len() < self.least && matches!(round.vector, Vector::Values(_));
        if few && !round.over {
            round.end(Ended::TooFew(round.view));
        }
        few
    }

    /// What is to be sent next, and to whom.
    pub(super) fn next(&mut self) -> Option<(usize, Bytes)> {
        self.out.pop_front()
    }

    /// How the round ended, once.
    pub(super) fn ended(&mut self) -> Option<Ended> {
        self.round.as_mut().and_then(|round| round.ended.take())
    }

    /// Who sent something that was not due since the last call, and what.
    pub(super) fn faults(&mut self) -> Vec<(usize, &'static str)> {
        std::mem::take(&mut self.faults)
    }

    /// Takes bytes from a party. Those that are not due are its end.
    pub(super) fn receive(&mut self, from: usize, bytes: &[u8]) {
        if self.gone.contains(from) || from == self.me() || from >= self.parties {
            return;
        }
        let taken = match Message::decode(bytes) {
            Some(message) => self.take(from, message),
            None => Err("bytes that are no message"),
        };
        if let Err(what) = taken {
            self.faults.push((from, what));
            self.lose(from);
        }
    }

    /// The connection to a party is lost.
    pub(super) fn lose(&mut self, party: usize) {
        self.gone = self.gone.with(party);
        self.ahead[party] = None;
        if let Some(round) = &self.round {
            self.shrink(round.view.without(party));
        }
    }

    fn take(&mut self, from: usize, message: Message) -> Due {
        let all = Set::below(self.parties);
        if !message.set.within(all) {
            return Err("a set of parties that do not exist");
        }
        let Message { round, set, body } = message;
        match body {
            Body::State(state) => self.take_state(from, round, state),
            Body::View { attempt, holds, digest } => {
                if !set.contains(from) || !holds.within(attempt) || !attempt.within(all) {
                    return Err("a view that is none");
                }
                self.take_view(from, round, Report { view: set, attempt, holds, digest })
            }
            Body::Total(total) => self.take_total(from, (round, set), total),
            body => self.take_step(from, (round, set), body),
        }
    }
}

impl Round {
    fn end(&mut self, how: Ended) {
        self.wipe();
        self.over = true;
        self.ended = Some(how);
        self.stamp += 1;
    }

    /// Whose vectors are to be in the sum, if an attempt has begun.
    fn members(&self) -> Option<Set> {
        let quorum = self.quorum.as_ref().map(|quorum| quorum.members);
        self.attempt.as_ref().map(|attempt| attempt.set).or(quorum)
    }

    /// Whether the attempt goes on: all that are there see those who are to be in the sum, or have decided to end it.
    fn is_on_now(&self) -> bool {
        let on = |members| members == self.view || self.forward == Some(self.view);
        self.members().is_some_and(on)
    }

    /// Nothing of the own vector is needed any more.
    fn wipe(&mut self) {
        self.attempt = None;
        self.quorum = None;
        self.early.iter_mut().for_each(|early| *early = None);
        if let Vector::Values(values) = &mut self.vector {
            *values = Zeroizing::new(Vec::new());
        }
    }
}
