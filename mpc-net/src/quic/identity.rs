//! The key that a node is known by.

use std::fmt;
use std::str::FromStr;

use ring::hkdf::{HKDF_SHA256, Prk};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// The text before the 64 hexadecimal digits of a key.
const PREFIX: &str = "ed25519:";

/// PKCS#8 version 1 (RFC 5958, RFC 8410) up to the 32 bytes of the seed.
const PKCS8_HEAD: [u8; 16] =
    [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// What stands before the seed in both versions of PKCS#8: an octet string in an octet string.
const SEED_HEAD: [u8; 4] = [4, 0x22, 4, 0x20];

/// SubjectPublicKeyInfo (RFC 8410) up to the 32 bytes of the key.
const SPKI_HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

/// What is wrong with a key or a signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The text is not a fingerprint.
    #[error("{0:?} is not a fingerprint: expected `ed25519:` and 64 hexadecimal digits")]
    Fingerprint(String),
    /// The key file is not an Ed25519 private key in PKCS#8.
    #[error("this is not an Ed25519 private key in PKCS#8: {0}")]
    PrivateKey(String),
    /// The operating system gave no random bytes.
    #[error("the operating system gives no random bytes")]
    Random,
    /// The signature is not one of this key for this message.
    #[error("the signature does not belong to this key and message")]
    Signature,
}

/// An Ed25519 public key: the identity of a node, and what its peers pin.
///
/// Its text is the fingerprint, `ed25519:` and the key in lowercase hexadecimal digits. A key is
/// no longer than a hash of it would be, so the fingerprint is the key itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// The key with these bytes. Whether they are a point of the curve shows when it verifies.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the key.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Checks a signature made by [`Identity::sign`] in the same domain.
    ///
    /// # Errors
    /// [`IdentityError::Signature`].
    pub fn verify(
        &self,
        domain: &str,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), IdentityError> {
        UnparsedPublicKey::new(&ED25519, &self.0)
            .verify(&signed_bytes(domain, message), signature)
            .map_err(|_| IdentityError::Signature)
    }

    pub(crate) fn spki(&self) -> SubjectPublicKeyInfoDer<'static> {
        SubjectPublicKeyInfoDer::from([SPKI_HEAD.as_slice(), &self.0].concat())
    }

    /// The key in a SubjectPublicKeyInfo; `None` when it is not an Ed25519 key.
    pub(crate) fn from_spki(der: &[u8]) -> Option<Self> {
        der.strip_prefix(&SPKI_HEAD)?.try_into().ok().map(Self)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let wrong = || IdentityError::Fingerprint(text.chars().take(100).collect());
        let digits = text.trim().strip_prefix(PREFIX).ok_or_else(wrong)?;
        if digits.len() != 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let mut key = [0; 32];
        for (byte, pair) in key.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| wrong())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
        }
        Ok(Self(key))
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A node's private key.
///
/// # Security
/// The encoded key is wiped from memory when it is dropped, and `Debug` shows only the public
/// half. The expanded key inside `ring` is not wiped.
pub struct Identity {
    pkcs8: Zeroizing<Vec<u8>>,
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl Identity {
    /// A fresh key from the operating system's random numbers.
    ///
    /// # Errors
    /// [`IdentityError::Random`].
    pub fn generate() -> Result<Self, IdentityError> {
        let mut seed = Zeroizing::new([0; 32]);
        SystemRandom::new().fill(seed.as_mut_slice()).map_err(|_| IdentityError::Random)?;
        Self::from_pkcs8_der(&Zeroizing::new([PKCS8_HEAD.as_slice(), seed.as_slice()].concat()))
    }

    /// The key in a PKCS#8 document.
    ///
    /// # Errors
    /// [`IdentityError::PrivateKey`].
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, IdentityError> {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)
            .map_err(|error| IdentityError::PrivateKey(error.to_string()))?;
        let public = pair.public_key().as_ref().try_into().map(PublicKey).map_err(|_| {
            IdentityError::PrivateKey("its public half does not have 32 bytes".to_owned())
        })?;
        Ok(Self { pkcs8: Zeroizing::new(der.to_vec()), pair, public })
    }

