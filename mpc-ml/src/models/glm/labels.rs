//! What a fit reveals: the one list.

use super::family::Family;
use super::plan::{Preconditioner, RowsPlan};
use super::settings::{Finish, Iterates};
use crate::inference;
use crate::model::{Output, steps};

/// Sums over all rows that the fit starts from.
pub(super) const TOTALS: &str = "totals";
/// The joint size of the curvature that the fit starts from.
pub(super) const SIZES: &str = "sizes";
/// The check of the inverse that steps are made with.
pub(super) const INVERSE_CHECK: &str = "inverse check";
/// The coefficients, where nothing but them is revealed.
pub const COEFFICIENTS: &str = "coefficients";
/// The joint gradient at the model.
pub(super) const CERTIFICATE: &str = "gradient at the model";
/// The variances of the coefficients.
pub(super) const VARIANCES: &str = "variances";
/// The sums that describe the fit.
pub(super) const SUMS: &str = "sums";
/// Which columns determine each other, where a check failed.
pub(super) const DETERMINED: &str = "columns that determine each other";

/// The length of the step of a pass on shares.
pub(super) fn step(pass: u32) -> String {
    format!("step {pass}")
}

/// The model that is revealed as number `at`, from 0.
pub(super) fn model(at: u32) -> String {
    format!("model {at}")
}

/// The size of the curvature at model `at`, where its inverse begins anew.
pub(super) fn whole_size(at: u32) -> String {
    format!("size {at}, anew")
}

/// The check of the inverse at model `at`, where it begins anew.
pub(super) fn whole_check(at: u32) -> String {
    format!("inverse check {at}, anew")
}

/// How many rows weigh much more at model `at` than before.
pub(super) fn size(at: u32) -> String {
    format!("size {at}")
}

/// The check of the inverse at model `at`.
pub(super) fn check(at: u32) -> String {
    format!("inverse check {at}")
}

/// How far model `at` is from the optimum.
pub(super) fn distance(at: u32) -> String {
    format!("distance {at}")
}

pub(super) fn outputs(plan: &RowsPlan) -> Vec<Output> {
    let settings = &plan.settings;
    let to = plan.facts.recipients;
    let exposure = if settings.family == Family::Poisson { ", the sum of e^offset" } else { "" };
    let mut list = vec![
        Output::figure(
            TOTALS,
            format!(
                "the sum of the targets of all rows{exposure}, the sum of the case weights, and how many \
                 cells are beyond the clip"
            ),
            "the fit starts from the joint mean; cells that would be cut change the model, so all see \
             how many there are. Between two parties each learns the other's figures",
        ),
        Output::figure(
            SIZES,
            "the size of the joint curvature at the parties' own fits, and of the squared entries: two \
             numbers of some 10 bits",
            "rings and scales follow from it",
        ),
    ];
    if plan.preconditioner == Preconditioner::Inverse {
        list.push(Output::check(
            INVERSE_CHECK,
            "whether the inverse of the joint curvature was reached",
        ));
        list.push(Output::check(
            DETERMINED,
            "which columns nearly determine each other: only if a check of an inverse fails",
        ));
    }
    if settings.iterates == Iterates::Hidden {
        list.extend((0..settings.passes).map(|pass| {
            Output::figure(
                step(pass),
                "two numbers of some 8 bits for each pass: how long its step is in standard errors, and \
                 how it lies to the one before",
                "the next step follows from it, and so does the number of passes: how far the parties' \
                 own models are from the joint one",
            )
        }));
    }
    if plan.finish == Finish::Hidden {
        list.push(Output::coefficients(
            COEFFICIENTS,
            to,
            plan.facts.columns(),
            settings.intercept,
            &format!("in {}", steps(settings.release_bits)),
        ));
        return list;
    }
    for at in 0..plan.most_revealed() {
        let (what, why) = match (at, settings.iterates) {
            (0, Iterates::Hidden) => (
                "a model near the optimum, a tenth of a standard error from it or what the noise of the \
                 randomness leaves",
                "the last steps are made from what each owner computes in the clear at it; it is one more \
                 vector like the model",
            ),
            (_, Iterates::Hidden) => (
                "the model; where the one before it is found to be further from the optimum than the \
                 tolerance, once more",
                "it is the purpose of the study. A model tells something about the rows it was trained \
                 on, more so the fewer they are; differential privacy is not applied",
            ),
            (_, Iterates::Revealed) => (
                "a model on the way to the optimum, the last of which is the result; at most six",
                "the study says that they may be seen: it saves all computation on shared rows. Two \
                 parties can draw conclusions about sums over each other's rows from them; a party's own \
                 gradient or curvature is not shown",
            ),
        };
        list.push(Output::result(model(at), to, what, why));
        list.push(Output::figure(
            size(at),
            "how many parties have rows that weigh much more in the joint curvature at that model than in \
             the one before",
            "standard errors need the whole curvature: with any such row its inverse begins anew",
        ));
        list.push(Output::check(
            check(at),
            "whether the inverse of the curvature at it was reached",
        ));
        list.push(Output::figure(
            whole_size(at),
            "the size of the joint curvature at that model, a number of some 10 bits: only if its inverse \
             begins anew",
            "rings and scales follow from it",
        ));
        list.push(Output::check(
            whole_check(at),
            "whether the inverse of the curvature at it was reached, where it began anew",
        ));
        list.push(Output::check(
            distance(at),
            "how far it is from the optimum, in standard errors",
        ));
    }
    list.push(Output::result(
        CERTIFICATE,
        to,
        "that the model is right: the gradient of the joint rows at it, a few bits for each coefficient, \
         nearly zero",
        "each party computes its own part at the revealed model, so the model is the optimum of the \
         parties' rows and nothing else; if it is not, the study ends without a model. At the optimum \
         the gradients of all other parties together are minus the own one",
    ));
    if settings.inference {
        list.push(Output::result(
            VARIANCES,
            to,
            "the uncertainty of each coefficient (its variance)",
            "standard errors, tests and intervals follow from it",
        ));
        list.push(Output::result(
            SUMS,
            to,
            "the deviance, the deviance without features, the logarithm of the likelihood, and how many \
             rows are all but certain",
            "they describe the fit",
        ));
    }
    list.extend(inference::outputs(&settings.asked(), &plan.tests, to));
    list
}
