//! Attempts of strangers to join, of which each could be a line: anybody who reaches the port can
//! make as many as it likes, and must not fill the disk of the log.

use std::time::{Duration, Instant};

/// So many attempts are told at once: those of a party with a mistyped fingerprint are among them.
const AT_ONCE: u32 = 5;

/// After them, one in so long is told.
const PAUSE: Duration = Duration::from_secs(60);

/// Which of the attempts are told.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    told: u32,
    last: Option<Instant>,
    hidden: u64,
}

impl Strangers {
    /// Whether an attempt at the time `now` is told, and if so, how many before it were not.
    pub(super) fn tell(&mut self, now: Instant) -> Option<u64> {
        let rests = self.last.is_none_or(|last| now.duration_since(last) >= PAUSE);
        if self.told >= AT_ONCE && !rests {
            self.hidden += 1;
            return None;
        }
        self.told = self.told.saturating_add(1);
        self.last = Some(now);
        Some(std::mem::take(&mut self.hidden))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_a_line_a_minute() {
        let (mut strangers, begin) = (Strangers::default(), Instant::now());
        // Ten attempts a second for five minutes.
        let told: Vec<(u32, u64)> = (0..3000)
            .filter_map(|i| Some((i, strangers.tell(begin + Duration::from_millis(100) * i)?)))
            .collect();
        let expected = [
            (0, 0),
            (1, 0),
            (2, 0),
            (3, 0),
            (4, 0),
            (604, 599),
            (1204, 599),
            (1804, 599),
            (2404, 599),
        ];
        assert_eq!(told, expected);
    }
}
