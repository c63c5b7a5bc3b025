//! Every opening of a run as each party saw it, for tests that look at whole runs: what a party adds
//! to a value that it learns itself is in no message, and so in no view.
//!
//! Nothing of this is in a release binary. All parties of a test run on one thread, and each test
//! on its own.

use std::cell::RefCell;

use super::batch::{Batch, Kind, Recipients};
use crate::ring::{Ring, Z128};

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
    /// The ring in which the zero share was added: larger than what is opened, where low bits of a
    /// result were dropped after that.
    pub ring: u32,
    /// What a bounded opening hides.
    pub hidden: Option<Hidden>,
}

/// One party's part of a bounded opening (docs/protocols.md 3b), before zero share and mask.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden {
    /// E: the values are said to be below 2^E.
    pub magnitude: u32,
    /// Masks are uniform below 2^this.
    pub mask_bits: u32,
    /// The party's share of the values, in the ring of the opening.
    pub share: Vec<u128>,
    /// The party's mask; empty where it draws none.
    pub mask: Vec<u128>,
}

/// How large the values of a bounded opening were.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Size {
    /// The step of the opening.
    pub step: &'static str,
    /// E: no value may reach 2^E.
    pub magnitude: u32,
    /// The logarithm to base 2 of the largest value; minus infinity for 0.
    pub largest: f64,
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

/// For each bounded opening that all `parties` made, in order, how large its values were.
///
/// # Panics
/// When the parties opened different things.
#[must_use]
pub fn bounded_sizes(openings: &[Opening], parties: usize) -> Vec<Size> {
    let of = |party: usize| -> Vec<(&Opening, &Hidden)> {
        let own = openings.iter().filter(|seen| seen.party == party);
        own.filter_map(|seen| Some((seen, seen.hidden.as_ref()?))).collect()
    };
    let all: Vec<_> = (0..parties).map(of).collect();
    let made = all.iter().map(Vec::len).min().unwrap_or_default();
    let size = |at: usize| {
        let (first, hidden) = all[0][at];
        let same = |other: &(&Opening, &Hidden)| {
            (other.0.step, other.0.bits, other.1.share.len(), other.1.magnitude)
                == (first.step, first.bits, hidden.share.len(), hidden.magnitude)
        };
        assert!(all.iter().all(|own| same(&own[at])), "{}: all open the same", first.step);
        let value = |i: usize| {
            let sum = all.iter().fold(0u128, |sum, own| sum.wrapping_add(own[at].1.share[i]));
            Z128(sum).to_signed(first.bits).unsigned_abs()
        };
        let largest = (0..hidden.share.len()).map(value).max().unwrap_or_default();
        let largest = libm::log2(largest as f64);
        Size { step: first.step, magnitude: hidden.magnitude, largest }
    };
    (0..made).map(size).collect()
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
        ring: entry.ring,
        hidden: entry.hidden.clone(),
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
