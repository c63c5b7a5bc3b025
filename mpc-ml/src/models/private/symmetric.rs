//! Symmetric matrices that all parties know, by their eigenvalues.

/// A symmetric matrix as its eigenvalues and eigenvectors: by Jacobi's rotations, which take the same steps at all
/// who have the same bits.
#[derive(Clone, Debug)]
pub(super) struct Symmetric {
    values: Vec<f64>,
    /// A column each, row by row.
    vectors: Vec<f64>,
}

/// The rows of a symmetric matrix whose upper triangle, entries off the diagonal times sqrt 2, is this.
pub(super) fn from_triangle(triangle: &[f64], order: usize) -> Vec<f64> {
    let mut matrix = vec![0.0; order * order];
    let mut entries = triangle.iter();
    for i in 0..order {
        for j in i..order {
            let entry = entries.next().copied().unwrap_or_default();
            let entry = if i == j { entry } else { entry / std::f64::consts::SQRT_2 };
            (matrix[i * order + j], matrix[j * order + i]) = (entry, entry);
        }
    }
    matrix
}

/// A matrix, row by row, times a vector.
pub(super) fn product(matrix: &[f64], vector: &[f64]) -> Vec<f64> {
    let rows = matrix.chunks_exact(vector.len());
    rows.map(|row| row.iter().zip(vector).map(|(a, b)| a * b).sum()).collect()
}

impl Symmetric {
    /// Of a matrix, row by row.
    pub(super) fn of(mut a: Vec<f64>, order: usize) -> Self {
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
                    let t =
                        1.0_f64.copysign(theta) / (theta.abs() + libm::sqrt(theta * theta + 1.0));
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
        let values = (0..order).map(|e| a[e * order + e]).collect();
        Self { values, vectors }
    }

    /// The least eigenvalue.
    pub(super) fn least(&self) -> f64 {
        self.values.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// The same matrix less `by` in every direction.
    pub(super) fn less(mut self, by: f64) -> Self {
        self.values.iter_mut().for_each(|value| *value -= by);
        self
    }

    /// The inverse of the matrix whose eigenvalues are raised to `floor` where they are less, row by row.
    pub(super) fn inverse(&self, floor: f64) -> Vec<f64> {
        let (order, vectors) = (self.values.len(), &self.vectors);
        let mut inverse = vec![0.0; order * order];
        for (e, value) in self.values.iter().enumerate() {
            let value = value.max(floor).max(f64::MIN_POSITIVE);
            for i in 0..order {
                let left = vectors[i * order + e] / value;
                for j in 0..order {
                    inverse[i * order + j] += left * vectors[j * order + e];
                }
            }
        }
        inverse
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inverse(matrix: &[f64], order: usize, floor: f64) -> Vec<f64> {
        Symmetric::of(matrix.to_vec(), order).inverse(floor)
    }

    #[test]
    fn a_matrix_is_inverted_and_raised() {
        // Eigenvalues 1, 3 and 5, along (1, -1, 0), (1, 1, 0) and (0, 0, 1).
        let matrix = vec![2.0, 1.0, 0.0, 1.0, 2.0, 0.0, 0.0, 0.0, 5.0];
        let exact = [2.0 / 3.0, -1.0 / 3.0, 0.0, -1.0 / 3.0, 2.0 / 3.0, 0.0, 0.0, 0.0, 0.2];
        let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(close(&inverse(&matrix, 3, 0.5), &exact));
        assert!((Symmetric::of(matrix.clone(), 3).least() - 1.0).abs() < 1e-12);
        let root = std::f64::consts::SQRT_2;
        assert_eq!(from_triangle(&[2.0, root, 0.0, 2.0, 0.0, 5.0], 3), matrix);
        // All of them are raised to 10.
        let tenth = [0.1, 0.0, 0.0, 0.0, 0.1, 0.0, 0.0, 0.0, 0.1];
        assert!(close(&inverse(&matrix, 3, 10.0), &tenth));
        let order = 40;
        let entry = |i: usize, j: usize| ((i * 7 + j * 7 + i * j) % 13) as f64 / 13.0;
        let mut a: Vec<f64> = (0..order * order).map(|at| entry(at / order, at % order)).collect();
        (0..order).for_each(|i| a[i * order + i] += 40.0);
        let inverted = inverse(&a, order, 0.0);
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
