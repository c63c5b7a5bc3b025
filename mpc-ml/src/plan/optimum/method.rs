//! How a fit gets to its optimum, and with how many passes over the data.

use mpc_core::correlations::Origin;

use super::{Family, GlmSettings};
use crate::error::Error;
use crate::plan::refuse;

/// Fractional bits of the public factors of the steps, where there are any.
pub(super) const FACTOR_FRACTION: u32 = 14;
/// Above this many entries of outer products, a fit without inference does without them ...
const CHEAP_ENTRIES: u64 = 1 << 24;
/// ... unless the parties make correlations themselves, and there are so many rows for each entry of
/// the Hessian: there phasors are what costs, and Newton's method takes the fewest passes. With a
/// dealer the masked outer products cost more.
const MANY_ROWS: u64 = 5;
/// More entries of outer products are not kept.
const MOST_ENTRIES: u64 = 1 << 28;
/// Newton's steps. Each squares the error; where features are strong, or classes all but separable, it
/// takes a few to begin with that. R's `glm` takes 4 to 8.
const NEWTON_PASSES: usize = 8;
/// What is added to a count before its logarithm is taken, in the first pass: as in R.
pub(crate) const COUNT_SHIFT: f64 = 0.1;
/// The largest matrix that is inverted.
const MOST_ORDER: usize = 256;
/// More passes than this are refused.
const MOST_PASSES: f64 = 3000.0;

/// How a fit gets to its optimum.
#[derive(Clone, Debug, PartialEq)]
pub enum Method {
    /// Newton's: every pass makes the Hessian of its own weights and inverts it.
    Newton,
    /// One bound of all Hessians is inverted once; accelerated steps.
    FixedHessian {
        /// Nesterov's momentum.
        momentum: f64,
    },
    /// Accelerated gradient steps, for wide data with a penalty.
    Gradient {
        /// Nesterov's momentum.
        momentum: f64,
        /// No eigenvalue of the Hessian of the mean loss is larger.
        curvature: f64,
        /// The steps of the intercept are so many times longer: where columns have means, the
        /// intercept hardly moves else.
        intercept: i64,
    },
}

/// The method, and its number of passes.
pub(super) fn choose(
    settings: &GlmSettings,
    largest_weight: f64,
    origin: Origin,
) -> Result<(Method, usize), Error> {
    let (rows, order) = (settings.total_rows(), settings.weights());
    let entries = rows * (order * (order + 1) / 2) as u64;
    let logistic = matches!(settings.family, Family::Logistic { .. });
    if order <= MOST_ORDER {
        let many = rows >= MANY_ROWS * (order * order) as u64 && entries <= MOST_ENTRIES;
        let newton = entries <= CHEAP_ENTRIES || many && origin == Origin::Pairwise;
        if newton || settings.inference || !logistic {
            if entries > MOST_ENTRIES {
                return refuse(format!(
                    "the Hessian of {rows} rows and {order} coefficients takes {entries} products \
                     of entries; at most {MOST_ENTRIES} are kept: use fewer columns{}",
                    if logistic { ", or output.inference = false" } else { "" }
                ));
            }
            return Ok((Method::Newton, NEWTON_PASSES));
        }
        let ratio = largest_weight / least_weight(&settings.family);
        let rate = 1.0 - 1.0 / ratio.sqrt();
        let away = (rows as f64).sqrt() / settings.tolerance;
        let passes = libm::ceil(libm::log(away) / -libm::log(rate)) + 3.0;
        let momentum = (ratio.sqrt() - 1.0) / (ratio.sqrt() + 1.0);
        return within(passes).map(|passes| (Method::FixedHessian { momentum }, passes));
    }
    if settings.l2 == 0.0 || settings.inference {
        return refuse(format!(
            "{order} coefficients are too many to invert a matrix: at most {MOST_ORDER}; above \
             that a fit needs model.l2 > 0 and output.inference = false"
        ));
    }
    let trace = settings.trace + f64::from(u8::from(settings.intercept));
    let eigenvalue = settings.largest_eigenvalue.unwrap_or(trace).min(trace);
    // An intercept whose column is 2 instead of 1 takes steps of 4 times the length; the largest
    // eigenvalue grows by no more than the square of the column.
    let longer = libm::floor(eigenvalue / 4.0);
    let scaled = settings.intercept && longer > 1.0;
    let intercept = if scaled { longer as i64 } else { 1 };
    let eigenvalue = if scaled { eigenvalue + longer } else { eigenvalue };
    let curvature = largest_weight * eigenvalue + settings.l2;
    let ratio = curvature / settings.l2;
    let momentum = (ratio.sqrt() - 1.0) / (ratio.sqrt() + 1.0);
    let passes = libm::ceil(ratio.sqrt() * libm::log(100.0 / settings.tolerance));
    within(passes).map(|passes| (Method::Gradient { momentum, curvature, intercept }, passes))
}