    /// The key in a PEM file with a `PRIVATE KEY` section.
    ///
    /// # Errors
    /// [`IdentityError::PrivateKey`].
    pub fn from_pkcs8_pem(pem: &str) -> Result<Self, IdentityError> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes())
            .map_err(|error| IdentityError::PrivateKey(error.to_string()))?;
        Self::from_pkcs8_der(der.secret_pkcs8_der())
    }

    /// The key as a PKCS#8 document.
    #[must_use]
    pub fn to_pkcs8_der(&self) -> Zeroizing<Vec<u8>> {
        self.pkcs8.clone()
    }

    /// The key as a PEM file, as OpenSSL writes it too.
    #[must_use]
    pub fn to_pkcs8_pem(&self) -> Zeroizing<String> {
        let mut pem = Zeroizing::new(String::with_capacity(self.pkcs8.len() * 2 + 64));
        pem.push_str("-----BEGIN PRIVATE KEY-----\n");
        for line in self.pkcs8.chunks(48) {
            push_base64(&mut pem, line);
            pem.push('\n');
        }
        pem.push_str("-----END PRIVATE KEY-----\n");
        pem
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.public
    }

    /// Signs `message` in a domain of its own, for example `"study-approval/1"`.
    ///
    /// # Security
    /// The domain and a fixed prefix are signed too, so that a signature for one purpose, or one
    /// of a handshake, never counts for another purpose.
    #[must_use]
    pub fn sign(&self, domain: &str, message: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        // Ed25519 signatures have 64 bytes.
        let made = self.pair.sign(&signed_bytes(domain, message));
        signature.copy_from_slice(made.as_ref());
        signature
    }

    /// A symmetric key that follows from the private key, for a purpose that `domain` names, for
    /// example `"sealed files/1"`: that of its [`Root`].
    #[must_use]
    pub fn derive(&self, domain: &str) -> Zeroizing<[u8; 32]> {
        self.root().derive(domain)
    }

    /// What the symmetric keys of this identity follow from.
    #[must_use]
    pub fn root(&self) -> Root {
        // The extraction of HKDF-SHA256 (RFC 5869, 2.2).
        let salt = hmac::Key::new(hmac::HMAC_SHA256, b"mpc-net keys of an identity 1");
        let mut root = Zeroizing::new([0; 32]);
        root.copy_from_slice(hmac::sign(&salt, self.seed()).as_ref());
        Root(root)
    }

    /// The 32 bytes that the key is made from, however the document around them is written.
    fn seed(&self) -> &[u8] {
        let at = self.pkcs8.windows(SEED_HEAD.len()).position(|head| head == SEED_HEAD);
        let start = at.map(|at| at + SEED_HEAD.len());
        // The document was read when the identity was made, so the seed is there.
        start
            .and_then(|start| self.pkcs8.get(start..start + 32))
            .unwrap_or_else(|| unreachable!("a key that was read has a seed"))
    }
}

/// What symmetric keys follow from: HKDF-SHA256 (RFC 5869) of the seed of an identity, extracted. It says
/// nothing about the private key, and can be kept where that is replaced by another.
#[derive(Clone)]
pub struct Root(Zeroizing<[u8; 32]>);

impl Root {
    /// One that was kept.
    #[must_use]
    pub fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// What is to be kept, as secret as a private key.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        self.0.clone()
    }

    /// A key for a purpose that `domain` names. Another domain gives a key that has nothing to do with it,
    /// and neither says anything about the root.
    #[must_use]
    pub fn derive(&self, domain: &str) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        let root = Prk::new_less_safe(HKDF_SHA256, self.0.as_slice());
        let purpose = [domain.as_bytes()];
        // As many bytes as the hash has are always given.
        root.expand(&purpose, HKDF_SHA256)
            .and_then(|derived| derived.fill(key.as_mut_slice()))
            .unwrap_or_else(|_| unreachable!("32 bytes are less than 255 hashes"));
        key
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Root([redacted])")
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({}, private key [redacted])", self.public)
    }
}

fn signed_bytes(domain: &str, message: &[u8]) -> Vec<u8> {
    let length = (domain.len() as u64).to_le_bytes();
    [b"mpc-net signature 1\0".as_slice(), &length, domain.as_bytes(), message].concat()
}

