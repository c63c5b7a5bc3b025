//! The clocks of all nodes.

use std::time::Duration;

use super::Finding;

/// Clocks that differ by more, in milliseconds, are told.
const APART: i64 = 30_000;

/// Compares the clocks: how many milliseconds each of the others is ahead of this one. Where several others
/// agree with each other and not with this one, it is this one.
pub(super) fn clocks(told: &[(&str, i64)]) -> Vec<Finding> {
    let off: Vec<&(&str, i64)> =
        told.iter().filter(|(_, ahead)| ahead.unsigned_abs() > APART.unsigned_abs()).collect();
    let all = || off.iter().map(|(_, ahead)| *ahead);
    let (Some(most), Some(least)) = (all().max(), all().min()) else {
        let well = Finding::well("clocks", "agree within half a minute");
        return if told.is_empty() { Vec::new() } else { vec![well] };
    };
    let wrong = |ahead: i64, of: &str| {
        let word = if ahead > 0 { "behind" } else { "ahead of" };
        let apart = Duration::from_secs(ahead.unsigned_abs() / 1000);
        let apart = humantime::format_duration(apart);
        let what = format!("the clock of this machine is {word} {of} by {apart}");
        let to_do = "set the clocks, best by NTP: approvals expire by them, and receipts name them";
        Finding::wrong("clock", "clock", what, to_do)
    };
    if off.len() > 1 && off.len() == told.len() && most.saturating_sub(least) <= APART {
        return vec![wrong(most, "those of all others")];
    }
    off.iter().map(|(name, ahead)| wrong(*ahead, &format!("that of {name}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn the_clock_that_is_alone_is_named() {
        let said = |told: &[(&str, i64)]| -> Vec<String> {
            clocks(told).into_iter().map(|it| format!("{:?} {}", it.state, it.what)).collect()
        };
        assert_eq!(said(&[]), Vec::<String>::new());
        assert_eq!(said(&[("b", 900), ("c", -29_000)]), ["Well agree within half a minute"]);
        let behind = "Wrong the clock of this machine is behind";
        assert_eq!(
            said(&[("b", 60_500), ("c", 61_000)]),
            [format!("{behind} those of all others by 1m 1s")]
        );
        assert_eq!(said(&[("b", 60_500), ("c", 0)]), [format!("{behind} that of b by 1m")]);
        assert_eq!(
            said(&[("b", -60_500)]),
            ["Wrong the clock of this machine is ahead of that of b by 1m"]
        );
        assert_eq!(clocks(&[("b", 60_500), ("c", -60_500)]).len(), 2);
        assert_eq!(clocks(&[("b", i64::MIN)])[0].state, State::Wrong);
    }
}
