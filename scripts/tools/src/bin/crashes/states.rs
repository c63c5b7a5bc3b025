//! What nodes say of the states of a fit that they keep, and where they went on.

use std::fs;

use crate::Outcome;
use crate::slot::Slot;
use crate::studies::NAMES;

/// What a node says when a state is on its disk.
const KEPT: &str = "a state of the fit is kept after step ";
/// What it says when a fit goes on from one.
const ON: &str = "the fit goes on from step ";
/// What it says when a fit begins.
const FIT: &str = "a phase begins";

/// What became of the states of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct States {
    /// How often a fit went on.
    pub resumed: usize,
    /// The most states that were kept somewhere and lie after the one that a fit went on from: steps that were
    /// done once more.
    pub lost: usize,
    /// Whether a fit began anew that could have gone on: a node had kept two states, so all had kept one.
    pub wasted: bool,
}

impl States {
    /// From all that the nodes said.
    pub fn of(slot: &Slot) -> Outcome<Self> {
        let mut states = Self::default();
        for name in NAMES {
            let mut logs: Vec<_> = fs::read_dir(slot.dir(name))?
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|path| {
                    path.file_name().is_some_and(|it| it.to_string_lossy().starts_with("log-"))
                })
                .collect();
            logs.sort();
            let mut text = String::new();
            for log in logs {
                text += &fs::read_to_string(log)?;
            }
            let of_node = Self::told(&text);
            states.resumed = states.resumed.max(of_node.resumed);
            states.lost = states.lost.max(of_node.lost);
            states.wasted |= of_node.wasted;
        }
        Ok(states)
    }

    /// From what one node said, in its order.
    fn told(text: &str) -> Self {
        let mut states = Self::default();
        // The steps of the states that were kept in the runs so far and count; and whether the fit of this run could
        // go on and did not yet.
        let (mut kept, mut could): (Vec<u64>, bool) = (Vec::new(), false);
        // Whether the fit of this run went on: a node may say so before it says that the fit begins.
        let mut went = false;
        for line in text.lines() {
            if let Some(step) = number(line, ON) {
                states.resumed += 1;
                states.lost = states.lost.max(kept.iter().filter(|it| **it > step).count());
                kept.retain(|it| *it <= step);
                (could, went) = (false, true);
            } else if let Some(step) = number(line, KEPT) {
                states.wasted |= could;
                if could {
                    kept.clear();
                }
                (could, went) = (false, false);
                kept.push(step);
            } else if line.contains(FIT) && line.contains("training") {
                could = kept.len() > 1 && !went;
            }
        }
        states
    }
}

/// Whether a log says that a fit has gone on.
pub fn goes_on(text: &str) -> bool {
    text.contains(ON)
}

/// How many states a log tells of.
pub fn count(text: &str) -> u64 {
    text.lines().filter(|line| number(line, KEPT).is_some()).count() as u64
}

fn number(line: &str, after: &str) -> Option<u64> {
    let (_, rest) = line.split_once(after)?;
    let digits = rest.find(|it: char| !it.is_ascii_digit()).unwrap_or(rest.len());
    rest[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(step: u64) -> String {
        format!("INFO {KEPT}{step}\n")
    }

    #[test]
    fn what_was_done_once_more_is_counted() {
        let begins = format!("INFO {FIT} name=\"training\"\n");
        let broken = begins.clone() + &kept(64) + &kept(128);
        let on =
            |step| broken.clone() + &begins + &format!("note: {ON}{step}, to which\n") + &kept(192);
        let States { resumed, lost, wasted } = States::told(&on(128));
        assert_eq!((resumed, lost, wasted), (1, 0, false));
        assert_eq!(States::told(&on(64)).lost, 1);
        assert_eq!(
            States::told(&(broken.clone() + &kept(192) + &begins + &format!("{ON}64,"))).lost,
            2
        );
        assert!(States::told(&(broken.clone() + &begins + &kept(64))).wasted);
        assert!(!States::told(&(begins.clone() + &kept(64) + &begins + &kept(64))).wasted);
        let before = broken.clone() + &format!("note: {ON}128, to which\n") + &begins + &kept(192);
        assert!(!States::told(&before).wasted);
        assert!(!States::told(&broken).wasted && States::told(&broken).resumed == 0);
    }
}
