//! What became of a case.

use std::path::Path;

use serde_json::{Value, json};

use crate::cases::{Case, Expect, Reach, When, cases};
use crate::models::{coefficients, distance};
use crate::studies::{NAMES, Study};
use crate::world::World;
use crate::{Outcome, play, program};

/// How far a model may be from an undisturbed one, beside its largest coefficient: what the arithmetic of a fit
/// does. What is wrong because of a network is another model altogether.
const PART: f64 = 1e-2;

/// The model of an undisturbed run.
pub struct Reference {
    study: &'static str,
    model: Vec<f64>,
}

/// References of all studies of these cases.
pub fn references(party: &Path, folder: &Path, of: &[Case]) -> Outcome<Vec<Reference>> {
    let mut references: Vec<Reference> = Vec::new();
    for case in of {
        if !references.iter().any(|it| it.study == case.study.name) {
            references.push(Reference::make(party, folder, case.study)?);
        }
    }
    Ok(references)
}

impl Reference {
    fn make(party: &Path, folder: &Path, study: Study) -> Outcome<Self> {
        let mut quiet = cases().pop().ok_or("there are no cases")?;
        quiet = Case {
            name: "undisturbed",
            study,
            reach: Reach::Direct,
            steps: Vec::new(),
            expect: Expect::Models,
            name_of: None,
            ..quiet
        };
        let mut world = World::make(party, &folder.join("undisturbed"), &quiet, 1)?;
        play(&mut world, &quiet)?;
        let model = world.model(0).and_then(|bytes| read(&bytes));
        let model = model.ok_or_else(|| {
            format!("an undisturbed run of {} gives no model: {}", study.name, world.error(0))
        })?;
        world.clear();
        Ok(Self { study: study.name, model })
    }

    fn fits(&self, model: &[f64]) -> bool {
        let largest = self.model.iter().map(|value| value.abs()).fold(0.0, f64::max);
        distance(model, &self.model) <= PART * largest
    }
}

fn read(model: &[u8]) -> Option<Vec<f64>> {
    coefficients(&serde_json::from_slice(model).ok()?)
}

/// What became of a case.
pub struct Verdict {
    pub good: bool,
    pub happened: String,
    pub seconds: f64,
    codes: Vec<Vec<Option<i32>>>,
    errors: Vec<String>,
}

impl Verdict {
    pub fn of(
        world: &World<'_>,
        case: &Case,
        references: &[Reference],
        struck: Option<String>,
        seconds: f64,
    ) -> Self {
        let wrong = struck.or_else(|| signs(world, case)).or_else(|| match case.expect {
            Expect::Models => models(world, case, references),
            Expect::Ends(nodes) => ends(world, nodes),
        });
        let errors = (0..NAMES.len()).map(|node| world.error(node)).collect();
        let happened = wrong.clone().unwrap_or_else(|| case.expected.to_owned());
        let codes = world.codes[..NAMES.len()].to_vec();
        Self { good: wrong.is_none(), happened, seconds, codes, errors }
    }

    pub fn word(&self) -> &'static str {
        if self.good { "as expected" } else { "WRONG" }
    }

    pub fn to_json(&self, case: &Case) -> Value {
        json!({
            "case": case.name,
            "study": case.study.name,
            "expected": case.expected,
            "happened": self.happened,
            "good": self.good,
            "seconds": (self.seconds * 10.0).round() / 10.0,
            "exit_codes": self.codes,
            "last_errors": self.errors,
        })
    }
}

/// Whether it was the case that was meant.
fn signs(world: &World<'_>, case: &Case) -> Option<String> {
    let said = (0..NAMES.len()).any(|node| world.said(node).contains(case.sign));
    (!said).then(|| format!("no node says {:?}", case.sign))
}

fn models(world: &World<'_>, case: &Case, references: &[Reference]) -> Option<String> {
    // A case in which all ended and were started again has other ends before.
    let again = case.steps.iter().any(|(when, _)| matches!(when, When::Ended));
    for node in 0..NAMES.len() {
        let codes = &world.codes[node];
        let earlier = codes.iter().rev().skip(1);
        if codes.last() != Some(&Some(0)) || !again && earlier.flatten().next().is_some() {
            return Some(format!("{} ends with {codes:?}: {}", program(node), world.error(node)));
        }
    }
    let all: Vec<_> = (0..NAMES.len()).map(|node| world.model(node)).collect();
    let Some(first) = &all[0] else { return Some("north has no model".to_owned()) };
    if all.iter().any(|model| model.as_ref() != Some(first)) {
        return Some("not all have the same model".to_owned());
    }
    let reference = references.iter().find(|it| it.study == case.study.name);
    let fits = reference.zip(read(first)).is_some_and(|(reference, model)| reference.fits(&model));
    (!fits).then(|| "the model is not that of an undisturbed run".to_owned())
}

fn ends(world: &World<'_>, nodes: &[(usize, i32, &str)]) -> Option<String> {
    nodes.iter().find_map(|&(node, code, says)| {
        let (codes, error) = (&world.codes[node], world.error(node));
        let as_due = codes.last() == Some(&Some(code)) && error.contains(says);
        (!as_due).then(|| format!("{} ends with {codes:?}: {error}", program(node)))
    })
}
