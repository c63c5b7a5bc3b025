//! What a protocol costs, declared beside it and compared with the meter in tests.

use std::ops::{Add, Mul};

/// Rounds, and payload bytes that one party sends to each of its peers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Rounds of communication.
    pub rounds: u64,
    /// Payload bytes sent, indexed by node; zero for the node itself.
    pub bytes: Vec<u64>,
}

impl Cost {
    /// `rounds` rounds in which `me` of `parties` parties sends `bytes` bytes to each other one.
    #[must_use]
    pub fn to_all(me: usize, parties: usize, rounds: u64, bytes: u64) -> Self {
        let bytes = (0..parties).map(|to| if to == me { 0 } else { bytes }).collect();
        Self { rounds, bytes }
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
        }
    }
}

impl Mul<u64> for Cost {
    type Output = Self;

    fn mul(mut self, times: u64) -> Self {
        self.rounds *= times;
        self.bytes.iter_mut().for_each(|bytes| *bytes *= times);
        self
    }
}
