//! Correlations from a separate dealer node.
//!
//! The dealer shares a seed with each party. Everything that a party holds at random is expanded
//! from its seed at both ends; what has to fit the others' randomness is sent as a *correction* to
//! the last party. The dealer sees shapes ([`Request`](super::Request)) and nothing else: it
//! receives no opening and no masked matrix, and it relays nothing.
//!
//! # Security
//! Privacy against any coalition of parties, as long as none of them colludes with the dealer,
//! then or later (docs/protocols.md 0).

mod command;
mod party;
mod server;
mod source;
mod streams;

#[cfg(feature = "test-util")]
pub(crate) use command::check as check_command;
pub use server::serve;
pub use source::DealerSource;
