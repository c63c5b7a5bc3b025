//! What a training goes on from between two iterations, in this session or in another one
//! (docs/protocols.md 0, Checkpoints).

use mpc_core::ring::{Ring, Z128};
use mpc_core::{Fixed, State};

use super::arithmetic::Opening;
use super::fit::Training;
use super::plan::W_FRACTION;
use crate::error::Error;

impl Training<'_> {
    /// What it could go on from: the weights, and where they are lifted those of the step before.
    pub(super) fn state(&self) -> Result<State, Error> {
        let plan = self.plan;
        let weights = self.weights.clone();
        let mut shares = vec![Fixed::new(weights, plan.weights_ring(), plan.wide_fraction())?];
        if let Opening::Bounded(_) = plan.weights_opened() {
            shares.push(Fixed::new(self.before.clone(), Z128::BITS, W_FRACTION)?);
        }
        Ok(State { step: self.done, public: Vec::new(), shares, own: Default::default() })
    }

    /// Goes on from a state; whether it is one of this training, which all parties see alike.
    pub(super) fn goes_on_from(&mut self, state: State) -> Result<bool, Error> {
        type Form = (usize, usize, u32, u32);
        let form = |it: &Fixed| -> Form { (it.rows(), it.columns(), it.ring(), it.fraction()) };
        let same = self.state()?.shares.iter().map(form).eq(state.shares.iter().map(form));
        if !same || state.step > self.plan.iterations() {
            return Ok(false);
        }
        let mut shares = state.shares.into_iter().map(|share| share.into_parts().0);
        if let Some(weights) = shares.next() {
            self.weights = weights;
        }
        if let Some(before) = shares.next() {
            self.before = before;
        }
        self.done = state.step;
        Ok(true)
    }

    /// The batches of an epoch that are still to be gone through, with their places in it.
    pub(super) fn left(&self, epoch: u64) -> Vec<(u64, usize)> {
        let batches = self.plan.schedule().batches() as u64;
        let done = self.done.saturating_sub(epoch * batches);
        (0..).zip(self.plan.schedule().order(epoch)).skip(done as usize).collect()
    }
}
