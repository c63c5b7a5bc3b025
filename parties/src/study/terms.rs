//! What the parties of a run have agreed on, whatever it computes.

use std::path::Path;
use std::sync::Arc;

use super::{
    Agreement, Consent, Security, Study, StudyDigest, StudyError, are_agreement, read_bytes,
};
use crate::name::PartyName;

/// What a node has to know of a study, or of the agreement on a protocol of one's own, in order to meet the
/// others, to see to it that all have approved, and to give account of the run.
#[derive(Clone, Debug)]
pub struct Terms {
    pub(super) digest: StudyDigest,
    pub(super) title: String,
    pub(super) text: Arc<str>,
    pub(super) parties: Vec<PartyName>,
    pub(super) security: Security,
    pub(super) consent: Consent,
    pub(super) kind: String,
    pub(super) protocol: Option<String>,
    pub(super) alignment: Option<String>,
}

impl Terms {
    /// Reads a study or an agreement.
    ///
    /// # Errors
    /// When the file cannot be read, or is neither.
    pub fn read(path: &Path) -> Result<Self, StudyError> {
        let bytes = read_bytes(path)?;
        if are_agreement(&bytes) {
            return Agreement::from_bytes(&bytes).map(|agreement| agreement.terms);
        }
        Study::from_bytes(&bytes).map(|study| study.terms)
    }

    /// The digest of the file.
    #[must_use]
    pub fn digest(&self) -> StudyDigest {
        self.digest
    }

    /// The title, for people.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The text of the file.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The parties, in the order that all of them use.
    #[must_use]
    pub fn parties(&self) -> &[PartyName] {
        &self.parties
    }

    /// The place of a party in that order.
    #[must_use]
    pub fn position(&self, name: &PartyName) -> Option<usize> {
        self.parties.iter().position(|party| party == name)
    }

    /// How the computation is protected.
    #[must_use]
    pub fn security(&self) -> &Security {
        &self.security
    }

    /// What it is for, and whose approval it needs.
    #[must_use]
    pub fn consent(&self) -> &Consent {
        &self.consent
    }

    /// In a word or two, what it computes: the kind of the model, or the name of the protocol.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The name of the protocol, where it is one of somebody's own.
    #[must_use]
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    /// The alignment of the records, where the parties hold columns of the same ones.
    #[must_use]
    pub fn alignment(&self) -> Option<&str> {
        self.alignment.as_deref()
    }
}
