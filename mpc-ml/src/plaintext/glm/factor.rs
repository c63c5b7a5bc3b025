//! Small symmetric matrices in float64, row by row: factors, inverses, and which columns determine
//! each other.

/// What is left of a column, relative to its own square, below which it counts as a combination
/// of others. Gram matrices in float64 resolve some 1e-15 times the number of columns.
const DEPENDENT: f64 = 1e-12;

/// The lower factor of a symmetric positive definite matrix.
pub(in crate::plaintext) struct Factor {
    lower: Vec<f64>,
    order: usize,
}

impl Factor {
    /// Of `a`, row by row, of which the lower triangle is read. `None` when a column is left with
    /// less than `least` of its own square once those before it are taken out.
    pub(in crate::plaintext) fn new(a: &[f64], order: usize, least: f64) -> Option<Self> {
        let mut lower = vec![0.0; order * order];
        for i in 0..order {
            for j in 0..=i {
                let dot: f64 = (0..j).map(|k| lower[i * order + k] * lower[j * order + k]).sum();
                let rest = a[i * order + j] - dot;
                if i == j {
                    // The negation refuses what is not a number, too.
                    if !(rest > least * a[i * order + i].abs() && rest > 0.0) {
                        return None;
                    }
                    lower[i * order + i] = libm::sqrt(rest);
                } else {
                    lower[i * order + j] = rest / lower[j * order + j];
                }
            }
        }
        Some(Self { lower, order })
    }

    /// x with A x = b.
    pub(in crate::plaintext) fn solve(&self, b: &[f64]) -> Vec<f64> {
        let n = self.order;
        let mut x = b.to_vec();
        for i in 0..n {
            let dot: f64 = (0..i).map(|k| self.lower[i * n + k] * x[k]).sum();
            x[i] = (x[i] - dot) / self.lower[i * n + i];
        }
        for i in (0..n).rev() {
            let dot: f64 = (i + 1..n).map(|k| self.lower[k * n + i] * x[k]).sum();
            x[i] = (x[i] - dot) / self.lower[i * n + i];
        }
        x
    }

    /// The inverse, exactly symmetric.
    pub(super) fn inverse(&self) -> Vec<f64> {
        let n = self.order;
        let mut inverse = vec![0.0; n * n];
        let mut unit = vec![0.0; n];
        for j in 0..n {
            unit[j] = 1.0;
            for (i, value) in self.solve(&unit).into_iter().enumerate().skip(j) {
                inverse[i * n + j] = value;
                inverse[j * n + i] = value;
            }
            unit[j] = 0.0;
        }
        inverse
    }
}

/// The groups of columns of a Gram matrix that determine each other, each in ascending order; none
/// when all are independent. By a Cholesky factor with pivoting: what is left over at its end is a
/// combination of the columns taken before, and the group is the columns with a part in it.
pub(in crate::plaintext) fn dependent(gram: &[f64], order: usize) -> Vec<Vec<usize>> {
    let n = order;
    let scale: Vec<f64> = (0..n).map(|j| libm::sqrt(gram[j * n + j].max(0.0))).collect();
    // A column of zeros depends on nothing: it is a group of its own.
    let zero = |j: usize| scale[j] == 0.0;
    let mut groups: Vec<Vec<usize>> = (0..n).filter(|&j| zero(j)).map(|j| vec![j]).collect();
    let mut left: Vec<usize> = (0..n).filter(|&j| !zero(j)).collect();
    let mut taken: Vec<usize> = Vec::new();
    // Row j of the factor, one entry for each column taken, of the matrix with unit diagonal.
    let mut rows = vec![Vec::new(); n];
    let mut rest = vec![1.0f64; n];
    let unit = |i: usize, j: usize| gram[i * n + j] / (scale[i] * scale[j]);
    while let Some(at) = (0..left.len()).max_by(|&a, &b| rest[left[a]].total_cmp(&rest[left[b]])) {
        let pivot = left[at];
        if rest[pivot] <= DEPENDENT * n as f64 {
            break;
        }
        left.swap_remove(at);
        let root = libm::sqrt(rest[pivot]);
        let pivot_row: Vec<f64> = rows[pivot].clone();
        for &j in &left {
            let dot: f64 = pivot_row.iter().zip(&rows[j]).map(|(a, b): (&f64, &f64)| a * b).sum();
            let entry = (unit(pivot, j) - dot) / root;
            rows[j].push(entry);
            rest[j] -= entry * entry;
        }
        rows[pivot].push(root);
        taken.push(pivot);
    }
    for j in left {
        // The combination c of the columns taken: L^T c = row j.
        let mut c = rows[j].clone();
        for i in (0..taken.len()).rev() {
            let dot: f64 = (i + 1..taken.len()).map(|k| rows[taken[k]][i] * c[k]).sum();
            c[i] = (c[i] - dot) / rows[taken[i]][i];
        }
        let largest = c.iter().fold(0.0f64, |most, c| most.max(c.abs()));
        let part = |c: f64| c.abs() > 1e-4 * largest;
        let mut group: Vec<usize> =
            taken.iter().zip(&c).filter(|&(_, &c)| part(c)).map(|(&i, _)| i).collect();
        group.push(j);
        group.sort_unstable();
        groups.push(group);
    }
    groups.sort();
    groups
}

/// A product of an `m` x `k` and a `k` x `n` matrix.
pub(super) fn product(a: &[f64], b: &[f64], m: usize, k: usize, n: usize) -> Vec<f64> {
    let mut out = vec![0.0; m * n];
    for i in 0..m {
        for l in 0..k {
            for j in 0..n {
                out[i * n + j] += a[i * k + l] * b[l * n + j];
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gram(rows: &[[f64; 4]]) -> Vec<f64> {
        let mut gram = vec![0.0; 16];
        for row in rows {
            for i in 0..4 {
                for j in 0..4 {
                    gram[i * 4 + j] += row[i] * row[j];
                }
            }
        }
        gram
    }

    #[test]
    fn an_inverse_times_its_matrix_is_one() {
        let a = gram(&[
            [2.0, 1.0, 0.0, 3.0],
            [0.0, 5.0, 1.0, 1.0],
            [1.0, 0.0, 7.0, 2.0],
            [4.0, 1.0, 1.0, 1.0],
        ]);
        let one = product(&Factor::new(&a, 4, 0.0).unwrap().inverse(), &a, 4, 4, 4);
        for (at, value) in one.iter().enumerate() {
            let expected = f64::from(u8::from(at % 5 == 0));
            assert!((value - expected).abs() < 1e-12, "{one:?}");
        }
    }

    #[test]
    fn columns_that_determine_each_other_are_named() {
        // Column 2 is column 0 less twice the last; column 1 stands apart.
        let row = |a: f64, b: f64, d: f64| [a, b, a - 2.0 * d, d];
        let dependent_rows = [row(1.0, 0.3, 2.0), row(-0.4, 1.5, 1.0), row(0.2, -0.7, 0.3)];
        let mut rows = dependent_rows.to_vec();
        rows.push(row(2.5, 0.1, -1.7));
        assert_eq!(dependent(&gram(&rows), 4), [vec![0, 2, 3]]);
        rows[0][2] += 0.1;
        assert!(dependent(&gram(&rows), 4).is_empty());
        let zero: Vec<[f64; 4]> = rows.iter().map(|r| [r[0], r[1], r[2], 0.0]).collect();
        assert_eq!(dependent(&gram(&zero), 4), [vec![3]]);
        assert!(Factor::new(&gram(&dependent_rows), 4, 1e-13).is_none());
    }
}
