//! The same training in the clear, in floating point, on the identical schedule: an example of
//! what the joint training computes, and the oracle that it is compared with.

pub mod optimum;

use crate::plan::{SgdPlan, SgdSettings};
use crate::rows::Rows;

/// The exact sigmoid.
#[must_use]
pub fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-z))
}

/// w x + b for coefficients with the intercept last, where there is one.
#[must_use]
pub fn score(coefficients: &[f64], row: &[f64]) -> f64 {
    let slope: f64 = coefficients.iter().zip(row).map(|(w, x)| w * x).sum();
    slope + coefficients.get(row.len()).copied().unwrap_or(0.0)
}

/// Trains on all parties' rows (each in the order of the schedule) by mini-batch gradient
/// descent in float64. Gives the coefficients, the intercept last.
///
/// # Panics
/// When the rows are not those of the plan.
#[must_use]
pub fn train(plan: &SgdPlan, parties: &[Rows]) -> Vec<f64> {
    let settings: &SgdSettings = plan.settings();
    assert_eq!(parties.len(), plan.parties());
    let columns = settings.columns as usize;
    let mut weights = vec![0.0; settings.weights()];
    let mut before = weights.clone();
    for epoch in 0..settings.epochs {
        let rate = settings.learning_rate / (1.0 + settings.decay * epoch as f64);
        for batch in plan.schedule().order(epoch) {
            let mut gradient = vec![0.0; settings.weights()];
            for (rows, &(from, to)) in parties.iter().zip(plan.schedule().parts(batch)) {
                for row in from as usize..to as usize {
                    let clipped: Vec<f64> = rows
                        .row(row)
                        .iter()
                        .map(|x| x.clamp(-settings.clip, settings.clip))
                        .collect();
                    let e = sigmoid(score(&weights, &clipped)) - rows.y()[row];
                    for (g, x) in gradient.iter_mut().zip(&clipped) {
                        *g += e * x;
                    }
                    if settings.intercept {
                        gradient[columns] += e;
                    }
                }
            }
            for (j, gradient) in gradient.iter().enumerate() {
                let now = weights[j];
                let penalty = if j < columns { settings.l2 * now } else { 0.0 };
                weights[j] += settings.momentum * (now - before[j])
                    - rate * (gradient / settings.batch as f64 + penalty);
                before[j] = now;
            }
        }
    }
    weights
}
