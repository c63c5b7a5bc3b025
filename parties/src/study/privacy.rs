//! `[privacy]`: what a study with differential privacy needs of the rest of it.

use mpc_core::Against;
use mpc_ml::models::private::PrivateSettings;
use mpc_ml::privacy::Guarantee;

use super::{Study, StudyError};
use crate::models::Planned;

impl Study {
    /// What it promises to the people in the rows, where it is one with differential privacy.
    #[must_use]
    pub fn guarantee(&self) -> Option<Guarantee> {
        self.privacy().map(PrivateSettings::guarantee)
    }
}

/// Refuses what does not go with it.
pub(super) fn check(study: &Study) -> Result<(), StudyError> {
    if study.privacy().is_some() && study.expanded.is_some() {
        let rule =
            "has no place with [privacy], which protects a row: here a person becomes several rows";
        return Err(StudyError::rule("model.survival", rule));
    }
    if study.privacy().is_none() || study.security().against == Against::Covert {
        return Ok(());
    }
    // Only then is each noisy sum revealed once, whatever becomes of a run (docs/protocols.md 16.6).
    let rule = "must be \"covert\" with [privacy], which is what it is if left out: where parties commit to what \
                they open, a run that breaks off reveals no second draw of the noise";
    Err(StudyError::rule("security.against", rule))
}

/// Refuses a study that would reveal anything but noisy sums, whatever part of it asks for that.
pub(super) fn nothing_else(study: &Study, plan: &dyn Planned) -> Result<(), StudyError> {
    if study.privacy().is_none() {
        return Ok(());
    }
    let noisy = plan.outputs();
    match study.outputs(plan).into_iter().find(|output| !noisy.contains(output)) {
        None => Ok(()),
        Some(exact) => {
            let rule = format!(
                "does not cover {:?}, which the study would reveal without noise: remove what asks for it",
                exact.label
            );
            Err(StudyError::rule("privacy", rule).located(study.text()))
        }
    }
}
