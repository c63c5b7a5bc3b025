//! What a row contributes to a sum, as integers of a bounded length (docs/protocols.md 16.3).

use std::fmt;

use zeroize::Zeroizing;

use super::recipe::{Part, Recipe, UNIT, What};
use super::rule::Rule;
use crate::artifact::ModelKind;
use crate::data::Dataset;

/// sqrt(2): entries off the diagonal stand for two of the matrix.
const ROOT_TWO: f64 = std::f64::consts::SQRT_2;

/// A party's own rows, shortened, with their intercept: **private data**.
pub(super) struct Contributor<'a> {
    recipe: &'a Recipe,
    /// Rows of `order` entries, the last of which is 1.
    rows: Zeroizing<Vec<f64>>,
    targets: Zeroizing<Vec<f64>>,
}

/// Sums over rows, which no bound but the number of rows has.
pub(super) type Sums = Zeroizing<Vec<i128>>;

impl<'a> Contributor<'a> {
    pub(super) fn new(recipe: &'a Recipe, data: &Dataset) -> Self {
        let mut rows = Zeroizing::new(Vec::with_capacity(data.len() * recipe.order));
        for row in 0..data.len() {
            let entries = data.rows().row(row).iter().map(|x| x.clamp(-1.0, 1.0));
            let squares: f64 = entries.clone().map(|x| x * x).sum();
            let short = (recipe.longest / libm::sqrt(squares)).min(1.0);
            rows.extend(entries.map(|x| x * short));
            rows.push(1.0);
        }
        let half = recipe.half;
        let target = |y: &f64| match recipe.kind {
            ModelKind::Linear | ModelKind::Multinomial => {
                ((y - recipe.centre) / half).clamp(-1.0, 1.0)
            }
            _ => y.clamp(0.0, half),
        };
        let targets = Zeroizing::new(data.target().iter().map(target).collect());
        Self { recipe, rows, targets }
    }

    /// What is due: a sum of one part or several.
    pub(super) fn sums(&self, rule: &Rule<'_>, parts: &[Part]) -> Sums {
        let mut sums = Accumulator::new(parts);
        match rule.what() {
            What::Moments => self.moments(&mut sums),
            due => self.at(rule, due, &mut sums),
        }
        sums.finish()
    }

    /// The upper triangle of the products of columns, and columns times the target.
    fn moments(&self, sums: &mut Accumulator<'_>) {
        for (row, y) in self.each() {
            products(row, 1.0, &mut sums.row[0]);
            let u = match self.recipe.kind {
                ModelKind::Logistic => y - 0.5,
                _ => y,
            };
            sums.row[1].extend(row.iter().map(|x| x * u));
            sums.add();
        }
    }

    /// What follows from the residuals at the model so far.
    fn at(&self, rule: &Rule<'_>, due: What, sums: &mut Accumulator<'_>) {
        let (bound, scale, w) = (self.recipe.residual, rule.scale(), rule.w());
        // A rate beyond the largest count would only be cut as a residual; small ones are as small as they are.
        let most = libm::log(self.recipe.half.max(1.0));
        for (row, y) in self.each() {
            let score: f64 = row.iter().zip(w).map(|(x, w)| x * w).sum();
            let fitted = match self.recipe.kind {
                ModelKind::Logistic => 1.0 / (1.0 + libm::exp(-score)),
                ModelKind::Poisson => libm::exp(score.min(most)),
                ModelKind::Linear | ModelKind::Multinomial => score,
            };
            let residual = ((fitted - y) / scale).clamp(-bound, bound);
            if due == What::Spread {
                sums.row[0].push(residual * residual);
            } else {
                if due == What::Curvature {
                    let weight = match self.recipe.kind {
                        ModelKind::Logistic => fitted * (1.0 - fitted),
                        _ => 1.0,
                    };
                    products(row, weight, &mut sums.row[0]);
                }
                let last = sums.row.len() - 1;
                sums.row[last].extend(row.iter().map(|x| x * residual));
            }
            sums.add();
        }
    }

    fn each(&self) -> impl Iterator<Item = (&[f64], f64)> {
        self.rows.chunks_exact(self.recipe.order).zip(self.targets.iter().copied())
    }
}

/// Adds the upper triangle of a row's products.
fn products(row: &[f64], weight: f64, part: &mut Vec<f64>) {
    for (i, x) in row.iter().enumerate() {
        part.push(weight * (x * x));
        part.extend(row[i + 1..].iter().map(|other| weight * (ROOT_TWO * x * other)));
    }
}

impl fmt::Debug for Contributor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Contributor({} rows)", self.targets.len())
    }
}

/// Adds up the contributions of rows, part by part, none longer than it may be.
struct Accumulator<'a> {
    parts: &'a [Part],
    /// The row that is being added.
    row: Vec<Zeroizing<Vec<f64>>>,
    integers: Zeroizing<Vec<i64>>,
    sums: Sums,
}

impl<'a> Accumulator<'a> {
    fn new(parts: &'a [Part]) -> Self {
        let row = parts.iter().map(|part| Zeroizing::new(Vec::with_capacity(part.values)));
        let values = parts.iter().map(|part| part.values).sum();
        let (integers, sums) = (Zeroizing::default(), Zeroizing::new(vec![0; values]));
        Self { parts, row: row.collect(), integers, sums }
    }

    /// Adds the row and takes it away.
    fn add(&mut self) {
        let mut at = 0;
        for (part, row) in self.parts.iter().zip(&mut self.row) {
            self.integers.clear();
            // Towards zero; what is no number is 0.
            self.integers.extend(row.iter().map(|x| (x * UNIT) as i64));
            row.clear();
            if is_within(&self.integers, part.bound) {
                let sums = self.sums[at..at + part.values].iter_mut();
                sums.zip(&*self.integers).for_each(|(sum, q)| *sum += i128::from(*q));
            }
            at += part.values;
        }
    }

    fn finish(self) -> Sums {
        self.sums
    }
}

/// Whether a contribution is no longer than `bound`: the condition on which the guarantee rests.
fn is_within(integers: &[i64], bound: u64) -> bool {
    let square = |q: &i64| u128::from(q.unsigned_abs()).pow(2);
    // Each is below 2^126, and few: at the first that is too large by itself the sum ends.
    let most = u128::from(bound).pow(2);
    let mut sum = 0_u128;
    for q in integers {
        sum = sum.saturating_add(square(q));
    }
    sum <= most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_within_its_bound_or_left_out() {
        assert!(is_within(&[3, -4], 5) && !is_within(&[3, -4, 1], 5));
        assert!(!is_within(&[i64::MIN, i64::MAX, i64::MIN, i64::MIN, i64::MIN], 1 << 62));
        let noise = mpc_core::noise::DiscreteGaussian::at_least(1).expect("in range");
        let parts =
            [Part { values: 2, bound: 5 << 20, noise }, Part { values: 1, bound: 1, noise }];
        let mut sums = Accumulator::new(&parts);
        for (first, second) in
            [([3.0, 4.0], 0.0), ([3.0, 4.1], 2e-6), ([f64::NAN, -1.0], f64::INFINITY)]
        {
            sums.row[0].extend(first);
            sums.row[1].push(second);
            sums.add();
        }
        // The second row is too long in both parts, the third in the second.
        assert_eq!(sums.finish().to_vec(), [3 << 20, (4 << 20) - (1 << 20), 0]);
    }
}
