//! The same training in the clear, in floating point, on the identical schedule: an example of
//! what the joint training computes, and the oracle that it is compared with.

pub mod glm;
pub mod optimum;

use crate::plan::linear::LinearSettings;
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

/// Least squares on all parties' rows in float64, with the penalty of the settings, by the normal
/// equations: the coefficients, the intercept last, and the diagonal of the inverse of
/// X^T X + n l2. Good for designs of a condition up to some 10^5.
///
/// # Panics
/// When the design is exactly singular.
#[must_use]
pub fn least_squares(settings: &LinearSettings, parties: &[Rows]) -> (Vec<f64>, Vec<f64>) {
    let d = settings.weights();
    let columns = settings.mean_squares.len();
    let rows: usize = parties.iter().map(Rows::len).sum();
    // X^T X beside X^T y beside the identity, brought to reduced form by rows.
    let mut table = vec![vec![0.0; 2 * d + 1]; d];
    for (party, row) in parties.iter().flat_map(|rows| (0..rows.len()).map(move |i| (rows, i))) {
        let mut x: Vec<f64> =
            party.row(row).iter().map(|x| x.clamp(-settings.clip, settings.clip)).collect();
        x.resize(d, 1.0);
        let y = party.y()[row].clamp(settings.target.0, settings.target.1);
        for i in 0..d {
            for j in 0..d {
                table[i][j] += x[i] * x[j];
            }
            table[i][d] += x[i] * y;
        }
    }
    for (i, line) in table.iter_mut().enumerate() {
        line[i] += if i < columns { settings.l2 * rows as f64 } else { 0.0 };
        line[d + 1 + i] = 1.0;
    }
    for pivot in 0..d {
        let of = table[pivot][pivot];
        assert!(of != 0.0, "the design is singular");
        table[pivot].iter_mut().for_each(|v| *v /= of);
        let line = table[pivot].clone();
        for (_, other) in table.iter_mut().enumerate().filter(|&(i, _)| i != pivot) {
            let factor = other[pivot];
            other.iter_mut().zip(&line).for_each(|(a, b)| *a -= factor * b);
        }
    }
    let coefficients = table.iter().map(|line| line[d]).collect();
    let diagonal = table.iter().enumerate().map(|(i, line)| line[d + 1 + i]).collect();
    (coefficients, diagonal)
}
