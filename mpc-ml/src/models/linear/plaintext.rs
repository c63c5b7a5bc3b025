//! The same regression in the clear, in floating point.

use super::LinearPlan;
use crate::rows::Rows;

/// Least squares on all parties' rows in float64, with the penalty of the plan, by the normal
/// equations: the coefficients, the intercept last, and the diagonal of the inverse of
/// X^T X + n l2. Good for designs of a condition up to some 10^5.
///
/// # Panics
/// When the design is exactly singular.
#[must_use]
pub fn least_squares(plan: &LinearPlan, parties: &[Rows]) -> (Vec<f64>, Vec<f64>) {
    let (settings, encoding) = (plan.settings(), plan.encoding());
    let (d, columns) = (encoding.weights(), encoding.columns);
    let rows: usize = parties.iter().map(Rows::len).sum();
    // X^T X beside X^T y beside the identity, brought to reduced form by rows.
    let mut table = vec![vec![0.0; 2 * d + 1]; d];
    for (party, row) in parties.iter().flat_map(|rows| (0..rows.len()).map(move |i| (rows, i))) {
        let mut x: Vec<f64> =
            party.row(row).iter().map(|x| x.clamp(-settings.clip, settings.clip)).collect();
        x.resize(d, 1.0);
        let y = party.y()[row].clamp(encoding.target.0, encoding.target.1);
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
