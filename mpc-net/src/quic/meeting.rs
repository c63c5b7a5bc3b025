//! Who belongs to a mesh, and what becomes of it when all are there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::checkup::Doing;
use super::door::{Door, Joined, Verdict};
use super::hello::{Hello, HelloError};
use super::identity::PublicKey;
use super::join::{JoinEvent, Peer};
use super::latecomers::Latecomers;
use super::transport::QuicTransport;
use crate::{NetError, PartyId};

/// What is due from a peer that has joined.
pub(crate) const MET_ALL: &str = "the sign that it has met all nodes";

/// For whom a node waits.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Until these have joined.
    Join(Vec<String>),
    /// Until these have met everybody too.
    Ready(Vec<String>),
}

impl Wait {
    /// What an operator sees, with the time that is left.
    pub(crate) fn event(&self, left: Option<Duration>) -> JoinEvent {
        match self.clone() {
            Self::Join(missing) => JoinEvent::Waiting { missing, left },
            Self::Ready(peers) => JoinEvent::Unready { peers, left },
        }
    }

    /// The time is up.
    pub(crate) fn too_late(&self, patience: Option<Duration>, ready: Duration) -> NetError {
        let (peers, expected, after) = match self {
            Self::Join(names) => (names, "joining the study", patience.unwrap_or_default()),
            Self::Ready(names) => (names, MET_ALL, ready),
        };
        let (peer, expected, waits) = (peers.join(", "), expected.to_owned(), Vec::new());
        NetError::Timeout { peer, expected, after, waits }
    }
}

/// Who belongs to the mesh.
pub(crate) trait Judge: Send + Sync + 'static {
    fn pinned(&self) -> Vec<PublicKey> {
        self.peers().iter().map(|peer| peer.key).collect()
    }
    /// All peers that may come.
    fn peers(&self) -> Vec<Peer>;
    fn name(&self, index: usize) -> String;
    /// The peers to dial, each with this node's hello for it.
    fn to_dial(&self) -> Vec<(usize, Peer, Hello)>;
    /// This node's place and the number of nodes, once they are known.
    fn mesh(&self) -> Option<(usize, usize)>;
    /// Who is missing beside those `present`.
    fn missing(&self, present: &[usize]) -> Vec<String>;
    fn judge(&self, key: &PublicKey, hello: &Result<Hello, HelloError>) -> Verdict;
    /// Peers have left; these remain.
    fn left(&self, present: &[usize]);
    fn goes_on_after_refusal(&self) -> bool;
}

/// Whether this node decides which connection with node `index` is kept.
pub(crate) fn decides(judge: &dyn Judge, index: usize) -> bool {
    judge.mesh().is_some_and(|(me, _)| me < index)
}

/// All nodes are there.
pub(crate) struct Meeting {
    door: Door,
    judge: Arc<dyn Judge>,
    joined: BTreeMap<usize, Joined>,
}

impl Meeting {
    pub(crate) fn new(door: Door, judge: Arc<dyn Judge>, joined: BTreeMap<usize, Joined>) -> Self {
        Self { door, judge, joined }
    }

    pub(crate) fn into_transport(
        mut self,
        me: PartyId,
        names: Vec<String>,
        silence: Duration,
    ) -> QuicTransport {
        self.door.says.now(Doing::Works, None);
        let starts = self.joined.iter().map(|(index, joined)| (*index, joined.nonce)).collect();
        let open = |joined: Joined| {
            self.door.open_streams(&joined.connection);
            joined.connection
        };
        let connections =
            (0..names.len()).map(|index| self.joined.remove(&index).map(open)).collect();
        let latecomers = Latecomers::new(self.door.clone(), self.judge, starts);
        QuicTransport::new(me, names, silence, self.door.ways, connections, latecomers)
    }
}
