//! What a node keeps on disk for itself alone: sealed under a key that follows from its identity.

use std::fmt;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::exit::{Exit, Failure};
use crate::identity::Identity;

/// Seals bytes and opens them again: ChaCha20-Poly1305 (RFC 8439) under a key that HKDF derives
/// from the node's private key. What is sealed is a nonce of 12 bytes, the ciphertext, and a tag of
/// 16 bytes.
///
/// # Security
/// Whoever has the private key can open everything, so this protects what is kept, and copied into
/// backups, apart from the key. Nonces are drawn at random: one key is for fewer than 2^32 seals.
#[derive(Clone)]
pub struct Sealer {
    key: Zeroizing<[u8; 32]>,
}

impl Sealer {
    /// The seal of this identity for the purpose that `domain` names. Purposes do not open each
    /// other's seals.
    #[must_use]
    pub fn new(identity: &Identity, domain: &str) -> Self {
        Self { key: identity.derive(&format!("sealed {domain}")) }
    }

    /// Seals `bytes`. `aad` says what they are, for example the name of their file: they are opened
    /// only by who says the same.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn seal(&self, aad: &[u8], bytes: &[u8]) -> Result<Vec<u8>, Failure> {
        let no_random = || Failure::new(Exit::Internal, "the system gives no random bytes");
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| no_random())?;
        let key = self.key()?;
        // Encrypted where it lies; the plain bytes are nowhere else in it.
        let mut sealed = Vec::with_capacity(NONCE_LEN + bytes.len() + key.algorithm().tag_len());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(bytes);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = key
            .seal_in_place_separate_tag(nonce, Aad::from(aad), &mut sealed[NONCE_LEN..])
            .map_err(|_| Failure::new(Exit::Internal, "there is too much to seal"))?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// The bytes that were sealed under this key with this `aad`; `None` where these are no such
    /// bytes, or were changed.
    #[must_use]
    pub fn open(&self, aad: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, rest) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut bytes = Zeroizing::new(rest.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let key = self.key().ok()?;
        let length = key.open_in_place(nonce, Aad::from(aad), bytes.as_mut_slice()).ok()?.len();
        bytes.truncate(length);
        Some(bytes)
    }

    fn key(&self) -> Result<LessSafeKey, Failure> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, self.key.as_slice());
        key.map(LessSafeKey::new)
            .map_err(|_| Failure::new(Exit::Internal, "a key of 32 bytes is refused"))
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer([redacted])")
    }
}

#[cfg(test)]
pub(super) mod testing {
    use super::Identity;

    /// An identity whose file is gone.
    pub(in crate::node) fn identity() -> Identity {
        let folder = tempfile::tempdir().unwrap();
        Identity::create(&folder.path().join("identity.key")).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::testing::identity;
    use super::*;

    #[test]
    fn sealed_bytes_open_under_key_purpose_and_name() {
        let own = identity();
        let sealer = Sealer::new(&own, "records/1");
        let bytes = b"a share of a result".repeat(9);
        let sealed = sealer.seal(b"record", &bytes).unwrap();
        assert_eq!(sealer.open(b"record", &sealed).unwrap().as_slice(), bytes);
        assert_eq!(sealed.len(), bytes.len() + NONCE_LEN + 16);
        // Another seal of the same bytes looks different, and neither shows them.
        let again = sealer.seal(b"record", &bytes).unwrap();
        assert_ne!(again[NONCE_LEN..], sealed[NONCE_LEN..]);
        assert!(!sealed.windows(5).any(|window| window == b"share"));

        assert!(sealer.open(b"records", &sealed).is_none());
        assert!(Sealer::new(&own, "records/2").open(b"record", &sealed).is_none());
        assert!(Sealer::new(&identity(), "records/1").open(b"record", &sealed).is_none());
        assert!(sealer.open(b"record", b"").is_none());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(sealer.open(b"record", &changed).is_none(), "byte {at}");
            assert!(sealer.open(b"record", &sealed[..at]).is_none(), "{at} bytes");
        }
        assert!(sealer.open(b"x", &sealer.seal(b"x", b"").unwrap()).unwrap().is_empty());
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?}", Sealer::new(&identity(), "x")), "Sealer([redacted])");
    }
}
