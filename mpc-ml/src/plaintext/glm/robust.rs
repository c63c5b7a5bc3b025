//! Covariances that hold when the model's variance does not, and Wald tests.

use super::factor::{Factor, product};
use super::{Data, Fit};

/// A sandwich covariance H^-1 M H^-1: whose products M sums, and with which factor.
#[derive(Clone, Copy, Debug)]
pub enum Robust<'a> {
    /// M sums the outer products of the rows' scores (White).
    Hc0,
    /// [`Hc0`](Self::Hc0) times n / (n - d).
    Hc1,
    /// M sums the outer products of the clusters' scores; the number of each row's cluster.
    Cluster0(&'a [usize]),
    /// [`Cluster0`](Self::Cluster0) times G / (G - 1) (n - 1) / (n - d), for G clusters.
    Cluster1(&'a [usize]),
}

impl Fit {
    /// The covariance of the coefficients under `kind`, `d` x `d`, row by row. A case weight counts
    /// copies of a row, each with a score of its own and in the same cluster. With a penalty H is
    /// the information with it. What R's `sandwich` and statsmodels' `cov_type` give.
    ///
    /// # Panics
    /// When the rows are not those of the fit, or there is not one cluster for each row.
    #[must_use]
    pub fn robust(&self, data: &Data<'_>, kind: Robust<'_>) -> Vec<f64> {
        let d = data.order();
        assert_eq!(self.fitted.len(), data.target.len(), "the rows are those of the fit");
        let mut meat = vec![0.0; d * d];
        let mut add = |score: &[f64], weight: f64| {
            for i in 0..d {
                for j in 0..d {
                    meat[i * d + j] += weight * score[i] * score[j];
                }
            }
        };
        let residual = |row: usize| data.target[row] - self.fitted[row];
        let n = data.cases();
        let free = n / (n - d as f64);
        let factor = match kind {
            Robust::Hc0 | Robust::Hc1 => {
                for row in 0..data.target.len() {
                    let score: Vec<f64> = data.row(row).map(|x| x * residual(row)).collect();
                    add(&score, data.weight(row));
                }
                if matches!(kind, Robust::Hc0) { 1.0 } else { free }
            }
            Robust::Cluster0(ids) | Robust::Cluster1(ids) => {
                assert_eq!(ids.len(), data.target.len(), "there is one cluster for each row");
                let mut scores = std::collections::BTreeMap::<usize, Vec<f64>>::new();
                for (row, &id) in ids.iter().enumerate().filter(|&(row, _)| data.weight(row) > 0.0)
                {
                    let sum = scores.entry(id).or_insert_with(|| vec![0.0; d]);
                    let each = data.weight(row) * residual(row);
                    sum.iter_mut().zip(data.row(row)).for_each(|(sum, x)| *sum += x * each);
                }
                let clusters = scores.len() as f64;
                scores.values().for_each(|score| add(score, 1.0));
                match kind {
                    Robust::Cluster1(_) => clusters / (clusters - 1.0) * (n - 1.0) / n * free,
                    _ => 1.0,
                }
            }
        };
        let half = product(&self.covariance, &meat, d, d, d);
        let mut covariance = product(&half, &self.covariance, d, d, d);
        covariance.iter_mut().for_each(|v| *v *= factor);
        covariance
    }

    /// The Wald statistic of the hypothesis that the coefficients of `set` are all zero, under
    /// `covariance` (the fit's own or a robust one). Chi squared of as many degrees of freedom as
    /// `set` is long. `None` when their covariance is singular.
    #[must_use]
    pub fn wald(&self, covariance: &[f64], set: &[usize]) -> Option<f64> {
        let d = self.coefficients.len();
        let contrasts: Vec<f64> =
            set.iter().flat_map(|&at| (0..d).map(move |j| f64::from(u8::from(j == at)))).collect();
        self.wald_of_contrasts(covariance, &contrasts, &vec![0.0; set.len()])
    }

    /// The Wald statistic of the hypothesis that L w = `values`, for the rows of `contrasts`, `d`
    /// entries each. Chi squared of as many degrees of freedom as there are rows. `None` when their
    /// covariance is singular.
    ///
    /// # Panics
    /// When there is not one value for each row of `contrasts`.
    #[must_use]
    pub fn wald_of_contrasts(
        &self,
        covariance: &[f64],
        contrasts: &[f64],
        values: &[f64],
    ) -> Option<f64> {
        let (d, m) = (self.coefficients.len(), values.len());
        assert_eq!(contrasts.len(), m * d, "there is one value for each contrast");
        let mut distance = product(contrasts, &self.coefficients, m, d, 1);
        distance.iter_mut().zip(values).for_each(|(estimate, value)| *estimate -= value);
        let half = product(contrasts, covariance, m, d, d);
        let mut transposed = vec![0.0; d * m];
        for i in 0..m {
            for j in 0..d {
                transposed[j * m + i] = contrasts[i * d + j];
            }
        }
        let variance = product(&half, &transposed, m, d, m);
        let solved = Factor::new(&variance, m, 1e-13)?.solve(&distance);
        Some(distance.iter().zip(&solved).map(|(a, b)| a * b).sum())
    }
}
