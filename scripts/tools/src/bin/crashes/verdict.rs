//! What became of the studies.
//!
//! | verdict | |
//! |---|---|
//! | well | every party has the model of an undisturbed run |
//! | hangs | a node had to be stopped |
//! | burnt | nobody has the model, and no node goes on |
//! | without | a party has no model that another one has |
//! | redone | steps of a fit were done again that all had kept |
//! | wrong | a model differs from that of an undisturbed run, or two parties have different ones |
//!
//! A run whose moment never came counts as one in which nothing struck.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use crate::Outcome;
use crate::models::{coefficients, distance};
use crate::nodes::{Run, Undisturbed, is_released};
use crate::played::Played;
use crate::points::{Case, STAGES};
use crate::states::States;
use crate::studies::NAMES;

/// By how much more than two undisturbed runs a model may differ from one: these may happen to be close.
const LEEWAY: f64 = 10.0;
/// What the arithmetic of a fit without a dealer may do to a coefficient, beside the largest one. What is wrong
/// because of a kill is another model altogether.
const PART: f64 = 2e-3;
/// What the last digit of a released coefficient may do.
const DIGITS: f64 = 4.0 / 16384.0;

/// The model of undisturbed runs.
pub struct Reference {
    /// Of each party.
    models: Vec<Vec<f64>>,
    alike: bool,
    tolerance: f64,
}

impl Reference {
    /// From two runs.
    pub fn new(study: &Played, runs: &[Undisturbed; 2]) -> Outcome<Self> {
        let mut models = Vec::new();
        for undisturbed in runs {
            let run = &undisturbed.run;
            if run.codes.iter().any(|codes| *codes != [Some(0)]) {
                return Err(format!("an undisturbed run of {} ends as {run:?}", study.name).into());
            }
            models.extend(run.models.iter().map(|model| read(model.as_deref())));
        }
        let models: Option<Vec<_>> = models.into_iter().collect();
        let mut models = models.ok_or("an undisturbed run gives no model")?;
        let others = models.split_off(NAMES.len());
        let spreads = models.iter().zip(&others).map(|(one, other)| distance(one, other));
        let spread = spreads.fold(0.0, f64::max);
        let largest = models.iter().flatten().map(|value| value.abs()).fold(0.0, f64::max);
        let tolerance = LEEWAY * spread + PART * largest + DIGITS;
        Ok(Self { models, alike: study.alike, tolerance })
    }

    pub fn judge(&self, run: Run) -> Verdict {
        let models: Vec<_> = run.models.iter().map(|model| read(model.as_deref())).collect();
        let have = models.iter().flatten().count();
        let far = |(model, due): (&Option<Vec<f64>>, &Vec<f64>)| {
            model.as_ref().is_some_and(|model| distance(model, due) > self.tolerance)
        };
        let differ = self.alike
            && run.models.iter().flatten().any(|model| Some(model) != run.models[0].as_ref());
        let word = if run.hangs {
            Word::Hangs
        } else if have == 0 {
            Word::Burnt
        } else if have < models.len() {
            Word::Without
        } else if differ || models.iter().zip(&self.models).any(far) {
            Word::Wrong
        } else if run.states.lost > 1 || run.states.wasted {
            Word::Redone
        } else {
            Word::Well
        };
        Verdict { word, run }
    }
}

