//! The title of a study and the names of its parties.

use super::StudyError;
use super::place::Field;
use crate::name::PartyName;
use crate::output::is_plain;

/// The most parties in one study.
const MAX_PARTIES: usize = 64;

pub(super) fn title(title: String) -> Result<String, StudyError> {
    if !is_plain(&title, 200) {
        return Err(StudyError::rule("title", "must be one line of 1 to 200 characters"));
    }
    Ok(title)
}

pub(super) fn parties(raw: &[String]) -> Result<Vec<PartyName>, StudyError> {
    if !(2..=MAX_PARTIES).contains(&raw.len()) {
        return Err(StudyError::rule("parties", format!("must name 2 to {MAX_PARTIES} parties")));
    }
    let mut parties = Vec::with_capacity(raw.len());
    for (index, name) in raw.iter().enumerate() {
        let field = || Field::from("parties").item(index);
        let name: PartyName = name
            .parse()
            .map_err(|error| StudyError::rule(field(), format!("is wrong: {error}")))?;
        if parties.contains(&name) {
            return Err(StudyError::rule(field(), format!("names {name} a second time")));
        }
        parties.push(name);
    }
    Ok(parties)
}
