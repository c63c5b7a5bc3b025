//! The rule by which noisy sums become a model: a pure function of what all parties know (docs/protocols.md 16.7).

use super::plan::{Recipe, UNIT};
use crate::artifact::ModelKind;

/// How many times s sqrt(d) an eigenvalue must have to count as one of the rows', s the deviation of the noise.
const fn floor(kind: ModelKind) -> f64 {
    match kind {
        ModelKind::Linear | ModelKind::Multinomial => 1.0,
        _ => 1.4,
    }
}
/// Coefficients on the common scale are no longer than this.
const LONGEST: f64 = 20.0;

/// Where a fit is.
#[derive(Clone, Debug)]
pub(super) struct Rule<'a> {
    recipe: &'a Recipe,
    /// Units of the noise that the matrix of products has, all parties together.
    noise: f64,
    done: usize,
    /// What a gradient is multiplied by, row by row.
    step: Vec<f64>,
    w: Vec<f64>,
    /// The sum of the models that the result is the mean of.
    late: Vec<f64>,
}

impl<'a> Rule<'a> {
    /// At its beginning; `matrix` is sigma^2 of each party's noise in the matrix of products.
    pub(super) fn new(recipe: &'a Recipe, matrix: u128) -> Self {
        let order = recipe.order;
        let mut step = vec![0.0; order * order];
        // Where there is a matrix of products the steps follow from it.
        let each = 6.0 / recipe.rows;
        (0..order).for_each(|i| step[i * order + i] = each);
        let noise = libm::sqrt(matrix as f64 * recipe.parties as f64) / UNIT;
        Self { recipe, noise, done: 0, step, w: vec![0.0; order], late: vec![0.0; order] }
    }

    /// The model at which the next sums are taken.
    pub(super) fn w(&self) -> &[f64] {
        &self.w
    }

    /// Whether the next sums are the matrix of products.
    pub(super) fn wants_moments(&self) -> bool {
        self.recipe.moments && self.done == 0
    }

    /// Takes the noisy sums that were due.
    pub(super) fn take(&mut self, sums: &[i128]) {
        let sums: Vec<f64> = sums.iter().map(|sum| *sum as f64 / UNIT).collect();
        if self.wants_moments() {
            self.begin(&sums);
        } else {
            self.descend(&sums);
        }
        self.done += 1;
    }

    /// The start and the steps that follow from the matrix of products and the columns times the target.
    fn begin(&mut self, sums: &[f64]) {
        let order = self.recipe.order;
        let (triangle, with_target) = sums.split_at(order * (order + 1) / 2);
        let mut matrix = vec![0.0; order * order];
        let mut entries = triangle.iter();
        for i in 0..order {
            for j in i..order {
                let entry = entries.next().copied().unwrap_or_default();
                let entry = if i == j { entry } else { entry / std::f64::consts::SQRT_2 };
                (matrix[i * order + j], matrix[j * order + i]) = (entry, entry);
            }
        }
        let last: Vec<f64> = (0..order).map(|i| matrix[i * order + order - 1]).collect();
        let floor = floor(self.recipe.kind) * self.noise * libm::sqrt(order as f64);
        let mut inverse = inverse(matrix, order, floor);
        let scale = match self.recipe.kind {
            ModelKind::Logistic => 4.0,
            ModelKind::Linear | ModelKind::Multinomial => 1.0,
            ModelKind::Poisson => {
                let mean = with_target[order - 1] / self.recipe.rows;
                let mean = mean.clamp(self.recipe.half / 50.0, self.recipe.half / 2.0);
                let off: Vec<f64> =
                    with_target.iter().zip(&last).map(|(sum, one)| sum - mean * one).collect();
                inverse.iter_mut().for_each(|entry| *entry /= mean);
                self.w = product(&inverse, &off);
                self.w[order - 1] += libm::log(mean);
                self.step = inverse;
                return;
            }
        };
        inverse.iter_mut().for_each(|entry| *entry *= scale);
        self.w = product(&inverse, with_target);
        self.step = inverse;
    }

    /// One step down.
    fn descend(&mut self, gradient: &[f64]) {
        let order = self.recipe.order;
        let mut gradient = gradient.to_vec();
        for (g, w) in gradient.iter_mut().zip(&self.w).take(order - 1) {
            *g += self.recipe.ridge * w;
        }
        let step = product(&self.step, &gradient);
        self.w.iter_mut().zip(&step).for_each(|(w, step)| *w -= step);
        let length = libm::sqrt(self.w.iter().map(|w| w * w).sum());
        if length > LONGEST {
            self.w.iter_mut().for_each(|w| *w *= LONGEST / length);
        }
        if self.step_number() >= self.first_late() {
            self.late.iter_mut().zip(&self.w).for_each(|(late, w)| *late += w);
        }
    }

