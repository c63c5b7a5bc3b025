//! What a fit on columns reveals: the one list.

use mpc_core::Recipients;

use super::super::family::Family;
use super::super::labels::{COEFFICIENTS, DETERMINED, INVERSE_CHECK, SUMS, VARIANCES};
use super::plan::ColumnsPlan;
use crate::model::{Output, steps};

/// The score of the mean target, coarsely.
pub(super) const MEAN: &str = "mean";
/// How large a score can be at the model.
pub(super) const RANGE: &str = "range of the scores";
/// The check of the inverse of the curvature at the model.
pub(super) const INFORMATION_CHECK: &str = "inverse check, information";

/// The inner products of a pass.
pub(super) fn step(pass: u32) -> String {
    format!("step {pass}")
}

pub(super) fn outputs(plan: &ColumnsPlan) -> Vec<Output> {
    let settings = &plan.settings;
    let how = format!("in {}", steps(settings.release_bits));
    let mut list = vec![
        Output::figure(
            MEAN,
            "the mean of the target, as the score of it to a quarter: a number of some 5 bits",
            "the fit starts from it. It is that of the party that has the target",
        ),
        Output::check(
            INVERSE_CHECK,
            "whether the matrix of the products of all columns could be inverted",
        ),
        Output::check(DETERMINED, "which columns nearly determine each other: only if that fails"),
    ];
    list.extend((0..settings.passes).map(|pass| {
        Output::figure(
            step(pass),
            format!(
                "{} of some 12 bits: how the gradient of the joint rows at this pass lies to those \
                 before it, in a metric that nobody knows",
                if pass == 0 { "a number".to_owned() } else { format!("{} numbers", pass + 1) }
            ),
            "the next step follows from it, and so does the number of passes",
        )
    }));
    match &plan.owners {
        Some(owners) => list.extend(owners.outputs(&how)),
        None => list.extend(plan.first.iter().flat_map(|first| first.checks(&how))),
    }
    if plan.knows_parts() {
        list.push(Output::result(
            RANGE,
            Recipients::All,
            "how large and how small the score of a record can be at most: the sum over the parties of \
             the largest part that its columns have in one, and of the smallest, in steps of 1/8",
            "the mean is computed as a series that is right between two bounds, and this shows that no \
             score is beyond them; else the study ends without a model. Between two parties each learns \
             the other's largest and smallest part",
        ));
    }
    if plan.owners.is_none() {
        list.push(Output::coefficients(
            COEFFICIENTS,
            plan.facts.recipients,
            plan.facts.columns(),
            settings.intercept,
            &how,
        ));
    }
    if settings.inference {
        list.push(Output::check(
            INFORMATION_CHECK,
            "whether the inverse of the information at the model was reached",
        ));
        list.push(Output::result(
            VARIANCES,
            plan.facts.recipients,
            "the uncertainty of each coefficient (its variance)",
            "standard errors, tests and intervals follow from it. Coefficients and variances together tell \
             of a party with few columns how these depend on the others'",
        ));
    }
    if settings.inference {
        list.push(Output::result(
            SUMS,
            plan.facts.recipients,
            "how well the model fits: the deviance, that of a model without features, and the logarithm of \
             the likelihood",
            match settings.family {
                Family::Logistic => {
                    "they tell whether the features explain the target. What a model without features \
                     leaves tells how many records are positive: a figure of the party that has the target"
                }
                Family::Poisson => {
                    "they tell whether the features explain the target. What a model without features leaves \
                     is of the target alone, and so are the constants of the likelihood: figures of the party \
                     that has it"
                }
            },
        ));
    }
    list
}
