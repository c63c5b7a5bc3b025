//! One run of a protocol: who takes part, what they share, what was revealed.

mod batch;
mod cost;
mod fixed;
mod handshake;
#[cfg(any(test, feature = "test-util"))]
pub(crate) mod opened;
mod reveal;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use futures_util::future::try_join_all;
use mpc_net::{Abort, BoxFuture, Due, Meter, PartyId, Tag, Transport};
use zeroize::Zeroizing;

pub use batch::Kind;
pub use batch::{Batch, Opened, Recipients, Slot};
pub use cost::Cost;
pub use reveal::{Outputs, ReleaseLog};

use crate::error::Error;
use crate::rand::{MaskSite, Prg, Seed};
use crate::ring::{Ring, Z128, wire};
use crate::share::{Shared, truncate_reduce};

/// What a session is started with. Parties and context are the same at every node; a dealer
/// reveals nothing and has no outputs.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// The number of computing parties: the first nodes of the mesh. A dealer comes after them.
    pub parties: usize,
    /// A digest of everything the nodes must agree on: the study, the roster with its keys.
    pub context: [u8; 32],
    /// What may be revealed.
    pub outputs: Outputs,
}

/// A session: the transport, the seeds shared with each other node, and the ledger of what was
/// revealed. Every protocol takes it as its last argument.
///
/// House rule: every `.await` on a session is one round, or a function whose docs state its
/// number of rounds.
///
/// A session whose round was interrupted (by an error, or because its future was dropped) is
/// unusable: every later call fails.
pub struct Session {
    transport: Box<dyn Transport>,
    me: usize,
    parties: usize,
    id: [u8; 32],
    /// The seed shared with each node; none with itself.
    seeds: Vec<Option<Seed>>,
    streams: BTreeMap<(usize, MaskSite), Prg>,
    forks: BTreeSet<String>,
    outputs: Outputs,
    release_log: Option<Box<dyn ReleaseLog>>,
    broken: bool,
}

impl Session {
    /// Agrees on a session with all nodes of the mesh: fresh nonces, a seed for every pair by
    /// ephemeral Diffie-Hellman on Ristretto, and a session id that binds all of it and the
    /// context (docs/protocols.md 1). Two rounds.
    ///
    /// # Errors
    /// When a node cannot be reached, or sees another session than the rest. The others are then
    /// told that this node gives up, and why.
    pub async fn establish(
        transport: Box<dyn Transport>,
        options: SessionOptions,
    ) -> Result<Self, Error> {
        let nodes = transport.nodes();
        if options.parties < 2 || options.parties > nodes {
            return Err(Error::internal(format!(
                "a session of {} parties on a mesh of {nodes} nodes",
                options.parties
            )));
        }
        let agreed = match handshake::agree(&*transport, &options.context).await {
            Ok(agreed) => agreed,
            Err(error) => {
                // The transport ends here, and without a word the others would wait for this node.
                transport.abort(Abort::new(error.code(), error.to_string()));
                return Err(error);
            }
        };
        Ok(Self {
            me: transport.id().index(),
            transport,
            parties: options.parties,
            id: agreed.session,
            seeds: agreed.seeds,
            streams: BTreeMap::new(),
            forks: BTreeSet::new(),
            outputs: options.outputs,
            release_log: None,
            broken: false,
        })
    }

    /// A session of its own for work that runs beside this one: own channel, own streams, the
    /// same session id. It can reveal nothing. No rounds.
    ///
    /// # Errors
    /// When `label` was used before, or a round was interrupted.
    pub fn fork(&mut self, label: &str) -> Result<Self, Error> {
        self.usable()?;
        if !self.forks.insert(label.to_owned()) {
            return Err(Error::internal(format!("the session was forked as {label} before")));
        }
        let domain = format!("fork {label}");
        Ok(Self {
            transport: self.transport.fork(label)?,
            me: self.me,
            parties: self.parties,
            id: self.id,
            seeds: self.seeds.iter().map(|s| s.as_ref().map(|s| s.derive(&domain))).collect(),
            streams: BTreeMap::new(),
            forks: BTreeSet::new(),
            outputs: Outputs::none(),
            release_log: None,
            broken: false,
        })
    }

