//! Protocols on shares. Each names its section of docs/protocols.md and declares its cost.

pub mod fit;
pub mod owned;
pub mod periodic;
pub mod product;
pub mod series;
pub mod solve;
pub mod truncate;
