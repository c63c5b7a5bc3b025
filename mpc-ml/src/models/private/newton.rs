//! The rule of a fit with standard errors: Newton's steps from noisy gradients and matrices, and what their noise and
//! chance do to the result (docs/protocols.md 16.7, Standard errors).

use super::recipe::{Part, Recipe, What};
use super::symmetric::{Symmetric, from_triangle, product};
use crate::artifact::{CheckRecord, ModelKind};

/// How many times s sqrt(d) the least eigenvalue of the noisy matrix must be, s the deviation of its noise.
pub(super) const LEAST: f64 = 3.0;
/// To how many times s sqrt(d) eigenvalues are raised where they are less, so that steps in directions that are noise
/// are short.
const RAISED: f64 = 2.0;
/// What is taken off the eigenvalues of a matrix that just passes, in deviations of the noise, before it says how sure the
/// model is: it has passed with luck as well.
const LUCK: f64 = 2.0;
/// The longest last step of a logistic model, by [`Newton::step_length`].
const LONGEST_STEP: f64 = 0.3;
/// Residuals of a linear model are cut to so many deviations, and to more where that costs little.
const LEAST_CUT: f64 = 4.0;
/// The part of the variance of the intercept that noise may add by a wider cut.
const CUT_COST: f64 = 0.1;
/// The widest cut: residuals are within it but for models that leave the range of the target.
const WIDEST_CUT: f64 = 2.0;
/// A check that failed by far is told as this.
const BY_FAR: f64 = 1e3;

/// How sure the coefficients of a fit are.
#[derive(Clone, Debug, PartialEq)]
pub enum PrivateErrors {
    /// The study does not ask.
    Unasked,
    /// The covariance matrix of the coefficients, row by row, the intercept last: chance and the noise of all parties.
    Covariance(Vec<f64>),
    /// There are none, for this reason.
    None(String),
}

/// Where a fit is.
#[derive(Clone, Debug)]
pub(super) struct Newton<'a> {
    pub(super) recipe: &'a Recipe,
    sums: &'a [Vec<Part>],
    done: usize,
    pub(super) w: Vec<f64>,
    /// What residuals are divided by before they are cut.
    pub(super) scale: f64,
    /// The last noisy matrix, row by row.
    matrix: Vec<f64>,
    eigen: Symmetric,
    /// Its inverse, with eigenvalues raised to those of noise.
    inverse: Vec<f64>,
    /// The deviation of its noise.
    matrix_noise: f64,
    /// The noisy sum of squared residuals of a linear model, and its noise.
    spread: (f64, f64),
    /// The last step.
    step: Vec<f64>,
    /// The deviation of the noise of the gradient that it is from.
    gradient_noise: f64,
    /// Whether the coefficients were cut to their bound.
    cut: bool,
}

impl<'a> Newton<'a> {
    pub(super) fn new(recipe: &'a Recipe, sums: &'a [Vec<Part>]) -> Self {
        let zero = vec![0.0; recipe.order];
        Self {
            recipe,
            sums,
            done: 0,
            w: zero.clone(),
            scale: 1.0,
            matrix: Vec::new(),
            eigen: Symmetric::of(Vec::new(), 0),
            inverse: Vec::new(),
            matrix_noise: 0.0,
            spread: (0.0, 0.0),
            step: zero,
            gradient_noise: 0.0,
            cut: false,
        }
    }

    /// What the next sums are of.
    pub(super) fn what(&self) -> What {
        self.recipe.what(self.done)
    }

    /// Takes the noisy sums that were due.
    pub(super) fn take(&mut self, sums: &[f64]) {
        let (recipe, order) = (self.recipe, self.recipe.order);
        let parts = &self.sums[self.done];
        match recipe.what(self.done) {
            What::Spread => {
                self.spread = (sums[0], recipe.deviation(&parts[0]));
                self.scale = self.cut();
            }
            What::Curvature | What::Moments => {
                let (triangle, gradient) = sums.split_at(order * (order + 1) / 2);
                self.matrix = from_triangle(triangle, order);
                self.matrix_noise = recipe.deviation(&parts[0]);
                self.eigen = Symmetric::of(self.matrix.clone(), order);
                self.inverse = self.eigen.inverse(RAISED * self.noise_size());
                self.descend(gradient, &parts[1]);
            }
            What::Gradient => self.descend(sums, &parts[0]),
        }
        self.done += 1;
    }

