//! Channels over QUIC: one one-way stream per peer, channel and direction.
//!
//! A stream begins with four magic bytes and the sixteen-byte name of its channel. Either end may
//! come first: the receiver may wait for a stream, or the stream for its receiver. Nothing is read
//! ahead of a `recv`; what a slow receiver has not read stays in QUIC's window, and that window
//! is what holds the sender back.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use quinn::{Connection, RecvStream, SendStream, VarInt};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};

use super::closing::{self, STARTED_AGAIN, close, fate};
use super::latecomers::Latecomers;
use super::ways::Ways;
use crate::carrier::{Carrier, Fate, Fates};
use crate::channel::{Channel, Mesh};
use crate::record::Recorder;
use crate::transport::delegate_transport;
use crate::waits::{self, Waits};
use crate::{Abort, AbortCode, PartyId};

const MAGIC: [u8; 4] = *b"mpc1";
const PREAMBLE: usize = 20;

/// Streams that may wait for a receiver.
const MAX_UNCLAIMED: usize = 256;

/// How long the last frame may take to be acknowledged, and a closed connection to be forgotten.
const LAST_ACK: Duration = Duration::from_secs(5);
const IDLE_WAIT: Duration = Duration::from_secs(2);

type ChannelName = [u8; 16];

/// One node of a mesh of nodes that meet over QUIC; made by [`join`](super::join()) and
/// [`Dealer`](super::Dealer).
///
/// Dropping it without [`finish`](crate::Transport::finish) closes all connections, and the peers
/// learn that the node is gone. The runtime has to go on for a moment for them to learn it at
/// once: see [`linger`](Self::linger).
pub struct QuicTransport(Channel<Connections>);

delegate_transport!(QuicTransport);

impl QuicTransport {
    pub(crate) fn new(
        me: PartyId,
        names: Vec<String>,
        silence: Duration,
        ways: Ways,
        connections: Vec<Option<Connection>>,
        latecomers: Latecomers,
    ) -> Self {
        let fates = Arc::new(Fates::new(names.len()));
        let links: Vec<_> = connections
            .into_iter()
            .enumerate()
            .map(|(index, connection)| {
                let link = Arc::new(Link { connection: connection?, streams: Mutex::default() });
                let peer = PartyId::from_index(index);
                tokio::spawn(watch(Arc::clone(&link), peer, Arc::clone(&fates)));
                Some(link)
            })
            .collect();
        let restarted = restarted(&links, &fates);
        let waits = Waits::new(names.len());
        let latecomers = tokio::spawn(latecomers.answer(restarted)).abort_handle();
        Self(Channel::root(Mesh {
            me,
            names,
            silence,
            carrier: Connections { links, ways, latecomers },
            fates,
            waits,
            recorder: OnceLock::new(),
            #[cfg(feature = "test-util")]
            hooks: crate::fault::Hooks::default(),
        }))
    }

    /// Tells the others now and then, as long as this lives, when this process is at work ([`crate::AtWork`]): they wait
    /// longer for a node that says so than for one that says nothing. For a process that is one node.
    pub fn tell_of_work(&self) {
        let mesh = self.0.mesh();
        tokio::spawn(waits::tell_while_at_work(Arc::downgrade(mesh), mesh.silence));
    }

    /// A handle that waits, after an abort or a drop, until the peers could be told.
    #[must_use]
    pub fn linger(&self) -> Linger {
        let carrier = &self.0.mesh().carrier;
        let links = carrier.links.iter().flatten();
        Linger {
            ways: carrier.ways.clone(),
            connections: links.map(|link| link.connection.clone()).collect(),
        }
    }

    /// Tells `recorder` of every message from here on. Once, before anything is sent or received; a
    /// second call changes nothing.
    pub fn record_with(&self, recorder: Arc<dyn Recorder>) {
        let _ = self.0.mesh().recorder.set(recorder);
    }

    /// The round-trip time to a peer as QUIC measures it; `None` for this node itself.
    #[must_use]
    pub fn round_trip(&self, peer: PartyId) -> Option<Duration> {
        let link = self.0.mesh().carrier.links.get(peer.index())?.as_ref()?;
        Some(link.connection.rtt())
    }

