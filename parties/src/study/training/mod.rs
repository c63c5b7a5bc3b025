//! `[training]`: how the model is fitted.

mod exact;
mod optimum;
mod sgd;

use mpc_ml::artifact::ModelKind;

use super::StudyError;
use super::raw::RawTraining;
pub use exact::Exact;
pub use optimum::{Link, Optimum, Rate, Series};
pub use sgd::{Sgd, Sigmoid, SigmoidFit};

/// How the model is fitted.
#[derive(Clone, Debug, PartialEq)]
pub enum Training {
    /// Logistic regression by stochastic gradient descent on batches of all parties' rows.
    Sgd(Sgd),
    /// Linear regression by its normal equations.
    Exact(Exact),
    /// Logistic or Poisson regression to the optimum.
    Optimum(Optimum),
}

impl Training {
    /// The word of the study file.
    #[must_use]
    pub fn solver(&self) -> &'static str {
        match self {
            Self::Sgd(_) => "sgd",
            Self::Exact(_) => "exact",
            Self::Optimum(_) => "optimum",
        }
    }
}

pub(super) fn check(raw: &RawTraining, kind: ModelKind) -> Result<Training, StudyError> {
    let misfit = |why: &str| Err(StudyError::rule("training.solver", why));
    let training = match (raw.solver.as_str(), kind) {
        ("sgd", ModelKind::Logistic) => Training::Sgd(sgd::check(raw)?),
        ("exact", ModelKind::Linear) => Training::Exact(exact::check(raw)?),
        ("optimum", ModelKind::Logistic | ModelKind::Poisson) => {
            Training::Optimum(optimum::check(raw, kind)?)
        }
        ("sgd", ModelKind::Linear) | ("optimum", ModelKind::Linear) => {
            return misfit(
                "must be \"exact\" for a linear model: its optimum is found at once from sums over \
                 the rows, without steps",
            );
        }
        ("sgd", _) => {
            return misfit(
                "must be \"optimum\" for a Poisson model: steps on batches need a bound on the \
                 gradient, which counts do not give",
            );
        }
        ("exact", _) => {
            return misfit(
                "is \"exact\", which solves linear models alone; use \"optimum\" (the best fit, with \
                 standard errors) or, for a logistic model, \"sgd\" (faster, near the best fit)",
            );
        }
        _ => return misfit("must be \"sgd\", \"exact\" or \"optimum\""),
    };
    no_others(raw, &training)?;
    Ok(training)
}

/// Refuses fields of other solvers, which would have no effect.
fn no_others(raw: &RawTraining, training: &Training) -> Result<(), StudyError> {
    let fields: [(&str, bool, &[&str]); 12] = [
        ("epochs", raw.epochs.is_some(), &["sgd"]),
        ("batch", raw.batch.is_some(), &["sgd"]),
        ("learning_rate", raw.learning_rate.is_some(), &["sgd"]),
        ("decay", raw.decay.is_some(), &["sgd"]),
        ("momentum", raw.momentum.is_some(), &["sgd"]),
        ("seed", raw.seed.is_some(), &["sgd"]),
        ("sigmoid", raw.sigmoid.is_some(), &["sgd", "optimum"]),
        ("condition", raw.condition.is_some(), &["exact", "optimum"]),
        ("tolerance", raw.tolerance.is_some(), &["optimum"]),
        ("prevalence", raw.prevalence.is_some(), &["optimum"]),
        ("rate", raw.rate.is_some(), &["optimum"]),
        ("largest_eigenvalue", raw.largest_eigenvalue.is_some(), &["optimum"]),
    ];
    let used = training.solver();
    match fields.iter().find(|(_, given, solvers)| *given && !solvers.contains(&used)) {
        Some((field, _, solvers)) => {
            let rule = format!(
                "belongs to the solver {}, and this study uses {used:?}: remove it",
                solvers.iter().map(|each| format!("{each:?}")).collect::<Vec<_>>().join(" or ")
            );
            Err(StudyError::rule(format!("training.{field}").as_str(), rule))
        }
        None => Ok(()),
    }
}

/// A field that the solver cannot do without.
fn needed<T: Copy>(field: &str, value: Option<T>, solver: &str) -> Result<T, StudyError> {
    value.ok_or_else(|| {
        StudyError::rule(field, format!("is missing: the solver {solver:?} needs it"))
    })
}

/// A number that fulfils a condition, which `rule` says in words.
fn number(field: &str, value: f64, fits: bool, rule: &str) -> Result<f64, StudyError> {
    if fits { Ok(value) } else { Err(StudyError::rule(field, format!("must be {rule}"))) }
}

/// A whole number in a range.
pub(super) fn whole(field: &str, value: i64, low: u32, high: u32) -> Result<u32, StudyError> {
    match u32::try_from(value) {
        Ok(value) if (low..=high).contains(&value) => Ok(value),
        _ => Err(StudyError::rule(field, format!("must be a whole number from {low} to {high}"))),
    }
}

/// The period of a trigonometric series.
fn window(value: i64) -> Result<u32, StudyError> {
    let window = whole("training.sigmoid.window", value, 8, 65_536)?;
    if window.is_power_of_two() {
        return Ok(window);
    }
    let example = window.checked_next_power_of_two().unwrap_or(65_536);
    let rule = format!("must be a power of two, for example {example}");
    Err(StudyError::rule("training.sigmoid.window", rule))
}

/// The largest condition number that is supported.
fn condition(raw: &RawTraining, solver: &str) -> Result<f64, StudyError> {
    let field = "training.condition";
    let value = needed(field, raw.condition, solver)?;
    number(
        field,
        value,
        (1.0..=1e6).contains(&value),
        "a number from 1 to 1000000: the largest condition number of the standardised columns, \
         together with the intercept, that the study supports",
    )
}
