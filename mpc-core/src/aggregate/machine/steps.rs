//! The steps of an attempt: what is taken, what is sent (docs/protocols.md 18.2, steps 2 to 4).

use std::sync::Arc;

use zeroize::Zeroizing;

use super::super::Set;
use super::super::attempt::{Attempt, Step};
use super::super::message::{Body, Finish, Message};
use super::{Due, Ended, Machine, Round, Vector};
use crate::ring::Z64;

impl Machine {
    pub(super) fn take_step(&mut self, from: usize, (number, set): (u64, Set), body: Body) -> Due {
        let me = self.me();
        let Some(round) = &mut self.round else { return Err("a step of no round") };
        if number > round.number {
            return Err("a step of a round that it cannot be in");
        }
        let here = number == round.number && !round.over && !round.excluded;
        if !here || !round.view.contains(from) || matches!(round.vector, Vector::Closing) {
            return Ok(());
        }
        // Its view came before.
        let announced = round.reports[from].is_some_and(|said| said.view.within(set));
        if !announced || !set.contains(from) || !set.contains(me) {
            return Err("a step of an attempt that it did not announce");
        }
        if self.threshold.is_some() {
            return self.take_of_quorum(from, set, body);
        }
        let on = round.is_on_now();
        let Some(attempt) = round.attempt.as_mut().filter(|attempt| attempt.set == set) else {
            if set != round.view {
                return Ok(());
            }
            let Body::Slice(_) = body else {
                return Err("a step of an attempt that has not begun");
            };
            return match round.early[from].replace(body) {
                None => Ok(()),
                Some(_) => Err("two slices"),
            };
        };
        match body {
            Body::Slice(values) => {
                if on && !attempt.add(from, &values) {
                    return Err("a slice that is not due");
                }
            }
            Body::Complete => {
                if attempt.complete.contains(from) {
                    return Err("the same step twice");
                }
                if on {
                    attempt.complete = attempt.complete.with(from);
                }
            }
            Body::Finish { owner, finish } => {
                let sent_on = owner != from;
                if !set.contains(owner) || (sent_on && round.view.contains(owner)) {
                    return Err("the last step of somebody who is there");
                }
                if attempt.step == Step::Slices || !attempt.keep(owner, finish) {
                    return Err("a last step that is not due");
                }
                if on && attempt.step == Step::Complete && !attempt.stale {
                    self.finish();
                }
            }
            _ => return Err("a step of a sum that a quorum ends"),
        }
        self.advance();
        let Some(round) = &self.round else { return Ok(()) };
        let holds = round.attempt.as_ref().map(Attempt::holds).unwrap_or_default();
        let heard = round.doubted.and(holds);
        self.shrink(round.view.less(heard));
        Ok(())
    }

    /// Takes the steps that nothing is missing for.
    pub(super) fn advance(&mut self) {
        let me = self.me();
        let Some(round) = &mut self.round else { return };
        if !round.is_on_now() || round.over {
            return;
        }
        let number = round.number;
        let Some(attempt) = &mut round.attempt else { return };
        let set = attempt.set;
        if attempt.step == Step::Slices && attempt.got == set {
            attempt.step = Step::Complete;
            attempt.complete = attempt.complete.with(me);
            round.stamp += 1;
            self.send(&Message { round: number, set, body: Body::Complete }, set);
        }
        let Some(Round { attempt: Some(attempt), .. }) = &self.round else { return };
        if attempt.step == Step::Complete && attempt.complete == set && !attempt.stale {
            self.finish();
        }
        let Some(round) = &mut self.round else { return };
        let total = round.attempt.as_ref().and_then(|attempt| attempt.total(&self.masks));
        if let Some(total) = total {
            self.tell_those_who_leave(set, &total);
            self.summed_up(set, total);
        }
    }