    /// Names further outputs: for a study whose outputs follow from public facts that the parties
    /// first tell each other. No rounds.
    ///
    /// # Errors
    /// [`Error::Reveal`] when one of them was named before: what was revealed stays so.
    pub fn allow(&mut self, outputs: Outputs) -> Result<(), Error> {
        self.outputs.extend(outputs)
    }

    /// Keeps a durable record of every release before it is sent.
    pub fn record_releases(&mut self, log: Box<dyn ReleaseLog>) {
        self.release_log = Some(log);
    }

    /// This node's index; a computing party if below [`parties`](Self::parties).
    #[must_use]
    pub fn me(&self) -> usize {
        self.me
    }

    /// The number of computing parties.
    #[must_use]
    pub fn parties(&self) -> usize {
        self.parties
    }

    /// The public name of this session.
    #[must_use]
    pub fn id(&self) -> [u8; 32] {
        self.id
    }

    /// What this session's channel counts.
    #[must_use]
    pub fn meter(&self) -> &Meter {
        self.transport.meter()
    }

    /// Tells all nodes that this one gives up.
    pub fn abort(&self, reason: Abort) {
        self.transport.abort(reason);
    }

    /// Waits until all nodes are done and closes the connections.
    ///
    /// # Errors
    /// When a node is lost or aborts before it is done, or a round was interrupted.
    pub async fn finish(self) -> Result<(), Error> {
        self.usable()?;
        Ok(self.transport.finish().await?)
    }

    /// The same, waiting for no node longer than `limit`: for those who know that the others have
    /// no work left either.
    ///
    /// # Errors
    /// As [`finish`](Self::finish), and with the first node that is not done in time.
    pub async fn finish_within(self, limit: Duration) -> Result<(), Error> {
        self.usable()?;
        Ok(self.transport.finish_within(Some(limit)).await?)
    }

    /// The name of a node, for messages to people.
    #[must_use]
    pub fn name(&self, node: usize) -> String {
        self.transport.name(PartyId::from_index(node))
    }

    /// A share of a column vector that `owner` holds. Without traffic.
    ///
    /// `values` is given by the owner and by nobody else; `len` is public. Masks:
    /// [`MaskSite::InputShare`]. Source: docs/protocols.md 1.
    ///
    /// # Errors
    /// When the owner gives no values, or not `len` of them, or a round was interrupted.
    pub fn share_input<R: Ring>(
        &mut self,
        owner: usize,
        values: Option<&[R]>,
        len: usize,
    ) -> Result<Shared<R>, Error> {
        self.usable()?;
        if self.me != owner {
            let stream = self.stream(owner, MaskSite::InputShare)?;
            return Ok(Shared::column(stream.elements(len, R::BITS).to_vec()));
        }
        let values = values
            .filter(|values| values.len() == len)
            .ok_or_else(|| Error::internal(format!("the owner of an input gives {len} values")))?;
        let mut share = Shared::column(values.to_vec());
        for peer in self.other_parties() {
            self.stream(peer, MaskSite::InputShare)?.subtract_from(share.as_mut_slice(), R::BITS);
        }
        Ok(share)
    }

    /// Opens a batch: each party sends its shares to those who learn the values, and adds what it
    /// receives. One round.
    ///
    /// # Errors
    /// When a peer is lost, or sends something that is not due.
    pub async fn open(&mut self, batch: Batch) -> Result<Opened, Error> {
        #[cfg(any(test, feature = "test-util"))]
        let seen = opened::begin(self.me, &batch);
        let length = batch.length_to(self.me);
        let outgoing = (0..self.parties)
            .map(|to| if to == self.me { Zeroizing::default() } else { batch.message_to(to) })
            .collect();
        let incoming = vec![length; self.parties];
        let messages = self.exchange(batch.tag, outgoing, incoming).await?;
        // The round is not over before every share was accepted.
        self.broken = true;

        let mut values: Vec<_> = batch
            .entries
            .into_iter()
            .map(|entry| (entry.to.include(self.me).then_some(entry.values), entry.bits))
            .collect();
        for (from, bytes) in messages.iter().enumerate().filter(|&(from, _)| from != self.me) {
            let mut rest: &[u8] = bytes;
            for (values, bits) in &mut values {
                let Some(values) = values else { continue };
                let (mine, after) = rest.split_at(values.len() * wire::element_bytes(*bits));
                rest = after;
                let theirs = wire::decode::<Z128>(mine, *bits)
                    .ok_or_else(|| self.misbehaved(from, batch.tag, "a share is out of range"))?;
                let mask = wire::mask(*bits);
                for (value, share) in values.iter_mut().zip(theirs.iter()) {
                    *value = Z128((*value + *share).0 & mask);
                }
            }
        }
        self.broken = false;
        let opened = Opened { values: values.into_iter().map(|(values, _)| values).collect() };
        #[cfg(any(test, feature = "test-util"))]
        opened::end(seen, &opened);
        Ok(opened)
    }

