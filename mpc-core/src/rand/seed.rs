//! Seeds.

use std::fmt;

use zeroize::Zeroizing;

use super::digest::hash;
use crate::error::Error;

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

    /// The seed with these bytes.
    pub(crate) const fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
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

    /// The bytes of a seed that is told to others, in a protocol that says when.
    pub(crate) fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        self.0.clone()
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
    fn a_seed_is_never_printed() {
        assert_eq!(format!("{:?}", Seed::from_secret("d", &[b"x"])), "Seed([redacted])");
    }
}
