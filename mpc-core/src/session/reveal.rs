//! Which results may be revealed, and the record that is kept before they are.

use std::collections::BTreeMap;

use super::batch::Recipients;
use crate::error::Error;

/// The outputs that a study names, each with who learns it. Each can be revealed once.
#[derive(Clone, Debug, Default)]
pub struct Outputs {
    allowed: BTreeMap<String, (Recipients, bool)>,
}

impl Outputs {
    /// No outputs at all.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Allows the output `label` to be revealed, once, to `recipients`.
    #[must_use]
    pub fn allow(mut self, label: &str, recipients: Recipients) -> Self {
        self.allowed.insert(label.to_owned(), (recipients, false));
        self
    }

    /// Adds outputs that are not named yet.
    pub(super) fn extend(&mut self, more: Self) -> Result<(), Error> {
        if let Some(label) = more.allowed.keys().find(|label| self.allowed.contains_key(*label)) {
            return Err(Error::Reveal { label: label.clone(), why: "it was named before" });
        }
        self.allowed.extend(more.allowed);
        Ok(())
    }

    /// Marks `label` as revealed and says to whom it goes.
    pub(super) fn spend(&mut self, label: &str) -> Result<Recipients, Error> {
        let refuse = |why| Error::Reveal { label: label.to_owned(), why };
        let (recipients, spent) =
            self.allowed.get_mut(label).ok_or_else(|| refuse("the study does not name it"))?;
        if *spent {
            return Err(refuse("it was revealed before"));
        }
        *spent = true;
        Ok(*recipients)
    }
}

/// Where a release is written before it is sent (docs/protocols.md 0, Release).
pub trait ReleaseLog: Send {
    /// Makes `part`, this party's part in revealing `label`, durable: a [`Recorded`](super::Recorded), or what
    /// a protocol says of itself that reveals no sum of shares.
    ///
    /// # Errors
    /// A sentence for the operator. Nothing is sent then.
    fn record(&mut self, label: &str, part: &[u8]) -> Result<(), String>;

    /// Replaces it when all parties have committed to theirs, before a share is sent. Where results are never
    /// sent again nothing needs to be done.
    ///
    /// # Errors
    /// As [`record`](Self::record).
    fn committed(&mut self, label: &str, part: &[u8]) -> Result<(), String> {
        let _ = (label, part);
        Ok(())
    }

    /// The part of `label` that an earlier session recorded is about to be sent again.
    ///
    /// # Errors
    /// As [`record`](Self::record).
    fn resent(&mut self, label: &str) -> Result<(), String> {
        let _ = label;
        Ok(())
    }

    /// The shares of `label` are known to all who learn it, as far as this party sees.
    fn opened(&mut self, label: &str) {
        let _ = label;
    }
}
