//! The identity of a node: an Ed25519 key, and its fingerprint by which others know it.

use std::fmt;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mpc_net::quic;
use zeroize::Zeroizing;

use crate::input;
use crate::output::{PREFIX, SUFFIX};

/// The public key of a node as people exchange it: `ed25519:` and 64 lowercase hex digits.
pub use mpc_net::quic::PublicKey as Fingerprint;

/// Why a text is not a fingerprint.
pub use mpc_net::quic::IdentityError as FingerprintError;

/// The key of this node. Formatting it shows the fingerprint only.
pub struct Identity {
    key: Arc<quic::Identity>,
}

/// Why a key or a fingerprint is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
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
        let key = quic::Identity::generate().map_err(|_| IdentityError::Randomness)?;
        let text = key.to_pkcs8_pem();
        let failed = |source| IdentityError::Write { path: path.to_owned(), source };
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        // A temporary file has mode 0600 from its first moment, and takes its name only when whole.
        let mut file = tempfile::Builder::new()
            .prefix(PREFIX)
            .suffix(SUFFIX)
            .tempfile_in(directory.unwrap_or(Path::new(".")))
            .map_err(failed)?;
        file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
        file.persist_noclobber(path).map_err(|error| match error.error.kind() {
            std::io::ErrorKind::AlreadyExists => IdentityError::Exists { path: path.to_owned() },
            _ => failed(error.error),
        })?;
        Ok(Self { key: Arc::new(key) })
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
        let text = Zeroizing::new(input::text(path).map_err(failed)?);
        let key = quic::Identity::from_pkcs8_pem(&text)
            .map_err(|_| IdentityError::Malformed { path: path.to_owned() })?;
        Ok(Self { key: Arc::new(key) })
    }

    /// The fingerprint, to be given to the other parties.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.key.public_key()
    }

    /// The key as the network takes it.
    #[must_use]
    pub fn key(&self) -> &Arc<quic::Identity> {
        &self.key
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.fingerprint())
    }
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
        for bad in [&good[1..], &good[..71], &format!("{good}0"), "ed25519:é"] {
            assert!(bad.parse::<Fingerprint>().is_err(), "{bad}");
        }
    }
}
