//! Meeting through a relay: nodes that can only make outgoing connections.
//!
//! A node keeps one line to its relay, over QUIC or over TLS on TCP, on which both have shown their
//! keys, and names its peers on it. What it sends a peer is a packet of a QUIC connection with that
//! peer, as on any network: the relay has neither of the keys that the two ends show each other, and
//! learns who exchanges how many packets of which length, and when.

mod client;
mod connect;
mod fault;
pub(crate) mod frame;
#[cfg(test)]
mod hostile;
mod line;
mod listen;
mod proxy;
mod queue;
mod server;
mod socket;

pub(crate) use client::{Reached, RelayClient};
#[cfg(any(test, feature = "test-util"))]
pub(crate) use connect::relay_line_of;
pub use connect::{RelaySeen, RelaySettings, Via, look_at_relay};
pub use fault::{ProxyFault, RelayFault};
pub use line::Over;
pub use listen::{Relay, RelayOptions};
pub use proxy::ProxyLogin;
#[cfg(feature = "test-util")]
pub use server::Middlebox;
pub use server::{RelayEvent, RelayObserver};
pub(crate) use socket::{Packets, RelaySocket};