    /// Records every payload that this node receives from now on, on all channels.
    #[cfg(feature = "test-util")]
    #[must_use]
    pub fn record(&self) -> crate::fault::View {
        self.0.mesh().hooks.record()
    }

    /// Counts the messages that this node sends from now on, on all channels.
    #[cfg(feature = "test-util")]
    #[must_use]
    pub fn count_sent(&self) -> crate::fault::Sent {
        self.0.mesh().hooks.count()
    }

    /// Lets this node misbehave as `plan` says.
    #[cfg(feature = "test-util")]
    pub fn inject(&self, plan: crate::fault::FaultPlan) {
        self.0.mesh().hooks.inject(plan);
    }
}

/// The way out of a mesh for those who gave their transport away, to a session for example: says a
/// last word, and waits for the last packets of closed connections.
#[derive(Clone)]
pub struct Linger {
    ways: Ways,
    connections: Vec<Connection>,
}

impl Linger {
    /// Tells every peer that this node gives up, and why, unless the transport was closed or
    /// dropped before: to be called first.
    pub fn abort(&self, reason: &Abort) {
        self.connections.iter().for_each(|connection| close(connection, reason));
    }

    /// Waits until all connections are closed and forgotten, but no longer than `limit`.
    pub async fn wait(self, limit: Duration) {
        if tokio::time::timeout(limit, self.ways.wait_idle()).await.is_err() {
            tracing::debug!("connections were still open after {limit:?}");
        }
    }
}

/// What is done when a peer turns out to have been started anew: its connection is of no use, even
/// if no packet has said so yet.
fn restarted(links: &[Option<Arc<Link>>], fates: &Arc<Fates>) -> impl Fn(usize) + use<> {
    let links: Vec<Option<Arc<Link>>> = links.to_vec();
    let fates = Arc::clone(fates);
    move |index| {
        if let Some(Some(link)) = links.get(index) {
            fates.settle(PartyId::from_index(index), Fate::Lost(STARTED_AGAIN.to_owned()));
            link.connection.close(VarInt::from_u32(closing::REPLACED), b"");
        }
    }
}

/// A connection and the streams on it that have only one end so far.
struct Link {
    connection: Connection,
    streams: Mutex<HashMap<ChannelName, Stream>>,
}

enum Stream {
    /// The stream is here, its receiver is not.
    Arrived(RecvStream),
    /// The receiver is here, its stream is not.
    Awaited(oneshot::Sender<RecvStream>),
    /// Both have met.
    Claimed,
}

impl Link {
    fn streams(&self) -> std::sync::MutexGuard<'_, HashMap<ChannelName, Stream>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a stream to the channel `name`, now or when it asks.
    fn deliver(&self, name: ChannelName, stream: RecvStream) -> Result<(), &'static str> {
        let mut streams = self.streams();
        match streams.remove(&name) {
            None => {
                let waiting =
                    streams.values().filter(|slot| matches!(slot, Stream::Arrived(_))).count();
                if waiting >= MAX_UNCLAIMED {
                    return Err("it opened too many channels that this node does not know");
                }
                streams.insert(name, Stream::Arrived(stream));
                Ok(())
            }
            Some(Stream::Awaited(receiver)) => {
                streams.insert(name, Stream::Claimed);
                // A receiver that has gone away does not need the stream.
                let _ = receiver.send(stream);
                Ok(())
            }
            Some(Stream::Arrived(_) | Stream::Claimed) => Err("it opened a channel twice"),
        }
    }
}

/// Accepts the streams of one connection until it ends, and says how it ended.
async fn watch(link: Arc<Link>, peer: PartyId, fates: Arc<Fates>) {
    let mut preambles = JoinSet::new();
    let error = loop {
        tokio::select! {
            stream = link.connection.accept_uni() => match stream {
                Ok(stream) => {
                    preambles.spawn(read_preamble(stream));
                }
                Err(error) => break error,
            },
            Some(read) = preambles.join_next() => {
                let delivered = match read {
                    Ok(Ok((name, stream))) => link.deliver(name, stream),
                    Ok(Err(detail)) => Err(detail),
                    Err(_) => Ok(()),
                };
                if let Err(detail) = delivered {
                    fates.settle(peer, Fate::Lost(detail.to_owned()));
                    let reason = "a peer opened a stream that does not belong to this protocol";
                    close(&link.connection, &Abort::new(AbortCode::PeerMisbehaved, reason));
                }
            }
        }
    };
    fates.settle(peer, fate(error));
}

