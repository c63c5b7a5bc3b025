//! Fits to the optimum where the parties hold different columns of the same rows (docs/protocols.md
//! 13.4).
//!
//! Nobody has a score, so nothing of a fit can be computed in the clear. The curvature of a linear model
//! of the same columns (`gram`) is inverted on shares once and turns gradients (`gradient`) into
//! directions; how these are put together is a public function of inner products that are revealed on the
//! way (`walk`). Read `fit` from the top.

mod cost;
mod deviance;
mod errors;
mod fit;
mod gradient;
mod gram;
mod information;
mod labels;
mod losses;
mod plan;
mod release;
mod resume;
mod scales;
mod walk;

pub(super) use fit::{ColumnsShares, fit};
pub(super) use plan::ColumnsPlan;
pub(super) use release::release;
