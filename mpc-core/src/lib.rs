//! Rings, additive shares, correlated randomness and the protocols of secure multi-party
//! computation.

pub mod correlations;
mod error;
pub mod fixed;
#[cfg(feature = "test-util")]
#[doc(hidden)]
pub mod fuzzing;
pub mod ideal;
mod offload;
pub mod protocols;
pub mod rand;
pub mod ring;
mod session;
mod share;
#[cfg(feature = "test-util")]
pub mod testing;
pub mod trig;

pub use error::Error;
pub use mpc_net::Tag;
pub use session::{
    Batch, Cost, Opened, Outputs, Recipients, ReleaseLog, Session, SessionOptions, Slot,
};
pub use share::Shared;
