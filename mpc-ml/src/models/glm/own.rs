//! What an owner computes over its own rows in the clear: sums that are additive shares of joint ones
//! by nature, and the fit of its own rows from which the joint one starts (docs/protocols.md 8.1).

use std::fmt;

use zeroize::Zeroizing;

use super::cholesky;
use super::family::Family;
use crate::inference::{Robust, Scatter};
use crate::sums::{Triangle, Vector};

/// Steps of an owner's own fit: always as many, so that the time before an owner's first message does
/// not depend on its data.
const OWN_STEPS: usize = 12;
/// The lengths that are tried of each step of an own fit.
const TRIED: [f64; 4] = [1.0, 0.5, 0.125, 1.0 / 64.0];

/// A party's own rows. Wiped on drop, never printed.
pub(super) struct Own {
    pub(super) family: Family,
    /// Entries, row by row.
    x: Zeroizing<Vec<f64>>,
    columns: usize,
    intercept: bool,
    y: Zeroizing<Vec<f64>>,
    /// Empty where the study has none.
    offsets: Zeroizing<Vec<f64>>,
    /// Case weights; empty where the study has none.
    weights: Zeroizing<Vec<f64>>,
    /// The group of each row; empty where the study has none.
    groups: Zeroizing<Vec<u64>>,
}

impl Own {
    pub(super) fn new(
        family: Family,
        (x, columns, intercept): (Zeroizing<Vec<f64>>, usize, bool),
        y: Zeroizing<Vec<f64>>,
        offsets: Zeroizing<Vec<f64>>,
        weights: Zeroizing<Vec<f64>>,
    ) -> Self {
        Self { family, x, columns, intercept, y, offsets, weights, groups: Zeroizing::default() }
    }

    pub(super) fn with_groups(mut self, groups: Zeroizing<Vec<u64>>) -> Self {
        self.groups = groups;
        self
    }

    pub(super) fn rows(&self) -> usize {
        self.y.len()
    }

    /// The number of coefficients.
    pub(super) fn order(&self) -> usize {
        self.columns + usize::from(self.intercept)
    }

    pub(super) fn row(&self, row: usize) -> &[f64] {
        &self.x[row * self.columns..(row + 1) * self.columns]
    }

