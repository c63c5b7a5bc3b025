//! What parties say of themselves and of the others, and what follows from it (docs/protocols.md 18.2, step 1).

use zeroize::Zeroizing;

use super::super::Set;
use super::super::attempt::Step;
use super::super::message::{Body, Message, Report};
use super::{Due, Ended, Machine, Vector};
use crate::ring::Z64;

impl Machine {
    pub(super) fn take_state(&mut self, from: usize, number: u64, state: Vec<u8>) -> Due {
        let Some(round) = &mut self.round else { return Ok(()) };
        let due = !round.over && number > round.number;
        if due && (round.excluded || round.view.contains(from)) {
            round.end(Ended::Behind(number, state));
            // Who was in the sums between is in the state.
            self.summed = Set::below(self.parties);
        }
        Ok(())
    }

    pub(super) fn take_total(
        &mut self,
        from: usize,
        (number, set): (u64, Set),
        total: Zeroizing<Vec<Z64>>,
    ) -> Due {
        let Some(round) = &self.round else { return Err("a sum of no round") };
        if number > round.number || total.len() != self.len || set.len() < self.least {
            return Err("a sum that is none");
        }
        let due =
            number == round.number && !round.over && matches!(round.vector, Vector::Values(_));
        if due && (round.excluded || round.view.contains(from)) {
            self.summed_up(set, total);
        }
        Ok(())
    }

    pub(super) fn take_view(&mut self, from: usize, number: u64, report: Report) -> Due {
        let current = self.round.as_ref().map_or(0, |round| round.number);
        if number > current {
            let again = self.ahead[from].is_some_and(|(before, said)| {
                number < before || (number == before && !report.view.within(said.view))
            });
            if again {
                return Err("a view that grew");
            }
            self.ahead[from] = Some((number, report));
            return Ok(());
        }
        let Some(round) = &mut self.round else { return Ok(()) };
        if number < current {
            self.asked[from] += 1;
            // A member of the last sum may be about to begin it anew: it must hear this at once.
            let first = round.view.without(from).first() == Some(self.masks.me);
            if first || self.summed.contains(from) || self.asked[from] > 1 {
                self.send_state(current, from);
            }
            return Ok(());
        }
        if round.reports[from].is_some_and(|said| !report.view.within(said.view)) {
            return Err("a view that grew");
        }
        if round.over {
            // Likewise; who is not answered here is when this party goes on.
            self.asked[from] += 1;
            if let Some(total) = self.total.clone() {
                let message = Message { round: number, set: self.summed, body: Body::Total(total) };
                self.send(&message, Set::default().with(from));
            }
            return Ok(());
        }
        self.hear(from, report);
        self.decide();
        Ok(())
    }

    /// Takes another party's report of this round.
    pub(super) fn hear(&mut self, from: usize, report: Report) {
        let me = self.me();
        let Some(round) = self.round.as_mut().filter(|round| !round.over) else { return };
        round.reports[from] = Some(report);
        if matches!(round.vector, Vector::Closing) || !round.view.contains(from) {
            return;
        }
        if !report.view.contains(me) {
            round.excluded = true;
            round.wipe();
            round.stamp += 1;
            return;
        }
        // Who sees hardly anybody is away itself.
        let alike = report.digest == round.digest && report.view.len() >= self.least;
        let both = round.view.and(report.view);
        // What those who are left out sent in the last step before is heard first.
        let attempt = round.attempt.as_ref().filter(|attempt| attempt.step != Step::Slices);
        let open = attempt.map(|attempt| attempt.set.less(attempt.holds())).unwrap_or_default();
        let doubted = round.view.less(both).and(open);
        if !doubted.within(round.doubted) {
            round.doubted = round.doubted.or(doubted);
            round.stamp += 1;
        }
        let view = both.or(doubted);
        self.shrink(if alike { view } else { view.without(from) });
    }

    /// Leaves out who is not in `view`.
    pub(super) fn shrink(&mut self, view: Set) {
        let Some(round) = &mut self.round else { return };
        if round.view == view || round.over || round.excluded {
            return;
        }
        // A sum that somebody may have begun to end needs no more than its quorum.
        let ending = round.quorum.as_ref().is_some_and(|quorum| quorum.step >= Step::Complete);
        let least = self.threshold.filter(|_| ending).unwrap_or(self.least);
        if view.len() < least && matches!(round.vector, Vector::Values(_)) {
            round.end(Ended::TooFew(view));
            return;
        }
        round.view = view;
        round.doubted = round.doubted.and(view);
        round.forward = None;
        round.early.iter_mut().for_each(|early| *early = None);
        round.stamp += 1;
        self.announce();
        self.decide();
    }

    /// Says to all what this party sees and holds.
    pub(super) fn announce(&mut self) {
        let me = self.me();
        let Some(round) = &mut self.round else { return };
        let (attempt, holds) = match (&round.attempt, &round.quorum) {
            (Some(attempt), _) => (attempt.set, attempt.holds()),
            (None, Some(quorum)) => quorum.report(),
            (None, None) => Default::default(),
        };
        let (view, digest) = (round.view, round.digest);
        round.reports[me] = Some(Report { view, attempt, holds, digest });
        self.send_view(Set::below(self.parties));
    }

    pub(super) fn send_view(&mut self, to: Set) {
        let Some(round) = &self.round else { return };
        let Some(Report { view, attempt, holds, digest }) = round.reports[self.me()] else {
            return;
        };
        let body = Body::View { attempt, holds, digest };
        let message = Message { round: round.number, set: view, body };
        self.send(&message, to);
    }

    /// What follows from the reports, when all that are there see the same.
    pub(super) fn decide(&mut self) {
        let Some(round) = &mut self.round else { return };
        if round.over || round.excluded {
            return;
        }
        let view = round.view;
        if matches!(round.vector, Vector::Closing) {
            if view.iter().all(|party| round.reports[party].is_some()) {
                round.end(Ended::Closed);
            }
            return;
        }
        let reports: Option<Vec<(usize, Report)>> =
            view.iter().map(|party| Some((party, round.reports[party]?))).collect();
        let Some(reports) = reports else { return };
        if round.is_on_now() || reports.iter().any(|(_, report)| report.view != view) {
            return;
        }
        if self.threshold.is_some() {
            return self.decide_of_quorum(&reports);
        }
        let set = round.attempt.as_ref().map(|attempt| attempt.set).unwrap_or_default();
        let together = !set.is_empty() && reports.iter().all(|(_, said)| said.attempt == set);
        let holder = |away: usize| {
            let found = reports.iter().find(|(_, report)| report.holds.contains(away));
            found.map(|&(by, _)| (away, by))
        };
        let relays: Option<Vec<_>> = set.less(view).iter().map(holder).collect();
        match relays.filter(|_| together) {
            Some(relays) => self.forward(relays),
            None => self.start(),
        }
    }
}
