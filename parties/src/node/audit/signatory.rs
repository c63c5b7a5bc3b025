//! The keys by which nodes know each other, for a session that signs.

use std::fmt;
use std::sync::Arc;

use mpc_core::session::Signatory;
use mpc_net::quic;

use crate::identity::{Fingerprint, Identity};

/// Signs with this node's key, and checks with the pinned keys of all nodes, in their order.
pub struct Keys {
    own: Arc<quic::Identity>,
    all: Vec<Fingerprint>,
}

impl Keys {
    /// The keys of the nodes of a study; a dealer last.
    #[must_use]
    pub fn new(identity: &Identity, all: Vec<Fingerprint>) -> Self {
        Self { own: Arc::clone(identity.key()), all }
    }
}

impl Signatory for Keys {
    fn sign(&self, domain: &str, message: &[u8]) -> [u8; 64] {
        self.own.sign(domain, message)
    }

    fn verify(&self, node: usize, domain: &str, message: &[u8], signature: &[u8; 64]) -> bool {
        self.all.get(node).is_some_and(|key| key.verify(domain, message, signature).is_ok())
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("all", &self.all).finish_non_exhaustive()
    }
}
