//! The studies, and what goes wrong in them: spread over all steps in which a node sends anything.

use std::fmt;

use crate::studies::{NAMES, STUDIES, Study};

/// One fault of one node.
#[derive(Clone, Debug)]
pub struct Case {
    pub number: usize,
    /// Which of [`STUDIES`].
    pub study: usize,
    /// The node that misbehaves.
    pub deviates: usize,
    /// How, as the node reads it.
    pub fault: String,
    /// Whether its messages have the right form and wrong values.
    pub inconsistent: bool,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (study, name) = (STUDIES[self.study].name, NAMES[self.deviates]);
        write!(f, "{study}, {name}: {}", self.fault)
    }
}

/// Frame faults and inconsistent values in all; as many of each study.
const FRAMES: usize = 165;
const VALUES: usize = 30;
const SMOKE: (usize, usize) = (9, 3);

/// The cases of a study, of whose nodes each sends what `sent` says.
pub fn of(study: &Study, sent: &[Vec<(String, usize, u64)>], smoke: bool) -> Vec<Case> {
    let (frames, values) = if smoke { SMOKE } else { (FRAMES, VALUES) };
    let (frames, values) = (frames / STUDIES.len(), values / STUDIES.len());
    let at = STUDIES.iter().position(|other| other.name == study.name).unwrap_or_default();
    let mut cases = Vec::new();
    for index in 0..frames + values {
        let inconsistent = index >= frames;
        let within = if inconsistent { index - frames } else { index };
        // Faults of a smoke run lie far apart, and not in the same place in each study.
        let turn = if smoke { at + 7 * within } else { within };
        let deviates = (turn + at) % NAMES.len();
        let own: Vec<_> = sent[deviates].iter().filter(|(_, _, count)| *count > 0).collect();
        // Values are public before: whoever changes them says something else in the handshake.
        let own: Vec<_> = own
            .into_iter()
            .filter(|(step, ..)| !inconsistent || !step.starts_with("session/"))
            .collect();
        if own.is_empty() {
            continue;
        }
        // A stride that shares no factor with the number of places goes through all of them.
        let stride = (own.len() / 3 * 2 + 1).max(1);
        let (step, peer, count) = own[(turn * stride + at) % own.len()];
        let nth = match turn % 3 {
            0 => 0,
            1 => count / 2,
            _ => count - 1,
        };
        let kind = if inconsistent { value(within) } else { frame(turn) };
        let place = |peer: usize| format!("{kind};step={step};nth={nth};peer={peer}");
        // Every other inconsistent value is told to both others alike.
        let fault = if inconsistent && within % 2 == 1 {
            let others = (0..NAMES.len()).filter(|&other| other != deviates);
            others.map(place).collect::<Vec<_>>().join("|")
        } else {
            place(*peer)
        };
        let number = at * (FRAMES + VALUES) + index;
        cases.push(Case { number, study: at, deviates, fault, inconsistent });
    }
    cases
}

/// Faults of frames, in turn; places and sizes differ from one time to the next.
fn frame(turn: usize) -> String {
    // Anywhere in the message, whose length it is taken modulo.
    let (at, mask) = (turn * 7_919 % 100_003, 1 << (turn % 8));
    match turn % 8 {
        0 | 5 => format!("kind=flip-payload;at={at};mask={mask}"),
        1 => format!("kind=flip-header;at={at};mask={mask}"),
        2 => format!("kind=short;bytes={}", 1 + turn % 9),
        3 => "kind=wrong-tag".to_owned(),
        4 => "kind=silent".to_owned(),
        6 => "kind=replay".to_owned(),
        _ => "kind=kill".to_owned(),
    }
}

/// Another value of the same form: by a little, and by much.
fn value(within: usize) -> String {
    let delta: u64 = [1, 1 << 20, 1 << 40, 1 << 62][within % 4];
    format!("kind=add;at=0;delta={delta}")
}
