//! Nodes on different machines, joined over QUIC.
//!
//! * [`Identity`] is a node's Ed25519 key; peers pin its [`PublicKey`], whose text is the
//!   fingerprint. TLS 1.3 proves the keys in both directions; there are no certificates.
//! * [`join()`] meets all nodes of a [`Roster`], started in any order, and checks that they mean
//!   the same study before anything else is said. [`JoinEvent`]s tell an operator who is missing.
//! * [`Dealer`] is the same for the dealer node, which learns from the parties which study it
//!   serves, one study after the other.
//! * [`Relay`] forwards sealed packets between nodes that can only make outgoing connections.
//! * [`QuicTransport`] is the mesh: a [`Transport`](crate::Transport).
//!
//! Everything runs on the caller's tokio runtime, best one current-thread runtime for network and
//! protocol together: on a multi-thread runtime small messages take more than twice as long.

mod admission;
mod checkup;
mod claims;
mod closing;
mod dealer;
mod dialling;
mod door;
#[cfg(any(test, feature = "test-util"))]
pub mod floods;
mod gather;
mod hello;
#[cfg(test)]
mod hostile;
mod identity;
mod join;
mod latecomers;
mod links;
mod meeting;
mod probe;
mod relay;
mod settings;
mod tls;
mod transport;
mod ways;

pub use checkup::{Answers, Doing, ExamineOptions, Examiner, Seen};
pub use dealer::{Dealer, DealerOptions};
pub use hello::Role;
pub use identity::{Identity, IdentityError, PublicKey, Root};
pub use join::{JoinEvent, JoinOptions, Observer, Peer, Roster, join, join_until};
#[cfg(feature = "test-util")]
pub use relay::Middlebox;
pub use relay::{
    Over, ProxyFault, ProxyLogin, Relay, RelayEvent, RelayFault, RelayObserver, RelayOptions,
    RelaySeen, RelaySettings, Via, look_at_relay,
};
pub use settings::{LinkSettings, Mtu};
pub use transport::{Linger, QuicTransport};

/// The versions of the protocol between nodes that this build speaks, from and to.
#[must_use]
pub fn versions() -> (u16, u16) {
    hello::versions()
}

/// A number that a test puts into the environment to stage a fault; none outside of tests.
pub(crate) fn staged(variable: &str) -> Option<i64> {
    if cfg!(feature = "test-util") { std::env::var(variable).ok()?.parse().ok() } else { None }
}

#[cfg(feature = "test-util")]
pub(crate) mod decoding {
    /// Decodes everything that a node reads before its peer has joined.
    pub(crate) fn hello(bytes: &[u8]) {
        let _ = super::hello::decode::<super::hello::Hello>(bytes);
        let _ = super::hello::decode::<super::hello::Answer>(bytes);
        let _ = super::hello::decode::<super::hello::Ready>(bytes);
    }

    /// Decodes what a relay and a node say to each other.
    pub(crate) fn relay(bytes: &[u8]) {
        super::relay::frame::decode_all(bytes);
    }
}
