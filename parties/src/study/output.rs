//! `[output]`: who learns what.

use super::StudyError;
use super::place::Field;
use super::raw::{RawOutput, RawRecipients};
use crate::name::PartyName;

/// Who receives what of the model.
pub(super) enum Receivers {
    /// These receive all of it, in the order of the study's parties; at least one.
    Whole(Vec<PartyName>),
    /// Each party receives the coefficients of its own columns.
    Own,
}

/// Who receives what of the model; `by_columns` where the parties hold different columns.
pub(super) fn check(
    raw: RawOutput,
    parties: &[PartyName],
    by_columns: bool,
) -> Result<Receivers, StudyError> {
    match raw.model {
        RawRecipients::Word(word) if word == "own" && by_columns => Ok(Receivers::Own),
        RawRecipients::Word(word) if word == "own" => {
            let rule = "is \"own\", which is for parties that hold different columns (partition = \
                        \"vertical\"): here all have the same ones; it must be \"all\" or a list of parties";
            Err(StudyError::rule("output.model", rule))
        }
        RawRecipients::Word(word) if word != "all" && by_columns => {
            let rule = "must be \"all\", \"own\" (each party receives the coefficients of its own columns) or \
                        a list of parties";
            Err(StudyError::rule("output.model", rule))
        }
        others => recipients(others, parties, "output.model").map(Receivers::Whole),
    }
}

/// Those whom the field `path` names, in the order of the study's parties; at least one.
pub(super) fn recipients(
    raw: RawRecipients,
    parties: &[PartyName],
    path: impl Into<Field>,
) -> Result<Vec<PartyName>, StudyError> {
    let path = path.into();
    let names = match raw {
        RawRecipients::Word(word) if word == "all" => return Ok(parties.to_vec()),
        RawRecipients::Word(_) => {
            return Err(StudyError::rule(path.clone(), "must be \"all\" or a list of parties"));
        }
        RawRecipients::Parties(names) => names,
    };
    if names.is_empty() {
        return Err(StudyError::rule(
            path.clone(),
            "names nobody; at least one party must receive it",
        ));
    }
    for (index, name) in names.iter().enumerate() {
        let field = || path.clone().item(index);
        if !parties.iter().any(|party| party.as_str() == name) {
            let rule = format!("names {name:?}, who is not among the parties of the study");
            return Err(StudyError::rule(field(), rule));
        }
        if names[..index].contains(name) {
            return Err(StudyError::rule(field(), format!("names {name} a second time")));
        }
    }
    let receives = |party: &&PartyName| names.iter().any(|name| name == party.as_str());
    Ok(parties.iter().filter(receives).cloned().collect())
}
