//! Small systems of one owner in the clear.

use zeroize::Zeroizing;

/// The solution of A x = b for a symmetric positive definite A, row by row; where a pivot is not
/// positive its coordinate is 0. The number of operations depends on the order alone.
pub(super) fn solve(a: &[f64], b: &[f64]) -> Zeroizing<Vec<f64>> {
    let factor = factor(a, b.len());
    substitute(&factor, b)
}

/// The inverse of a symmetric positive definite matrix, row by row.
pub(super) fn inverse(a: &[f64], order: usize) -> Zeroizing<Vec<f64>> {
    let factor = factor(a, order);
    let mut inverse = Zeroizing::new(vec![0.0; order * order]);
    let mut unit = vec![0.0; order];
    for j in 0..order {
        unit[j] = 1.0;
        let column = substitute(&factor, &unit);
        unit[j] = 0.0;
        for i in 0..order {
            inverse[i * order + j] = column[i];
        }
    }
    inverse
}

/// L with A = L L^T, row by row.
fn factor(a: &[f64], order: usize) -> Zeroizing<Vec<f64>> {
    let mut l = Zeroizing::new(a.to_vec());
    for i in 0..order {
        for j in 0..=i {
            let (before, row) = l.split_at(i * order);
            let other = if i == j { row } else { &before[j * order..] };
            let sum: f64 = row[..j].iter().zip(&other[..j]).map(|(x, y)| x * y).sum();
            let rest = row[j] - sum;
            l[i * order + j] = if i == j {
                if rest > 0.0 { libm::sqrt(rest) } else { f64::INFINITY }
            } else {
                rest / l[j * order + j]
            };
        }
    }
    l
}

fn substitute(l: &[f64], b: &[f64]) -> Zeroizing<Vec<f64>> {
    let order = b.len();
    let mut x = Zeroizing::new(b.to_vec());
    for i in 0..order {
        let row = &l[i * order..];
        let sum: f64 = row[..i].iter().zip(x.iter()).map(|(l, x)| l * x).sum();
        x[i] = (x[i] - sum) / row[i];
    }
    for i in (0..order).rev() {
        let sum: f64 = (i + 1..order).map(|k| l[k * order + i] * x[k]).sum();
        x[i] = (x[i] - sum) / l[i * order + i];
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solutions_solve() {
        let a = [4.0, 2.0, 1.0, 2.0, 3.0, 0.5, 1.0, 0.5, 2.0];
        let x = solve(&a, &[1.0, -2.0, 3.0]);
        let inverse = inverse(&a, 3);
        for i in 0..3 {
            let product: f64 = (0..3).map(|j| a[i * 3 + j] * x[j]).sum();
            assert!((product - [1.0, -2.0, 3.0][i]).abs() < 1e-12);
            for j in 0..3 {
                let entry: f64 = (0..3).map(|k| a[i * 3 + k] * inverse[k * 3 + j]).sum();
                assert!((entry - f64::from(u8::from(i == j))).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn a_direction_without_curvature_is_left_alone() {
        let x = solve(&[1.0, 1.0, 1.0, 1.0], &[2.0, 2.0]);
        assert!(x.iter().all(|x| x.is_finite()), "{x:?}");
    }
}
