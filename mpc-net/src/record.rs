//! Transcripts: what a node sent to each peer and received from it, as digests that can be signed and
//! compared.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::{PartyId, Tag};

/// Is told of every message of a node, where frames are built and accepted: in the order of each
/// channel, peer and direction.
///
/// It is called on the task of the network, so it has to be quick. A message that is being sent is told
/// as the protocol gave it, before anything is done with it; one that arrives after it was accepted.
pub trait Recorder: Send + Sync {
    /// This node sends `payload` to `to`.
    fn sent(&self, to: PartyId, channel: &str, tag: Tag, payload: &[u8]);

    /// This node has received `payload` from `from`.
    fn received(&self, from: PartyId, channel: &str, tag: Tag, payload: &[u8]);
}

/// What keeps received messages as they are.
pub trait Keeper: Send + Sync {
    /// Takes message number `number` (from 0) that `from` sent on `channel`.
    fn keep(&self, from: PartyId, channel: &str, number: u64, tag: Tag, payload: &[u8]);
}

/// The label of the channel on which nodes tell each other what they signed of their transcripts. What
/// is said there, on a fork of the root channel, is in no transcript.
pub const STATEMENTS: &str = "transcript";

/// The path of the channel called [`STATEMENTS`].
const STATEMENTS_PATH: &str = "/10:transcript";

/// The digest of a message or of a line of messages: BLAKE3.
pub type Digest = [u8; 32];

/// Which way a line of messages goes, seen from the node whose transcript it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Direction {
    /// To the peer.
    Sent,
    /// From the peer.
    Received,
}

/// One message, as a transcript remembers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The label of the step.
    pub step: String,
    /// The bytes of the payload.
    pub length: u64,
    /// The digest of step, length and payload.
    pub digest: Digest,
}

/// The digest of one message: of the code of its step, its length and its payload.
#[must_use]
pub fn message_digest(step: u32, payload: &[u8]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"mpc-net message 1\0");
    hasher.update(&step.to_le_bytes());
    hasher.update(&(payload.len() as u64).to_le_bytes());
    hasher.update(payload);
    hasher.finalize().into()
}

/// The digest of a line of messages so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Chain(Digest);

impl Chain {
    fn new() -> Self {
        Self(blake3::hash(b"mpc-net line 1\0").into())
    }

    fn add(&mut self, digest: &Digest) {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0);
        hasher.update(digest);
        self.0 = hasher.finalize().into();
    }
}

/// How far one channel has come, in one direction with one peer: what a node signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// The path of the channel; empty for the root channel.
    pub channel: String,
    /// The number of messages.
    pub messages: u64,
    /// The digest of all of them.
    pub digest: Digest,
}

/// The first `messages` of `entries` as their sender signs them; `None` if there are fewer.
#[must_use]
pub fn reached(channel: &str, entries: &[Entry], messages: u64) -> Option<Reached> {
    let mut chain = Chain::new();
    let first = entries.get(..usize::try_from(messages).ok()?)?;
    first.iter().for_each(|entry| chain.add(&entry.digest));
    Some(Reached { channel: channel.to_owned(), messages, digest: chain.0 })
}

/// A message that a node sends otherwise when its part of a run is done again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The path of the channel.
    pub channel: String,
    /// The number of the message, from 0.
    pub number: u64,
    /// What was recorded; none where nothing was.
    pub recorded: Option<Entry>,
    /// What is sent now; none where nothing is.
    pub again: Option<Entry>,
}

