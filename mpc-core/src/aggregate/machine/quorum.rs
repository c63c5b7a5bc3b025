//! The steps of an attempt that a quorum can end (docs/protocols.md 18.7).

use super::super::Set;
use super::super::masks::domain;
use super::super::message::{Body, Message, Report};
use super::super::quorum::Quorum;
use super::{Due, Ended, Machine, Round, Vector};

impl Machine {
    /// A new attempt, of all that are there: what was masked for one before has no use any more.
    pub(super) fn start_quorum(&mut self, threshold: usize) {
        let me = self.me();
        let Some(round) = &mut self.round else { return };
        let (number, set) = (round.number, round.view);
        let Some(secrets) = self.masks.secrets(number, set, threshold) else {
            round.end(Ended::Fault("secrets of an attempt were to be used again"));
            return;
        };
        let shape = (threshold, self.len);
        let (quorum, sent) = Quorum::begin((me, self.parties, set), shape, secrets);
        round.quorum = Some(quorum);
        round.relays.clear();
        round.stamp += 1;
        for (to, keys) in sent {
            let message = Message { round: number, set, body: Body::Keys(keys) };
            self.send(&message, Set::default().with(to));
        }
        self.take_early(set);
    }

    /// Takes what others have sent already of what this party has just begun.
    fn take_early(&mut self, set: Set) {
        for from in 0..self.parties {
            let early = self.round.as_mut().and_then(|round| round.early[from].take());
            if let Some(body) = early
                && let Err(what) = self.take_of_quorum(from, set, body)
            {
                self.faults.push((from, what));
                return self.lose(from);
            }
        }
        self.advance_quorum();
    }

    /// Takes a step of a party that is there.
    pub(super) fn take_of_quorum(&mut self, from: usize, set: Set, body: Body) -> Due {
        let Some(round) = &mut self.round else { return Ok(()) };
        let Some(quorum) = round.quorum.as_mut().filter(|quorum| quorum.set == set) else {
            if set != round.view {
                return Ok(());
            }
            return match body {
                Body::Keys(_) if round.early[from].is_none() => {
                    round.early[from] = Some(body);
                    Ok(())
                }
                _ => Err("a step of an attempt that has not begun"),
            };
        };
        let members = quorum.members;
        let due = match body {
            Body::Keys(keys) => quorum.take_keys(from, keys),
            Body::Slice(values) => quorum.take_slice(from, values),
            Body::Pieces(of, _) if of != members => {
                // It has heard of all that they go on without the same ones before this party has; or this party sees fewer by now.
                if of != round.view {
                    return Ok(());
                }
                round.early[from].replace(body).is_none()
            }
            Body::Sum(of, ..) | Body::Tell(of, _) if of != members => !of.is_empty(),
            Body::Pieces(_, values) => members.contains(from) && quorum.take_pieces(from, values),
            Body::Sum(_, owner, values) => {
                let sent_on = owner != from && !round.view.contains(owner);
                let due = members.contains(owner) && (owner == from || sent_on);
                due && quorum.take_sum(owner, values)
            }
            Body::Tell(_, shares) => members.contains(from) && quorum.take_told(from, shares),
            _ => false,
        };
        if !due {
            return Err("a step that is not due");
        }
        self.advance_quorum();
        Ok(())
    }

    /// Takes the steps that nothing is missing for.
    fn advance_quorum(&mut self) {
        let Some(round) = &mut self.round else { return };
        if !round.is_on_now() || round.over {
            return;
        }
        let (number, forward) = (round.number, round.forward.is_some());
        let (Vector::Values(values), Some(quorum)) = (&round.vector, &mut round.quorum) else {
            return;
        };
        let (set, members) = (quorum.set, quorum.members);
        let domain = domain(number, set);
        let mut out = Vec::new();
        for (to, values) in quorum.mask(&self.masks, &domain, values).into_iter().flatten() {
            out.push((Set::default().with(to), Body::Slice(values)));
        }
        if let Some(sum) = quorum.add_up() {
            out.push((members, Body::Sum(members, self.masks.me, sum)));
        }
        if quorum.is_to_tell() && (forward || !quorum.stale) {
            if !self.masks.may_tell(number) {
                round.end(Ended::Fault("shares were to be told twice in a round"));
                return;
            }
            out.extend(quorum.tell().map(|told| (members, Body::Tell(members, told))));
        }
        if !out.is_empty() {
            round.stamp += 1;
        }
        let total = quorum.total(&self.masks, &domain);
        for (to, body) in out {
            self.send(&Message { round: number, set, body }, to);
        }
        match total {
            Some(Ok(total)) => {
                self.tell_those_who_leave(members, &total);
                self.summed_up(members, total);
            }
            Some(Err(what)) => {
                if let Some(round) = &mut self.round {
                    round.end(Ended::Fault(what));
                }
            }
            None => {}
        }
    }

    /// What follows from reports of all that are there, who see the same.
    pub(super) fn decide_of_quorum(&mut self, reports: &[(usize, Report)]) {
        let least = self.least;
        let Some(round) = &mut self.round else { return };
        let view = round.view;
        let Some(quorum) = &mut round.quorum else { return self.start() };
        let set = quorum.set;
        if reports.iter().any(|(_, said)| said.attempt != set) {
            return self.start();
        }
        let told = reports.iter().find(|(_, said)| !said.holds.is_empty());
        if let Some(&(by, Report { holds, .. })) = told {
            if holds != quorum.members {
                round.end(Ended::Fault("a sum is ended of which this party knows nothing"));
                return;
            }
            return self.forward_quorum(by);
        }
        if view.len() < least {
            round.end(Ended::TooFew(view));
            return;
        }
        // Nobody that is there has told for those of before, and nobody will.
        let (number, pieces) = (round.number, quorum.narrow(view));
        round.relays.clear();
        round.stamp += 1;
        for (to, values) in pieces {
            let message = Message { round: number, set, body: Body::Pieces(view, values) };
            self.send(&message, Set::default().with(to));
        }
        self.take_early(set);
    }

    /// The sum is ended with those who are away: `by` has all sums, and sends theirs on.
    fn forward_quorum(&mut self, by: usize) {
        let me = self.me();
        let Some(Round { number, view, forward, relays, stamp, quorum, .. }) = &mut self.round
        else {
            return;
        };
        let Some(quorum) = quorum else { return };
        *forward = Some(*view);
        *stamp += 1;
        let (number, view, set, members) = (*number, *view, quorum.set, quorum.members);
        *relays = members.less(view).iter().map(|of| (of, by)).collect();
        let mut sent_on = Vec::new();
        for of in members.less(view).iter().filter(|_| by == me) {
            sent_on.extend(quorum.sum_of(of).map(|sum| Body::Sum(members, of, sum.clone())));
        }
        for body in sent_on {
            self.send(&Message { round: number, set, body }, view);
        }
        self.advance_quorum();
    }
}
