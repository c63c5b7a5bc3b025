//! What a protocol costs, declared beside it and compared with the meter in tests.

use std::ops::{Add, Mul};

use super::Against;
use super::commitment::{COMMITMENT, NONCE, statement_bytes};

/// Rounds, and payload bytes that one party sends to each of its peers.
///
/// Declared as in a semi-honest session, with the number of openings that a covert session commits
/// to first: [`under`](Self::under) adds what these cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Rounds of communication.
    pub rounds: u64,
    /// Payload bytes sent, indexed by node; zero for the node itself.
    pub bytes: Vec<u64>,
    /// Rounds among them whose shares a covert session commits to: bounded openings, results.
    pub committed: u64,
    /// Committed rounds in which results are revealed.
    pub revealed: u64,
}

impl Cost {
    /// `rounds` rounds in which `me` of `parties` parties sends `bytes` bytes to each other one.
    #[must_use]
    pub fn to_all(me: usize, parties: usize, rounds: u64, bytes: u64) -> Self {
        let bytes = (0..parties).map(|to| if to == me { 0 } else { bytes }).collect();
        Self { rounds, bytes, committed: 0, revealed: 0 }
    }

    /// The same, of whose rounds so many open bounded values.
    #[must_use]
    pub fn bounded(mut self, rounds: u64) -> Self {
        self.committed += rounds;
        self
    }

    /// The same, of whose rounds so many reveal results.
    #[must_use]
    pub fn results(mut self, rounds: u64) -> Self {
        self.committed += rounds;
        self.revealed += rounds;
        self
    }

    /// What it costs party `me` in a session that protects `against` these: a round, a commitment
    /// and a nonce more for each opening that is committed to, and a statement for each result
    /// (docs/protocols.md 0, Covert).
    #[must_use]
    pub fn under(self, against: Against, me: usize) -> Self {
        let Self { rounds, mut bytes, committed, revealed } = self;
        if against == Against::SemiHonest {
            return Self { rounds, bytes, ..Self::default() };
        }
        let more = committed * (COMMITMENT + NONCE) as u64
            + revealed * statement_bytes(bytes.len()) as u64;
        for (_, bytes) in bytes.iter_mut().enumerate().filter(|&(to, _)| to != me) {
            *bytes += more;
        }
        Self { rounds: rounds + committed, bytes, ..Self::default() }
    }

    /// Payload bytes sent to all peers.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.bytes.iter().sum()
    }
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let len = self.bytes.len().max(other.bytes.len());
        let at = |bytes: &[u64], i| bytes.get(i).copied().unwrap_or(0);
        Self {
            rounds: self.rounds + other.rounds,
            bytes: (0..len).map(|i| at(&self.bytes, i) + at(&other.bytes, i)).collect(),
            committed: self.committed + other.committed,
            revealed: self.revealed + other.revealed,
        }
    }
}

impl Mul<u64> for Cost {
    type Output = Self;

    fn mul(mut self, times: u64) -> Self {
        self.rounds *= times;
        self.bytes.iter_mut().for_each(|bytes| *bytes *= times);
        self.committed *= times;
        self.revealed *= times;
        self
    }
}
