//! Record alignment: which of its own records each party has in common with all others
//! (docs/protocols.md 11).
//!
//! [`align`] takes the ids of a party's records and gives the numbers of those that all parties have,
//! in an order that is the same at all and depends on nobody's. Nobody learns anything else: no
//! overlap of two, no id that one party lacks, no number of ids but the bounds in the [`Terms`].
//!
//! ```
//! use mpc_core::align::{Aligned, Terms, align, outputs};
//! use mpc_core::testing::World;
//!
//! let sets = [vec!["ann", "bob", "eve"], vec!["eve", "joe", "ann", "kim"]];
//! let terms = Terms { bounds: vec![3, 4], least: 1 };
//! let aligned = World::new(2).outputs(outputs()).run(async |mut session| {
//!     let ids = sets[session.me()].iter();
//!     align(ids, &terms, &mut session).await.expect("runs")
//! });
//! let ids = |party: usize| match &aligned[party] {
//!     Aligned::Records(records) => records.iter().map(|&r| sets[party][r]).collect::<Vec<_>>(),
//!     Aligned::Below => panic!("two are enough"),
//! };
//! assert_eq!(ids(0), ids(1));
//! assert_eq!(ids(0).len(), 2);
//! ```
//!
//! # Security
//! Against up to all parties but one that pool what they see and keep to the protocol; what one that
//! deviates can do is what other ids as inputs do (11.4). Not constant time: what a peer sees of it
//! is how long all bins took together.

mod band;
mod code;
mod digest;
mod oprf;
mod seeds;
mod steps;
#[cfg(all(test, feature = "test-util", feature = "insecure-test-masks"))]
mod tests;

use mpc_net::Tag;

use crate::session::{Cost, Outputs, Recipients, Session};

pub use steps::align;

/// What is revealed.
const OUTPUT: &str = "aligned records";

/// What all parties agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The most ids that each party has; all others learn no more about their number.
    pub bounds: Vec<u64>,
    /// If fewer records are common to all, only that is announced. The leader, the party with the
    /// smallest bound, has then learned them nevertheless.
    pub least: u64,
}

/// How an alignment ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Aligned {
    /// The records that all parties have, by the place of their ids among those that were given, in
    /// an order that is the same at all parties.
    Records(Vec<usize>),
    /// There are fewer than the terms ask for.
    Below,
}

/// The output that a session has to allow for [`align`].
#[must_use]
pub fn outputs() -> Outputs {
    Outputs::none().allow(OUTPUT, Recipients::All)
}

impl Terms {
    /// The party that learns the members first: the one with the smallest bound.
    #[must_use]
    pub fn leader(&self) -> usize {
        let bounds = self.bounds.iter().enumerate();
        bounds.min_by_key(|&(party, bound)| (bound, party)).map_or(0, |(party, _)| party)
    }

    /// Into how many bins the ids fall.
    fn bins(&self) -> usize {
        digest::bins(&self.bounds)
    }

    /// How many ids of a party a bin holds.
    fn capacity(&self, party: usize) -> usize {
        digest::capacity(self.bounds[party], self.bins())
    }

    /// The elements of a party's store for a bin.
    fn elements(&self, party: usize) -> usize {
        band::elements(self.capacity(party))
    }

    /// What [`align`] costs this party of a session when `records` records are common to all, if that is
    /// enough for the terms.
    #[must_use]
    pub fn cost(&self, session: &Session, records: u64) -> Cost {
        let (me, parties, leader) = (session.me(), session.parties(), self.leader());
        let bins = self.bins() as u64;
        let enough = records >= self.least && records > 0;
        let mut bytes = vec![0; parties];
        for (peer, bytes) in bytes.iter_mut().enumerate().filter(|&(peer, _)| peer != me) {
            *bytes = (32 + 32) + seeds::bytes(me, peer, leader);
            if peer != leader {
                *bytes += bins * oprf::request_bytes(self.elements(me)) as u64;
            } else {
                *bytes += bins * 8 * self.elements(me) as u64;
            }
            if me == leader {
                *bytes += 8 + if enough { steps::SHORT as u64 * records } else { 0 };
            }
        }
        let rounds = 1 + seeds::ROUNDS + 2 * bins + 1 + u64::from(enough) + 1;
        Cost { rounds, bytes, ..Cost::default() }
    }
}

const CHOICES: Tag = Tag::new("align/choices");
const TREES: Tag = Tag::new("align/trees");
const REQUESTS: Tag = Tag::new("align/requests");
const HINTS: Tag = Tag::new("align/hints");
const COUNT: Tag = Tag::new("align/count");
const TAGS: Tag = Tag::new("align/tags");
