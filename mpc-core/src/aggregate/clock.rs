//! How long something takes, by clocks of a computer that may sleep.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::Set;

/// How often the clock is looked at, at least.
const TICK: Duration = Duration::from_secs(1);

/// How long there has been something to tell that the others wait for no longer at some time.
#[derive(Default)]
pub(super) struct Telling {
    what: Option<(u64, Set)>,
    since: Option<(Instant, SystemTime)>,
}

impl Telling {
    /// Looks at what there is to tell now; whether it has been there for so long. By either clock: one stands still while a computer
    /// sleeps, the other one may be set.
    pub(super) fn is_for(&mut self, what: Option<(u64, Set)>, most: Duration) -> bool {
        if what != self.what {
            self.what = what;
            self.since = what.map(|_| (Instant::now(), SystemTime::now()));
        }
        self.since.is_some_and(|(since, at)| {
            since.elapsed() >= most || at.elapsed().is_ok_and(|elapsed| elapsed >= most)
        })
    }
}

/// How long a step was waited in. What passes while this process stands still, as a computer does that sleeps, is not waiting: what the
/// others sent meanwhile takes its time to arrive.
pub(super) struct Waiting {
    tick: Duration,
    last: Instant,
    waited: Duration,
}

impl Waiting {
    pub(super) fn new(patience: Duration) -> Self {
        let tick = (patience / 16).min(TICK);
        Self { tick, last: Instant::now(), waited: Duration::ZERO }
    }

    pub(super) fn next(&self) -> Instant {
        self.last + self.tick
    }

    /// Counts what has passed; whether that is so long by now.
    pub(super) fn is_for(&mut self, most: Duration) -> bool {
        self.waited += self.last.elapsed().min(2 * self.tick);
        self.last = Instant::now();
        self.waited >= most
    }
}
