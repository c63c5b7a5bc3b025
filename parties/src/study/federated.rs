//! `training.mode`: federated averaging in the place of a fit on shares (docs/federated.md).

use mpc_core::Against;
use mpc_ml::Model;
use mpc_ml::artifact::ModelKind;
use mpc_ml::federated::Federated;

use super::raw::RawTraining;
use super::{Correlations, Study, StudyError, settings};

/// What belongs to the mode, for those who take it out again.
const SETTINGS: &str = "rounds, own_steps, least_parties, threshold, patience_s";

/// The solver of a study: the one that it names, or that of its mode, or the usual one of the kind.
pub(super) fn solver(
    training: &RawTraining,
    kind: ModelKind,
    (private, by_columns): (bool, bool),
) -> Result<&str, StudyError> {
    let refused = |field: &str, rule: String| Err(StudyError::rule(field, rule));
    let solver = training.solver.as_deref();
    let Some(mode) = training.mode.as_deref() else {
        return match solver {
            _ if kind == ModelKind::Multinomial => {
                let rule = "is missing: kind = \"multinomial\" is fitted by federated averaging alone (docs/federated.md): \
                            write mode = \"federated\"";
                refused("training.mode", rule.to_owned())
            }
            Some(Federated::NAME) => {
                let rule =
                    "is \"federated\", which is a mode: write mode = \"federated\" in its place";
                refused("training.solver", rule.to_owned())
            }
            solver => Ok(solver.unwrap_or(settings::solver(kind, private))),
        };
    };
    if mode != Federated::NAME {
        let rule = "must be \"federated\", or be left out for a fit on shares";
        return refused("training.mode", rule.to_owned());
    }
    if private {
        let rule = format!(
            "is \"federated\", and the study has [privacy]: after several own steps one row may move what its \
             party sends by as much as all its rows together, so noise that hides a row would be as large as the \
             model. For a model that hides rows remove mode, l2 and what else belongs to it ({SETTINGS}) from \
             [training], and against from [security]: [privacy] asks for a fit that hides them (docs/privacy.md)"
        );
        return refused("training.mode", rule);
    }
    if !Federated::KINDS.contains(&kind) {
        let rule = format!(
            "is \"federated\", which has no Poisson models: remove mode and what belongs to it ({SETTINGS}) from \
             [training] for a fit on shares"
        );
        return refused("training.mode", rule);
    }
    if by_columns {
        let rule = format!(
            "is \"vertical\": federated averaging needs whole rows at each party, with the target. For parties that \
             hold columns remove mode and what belongs to it ({SETTINGS}) from [training] (docs/study-vertical.md)"
        );
        return refused("partition", rule);
    }
    if solver.is_some() {
        let rule = "has no place beside mode = \"federated\": remove one of them";
        return refused("training.solver", rule.to_owned());
    }
    Ok(Federated::NAME)
}

/// Refuses what does not go with it.
pub(super) fn check(study: &Study) -> Result<(), StudyError> {
    if !study.is_federated() {
        return Ok(());
    }
    if study.security().correlations == Correlations::Dealer {
        let rule = "is \"dealer\", and federated averaging needs no joint randomness: remove it";
        return Err(StudyError::rule("security.correlations", rule));
    }
    if study.security().against == Against::Covert {
        let rule = "must be \"semi-honest\" with mode = \"federated\": nothing notices a party that puts other \
                    vectors or sums in the place of its own, and the study has to say so. A fit on shares \
                    (without mode) protects against such parties";
        return Err(StudyError::rule("security.against", rule));
    }
    Ok(())
}
