//! The contract between protocols and whatever carries their bytes.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::{Abort, Meter, NetError, PartyId};

/// A boxed future, so that transports can be chosen at run time.
///
/// One allocation is nothing beside a network round, and generics over the transport would spread
/// through every protocol and model.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Names the step of a protocol that a message belongs to.
///
/// Both ends name the step on their own; a frame that carries another tag than the one that is
/// due means that the nodes have lost step, and is an error at once.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tag {
    label: &'static str,
    code: u32,
}

impl Tag {
    /// The tag of the step called `label`, for example `"logistic/open-delta"`.
    #[must_use]
    pub const fn new(label: &'static str) -> Self {
        // FNV-1a. It tells steps apart; it protects nothing.
        let bytes = label.as_bytes();
        let mut code: u32 = 0x811c_9dc5;
        let mut i = 0;
        while i < bytes.len() {
            code ^= bytes[i] as u32;
            code = code.wrapping_mul(0x0100_0193);
            i += 1;
        }
        Self { label, code }
    }

    /// The four bytes that stand in the frame.
    #[must_use]
    pub const fn code(self) -> u32 {
        self.code
    }

    /// The name of the step.
    #[must_use]
    pub const fn label(self) -> &'static str {
        self.label
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label)
    }
}

/// How long a message may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// Exactly this many bytes; the usual case, since all sizes in a protocol are public.
    Exactly(usize),
    /// At most this many bytes, for control messages.
    AtMost(usize),
}

impl Length {
    /// Whether a payload of `len` bytes is due.
    #[must_use]
    pub const fn allows(self, len: usize) -> bool {
        match self {
            Self::Exactly(due) => len == due,
            Self::AtMost(max) => len <= max,
        }
    }
}

/// What the receiver expects: which step, and how many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The step of the protocol.
    pub tag: Tag,
    /// The length of the payload, checked before a byte of it is allocated.
    pub length: Length,
    /// Whether the sender may take as long as it likes: a node that waits for orders is not
    /// facing a silent peer. A lost connection is noticed all the same.
    pub patient: bool,
}

impl Due {
    /// A message of exactly `len` bytes in step `tag`.
    #[must_use]
    pub const fn exactly(tag: Tag, len: usize) -> Self {
        Self { tag, length: Length::Exactly(len), patient: false }
    }

    /// A message of at most `max` bytes in step `tag`.
    #[must_use]
    pub const fn at_most(tag: Tag, max: usize) -> Self {
        Self { tag, length: Length::AtMost(max), patient: false }
    }

    /// The same message, waited for without a time-out.
    #[must_use]
    pub const fn patiently(mut self) -> Self {
        self.patient = true;
        self
    }
}

/// Ordered, framed messages between the nodes of one mesh.
///
/// # Contract
///
/// * Messages from one node to another on one channel arrive in the order in which they were
///   sent, each exactly once and unchanged, or an error says which peer failed and what was due.
/// * [`recv`](Self::recv) checks session, tag, sequence number and length of the frame before it
///   allocates the payload. After any error the channel is unusable: every later call fails too.
/// * [`send`](Self::send) applies back pressure: it completes once the transport has taken the
///   bytes, and waits while the receiver's window is full. A node must therefore send to all
///   *while* receiving from all; one that writes everything first and reads afterwards deadlocks.
/// * Calls for different peers, and a `send` and a `recv` for the same peer, run concurrently on
///   a shared reference. Two concurrent sends (or receives) for the same peer have no defined
///   order.
/// * A `recv` that waits longer than the mesh's time-out fails with [`NetError::Timeout`], unless
///   it is [patient](Due::patiently).
/// * Dropping a future in the middle may leave half a frame behind; the channel is then unusable.
/// * [`fork`](Self::fork) gives an independent channel over the same connections. Both ends fork
///   under the same label; the order of forks does not matter, and a label is used once. Over a
///   network, what a fork sends gives way to what the channel sends that it was forked from.
/// * Dropping the root channel without [`finish`](Self::finish) ends the node's part in the mesh,
///   forks included: the peers get [`NetError::Lost`] once they have read what was sent before
///   (over a network perhaps not all of it).
pub trait Transport: Send + Sync {
    /// This node.
    fn id(&self) -> PartyId;