    /// Whoever said that it would leave the attempt waits for a word of this party that will not come: it gets the sum.
    pub(super) fn tell_those_who_leave(&mut self, set: Set, total: &Zeroizing<Vec<Z64>>) {
        let Some(round) = &self.round else { return };
        let together = round.forward == Some(round.view);
        let leaves = |party: &usize| {
            round.reports[*party]
                .is_some_and(|said| !(set.within(said.view) || together && said.view == round.view))
        };
        let leaving: Set = round.view.without(self.me()).iter().filter(leaves).collect();
        if !leaving.is_empty() {
            let body = Body::Total(total.clone());
            self.send(&Message { round: round.number, set, body }, leaving);
        }
    }

    pub(super) fn summed_up(&mut self, set: Set, total: Zeroizing<Vec<Z64>>) {
        let Some(round) = &mut self.round else { return };
        self.summed = set;
        self.total = Some(total.clone());
        round.end(Ended::Sum(set, total));
    }

    /// The last step: this party's own mask is told.
    pub(super) fn finish(&mut self) {
        let me = self.me();
        let Some(round) = &mut self.round else { return };
        let Some(attempt) = &mut round.attempt else { return };
        let (number, set, to) = (round.number, attempt.set, attempt.set.and(round.view));
        let finish = attempt.finish();
        round.stamp += 1;
        self.send_finish(number, set, (me, finish), to);
    }

    /// The attempt ends with those who are away: all that is missing of them is held by somebody.
    pub(super) fn forward(&mut self, relays: Vec<(usize, usize)>) {
        let me = self.me();
        let Some(round) = &mut self.round else { return };
        round.forward = Some(round.view);
        round.stamp += 1;
        let (number, view) = (round.number, round.view);
        let Some(attempt) = &round.attempt else { return };
        let (set, step) = (attempt.set, attempt.step);
        let own = relays.iter().filter(|&&(_, by)| by == me);
        let sent_on: Vec<(usize, Finish)> =
            own.filter_map(|&(of, _)| Some((of, attempt.held(of)?.clone()))).collect();
        round.relays = relays;
        match step {
            Step::Keys | Step::Slices => {
                round.end(Ended::Fault("an attempt is finished that has not all slices"));
                return;
            }
            Step::Complete => self.finish(),
            Step::Finish => {}
        }
        for finish in sent_on {
            self.send_finish(number, set, finish, view);
        }
        self.advance();
    }

    /// A new attempt, of all that are there.
    pub(super) fn start(&mut self) {
        let me = self.me();
        if self.stop_if_few() {
            return;
        }
        if let Some(threshold) = self.threshold {
            return self.start_quorum(threshold);
        }
        let Some(round) = &mut self.round else { return };
        let (number, set) = (round.number, round.view);
        let Vector::Values(values) = &round.vector else { return };
        let mut masked = values.clone();
        let Some(own) = self.masks.mask(number, set, &mut masked) else {
            round.end(Ended::Fault("masks of an attempt were to be used again"));
            return;
        };
        let (attempt, slices) = Attempt::begin((me, self.parties, set), &masked, own);
        round.attempt = Some(attempt);
        round.relays.clear();
        round.stamp += 1;
        for (to, values) in slices {
            let message = Message { round: number, set, body: Body::Slice(values) };
            self.send(&message, Set::default().with(to));
        }
        for from in set.iter() {
            let Some(Round { early, attempt: Some(attempt), .. }) = &mut self.round else { return };
            let Some(Body::Slice(values)) = early[from].take() else { continue };
            if !attempt.add(from, &values) {
                self.faults.push((from, "a slice that is not due"));
                return self.lose(from);
            }
        }
        self.advance();
    }

    pub(super) fn send_finish(
        &mut self,
        number: u64,
        set: Set,
        (owner, finish): (usize, Finish),
        to: Set,
    ) {
        self.send(&Message { round: number, set, body: Body::Finish { owner, finish } }, to);
    }

    pub(super) fn send_state(&mut self, number: u64, to: usize) {
        let body = Body::State(self.state.clone());
        let message = Message { round: number, set: Set::default(), body };
        self.send(&message, Set::default().with(to));
    }

    pub(super) fn send(&mut self, message: &Message, to: Set) {
        let bytes = Arc::new(message.encode());
        let to = to.less(self.gone).without(self.me());
        self.out.extend(to.iter().map(|party| (party, Arc::clone(&bytes))));
    }
}
