//! What a fit on columns goes on from after a pass (docs/protocols.md 0, Checkpoints).

use mpc_core::State;
use serde::{Deserialize, Serialize};

use super::fit::Fitting;
use super::scales::Stage;
use super::walk::Walk;
use crate::error::Error;

/// What all parties hold alike. The shares beside it are the lifted steps: every point is a public combination of
/// them.
#[derive(Serialize, Deserialize)]
struct Public {
    /// All scales follow from it and the plan; it is revealed again.
    centre: f64,
    walk: Walk,
    /// Whether the passes are the fine ones.
    fine: bool,
    /// What each step is below.
    bounds: Vec<f64>,
    /// Whether no pass follows.
    ended: bool,
}

fn stage(fine: bool) -> Stage {
    if fine { Stage::Fine } else { Stage::Coarse }
}

impl Fitting<'_, '_> {
    /// Goes on where an earlier session had come to, if the fit does so; whether no pass follows.
    pub(super) fn resume(&mut self) -> Result<bool, Error> {
        let Some(state) = self.run.resumed(&self.agreed)? else { return Ok(false) };
        let Some(public) = self.public(&state) else { return Ok(false) };
        (self.walk, self.bounds, self.steps) = (public.walk, public.bounds, state.shares);
        self.stage = stage(public.fine);
        self.run.goes_on(self.walk.made().into(), self.plan.settings.passes.into());
        Ok(public.ended)
    }

    /// The public part of a state; none where it is not one of this fit, which all parties see alike.
    fn public(&self, state: &State) -> Option<Public> {
        let public: Public = postcard::from_bytes(&state.public).ok()?;
        let made = public.walk.made();
        let (ring, fraction) = (128, self.scales.lifted);
        let fits = state.shares.iter().all(|step| {
            (step.rows(), step.columns()) == (self.plan.order(), 1)
                && (step.ring(), step.fraction()) == (ring, fraction)
        });
        let same = public.centre.to_bits() == self.centre.to_bits()
            && public.walk.goes_on(self.scales.values(stage(public.fine)).aim)
            && state.step == u64::from(made)
            && [state.shares.len(), public.bounds.len()] == [made as usize; 2];
        (fits && same).then_some(public)
    }

    /// Keeps where the fit is for another session. One round where checkpoints are kept.
    pub(super) async fn keep(&mut self, ended: bool) -> Result<(), Error> {
        let public = Public {
            centre: self.centre,
            walk: self.walk.clone(),
            fine: self.stage == Stage::Fine,
            bounds: self.bounds.clone(),
            ended,
        };
        let public = postcard::to_stdvec(&public)
            .map_err(|error| Error::Settings(format!("a walk cannot be written: {error}")))?;
        let state = State {
            step: self.walk.made().into(),
            public,
            shares: self.steps.clone(),
            own: Default::default(),
        };
        self.run.checkpoint(&self.agreed, state).await
    }
}
