//! What a fit goes on from after a pass, in this session or in another one (docs/protocols.md 0, Checkpoints).

use mpc_core::{Fixed, State};
use serde::{Deserialize, Serialize};

use super::fit::{Fitting, Pass};
use super::rule::Rule;
use super::scales::Scales;
use crate::error::Error;

/// Where a fit is between two passes.
pub(super) struct Place {
    pub(super) w: Fixed,
    /// The last pass, and the best one.
    pub(super) last: Option<Pass>,
    pub(super) best: Option<Pass>,
    /// Whether no pass follows.
    pub(super) ended: bool,
}

impl Place {
    /// Before the first pass.
    pub(super) fn beginning(w: Fixed) -> Self {
        Self { w, last: None, best: None, ended: false }
    }
}

/// What all parties hold alike of it.
#[derive(Serialize, Deserialize)]
struct Public {
    /// The scales that all shares follow from: they come from sums that are revealed again.
    scales: [u32; 5],
    rule: Rule,
    largest: f64,
    last: bool,
    best: bool,
    ended: bool,
}

/// The numbers by which shares of one session mean the same in another.
fn numbers(scales: &Scales) -> [u32; 5] {
    let Scales { exponent, step_fraction, weighed_fraction, gradient_fraction, ring, .. } = scales;
    [*exponent, *step_fraction, *weighed_fraction, *gradient_fraction, *ring]
}

impl Fitting<'_, '_> {
    /// Where an earlier session had come to, if the fit goes on from there; the rule goes on with it.
    pub(super) fn resume(&mut self) -> Result<Option<Place>, Error> {
        let Some(agreed) = self.agreed else { return Ok(None) };
        let Some(state) = self.run.resumed(&agreed)? else { return Ok(None) };
        let Some((place, public)) = self.place(state) else { return Ok(None) };
        (self.rule, self.largest) = (public.rule, public.largest);
        self.resumed = true;
        self.run.goes_on(self.rule.made().into(), self.plan.settings.passes.into());
        Ok(Some(place))
    }

    /// The place of a state; none where it is not one of this fit, which all parties see alike.
    fn place(&self, state: State) -> Option<(Place, Public)> {
        let public: Public = postcard::from_bytes(&state.public).ok()?;
        let due = 1 + 2 * (usize::from(public.last) + usize::from(public.best));
        let fits = |share: &Fixed| (share.rows(), share.columns()) == (self.plan.order(), 1);
        if public.scales != numbers(self.scales)
            || state.step != u64::from(public.rule.made())
            || state.shares.len() != due
            || !state.shares.iter().all(fits)
        {
            return None;
        }
        let mut shares = state.shares.into_iter();
        let w = shares.next()?;
        let mut pass = |is: bool| match is {
            true => Some(Pass { w: shares.next()?, s: shares.next()? }),
            false => None,
        };
        let (last, best) = (pass(public.last), pass(public.best));
        Some((Place { w, last, best, ended: public.ended }, public))
    }

    /// Keeps the place for another session. One round where checkpoints are kept.
    pub(super) async fn keep(&mut self, place: &Place) -> Result<(), Error> {
        let Some(agreed) = self.agreed else { return Ok(()) };
        let public = Public {
            scales: numbers(self.scales),
            rule: self.rule.clone(),
            largest: self.largest,
            last: place.last.is_some(),
            best: place.best.is_some(),
            ended: place.ended,
        };
        let public = postcard::to_stdvec(&public)
            .map_err(|error| Error::Settings(format!("a rule cannot be written: {error}")))?;
        let passes = place.last.iter().chain(&place.best);
        let shares = std::iter::once(&place.w).chain(passes.flat_map(|pass| [&pass.w, &pass.s]));
        let shares = shares.cloned().collect();
        let state =
            State { step: self.rule.made().into(), public, shares, own: Default::default() };
        self.run.checkpoint(&agreed, state).await
    }
}
