//! How long a party waits in each step, and what it does when that time is over (docs/protocols.md 18.2, Who is away).

use super::super::Set;
use super::super::attempt::Step;
use super::{Ended, Machine, Vector};

impl Machine {
    /// A number that changes with every step, and for how many times its patience this party waits in this one.
    pub(in super::super) fn step(&self) -> (u64, u32) {
        let Some(round) = &self.round else { return (0, 1) };
        let waits = match &round.attempt {
            _ if !round.doubted.is_empty() => 1,
            _ if round.excluded || matches!(round.vector, Vector::Closing) => 4,
            _ if !round.is_on_now() => match (&round.attempt, &round.quorum) {
                (None, None) => 1,
                // The others doubt for as long as one.
                _ => 2,
            },
            Some(attempt) => match attempt.step {
                Step::Keys | Step::Slices => 2,
                Step::Complete => 3,
                Step::Finish => 4,
            },
            None => match round.quorum.as_ref().map_or(Step::Keys, |quorum| quorum.step) {
                Step::Keys => 2,
                Step::Slices => 3,
                Step::Complete => 4,
                Step::Finish => 5,
            },
        };
        (round.stamp, waits)
    }

    /// How long this party may take from the third step to the last one, in patiences: less than the others wait for it.
    pub(in super::super) const TELLS_WITHIN: u32 = 3;

    /// The attempt in which this party has all its slices and has not told its mask, if it is in one.
    pub(in super::super) fn is_to_tell(&self) -> Option<(u64, Set)> {
        let round = self.round.as_ref()?;
        let (step, stale, set) = match (&round.attempt, &round.quorum) {
            (Some(attempt), _) => (attempt.step, attempt.stale, attempt.set),
            (None, quorum) => {
                let quorum = quorum.as_ref()?;
                (quorum.step, quorum.stale, quorum.members)
            }
        };
        (step == Step::Complete && !stale).then_some((round.number, set))
    }

    /// So much time has passed since it had all slices that the others may hold it for away: what it told now
    /// would tell them its vector, by the difference of two sums.
    pub(in super::super) fn is_stale(&mut self) {
        let Some(round) = &mut self.round else { return };
        if let Some(attempt) = &mut round.attempt {
            attempt.stale |= attempt.step == Step::Complete;
        }
        if let Some(quorum) = &mut round.quorum {
            quorum.stale |= quorum.step == Step::Complete;
        }
    }

    /// The patience of this step is over.
    pub(in super::super) fn overdue(&mut self) {
        let me = self.me();
        let Some(round) = &mut self.round else { return };
        if round.excluded {
            let others = Set::below(self.parties).less(self.gone).without(me);
            let next = others.iter().find(|&party| party >= self.ask).or(others.first());
            round.stamp += 1;
            if let Some(next) = next {
                self.ask = next + 1;
                self.send_view(Set::default().with(next));
            } else {
                round.end(Ended::TooFew(Set::default().with(me)));
            }
            return;
        }
        if matches!(round.vector, Vector::Closing) {
            round.end(Ended::Closed);
            return;
        }
        if !round.doubted.is_empty() {
            let view = round.view.less(round.doubted);
            return self.shrink(view);
        }
        let late = match (&round.attempt, &round.quorum) {
            _ if !round.is_on_now() => {
                let said = |party: &usize| {
                    round.reports[*party].is_some_and(|report| report.view == round.view)
                };
                round.view.iter().filter(|party| !said(party)).collect()
            }
            (None, None) => Set::default(),
            (None, Some(quorum)) => {
                let missing = quorum.missing();
                let by = round.relays.iter().filter(|(of, _)| missing.contains(*of));
                missing.or(by.map(|&(_, by)| by).filter(|_| !quorum.told()).collect())
            }
            (Some(attempt), _) => match attempt.step {
                Step::Keys | Step::Slices => attempt.set.less(attempt.got),
                Step::Complete => attempt.set.less(attempt.complete),
                Step::Finish => {
                    let missing = attempt.set.less(attempt.holds());
                    let relays = round.relays.iter();
                    let by = relays.filter(|(of, _)| missing.contains(*of)).map(|&(_, by)| by);
                    missing.or(by.collect())
                }
            },
        };
        let view = round.view.less(late.without(me));
        let few = view.len() < self.least && !round.over;
        if few && !std::mem::replace(&mut round.asked, true) {
            // They may be further, and who is to tell this party may be away itself: who is asked twice answers.
            round.stamp += 1;
            return self.send_view(late);
        }
        if view != round.view {
            return self.shrink(view);
        }
        // Nobody is late but this party itself, which waits for the word of the others, and not for ever.
        round.stamp += 1;
        round.idle += 1;
        if round.idle > 2 {
            round.end(Ended::TooFew(Set::default().with(me)));
        }
    }
}
