//! Square matrices in the clear, in double precision: what a party does with products of its own columns.

use std::ops::Range;

use zeroize::Zeroizing;

/// A square matrix, row by row. Wiped on drop, never printed.
pub(super) struct Square {
    pub(super) order: usize,
    values: Zeroizing<Vec<f64>>,
}

impl Square {
    pub(super) fn of(order: usize, entry: impl Fn(usize, usize) -> f64) -> Self {
        let entry = &entry;
        let all = (0..order).flat_map(|i| (0..order).map(move |j| entry(i, j)));
        Self { order, values: Zeroizing::new(all.collect()) }
    }

    pub(super) fn at(&self, i: usize, j: usize) -> f64 {
        self.values[i * self.order + j]
    }

    /// These entries of a row.
    pub(super) fn row(&self, i: usize, columns: Range<usize>) -> &[f64] {
        &self.values[i * self.order + columns.start..i * self.order + columns.end]
    }

    pub(super) fn transposed(&self) -> Self {
        Self::of(self.order, |i, j| self.at(j, i))
    }

    pub(super) fn scaled(&self, factor: f64) -> Self {
        Self::of(self.order, |i, j| factor * self.at(i, j))
    }

    pub(super) fn times(&self, other: &Self) -> Self {
        let n = self.order;
        let mut product = Self::of(n, |_, _| 0.0);
        for i in 0..n {
            for k in 0..n {
                let factor = self.at(i, k);
                if factor != 0.0 {
                    add(factor, other.row(k, 0..n), &mut product.values[i * n..(i + 1) * n]);
                }
            }
        }
        product
    }

    pub(super) fn times_column(&self, column: &[f64]) -> Zeroizing<Vec<f64>> {
        let row = |i| dot(self.row(i, 0..self.order), column);
        Zeroizing::new((0..self.order).map(row).collect())
    }

    /// The square of the length of a row.
    pub(super) fn square_of_row(&self, i: usize) -> f64 {
        let row = self.row(i, 0..self.order);
        dot(row, row)
    }

    /// The root of the sum of all squares.
    pub(super) fn frobenius(&self) -> f64 {
        libm::sqrt(dot(&self.values, &self.values))
    }

    /// L of G = L L^T for this symmetric G; or the first column that follows from those before it: of which
    /// no more than `least` is left.
    pub(super) fn factor(&self, least: f64) -> Result<Self, usize> {
        let n = self.order;
        let mut lower = Self::of(n, |_, _| 0.0);
        for i in 0..n {
            for j in 0..=i {
                let rest = self.at(i, j) - dot(lower.row(i, 0..j), lower.row(j, 0..j));
                lower.values[i * n + j] = if i > j {
                    rest / lower.at(j, j)
                } else if rest > least {
                    libm::sqrt(rest)
                } else {
                    return Err(i);
                };
            }
        }
        Ok(lower)
    }

    /// The inverse of this lower triangular matrix.
    pub(super) fn inverse_of_lower(&self) -> Self {
        let n = self.order;
        let mut inverse = Self::of(n, |_, _| 0.0);
        for i in 0..n {
            let (above, row) = inverse.values.split_at_mut(i * n);
            for k in 0..i {
                add(-self.at(i, k), &above[k * n..k * n + i], &mut row[..i]);
            }
            row[i] = 1.0;
            row[..=i].iter_mut().for_each(|v| *v /= self.at(i, i));
        }
        inverse
    }

    /// x with U x = b for this upper triangular U.
    pub(super) fn solve_upper(&self, right: &[f64]) -> Zeroizing<Vec<f64>> {
        let n = self.order;
        let mut x = Zeroizing::new(right.to_vec());
        for i in (0..n).rev() {
            let rest = x[i] - dot(self.row(i, i + 1..n), &x[i + 1..]);
            x[i] = rest / self.at(i, i);
        }
        x
    }
}

fn add(factor: f64, from: &[f64], to: &mut [f64]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += factor * from);
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Square {
        let at =
            |i: usize, j: usize| if i == j { 2.0 + i as f64 } else { 1.0 / (1 + i + j) as f64 };
        Square::of(7, at)
    }

    #[test]
    fn factors_multiply_to_the_matrix_and_inverses_to_one() {
        let g = example();
        let lower = g.factor(1e-3).unwrap_or_else(|at| panic!("column {at} follows from others"));
        let (back, inverse) = (lower.times(&lower.transposed()), lower.inverse_of_lower());
        let one = inverse.times(&lower);
        let x = lower.transposed().solve_upper(&[1.0; 7]);
        let again = lower.transposed().times_column(&x);
        for i in 0..7 {
            assert!((again[i] - 1.0).abs() < 1e-12);
            for j in 0..7 {
                assert!((back.at(i, j) - g.at(i, j)).abs() < 1e-12);
                assert!((one.at(i, j) - f64::from(u8::from(i == j))).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn the_first_column_that_follows_from_others_is_named() {
        // The fourth column is the sum of the first two.
        let g = example();
        let part = |k: usize| if k == 3 { vec![0, 1] } else { vec![k] };
        let at = |i: usize, j: usize| -> f64 {
            let pairs = part(i).into_iter().flat_map(|i| part(j).into_iter().map(move |j| (i, j)));
            pairs.map(|(i, j)| g.at(i, j)).sum()
        };
        assert_eq!(Square::of(7, at).factor(1e-9).err(), Some(3));
    }
}
