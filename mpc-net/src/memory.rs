//! A mesh inside one process: byte-bounded pipes that carry the same frames as the network.
//!
//! The bound matters. An unbounded channel hides deadlocks that appear on a network as soon as a
//! message is longer than the window, and passing buffers instead of bytes hides faults of
//! encoding. A protocol that runs on this mesh runs on QUIC.
//!
//! ```
//! use mpc_net::memory::mesh;
//! use mpc_net::{Due, PartyId, Tag, Transport};
//!
//! const GREETING: Tag = Tag::new("example/greeting");
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), mpc_net::NetError> {
//! let mut nodes = mesh(2).into_iter();
//! let (Some(a), Some(b)) = (nodes.next(), nodes.next()) else { unreachable!() };
//! let (sent, received) = tokio::join!(
//!     a.send(PartyId(1), GREETING, b"hello"),
//!     b.recv(PartyId(0), Due::exactly(GREETING, 5)),
//! );
//! sent?;
//! assert_eq!(received?, b"hello");
//! # Ok(())
//! # }
//! ```

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::io::DuplexStream;

use crate::carrier::{Carrier, Fate, Fates};
use crate::channel::{Channel, Mesh};
use crate::record::Recorder;
use crate::transport::delegate_transport;
use crate::waits::Waits;
use crate::{Abort, PartyId};

/// How a memory mesh is built.
#[derive(Clone, Debug)]
pub struct MeshOptions {
    pipe_bytes: usize,
    timeout: Duration,
    names: Vec<String>,
}

impl Default for MeshOptions {
    /// Pipes of 1 MiB, a time-out of 30 s, nodes called `node 0`, `node 1`, ...
    fn default() -> Self {
        Self { pipe_bytes: 1 << 20, timeout: Duration::from_secs(30), names: Vec::new() }
    }
}

impl MeshOptions {
    /// How many bytes a pipe takes before the sender has to wait for the receiver.
    #[must_use]
    pub fn pipe_bytes(mut self, bytes: usize) -> Self {
        self.pipe_bytes = bytes.max(1);
        self
    }

    /// How long a receiver waits for a silent peer.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The names of the first nodes, in order; the rest keep `node 2`, `node 3`, ...
    #[must_use]
    pub fn names<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.names = names.into_iter().map(Into::into).collect();
        self
    }

    /// The mesh: one transport for each of `nodes` nodes, in order.
    #[must_use]
    pub fn mesh(&self, nodes: usize) -> Vec<MemoryTransport> {
        let ids = || (0..nodes).map(PartyId::from_index);
        let names: Vec<String> = ids()
            .map(|id| self.names.get(id.index()).cloned().unwrap_or_else(|| id.to_string()))
            .collect();
        let world = Arc::new(World {
            pipe_bytes: self.pipe_bytes,
            fates: ids().map(|_| Arc::new(Fates::new(nodes))).collect(),
            pipes: Mutex::default(),
        });
        ids()
            .map(|me| {
                MemoryTransport(Channel::root(Mesh {
                    me,
                    names: names.clone(),
                    silence: self.timeout,
                    carrier: Pipes { me, world: Arc::clone(&world) },
                    fates: Arc::clone(&world.fates[me.index()]),
                    waits: Waits::new(nodes),
                    recorder: OnceLock::new(),
                    #[cfg(feature = "test-util")]
                    hooks: crate::fault::Hooks::default(),
                }))
            })
            .collect()
    }
}

/// A mesh of `nodes` nodes with the default options, one transport for each, in order.
#[must_use]
pub fn mesh(nodes: usize) -> Vec<MemoryTransport> {
    MeshOptions::default().mesh(nodes)
}

/// One node of a memory mesh.
///
/// Dropping it without [`finish`](crate::Transport::finish) is, to the peers, the death of the
/// node, even while forks of it are alive.
pub struct MemoryTransport(pub(crate) Channel<Pipes>);

