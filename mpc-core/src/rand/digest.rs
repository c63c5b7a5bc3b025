//! The hash that seeds, names and digests are derived with.

use sha3::{Digest, Sha3_256};

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

/// The same hash over parts that come one after the other.
#[derive(Clone)]
pub(crate) struct RunningHash(Sha3_256);

impl RunningHash {
    pub(crate) fn new(domain: &str) -> Self {
        let mut hash = Self(Sha3_256::new_with_prefix(b"mpc-core/1"));
        hash.absorb(domain.as_bytes());
        hash
    }

    pub(crate) fn absorb(&mut self, part: &[u8]) {
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    /// The hash of what was absorbed so far.
    pub(crate) fn value(&self) -> [u8; 32] {
        self.0.clone().finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_hash_do_not_run_together() {
        assert_ne!(hash("d", &[b"ab", b"c"]), hash("d", &[b"a", b"bc"]));
        assert_ne!(hash("d", &[b"x"]), hash("dx", &[]));
        let mut running = RunningHash::new("d");
        running.absorb(b"ab");
        running.absorb(b"c");
        assert_eq!(running.value(), hash("d", &[b"ab", b"c"]));
    }
}
