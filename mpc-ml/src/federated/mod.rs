//! Federated averaging on exact sums that no server makes (docs/protocols.md 19): in each round every party
//! improves the joint model on its own rows, in the clear, and the parties learn the mean of the improvements over
//! those who are there.
//!
//! It reveals the joint model of each round, and who was in it; a fit of [`models`](crate::models) reveals less, is at the
//! optimum, and has standard errors. It takes many numbers (a model of 100,000 coefficients), classes of several
//! levels, many parties, and parties that come and go.
//!
//! # Security
//! That of [`mpc_core::aggregate`], and what models tell: [`Terms::outputs`].

mod joint;
mod local;
mod member;
mod plaintext;
mod rows;
mod run;
mod study;
#[cfg(test)]
mod tests;

use std::time::Duration;

use mpc_core::aggregate;
use mpc_core::aggregate::Set;

pub use joint::Joint;
pub use member::Member;
pub use plaintext::plain;
pub use rows::OwnRows;
pub use run::{Begun, Fitted, Progress, fit};
pub use study::{Federated, FederatedFit, FederatedPlan, FederatedSettings};

use crate::error::Error;
use crate::model::Output;

/// What is predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// A number, by least squares.
    Linear,
    /// Yes or no: the target is 1 or 0.
    Logistic,
    /// One of so many levels, by softmax regression: the target is the place of the level.
    Multinomial {
        /// How many levels there are.
        levels: usize,
    },
}

impl Family {
    /// How many numbers a row's prediction is made of.
    #[must_use]
    pub fn scores(self) -> usize {
        match self {
            Self::Linear | Self::Logistic => 1,
            Self::Multinomial { levels } => levels,
        }
    }
}

/// What the parties must agree on. All of it is public.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    /// What is predicted.
    pub family: Family,
    /// The names of the columns, without the intercept, which every model has.
    pub columns: Vec<String>,
    /// The rows of each party.
    pub rows: Vec<u64>,
    /// The weight of half the squared coefficients in the objective, without the intercepts.
    pub l2: f64,
    /// The steps of a party in a round.
    pub steps: u32,
    /// The rounds.
    pub rounds: u64,
    /// How few parties may be in a round.
    pub least: usize,
    /// With how many parties a round can be ended that others fall out of; see [`mpc_core::aggregate::Terms::threshold`].
    pub threshold: Option<usize>,
    /// How long a party that is late is waited for; see [`mpc_core::aggregate::Terms::patience`].
    pub patience: Duration,
}

impl Terms {
    /// As many rounds and steps as suit most tables, and as few parties as a sum may be of.
    #[must_use]
    pub fn new(family: Family, columns: Vec<String>, rows: Vec<u64>) -> Self {
        let least = aggregate::Terms::fewest(rows.len());
        let patience = Duration::from_secs(60);
        let (l2, steps, rounds, threshold) = (0.01, 20, 20, None);
        Self { family, columns, rows, l2, steps, rounds, least, threshold, patience }
    }

    /// Checks each of them, and those that must fit together.
    ///
    /// # Errors
    /// [`Error::Field`] with the field and the rule.
    pub fn validate(&self) -> Result<(), Error> {
        let (parties, fewest) = (self.rows.len(), aggregate::Terms::fewest(self.rows.len()));
        if !(2..=Set::MOST).contains(&parties) {
            return Err(Error::field("parties", format!("are from 2 to {}", Set::MOST)));
        }
        if self.least < fewest || self.least > parties {
            let rule = format!(
                "is {}, and must be from {fewest} to {parties} for {parties} parties: more than half of them, and \
                 three where there are three",
                self.least
            );
            return Err(Error::field("least_parties", rule));
        }
        if let Some(threshold) = self.threshold
            && (2 * threshold <= parties || threshold > self.least)
        {
            let rule = format!(
                "is {threshold}, and must be from {} to {} for {parties} parties: more than half of them, so that no two \
                 groups can each uncover a sum of a round, and no more than least_parties, with which a round may begin",
                parties / 2 + 1,
                self.least
            );
            return Err(Error::field("threshold", rule));
        }
        if self.rows.contains(&0) || self.total_rows() > 1 << 30 {
            return Err(Error::field(
                "rows",
                "must be at least one at each party, and at most 2^30",
            ));
        }
        if !self.l2.is_finite() || self.l2 <= 0.0 || self.l2 > 1e6 {
            return Err(Error::field("l2", "must be a number above 0, and at most 1e6"));
        }
        for (field, value) in [("rounds", self.rounds), ("own_steps", u64::from(self.steps))] {
            if !(1..=10_000).contains(&value) {
                return Err(Error::field(
                    field,
                    format!("is {value}, and must be from 1 to 10000"),
                ));
            }
        }
        if let Family::Multinomial { levels } = self.family
            && !(2..=1000).contains(&levels)
        {
            return Err(Error::field("levels", "of a target are from 2 to 1000"));
        }
        if self.patience.is_zero() {
            return Err(Error::field("patience_s", "must be more than nothing"));
        }
        Ok(())
    }

