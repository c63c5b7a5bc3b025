//! What a study reveals, and to whom, in plain words for those who must approve it.

use serde::Serialize;

use mpc_ml::artifact::ModelKind;

use super::{Correlations, Link, Study, Training};

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
    all.extend(checks(study));
    all.extend(inference(study));
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
    let mut what =
        "the study file with all its settings, and the number of rows of each party".to_owned();
    if let Training::Sgd(sgd) = study.training() {
        what = format!(
            "{what}, and which rows (by position) form a batch: {} epochs in batches of {}, order \
             from seed {}",
            sgd.epochs, sgd.batch, sgd.seed
        );
    }
    Disclosure {
        what,
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

fn recipients(study: &Study) -> String {
    let output = study.output();
    if output.model.len() == study.parties().len() {
        return everyone(study);
    }
    output.model.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn model(study: &Study) -> Disclosure {
    let output = study.output();
    let intercept = if study.model().intercept { " and the intercept" } else { "" };
    let digits = output.release_bits;
    let how = match study.training() {
        Training::Sgd(_) | Training::Optimum(_) => format!(
            "to {digits} binary digits after the point; no coefficient of any step before the last"
        ),
        Training::Exact(_) => {
            format!(
                "to {digits} binary digits after the point, in units of half the target's range"
            )
        }
    };
    Disclosure {
        what: format!(
            "the final model: {} coefficients{intercept}, {how}",
            study.schema().columns().len(),
        ),
        to_whom: recipients(study),
        why: "it is the purpose of the study. A model tells something about the rows it was \
              trained on, more so the fewer they are; differential privacy is not applied"
            .to_owned(),
    }
}

/// What every party must see in order to know whether there is a result at all.
fn checks(study: &Study) -> Option<Disclosure> {
    let what = match study.training() {
        Training::Sgd(_) => return None,
        Training::Exact(_) => {
            "whether the equations could be solved: how far the computed inverse is from an exact \
             one, in one figure for all columns together"
        }
        Training::Optimum(_) if study.output().inference => {
            "whether the columns allow a solution (how far a computed inverse is from an exact one, \
             at the start and at the end), whether the steps have come to an end (how far the last \
             one was from the best fit), and whether there are standard errors (how much of what is \
             known of the coefficients rests on rows that are all but certain): one figure each, \
             for all columns and rows together"
        }
        Training::Optimum(_) => {
            "whether the columns allow a solution (how far a computed inverse is from an exact one) \
             and whether the steps have come to an end (how far the last one was from the best \
             fit): one figure each, for all columns and rows together"
        }
    };
    Some(Disclosure {
        what: what.to_owned(),
        to_whom: everyone(study),
        why: "all must know whether the result can be trusted; if not, the study ends without a \
              model, and the only thing that was learnt is that the columns nearly determine each \
              other, or that the settings of the study do not suffice for them"
            .to_owned(),
    })
}

fn inference(study: &Study) -> Option<Disclosure> {
    if !study.output().inference {
        return None;
    }
    let (fit, sums) = match study.model().kind {
        ModelKind::Linear => (
            "the sum of the squared residuals, and the sum and the sum of the squares of the target",
            "the other's sum of squared residuals, and the mean and the standard deviation of its \
             target",
        ),
        _ => (
            "the deviance of the model and that of a model without features, with the sum of the \
             target (and, where there is an offset, of its exponential) that it is made from",
            "the other's part of the deviance, and the sum of its target",
        ),
    };
    let mut why = "standard errors, tests and confidence intervals of the coefficients, and how \
                   well the model fits, are computed from these figures at the recipients; \
                   correlations between coefficients are not revealed"
        .to_owned();
    if study.parties().len() == 2 {
        why = format!(
            "{why}. WARNING: with two parties, each can compute its own part of these sums, and \
             learns by subtraction {sums}; set output.inference = false to avoid this"
        );
    }
    Some(Disclosure {
        what: format!(
            "how sure each coefficient is: the diagonal of the inverse of the matrix of the \
             equations, one figure for each coefficient{}; and how well the model fits: {fit}",
            if study.model().intercept { " and the intercept" } else { "" }
        ),
        to_whom: recipients(study),
        why,
    })
}

/// The settings that the accuracy of the computation follows from.
fn accuracy(training: &Training) -> String {
    match training {
        Training::Sgd(sgd) => format!(
            "the window {} and the {} terms of the logistic function",
            sgd.sigmoid.window, sgd.sigmoid.terms
        ),
        Training::Exact(exact) => {
            format!("the largest condition number {} of the columns", exact.condition)
        }
        Training::Optimum(optimum) => {
            let link = match &optimum.link {
                Link::Logistic { prevalence, sigmoid } => format!(
                    "the declared share {prevalence} of the rarer class, the window {} and the {} \
                     terms of the logistic function",
                    sigmoid.window, sigmoid.terms
                ),
                Link::Poisson(rate) => format!(
                    "the declared typical count {}, the scores from {:.2} to {:.2} and the {} terms \
                     of the exponential function",
                    rate.mean,
                    rate.centre - rate.halfwidth,
                    rate.centre + rate.halfwidth,
                    rate.terms
                ),
            };
            format!(
                "the largest condition number {} of the columns, the tolerance {}, {link}",
                optimum.condition, optimum.tolerance
            )
        }
    }
}

fn traffic(study: &Study) -> Disclosure {
    let model = study.model();
    Disclosure {
        what: format!(
            "sizes and times of the messages, and the accuracy of the computation: the bound {} on \
             encoded values, {}",
            model.clip,
            accuracy(study.training())
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
