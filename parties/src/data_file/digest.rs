//! A digest of a file while it is read.

use std::fmt;
use std::io::{self, Read};

use ring::digest::{Context, SHA256};

/// SHA-256 of the bytes of a data file: **private**, since who guesses the file can try the guess. What
/// leaves this module is keyed first.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct FileDigest([u8; 32]);

impl FileDigest {
    /// A digest that was made elsewhere.
    pub(crate) fn from_bytes(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The 32 bytes.
    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for FileDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileDigest([redacted])")
    }
}

/// Reads, and hashes what was read: the digest is that of the very bytes that were used, also where
/// somebody writes to the file meanwhile.
pub(super) struct Hashing<R> {
    inner: R,
    hash: Context,
}

impl<R: Read> Hashing<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, hash: Context::new(&SHA256) }
    }

    /// Reads what is left, and gives the digest.
    pub(super) fn finish(mut self) -> io::Result<FileDigest> {
        io::copy(&mut self, &mut io::sink())?;
        let mut digest = [0; 32];
        digest.copy_from_slice(self.hash.finish().as_ref());
        Ok(FileDigest(digest))
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}
