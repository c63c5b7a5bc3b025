//! A study is approved at a node, and a node asks for it.

use std::path::Path;
use std::time::Duration;

use super::receipt::now;
use super::study_run::{Node, study_entry};
use super::{BoundRows, State, inbox};
use crate::approval::{Approval, ApprovalEntry, Approver, SignedApproval, Subject};
use crate::exit::{Exit, Failure};
use crate::identity::Identity;
use crate::output::{hex, when};
use crate::settings::Settings;
use crate::store::Store;
use crate::study::{Approvals, Terms};

/// Signs that somebody approves of what is revealed of these rows, and remembers it. `disclosure` is the
/// digest of what it is. Where a node is at work with the state directory, it
/// takes notice when it begins with a study the next time.
///
/// # Errors
/// When nothing can be written there.
pub fn approve(
    (terms, settings): (&Terms, &Settings),
    rows: &BoundRows<'_>,
    disclosure: &[u8; 32],
    by: Approver,
    valid: Duration,
) -> Result<SignedApproval, Failure> {
    by.check()?;
    let identity = Identity::read(&settings.identity.key)?;
    let study = terms.digest();
    let data = rows.fingerprint(&identity, &study);
    let subject = Subject {
        study: hex(study.as_bytes()),
        party: settings.identity.name.to_string(),
        disclosure: hex(disclosure),
        data: hex(&data),
    };
    let signed = SignedApproval::sign(Approval::new(subject, by, now(), valid), &identity)?;
    let entry = ApprovalEntry::Given(signed.clone());
    remember(&settings.state, &identity, terms, entry)?;
    Ok(signed)
}

/// In the store, or beside it where a node is at work.
fn remember(
    directory: &Path,
    identity: &Identity,
    terms: &Terms,
    entry: ApprovalEntry,
) -> Result<(), Failure> {
    let digest = terms.digest();
    match State::unless_busy(directory, identity)? {
        Some(state) => {
            state.store().see_study(&digest, &study_entry(terms))?;
            state.store().record_approval(&digest, &entry)
        }
        None => inbox::leave(directory, &digest, study_entry(terms), entry),
    }
}

/// Takes the approval of a study back, if there is one that counts; whether there was.
///
/// # Errors
/// As [`approve`].
pub fn withdraw(terms: &Terms, settings: &Settings, name: &str) -> Result<bool, Failure> {
    let by = Approver { name: name.to_owned(), role: "-".to_owned(), note: None };
    by.check()?;
    let identity = Identity::read(&settings.identity.key)?;
    let (directory, digest, key) = (&settings.state, terms.digest(), identity.fingerprint());
    let mut known = match State::unless_busy(directory, &identity)? {
        Some(state) => state.store().approvals(&digest)?,
        None => Store::look(directory, &identity.owner())?.approvals(&digest)?,
    };
    known.extend(inbox::about(directory, &key, &digest)?);
    let last = known.pop();
    let there = matches!(last, Some(ApprovalEntry::Given(signed)) if signed.is_valid_at(now()));
    if there {
        let entry = ApprovalEntry::Withdrawn { name: by.name, at: now() };
        remember(directory, &identity, terms, entry)?;
    }
    Ok(there)
}

impl Node {
    /// The approval of this study and these rows; none where none is there and none is needed.
    ///
    /// # Errors
    /// Why there is none, where one is needed, and what to do.
    pub(super) fn approved(
        &self,
        study_path: &Path,
        at: u64,
    ) -> Result<Option<SignedApproval>, Failure> {
        let digest = self.terms.digest();
        let asks = if self.terms.consent().approvals == Approvals::All {
            "the study asks for the approvals of all parties (consent.approvals)"
        } else {
            "this node needs approvals (consent.required, or party serve)"
        };
        let needed = self.settings.approval || self.terms.consent().approvals == Approvals::All;
        let why = match self.state.store().approvals(&digest)?.pop() {
            None => "this study is not approved here".to_owned(),
            Some(ApprovalEntry::Withdrawn { name, at }) => {
                format!("the approval of this study was taken back by {name} on {}", when(at))
            }
            Some(ApprovalEntry::Given(signed)) => {
                let of = &signed.approval;
                let before = self.identity.links().iter().any(|link| signed.holds(&link.old));
                if before {
                    "the approval of this study was signed with a key that was replaced since"
                        .to_owned()
                } else if !signed.holds(&self.identity.fingerprint())
                    || of.study != hex(digest.as_bytes())
                    || of.party != self.settings.identity.name.as_str()
                {
                    "the approval of this study was changed".to_owned()
                } else if !signed.is_valid_at(at) {
                    format!("the approval of this study has expired on {}", when(of.expires))
                } else if of.data != hex(&self.fingerprint) {
                    "the approval of this study is for other rows".to_owned()
                } else {
                    return Ok(Some(signed));
                }
            }
        };
        if !needed {
            return Ok(None);
        }
        let study = study_path.display();
        Err(Failure::new(Exit::Configuration, format!("{why}, and {asks}")).in_file(study_path).advise(
            format!(
                "let whoever decides read `party study check {study}`, and then run `party study approve \
                 {study} --name NAME --role ROLE`, with the same --data FILE if you give one here"
            ),
        ))
    }
}
