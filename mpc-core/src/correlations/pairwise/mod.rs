//! Correlations that the parties make themselves, pair by pair (docs/protocols.md 6).
#![allow(dead_code)]

mod base_ot;
mod block;
mod extension;
mod ggm;

pub use extension::Expansion;
