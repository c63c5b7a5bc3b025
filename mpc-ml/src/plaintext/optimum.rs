//! The same optimum in the clear, by Newton's method in float64: the oracle of the joint fit.

use super::{score, sigmoid};
use crate::plan::optimum::{Family, GlmSettings};
use crate::rows::Rows;

/// An optimum.
#[derive(Clone, Debug, PartialEq)]
pub struct Optimum {
    /// The coefficients, the intercept last.
    pub coefficients: Vec<f64>,
    /// Their standard errors, from the inverse of the information (the penalty included).
    pub std_errors: Vec<f64>,
    /// The deviance.
    pub deviance: f64,
}

/// Newton steps that are tried before a fit is given up.
const MOST_STEPS: usize = 100;

/// The optimum on all parties' rows, clipped as in the joint fit; `offsets` of each row or none.
/// `None` when Newton's method does not converge.
///
/// # Panics
/// When the rows are not those of the settings.
#[must_use]
pub fn fit(settings: &GlmSettings, parties: &[Rows], offsets: &[Vec<f64>]) -> Option<Optimum> {
    let columns = settings.columns as usize;
    let mut rows = Vec::new();
    for (party, own) in parties.iter().enumerate() {
        for at in 0..own.len() {
            let clip = settings.clip;
            let mut x: Vec<f64> = own.row(at).iter().map(|x| x.clamp(-clip, clip)).collect();
            if settings.intercept {
                x.push(1.0);
            }
            let offset = offsets.get(party).and_then(|own| own.get(at)).copied().unwrap_or(0.0);
            rows.push((x, own.y()[at], offset));
        }
    }
    let n = rows.len() as f64;
    let logistic = matches!(settings.family, Family::Logistic { .. });
    let loss = |z: f64, y: f64| match logistic {
        true => libm::log1p(libm::exp(-z.abs())) + z.max(0.0) - y * z,
        false => libm::exp(z) - y * z,
    };
    let objective = |w: &[f64]| {
        let penalty: f64 = w[..columns].iter().map(|w| w * w).sum::<f64>() * settings.l2 / 2.0;
        rows.iter().map(|(x, y, offset)| loss(score(w, x) + offset, *y)).sum::<f64>() / n + penalty
    };
    let order = settings.weights();
    let mut w = vec![0.0; order];
    if settings.intercept {
        w[columns] = settings.family.start();
    }
    for _ in 0..MOST_STEPS {
        let mut gradient = vec![0.0; order];
        let mut hessian = vec![vec![0.0; order]; order];
        for (x, y, offset) in &rows {
            let z = score(&w, x) + offset;
            let (mean, weight) = match logistic {
                true => (sigmoid(z), sigmoid(z) * sigmoid(-z)),
                false => (libm::exp(z), libm::exp(z)),
            };
            for i in 0..order {
                gradient[i] += (mean - y) * x[i] / n;
                for j in 0..=i {
                    hessian[i][j] += weight * x[i] * x[j] / n;
                }
            }
        }
        for j in 0..columns {
            gradient[j] += settings.l2 * w[j];
            hessian[j][j] += settings.l2;
        }
        let factor = cholesky(hessian)?;
        let step = solve(&factor, &gradient);
        let decrement: f64 = step.iter().zip(&gradient).map(|(a, b)| a * b).sum();
        if decrement.abs() < 1e-24 {
            let variance = |j: usize| {
                let unit: Vec<f64> = (0..order).map(|i| f64::from(u8::from(i == j))).collect();
                solve(&factor, &unit)[j] / n
            };
            let std_errors = (0..order).map(|j| variance(j).sqrt()).collect();
            let saturated = |y: f64| if logistic || y == 0.0 { 0.0 } else { y - y * y.ln() };
            let total = |(x, y, offset): &(Vec<f64>, f64, f64)| {
                loss(score(&w, x) + offset, *y) - saturated(*y)
            };
            let deviance = 2.0 * rows.iter().map(total).sum::<f64>();
            return Some(Optimum { coefficients: w, std_errors, deviance });
        }
        // Half steps until the objective falls, down to where it is all rounding.
        let before = objective(&w);
        let mut length = 1.0;
        loop {
            let next: Vec<f64> = w.iter().zip(&step).map(|(w, s)| w - length * s).collect();
            if objective(&next) <= before + 1e-13 || length < 1e-6 {
                w = next;
                break;
            }
            length /= 2.0;
        }
    }
    None
}

/// The lower factor of a positive definite matrix, of which the lower triangle is given.
fn cholesky(mut a: Vec<Vec<f64>>) -> Option<Vec<Vec<f64>>> {
    let n = a.len();
    for j in 0..n {
        let (above, below) = a.split_at_mut(j + 1);
        let row = &mut above[j];
        let square = row[j] - row[..j].iter().map(|v| v * v).sum::<f64>();
        if square.is_nan() || square <= 0.0 {
            return None;
        }
        row[j] = square.sqrt();
        for other in below {
            let dot: f64 = row[..j].iter().zip(&other[..j]).map(|(a, b)| a * b).sum();
            other[j] = (other[j] - dot) / row[j];
        }
    }
    Some(a)
}

fn solve(factor: &[Vec<f64>], right: &[f64]) -> Vec<f64> {
    let n = right.len();
    let mut x = right.to_vec();
    for i in 0..n {
        let dot: f64 = factor[i][..i].iter().zip(&x).map(|(a, b)| a * b).sum();
        x[i] = (x[i] - dot) / factor[i][i];
    }
    for i in (0..n).rev() {
        let dot: f64 = (i + 1..n).map(|k| factor[k][i] * x[k]).sum();
        x[i] = (x[i] - dot) / factor[i][i];
    }
    x
}
