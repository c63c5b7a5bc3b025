//! Joining and the transport contract over real QUIC on loopback.
#![cfg(all(feature = "quic", feature = "test-util"))]
#![allow(clippy::unwrap_used)]

mod dealer;
mod joining;
mod plan;
mod relay;
mod restarts;
mod runs;
