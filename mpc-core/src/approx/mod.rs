//! Functions as trigonometric series, fitted from public facts: what is computed in the clear before
//! a share is sent. [`crate::protocols::series`] evaluates them on shares.

pub mod fit;
pub mod periodic;
mod series;

pub use series::{Series, Term};
