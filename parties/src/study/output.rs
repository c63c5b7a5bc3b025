//! `[output]`: who learns what.

use super::StudyError;
use super::place::Field;
use super::raw::{RawOutput, RawRecipients};
use super::training::whole;
use crate::name::PartyName;

/// Who learns what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Who receives the model, in the order of the study's parties; at least one.
    pub model: Vec<PartyName>,
    /// Binary digits after the point of the released coefficients; the rest stays secret.
    pub release_bits: u32,
}

pub(super) fn check(raw: RawOutput, parties: &[PartyName]) -> Result<Output, StudyError> {
    let model = match raw.model {
        RawRecipients::Word(word) if word == "all" => parties.to_vec(),
        RawRecipients::Word(_) => {
            return Err(StudyError::rule("output.model", "must be \"all\" or a list of parties"));
        }
        RawRecipients::Parties(names) => recipients(&names, parties)?,
    };
    Ok(Output { model, release_bits: whole("output.release_bits", raw.release_bits, 8, 24)? })
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