    fn step_number(&self) -> usize {
        self.done - usize::from(self.recipe.moments)
    }

    /// The result is the mean of the models from this step on.
    fn first_late(&self) -> usize {
        match self.recipe.kind {
            ModelKind::Linear | ModelKind::Multinomial => self.recipe.gradients / 4,
            _ => self.recipe.gradients / 3,
        }
    }

    /// The model, on the common scale of the columns and in the units of the target; the intercept last.
    pub(super) fn result(&self) -> Vec<f64> {
        let models = (self.recipe.gradients - self.first_late()) as f64;
        let mut model: Vec<f64> = self.late.iter().map(|sum| sum / models).collect();
        if self.recipe.kind == ModelKind::Linear {
            model.iter_mut().for_each(|w| *w *= self.recipe.half);
            if let Some(intercept) = model.last_mut() {
                *intercept += self.recipe.centre;
            }
        }
        model
    }
}

fn product(matrix: &[f64], vector: &[f64]) -> Vec<f64> {
    let rows = matrix.chunks_exact(vector.len());
    rows.map(|row| row.iter().zip(vector).map(|(a, b)| a * b).sum()).collect()
}

/// The inverse of a symmetric matrix whose eigenvalues are raised to `floor` where they are less: by Jacobi's
/// rotations, which take the same steps at all who have the same bits.
fn inverse(mut a: Vec<f64>, order: usize, floor: f64) -> Vec<f64> {
    const SWEEPS: usize = 30;
    let mut vectors = vec![0.0; order * order];
    (0..order).for_each(|i| vectors[i * order + i] = 1.0);
    let total: f64 = a.iter().map(|x| x * x).sum();
    for _ in 0..SWEEPS {
        let mut off = 0.0;
        for p in 0..order {
            for q in p + 1..order {
                let apq = a[p * order + q];
                off += apq * apq;
                if apq == 0.0 {
                    continue;
                }
                let theta = (a[q * order + q] - a[p * order + p]) / (2.0 * apq);
                let t = 1.0_f64.copysign(theta) / (theta.abs() + libm::sqrt(theta * theta + 1.0));
                let c = 1.0 / libm::sqrt(t * t + 1.0);
                let s = t * c;
                for k in 0..order {
                    let (x, y) = (a[k * order + p], a[k * order + q]);
                    (a[k * order + p], a[k * order + q]) = (c * x - s * y, s * x + c * y);
                }
                for k in 0..order {
                    let (x, y) = (a[p * order + k], a[q * order + k]);
                    (a[p * order + k], a[q * order + k]) = (c * x - s * y, s * x + c * y);
                }
                for k in 0..order {
                    let (x, y) = (vectors[k * order + p], vectors[k * order + q]);
                    (vectors[k * order + p], vectors[k * order + q]) =
                        (c * x - s * y, s * x + c * y);
                }
            }
        }
        if off <= 1e-26 * total {
            break;
        }
    }
    let mut inverse = vec![0.0; order * order];
    for e in 0..order {
        let value = a[e * order + e].max(floor).max(f64::MIN_POSITIVE);
        for i in 0..order {
            let left = vectors[i * order + e] / value;
            for j in 0..order {
                inverse[i * order + j] += left * vectors[j * order + e];
            }
        }
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_is_inverted_and_raised() {
        // Eigenvalues 1, 3 and 5, along (1, -1, 0), (1, 1, 0) and (0, 0, 1).
        let matrix = vec![2.0, 1.0, 0.0, 1.0, 2.0, 0.0, 0.0, 0.0, 5.0];
        let exact = [2.0 / 3.0, -1.0 / 3.0, 0.0, -1.0 / 3.0, 2.0 / 3.0, 0.0, 0.0, 0.0, 0.2];
        let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(close(&inverse(matrix.clone(), 3, 0.5), &exact));
        // All of them are raised to 10.
        let tenth = [0.1, 0.0, 0.0, 0.0, 0.1, 0.0, 0.0, 0.0, 0.1];
        assert!(close(&inverse(matrix, 3, 10.0), &tenth));
        let order = 40;
        let entry = |i: usize, j: usize| ((i * 7 + j * 7 + i * j) % 13) as f64 / 13.0;
        let mut a: Vec<f64> = (0..order * order).map(|at| entry(at / order, at % order)).collect();
        (0..order).for_each(|i| a[i * order + i] += 40.0);
        let inverted = inverse(a.clone(), order, 0.0);
        for (i, row) in a.chunks_exact(order).enumerate() {
            let unit = product(&inverted, row);
            assert!(
                unit.iter()
                    .enumerate()
                    .all(|(j, x)| (x - f64::from(u8::from(i == j))).abs() < 1e-10)
            );
        }
    }
}
