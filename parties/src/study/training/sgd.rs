//! `solver = "sgd"`.

use std::fmt;

use super::{needed, number, whole, window};
use crate::study::StudyError;
use crate::study::raw::{RawSigmoid, RawTraining};

/// Stochastic gradient descent on batches of all parties' rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Sgd {
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

impl Sgd {
    /// The step length in `epoch`, counted from 0.
    #[must_use]
    pub fn step_length(&self, epoch: u32) -> f64 {
        self.learning_rate / (1.0 + self.decay * f64::from(epoch))
    }
}

pub(super) fn check(raw: &RawTraining) -> Result<Sgd, StudyError> {
    let solver = "sgd";
    let epochs = needed("training.epochs", raw.epochs, solver)?;
    let batch = needed("training.batch", raw.batch, solver)?;
    let rate = needed("training.learning_rate", raw.learning_rate, solver)?;
    let decay = needed("training.decay", raw.decay, solver)?;
    let momentum = needed("training.momentum", raw.momentum, solver)?;
    let seed = needed("training.seed", raw.seed, solver)?;
    let series = needed("training.sigmoid", raw.sigmoid.as_ref(), solver)?;
    Ok(Sgd {
        epochs: whole("training.epochs", epochs, 1, 100_000)?,
        batch: whole("training.batch", batch, 1, 1_000_000)?,
        learning_rate: number(
            "training.learning_rate",
            rate,
            rate > 0.0 && rate <= 1000.0,
            "a number above 0, at most 1000",
        )?,
        decay: number(
            "training.decay",
            decay,
            (0.0..=1000.0).contains(&decay),
            "a number from 0 to 1000",
        )?,
        momentum: number(
            "training.momentum",
            momentum,
            (0.0..1.0).contains(&momentum),
            "a number from 0 to below 1",
        )?,
        seed: u64::try_from(seed)
            .map_err(|_| StudyError::rule("training.seed", "must be a whole number from 0"))?,
        sigmoid: sigmoid(series)?,
    })
}

fn sigmoid(raw: &RawSigmoid) -> Result<Sigmoid, StudyError> {
    let field = "training.sigmoid.fit";
    let fit = match needed(field, raw.fit.as_deref(), "sgd")? {
        "weighted" => SigmoidFit::Weighted,
        "plain" => SigmoidFit::Plain,
        _ => return Err(StudyError::rule(field, "must be \"weighted\" or \"plain\"")),
    };
    let terms = whole("training.sigmoid.terms", raw.terms, 1, 64)?;
    Ok(Sigmoid { window: window(raw.window)?, terms, fit })
}
