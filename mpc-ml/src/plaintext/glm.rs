//! Logistic and Poisson regression on pooled rows in float64, by Newton's method with step halving:
//! what R's `glm` computes, and the oracle that joint fits are compared with.

pub(super) mod factor;
mod robust;

#[cfg(test)]
mod tests;

use factor::Factor;
pub use robust::Robust;

pub use crate::models::glm::Family;

/// Newton steps before a fit is given up. Fits that exist take some ten; coefficients that grow
/// without end show within sixty.
const MOST_STEPS: usize = 100;
/// The squared length of a step, in standard errors, at which the fit is done: 1e-12 of one.
const DONE: f64 = 1e-24;
/// The same, below which a step that no longer becomes shorter is rounding alone.
const ROUNDING: f64 = 1e-14;
/// A score (x w) that still moves by more than this at the end of a fit moves for ever.
const STILL_MOVING: f64 = 1e-3;
/// A fitted probability this near to 0 or 1, or a rate this near to 0, is a row that is separated.
const EXTREME: f64 = 1e-8;
/// What is left of a column, relative to its own square, below which it counts as a combination of others.
const DEPENDENT: f64 = 1e-12;

/// x with A x = b for a symmetric positive definite A, row by row; none where A is not.
pub(crate) fn solve_symmetric(a: &[f64], b: &[f64]) -> Option<Vec<f64>> {
    Factor::new(a, b.len(), DEPENDENT).map(|factor| factor.solve(b))
}

/// Pooled rows and what to make of them.
#[derive(Clone, Copy)]
pub struct Data<'a> {
    /// The model.
    pub family: Family,
    /// The entries, row by row.
    pub x: &'a [f64],
    /// Entries of a row.
    pub columns: usize,
    /// Whether a column of ones follows the others.
    pub intercept: bool,
    /// The target of each row.
    pub target: &'a [f64],
    /// Added to each row's score; empty for none.
    pub offsets: &'a [f64],
    /// How many cases each row stands for, 0 for a row that does not count; empty for one each.
    pub weights: &'a [f64],
    /// The penalty: the objective is the sum of the losses plus n l2 / 2 |w|^2 without the
    /// intercept, n the number of cases.
    pub l2: f64,
}

/// A fit.
#[derive(Clone, Debug)]
pub struct Fit {
    /// The coefficients, the intercept last.
    pub coefficients: Vec<f64>,
    /// The inverse of the information (with the penalty's part), `d` x `d`, row by row.
    pub covariance: Vec<f64>,
    /// Roots of the diagonal of [`covariance`](Self::covariance).
    pub std_errors: Vec<f64>,
    /// The expected target of each row.
    pub fitted: Vec<f64>,
    /// The deviance: twice the log-likelihood that lacks to a perfect fit.
    pub deviance: f64,
    /// The deviance of the fit with the intercept alone, offsets and weights respected; without an
    /// intercept that of the offsets alone.
    pub null_deviance: f64,
    /// The log-likelihood, with all constants; the penalty is no part of it.
    pub log_likelihood: f64,
    /// Akaike's criterion: twice the number of coefficients less twice the log-likelihood.
    pub aic: f64,
    /// Pearson's statistic: the sum of (y - m)^2 / v(m). Over n - d it estimates the dispersion.
    pub pearson: f64,
    /// Rows with a fitted probability within 1e-8 of 0 or 1, or a rate below 1e-8.
    pub extreme: usize,
    /// Newton steps that were made.
    pub steps: usize,
}

/// Why there is no fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoFit {
    /// Columns that determine each other, in groups; the intercept has the number of columns.
    Dependent(Vec<Vec<usize>>),
    /// The optimum is at infinity: a combination of columns tells targets without error (classes
    /// are separated, or the counts of some rows are all zero).
    Separated {
        /// Rows with a fitted probability within 1e-8 of 0 or 1, or a rate below 1e-8.
        extreme: usize,
    },
    /// Newton's method came to no end: numbers too extreme for float64.
    NotConverged,
}

impl Fit {
    /// Whether rows are separated, or so nearly that standard errors tell little: R's warning that
    /// fitted probabilities of 0 or 1 occurred.
    #[must_use]
    pub fn separated(&self) -> bool {
        self.extreme > 0
    }
}

