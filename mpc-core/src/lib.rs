//! Rings, additive shares, correlated randomness and the protocols of secure multi-party
//! computation.
//!
//! Several parties hold numbers that they may not show to each other, and compute on them
//! together. A number is split into *additive shares*, one for each party, that look random on
//! their own; sums and public multiples of shares are local, everything else costs a *round*, in
//! which every party sends a message to every other.
//!
//! * [`Shared`] is one party's share of a matrix over a [`ring`]; [`Fixed`] is one of reals in fixed
//!   point, which knows its ring and scale, so that neither is remembered by hand.
//! * [`Session`] is the one context of a computation: the transport, the seeds shared with each
//!   other node, and the ledger of what may be revealed. `Session::establish` starts one on any
//!   `mpc_net::Transport`; [`testing::World`] runs all parties of one inside a process.
//! * [`Batch`] collects openings that share a round: `let opened = session.open(batch).await?`.
//! * [`Session::reveal`], and [`Session::reveal_fixed`] for reals, is the only way by which a result
//!   is learned, and only if the [`Outputs`] of the session name it.
//! * [`session::ext`] is what protocols are made of: zero shares, streams in common with another
//!   party, messages of bytes; with masks of one's own ([`rand::MaskDomain`]).
//! * [`correlations`] is randomness made ahead, without which products would leak: a
//!   [`correlations::CorrelationSource`] takes orders and hands out one-time material.
//! * [`noise`] draws discrete Gaussian noise, for differential privacy.
//! * [`approx`] fits trigonometric series to functions, in the clear.
//! * [`protocols`] has products of shared matrices, truncation, products with a matrix that its
//!   owner knows, any smooth function as a trigonometric series, and the inverse of a positive
//!   definite matrix. Each declares its [`Cost`]; [`ideal`] has a plaintext twin of each.
//!
//! The examples are whole protocols: `product_of_secrets` in thirty lines, `group_statistics`, and
//! `replicated_product`, which goes below what is here and brings a mask of its own. The maths and
//! its security conditions are in `docs/protocols.md`, to whose sections the code refers.
//!
//! # Security
//! Parties that keep to the protocol learn what is revealed and nothing else, up to all but one of
//! them together. One that deviates in order to learn more is noticed and named in a covert session,
//! which is the default ([`Against`]). See `docs/threat-model.md`.

pub mod aggregate;
pub mod align;
pub mod approx;
pub mod correlations;
mod error;
pub mod fixed;
#[cfg(feature = "test-util")]
#[doc(hidden)]
pub mod fuzzing;
pub mod ideal;
pub mod noise;
mod offload;
pub mod protocols;
pub mod rand;
pub mod ring;
pub mod session;
mod share;
pub mod testing;
pub mod trig;

pub use error::Error;
pub use mpc_net::Tag;
pub use offload::{cores, offload, side_by_side, try_side_by_side};
pub use session::{
    Against, Batch, Checkpoint, CheckpointLog, Cost, Opened, Outputs, Recipients, Recorded,
    ReleaseLog, Session, SessionOptions, Slot, State,
};
pub use share::{Fixed, Shared, SharedBits};

/// The code of the front page compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
