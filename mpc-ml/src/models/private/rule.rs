//! The rule by which noisy sums become a model: a pure function of what all parties know (docs/protocols.md 16.7).

use super::newton::{Newton, PrivateErrors};
use super::recipe::{Part, Recipe, UNIT, What};
use super::symmetric::{Symmetric, from_triangle, product};
use crate::artifact::{CheckRecord, ModelKind};

/// How many times s sqrt(d) an eigenvalue must have to count as one of the rows', s the deviation of the noise.
const fn floor(kind: ModelKind) -> f64 {
    match kind {
        ModelKind::Linear | ModelKind::Multinomial => 1.0,
        _ => 1.4,
    }
}
/// Coefficients on the common scale are no longer than this.
const LONGEST: f64 = 20.0;

/// What a fit gives.
#[derive(Clone, Debug, PartialEq)]
pub struct PrivateFit {
    /// The model, on the common scale of the columns and in the units of the target; the intercept last.
    pub coefficients: Vec<f64>,
    /// How sure it is, in the same units.
    pub errors: PrivateErrors,
    /// What decided whether there are standard errors, where they are asked for.
    pub checks: Vec<CheckRecord>,
}

/// Where a fit is.
#[derive(Clone, Debug)]
pub(super) enum Rule<'a> {
    /// Of a fit without standard errors.
    Descent(Descent<'a>),
    /// Of one with them.
    Newton(Newton<'a>),
}

impl<'a> Rule<'a> {
    /// At its beginning, for these noisy sums.
    pub(super) fn new(recipe: &'a Recipe, sums: &'a [Vec<Part>]) -> Self {
        if recipe.errors {
            Self::Newton(Newton::new(recipe, sums))
        } else {
            Self::Descent(Descent::new(recipe, sums))
        }
    }

    /// What the next sums are of.
    pub(super) fn what(&self) -> What {
        match self {
            Self::Descent(fit) => fit.recipe.what(fit.done),
            Self::Newton(fit) => fit.what(),
        }
    }

    /// The model at which they are taken.
    pub(super) fn w(&self) -> &[f64] {
        match self {
            Self::Descent(fit) => &fit.w,
            Self::Newton(fit) => &fit.w,
        }
    }

    /// What residuals are divided by before they are cut to the bound of the recipe.
    pub(super) fn scale(&self) -> f64 {
        match self {
            Self::Descent(_) => 1.0,
            Self::Newton(fit) => fit.scale,
        }
    }

    /// Takes the noisy sums that were due.
    pub(super) fn take(&mut self, sums: &[i128]) {
        let sums: Vec<f64> = sums.iter().map(|sum| *sum as f64 / UNIT).collect();
        match self {
            Self::Descent(fit) => fit.take(&sums),
            Self::Newton(fit) => fit.take(&sums),
        }
    }

    /// The model when all sums were taken.
    pub(super) fn result(&self) -> PrivateFit {
        let (recipe, mut coefficients, mut errors, checks) = match self {
            Self::Descent(fit) => (fit.recipe, fit.model(), PrivateErrors::Unasked, Vec::new()),
            Self::Newton(fit) => (fit.recipe, fit.w.clone(), fit.errors(), fit.checks()),
        };
        if recipe.kind == ModelKind::Linear {
            coefficients.iter_mut().for_each(|w| *w *= recipe.half);
            if let Some(intercept) = coefficients.last_mut() {
                *intercept += recipe.centre;
            }
            if let PrivateErrors::Covariance(all) = &mut errors {
                all.iter_mut().for_each(|entry| *entry *= recipe.half * recipe.half);
            }
        }
        PrivateFit { coefficients, errors, checks }
    }
}

/// Cuts a model to the longest that there may be; whether it was longer.
pub(super) fn shorten(w: &mut [f64]) -> bool {
    let length = libm::sqrt(w.iter().map(|w| w * w).sum());
    if length > LONGEST {
        w.iter_mut().for_each(|w| *w *= LONGEST / length);
    }
    length > LONGEST
}

/// Where a fit without standard errors is.
#[derive(Clone, Debug)]
pub(super) struct Descent<'a> {
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

impl<'a> Descent<'a> {
    fn new(recipe: &'a Recipe, sums: &[Vec<Part>]) -> Self {
        let order = recipe.order;
        let mut step = vec![0.0; order * order];
        // Where there is a matrix of products the steps follow from it.
        let each = 6.0 / recipe.rows;
        (0..order).for_each(|i| step[i * order + i] = each);
        let matrix = sums.first().and_then(|parts| parts.first());
        let noise = matrix.map_or(0.0, |part| recipe.deviation(part));
        Self { recipe, noise, done: 0, step, w: vec![0.0; order], late: vec![0.0; order] }
    }

    fn take(&mut self, sums: &[f64]) {
        match self.recipe.what(self.done) {
            What::Moments => self.begin(sums),
            _ => self.descend(sums),
        }
        self.done += 1;
    }

    /// The start and the steps that follow from the matrix of products and the columns times the target.
    fn begin(&mut self, sums: &[f64]) {
        let order = self.recipe.order;
        let (triangle, with_target) = sums.split_at(order * (order + 1) / 2);
        let matrix = from_triangle(triangle, order);
        let last: Vec<f64> = (0..order).map(|i| matrix[i * order + order - 1]).collect();
        let floor = floor(self.recipe.kind) * self.noise * libm::sqrt(order as f64);
        let mut inverse = Symmetric::of(matrix, order).inverse(floor);
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
        shorten(&mut self.w);
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

    /// The model, on the common scale of the columns and of the target.
    fn model(&self) -> Vec<f64> {
        let models = (self.recipe.gradients - self.first_late()) as f64;
        self.late.iter().map(|sum| sum / models).collect()
    }
}
