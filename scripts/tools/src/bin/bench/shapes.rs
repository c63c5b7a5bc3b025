//! The trainings that are measured.

use mpc_core::correlations::Origin;
use mpc_ml::data::STANDARDISED;
use mpc_ml::model::Facts;
use mpc_ml::models::sgd::{Sigmoid, SigmoidFit};
use mpc_ml::{Rows, SgdPlan, SgdSettings, synthetic};

use crate::Outcome;
use crate::mesh::Nodes;
use crate::relay::Line;

/// A part of the whole that can be asked for alone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Training,
    Wide,
    Slow,
    Linear,
    Optimum,
}

impl Part {
    /// The part of this name; the kernels are measured elsewhere.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "training" => Some(Self::Training),
            "wide" => Some(Self::Wide),
            "slow" => Some(Self::Slow),
            "linear" => Some(Self::Linear),
            "optimum" => Some(Self::Optimum),
            _ => None,
        }
    }
}

/// What is done in one run of a training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// From key agreement to the revealed model.
    Whole,
    /// All correlations, and then the training with them. Two records.
    Apart,
    /// The messages of the training, without computation.
    Replay,
    /// One kind of request alone: its place in [`SgdPlan::requests`].
    Only(usize),
}

/// The names of the requests of an iteration, in their order.
pub const REQUESTS: [&str; 3] = ["forward", "phasors", "transposed"];

const BY_PARTIES: &[Step] =
    &[Step::Whole, Step::Apart, Step::Replay, Step::Only(0), Step::Only(1), Step::Only(2)];
const BY_DEALER: &[Step] = &[Step::Whole, Step::Apart, Step::Replay];

/// A training to measure.
#[derive(Clone, Copy)]
pub struct Shape {
    pub name: &'static str,
    pub part: Part,
    pub origin: Origin,
    pub parties: usize,
    pub rows: usize,
    pub columns: usize,
    pub batch: u64,
    pub epochs: u64,
    /// The period is 2^`window`.
    pub window: u32,
    pub terms: u32,
    pub fit: SigmoidFit,
    pub steps: &'static [Step],
    pub runs: usize,
    /// What lies between the nodes; nothing but loopback if there is none.
    pub line: Option<Line>,
    /// What a run may take at most, from key agreement to the model: seconds, and MB sent by a
    /// party.
    pub aim: Option<(f64, f64)>,
}

const PAIRWISE: Shape = Shape {
    name: "P = 128, K = 12",
    part: Part::Training,
    origin: Origin::Pairwise,
    parties: 3,
    rows: 10_000,
    columns: 100,
    batch: 128,
    epochs: 5,
    window: 7,
    terms: 12,
    fit: SigmoidFit::Weighted,
    steps: BY_PARTIES,
    runs: 3,
    line: None,
    aim: Some((5.0, 250.0)),
};

const P64: Shape =
    Shape { name: "P = 64, K = 8", window: 6, terms: 8, fit: SigmoidFit::Plain, ..PAIRWISE };

const P32: Shape =
    Shape { name: "P = 32, K = 5", window: 5, terms: 5, fit: SigmoidFit::Plain, ..PAIRWISE };

const WHOLE: Shape = Shape { steps: &[Step::Whole], aim: None, ..PAIRWISE };

const FULL_BATCH: Shape = Shape {
    name: "full batches, P = 128, K = 12",
    part: Part::Wide,
    batch: 10_000,
    epochs: 20,
    aim: Some((8.0, 300.0)),
    runs: 1,
    ..PAIRWISE
};

const WIDE: Shape = Shape {
    name: "wide, P = 128, K = 12",
    part: Part::Wide,
    rows: 12_800,
    columns: 784,
    epochs: 1,
    runs: 1,
    aim: Some((15.0, f64::INFINITY)),
    ..PAIRWISE
};

const LARGE: Shape = Shape {
    name: "large, P = 128, K = 12",
    rows: 60_000,
    batch: 1024,
    steps: &[Step::Whole],
    aim: None,
    ..WIDE
};

const DEALER: Shape = Shape {
    name: "with a dealer, P = 128, K = 12",
    origin: Origin::Dealer,
    steps: BY_DEALER,
    aim: None,
    ..PAIRWISE
};

