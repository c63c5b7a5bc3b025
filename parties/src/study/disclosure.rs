//! What a study reveals, and to whom, in plain words for those who must approve it.

use mpc_core::Recipients;
use mpc_ml::model::{Figures, Output, OutputKind};
use mpc_ml::standardise;
use serde::Serialize;

use super::{Correlations, Study};
use crate::models::Planned;

/// One thing that someone learns from a study.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Disclosure {
    /// What is learnt.
    pub what: String,
    /// Who learns it.
    pub to_whom: String,
    /// Why it is revealed, and what follows from it.
    pub why: String,
}

pub(super) fn of(study: &Study, plan: &dyn Planned) -> Vec<Disclosure> {
    let figures = plan.figures();
    let mut all = Vec::from([public_facts(study, &figures)]);
    all.extend(told(study, &outputs(study, plan)));
    all.push(traffic(study, &figures));
    all.extend(dealer(study));
    all
}

/// The outputs in words; what may be revealed several times, such as after each pass, once.
fn told(study: &Study, outputs: &[Output]) -> Vec<Disclosure> {
    let alike =
        |a: &Output, b: &Output| (&a.what, &a.why, a.recipients) == (&b.what, &b.why, b.recipients);
    let first = |(at, output): &(usize, &Output)| {
        !outputs[..*at].iter().any(|before| alike(before, output))
    };
    let words = |(_, output): (usize, &Output)| {
        let times = outputs.iter().filter(|other| alike(other, output)).count();
        let times = if times > 1 { format!("up to {times} times: ") } else { String::new() };
        Disclosure {
            what: format!("{times}{}", output.what),
            to_whom: names(study, output.recipients),
            why: output.why.clone(),
        }
    };
    outputs.iter().enumerate().filter(first).map(words).collect()
}

/// Everything that is revealed under a label, in order: the one list.
pub(super) fn outputs(study: &Study, plan: &dyn Planned) -> Vec<Output> {
    let columns: Vec<&str> =
        study.schema().joint_features().map(|each| each.name.as_str()).collect();
    let mut outputs = standardise::outputs(&columns, study.parties().len());
    outputs.extend(plan.outputs());
    outputs
}

fn kind(kind: OutputKind) -> &'static str {
    match kind {
        OutputKind::Check => "check",
        OutputKind::Figure => "figure",
        OutputKind::Result => "result",
    }
}

/// A digest of every output with its words, and of who learns it.
pub(super) fn digest(study: &Study, outputs: &[Output]) -> [u8; 32] {
    let mut parts: Vec<String> = Vec::new();
    for output in outputs {
        parts.push(output.label.clone());
        parts.push(kind(output.kind).to_owned());
        parts.push(names(study, output.recipients));
        parts.push(output.what.clone());
        parts.push(output.why.clone());
    }
    let parts: Vec<&[u8]> = parts.iter().map(String::as_bytes).collect();
    mpc_core::rand::hash("disclosure of a study 1", &parts)
}

/// The parties who learn something.
fn names(study: &Study, to: Recipients) -> String {
    let parties = study.parties().iter().enumerate();
    let names: Vec<String> =
        parties.filter(|(place, _)| to.include(*place)).map(|(_, name)| name.to_string()).collect();
    let names = (names.len(), names.join(", "));
    if names.0 == study.parties().len() { format!("all parties ({})", names.1) } else { names.1 }
}

fn public_facts(study: &Study, figures: &Figures) -> Disclosure {
    let mut what =
        "the study file with all its settings, and the number of rows of each party".to_owned();
    for fact in &figures.public {
        what = format!("{what}, and {fact}");
    }
    Disclosure {
        what,
        to_whom: names(study, Recipients::All),
        why: "the parties must agree on them to compute together; the content of a row is not \
              among them"
            .to_owned(),
    }
}

fn traffic(study: &Study, figures: &Figures) -> Disclosure {
    let mut accuracy = vec![format!("the bound {} on encoded values", study.model().clip())];
    accuracy.extend(figures.accuracy.iter().cloned());
    Disclosure {
        what: format!(
            "sizes and times of the messages, and the accuracy of the computation: {}",
            accuracy.join(", ")
        ),
        to_whom: format!(
            "{}; sizes and times also whoever watches the network",
            names(study, Recipients::All)
        ),
        why: "they follow from the study file and the numbers of rows, not from what is in the \
              rows; every message between the parties is encrypted and looks random to its receiver"
            .to_owned(),
    }
}

fn dealer(study: &Study) -> Option<Disclosure> {
    match study.security().correlations {
        Correlations::Pairwise => None,
        Correlations::Dealer => Some(Disclosure {
            what:
                "the digest of the study and the sizes of the computation; no data and no results"
                    .to_owned(),
            to_whom: "the dealer".to_owned(),
            why: "it hands out random numbers that are fit together. The protection of all data \
                  rests on the dealer not working together with any party"
                .to_owned(),
        }),
    }
}
