//! What a study reveals, as the session enforces it and the receipt names it.

use mpc_core::{Outputs, Recipients};
use mpc_ml::standardise;

use super::{Revealed, StudyFolder, solver};
use crate::study::Study;

/// Every output of a study, with the places of those who learn it.
fn all(study: &Study) -> Vec<(&'static str, Vec<usize>)> {
    let everybody: Vec<usize> = (0..study.parties().len()).collect();
    let mut all = Vec::new();
    if study.schema().joint_features().next().is_some() {
        all.push((standardise::MEANS, everybody.clone()));
        all.push((standardise::DEVIATIONS, everybody.clone()));
    }
    let receives = |place: &usize| study.output().model.contains(&study.parties()[*place]);
    let recipients: Vec<usize> = everybody.iter().copied().filter(receives).collect();
    for output in solver::outputs(study) {
        let to = if output.to_everybody { &everybody } else { &recipients };
        all.push((output.label, to.clone()));
    }
    all
}

/// The labels of what a run on the same rows may reveal again (docs/protocols.md 0, Restart): joint
/// statistics and checks.
///
/// What the method reveals to everybody, whoever receives the model, are checks: they say whether
/// there will be a result, and are no part of it.
pub(super) fn repeatable(study: &Study) -> Vec<&'static str> {
    let checks = solver::outputs(study).into_iter().filter(|output| output.to_everybody);
    let statistics = [standardise::MEANS, standardise::DEVIATIONS];
    statistics.into_iter().chain(checks.map(|output| output.label)).collect()
}

/// The ledger of the session.
pub(super) fn ledger(study: &Study) -> Outputs {
    let bits = |places: &[usize]| places.iter().fold(0, |bits, place| bits | 1 << place);
    all(study).iter().fold(Outputs::none(), |outputs, (label, to)| {
        let everybody = to.len() == study.parties().len();
        let to = if everybody { Recipients::All } else { Recipients::Among(bits(to)) };
        outputs.allow(label, to)
    })
}

/// The lines of the receipt: the outputs of which this node has sent its part.
pub(super) fn revealed(study: &Study, folder: &StudyFolder) -> Vec<Revealed> {
    let name = |place: usize| study.parties()[place].to_string();
    all(study)
        .into_iter()
        .filter(|(label, _)| folder.has_released(label))
        .map(|(what, to)| Revealed {
            what: what.to_owned(),
            to: to.into_iter().map(name).collect(),
        })
        .collect()
}
