//! What the ends of the honest nodes say.
//!
//! | verdict | an honest node |
//! |---|---|
//! | named | failed, and names the node that misbehaved |
//! | only others | failed, and names honest nodes only |
//! | unnamed | failed, and names nobody |
//! | harmless | succeeded, and the models of all honest nodes are one model, that of an undisturbed run |
//! | silent | succeeded, with another model than that of an undisturbed run |
//! | different models | succeeded, and so did another with another model |
//! | hangs | had to be stopped |
//! | missed | the fault never struck, so nothing is known |

use std::fmt;

use serde_json::{Value, json};

use crate::Outcome;
use crate::cases::Case;
use crate::models::{coefficients, distance};
use crate::nodes::{End, Run};
use crate::studies::{NAMES, Study};

/// By how much more than two undisturbed runs a model may differ from one.
const LEEWAY: f64 = 4.0;
/// What the last digit of a released coefficient may do.
const DIGITS: f64 = 4.0 / 16384.0;

/// The model of undisturbed runs.
pub struct Reference {
    model: Vec<f64>,
    tolerance: f64,
}

impl Reference {
    /// From two runs.
    pub fn new(study: &Study, runs: &[Run; 2]) -> Outcome<Self> {
        let mut models = Vec::new();
        for end in runs.iter().flat_map(|run| &run.ends) {
            let model = end.model.as_ref().and_then(coefficients);
            let model = model.ok_or_else(|| {
                format!("an undisturbed run of {} gives no model: {}", study.name, end.told)
            })?;
            models.push(model);
        }
        let model = models.swap_remove(0);
        let spread = models.iter().map(|other| distance(&model, other)).fold(0.0, f64::max);
        Ok(Self { model, tolerance: LEEWAY * spread + DIGITS })
    }

    /// What the honest ends of a run say.
    pub fn judge(&self, case: &Case, run: &Run) -> Verdict {
        let honest =
            || run.ends.iter().enumerate().filter(move |(index, _)| *index != case.deviates);
        let mut ends = Vec::new();
        let models: Vec<_> = honest()
            .filter(|(_, end)| end.code == Some(0))
            .map(|(_, end)| end.model.as_ref().and_then(coefficients).unwrap_or_default())
            .collect();
        for (index, end) in honest() {
            let word = match end.code {
                _ if !run.struck => Word::Missed,
                None => Word::Hangs,
                Some(0) if models.iter().any(|other| *other != models[0]) => Word::DifferentModels,
                Some(0) if distance(&models[0], &self.model) > self.tolerance => Word::Silent,
                Some(0) => Word::Harmless,
                Some(_) => named(end, index, case.deviates),
            };
            let text = end.told.pointer("/error/what").and_then(Value::as_str).unwrap_or_default();
            ends.push((NAMES[index], end.code, word, text.to_owned()));
        }
        Verdict { ends }
    }
}

fn named(end: &End, own: usize, deviates: usize) -> Word {
    let said = end.told.pointer("/error").map(Value::to_string).unwrap_or_default();
    let says = |index: usize| said.contains(NAMES[index]);
    if says(deviates) {
        Word::Named
    } else if (0..NAMES.len()).any(|index| index != own && says(index)) {
        Word::OnlyOthers
    } else {
        Word::Unnamed
    }
}

/// How an honest node ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    Named,
    OnlyOthers,
    Unnamed,
    Harmless,
    Silent,
    DifferentModels,
    Hangs,
    Missed,
}

const WORDS: [(Word, &str); 8] = [
    (Word::Named, "named"),
    (Word::OnlyOthers, "only_others"),
    (Word::Unnamed, "unnamed"),
    (Word::Harmless, "harmless"),
    (Word::Silent, "silent"),
    (Word::DifferentModels, "different_models"),
    (Word::Hangs, "hangs"),
    (Word::Missed, "missed"),
];

impl Word {
    fn index(self) -> usize {
        WORDS.iter().position(|(word, _)| *word == self).unwrap_or_default()
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(WORDS[self.index()].1)
    }
}

/// How the honest nodes ended: name, exit code, word, what they said.
pub struct Verdict {
    ends: Vec<(&'static str, Option<i32>, Word, String)>,
}

impl Verdict {
    pub fn to_json(&self, case: &Case) -> Value {
        let ends = self.ends.iter().map(|(name, code, word, said)| {
            json!({ "node": name, "exit_code": code, "verdict": word.to_string(), "what": said })
        });
        json!({
            "case": case.to_string(),
            "deviates": NAMES[case.deviates],
            "inconsistent_value": case.inconsistent,
            "ends": ends.collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self.ends.iter().map(|(_, _, word, _)| word.to_string()).collect();
        f.write_str(&words.join(", "))
    }
}

/// Honest ends by how they ended.
#[derive(Default)]
pub struct Counts([usize; WORDS.len()]);

impl Counts {
    pub fn add(&mut self, verdict: &Verdict) {
        verdict.ends.iter().for_each(|(_, _, word, _)| self.0[word.index()] += 1);
    }

    /// Whether whoever misbehaved was named wherever it mattered.
    pub fn good(&self) -> bool {
        let allowed = [Word::Named, Word::Harmless];
        let bad = WORDS.iter().zip(self.0).filter(|((word, _), _)| !allowed.contains(word));
        self.0[Word::Named.index()] > 0 && bad.map(|(_, count)| count).sum::<usize>() == 0
    }

    pub fn to_json(&self) -> Value {
        WORDS
            .iter()
            .zip(self.0)
            .map(|((_, word), count)| ((*word).to_owned(), json!(count)))
            .collect()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> =
            WORDS.iter().zip(self.0).map(|((_, word), count)| format!("{word} {count}")).collect();
        f.write_str(&words.join(", "))
    }
}
