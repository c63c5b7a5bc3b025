//! Signatures of the nodes: what one of them can show to somebody else.

/// Signs for a node, and checks what the other nodes of its session signed.
///
/// A session does not know whose keys these are: the node brings the keys by which the nodes know each
/// other.
///
/// # Security
/// The domain is a part of what is signed: a signature for one purpose must not count for another.
/// Signatures are unforgeable under chosen messages, and the keys are those that every node of the
/// session has agreed on with its context.
pub trait Signatory: Send + Sync {
    /// This node's signature over `message`, for the purpose `domain`.
    fn sign(&self, domain: &str, message: &[u8]) -> [u8; 64];

    /// Whether `signature` is the one of node number `node` over `message` for the purpose `domain`.
    fn verify(&self, node: usize, domain: &str, message: &[u8], signature: &[u8; 64]) -> bool;
}
