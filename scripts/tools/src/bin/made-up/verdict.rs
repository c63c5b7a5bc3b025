//! A joint fit beside the float64 fit of the same rows.

use mpc_core::correlations::Origin;
use mpc_ml::plaintext::glm::{Fit, NoFit};
use mpc_ml::synthetic::studies::Study;
use serde_json::{Value, json};

use crate::joint::{Joint, NoJoint};

/// Of a coefficient, over the largest but the intercept.
const COEFFICIENT_OVER_LARGEST: f64 = 1e-3;
/// Of a coefficient, over its standard error.
const COEFFICIENT_OVER_SE: f64 = 0.02;
/// Of a standard error, relative.
const STANDARD_ERROR: f64 = 0.01;

/// How a study ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Within the limits.
    Right,
    /// The parties agreed that they have no fit.
    Refused,
    /// Beyond a limit, a fit where there is none, or no common end.
    Wrong,
}

/// How far a joint fit is from the reference.
#[derive(Clone, Copy, Debug)]
pub struct Apart {
    /// The largest difference of a coefficient, over the largest coefficient but the intercept.
    pub over_largest: f64,
    /// The largest difference of a coefficient in standard errors.
    pub over_se: f64,
    /// The largest relative difference of a standard error.
    pub std_error: f64,
    /// The relative difference of the deviance.
    pub deviance: f64,
}

/// A study, how it ended, and why.
#[derive(Debug)]
pub struct Ended {
    /// How.
    pub verdict: Verdict,
    /// Whether float64 fits the pooled rows.
    pub fits: bool,
    /// The differences, where there are two fits.
    pub apart: Option<Apart>,
    /// A line of `made-up.json`.
    pub record: Value,
    /// A line for the terminal.
    pub line: String,
}

impl Apart {
    fn new(joint: &Joint, reference: &Fit) -> Self {
        // What is not a number is as far away as can be.
        let largest = |differences: &mut dyn Iterator<Item = f64>| {
            differences.fold(0.0f64, |most, d| {
                if d <= most {
                    most
                } else if d.is_nan() {
                    f64::INFINITY
                } else {
                    d
                }
            })
        };
        let differences: Vec<f64> = joint
            .coefficients
            .iter()
            .zip(&reference.coefficients)
            .map(|(own, other)| (own - other).abs())
            .collect();
        let slopes = &reference.coefficients[..reference.coefficients.len() - 1];
        let scale = slopes.iter().fold(0.0f64, |most, w| most.max(w.abs()));
        let errors = joint.std_errors.iter().zip(&reference.std_errors);
        Self {
            over_largest: largest(&mut differences.iter().map(|d| d / scale)),
            over_se: largest(
                &mut differences.iter().zip(&reference.std_errors).map(|(d, se)| d / se),
            ),
            std_error: largest(&mut errors.map(|(own, other)| (own / other - 1.0).abs())),
            deviance: largest(&mut [(joint.deviance / reference.deviance - 1.0).abs()].into_iter()),
        }
    }

    fn within(self) -> bool {
        self.over_largest <= COEFFICIENT_OVER_LARGEST
            && self.over_se <= COEFFICIENT_OVER_SE
            && self.std_error <= STANDARD_ERROR
    }

    /// The larger of each.
    pub fn or(self, other: Self) -> Self {
        Self {
            over_largest: self.over_largest.max(other.over_largest),
            over_se: self.over_se.max(other.over_se),
            std_error: self.std_error.max(other.std_error),
            deviance: self.deviance.max(other.deviance),
        }
    }

    pub fn json(self) -> Value {
        json!({
            "coefficient_over_largest": self.over_largest,
            "coefficient_over_se": self.over_se,
            "standard_error": self.std_error,
            "deviance": self.deviance,
        })
    }
}

/// Compares.
pub fn judge(
    study: &Study,
    origin: Origin,
    reference: &Result<Fit, NoFit>,
    joint: &Result<Joint, NoJoint>,
    seconds: f64,
) -> Ended {
    let apart = match (joint, reference) {
        (Ok(joint), Ok(reference)) if joint.coefficients.len() == reference.coefficients.len() => {
            Some(Apart::new(joint, reference))
        }
        _ => None,
    };
    let (verdict, reason) = match (joint, apart) {
        (Ok(_), Some(apart)) if apart.within() => (Verdict::Right, None),
        (Ok(_), Some(_)) => (Verdict::Wrong, Some("beyond the limits".to_owned())),
        (Ok(_), None) => (Verdict::Wrong, Some("a fit where there is none".to_owned())),
        (Err(NoJoint::Refused(why)), _) => (Verdict::Refused, Some(why.clone())),
        (Err(NoJoint::Fault(why)), _) => (Verdict::Wrong, Some(why.clone())),
    };
    let word = match verdict {
        Verdict::Right => "right",
        Verdict::Refused => "refused",
        Verdict::Wrong => "WRONG",
    };
    let float64 = match reference {
        Ok(fit) if fit.separated() => format!("fits, {} rows separated", fit.extreme),
        Ok(_) => "fits".to_owned(),
        Err(why) => format!("{why:?}"),
    };
    let source = source(origin);
    let figures = apart.map_or_else(String::new, |apart| {
        format!(
            "{:.1e} of the largest, {:.1e} SE, SE {:.1e}, deviance {:.1e}",
            apart.over_largest, apart.over_se, apart.std_error, apart.deviance
        )
    });
    let why =
        reason.as_deref().map_or_else(String::new, |why| format!(" {why} (float64: {float64})"));
    let mut record = json!({
        "name": study.name,
        "correlations": source,
        "parties": study.parties.iter().map(mpc_ml::Rows::len).collect::<Vec<_>>(),
        "columns": study.columns.len(),
        "division": format!("{:?}", study.division),
        "verdict": word.to_lowercase(),
        "reason": reason,
        "float64": float64,
        "seconds": seconds,
    });
    if let Some(apart) = apart {
        record["apart"] = apart.json();
    }
    Ended {
        verdict,
        fits: reference.is_ok(),
        apart,
        record,
        line: format!("{word:<8} {:<13} {source:<9} {seconds:>6.1} s  {figures}{why}", study.name),
    }
}

/// As in a study file.
pub fn source(origin: Origin) -> &'static str {
    match origin {
        Origin::Dealer => "dealer",
        Origin::Pairwise => "pairwise",
    }
}
