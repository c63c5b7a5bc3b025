//! Seeds and the hash that derives them.

use std::fmt;

use sha3::{Digest, Sha3_256};
use zeroize::Zeroizing;

use crate::error::Error;

/// SHA3-256 of a domain and a list of parts, each preceded by its length.
#[must_use]
pub fn hash(domain: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha3_256::new();
    hasher.update(b"mpc-core/1");
    for part in std::iter::once(&domain.as_bytes()).chain(parts) {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// A secret of 32 bytes that streams are derived from. Wiped on drop; never printed.
pub struct Seed(Zeroizing<[u8; 32]>);

impl Seed {
    /// A fresh seed from the operating system.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn fresh() -> Result<Self, Error> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bytes)
            .map_err(|error| Error::internal(format!("no randomness: {error}")))?;
        super::drawn::note("seed", &*bytes);
        Ok(Self(bytes))
    }

    /// The seed made of secret bytes and a domain.
    #[must_use]
    pub fn from_secret(domain: &str, parts: &[&[u8]]) -> Self {
        Self(Zeroizing::new(hash(domain, parts)))
    }

    /// An independent seed for the purpose `domain`.
    #[must_use]
    pub fn derive(&self, domain: &str) -> Self {
        Self(Zeroizing::new(hash(domain, &[&*self.0])))
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_hash_do_not_run_together() {
        assert_ne!(hash("d", &[b"ab", b"c"]), hash("d", &[b"a", b"bc"]));
        assert_ne!(hash("d", &[b"x"]), hash("dx", &[]));
    }

    #[test]
    fn a_seed_is_never_printed() {
        assert_eq!(format!("{:?}", Seed::from_secret("d", &[b"x"])), "Seed([redacted])");
    }
}