impl Data<'_> {
    /// The number of coefficients.
    #[must_use]
    pub fn order(&self) -> usize {
        self.columns + usize::from(self.intercept)
    }

    /// The number of cases n: of rows, or the sum of their weights.
    #[must_use]
    pub fn cases(&self) -> f64 {
        if self.weights.is_empty() { self.target.len() as f64 } else { self.weights.iter().sum() }
    }

    fn weight(&self, row: usize) -> f64 {
        self.weights.get(row).copied().unwrap_or(1.0)
    }

    fn offset(&self, row: usize) -> f64 {
        self.offsets.get(row).copied().unwrap_or(0.0)
    }

    /// The entries of a row, the one of the intercept last.
    fn row(&self, row: usize) -> impl Iterator<Item = f64> + '_ {
        let own = &self.x[row * self.columns..(row + 1) * self.columns];
        own.iter().copied().chain(self.intercept.then_some(1.0))
    }

    fn scores(&self, w: &[f64]) -> Vec<f64> {
        let score = |row| self.row(row).zip(w).map(|(x, w)| x * w).sum::<f64>();
        (0..self.target.len()).map(|row| score(row) + self.offset(row)).collect()
    }

    fn objective(&self, scores: &[f64], w: &[f64]) -> f64 {
        let losses: f64 = (0..scores.len())
            .filter(|&row| self.weight(row) > 0.0)
            .map(|row| self.weight(row) * self.family.loss(self.target[row], scores[row]))
            .sum();
        let squares: f64 = w[..self.columns].iter().map(|w| w * w).sum();
        losses + self.cases() * self.l2 / 2.0 * squares
    }

    /// The gradient, and the sum of x^T x weighted by the variances (lower triangle), both with the
    /// penalty's part.
    fn derivatives(&self, scores: &[f64], w: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let d = self.order();
        let (mut gradient, mut information) = (vec![0.0; d], vec![0.0; d * d]);
        let mut x = vec![0.0; d];
        for (row, &score) in scores.iter().enumerate().filter(|&(row, _)| self.weight(row) > 0.0) {
            x.iter_mut().zip(self.row(row)).for_each(|(x, entry)| *x = entry);
            let residual = self.weight(row) * residual(self.family, score, self.target[row]);
            let variance = self.weight(row) * moments(self.family, score).1;
            for i in 0..d {
                gradient[i] += residual * x[i];
                let scaled = variance * x[i];
                for j in 0..=i {
                    information[i * d + j] += scaled * x[j];
                }
            }
        }
        let penalty = self.cases() * self.l2;
        for j in 0..self.columns {
            gradient[j] += penalty * w[j];
            information[j * d + j] += penalty;
        }
        (gradient, information)
    }

    /// X^T X over the rows that count, with the penalty's part.
    fn gram(&self) -> Vec<f64> {
        let d = self.order();
        let mut gram = vec![0.0; d * d];
        for row in (0..self.target.len()).filter(|&row| self.weight(row) > 0.0) {
            let x: Vec<f64> = self.row(row).collect();
            for i in 0..d {
                for j in 0..d {
                    gram[i * d + j] += self.weight(row) * x[i] * x[j];
                }
            }
        }
        for j in 0..self.columns {
            gram[j * d + j] += self.cases() * self.l2;
        }
        gram
    }

    fn check(&self) {
        let rows = self.target.len();
        assert_eq!(self.x.len(), rows * self.columns, "there is one target for each row");
        for optional in [self.offsets, self.weights] {
            assert!(optional.is_empty() || optional.len() == rows, "one for each row, or none");
        }
        assert!(self.weights.iter().all(|&w| w >= 0.0), "a weight is no less than zero");
        assert!(self.l2 >= 0.0, "a penalty is no less than zero");
    }
}

/// The optimum.
///
/// # Errors
/// [`NoFit`], which says why there is none.
///
/// # Panics
/// When lengths do not agree, or a weight or the penalty is negative.
pub fn fit(data: &Data<'_>) -> Result<Fit, NoFit> {
    data.check();
    let dependent = factor::dependent(&data.gram(), data.order());
    if !dependent.is_empty() {
        return Err(NoFit::Dependent(dependent));
    }
    let mut w = vec![0.0; data.order()];
    if data.intercept {
        w[data.columns] = start(data);
    }
    let mut scores = data.scores(&w);
    let mut before = f64::INFINITY;
    for steps in 1..=MOST_STEPS {
        let (gradient, information) = data.derivatives(&scores, &w);
        let Some(factor) = Factor::new(&information, data.order(), 1e-15) else {
            return Err(diverged(data, &scores));
        };
        let step = factor.solve(&gradient);
        let length: f64 = step.iter().zip(&gradient).map(|(a, b)| a * b).sum();
        if !length.is_finite() {
            return Err(NoFit::NotConverged);
        }
        let (next, next_scores) = halved(data, &w, &scores, &step);
        let moved = scores
            .iter()
            .zip(&next_scores)
            .enumerate()
            .filter(|&(row, _)| data.weight(row) > 0.0)
            .fold(0.0f64, |most, (_, (a, b))| most.max((a - b).abs()));
        (w, scores) = (next, next_scores);
        if length <= DONE || (length <= ROUNDING && length > before / 4.0) {
            if moved > STILL_MOVING {
                return Err(diverged(data, &scores));
            }
            return describe(data, w, &scores, steps);
        }
        before = length;
    }
    Err(match diverged(data, &scores) {
        NoFit::Separated { extreme: 0 } => NoFit::NotConverged,
        separated => separated,
    })
}

