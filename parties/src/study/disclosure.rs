//! What a study reveals, and to whom, in plain words for those who must approve it.

use serde::Serialize;

use super::{Correlations, Study};

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

pub(super) fn of(study: &Study) -> Vec<Disclosure> {
    let mut all = Vec::from([public_facts(study)]);
    all.extend(joint_statistics(study));
    all.push(model(study));
    all.push(traffic(study));
    all.extend(dealer(study));
    all
}

fn everyone(study: &Study) -> String {
    format!("all parties ({})", names(study))
}

fn names(study: &Study) -> String {
    study.parties().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn public_facts(study: &Study) -> Disclosure {
    let training = study.training();
    Disclosure {
        what: format!(
            "the study file with all its settings, the number of rows of each party, and which rows \
             (by position) form a batch: {} epochs in batches of {}, order from seed {}",
            training.epochs, training.batch, training.seed
        ),
        to_whom: everyone(study),
        why: "the parties must agree on them to compute together; the content of a row is not \
              among them"
            .to_owned(),
    }
}

fn joint_statistics(study: &Study) -> Option<Disclosure> {
    let columns: Vec<&str> =
        study.schema().joint_features().map(|each| each.name.as_str()).collect();
    if columns.is_empty() {
        return None;
    }
    let mut why = "numeric columns are brought to a common scale; the model file holds these \
                   figures, so that new rows can be scaled in the same way"
        .to_owned();
    if study.parties().len() == 2 {
        why.push_str(
            ". WARNING: with two parties, each can subtract its own part and learns the other's \
             count, mean and standard deviation of these columns exactly; give constants in the \
             study (scale = { mean = .., std = .. }) to avoid this",
        );
    } else {
        why.push_str(
            ". The parties who work together learn the figures of the remaining ones taken \
             together; if all but one do, exactly those of that one",
        );
    }
    Some(Disclosure {
        what: format!(
            "of each jointly scaled column ({}): the number of cells present, the mean and the \
             standard deviation over all parties' rows",
            columns.join(", ")
        ),
        to_whom: everyone(study),
        why,
    })
}

fn model(study: &Study) -> Disclosure {
    let output = study.output();
    let all = output.model.len() == study.parties().len();
    let recipients = if all {
        everyone(study)
    } else {
        output.model.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    let intercept = if study.model().intercept { " and the intercept" } else { "" };
    Disclosure {
        what: format!(
            "the final model: {} coefficients{intercept}, to {} binary digits after the point; no \
             coefficient of any step before the last",
            study.schema().columns().len(),
            output.release_bits
        ),
        to_whom: recipients,
        why: "it is the purpose of the study. A model tells something about the rows it was \
              trained on, more so the fewer they are; differential privacy is not applied"
            .to_owned(),
    }
}

fn traffic(study: &Study) -> Disclosure {
    let model = study.model();
    let sigmoid = &study.training().sigmoid;
    Disclosure {
        what: format!(
            "sizes and times of the messages, and the accuracy of the computation: the bound {} on \
             encoded values, the window {} and the {} terms of the logistic function",
            model.clip, sigmoid.window, sigmoid.terms
        ),
        to_whom: format!("{}; sizes and times also whoever watches the network", everyone(study)),
        why: "they follow from the study file and the numbers of rows, not from what is in the rows; every message between \
              the parties is encrypted and looks random to its receiver"
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
