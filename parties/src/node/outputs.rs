//! What a study reveals, as the receipt names it.

use mpc_ml::model::Output;

use super::{Revealed, StudyFolder};
use crate::exit::Failure;
use crate::study::Study;

/// The lines of the receipt: the outputs of which this node has sent its part.
///
/// # Errors
/// When the store cannot be read.
pub(super) fn revealed(
    study: &Study,
    outputs: &[Output],
    folder: &StudyFolder,
) -> Result<Vec<Revealed>, Failure> {
    let released = folder.released()?;
    let receivers = |output: &Output| {
        let parties = study.parties().iter().enumerate();
        let to = parties.filter(|(place, _)| output.recipients.include(*place));
        to.map(|(_, name)| name.to_string()).collect()
    };
    let revealed = outputs.iter().filter(|output| released.contains(&output.label));
    let line = |output: &Output| Revealed { what: output.label.clone(), to: receivers(output) };
    Ok(revealed.map(line).collect())
}
