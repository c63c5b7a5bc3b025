//! Bytes, messages and rounds, by phase and peer, counted where they cross the transport.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::PartyId;

/// Traffic to and from one peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Payload bytes sent.
    pub sent: u64,
    /// Payload bytes received.
    pub received: u64,
    /// Bytes of frame headers sent.
    pub overhead_sent: u64,
    /// Bytes of frame headers received.
    pub overhead_received: u64,
    /// Messages sent.
    pub messages_sent: u64,
    /// Messages received.
    pub messages_received: u64,
}

/// What one phase of a study cost this node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PhaseTotals {
    /// Rounds of communication, counted by the protocols.
    pub rounds: u64,
    /// Traffic by peer, indexed by node.
    pub peers: Vec<Traffic>,
}

impl PhaseTotals {
    /// Payload bytes sent to all peers.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.peers.iter().map(|peer| peer.sent).sum()
    }

    /// Payload bytes received from all peers.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.peers.iter().map(|peer| peer.received).sum()
    }

    /// Bytes sent to all peers, frame headers included.
    #[must_use]
    pub fn sent_framed(&self) -> u64 {
        self.peers.iter().map(|peer| peer.sent + peer.overhead_sent).sum()
    }
}

type Phases = Arc<Mutex<BTreeMap<String, PhaseTotals>>>;

/// Counts traffic and rounds by phase.
///
/// The meters of a channel and of its forks write into one table; each channel has a current
/// phase of its own, so that a preparation that runs beside the training is counted apart.
#[derive(Debug)]
pub struct Meter {
    phases: Phases,
    current: Mutex<String>,
    nodes: usize,
}

impl Meter {
    /// An empty meter for a mesh of `nodes` nodes, in phase `phase`.
    #[must_use]
    pub fn new(nodes: usize, phase: &str) -> Self {
        Self { phases: Phases::default(), current: Mutex::new(phase.to_owned()), nodes }
    }

    /// A meter for another channel: same table, own current phase (at first this one's).
    #[must_use]
    pub fn fork(&self) -> Self {
        Self {
            phases: Arc::clone(&self.phases),
            current: Mutex::new(lock(&self.current).clone()),
            nodes: self.nodes,
        }
    }

    /// Counts everything from here on in `phase`.
    pub fn enter(&self, phase: &str) {
        phase.clone_into(&mut lock(&self.current));
    }

    /// Counts one round of communication.
    pub fn round(&self) {
        self.update(|totals| totals.rounds += 1);
    }

    /// Counts a message of `payload` bytes behind `overhead` bytes of header, sent to `peer`.
    pub fn sent(&self, peer: PartyId, payload: usize, overhead: usize) {
        self.update(|totals| {
            let traffic = &mut totals.peers[peer.index()];
            traffic.sent += payload as u64;
            traffic.overhead_sent += overhead as u64;
            traffic.messages_sent += 1;
        });
    }

    /// Counts a message of `payload` bytes behind `overhead` bytes of header, from `peer`.
    pub fn received(&self, peer: PartyId, payload: usize, overhead: usize) {
        self.update(|totals| {
            let traffic = &mut totals.peers[peer.index()];
            traffic.received += payload as u64;
            traffic.overhead_received += overhead as u64;
            traffic.messages_received += 1;
        });
    }

    /// All phases so far, by name.
    #[must_use]
    pub fn totals(&self) -> BTreeMap<String, PhaseTotals> {
        lock(&self.phases).clone()
    }

    /// One phase; all zeros if nothing was counted in it.
    #[must_use]
    pub fn phase(&self, name: &str) -> PhaseTotals {
        lock(&self.phases).get(name).cloned().unwrap_or_else(|| self.empty())
    }

    fn empty(&self) -> PhaseTotals {
        PhaseTotals { rounds: 0, peers: vec![Traffic::default(); self.nodes] }
    }

    fn update(&self, change: impl FnOnce(&mut PhaseTotals)) {
        let current = lock(&self.current);
        let mut phases = lock(&self.phases);
        if let Some(totals) = phases.get_mut(current.as_str()) {
            change(totals);
        } else {
            let mut totals = self.empty();
            change(&mut totals);
            phases.insert(current.clone(), totals);
        }
    }
}

/// A meter holds plain counters: a panic elsewhere leaves them as good as they were.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