/// The numbers of a result: coefficients of a model, or scores of a table.
fn read(result: Option<&[u8]>) -> Option<Vec<f64>> {
    match serde_json::from_slice(result?) {
        Ok(model) => coefficients(&model),
        Err(_) => {
            let rows = std::str::from_utf8(result?).ok()?.lines().skip(1);
            rows.map(|row| row.rsplit(',').next()?.parse().ok()).collect()
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Word {
    Well,
    Hangs,
    Burnt,
    Without,
    Redone,
    Wrong,
}

const WORDS: [(Word, &str); 6] = [
    (Word::Well, "well"),
    (Word::Hangs, "hangs"),
    (Word::Burnt, "burnt"),
    (Word::Without, "without"),
    (Word::Redone, "redone"),
    (Word::Wrong, "wrong"),
];

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = WORDS.iter().find(|(word, _)| word == self).map_or("", |(_, name)| name);
        f.pad(name)
    }
}

/// What became of one study.
pub struct Verdict {
    word: Word,
    run: Run,
}

impl Verdict {
    pub fn is_good(&self) -> bool {
        self.word == Word::Well
    }

    fn to_json(&self, case: &Case) -> Value {
        let Run {
            struck,
            codes,
            told,
            restarts,
            recovered,
            after_return,
            until_resumed,
            states,
            ..
        } = &self.run;
        let names: Vec<&str> = struck.iter().map(|node| NAMES[*node]).collect();
        let told: Vec<Option<&str>> =
            told.iter().map(|it| it.pointer("/error/what").and_then(Value::as_str)).collect();
        json!({
            "case": case.to_string(),
            "verdict": self.word.to_string(),
            "killed": names,
            "exit_codes": codes,
            "last_errors": told,
            "started_again_by_operators": restarts,
            "recovered": recovered,
            "seconds_after_return": after_return,
            "went_on": states.resumed,
            "kept_states_lost": states.lost,
            "seconds_until_it_went_on": until_resumed,
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.word)?;
        if self.run.struck.is_empty() {
            f.write_str(", nobody killed")?;
        }
        if self.run.recovered {
            f.write_str(", by party recover")?;
        }
        let States { resumed, lost, .. } = self.run.states;
        if resumed > 0 {
            write!(f, ", went on")?;
            if lost > 0 {
                write!(f, " with {lost} state done again")?;
            }
        }
        match self.run.after_return {
            Some(seconds) => write!(f, ", {seconds:.1} s after the return"),
            None => Ok(()),
        }
    }
}

/// Runs by the stage of their first kill and by how they ended.
pub struct Counts {
    /// By stage, then by word.
    table: Vec<[usize; WORDS.len()]>,
    struck: usize,
    restarts: u32,
    recovered: usize,
    codes: BTreeMap<String, usize>,
    seconds: Vec<f64>,
    /// Runs whose fit went on, and those among them that lost a state.
    resumed: (usize, usize),
    until_resumed: Vec<f64>,
}

impl Counts {
    pub fn of(done: &[(Case, Verdict)]) -> Self {
        let mut counts = Self {
            table: vec![[0; WORDS.len()]; STAGES.len()],
            struck: 0,
            restarts: 0,
            recovered: 0,
            codes: BTreeMap::new(),
            seconds: Vec::new(),
            resumed: (0, 0),
            until_resumed: Vec::new(),
        };
        for (case, Verdict { word, run }) in done {
            let at = WORDS.iter().position(|(other, _)| other == word).unwrap_or_default();
            counts.table[case.kills[0].stage][at] += 1;
            counts.struck += usize::from(!run.struck.is_empty());
            counts.restarts += run.restarts;
            counts.recovered += usize::from(run.recovered);
            for code in run.codes.iter().flatten() {
                let name = match code {
                    None => "killed".to_owned(),
                    code if is_released(*code) => "8 (released before)".to_owned(),
                    Some(code) => code.to_string(),
                };
                *counts.codes.entry(name).or_default() += 1;
            }
            counts.seconds.extend(run.after_return);
            let States { resumed, lost, .. } = run.states;
            counts.resumed.0 += usize::from(resumed > 0);
            counts.resumed.1 += usize::from(resumed > 0 && lost > 0);
            counts.until_resumed.extend(run.until_resumed);
        }
        counts.seconds.sort_by(f64::total_cmp);
        counts.until_resumed.sort_by(f64::total_cmp);
        counts
    }

    fn total(&self, word: usize) -> usize {
        self.table.iter().map(|row| row[word]).sum()
    }

    /// Whether every study was delivered to every party.
    pub fn good(&self) -> bool {
        self.struck > 0 && (1..WORDS.len()).all(|word| self.total(word) == 0)
    }

    /// The seconds after a return that this part of the runs stay within.
    fn quantile(&self, part: f64) -> Option<f64> {
        quantile(&self.seconds, part)
    }

    pub fn to_json(&self, seed: u64, done: &[(Case, Verdict)]) -> Value {
        let totals: serde_json::Map<String, Value> = WORDS
            .iter()
            .enumerate()
            .map(|(at, (_, name))| ((*name).to_owned(), json!(self.total(at))))
            .collect();
        let cases: Vec<Value> = done.iter().map(|(case, verdict)| verdict.to_json(case)).collect();
        json!({
            "seed": seed,
            "runs": done.len(),
            "killed_in": self.struck,
            "counts": totals,
            "exit_codes": self.codes,
            "started_again_by_operators": self.restarts,
            "recovered": self.recovered,
            "seconds_after_return": {
                "median": self.quantile(0.5), "p95": self.quantile(0.95), "most": self.quantile(1.0),
            },
            "went_on": self.resumed.0,
            "went_on_with_a_state_lost": self.resumed.1,
            "seconds_until_it_went_on": {
                "median": quantile(&self.until_resumed, 0.5), "most": quantile(&self.until_resumed, 1.0),
            },
            "cases": cases,
        })
    }
}

/// What this part of sorted numbers stay within.
fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get((part * last as f64).round() as usize).copied()
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:10}", "killed")?;
        for (word, _) in &WORDS {
            write!(f, " {word:>8}")?;
        }
        writeln!(f)?;
        for (row, stage) in self.table.iter().zip(STAGES) {
            write!(f, "{stage:10}")?;
            for count in row {
                write!(f, " {count:>8}")?;
            }
            writeln!(f)?;
        }
        let codes: Vec<String> =
            self.codes.iter().map(|(code, count)| format!("{code}: {count}")).collect();
        writeln!(f, "exit codes: {}", codes.join(", "))?;
        writeln!(
            f,
            "killed in {} runs; operators started {} nodes again; party recover in {}",
            self.struck, self.restarts, self.recovered
        )?;
        let (on, lost) = self.resumed;
        let until = |part| {
            quantile(&self.until_resumed, part).map_or("-".to_owned(), |s| format!("{s:.1}"))
        };
        writeln!(
            f,
            "the fit went on from a kept state in {on} runs, in {lost} of them from the one before the last"
        )?;
        writeln!(
            f,
            "seconds from a return to the fit: median {}, most {}",
            until(0.5),
            until(1.0)
        )?;
        let told = |part| self.quantile(part).map_or("-".to_owned(), |s| format!("{s:.1}"));
        write!(
            f,
            "seconds from a return to the end: median {}, 95% {}, most {}",
            told(0.5),
            told(0.95),
            told(1.0)
        )
    }
}
