//! Where one party has most of the columns, it eliminates them by itself, and only what is left is
//! inverted on shares (docs/protocols.md 13.3, The widest block).

mod basis;
mod cost;
mod end;
mod plan;
mod reduce;
mod triangular;

pub(super) use end::{Eliminated, Fitted};
pub(super) use plan::{ENTRY_BITS, Elimination, Wanted, Widest};
pub(super) use reduce::fit;