    /// s sqrt(d): the largest eigenvalue of noise alone is some 1.4 times as large.
    fn noise_size(&self) -> f64 {
        self.matrix_noise * libm::sqrt(self.recipe.order as f64)
    }

    fn descend(&mut self, gradient: &[f64], part: &Part) {
        let gradient: Vec<f64> = gradient.iter().map(|g| g * self.scale).collect();
        self.gradient_noise = self.recipe.deviation(part) * self.scale;
        self.step = product(&self.inverse, &gradient);
        self.w.iter_mut().zip(&self.step).for_each(|(w, step)| *w -= step);
        self.cut = super::rule::shorten(&mut self.w);
    }

    /// To what residuals are cut: a few of their deviations, and more as far as that adds little to chance.
    fn cut(&self) -> f64 {
        let rows = self.recipe.rows;
        let unit = self.sums[self.done + 1].first().map_or(1.0, |part| self.recipe.deviation(part));
        let times = LEAST_CUT.max(libm::sqrt(CUT_COST * rows) / unit);
        let (squares, noise) = self.spread;
        (times * libm::sqrt((squares.max(0.0) + 2.0 * noise) / rows)).min(WIDEST_CUT)
    }

    /// The step by the matrix: twice what it takes off a quadratic objective.
    fn decrement(&self) -> f64 {
        product(&self.matrix, &self.step).iter().zip(&self.step).map(|(a, b)| a * b).sum()
    }

    /// Of a logistic model: by how many standard errors, at the worst, the curvature that changes along the last step
    /// puts its end off. A row's score moves by some m, the root of the decrement over the sum of the weights (the last
    /// entry of the matrix), so weights change by that part, and half of the step's length, the root of the decrement, by it.
    fn step_length(&self) -> f64 {
        let weights = self.matrix.last().copied().unwrap_or_default().max(1.0);
        self.decrement() / (2.0 * libm::sqrt(weights))
    }

    /// What decides whether there are standard errors: public figures, each at most its bound.
    pub(super) fn checks(&self) -> Vec<CheckRecord> {
        let needed = LEAST * self.noise_size();
        let ratio = |a: f64, b: f64| if a < BY_FAR * b { a / b } else { BY_FAR };
        let mut checks = vec![CheckRecord {
            what: "standard errors: the eigenvalue that they need, by the least one of the noisy matrix"
                .to_owned(),
            value: ratio(needed, self.eigen.least()),
            bound: 1.0,
        }];
        if self.recipe.kind == ModelKind::Logistic {
            let value = ratio(self.step_length(), 1.0);
            let what = "standard errors: what the last step leaves, in standard errors".to_owned();
            checks.push(CheckRecord { what, value, bound: LONGEST_STEP });
        }
        checks
    }

    /// Why there are no standard errors, if there are none.
    fn refused(&self) -> Option<String> {
        const WAY: &str = "More rows, a larger epsilon, and fewer columns or rare levels (joined with others) help; \
                           the coefficients stand as they are";
        let checks = self.checks();
        let failed = |at: usize| checks.get(at).is_some_and(|check| check.value > check.bound);
        if failed(0) {
            return Some(format!(
                "no standard errors: of the noisy matrix the least eigenvalue is {:.0} and must be {:.0} to stand out \
                 of the noise. A level with few rows, or columns that nearly follow from each other, make it small. \
                 {WAY}",
                self.eigen.least(),
                LEAST * self.noise_size()
            ));
        }
        if failed(1) {
            return Some(format!(
                "no standard errors: the last step was too long ({:.2}, at most {LONGEST_STEP}) for the coefficients \
                 to be at the optimum, because classes are nearly separated or one of them is rare, or because of the \
                 noise. {WAY}",
                self.step_length()
            ));
        }
        self.cut.then(|| {
            format!("no standard errors: the coefficients were cut to their largest length. {WAY}")
        })
    }

    /// How sure the model is, on the common scale of the columns and of the target.
    pub(super) fn errors(&self) -> PrivateErrors {
        match self.refused() {
            Some(why) => PrivateErrors::None(why),
            None => PrivateErrors::Covariance(self.covariance()),
        }
    }

