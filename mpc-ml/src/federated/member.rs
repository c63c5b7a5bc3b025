//! One party, from the joint model to what it adds to the sum of a round.

use std::fmt;

use mpc_core::aggregate::encode;
use mpc_core::ring::Z64;
use ndarray::Array2;
use zeroize::Zeroizing;

use super::joint::unit;
use super::local::{curvature, gradient, steps};
use super::{Joint, OwnRows, Terms};
use crate::error::Error;

/// A party with its rows. What it knows beside them are its own gradients.
pub struct Member {
    me: usize,
    rows: OwnRows,
    curvature: f64,
    /// The encoded gradient that is in the joint sum.
    summed: Zeroizing<Vec<Z64>>,
    /// Whether one is.
    was_in: bool,
    /// The one that was sent in a round, until it is known who was in it.
    pending: Option<(u64, Zeroizing<Vec<Z64>>)>,
}

impl Member {
    /// The party in the place `me`.
    #[must_use]
    pub fn new(terms: &Terms, me: usize, rows: OwnRows) -> Self {
        let summed = Zeroizing::new(vec![Z64(0); terms.coefficients()]);
        let curvature = curvature(terms.family, &rows, terms.l2);
        Self { me, rows, curvature, summed, was_in: false, pending: None }
    }

    /// What this party adds to the sum of the round that `joint` is at: n (w' - w), its own steps from the joint model,
    /// and the change of n g, its gradient there, since the last sum that it was in.
    ///
    /// # Errors
    /// A value that is not finite, or too large to be summed, by its column. Nothing was sent.
    pub fn contribution(
        &mut self,
        terms: &Terms,
        joint: &Joint,
    ) -> Result<Zeroizing<Vec<Z64>>, Error> {
        self.settle(joint);
        let shape = (terms.columns.len() + 1, terms.family.scores());
        let array = |values: Vec<f64>| {
            Array2::from_shape_vec(shape, values)
                .map_err(|_| Error::Settings("a model of another shape".to_owned()))
        };
        let model = array(joint.model.clone())?;
        let slope = gradient(terms.family, &self.rows, terms.l2, &model);
        let correction = match joint.gradient(terms) {
            Some(all) if self.was_in => {
                let own = unit(self.rows.count());
                let own = self.summed.iter().map(|value| value.0 as i64 as f64 / own);
                Some(array(all.iter().zip(own).map(|(all, own)| all - own).collect())?)
            }
            _ => None,
        };
        let how = (terms.family, terms.l2, terms.steps);
        let next = steps(how, &self.rows, self.curvature, correction.as_ref(), &model);
        let weights = (self.rows.count(), terms.total_rows());
        let moves: Zeroizing<Vec<f64>> = Zeroizing::new((next - &model).into_iter().collect());
        let slope: Zeroizing<Vec<f64>> = Zeroizing::new(slope.into_iter().collect());
        let mut all = encode(&moves, weights, |at| format!("the step of {}", terms.name(at)))?;
        let slope = encode(&slope, weights, |at| format!("the gradient of {}", terms.name(at)))?;
        // In one piece, so that no copy of it is left behind.
        let mut sent = Zeroizing::new(Vec::with_capacity(2 * slope.len()));
        sent.append(&mut all);
        sent.extend(slope.iter().zip(self.summed.iter()).map(|(&now, &before)| now - before));
        self.pending = Some((joint.round, slope));
        Ok(sent)
    }

    /// What it knows beside its rows and the joint model, to go on in another session. Of its rows: it stays here, sealed.
    pub(super) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(1 + 8 * self.summed.len()));
        bytes.push(u8::from(self.was_in));
        self.summed.iter().for_each(|value| bytes.extend_from_slice(&value.0.to_le_bytes()));
        bytes
    }

    /// Goes on from these bytes; `false` if they are none.
    #[must_use]
    pub(super) fn goes_on_from(&mut self, bytes: &[u8]) -> bool {
        let Some((was_in, words)) = bytes.split_first() else { return false };
        let (words, left) = words.as_chunks::<8>();
        let fits = *was_in < 2 && words.len() == self.summed.len() && left.is_empty();
        if fits {
            let values = words.iter().map(|word| Z64(u64::from_le_bytes(*word)));
            self.summed.iter_mut().zip(values).for_each(|(to, value)| *to = value);
            self.was_in = *was_in == 1;
        }
        fits
    }

    /// Finds out whether what was sent is in the joint sum.
    pub(super) fn settle(&mut self, joint: &Joint) {
        let Some((round, slope)) = self.pending.take() else { return };
        let place = usize::try_from(round - 1).unwrap_or(usize::MAX);
        if joint.members.get(place).is_some_and(|members| members.contains(self.me)) {
            self.summed = slope;
            self.was_in = true;
        }
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member")
            .field("me", &self.me)
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}
