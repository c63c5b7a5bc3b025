//! The trainings that are measured.

use mpc_core::correlations::Origin;
use mpc_core::protocols::fit::Weighting;
use mpc_ml::{Rows, SgdPlan, SgdSettings, synthetic};

use crate::{Outcome, PARTIES};

/// A training to measure.
#[derive(Clone, Copy)]
pub struct Shape {
    pub name: &'static str,
    pub rows: usize,
    pub columns: usize,
    pub epochs: u64,
    pub window: u32,
    pub terms: u32,
    pub weighting: Weighting,
    pub runs: usize,
}

const DEFAULT: Shape = Shape {
    name: "10,000 x 100, B = 128, 5 epochs, P = 128, K = 12",
    rows: 10_000,
    columns: 100,
    epochs: 5,
    window: 7,
    terms: 12,
    weighting: Weighting::Weighted,
    runs: 5,
};

const ACCURATE: Shape = Shape {
    name: "10,000 x 100, B = 128, 5 epochs, P = 64, K = 16",
    window: 6,
    terms: 16,
    weighting: Weighting::Plain,
    runs: 3,
    ..DEFAULT
};

const SMOKE: Shape = Shape {
    name: "1,000 x 20, B = 128, 2 epochs",
    rows: 1000,
    columns: 20,
    epochs: 2,
    runs: 1,
    ..DEFAULT
};

pub fn shapes(smoke: bool) -> Vec<Shape> {
    if smoke { vec![SMOKE] } else { vec![DEFAULT, ACCURATE] }
}

impl Shape {
    pub fn data(&self) -> Vec<Rows> {
        synthetic::logistic(self.rows, self.columns, PARTIES, 1)
    }

    pub fn plan(&self, data: &[Rows]) -> Outcome<SgdPlan> {
        Ok(SgdPlan::new(SgdSettings {
            origin: Origin::Dealer,
            rows: data.iter().map(|rows| rows.len() as u64).collect(),
            columns: u32::try_from(self.columns)?,
            intercept: true,
            l2: 0.0,
            clip: 8.0,
            epochs: self.epochs,
            batch: 128,
            learning_rate: 0.5,
            decay: 0.0,
            momentum: 0.0,
            seed: 1,
            window: self.window,
            terms: self.terms,
            weighting: self.weighting,
            release_fraction: 20,
        })?)
    }
}