    /// The number of nodes in the mesh, a dealer included.
    fn nodes(&self) -> usize;

    /// The name of a node, for messages to people.
    fn name(&self, node: PartyId) -> String;

    /// Sends `payload` to `to` as one frame.
    ///
    /// # Errors
    /// [`NetError::Lost`] or [`NetError::Aborted`] when the peer is gone.
    fn send<'a>(
        &'a self,
        to: PartyId,
        tag: Tag,
        payload: &'a [u8],
    ) -> BoxFuture<'a, Result<(), NetError>>;

    /// Receives the next frame from `from`, which must be the one that is `due`.
    ///
    /// # Errors
    /// Every [`NetError`]; each names the peer and what was expected of it.
    fn recv(&self, from: PartyId, due: Due) -> BoxFuture<'_, Result<Vec<u8>, NetError>>;

    /// An independent channel to the same nodes, called `label` at all of them.
    ///
    /// # Errors
    /// [`NetError::Internal`] when the label was used before on this channel.
    fn fork(&self, label: &str) -> Result<Box<dyn Transport>, NetError>;

    /// Binds every later frame of this channel and of later forks to a session.
    ///
    /// Frames sent before carry zero. A frame of another session is refused.
    fn bind_session(&self, session: [u8; 8]);

    /// What this channel counts.
    fn meter(&self) -> &Meter;

    /// Tells every peer that this node gives up, and why. Their pending and later calls fail with
    /// [`NetError::Aborted`], which names this node. Does not wait, and may be called repeatedly.
    fn abort(&self, reason: Abort);

    /// Waits until every peer has also called `finish`, then closes the connections. To be
    /// called once, on the root channel, when nothing more will be sent.
    ///
    /// The wait has no time-out, because the others may have work left; a lost peer ends it.
    ///
    /// # Errors
    /// When a peer is lost or aborts before it has finished.
    fn finish(&self) -> BoxFuture<'_, Result<(), NetError>> {
        self.finish_within(None)
    }

    /// The same, waiting for no peer longer than `limit`: for nodes that know that the others have
    /// no work left either.
    ///
    /// # Errors
    /// As [`finish`](Self::finish), and [`NetError::Timeout`] with the first peer that is not done.
    fn finish_within(&self, limit: Option<Duration>) -> BoxFuture<'_, Result<(), NetError>>;
}

/// Implements [`Transport`] for a public newtype around a channel.
macro_rules! delegate_transport {
    ($name:ident) => {
        impl $crate::Transport for $name {
            fn id(&self) -> $crate::PartyId {
                self.0.id()
            }

            fn nodes(&self) -> usize {
                self.0.nodes()
            }

            fn name(&self, node: $crate::PartyId) -> String {
                self.0.name(node)
            }

            fn send<'a>(
                &'a self,
                to: $crate::PartyId,
                tag: $crate::Tag,
                payload: &'a [u8],
            ) -> $crate::BoxFuture<'a, Result<(), $crate::NetError>> {
                self.0.send(to, tag, payload)
            }

            fn recv(
                &self,
                from: $crate::PartyId,
                due: $crate::Due,
            ) -> $crate::BoxFuture<'_, Result<Vec<u8>, $crate::NetError>> {
                self.0.recv(from, due)
            }

            fn fork(&self, label: &str) -> Result<Box<dyn $crate::Transport>, $crate::NetError> {
                self.0.fork(label)
            }

            fn bind_session(&self, session: [u8; 8]) {
                self.0.bind_session(session);
            }

            fn meter(&self) -> &$crate::Meter {
                self.0.meter()
            }

            fn abort(&self, reason: $crate::Abort) {
                self.0.abort(reason);
            }

            fn finish_within(
                &self,
                limit: Option<std::time::Duration>,
            ) -> $crate::BoxFuture<'_, Result<(), $crate::NetError>> {
                self.0.finish_within(limit)
            }
        }
    };
}

pub(crate) use delegate_transport;