    /// Reveals the output `label`: the shared values mod 2^`bits`, less their lowest `drop` bits,
    /// rounded. One round.
    ///
    /// The share gets a fresh zero share in its own ring first, is then truncate-reduced
    /// (docs/protocols.md 3a) and opened, once: truncating first would leave a carry that depends
    /// on bits that no zero share hides. What is sent is recorded first. Gives the signed values
    /// to the recipients and `None` to the others.
    ///
    /// # Errors
    /// [`Error::Reveal`] when the study does not name the output, or it was revealed before;
    /// [`Error::Record`] when the release cannot be recorded; network errors.
    pub async fn reveal<R: Ring>(
        &mut self,
        label: &str,
        share: &Shared<R>,
        bits: u32,
        drop: u32,
    ) -> Result<Option<Vec<i128>>, Error> {
        const REVEAL: &str = "reveal";
        // Before the label is spent and anything is recorded that could never be sent.
        self.usable()?;
        let to = self.outputs.spend(label)?;
        let mut share = share.clone();
        self.add_zero_share(MaskSite::ZeroShareResult, &mut share, bits)?;
        truncate_reduce(&mut share, bits, drop, self.me, self.parties);
        let mut batch = Batch::new(REVEAL);
        let left = bits - drop;
        let slot = batch.push(share.as_slice(), left, to, Kind::Result);
        #[cfg(any(test, feature = "test-util"))]
        batch.note_ring(slot, bits);
        if let Some(log) = &mut self.release_log {
            let message = (0..self.parties)
                .find(|&party| party != self.me && to.include(party))
                .map(|party| batch.message_to(party))
                .unwrap_or_default();
            log.record(label, &message).map_err(Error::Record)?;
        }
        let opened = self.open(batch).await?;
        Ok(opened
            .get(slot)
            .map(|values| values.iter().map(|value| value.to_signed(left)).collect()))
    }

    /// Tells every party `message` and gives everybody's, the own one included. For facts that are
    /// public by design; all messages have the same length. One round.
    ///
    /// # Errors
    /// Network errors.
    pub async fn announce(&mut self, tag: Tag, message: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
        let outgoing = vec![Zeroizing::new(message.to_vec()); self.parties];
        let incoming = vec![message.len(); self.parties];
        let mut all: Vec<Vec<u8>> = self
            .exchange(tag, outgoing, incoming)
            .await?
            .into_iter()
            .map(|bytes| bytes.to_vec())
            .collect();
        all[self.me] = message.to_vec();
        Ok(all)
    }

    /// Makes sure that all parties hold the same public bytes, called `what`. One round.
    ///
    /// # Errors
    /// [`Error::Disagreement`] with the first party that holds others.
    pub async fn agree(&mut self, what: &str, bytes: &[u8]) -> Result<(), Error> {
        const AGREE: Tag = Tag::new("session/agree");
        let digest = crate::rand::hash("agree", &[what.as_bytes(), bytes]);
        let all = self.announce(AGREE, &digest).await?;
        match all.iter().position(|theirs| *theirs != digest) {
            None => Ok(()),
            Some(peer) => Err(Error::Disagreement { peer: self.name(peer), what: what.to_owned() }),
        }
    }

    /// Adds a fresh zero share mod 2^`bits`: the parties' additions sum to zero
    /// (docs/protocols.md 1).
    pub(crate) fn add_zero_share<R: Ring>(
        &mut self,
        site: MaskSite,
        share: &mut Shared<R>,
        bits: u32,
    ) -> Result<(), Error> {
        for peer in self.other_parties() {
            let lower = self.me < peer;
            let stream = self.stream(peer, site)?;
            if lower {
                stream.add_to(share.as_mut_slice(), bits);
            } else {
                stream.subtract_from(share.as_mut_slice(), bits);
            }
        }
        Ok(())
    }

