//! What a party computes on its own rows, in the clear (docs/protocols.md 19.1).

use ndarray::Array2;

use super::{Family, OwnRows};

/// The mean gradient of the own rows at `model`, with that of the penalty.
pub(super) fn gradient(
    family: Family,
    rows: &OwnRows,
    l2: f64,
    model: &Array2<f64>,
) -> Array2<f64> {
    let mut residuals = rows.matrix.dot(model);
    match family {
        Family::Linear => {}
        Family::Logistic => residuals.mapv_inplace(|z| 1.0 / (1.0 + libm::exp(-z))),
        Family::Multinomial { .. } => {
            for mut row in residuals.rows_mut() {
                let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                row.mapv_inplace(|z| libm::exp(z - most));
                let sum = row.sum();
                row /= sum;
            }
        }
    }
    residuals -= &rows.targets;
    let mut gradient = rows.matrix.t().dot(&residuals) / rows.matrix.nrows() as f64;
    let columns = model.nrows() - 1;
    for ((row, score), value) in gradient.indexed_iter_mut() {
        if row < columns {
            *value += l2 * model[(row, score)];
        }
    }
    gradient
}

/// A bound on the curvature of the own objective: a little above the largest eigenvalue that power iteration finds.
pub(super) fn curvature(family: Family, rows: &OwnRows, l2: f64) -> f64 {
    const TIMES: usize = 50;
    const ABOVE: f64 = 1.05;
    let columns = rows.matrix.ncols();
    // No eigenvector of any table is at a right angle to it by construction.
    let mut vector =
        Array2::from_shape_fn((columns, 1), |(at, _)| 1.0 + 0.5 * libm::sin(at as f64));
    let mut largest = 0.0;
    for _ in 0..TIMES {
        let next = rows.matrix.t().dot(&rows.matrix.dot(&vector)) / rows.matrix.nrows() as f64;
        let length = next.iter().map(|value| value * value).sum::<f64>().sqrt();
        let before = vector.iter().map(|value| value * value).sum::<f64>().sqrt();
        if length == 0.0 || before == 0.0 {
            break;
        }
        largest = length / before;
        vector = next / length;
    }
    let steepest = match family {
        Family::Linear => 1.0,
        Family::Logistic => 0.25,
        Family::Multinomial { .. } => 0.5,
    };
    ABOVE * steepest * largest + l2
}

/// So many steps of Nesterov's method from `model` on the own objective with the slope `correction`.
pub(super) fn steps(
    (family, l2, steps): (Family, f64, u32),
    rows: &OwnRows,
    curvature: f64,
    correction: Option<&Array2<f64>>,
    model: &Array2<f64>,
) -> Array2<f64> {
    let (mut here, mut ahead) = (model.clone(), model.clone());
    for step in 0..steps {
        let mut slope = gradient(family, rows, l2, &ahead);
        if let Some(correction) = correction {
            slope += correction;
        }
        let next = &ahead - &(slope / curvature);
        let momentum = f64::from(step) / f64::from(step + 3);
        ahead = &next + &((&next - &here) * momentum);
        here = next;
    }
    here
}
