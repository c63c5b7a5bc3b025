//! The identity of a node: an Ed25519 key, and its fingerprint by which others know it.
//!
//! The key file is PKCS#8 in PEM. Where the key has replaced another, lines follow:
//!
//! ```text
//! storage ed25519:HEX HEX    whose the state directory is, and the root of the keys that seal it
//! before HEX                 a key before, its time and its signature on the next one; the oldest first
//! ```

use std::fmt;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mpc_net::quic::{self, Root};
use zeroize::Zeroizing;

use crate::input;
use crate::invite::{Link, Links};
use crate::output::{PREFIX, SUFFIX, create, hex, replace, unhex};

/// The public key of a node as people exchange it: `ed25519:` and 64 lowercase hex digits.
pub use mpc_net::quic::PublicKey as Fingerprint;

/// Why a text is not a fingerprint.
pub use mpc_net::quic::IdentityError as FingerprintError;

/// The key of this node. Formatting it shows the fingerprint only.
pub struct Identity {
    key: Arc<quic::Identity>,
    /// The first key, which owns the state directory, and what the keys that seal there follow from.
    owner: Fingerprint,
    root: Root,
    links: Links,
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
    #[error("the key file {} does not hold an Ed25519 private key in PKCS#8 PEM, or what stands below it was changed", path.display())]
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
        Ok(Self::first(key))
    }

    /// A key that has replaced none.
    fn first(key: quic::Identity) -> Self {
        let (owner, root) = (key.public_key(), key.root());
        Self { key: Arc::new(key), owner, root, links: Links::default() }
    }

    /// Replaces the key in `path` by a new one, which the old one signs; `at` is the time. What is sealed
    /// under the old one is opened by the new one. The file before is kept beside it; its place is given.
    ///
    /// # Errors
    /// When a file cannot be read or written; then the key is still the old one.
    pub fn rotate(path: &Path, at: u64) -> Result<(Self, PathBuf), crate::exit::Failure> {
        let old = Self::read(path)?;
        let failed = |source| IdentityError::Read { path: path.to_owned(), source };
        let before = Zeroizing::new(input::read(path).map_err(failed)?);
        let key = quic::Identity::generate().map_err(|_| IdentityError::Randomness)?;
        let links = old.links.clone().with(Link::sign(&old, &key.public_key(), at));
        let new = Self { key: Arc::new(key), owner: old.owner, root: old.root.clone(), links };
        let numbered = (1u32..).map(|number| {
            let mut name = path.as_os_str().to_owned();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        });
        let kept = numbered.into_iter().find(|path| path.symlink_metadata().is_err());
        let kept = kept.unwrap_or_default();
        create(&kept, &before)?;
        replace(path, new.to_text().as_bytes())?;
        Ok((new, kept))
    }

    /// The key file.
    fn to_text(&self) -> Zeroizing<String> {
        let mut text = self.key.to_pkcs8_pem();
        let root = Zeroizing::new(hex(self.root.to_bytes().as_slice()));
        let storage = Zeroizing::new(format!("storage {} {}\n", self.owner, *root));
        text.push_str(&storage);
        for line in self.links.to_text().lines() {
            text.push_str(&format!("before {line}\n"));
        }
        text
    }

    /// What stands below the key; `None` where it is not as it was written.
    fn with_lines(mut self, text: &str) -> Option<Self> {
        let mut links = String::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("storage ") {
                let (owner, root) = rest.split_once(' ')?;
                let bytes = Zeroizing::new(unhex(root)?);
                let mut root = Zeroizing::new([0; 32]);
                root.copy_from_slice(bytes.get(..32).filter(|_| bytes.len() == 32)?);
                (self.owner, self.root) = (owner.parse().ok()?, Root::from_bytes(root));
            } else if let Some(link) = line.strip_prefix("before ") {
                links += &format!("{link}\n");
            }
        }
        self.links = Links::from_text(&links, &self.key.public_key())?;
        Some(self)
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
        let malformed = || IdentityError::Malformed { path: path.to_owned() };
        let key = quic::Identity::from_pkcs8_pem(&text).map_err(|_| malformed())?;
        Self::first(key).with_lines(&text).ok_or_else(malformed)
    }

    /// A symmetric key for what this node keeps for itself, for a purpose that `domain` names. It stays the
    /// same when the key is replaced.
    #[must_use]
    pub fn derive(&self, domain: &str) -> Zeroizing<[u8; 32]> {
        self.root.derive(domain)
    }

    /// The first key of this node, whose the state directory is.
    #[must_use]
    pub fn owner(&self) -> Fingerprint {
        self.owner
    }

    /// The keys before, each of which signed the next one.
    #[must_use]
    pub fn links(&self) -> &Links {
        &self.links
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

    #[test]
    fn a_new_key_opens_what_the_old_one_sealed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("identity.key");
        let first = Identity::create(&path).unwrap();
        let (second, kept) = Identity::rotate(&path, 7).unwrap();
        assert_eq!(kept, directory.path().join("identity.key.1"));
        let (third, kept) = Identity::rotate(&path, 8).unwrap();
        assert_eq!(kept, directory.path().join("identity.key.2"));
        let read = Identity::read(&path).unwrap();
        assert_eq!(read.fingerprint(), third.fingerprint());
        assert_ne!(second.fingerprint(), third.fingerprint());
        for each in [&second, &third, &read, &Identity::read(&kept).unwrap()] {
            assert_eq!(each.owner(), first.fingerprint());
            assert_eq!(each.derive("x"), first.key().derive("x"));
        }
        assert_eq!(read.links(), third.links());
        assert_eq!(read.links().follows(&first.fingerprint()).unwrap().at, 7);
        assert_eq!(read.links().follows(&second.fingerprint()).unwrap().at, 8);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!((mode(&path), mode(&kept)), (0o600, 0o600));
        }
        // What stands below the key is as it was written, or the file is refused.
        let text = fs::read_to_string(&path).unwrap();
        for (from, to) in
            [("before 0", "before g"), ("storage ed25519:", "storage "), ("before ", "before 00")]
        {
            assert!(text.contains(from) || from == "before 0");
            fs::write(&path, text.replace(from, to)).unwrap();
            let refused = text.contains(from) && Identity::read(&path).is_ok();
            assert!(!refused, "{to}");
        }
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
