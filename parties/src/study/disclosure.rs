//! What a study reveals, and to whom, in plain words for those who must approve it.

use mpc_core::Recipients;
use mpc_ml::model::{Figures, Output, OutputKind};
use mpc_ml::standardise;
use serde::Serialize;

use super::columns::RECORDS;
use super::{Columns, Correlations, Security, Study, Terms};
use crate::models::Planned;
use crate::name::PartyName;

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
    all.extend(study.columns().map(|_| persons(study)));
    all.extend(told(study.parties(), &outputs(study, plan)));
    let fitted = study.columns().filter(|_| study.scoring().is_none());
    all.extend(fitted.map(|columns| inferences(study, columns)));
    all.push(traffic(study, &figures));
    all.extend(dealer(study.security()));
    all
}

/// What everybody learns of a protocol of one's own that keeps to its agreement.
pub(super) fn of_agreement(terms: &Terms, outputs: &[Output]) -> Vec<Disclosure> {
    let parties = terms.parties();
    let everybody = names(parties, Recipients::All);
    let mut all = vec![Disclosure {
        what: "the agreement with all its settings".to_owned(),
        to_whom: everybody.clone(),
        why: "the parties must agree on it to compute together".to_owned(),
    }];
    all.extend(told(parties, outputs));
    all.push(Disclosure {
        what: "sizes and times of the messages".to_owned(),
        to_whom: format!("{everybody}; also whoever watches the network"),
        why: "every message between the parties is encrypted; that neither its size nor its content tells \
              more than the outputs above is what the author of the protocol has to show"
            .to_owned(),
    });
    all.extend(dealer(terms.security()));
    all
}

/// The outputs in words; what may be revealed several times, such as after each pass, once.
fn told(parties: &[PartyName], outputs: &[Output]) -> Vec<Disclosure> {
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
            to_whom: names(parties, output.recipients),
            why: output.why.clone(),
        }
    };
    outputs.iter().enumerate().filter(first).map(words).collect()
}

/// Everything that is revealed under a label, in order: the one list.
pub(super) fn outputs(study: &Study, plan: &dyn Planned) -> Vec<Output> {
    let columns: Vec<&str> =
        study.schema().joint_features().map(|each| each.name.as_str()).collect();
    if study.scoring().is_some() {
        return plan.outputs();
    }
    if study.columns().is_some() {
        // Told when the fit is done, before the result.
        let mut outputs = plan.outputs();
        let result = outputs.iter().position(|output| !output.kind.is_repeatable());
        if !study.is_own() {
            let held = standardise::held_outputs(&columns, study.recipients());
            let at = result.unwrap_or(outputs.len());
            outputs.splice(at..at, held);
        }
        return outputs;
    }
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
    digest_of(study.parties(), outputs)
}

/// The same of any list.
pub(super) fn digest_of(parties: &[PartyName], outputs: &[Output]) -> [u8; 32] {
    let names = |to| names(parties, to);
    let mut parts: Vec<String> = Vec::new();
    for output in outputs {
        parts.push(output.label.clone());
        parts.push(kind(output.kind).to_owned());
        parts.push(names(output.recipients));
        parts.push(output.what.clone());
        parts.push(output.why.clone());
    }
    let parts: Vec<&[u8]> = parts.iter().map(String::as_bytes).collect();
    mpc_core::rand::hash("disclosure of a study 1", &parts)
}

/// The parties who learn something.
fn names(parties: &[PartyName], to: Recipients) -> String {
    let included = parties.iter().enumerate().filter(|(place, _)| to.include(*place));
    let names: Vec<String> = included.map(|(_, name)| name.to_string()).collect();
    let names = (names.len(), names.join(", "));
    if names.0 == parties.len() { format!("all parties ({})", names.1) } else { names.1 }
}

fn public_facts(study: &Study, figures: &Figures) -> Disclosure {
    let rows = match study.columns() {
        None if study.expanded().is_some() => {
            "for each party how many intervals its rows enter, all together (so about how long all of \
             them are seen)"
        }
        None => "the number of rows of each party",
        Some(_) => "the number of aligned records",
    };
    let mut what = format!("the study file with all its settings, and {rows}");
    for fact in &figures.public {
        what = format!("{what}, and {fact}");
    }
    Disclosure {
        what,
        to_whom: names(study.parties(), Recipients::All),
        why: "the parties must agree on them to compute together; the content of a row is not \
              among them"
            .to_owned(),
    }
}

/// Who takes part in records that were aligned.
fn persons(study: &Study) -> Disclosure {
    Disclosure {
        what: "that each of the aligned records is in the files of all parties, by its id".to_owned(),
        to_whom: names(study.parties(), Recipients::All),
        why: "the parties hold columns of the same records, so the rows of this study are known persons or \
              things to all of them; the alignment has told that already, and what is told below is about \
              these records"
            .to_owned(),
    }
}

/// What can be computed from the results where the parties hold columns, which no protocol prevents.
fn inferences(study: &Study, columns: &Columns) -> Disclosure {
    let holder = &study.parties()[columns.holder()];
    let few: Vec<String> = study
        .parties()
        .iter()
        .zip(columns.widths())
        .filter(|(_, width)| (1..=FEW).contains(width))
        .map(|(name, width)| format!("{name} has {width}"))
        .collect();
    let few = if few.is_empty() {
        String::new()
    } else {
        format!(
            ". Coefficients of few columns ({}) say how these columns go with the target and with the \
             others' columns",
            few.join(", ")
        )
    };
    Disclosure {
        what: format!(
            "what follows from the results about known records: for each column of its own, a party that \
             knows the fitted values of a model at its optimum has one exact equation about the target, \
             which {holder} holds: the column times the target, summed over all records, is the same with \
             the fitted values in place of the target. {holder} knows the target of every record, and what \
             the model says of it, as far as it knows the model{few}"
        ),
        to_whom: "whoever receives results, and knows its own columns".to_owned(),
        why: format!(
            "results are about records that all parties know. One equation for each column says little \
             about {holder}'s target of a single record where there are many more records than columns; the \
             study is refused with fewer than {RECORDS} for each coefficient. Fitted values of single \
             records, residuals and gradients are told to nobody"
        ),
    }
}

/// So many columns of a party are few.
const FEW: u32 = 3;

fn traffic(study: &Study, figures: &Figures) -> Disclosure {
    let traffic = |what: String| Disclosure {
        what,
        to_whom: format!(
            "{}; sizes and times also whoever watches the network",
            names(study.parties(), Recipients::All)
        ),
        why: "they follow from the study file and the numbers of rows, not from what is in the \
              rows; every message between the parties is encrypted and looks random to its receiver"
            .to_owned(),
    };
    if study.scoring().is_some() {
        return traffic("sizes and times of the messages".to_owned());
    }
    let mut accuracy = vec![format!("the bound {} on encoded values", study.model().clip())];
    accuracy.extend(figures.accuracy.iter().cloned());
    traffic(format!(
        "sizes and times of the messages, and the accuracy of the computation: {}",
        accuracy.join(", ")
    ))
}

fn dealer(security: &Security) -> Option<Disclosure> {
    match security.correlations {
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