    /// K^-1 (f H + s_g^2 I + s_H^2 / 2 (|step|^2 I + step step^T)) K^-1, K = H less what luck may have added.
    fn covariance(&self) -> Vec<f64> {
        let order = self.recipe.order;
        let dispersion = match self.recipe.kind {
            ModelKind::Logistic => 1.0,
            _ => {
                let (squares, noise) = self.spread;
                let left = (squares - self.decrement()).max(noise);
                left / (self.recipe.rows - order as f64).max(1.0)
            }
        };
        let half = self.matrix_noise * self.matrix_noise / 2.0;
        let squares: f64 = self.step.iter().map(|x| x * x).sum();
        let diagonal = self.gradient_noise * self.gradient_noise + half * squares;
        let mut middle: Vec<f64> = self.matrix.iter().map(|entry| dispersion * entry).collect();
        for i in 0..order {
            middle[i * order + i] += diagonal;
            for j in 0..order {
                middle[i * order + j] += half * self.step[i] * self.step[j];
            }
        }
        let near = LEAST * self.noise_size() / self.eigen.least();
        let luck = LUCK * self.matrix_noise * near * near;
        let outer = self.eigen.clone().less(luck).inverse(0.0);
        let mut covariance = vec![0.0; order * order];
        for j in 0..order {
            // It is symmetric: its rows are its columns.
            let column = &outer[j * order..(j + 1) * order];
            let column = product(&outer, &product(&middle, column));
            column.iter().enumerate().for_each(|(i, entry)| covariance[i * order + j] = *entry);
        }
        covariance
    }
}

#[cfg(test)]
mod tests {
    use mpc_core::correlations::Origin;
    use ndarray::{Array1, Array2};

    use super::super::contribution::Contributor;
    use super::super::tests::{facts, made_up, settings, streams};
    use super::super::{Private, PrivatePlan, PrivateSettings, plaintext};
    use super::*;
    use crate::data::Dataset;
    use crate::model::{Facts, Model};
    use crate::plaintext::glm::{self, Data, Family};

    fn plan(kind: ModelKind, epsilon: f64, facts: &Facts) -> PrivatePlan {
        let settings = settings(kind, epsilon);
        Private::plan(&PrivateSettings { inference: true, ..settings }, facts).expect("plans")
    }

    /// Coefficients and standard errors of these rows, each with a 1 at its end, without noise.
    fn usual(kind: ModelKind, x: &[f64], target: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let columns = x.len() / target.len();
        if kind == ModelKind::Logistic {
            let (offsets, weights): (&[f64], &[f64]) = (&[], &[]);
            let family = Family::Logistic;
            let rows =
                Data { family, x, columns, intercept: false, target, offsets, weights, l2: 0.0 };
            let fit = glm::fit(&rows).expect("fits");
            return (fit.coefficients, fit.std_errors);
        }
        let mut gram = vec![0.0; columns * columns];
        let mut with_target = vec![0.0; columns];
        for (row, y) in x.chunks_exact(columns).zip(target) {
            for i in 0..columns {
                with_target[i] += row[i] * y;
                (0..columns).for_each(|j| gram[i * columns + j] += row[i] * row[j]);
            }
        }
        let inverse = Symmetric::of(gram, columns).inverse(0.0);
        let w = product(&inverse, &with_target);
        let squares: f64 =
            product(x, &w).iter().zip(target).map(|(fitted, y)| (fitted - y).powi(2)).sum();
        let variance = squares / (target.len() - columns) as f64;
        let error = |j: usize| (inverse[j * (columns + 1)] * variance).sqrt();
        (w, (0..columns).map(error).collect())
    }

    /// With hardly any noise the result is the fit of the pooled rows, and its standard errors are of that fit.
    #[test]
    fn without_noise_it_is_the_usual_fit() {
        for kind in [ModelKind::Linear, ModelKind::Logistic] {
            let data = [made_up(kind, 0, 20_000), made_up(kind, 1, 20_000)];
            let plan = plan(kind, 50.0, &facts(kind, &[20_000, 20_000]));
            let fit = plaintext::fit(&plan, &data, &mut streams("usual", 2));
            let PrivateErrors::Covariance(covariance) = &fit.errors else { panic!("{fit:?}") };
            let rows = data.iter().flat_map(|own| (0..own.len()).map(|row| own.rows().row(row)));
            let x: Vec<f64> = rows.flat_map(|row| row.iter().copied().chain([1.0])).collect();
            let targets = data.iter().flat_map(|own| own.target().to_vec());
            let target: Vec<f64> = targets.collect();
            let (w, errors) = usual(kind, &x, &target);
            for (j, error) in errors.iter().enumerate() {
                let ratio = covariance[j * 6].sqrt() / error;
                // The noise of the widest cut that costs little is in them.
                assert!((0.97..1.08).contains(&ratio), "{kind:?} {j}: {ratio}");
                let apart = (fit.coefficients[j] - w[j]) / error;
                assert!(apart.abs() < 1.5, "{kind:?} {j}: {apart}");
            }
        }
    }