/// The first message of each channel that `again` has otherwise than `recorded`, which another node
/// received; in the order of the channels. Of a run that `ended` early, what was sent and not received
/// is no difference.
#[must_use]
pub fn differences(
    recorded: &BTreeMap<String, Vec<Entry>>,
    again: &BTreeMap<String, Vec<Entry>>,
    ended: bool,
) -> Vec<Difference> {
    let channels: std::collections::BTreeSet<_> = recorded.keys().chain(again.keys()).collect();
    let none = Vec::new();
    let mut all = Vec::new();
    for channel in channels {
        let (recorded, again) =
            (recorded.get(channel).unwrap_or(&none), again.get(channel).unwrap_or(&none));
        let most = if ended { recorded.len() } else { recorded.len().max(again.len()) };
        let differs = (0..most).find(|&at| recorded.get(at) != again.get(at));
        all.extend(differs.map(|at| Difference {
            channel: channel.clone(),
            number: at as u64,
            recorded: recorded.get(at).cloned(),
            again: again.get(at).cloned(),
        }));
    }
    all
}

/// How what a node says that it sent fits what another has received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fit {
    /// All of it has arrived, and nothing else.
    All,
    /// What has arrived fits, as far as can be told; the rest is on its way.
    SoFar,
    /// On this channel something else has arrived.
    Not {
        /// The path of the channel.
        channel: String,
    },
}

struct Line {
    entries: Vec<(Tag, u64, Digest)>,
    chain: Chain,
}

impl Line {
    fn new() -> Self {
        Self { entries: Vec::new(), chain: Chain::new() }
    }

    fn add(&mut self, tag: Tag, length: usize, digest: Digest) -> u64 {
        let number = self.entries.len() as u64;
        self.entries.push((tag, length as u64, digest));
        self.chain.add(&digest);
        number
    }

    fn entries(&self) -> Vec<Entry> {
        let entry = |&(tag, length, digest): &(Tag, u64, Digest)| Entry {
            step: tag.label().to_owned(),
            length,
            digest,
        };
        self.entries.iter().map(entry).collect()
    }

    fn at(&self, messages: u64) -> Option<Digest> {
        if messages == self.entries.len() as u64 {
            return Some(self.chain.0);
        }
        let mut chain = Chain::new();
        let first = self.entries.get(..usize::try_from(messages).ok()?)?;
        first.iter().for_each(|(_, _, digest)| chain.add(digest));
        Some(chain.0)
    }
}

#[derive(Default)]
struct Peer {
    sent: BTreeMap<String, Line>,
    received: BTreeMap<String, Line>,
}

impl Peer {
    fn lines(&mut self, direction: Direction) -> &mut BTreeMap<String, Line> {
        match direction {
            Direction::Sent => &mut self.sent,
            Direction::Received => &mut self.received,
        }
    }
}

