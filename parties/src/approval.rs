//! Approvals of studies, signed with the key of a party's node.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::exit::{Exit, Failure};
use crate::identity::{Fingerprint, Identity};
use crate::output::{is_plain, when};

/// What the signatures are for.
pub const DOMAIN: &str = "study approval/1";

/// The version of what is signed.
const VERSION: u32 = 1;

/// The most characters of a name or a role, and of a note.
const LINE: usize = 100;
const NOTE: usize = 500;

/// Somebody at a party has approved that its node takes part in a study: with these settings, which reveal
/// this, of these rows, until then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    version: u32,
    /// The digest of the study, in hexadecimal digits.
    pub study: String,
    /// The party.
    pub party: String,
    /// The digest of the list of what is revealed to whom.
    pub disclosure: String,
    /// A digest of the rows that go into the study, under a key of this party and this study. It says
    /// nothing to others; the party can show with it that these were the rows.
    pub data: String,
    /// Who approved.
    pub name: String,
    /// As what.
    pub role: String,
    /// What they wanted to add.
    pub note: Option<String>,
    /// Seconds since 1970 when it was given.
    pub given: u64,
    /// Seconds since 1970 from when on it does not count any more.
    pub expires: u64,
}

/// An approval under the signature of its party's node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedApproval {
    /// What was signed.
    pub approval: Approval,
    /// 64 bytes in hexadecimal digits.
    pub signature: String,
}

/// What an approval is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// As [`Approval::study`].
    pub study: String,
    /// As [`Approval::party`].
    pub party: String,
    /// As [`Approval::disclosure`].
    pub disclosure: String,
    /// As [`Approval::data`].
    pub data: String,
}

/// Who approves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approver {
    /// Their name.
    pub name: String,
    /// As what.
    pub role: String,
    /// What they want to add.
    pub note: Option<String>,
}

impl Approver {
    /// Sees to it that these are lines that show as what they are.
    ///
    /// # Errors
    /// Which option breaks which rule.
    pub fn check(&self) -> Result<(), Failure> {
        let lines = [("--name", Some(&self.name), LINE), ("--role", Some(&self.role), LINE)];
        for (option, text, most) in lines.into_iter().chain([("--note", self.note.as_ref(), NOTE)])
        {
            if text.is_some_and(|text| !is_plain(text, most)) {
                let what = format!(
                    "{option} must be one line of 1 to {most} characters, without control characters"
                );
                return Err(Failure::new(Exit::Usage, what));
            }
        }
        Ok(())
    }
}

impl Approval {
    /// An approval that begins now and holds for a time.
    #[must_use]
    pub fn new(subject: Subject, by: Approver, given: u64, valid: Duration) -> Self {
        let Subject { study, party, disclosure, data } = subject;
        let Approver { name, role, note } = by;
        let expires = given.saturating_add(valid.as_secs());
        Self { version: VERSION, study, party, disclosure, data, name, role, note, given, expires }
    }

    fn bytes(&self) -> Result<Vec<u8>, Failure> {
        postcard::to_stdvec(self).map_err(|error| Failure::new(Exit::Internal, error.to_string()))
    }
}

impl SignedApproval {
    /// Signs an approval with the key of this node.
    ///
    /// # Errors
    /// Only for a fault of the program.
    pub fn sign(approval: Approval, identity: &Identity) -> Result<Self, Failure> {
        let signature = identity.key().sign(DOMAIN, &approval.bytes()?);
        Ok(Self { approval, signature: crate::output::hex(&signature) })
    }

    /// Whether it is signed with this key, is of this version, and is bounded.
    #[must_use]
    pub fn holds(&self, key: &Fingerprint) -> bool {
        let Approval { version, name, role, note, .. } = &self.approval;
        let by = Approver { name: name.clone(), role: role.clone(), note: note.clone() };
        let signature = crate::output::unhex(&self.signature);
        let bytes = self.approval.bytes();
        let (Some(signature), Ok(bytes), Ok(())) = (signature, bytes, by.check()) else {
            return false;
        };
        *version == VERSION && key.verify(DOMAIN, &bytes, &signature).is_ok()
    }

    /// Whether it counts at a time.
    #[must_use]
    pub fn is_valid_at(&self, now: u64) -> bool {
        now < self.approval.expires
    }

    /// In a sentence: who, as what, until when.
    #[must_use]
    pub fn in_words(&self) -> String {
        let Approval { name, role, given, expires, .. } = &self.approval;
        format!("{name} ({role}) on {}, until {}", when(*given), when(*expires))
    }
}

/// A line of the memory of approvals of one study: the last one counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApprovalEntry {
    /// It was given.
    Given(SignedApproval),
    /// It was taken back.
    Withdrawn {
        /// By whom.
        name: String,
        /// Seconds since 1970.
        at: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        let folder = tempfile::tempdir().unwrap();
        Identity::create(&folder.path().join("identity.key")).unwrap()
    }

    fn approval() -> Approval {
        let text = str::to_owned;
        let subject = Subject {
            study: text("ab"),
            party: text("bank-a"),
            disclosure: text("cd"),
            data: text("ef"),
        };
        let by = Approver { name: text("A. Officer"), role: text("DPO"), note: None };
        Approval::new(subject, by, 1000, Duration::from_secs(500))
    }

    #[test]
    fn an_approval_is_signed_in_all_its_parts() {
        let (own, other) = (identity(), identity());
        let signed = SignedApproval::sign(approval(), &own).unwrap();
        assert!(signed.holds(&own.fingerprint()) && !signed.holds(&other.fingerprint()));
        assert!(signed.is_valid_at(1499) && !signed.is_valid_at(1500));
        let changes: [fn(&mut Approval); 10] = [
            |it| it.version = 2,
            |it| it.study.push('0'),
            |it| it.party.push('0'),
            |it| it.disclosure.push('0'),
            |it| it.data.push('0'),
            |it| it.name.push('0'),
            |it| it.role.push('0'),
            |it| it.note = Some("0".to_owned()),
            |it| it.given += 1,
            |it| it.expires += 1,
        ];
        for change in changes {
            let mut changed = signed.clone();
            change(&mut changed.approval);
            assert!(!changed.holds(&own.fingerprint()), "{changed:?}");
        }
        for signature in ["", "zz", &signed.signature[2..], &"00".repeat(64)] {
            let changed = SignedApproval { signature: signature.to_owned(), ..signed.clone() };
            assert!(!changed.holds(&own.fingerprint()));
        }
        // A signature over the same bytes for another purpose is none.
        let bytes = approval().bytes().unwrap();
        let signature = crate::output::hex(&own.key().sign("receipt/1", &bytes));
        assert!(!SignedApproval { signature, ..signed.clone() }.holds(&own.fingerprint()));
        // Nor does one of a text that shows as something else count.
        let mut approval = approval();
        approval.name = "A\u{1b}[2J".to_owned();
        assert!(!SignedApproval::sign(approval, &own).unwrap().holds(&own.fingerprint()));
    }
}