fn within(passes: f64) -> Result<usize, Error> {
    if passes > MOST_PASSES {
        return refuse(format!(
            "the fit would take {passes:.0} passes over the data; at most {MOST_PASSES:.0}: declare \
             a smaller training.largest_eigenvalue or a larger prevalence, or set a larger l2"
        ));
    }
    Ok(passes.max(2.0) as usize)
}

/// The least weight that a direction of the data is expected to have on average. Fits with strong
/// features have many rows that are all but certain: more so where the classes are balanced.
pub(super) fn least_weight(family: &Family) -> f64 {
    let typical = typical_weight(family);
    match *family {
        Family::Logistic { .. } => (0.2 - 0.32 * typical) * typical,
        Family::Poisson { .. } => 0.3 * typical,
    }
}

/// The largest weight of a row in the first pass of a Poisson model: that of a target.
pub(super) fn first_weight(settings: &GlmSettings) -> f64 {
    match settings.family {
        Family::Logistic { .. } => 0.0,
        // With its rounding.
        Family::Poisson { most, .. } => most + COUNT_SHIFT + libm::ldexp(1.0, -16),
    }
}

/// The weight of a row at the start, which is also the variance of its residual.
pub(super) fn typical_weight(family: &Family) -> f64 {
    match *family {
        Family::Logistic { prevalence, .. } => prevalence * (1.0 - prevalence),
        Family::Poisson { mean, .. } => mean,
    }
}

/// The answers of Nesterov's recursion with `momentum` to one gradient of size 1 at step 0: where
/// its query points 1, 2, .. are less for it, and where its iterate `passes` is.
pub(super) fn answers(momentum: f64, passes: usize) -> (Vec<f64>, Vec<f64>) {
    // w_1 = q_0 - 1; w_(t+1) = q_t and q_t = w_t + b (w_t - w_(t-1)) after that.
    let (mut before, mut now) = (0.0, 1.0);
    let (mut queries, mut iterates) = (Vec::new(), Vec::new());
    for _ in 0..passes {
        iterates.push(now);
        let query = now + momentum * (now - before);
        queries.push(query);
        (before, now) = (now, query);
    }
    (queries, iterates)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The combination of gradients by their answers is the recursion.
    #[test]
    fn answers_are_those_of_nesterovs_recursion() {
        let (momentum, passes) = (0.6, 12);
        let gradient = |q: f64| 0.3 * q + 0.1;
        let (mut before, mut now) = (1.0, 1.0);
        for _ in 0..passes {
            let query = now + momentum * (now - before);
            (before, now) = (now, query - gradient(query));
        }
        let (queries, iterates) = answers(momentum, passes);
        let mut gradients: Vec<f64> = Vec::new();
        let combine = |gradients: &[f64], factors: &[f64]| {
            1.0 - gradients.iter().rev().zip(factors).map(|(g, a)| g * a).sum::<f64>()
        };
        for _ in 0..passes {
            let query = combine(&gradients, &queries);
            gradients.push(gradient(query));
        }
        assert!((combine(&gradients, &iterates) - now).abs() < 1e-12);
    }
}
