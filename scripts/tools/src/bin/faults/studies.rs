//! Small studies of three parties, for programs that run them many times.

use std::fmt::Write;

/// The parties.
pub const NAMES: [&str; 3] = ["north", "south", "east"];

/// A study that is small enough to be run some hundred times.
#[derive(Clone, Copy)]
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

/// A training that takes a few seconds, so that states of it are kept on its way.
#[allow(dead_code, reason = "only nodes that are killed need it")]
pub const LONG: Study = Study {
    name: "long",
    model: STUDIES[0].model,
    training: "solver = \"sgd\"\nepochs = 60\nbatch = 20\nlearning_rate = 0.5\ndecay = 0.0\nmomentum = 0.5\nseed = 3\n\
               [training.sigmoid]\nwindow = 64\nterms = 8\nfit = \"plain\"",
};

/// All of them.
#[allow(dead_code, reason = "only nodes that are killed need it")]
pub const ALL: &[Study] = &[STUDIES[0], STUDIES[1], STUDIES[2], LONG];

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
