//! The name of an alignment: the digest of its file.

use std::fmt;
use std::str::FromStr;

use sha3::{Digest, Sha3_256};

use crate::output::{hex, unhex};

/// Keeps the digest apart from every other hash in the system.
const DOMAIN: &[u8] = b"mpc alignment.toml digest, version 1\0";

/// What stands before the digits.
const PREFIX: &str = "alignment:";

/// SHA3-256 of the exact bytes of an alignment file, behind a prefix of its own. Parties whose digests agree
/// have agreed on every byte.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AlignmentName([u8; 32]);

/// The text is not the name of an alignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoAlignment;

impl AlignmentName {
    /// The name of an alignment with these bytes.
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

impl fmt::Display for AlignmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", hex(&self.0))
    }
}

impl fmt::Debug for AlignmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for AlignmentName {
    type Err = NoAlignment;

    fn from_str(text: &str) -> Result<Self, NoAlignment> {
        let digits = text.strip_prefix(PREFIX).and_then(unhex).ok_or(NoAlignment)?;
        digits.try_into().map(Self).map_err(|_| NoAlignment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_printed() {
        let name = AlignmentName::of(b"abc");
        assert_eq!(name.to_string().parse(), Ok(name));
        let text = name.to_string();
        for wrong in [&text[1..], &text[..text.len() - 2], "alignment:", &text.replace(':', "-")] {
            assert_eq!(wrong.parse::<AlignmentName>(), Err(NoAlignment), "{wrong}");
        }
    }
}
