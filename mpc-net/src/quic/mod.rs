//! Nodes on different machines, joined over QUIC.
//!
//! * [`Identity`] is a node's Ed25519 key; peers pin its [`PublicKey`], whose text is the
//!   fingerprint. TLS 1.3 proves the keys in both directions; there are no certificates.
//! * [`join()`] meets all nodes of a [`Roster`], started in any order, and checks that they mean
//!   the same study before anything else is said. [`JoinEvent`]s tell an operator who is missing.
//! * [`Dealer`] is the same for the dealer node, which learns from the parties which study it
//!   serves, one study after the other.
//! * [`QuicTransport`] is the mesh: a [`Transport`](crate::Transport).
//!
//! Everything runs on the caller's tokio runtime, best one current-thread runtime for network and
//! protocol together: on a multi-thread runtime small messages take more than twice as long.

mod admission;
mod closing;
mod dealer;
mod dialling;
mod door;
mod gather;
mod hello;
#[cfg(test)]
mod hostile;
mod identity;
mod join;
mod latecomers;
mod links;
mod settings;
mod tls;
mod transport;

pub use dealer::{Dealer, DealerOptions};
pub use hello::Role;
pub use identity::{Identity, IdentityError, PublicKey, Root};
pub use join::{JoinEvent, JoinOptions, Observer, Peer, Roster, join, join_until};
pub use settings::{LinkSettings, Mtu};
pub use transport::{Linger, QuicTransport};

#[cfg(feature = "test-util")]
pub(crate) mod decoding {
    /// Decodes everything that a node reads before its peer has joined.
    pub(crate) fn hello(bytes: &[u8]) {
        let _ = super::hello::decode::<super::hello::Hello>(bytes);
        let _ = super::hello::decode::<super::hello::Answer>(bytes);
        let _ = super::hello::decode::<super::hello::Ready>(bytes);
    }
}
