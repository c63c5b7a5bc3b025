//! How long this process was at work beside the network: what a node tells others who wait for it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A computation beside the network, as long as this lives. They are counted for the process, which is one node
/// wherever others wait for it.
#[derive(Debug)]
pub struct AtWork(());

/// The time in which there was at least one.
struct Clock {
    running: usize,
    since: Option<Instant>,
    before: Duration,
}

static CLOCK: Mutex<Clock> = Mutex::new(Clock { running: 0, since: None, before: Duration::ZERO });

fn clock() -> MutexGuard<'static, Clock> {
    // Every write leaves it whole.
    CLOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Clock {
    fn total(&self) -> Duration {
        self.before + self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

impl AtWork {
    /// A computation begins, or waits for a thread.
    #[must_use]
    pub fn begin() -> Self {
        let mut clock = clock();
        clock.running += 1;
        clock.since.get_or_insert_with(Instant::now);
        Self(())
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        let mut clock = clock();
        clock.running -= 1;
        if clock.running == 0 {
            clock.before = clock.total();
            clock.since = None;
        }
    }
}

/// For how long this process was at work so far.
#[cfg(any(test, feature = "quic"))]
pub(crate) fn so_far() -> Duration {
    clock().total()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_while_anything_is_at_work() {
        let (first, before) = (AtWork::begin(), so_far());
        let second = AtWork::begin();
        drop(first);
        std::thread::sleep(Duration::from_millis(5));
        assert!(so_far() >= before + Duration::from_millis(5));
        drop(second);
    }
}
