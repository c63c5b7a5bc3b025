//! What the fits of [`plan::optimum`](crate::plan::optimum) were compared by.

pub use crate::model::Agreed;

/// The canonical text of a plan of the fits in [`plan::optimum`](crate::plan::optimum).
pub trait Plan {
    /// A canonical text of everything that the parties must agree on.
    fn canonical(&self) -> String;
}