const DEALER_P64: Shape = Shape {
    name: "with a dealer, P = 64, K = 16",
    window: 6,
    terms: 16,
    fit: SigmoidFit::Plain,
    ..DEALER
};

const SLOW: Shape = Shape {
    name: "slow link, P = 128, K = 12",
    part: Part::Slow,
    steps: &[Step::Whole, Step::Apart],
    runs: 1,
    line: Some(Line::SLOW),
    aim: None,
    ..PAIRWISE
};

const SLOWER: Shape = Shape {
    name: "slower link, P = 128, K = 12",
    steps: &[Step::Apart],
    line: Some(Line::SLOWER),
    ..SLOW
};

const SLOW_DEALER: Shape =
    Shape { name: "slow link, with a dealer, P = 128, K = 12", origin: Origin::Dealer, ..SLOW };

const SMOKE: Shape = Shape {
    name: "smoke, without a dealer",
    rows: 1000,
    columns: 20,
    epochs: 2,
    runs: 1,
    aim: None,
    ..PAIRWISE
};

/// Everything there is, in the order in which it is printed.
const ALL: &[Shape] = &[
    PAIRWISE,
    P64,
    P32,
    Shape { name: "two parties, P = 128, K = 12", parties: 2, ..WHOLE },
    Shape { name: "five parties, P = 128, K = 12", parties: 5, ..WHOLE },
    DEALER,
    DEALER_P64,
    FULL_BATCH,
    WIDE,
    LARGE,
    SLOW,
    SLOWER,
    SLOW_DEALER,
];

const TINY: &[Shape] = &[
    SMOKE,
    Shape { name: "smoke, with a dealer", origin: Origin::Dealer, steps: BY_DEALER, ..SMOKE },
    Shape {
        name: "smoke, slow link",
        part: Part::Slow,
        steps: &[Step::Whole, Step::Apart],
        line: Some(Line::SLOW),
        ..SMOKE
    },
];

/// The trainings of some parts, or those of a smoke run.
pub fn shapes(smoke: bool, parts: &[Part]) -> Vec<Shape> {
    if smoke {
        return TINY.to_vec();
    }
    ALL.iter().filter(|shape| parts.contains(&shape.part)).copied().collect()
}

/// The training of this name.
pub fn find(name: &str) -> Outcome<Shape> {
    let shape = ALL.iter().chain(TINY).find(|shape| shape.name == name);
    shape.copied().ok_or_else(|| format!("there is no training called {name}").into())
}

impl Shape {
    /// Parties, and the dealer where there is one.
    pub fn nodes(&self) -> usize {
        self.parties + usize::from(self.origin == Origin::Dealer)
    }

    /// The processes of the training.
    pub fn mesh(&self) -> Nodes {
        Nodes {
            role: ["--training", self.name],
            parties: self.parties,
            dealer: self.origin == Origin::Dealer,
            line: self.line,
        }
    }

    pub fn data(&self) -> Vec<Rows> {
        synthetic::logistic(self.rows, self.columns, self.parties, 1)
    }

    /// The rows of a party, as the synthetic data are divided.
    fn rows_of(&self, party: usize) -> u64 {
        (self.rows / self.parties + usize::from(party < self.rows % self.parties)) as u64
    }

    pub fn plan(&self) -> Outcome<SgdPlan> {
        let rows: Vec<u64> = (0..self.parties).map(|party| self.rows_of(party)).collect();
        let facts = Facts::horizontal(&rows, vec![STANDARDISED; self.columns], self.origin);
        let settings = SgdSettings {
            intercept: true,
            l2: 0.0,
            clip: 8.0,
            epochs: self.epochs,
            batch: self.batch,
            learning_rate: 0.5,
            decay: 0.0,
            momentum: 0.0,
            seed: 1,
            sigmoid: Sigmoid { window: 1 << self.window, terms: self.terms, fit: self.fit },
            release_bits: 20,
        };
        Ok(SgdPlan::new(&settings, &facts)?)
    }

    /// What a person reads above the figures.
    pub fn title(&self) -> String {
        let Self { rows, columns, batch, epochs, parties, name, .. } = self;
        let dealer = if self.origin == Origin::Dealer { " and a dealer" } else { "" };
        format!(
            "{name}: {rows} x {columns}, B = {batch}, {epochs} epochs, {parties} parties{dealer}"
        )
    }
}