/// The transcript of one node: for each peer, channel and direction a digest of each message and of
/// all so far.
///
/// ```
/// use std::sync::Arc;
///
/// use mpc_net::memory::mesh;
/// use mpc_net::record::{Direction, Fit, Transcript};
/// use mpc_net::{Due, PartyId, Tag, Transport};
///
/// const GREETING: Tag = Tag::new("example/greeting");
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), mpc_net::NetError> {
/// let nodes = mesh(2);
/// let kept = [Arc::new(Transcript::new(2)), Arc::new(Transcript::new(2))];
/// for (node, transcript) in nodes.iter().zip(&kept) {
///     node.record_with(transcript.clone());
/// }
/// let (sent, received) = tokio::join!(
///     nodes[0].send(PartyId(1), GREETING, b"hello"),
///     nodes[1].recv(PartyId(0), Due::exactly(GREETING, 5)),
/// );
/// sent?;
/// received?;
/// let said = kept[0].reached(PartyId(1), Direction::Sent);
/// assert_eq!(kept[1].compare(PartyId(0), &said), Fit::All);
/// # Ok(())
/// # }
/// ```
pub struct Transcript {
    peers: Mutex<Vec<Peer>>,
    keeper: Mutex<Option<Box<dyn Keeper>>>,
}

impl Transcript {
    /// The transcript of a node in a mesh of `nodes` nodes.
    #[must_use]
    pub fn new(nodes: usize) -> Self {
        Self {
            peers: Mutex::new((0..nodes).map(|_| Peer::default()).collect()),
            keeper: Mutex::new(None),
        }
    }

    /// The same, which also gives all received messages to `keeper`.
    #[must_use]
    pub fn keeping(nodes: usize, keeper: Box<dyn Keeper>) -> Self {
        Self { keeper: Mutex::new(Some(keeper)), ..Self::new(nodes) }
    }

    /// Drops the keeper: no message is kept from here on.
    pub fn close(&self) {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn peers(&self) -> std::sync::MutexGuard<'_, Vec<Peer>> {
        // Every write leaves a line that is whole.
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(
        &self,
        peer: PartyId,
        direction: Direction,
        channel: &str,
        tag: Tag,
        payload: &[u8],
    ) -> u64 {
        let digest = message_digest(tag.code(), payload);
        let mut peers = self.peers();
        let Some(peer) = peers.get_mut(peer.index()) else { return 0 };
        let lines = peer.lines(direction);
        if !lines.contains_key(channel) {
            lines.insert(channel.to_owned(), Line::new());
        }
        lines.get_mut(channel).map_or(0, |line| line.add(tag, payload.len(), digest))
    }

    /// How far each channel has come in one direction with `peer`, in the order of their paths.
    #[must_use]
    pub fn reached(&self, peer: PartyId, direction: Direction) -> Vec<Reached> {
        let mut peers = self.peers();
        let Some(peer) = peers.get_mut(peer.index()) else { return Vec::new() };
        let lines = peer.lines(direction).iter();
        lines
            .map(|(channel, line)| Reached {
                channel: channel.clone(),
                messages: line.entries.len() as u64,
                digest: line.chain.0,
            })
            .collect()
    }

    /// Every message in one direction with `peer`, by channel.
    #[must_use]
    pub fn entries(&self, peer: PartyId, direction: Direction) -> BTreeMap<String, Vec<Entry>> {
        let mut peers = self.peers();
        let Some(peer) = peers.get_mut(peer.index()) else { return BTreeMap::new() };
        let lines = peer.lines(direction).iter();
        lines.map(|(channel, line)| (channel.clone(), line.entries())).collect()
    }

    /// Compares what `peer` says that it has sent with what has arrived.
    ///
    /// What arrives while this is called for may be more than the peer says: it compares as many
    /// messages of each channel as the peer says. A channel of which the peer says nothing must be
    /// empty, unless it began later.
    #[must_use]
    pub fn compare(&self, peer: PartyId, said: &[Reached]) -> Fit {
        let peers = self.peers();
        let Some(peer) = peers.get(peer.index()) else { return Fit::SoFar };
        let mut fit = Fit::All;
        for said in said {
            let line = peer.received.get(&said.channel);
            let arrived = line.map_or(0, |line| line.entries.len() as u64);
            if arrived < said.messages {
                fit = Fit::SoFar;
                continue;
            }
            if line.and_then(|line| line.at(said.messages)).unwrap_or(Chain::new().0) != said.digest
            {
                return Fit::Not { channel: said.channel.clone() };
            }
            if arrived > said.messages {
                fit = Fit::SoFar;
            }
        }
        let all = said.iter().map(|said| &said.channel);
        let more = peer.received.keys().any(|channel| !all.clone().any(|said| said == channel));
        if more { Fit::SoFar } else { fit }
    }
}

impl Recorder for Transcript {
    fn sent(&self, to: PartyId, channel: &str, tag: Tag, payload: &[u8]) {
        if channel == STATEMENTS_PATH {
            return;
        }
        self.add(to, Direction::Sent, channel, tag, payload);
    }

    fn received(&self, from: PartyId, channel: &str, tag: Tag, payload: &[u8]) {
        if channel == STATEMENTS_PATH {
            return;
        }
        let number = self.add(from, Direction::Received, channel, tag, payload);
        if let Some(keeper) = &*self.keeper.lock().unwrap_or_else(PoisonError::into_inner) {
            keeper.keep(from, channel, number, tag, payload);
        }
    }
}

impl fmt::Debug for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transcript").finish_non_exhaustive()
    }
}
