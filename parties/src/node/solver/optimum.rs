//! `solver = "optimum"`: logistic and Poisson regression to the optimum.

use mpc_ml::artifact::{OptimumRecord, RateRecord, SolverRecord};

use crate::study::{Link, Optimum};

pub(super) fn record(training: &Optimum) -> SolverRecord {
    let (prevalence, sigmoid, rate) = match &training.link {
        Link::Logistic { prevalence, sigmoid } => {
            (Some(*prevalence), Some((sigmoid.window, sigmoid.terms)), None)
        }
        Link::Poisson(rate) => (
            None,
            None,
            Some(RateRecord {
                mean: rate.mean,
                centre: rate.centre,
                halfwidth: rate.halfwidth,
                terms: rate.terms,
            }),
        ),
    };
    SolverRecord::Optimum(OptimumRecord {
        condition: training.condition,
        tolerance: training.tolerance,
        prevalence,
        sigmoid,
        rate,
        largest_eigenvalue: training.largest_eigenvalue,
    })
}
