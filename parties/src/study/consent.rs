//! `[consent]`: what the study is for, who answers for it, and whose approval it needs.

use serde::Serialize;

use super::StudyError;
use super::place::Field;
use super::raw::RawConsent;
use crate::name::PartyName;
use crate::output::is_plain;

/// What a study says of its purpose, for those who must approve it. Free text: nothing of it changes what
/// is computed, all of it is a part of the study's digest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Consent {
    /// What the result is for.
    pub purpose: Option<String>,
    /// The same in a word, which a node can compare with what it allows (`limits.purposes`).
    pub kind: Option<String>,
    /// Why the parties may do this with their rows.
    pub legal_basis: Option<String>,
    /// How long results and records are kept.
    pub retention: Option<String>,
    /// Who answers for the rows of each party.
    pub controllers: Vec<Controller>,
    /// Whose approvals the study needs.
    pub approvals: Approvals,
}

/// Who answers for the rows of a party.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Controller {
    /// The party.
    pub party: PartyName,
    /// The organisation or person.
    pub controller: String,
    /// Where to ask.
    pub contact: Option<String>,
}

/// Whose signed approvals a study needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Approvals {
    /// Of those parties whose own nodes ask for one (`consent.required` in party.toml).
    #[default]
    Own,
    /// Of all parties, whatever their nodes ask for.
    All,
}

/// The most characters of a text, of a line, and of a kind.
const TEXT: usize = 2000;
const LINE: usize = 200;
const KIND: usize = 40;

pub(super) fn check(raw: RawConsent, parties: &[PartyName]) -> Result<Consent, StudyError> {
    let approvals = match raw.approvals.as_deref() {
        None | Some("own") => Approvals::Own,
        Some("all") => Approvals::All,
        Some(_) => {
            let rule = "must be \"all\" (every party must have approved the study) or \"own\" (as each \
                        party's own settings say)";
            return Err(StudyError::rule("consent.approvals", rule));
        }
    };
    let mut controllers: Vec<Controller> = Vec::new();
    for (index, raw) in raw.controllers.into_iter().enumerate() {
        let field = || Field::from("consent.controllers").item(index);
        let party = parties.iter().find(|party| party.as_str() == raw.party).cloned();
        let party = party.ok_or_else(|| {
            let rule = format!("is {:?}, who is not among the parties of the study", raw.party);
            StudyError::rule(field().key("party"), rule)
        })?;
        if controllers.iter().any(|before| before.party == party) {
            return Err(StudyError::rule(field(), format!("names {party} a second time")));
        }
        let controller = line(field().key("controller"), raw.controller)?;
        let contact = raw.contact.map(|text| line(field().key("contact"), text)).transpose()?;
        controllers.push(Controller { party, controller, contact });
    }
    Ok(Consent {
        purpose: text("consent.purpose", raw.purpose)?,
        kind: raw.kind.map(kind).transpose()?,
        legal_basis: text("consent.legal_basis", raw.legal_basis)?,
        retention: text("consent.retention", raw.retention)?,
        controllers,
        approvals,
    })
}

/// A paragraph or several.
fn text(field: &str, text: Option<String>) -> Result<Option<String>, StudyError> {
    let Some(text) = text else { return Ok(None) };
    let one_line = text.replace('\n', " ");
    if is_plain(&one_line, TEXT) {
        return Ok(Some(text.trim().to_owned()));
    }
    let rule = format!("must be text of 1 to {TEXT} characters, without control characters");
    Err(StudyError::rule(field, rule))
}

fn line(field: Field, text: String) -> Result<String, StudyError> {
    if is_plain(&text, LINE) {
        return Ok(text);
    }
    let rule = format!("must be one line of 1 to {LINE} characters, without control characters");
    Err(StudyError::rule(field, rule))
}

fn kind(word: String) -> Result<String, StudyError> {
    if is_kind(&word) {
        return Ok(word);
    }
    let rule = format!("must be a word of 1 to {KIND} lowercase letters, digits and hyphens");
    Err(StudyError::rule("consent.kind", rule))
}

/// Whether a node and a study can name a kind of purpose so.
pub(crate) fn is_kind(word: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=KIND).contains(&word.len()) && word.bytes().all(plain)
}
