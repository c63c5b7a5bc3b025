//! `[output]`: who learns what.

use super::StudyError;
use super::place::Field;
use super::raw::{RawOutput, RawRecipients};
use crate::name::PartyName;

/// Who receives the model, in the order of the study's parties; at least one.
pub(super) fn check(raw: RawOutput, parties: &[PartyName]) -> Result<Vec<PartyName>, StudyError> {
    match raw.model {
        RawRecipients::Word(word) if word == "all" => Ok(parties.to_vec()),
        RawRecipients::Word(_) => {
            Err(StudyError::rule("output.model", "must be \"all\" or a list of parties"))
        }
        RawRecipients::Parties(names) => recipients(&names, parties),
    }
}

fn recipients(names: &[String], parties: &[PartyName]) -> Result<Vec<PartyName>, StudyError> {
    if names.is_empty() {
        let rule = "names nobody; at least one party must receive the model";
        return Err(StudyError::rule("output.model", rule));
    }
    for (index, name) in names.iter().enumerate() {
        let field = || Field::from("output.model").item(index);
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
