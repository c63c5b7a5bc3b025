//! Exact sums of long vectors over the parties that are there (docs/protocols.md 18): each party learns the sum
//! and who is in it, nobody learns a vector, no server is needed, and who is away, slow or dead does not stop the others.
//!
//! Work proceeds in rounds. In each, every party gives a vector of integers mod 2^64 and the *public state* that
//! it starts from, which is the same at all: a party that was away gets the state of the round that the others have come to.
//!
//! # Security
//! For parties that keep to the protocol: whatever all but two of those in a sum pool, they learn the sum of the vectors of
//! those two. With a residue, which section 18.4 names: who breaks off in the middle of the last step, so that only a party
//! that hides it has its message, may be exposed to that one by the sum that is made without both. With a
//! [threshold](Terms::threshold) fewer than so many parties that pool what they see, and no residue for fewer than twice
//! the threshold less the number of parties. A party
//! that changes its program can spoil a sum, and can leave others out of one, down to the least number of parties.

#[cfg(feature = "test-util")]
mod any;
mod attempt;
mod clock;
mod encoding;
mod machine;
mod masks;
mod message;
#[cfg(test)]
mod network;
mod pump;
mod quorum;
#[cfg(all(test, feature = "insecure-test-masks"))]
mod quorum_views;
mod set;
mod shares;
#[cfg(test)]
mod tests;
#[cfg(all(test, feature = "insecure-test-masks"))]
mod views;

use std::time::Duration;

use mpc_net::AbortCode;
use zeroize::Zeroizing;

#[cfg(feature = "test-util")]
pub(crate) use any::any_messages;
pub use encoding::{FRACTION, decode, encode};
pub use pump::Aggregation;
pub use set::Set;

use crate::error::Error;
use crate::ring::Z64;
use crate::session::{Cost, Session};

/// What the parties of an aggregation must agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How many elements a vector has.
    pub len: usize,
    /// How few parties may be in a sum: more than half of all, and 3 or more of three or more parties.
    pub least: usize,
    /// With how many parties a sum can be ended that others fall out of: more than half of all, and `least` at most. It then protects
    /// from fewer than so many parties that pool what they see. If left out from all but one; a sum that somebody falls out of begins anew.
    pub threshold: Option<usize>,
    /// How many bytes a public state may have.
    pub state_bytes: usize,
    /// How long a party that is late is waited for: once for those who come to a round, and up to four times in its steps. It has to be
    /// longer than what one party needs more for its own part of a round than another one.
    pub patience: Duration,
}

impl Terms {
    /// The fewest parties of `parties` that a sum can be of.
    #[must_use]
    pub fn fewest(parties: usize) -> usize {
        (parties / 2 + 1).max(parties.min(3))
    }

    /// Whether a session of so many parties can have these terms.
    fn check(&self, parties: usize) -> Result<(), Error> {
        let fewest = Self::fewest(parties);
        if parties > Set::MOST {
            let most = Set::MOST;
            return Err(Error::Range(format!("{parties} parties are more than {most}")));
        }
        if self.least < fewest || self.least > parties {
            return Err(Error::Range(format!(
                "a sum over at least {} of {parties} parties: from {fewest} to {parties} is possible",
                self.least
            )));
        }
        if let Some(threshold) = self.threshold
            && (2 * threshold <= parties || threshold > self.least)
        {
            return Err(Error::Range(format!(
                "a sum that {threshold} of {parties} parties can end: more than half of them is possible, and \
                 {} at most, with so many a sum may begin",
                self.least
            )));
        }
        if self.len == 0 || self.patience.is_zero() {
            return Err(Error::Range("a sum needs elements, and patience".to_owned()));
        }
        Ok(())
    }

    /// Bytes that the party in this place of `members` parties sends in a round of them all in which nobody is lost.
    #[must_use]
    pub fn bytes(&self, place: usize, members: usize) -> u64 {
        self.cost(place, members).sent()
    }

    /// What such a round costs the party in this place.
    #[must_use]
    pub fn cost(&self, place: usize, members: usize) -> Cost {
        let slice = |place| masks::slice(place, members, self.len).len();
        let quorum = |_| message::overhead_of_quorum(members);
        let overhead = self.threshold.map_or(message::OVERHEAD, quorum);
        let to = |other| (8 * (slice(other) + slice(place)) + overhead) as u64;
        let bytes = (0..members).map(|other| if other == place { 0 } else { to(other) });
        Cost { rounds: self.rounds(), bytes: bytes.collect(), ..Cost::default() }
    }

    /// Rounds of messages of a sum in which nobody is lost.
    const fn rounds(&self) -> u64 {
        if self.threshold.is_some() { 5 } else { 4 }
    }

    /// What coming to the end together costs the party in this place.
    #[must_use]
    pub fn closing(place: usize, members: usize) -> Cost {
        Cost::to_all(place, members, 1, message::VIEW as u64)
    }
}

/// How a round ended.
#[derive(Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The sum, and whose vectors are in it. The own one may not be.
    Sum {
        /// The members.
        members: Set,
        /// The sum of their vectors.
        sum: Zeroizing<Vec<Z64>>,
    },
    /// The others have come to a later round while this party was away.
    Behind {
        /// The round.
        round: u64,
        /// The public state that it starts from.
        state: Vec<u8>,
    },
    /// Fewer parties are left than a sum may be of.
    TooFew {
        /// Those who are left.
        left: Set,
    },
}

impl std::fmt::Debug for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sum { members, sum } => write!(f, "Sum of {} over {members:?}", sum.len()),
            Self::Behind { round, state } => write!(f, "Behind {round} ({} bytes)", state.len()),
            Self::TooFew { left } => write!(f, "TooFew {left:?}"),
        }
    }
}

/// Why a party is not there any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The party.
    pub party: usize,
    /// Why, without data.
    pub why: String,
    /// The class of the reason.
    pub code: AbortCode,
}

/// Begins an aggregation: all parties of the session do, with the same terms. No rounds. One aggregation a session.
///
/// # Errors
/// When the terms are not possible for so many parties, or the session was interrupted, or has an aggregation already.
pub fn begin(session: &mut Session, terms: Terms) -> Result<Aggregation, Error> {
    begin_after(session, terms, Set::default())
}

/// The same, where this party goes on after a round of an earlier session, of which `last` were the members: parties that are behind get the
/// public state from these.
///
/// # Errors
/// As [`begin`].
pub fn begin_after(session: &mut Session, terms: Terms, last: Set) -> Result<Aggregation, Error> {
    terms.check(session.parties())?;
    Aggregation::open(session, terms, last)
}