    /// The entries of a row, the one of the intercept included.
    pub(super) fn entries(&self, row: usize) -> impl Iterator<Item = f64> + '_ {
        self.row(row).iter().copied().chain(self.intercept.then_some(1.0))
    }

    pub(super) fn target(&self, row: usize) -> f64 {
        self.y[row]
    }

    pub(super) fn offset(&self, row: usize) -> f64 {
        self.offsets.get(row).copied().unwrap_or(0.0)
    }

    pub(super) fn weight(&self, row: usize) -> f64 {
        self.weights.get(row).copied().unwrap_or(1.0)
    }

    /// The score of a row, its offset included.
    pub(super) fn score(&self, row: usize, w: &[f64]) -> f64 {
        let x: f64 = self.row(row).iter().zip(w).map(|(x, w)| x * w).sum();
        x + self.offset(row) + if self.intercept { w[self.columns] } else { 0.0 }
    }

    /// The scores of all rows.
    pub(super) fn scores(&self, w: &[f64]) -> Zeroizing<Vec<f64>> {
        Zeroizing::new((0..self.rows()).map(|row| self.score(row, w)).collect())
    }

    /// A number for each row, times its case weight.
    fn each(&self, of: impl Fn(usize) -> f64) -> Zeroizing<Vec<f64>> {
        Zeroizing::new((0..self.rows()).map(|row| self.weight(row) * of(row)).collect())
    }

    /// The sum over the rows, each times its case weight.
    pub(super) fn sum(&self, of: impl Fn(usize) -> f64) -> f64 {
        let mut total = Vector::new(1);
        (0..self.rows()).for_each(|row| total.add(&[self.weight(row) * of(row)]));
        total.values()[0]
    }

    /// y less the mean at these scores, by case weight.
    pub(super) fn residuals(&self, scores: &[f64]) -> Zeroizing<Vec<f64>> {
        self.each(|row| self.y[row] - self.family.mean(scores[row]))
    }

    /// The slope of the mean at these scores, by case weight: what a row weighs in the curvature.
    pub(super) fn slopes(&self, scores: &[f64]) -> Zeroizing<Vec<f64>> {
        self.each(|row| self.family.variance(self.family.mean(scores[row])))
    }

    /// X^T v for one number a row.
    pub(super) fn transposed(&self, v: &[f64]) -> Zeroizing<Vec<f64>> {
        let mut sums = Vector::new(self.order());
        let mut row = Zeroizing::new(vec![0.0; self.order()]);
        for (at, &v) in v.iter().enumerate() {
            for (entry, x) in row.iter_mut().zip(self.entries(at)) {
                *entry = v * x;
            }
            sums.add(&row);
        }
        sums.values()
    }

    /// X^T diag(v) X for weights that are not negative: the upper triangle.
    pub(super) fn curvature(&self, v: &[f64]) -> Triangle {
        let mut sums = Triangle::new(self.order());
        let mut row = Zeroizing::new(vec![0.0; self.order()]);
        for (at, &v) in v.iter().enumerate() {
            for (entry, x) in row.iter_mut().zip(self.entries(at)) {
                *entry = x;
            }
            sums.add(v, &row);
        }
        sums.fold();
        sums
    }

    /// The gradient of the joint log-likelihood over the own rows.
    pub(super) fn gradient(&self, w: &[f64]) -> Zeroizing<Vec<f64>> {
        self.transposed(&self.residuals(&self.scores(w)))
    }

    /// What each row weighs in the curvature at w, and at most 2^`rise` of `before`; and how many rows
    /// were cut to that.
    pub(super) fn slopes_at(
        &self,
        w: &[f64],
        before: Option<(&[f64], u32)>,
    ) -> (Zeroizing<Vec<f64>>, u64) {
        let mut slopes = self.slopes(&self.scores(w));
        let Some((before, rise)) = before else { return (slopes, 0) };
        let mut cut = 0;
        for (slope, before) in slopes.iter_mut().zip(before) {
            let most = libm::ldexp(*before, rise as i32);
            if *slope > most {
                *slope = most;
                cut += 1;
            }
        }
        (slopes, cut)
    }

    /// The scatter of the rows' parts of the gradient at w, and the number of groups; a case weight
    /// counts copies of a row.
    pub(super) fn scatter(&self, w: &[f64], kind: Robust) -> (Triangle, u64) {
        let scores = self.scores(w);
        let mut scatter = Scatter::new(self.order(), kind);
        let mut entries = Zeroizing::new(vec![0.0; self.order()]);
        for row in 0..self.rows() {
            entries.iter_mut().zip(self.entries(row)).for_each(|(entry, x)| *entry = x);
            let residual = self.y[row] - self.family.mean(scores[row]);
            scatter.add(residual, self.weight(row), &entries, self.groups.get(row));
        }
        scatter.finish()
    }

    /// The sum of the losses of the own rows.
    fn loss(&self, w: &[f64]) -> f64 {
        (0..self.rows())
            .map(|row| self.weight(row) * self.family.loss(self.y[row], self.score(row, w)))
            .sum()
    }

    /// The own rows' fit, drawn towards no effect and `centre`, by a penalty of `ridge` on each
    /// coefficient and 1 on the intercept's distance from the centre. Always the same number of
    /// steps; where none of them helps it is no effect at all.
    pub(super) fn fit(&self, centre: f64, ridge: f64) -> Zeroizing<Vec<f64>> {
        let order = self.order();
        let mut start = Zeroizing::new(vec![0.0; order]);
        if self.intercept {
            start[self.columns] = centre;
        }
        let pull = |j: usize| if j < self.columns { ridge } else { 1.0 };
        let away = |w: &[f64], j: usize| w[j] - start[j];
        let objective = |w: &[f64]| {
            let pulls: f64 = (0..order).map(|j| pull(j) * away(w, j) * away(w, j)).sum();
            self.loss(w) + pulls / 2.0
        };
        let mut w = start.clone();
        let mut least = objective(&w);
        for _ in 0..OWN_STEPS {
            let scores = self.scores(&w);
            let mut gradient = self.transposed(&self.residuals(&scores));
            let mut curvature = self.curvature(&self.slopes(&scores)).square();
            for j in 0..order {
                gradient[j] -= pull(j) * away(&w, j);
                curvature[j * order + j] += pull(j);
            }
            let step = cholesky::solve(&curvature, &gradient);
            let tried = TRIED.map(|length| {
                let w: Vec<f64> = w.iter().zip(step.iter()).map(|(w, s)| w + length * s).collect();
                (objective(&w), Zeroizing::new(w))
            });
            for (value, tried) in tried {
                // Also false for what is not a number.
                if value < least {
                    (least, w) = (value, tried);
                }
            }
        }
        w
    }
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Own({} x {})", self.rows(), self.columns)
    }
}