fn push_base64(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for group in bytes.chunks(3) {
        let word = group.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte))
            << (8 * (3 - group.len()));
        for digit in 0..4 {
            let value = (word >> (18 - 6 * digit)) & 63;
            text.push(if digit <= group.len() { DIGITS[value as usize] as char } else { '=' });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_pem_and_der() {
        let identity = Identity::generate().unwrap();
        let pem = identity.to_pkcs8_pem();
        let der = identity.to_pkcs8_der();
        assert_eq!(Identity::from_pkcs8_pem(&pem).unwrap().public_key(), identity.public_key());
        assert_eq!(Identity::from_pkcs8_der(&der).unwrap().public_key(), identity.public_key());
        assert_eq!(pem.lines().count(), 3);
        assert!(Identity::from_pkcs8_pem("-----BEGIN PRIVATE KEY-----").is_err());
        assert!(Identity::from_pkcs8_der(&der[1..]).is_err());
    }

    #[test]
    fn a_known_seed_gives_the_known_key() {
        // RFC 8032, section 7.1, test 1.
        let pem = "-----BEGIN PRIVATE KEY-----\n\
                   MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
                   -----END PRIVATE KEY-----\n";
        let identity = Identity::from_pkcs8_pem(pem).unwrap();
        let fingerprint =
            "ed25519:d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!(identity.public_key().to_string(), fingerprint);
        assert_eq!(fingerprint.parse::<PublicKey>().unwrap(), identity.public_key());
        assert_eq!(identity.to_pkcs8_pem().as_str(), pem);
    }

    #[test]
    fn fingerprints_are_checked() {
        let good = Identity::generate().unwrap().public_key().to_string();
        let (short, long) = (&good[..71], format!("{good}0"));
        for bad in ["", "ed25519:", &good[8..], short, &long, &good.replace("ed25519", "rsa")] {
            let error = bad.parse::<PublicKey>().unwrap_err().to_string();
            assert!(error.contains("64 hexadecimal digits"), "{error}");
        }
        assert!(format!("ed25519:{}", "+f".repeat(32)).parse::<PublicKey>().is_err());
        assert_eq!(
            good.to_uppercase().replace("ED", "ed").parse::<PublicKey>().ok(),
            good.parse().ok()
        );
    }

    #[test]
    fn signatures_belong_to_key_domain_and_message() {
        let (a, b) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        let signature = a.sign("approval/1", b"digest");
        let key = a.public_key();
        assert!(key.verify("approval/1", b"digest", &signature).is_ok());
        assert!(key.verify("approval/2", b"digest", &signature).is_err());
        assert!(key.verify("approval/1", b"other", &signature).is_err());
        assert!(key.verify("approval/1", b"digest", &signature[..63]).is_err());
        assert!(b.public_key().verify("approval/1", b"digest", &signature).is_err());
    }

    #[test]
    fn derived_keys_belong_to_key_and_domain() {
        let (a, b) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        let again = Identity::from_pkcs8_pem(&a.to_pkcs8_pem()).unwrap();
        assert_eq!(a.derive("files/1"), again.derive("files/1"));
        assert_ne!(a.derive("files/1"), a.derive("files/2"));
        assert_ne!(a.derive("files/1"), b.derive("files/1"));
        assert_ne!(a.derive("files/1").as_slice(), a.seed());

        // The keys are those of HKDF, and survive where the root is kept.
        let salt = ring::hkdf::Salt::new(HKDF_SHA256, b"mpc-net keys of an identity 1");
        let mut hkdf = [0; 32];
        let purpose = [b"files/1".as_slice()];
        salt.extract(a.seed()).expand(&purpose, HKDF_SHA256).unwrap().fill(&mut hkdf).unwrap();
        assert_eq!(*a.derive("files/1"), hkdf);
        let root = Root::from_bytes(a.root().to_bytes());
        assert_eq!(*root.derive("files/1"), hkdf);
        assert_eq!(format!("{root:?}"), "Root([redacted])");

        // Version 2 of the document has the public key behind the same seed.
        let seed = &a.to_pkcs8_der()[16..];
        let head = [&[0x30, 0x51, 2, 1, 1], &PKCS8_HEAD[5..]].concat();
        let tail = [&[0x81, 0x21, 0], a.public_key().as_bytes().as_slice()].concat();
        let second = Identity::from_pkcs8_der(&[&head, seed, &tail].concat()).unwrap();
        assert_eq!(second.public_key(), a.public_key());
        assert_eq!(second.derive("files/1"), a.derive("files/1"));
    }

    #[test]
    fn debug_does_not_show_the_private_key() {
        let identity = Identity::generate().unwrap();
        let seed = &identity.to_pkcs8_der()[16..];
        let text = format!("{identity:?}");
        let hex: String = seed.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(text.contains("[redacted]") && !text.contains(&hex));
        assert!(!text.contains(&format!("{seed:?}")));
    }
}
