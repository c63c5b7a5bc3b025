//! Authenticated byte transport between the nodes of a secure multi-party computation.
//!
//! This crate moves bytes between nodes that know each other's keys. It knows nothing of
//! shares, models or files.
//!
//! * [`Transport`] is the contract every protocol is written against: ordered, framed messages
//!   between numbered nodes, checked against what is *due*.
//! * `memory::mesh` joins any number of nodes inside one process, with byte-bounded pipes and
//!   the same frames as the network, for tests, examples and custom protocols.
//! * `quic` (feature `quic`) joins nodes on different machines over QUIC with mutual
//!   authentication by pinned public keys.
//! * [`record`] keeps what a node sent and received as digests that can be signed and compared.
//! * [`replay`] runs one node's part of a run again, on what it received then.
//! * [`Meter`] counts bytes, messages and rounds by phase, at the transport.

mod carrier;
mod channel;
#[cfg(feature = "test-util")]
pub mod contract;
mod error;
#[cfg(feature = "test-util")]
pub mod fault;
mod frame;
#[cfg(feature = "test-util")]
pub mod fuzzing;
pub mod memory;
mod meter;
mod party;
mod patience;
#[cfg(feature = "quic")]
pub mod quic;
pub mod record;
pub mod replay;
mod transport;
mod waits;
mod work;

pub use error::{Abort, AbortCode, NetError};
pub use frame::{HEADER_BYTES, MAX_PAYLOAD};
pub use meter::{Meter, PhaseTotals, Traffic};
pub use party::PartyId;
pub use transport::{BoxFuture, Due, Length, Tag, Transport};
pub use work::AtWork;