/// Where the intercept begins: at the fit of the intercept alone, were there no offsets.
fn start(data: &Data<'_>) -> f64 {
    let rows = || (0..data.target.len()).filter(|&row| data.weight(row) > 0.0);
    let total: f64 = rows().map(|row| data.weight(row) * data.target[row]).sum();
    match data.family {
        Family::Logistic => {
            let share = (total / data.cases()).clamp(1e-6, 1.0 - 1e-6);
            libm::log(share / (1.0 - share))
        }
        Family::Poisson => {
            let exposure: f64 =
                rows().map(|row| data.weight(row) * libm::exp(data.offset(row))).sum();
            libm::log((total / exposure).max(1e-6))
        }
    }
}

/// `w` less the step, halved until the objective no longer rises, and the scores there.
fn halved(data: &Data<'_>, w: &[f64], scores: &[f64], step: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let before = data.objective(scores, w);
    let mut length = 1.0;
    loop {
        let next: Vec<f64> = w.iter().zip(step).map(|(w, s)| w - length * s).collect();
        let scores = data.scores(&next);
        // Differences below the rounding of the sum tell nothing.
        if data.objective(&scores, &next) <= before + 1e-12 * (1.0 + before.abs()) || length < 1e-10
        {
            return (next, scores);
        }
        length /= 2.0;
    }
}

fn extreme(data: &Data<'_>, scores: &[f64]) -> usize {
    let far = |score: f64| match data.family {
        Family::Logistic => libm::exp(-score.abs()) < EXTREME,
        Family::Poisson => libm::exp(score) < EXTREME,
    };
    (0..scores.len()).filter(|&row| data.weight(row) > 0.0 && far(scores[row])).count()
}

fn diverged(data: &Data<'_>, scores: &[f64]) -> NoFit {
    NoFit::Separated { extreme: extreme(data, scores) }
}

fn describe(data: &Data<'_>, w: Vec<f64>, scores: &[f64], steps: usize) -> Result<Fit, NoFit> {
    let d = data.order();
    let (_, information) = data.derivatives(scores, &w);
    // It was positive definite a step of no length before.
    let factor = Factor::new(&information, d, 0.0).expect("the information is positive definite");
    let covariance = factor.inverse();
    let std_errors = (0..d).map(|j| libm::sqrt(covariance[j * d + j])).collect();
    let fitted: Vec<f64> = scores.iter().map(|&z| moments(data.family, z).0).collect();
    let deviance = deviance(data, scores);
    let null = Data { x: &[], columns: 0, l2: 0.0, ..*data };
    let offsets: Vec<f64> = (0..scores.len()).map(|row| data.offset(row)).collect();
    let null_deviance = match data.intercept && data.columns > 0 {
        true => fit(&null)?.deviance,
        false if data.intercept => deviance,
        false => self::deviance(data, &offsets),
    };
    let (mut log_likelihood, mut pearson) = (0.0, 0.0);
    for row in (0..scores.len()).filter(|&row| data.weight(row) > 0.0) {
        let (y, (mean, variance)) = (data.target[row], moments(data.family, scores[row]));
        let constant = match data.family {
            Family::Logistic => 0.0,
            Family::Poisson => libm::lgamma(y + 1.0),
        };
        log_likelihood -= data.weight(row) * (data.family.loss(y, scores[row]) + constant);
        pearson += data.weight(row) * (y - mean) * (y - mean) / variance;
    }
    Ok(Fit {
        aic: 2.0 * d as f64 - 2.0 * log_likelihood,
        extreme: extreme(data, scores),
        coefficients: w,
        covariance,
        std_errors,
        fitted,
        deviance,
        null_deviance,
        log_likelihood,
        pearson,
        steps,
    })
}

fn deviance(data: &Data<'_>, scores: &[f64]) -> f64 {
    let lacking = |row: usize| {
        let y = data.target[row];
        2.0 * data.weight(row) * (data.family.loss(y, scores[row]) - perfect(data.family, y))
    };
    (0..scores.len()).filter(|&row| data.weight(row) > 0.0).map(lacking).sum()
}

/// The smallest loss there is for a target.
fn perfect(family: Family, y: f64) -> f64 {
    let entropy = |p: f64| if p > 0.0 { p * libm::log(p) } else { 0.0 };
    match family {
        Family::Logistic => -entropy(y) - entropy(1.0 - y),
        Family::Poisson => y - entropy(y),
    }
}

/// The mean less the target, to full precision where the mean is near it: coefficients that grow
/// without end must not come to rest by rounding.
fn residual(family: Family, score: f64, y: f64) -> f64 {
    match family {
        Family::Logistic => (1.0 - y) * super::sigmoid(score) - y * super::sigmoid(-score),
        Family::Poisson => libm::exp(score) - y,
    }
}

/// Mean and variance of the target.
fn moments(family: Family, score: f64) -> (f64, f64) {
    match family {
        Family::Logistic => {
            let (there, not) = (super::sigmoid(score), super::sigmoid(-score));
            (there, there * not)
        }
        Family::Poisson => (libm::exp(score), libm::exp(score)),
    }
}
