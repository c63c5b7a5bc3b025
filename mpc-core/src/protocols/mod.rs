//! Protocols on shares. Each names its section of docs/protocols.md and declares its cost.

pub mod bits;
pub mod compare;
pub mod owned;
pub mod product;
pub mod quantile;
pub mod series;
pub mod solve;
pub mod suppress;
pub mod threshold;
pub mod truncate;
