//! What is revealed of how sure the coefficients are, beside their usual variances.

use mpc_core::Recipients;

use super::{Asked, Robust, WaldPlan};
use crate::model::Output;

/// Robust variances of the coefficients.
pub(super) const ROBUST: &str = "robust variances";
/// How large the squared residuals are, and how many groups there are.
pub(super) const ROBUST_SIZE: &str = "size of the squared residuals";
/// The whole covariance matrix.
pub(crate) const COVARIANCE: &str = "covariance";

/// The check of the inverse of the covariances of a feature's columns.
pub(super) fn wald_check(feature: &str) -> String {
    format!("inverse check, {feature}")
}

/// The joint test of a feature.
pub(super) fn wald(feature: &str) -> String {
    format!("test of {feature}")
}

/// The variance of a combination of coefficients.
pub(super) fn contrast(name: &str) -> String {
    format!("variance of {name}")
}

/// What a study that asks for this reveals, in order.
pub(crate) fn outputs(asked: &Asked<'_>, tests: &[WaldPlan], to: Recipients) -> Vec<Output> {
    let mut list = Vec::new();
    for test in tests.iter().filter(|test| test.inverse.is_some()) {
        list.push(Output::figure(
            wald_check(&test.feature),
            format!("whether the covariances of the columns of {:?} have an inverse", test.feature),
            "the joint test needs it; without one the test is not told",
        ));
        list.push(Output::result(
            wald(&test.feature),
            to,
            format!("how far the coefficients of {:?} are from 0 together: chi squared, or F times their number in a linear model", test.feature),
            "one number, made of covariances that are not revealed; whether the feature has an effect \
             follows from it",
        ));
    }
    for contrast in asked.contrasts {
        let weights = contrast.weights.iter();
        let sum: Vec<String> = weights.map(|(name, weight)| format!("{weight} {name}")).collect();
        list.push(Output::result(
            self::contrast(&contrast.name),
            to,
            format!("the variance of the contrast {:?}: {}", contrast.name, sum.join(", ")),
            "its standard error and its test follow from it. It is one number about the covariances of \
             these coefficients; where there are two of them, their covariance follows",
        ));
    }
    if asked.robust != Robust::None {
        list.push(Output::figure(
            ROBUST_SIZE,
            "how large the squared residuals are, a number of some 10 bits, and how many groups of rows \
             there are",
            "scales follow from it, and the factor of robust variances",
        ));
        list.push(Output::result(
            ROBUST,
            to,
            "the robust variance of each coefficient",
            "standard errors that do not trust the model's variance",
        ));
    }
    if asked.covariance {
        list.push(Output::result(
            COVARIANCE,
            to,
            "the whole covariance matrix of the coefficients",
            "the study asks for it. WARNING: all parties but one together learn the weighted Gram matrix \
             of the remaining one's rows from it, exactly",
        ));
    }
    list
}
