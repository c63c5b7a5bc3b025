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

use quinn::{Connection, ConnectionError, Endpoint, RecvStream, SendStream, VarInt};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};

use super::hello::printable;
use crate::carrier::{Carrier, Fate, Fates};
use crate::channel::{Channel, Mesh};
use crate::record::Recorder;
use crate::transport::delegate_transport;
use crate::{Abort, AbortCode, PartyId};

/// Why a connection was closed, as its error code.
pub(crate) mod closing {
    pub(crate) const FINISHED: u32 = 1;
    pub(crate) const GONE: u32 = 2;
    pub(crate) const ABORTED: u32 = 3;
    pub(crate) const REFUSED: u32 = 4;
    pub(crate) const REPLACED: u32 = 5;
}

const MAGIC: [u8; 4] = *b"mpc1";
const PREAMBLE: usize = 20;

/// Streams that may wait for a receiver.
const MAX_UNCLAIMED: usize = 256;

/// The longest reason of an abort: it has to fit into one packet.
const MAX_REASON: usize = 600;

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
        endpoint: Endpoint,
        connections: Vec<Option<Connection>>,
    ) -> Self {
        let fates = Arc::new(Fates::new(names.len()));
        let links = connections
            .into_iter()
            .enumerate()
            .map(|(index, connection)| {
                let link = Arc::new(Link { connection: connection?, streams: Mutex::default() });
                let peer = PartyId::from_index(index);
                tokio::spawn(watch(Arc::clone(&link), peer, Arc::clone(&fates)));
                Some(link)
            })
            .collect();
        let latecomers = tokio::spawn(refuse_latecomers(endpoint.clone())).abort_handle();
        Self(Channel::root(Mesh {
            me,
            names,
            silence,
            carrier: Connections { links, endpoint, latecomers },
            fates,
            recorder: OnceLock::new(),
            #[cfg(feature = "test-util")]
            hooks: crate::fault::Hooks::default(),
        }))
    }

    /// A handle that waits, after an abort or a drop, until the peers could be told.
    #[must_use]
    pub fn linger(&self) -> Linger {
        let carrier = &self.0.mesh().carrier;
        let links = carrier.links.iter().flatten();
        Linger {
            endpoint: carrier.endpoint.clone(),
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
#[derive(Clone, Debug)]
pub struct Linger {
    endpoint: Endpoint,
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
        if tokio::time::timeout(limit, self.endpoint.wait_idle()).await.is_err() {
            tracing::debug!("connections were still open after {limit:?}");
        }
    }
}

/// Nodes that dial during a study are turned away at once and try again.
async fn refuse_latecomers(endpoint: Endpoint) {
    while let Some(incoming) = endpoint.accept().await {
        incoming.refuse();
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

/// What a closed connection says about the peer.
fn fate(error: ConnectionError) -> Fate {
    match error {
        ConnectionError::ApplicationClosed(close) => {
            match u32::try_from(close.error_code.into_inner()) {
                Ok(closing::FINISHED) => Fate::Finished,
                Ok(closing::GONE) => Fate::Lost("the node stopped".to_owned()),
                Ok(closing::REPLACED) => Fate::Lost("the node was started again".to_owned()),
                Ok(closing::ABORTED) => match reason_of(&close.reason) {
                    Some(abort) => Fate::Aborted(abort),
                    None => Fate::Lost("it gave up for a reason that cannot be read".to_owned()),
                },
                _ => Fate::Lost("the node closed the connection".to_owned()),
            }
        }
        ConnectionError::LocallyClosed => Fate::Local("the connection is closed".to_owned()),
        ConnectionError::TimedOut => Fate::Lost("no packet came from it any more".to_owned()),
        ConnectionError::Reset => Fate::Lost("the node does not know the connection".to_owned()),
        other => Fate::Lost(other.to_string()),
    }
}

fn reason_of(bytes: &[u8]) -> Option<Abort> {
    let abort: Abort = postcard::from_bytes(bytes).ok()?;
    Some(Abort::new(abort.code, printable(&abort.reason)))
}

/// Why the peer gave up, if that is how the connection ended.
pub(crate) fn abort_of(error: &ConnectionError) -> Option<Abort> {
    match fate(error.clone()) {
        Fate::Aborted(abort) => Some(abort),
        _ => None,
    }
}

/// Closes a connection with an abort in the reason.
pub(crate) fn close(connection: &Connection, reason: &Abort) {
    let mut end = reason.reason.len().min(MAX_REASON);
    while !reason.reason.is_char_boundary(end) {
        end -= 1;
    }
    let short = Abort::new(reason.code, &reason.reason[..end]);
    // Without the reason the code alone still says that the node gave up.
    let bytes = postcard::to_stdvec(&short).unwrap_or_default();
    connection.close(VarInt::from_u32(closing::ABORTED), &bytes);
}

/// The connections of one node.
pub(crate) struct Connections {
    links: Vec<Option<Arc<Link>>>,
    endpoint: Endpoint,
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
        if tokio::time::timeout(IDLE_WAIT, self.endpoint.wait_idle()).await.is_err() {
            tracing::debug!("connections were still open after {IDLE_WAIT:?}");
        }
    }
}
