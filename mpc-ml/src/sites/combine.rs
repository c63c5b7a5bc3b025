//! Estimates of several sites in one: with one effect, and with effects that differ between sites.

use serde::{Deserialize, Serialize};

use crate::artifact::laws::{chi_squared_beyond, quantile_beyond};

/// The confidence of all intervals.
pub(super) const CONFIDENCE: f64 = 0.95;

/// An estimate with its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimated {
    /// The estimate.
    pub estimate: f64,
    /// Its standard error.
    pub std_error: f64,
    /// The lower end of its interval.
    pub low: f64,
    /// The upper end of its interval.
    pub high: f64,
}

impl Estimated {
    /// By the normal law.
    #[must_use]
    pub fn new(estimate: f64, std_error: f64) -> Self {
        let reach = std_error * quantile_beyond((1.0 - CONFIDENCE) / 2.0, None);
        Self { estimate, std_error, low: estimate - reach, high: estimate + reach }
    }
}

/// What the estimates of two or more sites say together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Combined {
    /// If all sites have the same effect: the mean by inverse variances.
    pub fixed: Estimated,
    /// If effects differ between sites: the mean of them (DerSimonian and Laird).
    pub random: Estimated,
    /// Cochran's Q: the sum of the squared distances from the fixed mean, in standard errors.
    pub q: f64,
    /// Its degrees of freedom.
    pub freedom: u64,
    /// How likely a larger one is if all sites have the same effect.
    pub p_value: f64,
    /// The share of the variation between estimates that is not chance: I squared.
    pub i2: f64,
    /// The variance of effects between sites (DerSimonian and Laird).
    pub tau2: f64,
}

/// Combines estimates and their standard errors, which are above 0; none where there are fewer than two.
#[must_use]
pub fn combine(sites: &[(f64, f64)]) -> Option<Combined> {
    let freedom = (sites.len() as u64).checked_sub(1).filter(|&freedom| freedom > 0)?;
    let mean = |between: f64| {
        let weights = sites.iter().map(|(_, error)| 1.0 / (error * error + between));
        let all: f64 = weights.clone().sum();
        let sum: f64 = weights.zip(sites).map(|(weight, (estimate, _))| weight * estimate).sum();
        Estimated::new(sum / all, libm::sqrt(1.0 / all))
    };
    let fixed = mean(0.0);
    let (mut q, mut weights, mut squares) = (0.0, 0.0, 0.0);
    for (estimate, error) in sites {
        let weight = 1.0 / (error * error);
        q += weight * (estimate - fixed.estimate) * (estimate - fixed.estimate);
        weights += weight;
        squares += weight * weight;
    }
    let more = q - freedom as f64;
    let tau2 = (more / (weights - squares / weights)).max(0.0);
    Some(Combined {
        fixed,
        random: mean(tau2),
        q,
        freedom,
        p_value: chi_squared_beyond(q, freedom),
        i2: if q > 0.0 { (more / q).max(0.0) } else { 0.0 },
        tau2,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// What statsmodels makes of them, which is what metafor prints of `dat.bcg` (scripts/oracles/sites.py).
    #[test]
    fn summaries_are_those_of_statistics_programs() {
        let oracle: Value =
            serde_json::from_str(include_str!("../../../scripts/oracles/sites.json"))
                .expect("JSON");
        let cases = oracle.as_object().expect("cases");
        assert_eq!(cases.len(), 3);
        for (name, due) in cases {
            let list = |field: &str| -> Vec<f64> {
                serde_json::from_value(due[field].clone()).expect("numbers")
            };
            let sites: Vec<(f64, f64)> =
                list("estimates").into_iter().zip(list("errors")).collect();
            let found = combine(&sites).expect("two or more");
            let same = |got: f64, due: f64, what: &str| {
                assert!(
                    (got - due).abs() <= 1e-9 * due.abs() + 1e-15,
                    "{name}, {what}: {got}, {due}"
                );
            };
            for (got, field) in [(found.fixed, "fixed"), (found.random, "random")] {
                let due = list(field);
                same(got.estimate, due[0], field);
                same(got.std_error, due[1], field);
                same(got.high - got.low, 2.0 * 1.959_963_984_540_054 * due[1], "interval");
            }
            let one = |field: &str| due[field].as_f64().expect("a number");
            same(found.q, one("q"), "q");
            same(found.tau2, one("tau2"), "tau2");
            same(found.i2, one("i2"), "i2");
            let p = one("p_value");
            assert!((found.p_value / p - 1.0).abs() < 1e-6, "{name}: {} and {p}", found.p_value);
        }
    }

    #[test]
    fn one_site_alone_is_no_summary() {
        assert_eq!(combine(&[(0.1, 0.2)]), None);
        assert_eq!(combine(&[]), None);
    }
}
