//! The rule for small counts in words: what the plans that release counts say alike.

use mpc_core::protocols::threshold::{Level, ThresholdRule};

/// After "a count": below what, and in whose eyes.
pub(crate) fn below(rule: ThresholdRule) -> String {
    let ThresholdRule { least, zeros, level } = rule;
    let zero = if zeros { ", and not 0" } else { "" };
    let whose = match level {
        Level::Participants => "also when a party takes its own rows away",
        Level::Outsiders => {
            "for those who do not hold rows (WARNING: a party that takes its own rows away may see \
             small counts of the others)"
        }
    };
    format!("below {least}{zero}, {whose}")
}

/// Behind counts that are small: that they may be so without the rows of one party, where that counts. `of` stands
/// for them ("one", "them").
pub(crate) fn or_without_one(rule: ThresholdRule, of: &str) -> String {
    match rule.level {
        Level::Participants => {
            format!(", or what is left of {of} without the rows of one party,")
        }
        Level::Outsiders => String::new(),
    }
}
