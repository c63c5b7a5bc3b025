//! The studies, and what goes wrong in them: spread over all steps in which a node sends anything.

use std::fmt::{self, Write};

/// The parties.
pub const NAMES: [&str; 3] = ["north", "south", "east"];

/// A study that is small enough to be run some hundred times.
pub struct Study {
    pub name: &'static str,
    /// `kind` and `target` of the model.
    model: &'static str,
    /// Everything of the training.
    training: &'static str,
}

pub const STUDIES: &[Study] = &[
    Study {
        name: "sgd",
        model: "kind = \"logistic\"\ntarget = { column = \"ill\", positive = \"yes\", negative = \"no\" }\nl2 = 0.01\nclip = 8.0",
        training: "solver = \"sgd\"\nepochs = 1\nbatch = 20\nlearning_rate = 0.5\ndecay = 0.0\nmomentum = 0.0\nseed = 3\n\
                   [training.sigmoid]\nwindow = 64\nterms = 8\nfit = \"plain\"",
    },
    Study {
        name: "linear",
        model: "kind = \"linear\"\ntarget = { column = \"score\", range = [0, 100] }\nl2 = 0.0\nclip = 8.0",
        training: "solver = \"exact\"\ncondition = 20.0\ninference = true",
    },
    Study {
        name: "glm",
        model: "kind = \"logistic\"\ntarget = { column = \"ill\", positive = \"yes\", negative = \"no\" }\nl2 = 0.0",
        training: "solver = \"optimum\"\ninference = true",
    },
];

impl Study {
    /// The study file.
    pub fn text(&self) -> String {
        let Self { name, model, training } = self;
        format!(
            r#"
version = 1
title = "Faults in {name}"
parties = {NAMES:?}
partition = "horizontal"
[model]
{model}
intercept = true
[[features]]
name = "age"
type = "numeric"
missing = "refuse"
indicator = false
scale = "joint"
range = [0, 120]
[[features]]
name = "dose"
type = "numeric"
missing = "refuse"
indicator = false
scale = "joint"
range = [0, 16]
[training]
{training}
[security]
correlations = "pairwise"
[output]
model = "all"
release_bits = 14
"#
        )
    }

    /// The rows of a party: both targets, so that all studies have the same.
    pub fn rows(&self, party: usize) -> String {
        let mut text = String::from("age,dose,ill,score\n");
        for i in 0..40 {
            let seed = (i * 7919 + party * 104_729 + 13) % 1000;
            let (age, dose) = (20 + seed % 60, (seed * 37 % 100) as f64 / 10.0);
            let noise = seed * 613 % 97;
            let ill = if age + noise / 2 > 72 { "yes" } else { "no" };
            let score = 10.0 + 0.5 * age as f64 + 2.0 * dose + noise as f64 / 10.0;
            // Writing to a string does not fail.
            let _ = writeln!(text, "{age},{dose},{ill},{score}");
        }
        text
    }
}

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
