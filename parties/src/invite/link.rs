//! A key of a node that signs the one in its place (docs/protocols.md 0, Rotation).

use crate::identity::{Fingerprint, Identity};

/// What the signatures are for.
const DOMAIN: &str = "identity rotation/1";

/// Bytes of a link: key, time, signature.
const BYTES: usize = 32 + 8 + 64;

/// Links that an invitation carries at most: who missed more compares words as with a new node.
pub const MOST: usize = 4;

/// A key that was replaced, and its signature on the one in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The key before.
    pub old: Fingerprint,
    /// Seconds since 1970 when it was replaced.
    pub at: u64,
    pub(super) signature: [u8; 64],
}

/// The keys that a node had, the oldest first, each of which signed the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links(Vec<Link>);

/// Why keys are not linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// A signature does not hold.
    #[error("a key before did not sign the one in its place")]
    Unsigned,
    /// More than an invitation can have.
    #[error("there are more than {MOST} keys before")]
    TooMany,
}

fn message(old: &Fingerprint, new: &Fingerprint, at: u64) -> Vec<u8> {
    [old.as_bytes().as_slice(), new.as_bytes(), &at.to_le_bytes()].concat()
}

impl Link {
    /// The old key signs the new one.
    #[must_use]
    pub fn sign(old: &Identity, new: &Fingerprint, at: u64) -> Self {
        let old_key = old.fingerprint();
        let signature = old.key().sign(DOMAIN, &message(&old_key, new, at));
        Self { old: old_key, at, signature }
    }

    fn holds(&self, new: &Fingerprint) -> bool {
        self.old.verify(DOMAIN, &message(&self.old, new, self.at), &self.signature).is_ok()
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        [self.old.as_bytes().as_slice(), &self.at.to_be_bytes(), &self.signature].concat()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; BYTES] = bytes.try_into().ok()?;
        let (old, rest) = bytes.split_first_chunk::<32>()?;
        let (at, signature) = rest.split_first_chunk::<8>()?;
        let signature = signature.try_into().ok()?;
        Some(Self { old: Fingerprint::from_bytes(*old), at: u64::from_be_bytes(*at), signature })
    }
}

impl Links {
    /// These links, if they lead to `key`.
    ///
    /// # Errors
    /// When a signature does not hold, or there are too many.
    pub fn new(links: Vec<Link>, key: &Fingerprint) -> Result<Self, LinkError> {
        if links.len() > MOST {
            return Err(LinkError::TooMany);
        }
        let next = links.iter().skip(1).map(|link| &link.old).chain([key]);
        if links.iter().zip(next).all(|(link, next)| link.holds(next)) {
            Ok(Self(links))
        } else {
            Err(LinkError::Unsigned)
        }
    }

    /// These and one more; the oldest is left out where there are too many.
    #[must_use]
    pub fn with(mut self, link: Link) -> Self {
        self.0.push(link);
        let surplus = self.0.len().saturating_sub(MOST);
        self.0.drain(..surplus);
        self
    }

    /// The links, the oldest first.
    pub fn iter(&self) -> std::slice::Iter<'_, Link> {
        self.0.iter()
    }

    /// Whether `key` is one of the keys before.
    #[must_use]
    pub fn follows(&self, key: &Fingerprint) -> Option<&Link> {
        self.0.iter().find(|link| link.old == *key)
    }

    /// As a file holds them, a line each: key, time, signature.
    #[must_use]
    pub fn to_text(&self) -> String {
        let line = |link: &Link| crate::output::hex(&link.to_bytes()) + "\n";
        self.0.iter().map(line).collect()
    }

    /// What a file holds; `None` where it is something else, or does not lead to `key`.
    #[must_use]
    pub fn from_text(text: &str, key: &Fingerprint) -> Option<Self> {
        let link = |line: &str| Link::from_bytes(&crate::output::unhex(line)?);
        Self::new(text.lines().map(link).collect::<Option<_>>()?, key).ok()
    }
}
