//! What a study reveals, as the receipt names it.

use mpc_ml::model::Output;

use super::{Revealed, StudyFolder};
use crate::study::Study;

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
