//! `[training]`: how the model is fitted.

use std::fmt;

use super::StudyError;
use super::raw::{RawSigmoid, RawTraining};

/// How the model is fitted: stochastic gradient descent on batches of all parties' rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Training {
    /// Passes over the rows.
    pub epochs: u32,
    /// Rows per step, over all parties.
    pub batch: u32,
    /// The first step length.
    pub learning_rate: f64,
    /// The step length of an epoch is `learning_rate / (1 + decay * epoch)`, epochs from 0.
    pub decay: f64,
    /// The share of the last step that is made again.
    pub momentum: f64,
    /// The public seed of the order of rows.
    pub seed: u64,
    /// How the logistic function is computed.
    pub sigmoid: Sigmoid,
}

/// The trigonometric series in place of the logistic function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sigmoid {
    /// The period of the series, a power of two: scores within half of it are computed right.
    pub window: u32,
    /// The number of its terms.
    pub terms: u32,
    /// How the coefficients of the series are chosen.
    pub fit: SigmoidFit,
}

/// How the coefficients of the series are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigmoidFit {
    /// More exact where scores are frequent.
    Weighted,
    /// Equally exact over the window.
    Plain,
}

impl fmt::Display for SigmoidFit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Weighted => "weighted",
            Self::Plain => "plain",
        })
    }
}

impl Training {
    /// The step length in `epoch`, counted from 0.
    #[must_use]
    pub fn step_length(&self, epoch: u32) -> f64 {
        self.learning_rate / (1.0 + self.decay * f64::from(epoch))
    }
}

pub(super) fn check(raw: &RawTraining) -> Result<Training, StudyError> {
    if raw.solver != "sgd" {
        return Err(StudyError::rule("training.solver", "must be \"sgd\", the only one so far"));
    }
    let number = |field: &str, value: f64, fits: bool, range: &str| {
        if fits { Ok(value) } else { Err(StudyError::rule(field, format!("must be {range}"))) }
    };
    let rate = raw.learning_rate;
    Ok(Training {
        epochs: whole("training.epochs", raw.epochs, 1, 100_000)?,
        batch: whole("training.batch", raw.batch, 1, 1_000_000)?,
        learning_rate: number(
            "training.learning_rate",
            rate,
            rate > 0.0 && rate <= 1000.0,
            "a number above 0, at most 1000",
        )?,
        decay: number(
            "training.decay",
            raw.decay,
            (0.0..=1000.0).contains(&raw.decay),
            "a number from 0 to 1000",
        )?,
        momentum: number(
            "training.momentum",
            raw.momentum,
            (0.0..1.0).contains(&raw.momentum),
            "a number from 0 to below 1",
        )?,
        seed: u64::try_from(raw.seed)
            .map_err(|_| StudyError::rule("training.seed", "must be a whole number from 0"))?,
        sigmoid: sigmoid(&raw.sigmoid)?,
    })
}

fn sigmoid(raw: &RawSigmoid) -> Result<Sigmoid, StudyError> {
    let window = whole("training.sigmoid.window", raw.window, 8, 65_536)?;
    if !window.is_power_of_two() {
        let rule = format!(
            "must be a power of two, for example {}",
            window.checked_next_power_of_two().unwrap_or(65_536)
        );
        return Err(StudyError::rule("training.sigmoid.window", rule));
    }
    let fit = match raw.fit.as_str() {
        "weighted" => SigmoidFit::Weighted,
        "plain" => SigmoidFit::Plain,
        _ => {
            let rule = "must be \"weighted\" or \"plain\"";
            return Err(StudyError::rule("training.sigmoid.fit", rule));
        }
    };
    Ok(Sigmoid { window, terms: whole("training.sigmoid.terms", raw.terms, 1, 64)?, fit })
}

/// A whole number in a range.
pub(super) fn whole(field: &str, value: i64, low: u32, high: u32) -> Result<u32, StudyError> {
    match u32::try_from(value) {
        Ok(value) if (low..=high).contains(&value) => Ok(value),
        _ => Err(StudyError::rule(field, format!("must be a whole number from {low} to {high}"))),
    }
}
