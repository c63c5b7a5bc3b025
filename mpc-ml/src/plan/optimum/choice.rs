//! Which functions of the score a fit uses: the cheapest that are precise enough, and cheaper ones
//! in the passes where precision would be wasted (docs/protocols.md 8).

use mpc_core::correlations::pairwise::{Expansion, PhasorPlan};
use mpc_core::correlations::{Origin, PhasorRequest};

use super::phasors::OwnPhasors;
use super::precision::Aims;
use super::{GlmSettings, Link, Method, OptimumPlan};
use crate::error::Error;
use crate::plan::refuse;

/// Coarse functions have so many eighths of the terms, at least.
const LEAST_EIGHTHS: u32 = 4;

/// Coarser functions, which are enough for the passes before another.
#[derive(Clone, Debug)]
pub(super) struct Coarse {
    pub(super) link: Link,
    /// The first pass that is not theirs.
    pub(super) until: usize,
}

/// Forms of phasors, from the coarsest to the finest.
type Way = Vec<Option<OwnPhasors>>;

/// The ways to make phasors: a dealer's have one form.
fn ways(origin: Origin) -> Vec<Way> {
    match origin {
        Origin::Dealer => vec![vec![None]],
        Origin::Pairwise => OwnPhasors::ways().map(|way| way.map(Some).collect()).collect(),
    }
}

fn nothing() -> Result<OptimumPlan, Error> {
    refuse("there is no way to make phasors".to_owned())
}

impl OptimumPlan {
    /// Plans a fit.
    ///
    /// # Errors
    /// [`Error::Settings`] with the rule and the numbers when something does not fit.
    pub fn new(settings: &GlmSettings, origin: Origin) -> Result<Self, Error> {
        settings.check()?;
        let link = Link::new(&settings.family, origin, settings.rows.len())?;
        let ways = ways(origin);
        let mut plan = nothing();
        for aims in Aims::of(settings, origin) {
            plan = Self::cheapest(settings, &link, &ways, aims);
            if plan.is_ok() {
                break;
            }
        }
        let plan = plan?;
        if plan.method != Method::Newton {
            return Ok(plan);
        }
        // What a pass is off by, the next one makes good: only the last has to be exact. The one
        // before comes near, and those before that get there.
        let last = plan.passes - 1;
        let coarser = |eighths| {
            let family = plan.settings.family.with_terms(eighths);
            Link::new(&family, origin, plan.parties())
        };
        let links = (LEAST_EIGHTHS..=8).map(coarser).collect::<Result<Vec<_>, _>>()?;
        let plan = plan.coarser_until(last, &links, &ways, Self::is_near_enough)?;
        plan.coarser_until(last - 1, &links, &ways, Self::gets_near_enough)
    }

    /// The plan whose phasors take the fewest bytes among those that are precise enough.
    fn cheapest(
        settings: &GlmSettings,
        link: &Link,
        ways: &[Way],
        aims: Aims,
    ) -> Result<Self, Error> {
        let mut best: Option<(u64, Self)> = None;
        // Why there is none: the noise of the finest that fit the ring, or why none fits.
        let mut imprecise: Option<(f64, Error)> = None;
        let mut unfit = None;
        for way in ways {
            for &form in way {
                let with = |link| Self::with(settings.clone(), link, Vec::new(), aims);
                let plan = match link.clone().on(form).and_then(with) {
                    Ok(plan) => plan,
                    // With more bits it fits the less.
                    Err(why) => {
                        unfit = unfit.or(Some(why));
                        break;
                    }
                };
                if let Err(why) = plan.precise() {
                    let noise = plan.precision().phasors;
                    if imprecise.as_ref().is_none_or(|(least, _)| noise < *least) {
                        imprecise = Some((noise, why));
                    }
                    continue;
                }
                let bytes = plan.price(&plan.link)?;
                if best.as_ref().is_none_or(|(least, _)| bytes < *least) {
                    best = Some((bytes, plan));
                }
                break;
            }
        }
        match (best, imprecise, unfit) {
            (Some((_, plan)), ..) => Ok(plan),
            (None, Some((_, why)), _) | (None, None, Some(why)) => Err(why),
            (None, None, None) => nothing(),
        }
    }

    /// The same plan with the cheapest functions that are `enough` in its first passes, of these
    /// with fewer terms.
    fn coarser_until(
        self,
        until: usize,
        links: &[Link],
        ways: &[Way],
        enough: impl Fn(&Self, &Link) -> bool,
    ) -> Result<Self, Error> {
        let mut best = (self.price(self.link_at(0))?, None);
        for link in links {
            for way in ways {
                // From the coarsest on; what does not fit the ring does not with more bits.
                let on = way.iter().map_while(|&form| link.clone().on(form).ok());
                let Some(link) = on.into_iter().find(|link| enough(&self, link)) else { continue };
                // Finer ones may not fit the ring.
                let Ok(price) = self.price(&link) else { continue };
                if price < best.0 {
                    let mut coarse = vec![Coarse { link, until }];
                    coarse.extend(self.coarse.iter().cloned());
                    let plan =
                        Self::with(self.settings.clone(), self.link.clone(), coarse, self.aims);
                    if let Some(plan) = plan.ok().filter(|plan| plan.precise().is_ok()) {
                        best = (price, Some(plan));
                    }
                }
            }
        }
        Ok(best.1.unwrap_or(self))
    }

    /// What the phasors of as many scores as there are parties take of the network; of a dealer's
    /// in relation to each other.
    fn price(&self, link: &Link) -> Result<u64, Error> {
        let parties = self.parties();
        let request: PhasorRequest = self.phasors_on(link, self.refreshes(), parties as u32);
        if request.rounding.is_none() {
            return Ok(request.harmonics.len() as u64);
        }
        let plan = PhasorPlan::new(parties, &request)?;
        let sent = |me| plan.cost(me, Expansion::Fast).sent();
        Ok((0..parties).map(sent).sum())
    }
}
