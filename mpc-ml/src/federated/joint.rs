//! The public state: the joint model and all that the next round starts from.

use mpc_core::aggregate::{FRACTION, Set, decode};
use mpc_core::ring::Z64;

use super::{Family, Terms};
use crate::error::Error;

/// The joint model, as all parties know it at the beginning of a round.
#[derive(Clone, Debug, PartialEq)]
pub struct Joint {
    /// The round that is next, from 1.
    pub round: u64,
    /// The coefficients: for each column the scores one after the other, the intercepts last.
    pub model: Vec<f64>,
    /// The sum of the members' gradients, each as often as it has rows, as of the last round that it was in: in integers.
    gradients: Vec<u64>,
    /// The mean gradient after the first round, which is the one at zero over the rows of its members.
    first: Vec<f64>,
    /// Who was in each round.
    pub members: Vec<Set>,
}

impl Joint {
    /// Where all begin: at zero.
    #[must_use]
    pub fn new(terms: &Terms) -> Self {
        let count = terms.coefficients();
        let (model, gradients) = (vec![0.0; count], vec![0; count]);
        Self { round: 1, first: model.clone(), model, gradients, members: Vec::new() }
    }

    /// Whether the last round is over.
    #[must_use]
    pub fn is_last(&self, terms: &Terms) -> bool {
        self.round > terms.rounds
    }

    /// Everybody who was in a round.
    #[must_use]
    pub fn heard(&self) -> Set {
        self.members.iter().fold(Set::default(), |heard, members| heard.or(*members))
    }

    /// The mean gradient over the rows of all who were in a round; none before the first one.
    #[must_use]
    pub fn gradient(&self, terms: &Terms) -> Option<Vec<f64>> {
        let rows: u64 = rows_of(terms, self.heard());
        let sum: Vec<Z64> = self.gradients.iter().map(|&value| Z64(value)).collect();
        (rows > 0).then(|| decode(&sum, rows))
    }

    /// How much of the length of the gradient is left, of that after the first round.
    pub(super) fn left(&self, terms: &Terms) -> f64 {
        let Some(gradient) = self.gradient(terms) else { return 1.0 };
        match length(&self.first) {
            first if first > 0.0 => length(&gradient) / first,
            _ => 0.0,
        }
    }

    /// The classes that no row has of those who were in the first round: at zero all classes are as likely, and the gradient
    /// of an intercept is that less the part of the rows that have its class.
    #[must_use]
    pub fn empty_classes(&self, terms: &Terms) -> Vec<usize> {
        let Some(members) = self.members.first() else { return Vec::new() };
        // Means are summed in units of 2^-24.
        let least =
            (0.5 / rows_of(terms, *members) as f64).max(libm::ldexp(1.0, -(FRACTION as i32)));
        let intercepts = &self.first[self.first.len() - terms.family.scores()..];
        let parts = match terms.family {
            Family::Linear => return Vec::new(),
            Family::Logistic => intercepts.iter().flat_map(|g| [0.5 + g, 0.5 - g]).collect(),
            Family::Multinomial { levels } => {
                intercepts.iter().map(|g| 1.0 / levels as f64 - g).collect::<Vec<_>>()
            }
        };
        (0..parts.len()).filter(|&class| parts[class] < least).collect()
    }

    /// Takes the sum of a round: the model moves by the mean over its members, weighted by their rows.
    ///
    /// # Errors
    /// When the sum is not as long as the terms say.
    pub fn add(&mut self, terms: &Terms, members: Set, sum: &[Z64]) -> Result<(), Error> {
        let count = terms.coefficients();
        if sum.len() != 2 * count || members.is_empty() {
            return Err(Error::Settings("a sum of another model".to_owned()));
        }
        let (moves, changes) = sum.split_at(count);
        let moves = decode(moves, rows_of(terms, members));
        self.model.iter_mut().zip(moves).for_each(|(value, by)| *value += by);
        for (sum, change) in self.gradients.iter_mut().zip(changes) {
            *sum = sum.wrapping_add(change.0);
        }
        self.members.push(members);
        if self.round == 1 {
            self.first = self.gradient(terms).unwrap_or_default();
        }
        self.round += 1;
        Ok(())
    }

    /// How many bytes a state of these terms has at most.
    #[must_use]
    pub fn bytes(terms: &Terms) -> usize {
        8 + 24 * terms.coefficients() + 16 * terms.rounds as usize
    }

    /// The state as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.round.to_le_bytes().to_vec();
        let numbers = self.first.iter().chain(&self.model);
        numbers.for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
        self.gradients.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
        self.members.iter().for_each(|members| bytes.extend_from_slice(&members.to_bytes()));
        bytes
    }

    /// The state with these bytes; `None` if they are none of these terms.
    #[must_use]
    pub fn from_bytes(terms: &Terms, bytes: &[u8]) -> Option<Self> {
        let count = terms.coefficients();
        let (round, rest) = bytes.split_first_chunk::<8>()?;
        let round = u64::from_le_bytes(*round);
        let (first, rest) = rest.split_at_checked(8 * count)?;
        let (model, rest) = rest.split_at_checked(8 * count)?;
        let (gradients, rest) = rest.split_at_checked(8 * count)?;
        let (members, left) = rest.as_chunks::<16>();
        let words = |bytes: &[u8]| -> Vec<u64> {
            bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect()
        };
        let numbers = |bytes| words(bytes).into_iter().map(f64::from_bits).collect::<Vec<_>>();
        let (first, model) = (numbers(first), numbers(model));
        let members: Vec<Set> = members.iter().map(|members| Set::from_bytes(*members)).collect();
        let all = Set::below(terms.rows.len());
        let rounds = round.checked_sub(1).filter(|&rounds| rounds <= terms.rounds)?;
        let fits = left.is_empty()
            && members.len() as u64 == rounds
            && members.iter().all(|set| set.within(all) && set.len() >= terms.least)
            && model.iter().chain(&first).all(|value| value.is_finite());
        fits.then(|| Self { round, model, gradients: words(gradients), first, members })
    }
}

fn length(of: &[f64]) -> f64 {
    libm::sqrt(of.iter().map(|value| value * value).sum())
}

fn rows_of(terms: &Terms, members: Set) -> u64 {
    members.iter().filter_map(|party| terms.rows.get(party)).sum()
}

/// The unit of the encoded gradients of a party with so many rows.
pub(super) fn unit(rows: u64) -> f64 {
    libm::ldexp(rows as f64, FRACTION as i32)
}