    /// The stream that this node shares with `peer` for `site`.
    pub(crate) fn stream(&mut self, peer: usize, site: MaskSite) -> Result<&mut Prg, Error> {
        let seed = self
            .seeds
            .get(peer)
            .and_then(Option::as_ref)
            .ok_or_else(|| Error::internal(format!("no seed is shared with node {peer}")))?;
        Ok(self.streams.entry((peer, site)).or_insert_with(|| Prg::new(seed, site)))
    }

    /// Sends `outgoing[j]` to each party j while receiving `incoming[j]` bytes from it; empty
    /// messages are not sent. One round.
    pub(crate) async fn exchange(
        &mut self,
        tag: Tag,
        outgoing: Vec<Zeroizing<Vec<u8>>>,
        incoming: Vec<usize>,
    ) -> Result<Vec<Zeroizing<Vec<u8>>>, Error> {
        self.enter()?;
        let me = self.me;
        let transport = &*self.transport;
        let transfers = (0..self.parties).filter(|&peer| peer != me).flat_map(|peer| {
            let id = PartyId::from_index(peer);
            let message = &outgoing[peer];
            let due = incoming[peer];
            let send: BoxFuture<'_, Result<_, Error>> = Box::pin(async move {
                if !message.is_empty() {
                    transport.send(id, tag, message).await?;
                }
                Ok(None)
            });
            let receive: BoxFuture<'_, Result<_, Error>> = Box::pin(async move {
                if due == 0 {
                    return Ok(Some((peer, Vec::new())));
                }
                Ok(Some((peer, transport.recv(id, Due::exactly(tag, due)).await?)))
            });
            [send, receive]
        });
        let mut received = vec![Zeroizing::new(Vec::new()); self.parties];
        for (peer, bytes) in try_join_all(transfers).await?.into_iter().flatten() {
            received[peer] = Zeroizing::new(bytes);
        }
        transport.meter().round();
        self.broken = false;
        Ok(received)
    }

    /// Sends one message to one node, outside the rounds between the parties.
    pub(crate) async fn send(&mut self, to: usize, tag: Tag, bytes: &[u8]) -> Result<(), Error> {
        self.enter()?;
        self.transport.send(PartyId::from_index(to), tag, bytes).await?;
        self.broken = false;
        Ok(())
    }

    /// Receives one message from one node, outside the rounds between the parties.
    pub(crate) async fn receive(&mut self, from: usize, due: Due) -> Result<Vec<u8>, Error> {
        self.enter()?;
        let bytes = self.transport.recv(PartyId::from_index(from), due).await?;
        self.broken = false;
        Ok(bytes)
    }

    /// A stream of its own with `peer` for `site`, from its beginning: the caller sees to it that it
    /// is opened once.
    pub(crate) fn new_stream(&self, peer: usize, site: MaskSite) -> Result<Prg, Error> {
        let seed = self.seeds.get(peer).and_then(Option::as_ref);
        let seed = seed.ok_or_else(|| Error::internal(format!("no seed with node {peer}")))?;
        Ok(Prg::new(seed, site))
    }

    pub(crate) fn transport(&self) -> &dyn Transport {
        &*self.transport
    }

    pub(crate) fn misbehaved(&self, peer: usize, tag: Tag, detail: &str) -> Error {
        Error::Misbehaved {
            peer: self.name(peer),
            step: tag.label().to_owned(),
            detail: detail.to_owned(),
        }
    }

    fn other_parties(&self) -> impl Iterator<Item = usize> + use<> {
        let me = self.me;
        (0..self.parties).filter(move |&party| party != me)
    }

    /// Marks the session as broken until the round that begins now has ended well.
    fn enter(&mut self) -> Result<(), Error> {
        self.usable()?;
        self.broken = true;
        Ok(())
    }

    fn usable(&self) -> Result<(), Error> {
        if self.broken {
            return Err(Error::internal("the session was interrupted in an earlier round"));
        }
        Ok(())
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("me", &self.me)
            .field("parties", &self.parties)
            .field("broken", &self.broken)
            .finish_non_exhaustive()
    }
}
