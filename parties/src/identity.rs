//! The identity of a node: an Ed25519 key, and its fingerprint by which others know it.

use std::fmt;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use zeroize::Zeroizing;

/// The public key of a node as people exchange it: `ed25519:` and 64 lowercase hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

/// The key of this node. Formatting it shows the fingerprint only.
pub struct Identity {
    pair: Ed25519KeyPair,
}

/// Why a key or a fingerprint is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// Not a fingerprint.
    #[error(
        "{0:?} is not a fingerprint: it is \"ed25519:\" and 64 lowercase hex digits, as `party fingerprint` prints it"
    )]
    Fingerprint(String),
    /// The key file cannot be read.
    #[error("the key file {} cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The key file holds no key of this kind.
    #[error("the key file {} does not hold an Ed25519 private key in PKCS#8 PEM", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// Others can read the key.
    #[error("the key file {} can be read by other users (mode {mode:03o}); make it private with chmod 600", path.display())]
    NotPrivate {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The key file exists.
    #[error("the key file {} exists already and is never overwritten", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The key file cannot be written.
    #[error("the key file {} cannot be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The system gives no randomness.
    #[error("the system gave no random numbers for a new key")]
    Randomness,
}

impl Identity {
    /// Makes a new key and writes it to `path`, readable by the owner only.
    ///
    /// # Errors
    /// When the file exists or cannot be written.
    pub fn create(path: &Path) -> Result<Self, IdentityError> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
            .map_err(|_| IdentityError::Randomness)?;
        let text = Zeroizing::new(pem(document.as_ref()));
        let failed = |source| IdentityError::Write { path: path.to_owned(), source };
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        // A temporary file has mode 0600 from its first moment, and takes its name only when whole.
        let mut file =
            tempfile::NamedTempFile::new_in(directory.unwrap_or(Path::new("."))).map_err(failed)?;
        file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
        file.persist_noclobber(path).map_err(|error| match error.error.kind() {
            std::io::ErrorKind::AlreadyExists => IdentityError::Exists { path: path.to_owned() },
            _ => failed(error.error),
        })?;
        Self::from_pem(text.as_bytes(), path)
    }

    /// Reads the key from `path`.
    ///
    /// # Errors
    /// When the file cannot be read, can be read by other users, or holds no key.
    pub fn read(path: &Path) -> Result<Self, IdentityError> {
        let failed = |source| IdentityError::Read { path: path.to_owned(), source };
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(path).map_err(failed)?.permissions().mode() & 0o777;
            if mode & 0o077 != 0 {
                return Err(IdentityError::NotPrivate { path: path.to_owned(), mode });
            }
        }
        let bytes = Zeroizing::new(fs::read(path).map_err(failed)?);
        Self::from_pem(&bytes, path)
    }

    /// The fingerprint, to be given to the other parties.
    ///
    /// # Panics
    /// Never: an Ed25519 public key has 32 bytes.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let key = self.pair.public_key().as_ref();
        Fingerprint(key.try_into().expect("an Ed25519 public key has 32 bytes"))
    }

    fn from_pem(bytes: &[u8], path: &Path) -> Result<Self, IdentityError> {
        let malformed = || IdentityError::Malformed { path: path.to_owned() };
        let key = PrivatePkcs8KeyDer::from_pem_slice(bytes).map_err(|_| malformed())?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.secret_pkcs8_der())
            .map_err(|_| malformed())?;
        Ok(Self { pair })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.fingerprint())
    }
}

impl Fingerprint {
    /// The 32 bytes of the public key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for Fingerprint {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let digits = text.strip_prefix("ed25519:").filter(|digits| digits.len() == 64);
        let value = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        let byte = |pair: &[u8]| Some(value(pair[0])? << 4 | value(pair[1])?);
        digits
            .and_then(|digits| {
                digits.as_bytes().chunks_exact(2).map(byte).collect::<Option<Vec<u8>>>()
            })
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or_else(|| IdentityError::Fingerprint(text.to_owned()))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ed25519:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// PKCS#8 as PEM text.
fn pem(der: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    // Enough at once, so that no copy of the key is left behind by a growing buffer.
    let mut text = String::with_capacity(2 * der.len() + 80);
    text.push_str("-----BEGIN PRIVATE KEY-----\n");
    for line in der.chunks(48) {
        for group in line.chunks(3) {
            let word = group.iter().fold(0_u32, |word, &byte| word << 8 | u32::from(byte));
            let word = word << (8 * (3 - group.len()));
            for position in 0..4 {
                let digit = (word >> (18 - 6 * position)) & 63;
                let filled = position <= group.len();
                text.push(if filled { char::from(ALPHABET[digit as usize]) } else { '=' });
            }
        }
        text.push('\n');
    }
    text.push_str("-----END PRIVATE KEY-----\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("identity.key");
        let identity = Identity::create(&path).unwrap();
        assert_eq!(Identity::read(&path).unwrap().fingerprint(), identity.fingerprint());
        let text = identity.fingerprint().to_string();
        assert_eq!(text.parse::<Fingerprint>().unwrap(), identity.fingerprint());
        assert_eq!(format!("{identity:?}"), format!("Identity({text})"));
        let before = fs::read(&path).unwrap();
        assert!(matches!(Identity::create(&path), Err(IdentityError::Exists { .. })));
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("identity.key");
        Identity::create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(
            Identity::read(&path),
            Err(IdentityError::NotPrivate { mode: 0o640, .. })
        ));
    }

    #[test]
    fn fingerprints_are_exact() {
        let good = format!("ed25519:{}", "0a".repeat(32));
        assert_eq!(good.parse::<Fingerprint>().unwrap().as_bytes(), &[10; 32]);
        for bad in [&good[1..], &good[..71], &good.to_uppercase(), &format!("{good}0"), "ed25519:é"]
        {
            assert!(bad.parse::<Fingerprint>().is_err(), "{bad}");
        }
    }

    #[test]
    fn base64_is_padded() {
        let body = |der: &[u8]| pem(der).lines().nth(1).unwrap().to_owned();
        assert_eq!([body(b"f"), body(b"fo"), body(b"foo")], ["Zg==", "Zm8=", "Zm9v"]);
    }
}