    /// The rows of all parties.
    #[must_use]
    pub fn total_rows(&self) -> u64 {
        self.rows.iter().sum()
    }

    /// How many coefficients a model has, intercepts included.
    #[must_use]
    pub fn coefficients(&self) -> usize {
        (self.columns.len() + 1) * self.family.scores()
    }

    /// The coefficient in this place, in words.
    fn name(&self, at: usize) -> String {
        let scores = self.family.scores();
        let (column, level) = (at / scores, at % scores);
        let column = self.columns.get(column).map_or("the intercept", String::as_str);
        match self.family {
            Family::Multinomial { .. } => format!("{column} (level {level})"),
            Family::Linear | Family::Logistic => column.to_owned(),
        }
    }

    /// What the aggregation of the rounds is agreed to be.
    #[must_use]
    pub fn aggregation(&self) -> aggregate::Terms {
        aggregate::Terms {
            len: 2 * self.coefficients(),
            least: self.least,
            threshold: self.threshold,
            state_bytes: Joint::bytes(self),
            patience: self.patience,
        }
    }

    /// Everything that is revealed: a sum in each round.
    #[must_use]
    pub fn outputs(&self) -> Vec<Output> {
        let (numbers, least, parties) = (self.coefficients(), self.least, self.rows.len());
        let who = if least < parties {
            format!("which of the {parties} parties were in it ({least} at least)")
        } else {
            format!("that all {parties} parties were in it")
        };
        let what = format!(
            "after a round (of {}): {who}; the joint model after it, {numbers} coefficients (the model before and \
             the mean of the members' own steps from it, each weighted by its number of rows); and the mean gradient of the \
             objective at the model before, over the rows of all who were in a round so far. In the first round that model \
             is zero, and the gradient there tells {} and the sum of each column weighted with it",
            self.rounds,
            match self.family {
                Family::Linear => "the mean of the target",
                _ => "how many rows have each class of the target,",
            }
        );
        let mut why = "the next round starts from them, and the model after the last one is the result. The models and \
                       gradients of all rounds together tell more about the joint rows than the last model alone; \
                       differential privacy is not applied. A run that breaks off goes on after the last round that anybody \
                       had kept; a round that nobody had, it shows again. "
            .to_owned();
        why += &match self.threshold {
            None => "Nobody learns the part of a single party, as long as there are two whose nodes do not pool what they see"
                .to_owned(),
            Some(threshold) => format!(
                "Nobody learns the part of a single party, as long as fewer than {threshold} nodes pool what they see: \
                 {threshold} of them together can uncover the part of any party ({threshold} can end a round that others fall \
                 out of). {}",
                // Two quorums of a round take so many that are in both.
                match (2 * threshold).saturating_sub(parties) {
                    all if all >= threshold => String::new(),
                    few => format!(
                        "As few as {few} may learn the part of a party that is cut off from the others in the last step of a round"
                    ),
                }
            ),
        };
        if least < parties {
            why += ". A party that is in one round and not in the next one shows by the difference about what its own \
                    rows would change; one that is in a round of a run that breaks off, and not in the same round \
                    of the run that follows, shows its part of it";
        }
        if parties == 2 {
            why += ". WARNING: with two parties, each can subtract its own part and learns the other's";
        }
        let output = |round| Output::figure(label(round), what.clone(), why.clone());
        (1..=self.rounds).map(output).collect()
    }
}

/// The output of a round.
#[must_use]
pub fn label(round: u64) -> String {
    format!("joint model of round {round}")
}
