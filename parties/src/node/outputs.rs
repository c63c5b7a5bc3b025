//! What a study reveals, as the receipt names it.

use mpc_ml::model::Output;
use mpc_ml::standardise;

use super::{Revealed, StudyFolder};
use crate::study::Study;

/// The labels of what a run on the same rows may reveal again (docs/protocols.md 0, Restart): joint
/// statistics and checks, which are no part of the result.
pub(super) fn repeatable(outputs: &[Output]) -> Vec<&str> {
    let statistics = [standardise::MEANS, standardise::DEVIATIONS];
    let labels = outputs.iter().map(|output| (output.label.as_str(), output.check));
    labels
        .filter(|(label, check)| *check || statistics.contains(label))
        .map(|(label, _)| label)
        .collect()
}

/// The lines of the receipt: the outputs of which this node has sent its part.
pub(super) fn revealed(study: &Study, outputs: &[Output], folder: &StudyFolder) -> Vec<Revealed> {
    let receivers = |output: &Output| {
        let parties = study.parties().iter().enumerate();
        let to = parties.filter(|(place, _)| output.recipients.include(*place));
        to.map(|(_, name)| name.to_string()).collect()
    };
    outputs
        .iter()
        .filter(|output| folder.has_released(&output.label))
        .map(|output| Revealed { what: output.label.clone(), to: receivers(output) })
        .collect()
}
