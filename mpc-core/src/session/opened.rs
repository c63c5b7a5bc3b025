//! Every opening of a run as each party saw it, for tests that look at whole runs: what a party adds
//! to a value that it learns itself is in no message, and so in no view.
//!
//! Nothing of this is in a release binary. All parties of a test run on one thread, and each test
//! on its own.

use std::cell::RefCell;

use super::batch::{Batch, Kind, Recipients};
use crate::ring::Z128;

/// One entry of a batch, as one party saw it.
#[derive(Clone, PartialEq, Eq)]
pub struct Opening {
    /// Who saw it.
    pub party: usize,
    /// The step that it belongs to.
    pub step: &'static str,
    /// What makes it safe.
    pub kind: Kind,
    /// It is opened mod 2^bits.
    pub bits: u32,
    /// Who learns it.
    pub to: Recipients,
    /// What this party sent of it, or would have sent to itself.
    pub own: Vec<u128>,
    /// The sum, if this party learns it.
    pub sum: Option<Vec<u128>>,
}

thread_local! {
    static SEEN: RefCell<Option<Vec<Opening>>> = const { RefCell::new(None) };
}

/// Begins to note what the parties on this thread open.
pub fn record() {
    SEEN.set(Some(Vec::new()));
}

/// What was noted since the last call. At each party the openings are in their order.
#[must_use]
pub fn take() -> Vec<Opening> {
    SEEN.with_borrow_mut(|seen| seen.as_mut().map(std::mem::take).unwrap_or_default())
}

fn plain(values: &[Z128]) -> Vec<u128> {
    values.iter().map(|value| value.0).collect()
}

/// The entries of a batch before it is opened.
pub(super) fn begin(party: usize, batch: &Batch) -> Vec<Opening> {
    if SEEN.with_borrow(Option::is_none) {
        return Vec::new();
    }
    let of = |entry: &super::batch::Entry| Opening {
        party,
        step: batch.tag.label(),
        kind: entry.kind,
        bits: entry.bits,
        to: entry.to,
        own: plain(&entry.values),
        sum: None,
    };
    batch.entries.iter().map(of).collect()
}

/// The same entries with what was opened.
pub(super) fn end(mut seen: Vec<Opening>, opened: &super::Opened) {
    for (seen, values) in seen.iter_mut().zip(&opened.values) {
        seen.sum = values.as_ref().map(|values| plain(values));
    }
    SEEN.with_borrow_mut(|all| all.iter_mut().for_each(|all| all.append(&mut seen)));
}