async fn read_preamble(mut stream: RecvStream) -> Result<(ChannelName, RecvStream), &'static str> {
    let mut preamble = [0; PREAMBLE];
    stream.read_exact(&mut preamble).await.map_err(|_| "it ended a stream before it began")?;
    let (magic, name) = preamble.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err("it opened a stream that is not a channel");
    }
    let mut channel = ChannelName::default();
    channel.copy_from_slice(name);
    Ok((channel, stream))
}

/// The connections of one node.
pub(crate) struct Connections {
    links: Vec<Option<Arc<Link>>>,
    ways: Ways,
    latecomers: AbortHandle,
}

impl Connections {
    fn link(&self, peer: PartyId) -> io::Result<&Link> {
        self.links
            .get(peer.index())
            .and_then(Option::as_deref)
            .ok_or_else(|| io::Error::other("there is no connection to this node"))
    }

    fn close_all(&self, code: u32) {
        for link in self.links.iter().flatten() {
            link.connection.close(VarInt::from_u32(code), b"");
        }
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        self.latecomers.abort();
    }
}

/// The name of a channel on the wire.
fn channel_name(path: &str) -> ChannelName {
    let mut hash = ring::digest::Context::new(&ring::digest::SHA256);
    hash.update(b"mpc-net channel 1\0");
    hash.update(path.as_bytes());
    let mut name = ChannelName::default();
    name.copy_from_slice(&hash.finish().as_ref()[..16]);
    name
}

impl Carrier for Connections {
    type Reader = RecvStream;
    type Writer = SendStream;

    async fn open(&self, to: PartyId, path: &str, depth: u16) -> io::Result<SendStream> {
        let mut stream = self.link(to)?.connection.open_uni().await?;
        // Without this, streams are served in the order of their writes, and a message of a round
        // waits behind megabytes of a preparation.
        stream.set_priority(-i32::from(depth))?;
        let mut preamble = [0; PREAMBLE];
        preamble[..4].copy_from_slice(&MAGIC);
        preamble[4..].copy_from_slice(&channel_name(path));
        stream.write_all(&preamble).await?;
        Ok(stream)
    }

    async fn claim(&self, from: PartyId, path: &str) -> io::Result<RecvStream> {
        let name = channel_name(path);
        let awaited = {
            let mut streams = self.link(from)?.streams();
            match streams.entry(name) {
                Entry::Occupied(mut entry) => match entry.insert(Stream::Claimed) {
                    Stream::Arrived(stream) => return Ok(stream),
                    _ => return Err(io::Error::other("the channel is in use already")),
                },
                Entry::Vacant(entry) => {
                    let (sender, receiver) = oneshot::channel();
                    entry.insert(Stream::Awaited(sender));
                    receiver
                }
            }
        };
        awaited.await.map_err(|_| io::Error::other("the connection is closed"))
    }

    async fn drain(&self, mut writer: SendStream) {
        // Both fail only when the connection is gone, which the channel notices by itself.
        let _ = writer.finish();
        let _ = tokio::time::timeout(LAST_ACK, writer.stopped()).await;
    }

    fn release(&self, path: &str) {
        let name = channel_name(path);
        for link in self.links.iter().flatten() {
            link.streams().remove(&name);
        }
    }

    fn abort(&self, reason: &Abort) {
        self.latecomers.abort();
        for link in self.links.iter().flatten() {
            close(&link.connection, reason);
        }
    }

    fn leave(&self) {
        self.latecomers.abort();
        self.close_all(closing::GONE);
    }

    async fn close(&self) {
        self.close_all(closing::FINISHED);
        self.latecomers.abort();
        if tokio::time::timeout(IDLE_WAIT, self.ways.wait_idle()).await.is_err() {
            tracing::debug!("connections were still open after {IDLE_WAIT:?}");
        }
    }
}
