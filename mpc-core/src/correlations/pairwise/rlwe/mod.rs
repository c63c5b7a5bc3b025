//! Products of a matrix that one party knows with masks that the others know, by RLWE
//! (docs/protocols.md 6.4). No network: whoever moves the bytes calls in this order.
//!
//! | party | call | bytes |
//! |---|---|---|
//! | each, once a session, label and parameter set | [`Sender::generate`] | a key to every owner |
//! | each owner | [`Owner::new`], [`Owner::add_key`] for each other party | |
//! | each but the owner, once a product | [`Sender::encrypt`] | [`Plan::input_bytes`], the same to every owner |
//! | owner | [`Owner::begin`], [`Inputs::add`] for each other party, then [`Rows::new`], [`Owner::masks`] and [`Owner::multiply`] for blocks of rows | [`Plan::output_bytes`], the same to all others |
//! | each but the owner | [`Sender::finish`] | |
//!
//! The shares of the owner and of all others add up to the sum of X V_j over the others mod
//! 2^ring, with an error of at most floor(N/2) ([`Plan::largest_error`]); who adds the products of several
//! owners adds their errors. X V_i of the owner's own masks is its own business.
//!
//! # Security
//! Keys, session ids and public polynomials are new at every start. What a coalition sees of an
//! honest party is uniform by RLWE: its key under its secret, its inputs under the same secret
//! and an a of their own each, its outputs under a fresh u each, as long as the errors are there
//! (`MaskSite::RlweSecret`, `RlweKey`, `RlweInput`, `RlweOutput`, `RlweOutputError`). Constant
//! time: nothing but public shapes steers control flow, lengths and places; only public polynomials
//! are drawn by rejection.

mod owner;
mod params;
mod plan;
mod sample;
mod sender;
#[cfg(test)]
mod tests;
#[cfg(feature = "test-util")]
#[doc(hidden)]
pub mod views;
mod wire;
mod words;

pub use owner::{Entries, Inputs, Masks, Owner, Rows};
pub use params::Params;
pub use plan::{Plan, Shape};
pub use sender::Sender;
