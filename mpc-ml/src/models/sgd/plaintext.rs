//! The same training in the clear, in floating point, on the identical schedule.

use super::SgdPlan;
use crate::plaintext::{score, sigmoid};
use crate::rows::Rows;

/// Trains on all parties' rows (each in the order of the schedule) by mini-batch gradient
/// descent in float64. Gives the coefficients, the intercept last. Where the parties hold columns of the
/// same rows, these are the rows of one party.
///
/// # Panics
/// When the rows are not those of the plan.
#[must_use]
pub fn train(plan: &SgdPlan, parties: &[Rows]) -> Vec<f64> {
    let settings = plan.settings();
    assert_eq!(parties.len(), plan.schedule().rows().len());
    let columns = plan.columns();
    let mut weights = vec![0.0; plan.weights()];
    let mut before = weights.clone();
    for epoch in 0..settings.epochs {
        let rate = settings.step_size(epoch);
        for batch in plan.schedule().order(epoch) {
            let mut gradient = vec![0.0; plan.weights()];
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