    /// The longest rows fill the bounds of what is released, and none is left out.
    #[test]
    fn no_row_is_longer_than_its_bound() {
        for (kind, target) in
            [(ModelKind::Linear, 16.0), (ModelKind::Linear, 4.0), (ModelKind::Logistic, 1.0)]
        {
            let plan = plan(kind, 8.0, &facts(kind, &[600, 600]));
            let x = Array2::from_shape_fn((1, 4), |(_, column)| [1.0, -1.0, 9.0, -1.0][column]);
            let row = Dataset::new(x.view(), Array1::from_elem(1, target).view()).expect("a row");
            let row = Contributor::new(&plan.recipe, &row);
            let mut rule = plan.rule();
            for (sum, parts) in plan.sums.iter().enumerate() {
                let own = row.sums(&rule, parts);
                let mut at = 0;
                for part in parts {
                    let squares: f64 =
                        own[at..at + part.values].iter().map(|q| (*q as f64).powi(2)).sum();
                    let share = squares.sqrt() / part.bound as f64;
                    assert!(share <= 1.0, "{kind:?}, sum {sum}: {share}");
                    // At the first model it is as long as may be.
                    assert!(sum > 0 || share > 0.99, "{kind:?}: {share}");
                    at += part.values;
                }
                rule.take(&vec![0; at]);
            }
        }
    }

    #[test]
    fn what_the_noise_does_is_in_the_covariance() {
        // H = diag(400, 100), a step of (0.1, -0.1), s_H = 3, s_g = 5, dispersion 1.
        let facts = Facts::horizontal(&[500, 500], vec![1.0], Origin::Pairwise);
        let plan = plan(ModelKind::Logistic, 8.0, &Facts { target: Some((0.0, 1.0)), ..facts });
        let diagonal = |last| vec![400.0, 0.0, 0.0, last];
        let least = |last| Symmetric::of(diagonal(last), 2);
        let fit = Newton {
            matrix: diagonal(100.0),
            eigen: least(100.0),
            matrix_noise: 3.0,
            step: vec![0.1, -0.1],
            gradient_noise: 5.0,
            ..Newton::new(&plan.recipe, &plan.sums)
        };
        let noise = |own: f64| own + 25.0 + 4.5 * (0.02 + 0.01);
        let luck = 6.0 * (9.0 * 2.0_f64.sqrt() / 100.0).powi(2);
        let (first, last) = (400.0 - luck, 100.0 - luck);
        let expected = [
            noise(400.0) / (first * first),
            4.5 * -0.01 / (first * last),
            4.5 * -0.01 / (first * last),
            noise(100.0) / (last * last),
        ];
        let PrivateErrors::Covariance(all) = fit.errors() else { panic!("{:?}", fit.errors()) };
        assert!(all.iter().zip(expected).all(|(own, it)| (own - it).abs() < 1e-12), "{all:?}");
        // 3 s sqrt(2) = 12.7: above the least eigenvalue there are none, with the reason; so after a long step.
        let small = Newton { eigen: least(12.7), ..fit.clone() };
        let PrivateErrors::None(why) = small.errors() else { panic!("told") };
        assert!(why.contains("least eigenvalue is 13 and must be 13"), "{why}");
        let none = Newton { eigen: least(-1.0), ..fit.clone() };
        assert_eq!(none.checks()[0].value, BY_FAR);
        let far = Newton { step: vec![0.1, -0.3], ..fit.clone() };
        let PrivateErrors::None(why) = far.errors() else { panic!("told") };
        assert!(why.contains("last step was too long (0.65"), "{why}");
        let PrivateErrors::None(why) = (Newton { cut: true, ..fit }).errors() else {
            panic!("told")
        };
        assert!(why.contains("cut to their largest length"), "{why}");
    }
}
