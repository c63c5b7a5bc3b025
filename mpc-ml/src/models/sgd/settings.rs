//! What a study says about a logistic training by mini-batch gradient descent.

use mpc_core::approx::fit::Weighting;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::model::{Settings, in_range};

/// The settings of a training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SgdSettings {
    /// Whether there is an intercept.
    pub intercept: bool,
    /// The L2 penalty: (l2 / 2) |w|^2, the intercept not penalised. From 0 to 1000.
    pub l2: f64,
    /// The bound on the magnitude of the entries of the design matrix, made true by clipping. From
    /// 0.001 to 65536.
    pub clip: f64,
    /// How often every batch is used. From 1 to 100000.
    pub epochs: u64,
    /// Rows of a batch, over all parties. From 1 to 10^6.
    pub batch: u64,
    /// The step size of the first epoch. Above 0, to 1000.
    pub learning_rate: f64,
    /// The step size of epoch e, counted from 0, is `learning_rate / (1 + decay e)`. From 0 to 1000.
    pub decay: f64,
    /// Heavy-ball momentum: the share of the last step that is made again. From 0 to 0.999.
    pub momentum: f64,
    /// The public seed of the schedule.
    pub seed: u64,
    /// How the logistic function is computed.
    pub sigmoid: Sigmoid,
    /// Binary digits after the point of the revealed coefficients. From 8 to 24.
    pub release_bits: u32,
}

/// The trigonometric series in place of the logistic function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sigmoid {
    /// The period of the series, a power of two from 8 to 65536: scores within half of it are
    /// computed right.
    pub window: u32,
    /// The number of its terms. From 1 to 64.
    pub terms: u32,
    /// How its coefficients are chosen.
    pub fit: SigmoidFit,
}

/// How the coefficients of the series are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SigmoidFit {
    /// More exact where scores are frequent.
    Weighted,
    /// Equally exact over the window.
    Plain,
}

impl SigmoidFit {
    pub(super) fn weighting(self) -> Weighting {
        match self {
            Self::Weighted => Weighting::Weighted,
            Self::Plain => Weighting::Plain,
        }
    }
}

impl SgdSettings {
    /// The step size of an epoch, counted from 0.
    #[must_use]
    pub fn step_size(&self, epoch: u64) -> f64 {
        self.learning_rate / (1.0 + self.decay * epoch as f64)
    }

    /// Entries of the design matrix are below 2^entry_bits in fixed point.
    pub(super) fn entry_bits(&self) -> u32 {
        super::plan::X_FRACTION + libm::ceil(libm::log2(self.clip.max(1.0))) as u32 + 1
    }
}

impl Settings for SgdSettings {
    fn validate(&self) -> Result<(), Error> {
        in_range("epochs", self.epochs as f64, 1.0, 1e5)?;
        in_range("batch", self.batch as f64, 1.0, 1e6)?;
        in_range("learning_rate", self.learning_rate, 1e-9, 1e3)?;
        in_range("decay", self.decay, 0.0, 1e3)?;
        in_range("momentum", self.momentum, 0.0, 0.999)?;
        in_range("l2", self.l2, 0.0, 1e3)?;
        in_range("clip", self.clip, 1e-3, 65536.0)?;
        in_range("sigmoid.window", f64::from(self.sigmoid.window), 8.0, 65536.0)?;
        if !self.sigmoid.window.is_power_of_two() {
            let example = self.sigmoid.window.next_power_of_two();
            let rule = format!("must be a power of two, for example {example}");
            return Err(Error::field("sigmoid.window", rule));
        }
        in_range("sigmoid.terms", f64::from(self.sigmoid.terms), 1.0, 64.0)?;
        in_range("release_bits", f64::from(self.release_bits), 8.0, 24.0)?;
        let shrinks = self.learning_rate * self.l2;
        if shrinks > 0.5 {
            let rule = format!(
                "x l2 is {shrinks}, and must be at most 0.5: the penalty alone would overshoot"
            );
            return Err(Error::field("learning_rate", rule));
        }
        Ok(())
    }

    fn clip(&self) -> f64 {
        self.clip
    }
}