delegate_transport!(MemoryTransport);

impl MemoryTransport {
    /// Tells `recorder` of every message from here on. Once, before anything is sent or received; a
    /// second call changes nothing.
    pub fn record_with(&self, recorder: Arc<dyn Recorder>) {
        let _ = self.0.mesh().recorder.set(recorder);
    }
}

#[cfg(feature = "test-util")]
impl MemoryTransport {
    /// Records every payload that this node receives from now on, on all channels.
    #[must_use]
    pub fn record(&self) -> crate::fault::View {
        self.0.mesh().hooks.record()
    }

    /// Lets this node misbehave as `plan` says.
    pub fn inject(&self, plan: crate::fault::FaultPlan) {
        self.0.mesh().hooks.inject(plan);
    }
}

/// Sender, receiver and path of a pipe.
type PipeKey = (PartyId, PartyId, String);

/// The end of a pipe that nobody has taken yet; the other end made the pipe.
enum Waiting {
    Reader(DuplexStream),
    Writer(DuplexStream),
}

/// What the nodes of a memory mesh share.
struct World {
    pipe_bytes: usize,
    /// What each node knows of the others.
    fates: Vec<Arc<Fates>>,
    pipes: Mutex<HashMap<PipeKey, Waiting>>,
}

impl World {
    fn pipes(&self) -> std::sync::MutexGuard<'_, HashMap<PipeKey, Waiting>> {
        self.pipes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pipes of one node.
pub(crate) struct Pipes {
    me: PartyId,
    world: Arc<World>,
}

impl Pipes {
    fn tell_all(&self, fate: &Fate) {
        for (index, fates) in self.world.fates.iter().enumerate() {
            if index != self.me.index() {
                fates.settle(self.me, fate.clone());
            }
        }
    }
}

fn taken_twice() -> io::Error {
    io::Error::other("the pipe is in use already")
}

impl Carrier for Pipes {
    type Reader = DuplexStream;
    type Writer = DuplexStream;

    async fn open(&self, to: PartyId, path: &str, _depth: u16) -> io::Result<DuplexStream> {
        match self.world.pipes().entry((self.me, to, path.to_owned())) {
            Entry::Occupied(entry) if matches!(entry.get(), Waiting::Reader(_)) => {
                Err(taken_twice())
            }
            Entry::Occupied(entry) => match entry.remove() {
                Waiting::Writer(end) | Waiting::Reader(end) => Ok(end),
            },
            Entry::Vacant(entry) => {
                let (writer, reader) = tokio::io::duplex(self.world.pipe_bytes);
                entry.insert(Waiting::Reader(reader));
                Ok(writer)
            }
        }
    }

    async fn claim(&self, from: PartyId, path: &str) -> io::Result<DuplexStream> {
        match self.world.pipes().entry((from, self.me, path.to_owned())) {
            Entry::Occupied(entry) if matches!(entry.get(), Waiting::Writer(_)) => {
                Err(taken_twice())
            }
            Entry::Occupied(entry) => match entry.remove() {
                Waiting::Writer(end) | Waiting::Reader(end) => Ok(end),
            },
            Entry::Vacant(entry) => {
                let (writer, reader) = tokio::io::duplex(self.world.pipe_bytes);
                entry.insert(Waiting::Writer(writer));
                Ok(reader)
            }
        }
    }

    async fn drain(&self, _writer: DuplexStream) {}

    fn release(&self, path: &str) {
        self.world.pipes().retain(|(_, to, waiting), end| {
            !(*to == self.me && waiting == path && matches!(end, Waiting::Reader(_)))
        });
    }

    fn abort(&self, reason: &Abort) {
        self.tell_all(&Fate::Aborted(reason.clone()));
    }

    fn leave(&self) {
        self.tell_all(&Fate::Lost("the node stopped".to_owned()));
    }

    async fn close(&self) {
        self.tell_all(&Fate::Finished);
    }
}
