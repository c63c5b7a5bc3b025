//! The digest of a study.

use std::fmt;

use sha3::{Digest, Sha3_256};

use crate::output::unhex;

/// Keeps a study's digest apart from every other hash in the system.
const DOMAIN: &[u8] = b"mpc study.toml digest, version 1\0";

/// SHA3-256 of the exact bytes of a study file, behind a prefix of its own. Parties whose digests
/// agree have agreed on every byte.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StudyDigest([u8; 32]);

impl StudyDigest {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut hash = Sha3_256::new();
        hash.update(DOMAIN);
        hash.update(bytes);
        Self(hash.finalize().into())
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::str::FromStr for StudyDigest {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = text.strip_prefix("study:").and_then(unhex).ok_or(())?;
        digits.try_into().map(Self).map_err(drop)
    }
}

impl fmt::Display for StudyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("study:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for StudyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
