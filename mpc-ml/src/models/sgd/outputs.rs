//! What a training reveals, and what its parties compare and are told beforehand.

use mpc_core::Cost;

use super::certificate::LOSS_FRACTION;
use super::plan::{COEFFICIENT_FRACTION, E_FRACTION, SgdPlan, W_FRACTION, X_FRACTION};
use crate::error::Error;
use crate::model::{Canonical, Figures, Output, Plan, UNCHECKED, UNCHECKED_COLUMNS, steps};

/// The output that reveals the coefficients.
pub const COEFFICIENTS: &str = "coefficients";

/// The output that shows whether the model fits the rows that it was made of.
pub const LOSS: &str = "training loss";

/// The version of the arithmetic: to be raised when a rounding or a table changes.
const ARITHMETIC: u32 = 4;

impl Plan for SgdPlan {
    fn outputs(&self) -> Vec<Output> {
        let how = format!(
            "in {}; no coefficient of any step before the last",
            steps(self.settings().release_bits)
        );
        if let Ok(Some(owners)) = self.owners() {
            return owners.outputs(&how);
        }
        let (to, columns) = (self.facts().recipients, self.columns());
        let mut outputs =
            vec![Output::coefficients(COEFFICIENTS, to, columns, self.settings().intercept, &how)];
        if self.is_certified() {
            let what = format!(
                "how well the model fits: the mean log-loss of all training rows, in {}",
                steps(LOSS_FRACTION)
            );
            let mut why = "each party computes its own part at the revealed model, so it shows that \
                           the model is one of the parties' rows and not something that was written \
                           into the computation: above that of equal odds, the study ends without a \
                           model"
                .to_owned();
            if self.parties() == 2 {
                why += ". With two parties, each learns the other's mean loss by subtraction";
            }
            outputs.push(Output::result(LOSS, to, what, why));
        }
        outputs
    }

    /// Settings and facts, and every public number that multiplies a share.
    fn canonical(&self) -> Result<Canonical, Error> {
        let series = &self.sigmoid().series;
        let terms: Vec<(i64, i64)> = series.terms.iter().map(|t| (t.cosine, t.sine)).collect();
        let derived = (
            (X_FRACTION, W_FRACTION, E_FRACTION, COEFFICIENT_FRACTION, self.sigma()),
            (self.weights_opened().canonical(), self.residuals_opened().canonical()),
            (self.arithmetic().ring, self.arithmetic().growth, self.model_ring()),
            (self.phasors().fraction, self.phasors().angle_bits),
        );
        Canonical::new("logistic by gradient descent", ARITHMETIC)
            .with(self.settings())?
            .with(self.facts())?
            .field("scales that follow", &derived)?
            .field("step sizes that follow", self.steps())?
            .field("series that follows", &terms)
    }

    fn cost(&self, me: usize) -> Cost {
        self.training_cost(me) + self.release_cost(me)
    }

    fn checkpoints(&self) -> u64 {
        self.iterations().div_ceil(self.checkpoint_every())
    }

    fn figures(&self) -> Figures {
        let (sigmoid, settings) = (self.sigmoid(), self.settings());
        let mut precision = vec![format!(
            "the logistic function is off by at most {:.1e} near zero and {:.1e} in its window",
            sigmoid.error_near, sigmoid.error_window
        )];
        if self.holder().is_some() {
            precision.push(UNCHECKED_COLUMNS.to_owned());
            precision.push(format!(
                "nobody can see whether scores leave the window of the logistic function, +-{}, since \
                 nobody has all columns of a row: choose sigmoid.window with room",
                self.edge()
            ));
        } else if !self.facts().for_all() {
            precision.push(UNCHECKED.to_owned());
        }
        Figures {
            steps: self.iterations(),
            passes: false,
            rows_dropped: self.schedule().dropped(),
            sigma: self.sigma(),
            sigmoid_error: Some((sigmoid.error_near, sigmoid.error_window)),
            precision,
            public: vec![format!(
                "which rows (by position) form a batch: {} epochs in batches of {}, order from \
                 seed {}",
                settings.epochs, settings.batch, settings.seed
            )],
            accuracy: vec![format!(
                "the window {} and the {} terms of the logistic function",
                settings.sigmoid.window, settings.sigmoid.terms
            )],
        }
    }
}
