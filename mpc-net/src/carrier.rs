//! What a channel needs from whatever carries its bytes, and what it learns about the peers.

use std::future::Future;
use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use crate::{Abort, PartyId};

/// One-way byte streams to and from each peer, any number of them, told apart by a path.
///
/// The memory mesh and QUIC differ in this; framing, checks, time-outs and counting are the same
/// code for both (see [`crate::channel`]).
pub(crate) trait Carrier: Send + Sync + 'static {
    /// The receiving end of a stream.
    type Reader: AsyncRead + Unpin + Send;
    /// The sending end of a stream.
    type Writer: AsyncWrite + Unpin + Send;

    /// Opens the stream of channel `path` to `to`. Where streams compete, one with a smaller
    /// `depth` goes first.
    fn open(
        &self,
        to: PartyId,
        path: &str,
        depth: u16,
    ) -> impl Future<Output = io::Result<Self::Writer>> + Send;

    /// Waits for the stream of channel `path` from `from`.
    fn claim(
        &self,
        from: PartyId,
        path: &str,
    ) -> impl Future<Output = io::Result<Self::Reader>> + Send;

    /// Ends a stream and waits until the peer's node has all of it.
    fn drain(&self, writer: Self::Writer) -> impl Future<Output = ()> + Send;

    /// Forgets streams of channel `path` that nobody claimed.
    fn release(&self, path: &str);

    /// Tells all peers that this node gives up.
    fn abort(&self, reason: &Abort);

    /// Leaves without a word: the node was dropped.
    fn leave(&self);

    /// Closes all connections after the closing barrier.
    fn close(&self) -> impl Future<Output = ()> + Send;
}

/// What became of a peer. The first fate is final.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    /// It gave up and said why.
    Aborted(Abort),
    /// It is gone.
    Lost(String),
    /// It has finished and received all it was due.
    Finished,
    /// This node itself has ended the mesh.
    Local(String),
}

impl Fate {
    /// Ends pending calls at once, before bytes that have already arrived are read.
    pub(crate) fn is_urgent(&self) -> bool {
        matches!(self, Self::Aborted(_) | Self::Local(_))
    }
}

/// The fates of all nodes as one node knows them.
#[derive(Debug)]
pub(crate) struct Fates(Vec<watch::Sender<Option<Fate>>>);

impl Fates {
    pub(crate) fn new(nodes: usize) -> Self {
        Self((0..nodes).map(|_| watch::Sender::new(None)).collect())
    }

    /// Settles the fate of `peer` unless it is settled already, and wakes all who wait for it.
    pub(crate) fn settle(&self, peer: PartyId, fate: Fate) {
        self.0[peer.index()].send_if_modified(|current| {
            let first = current.is_none();
            if first {
                *current = Some(fate);
            }
            first
        });
    }

    /// Settles the fate of every peer whose fate is open.
    pub(crate) fn settle_all(&self, fate: &Fate) {
        for peer in 0..self.0.len() {
            self.settle(PartyId::from_index(peer), fate.clone());
        }
    }

    /// Waits for a fate of `peer` that `matches`.
    pub(crate) async fn when(&self, peer: PartyId, matches: impl Fn(&Fate) -> bool) -> Fate {
        let mut watch = self.0[peer.index()].subscribe();
        let settled = watch.wait_for(|fate| fate.as_ref().is_some_and(&matches)).await;
        match settled.ok().and_then(|fate| fate.clone()) {
            Some(fate) => fate,
            // The sender lives in `self`; the watch does not close while it is borrowed.
            None => std::future::pending().await,
        }
    }
}
