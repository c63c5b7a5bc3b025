//! How far production is.

use std::sync::atomic::{AtomicU64, Ordering};

/// Correlations that were ordered and made so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Production {
    /// Ordered.
    pub ordered: u64,
    /// Of these, made.
    pub made: u64,
}

/// The same, counted by a source and its tasks.
#[derive(Debug, Default)]
pub(super) struct Counts {
    ordered: AtomicU64,
    made: AtomicU64,
}

impl Counts {
    pub(super) fn ordered(&self, more: usize) {
        self.ordered.fetch_add(more as u64, Ordering::Relaxed);
    }

    pub(super) fn made(&self, more: usize) {
        self.made.fetch_add(more as u64, Ordering::Relaxed);
    }

    pub(super) fn so_far(&self) -> Production {
        Production {
            ordered: self.ordered.load(Ordering::Relaxed),
            made: self.made.load(Ordering::Relaxed),
        }
    }
}
