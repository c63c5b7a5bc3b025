//! The same in the clear, in one place: for tests, audits and simulations.

use mpc_core::noise::NoiseStream;

use super::contribution::Contributor;
use super::plan::PrivatePlan;
use super::recipe::Part;
use super::rule::{PrivateFit, Rule};
use crate::data::Dataset;

/// One party's noise for all sums of a fit, in the order in which it is added.
pub(super) fn noise(sums: &[Vec<Part>], stream: &mut NoiseStream) -> Vec<Vec<i64>> {
    let sum = |parts: &Vec<Part>| {
        let part = |part: &Part| (0..part.values).map(|_| part.noise.draw(stream)).collect();
        parts.iter().map(part).collect::<Vec<Vec<i64>>>().concat()
    };
    sums.iter().map(sum).collect()
}

/// What a fit by this plan gives on the rows of these parties; each with its own noise.
#[must_use]
pub fn fit(plan: &PrivatePlan, parties: &[Dataset], streams: &mut [NoiseStream]) -> PrivateFit {
    let mut noises: Vec<_> = streams.iter_mut().map(|stream| noise(&plan.sums, stream)).collect();
    watched(plan, parties, &mut noises, &mut |_, _, _| {})
}

/// What a test looks at, and may change, before a noisy sum is made: which one, where the fit is, and each party's noise.
pub(super) type Look<'a> = &'a mut dyn FnMut(usize, &Rule<'_>, &mut [Vec<Vec<i64>>]);

/// [`fit`] with this noise of each party, watched.
pub(super) fn watched(
    plan: &PrivatePlan,
    parties: &[Dataset],
    noises: &mut [Vec<Vec<i64>>],
    look: Look<'_>,
) -> PrivateFit {
    let contributors: Vec<_> =
        parties.iter().map(|data| Contributor::new(&plan.recipe, data)).collect();
    let mut rule = plan.rule();
    for (at, parts) in plan.sums.iter().enumerate() {
        look(at, &rule, noises);
        let mut joint = vec![0_i128; parts.iter().map(|part| part.values).sum()];
        for (rows, noise) in contributors.iter().zip(&*noises) {
            let own = rows.sums(&rule, parts);
            for (joint, (own, noise)) in joint.iter_mut().zip(own.iter().zip(&noise[at])) {
                *joint += own + i128::from(*noise);
            }
        }
        rule.take(&joint);
    }
    rule.result()
}

impl PrivatePlan {
    /// The rule at its beginning.
    pub(super) fn rule(&self) -> Rule<'_> {
        Rule::new(&self.recipe, &self.sums)
    }
}
