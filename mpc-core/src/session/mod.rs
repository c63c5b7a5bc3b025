//! One run of a protocol: who takes part, what they share, what was revealed.

mod against;
mod attest;
mod batch;
mod checkpoint;
mod commitment;
mod cost;
pub mod ext;
mod fixed;
mod handshake;
mod masks;
#[cfg(any(test, feature = "test-util"))]
pub(crate) mod opened;
mod resend;
mod reveal;
mod rounds;
#[cfg(test)]
mod rushing;
mod signatory;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mpc_net::record::Transcript;
use mpc_net::{Abort, Meter, PartyId, Tag, Transport};

pub use against::Against;
pub use attest::{Attestation, Signed};
pub use batch::Kind;
pub use batch::{Batch, Opened, Recipients, Slot};
pub use checkpoint::{Checkpoint, CheckpointLog, State};
pub use commitment::Statement;
pub use cost::Cost;
pub use resend::Recorded;
pub use reveal::{Outputs, ReleaseLog};
pub use signatory::Signatory;

use crate::error::Error;
use crate::rand::{Coins, MaskSite, MaskSwitch, Master, Prg, Seed};

/// What a session is started with. Parties and context are the same at every node; a dealer
/// reveals nothing and has no outputs.
#[derive(Clone)]
#[non_exhaustive]
pub struct SessionOptions {
    /// The number of computing parties: the first nodes of the mesh. A dealer comes after them.
    pub parties: usize,
    /// A digest of everything the nodes must agree on: the study, the roster with its keys.
    pub context: [u8; 32],
    /// What may be revealed.
    pub outputs: Outputs,
    /// Against whom it protects: the same at all parties, so `context` should say it too. A dealer
    /// opens nothing, and need not know.
    pub against: Against,
    /// Where this node's coins come from: fresh ones for every session, unless somebody keeps them.
    pub master: Option<Arc<Master>>,
    /// Who signs for this node, and checks what the others signed.
    pub signatory: Option<Arc<dyn Signatory>>,
    /// What the transport records into, for the nodes to sign. All nodes have one, or none.
    pub transcript: Option<Arc<Transcript>>,
}

impl SessionOptions {
    /// A covert session of `parties` parties that reveals nothing.
    #[must_use]
    pub fn new(parties: usize, context: [u8; 32]) -> Self {
        Self {
            parties,
            context,
            outputs: Outputs::none(),
            against: Against::default(),
            master: None,
            signatory: None,
            transcript: None,
        }
    }

    /// Allows outputs to be revealed.
    #[must_use]
    pub fn outputs(mut self, outputs: Outputs) -> Self {
        self.outputs = outputs;
        self
    }

    /// Protects against others.
    #[must_use]
    pub fn against(mut self, against: Against) -> Self {
        self.against = against;
        self
    }

    /// Takes this node's coins from `master`, which belongs to this session alone.
    #[must_use]
    pub fn master(mut self, master: Arc<Master>) -> Self {
        self.master = Some(master);
        self
    }

    /// Signs with `signatory`.
    #[must_use]
    pub fn signatory(mut self, signatory: Arc<dyn Signatory>) -> Self {
        self.signatory = Some(signatory);
        self
    }
}

impl SessionOptions {
    /// Signs what the transport records into `transcript`.
    #[must_use]
    pub fn transcript(mut self, transcript: Arc<Transcript>) -> Self {
        self.transcript = Some(transcript);
        self
    }
}

impl fmt::Debug for SessionOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionOptions")
            .field("parties", &self.parties)
            .field("outputs", &self.outputs)
            .finish_non_exhaustive()
    }
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
    /// What this node draws for itself.
    coins: Coins,
    signatory: Option<Arc<dyn Signatory>>,
    transcript: Option<Arc<Transcript>>,
    /// The channel on which the nodes exchange statements, once there were any.
    statements: Option<Box<dyn Transport>>,
    /// The commitments to the coins of all nodes.
    coin_commitments: Vec<[u8; 32]>,
    forks: BTreeSet<String>,
    outputs: Outputs,
    /// What stands before the label of each output.
    before_labels: String,
    release_log: Option<Box<dyn ReleaseLog>>,
    /// Parts of results that are sent again.
    recorded: BTreeMap<String, Recorded>,
    checkpoints: Option<Box<dyn CheckpointLog>>,
    /// What a computation goes on from.
    start: Option<Checkpoint>,
    switch: MaskSwitch,
    against: Against,
    /// What was opened to all, in the first channel of a covert session.
    heard: Option<commitment::Heard>,
    /// Nonces of commitments, of this party alone.
    nonces: Option<Prg>,
    /// How many batches were committed to.
    commitments: u64,
    broken: bool,
}

impl Session {
    /// Agrees on a session with all nodes of the mesh: fresh nonces, a seed for every pair by
    /// ephemeral Diffie-Hellman on Ristretto, coins that no node chooses for itself, and a session
    /// id that binds all of it and the context (docs/protocols.md 1). Two rounds.
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
        let master = match options.master {
            Some(master) => master,
            None => Arc::new(Master::fresh()?),
        };
        let agreed = match handshake::agree(&*transport, &options.context, &master).await {
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
            heard: (options.against == Against::Covert)
                .then(|| commitment::Heard::new(&agreed.session, options.parties)),
            nonces: None,
            commitments: 0,
            against: options.against,
            id: agreed.session,
            seeds: agreed.seeds,
            streams: BTreeMap::new(),
            coins: agreed.coins,
            signatory: options.signatory,
            transcript: options.transcript,
            statements: None,
            coin_commitments: agreed.commitments,
            forks: BTreeSet::new(),
            outputs: options.outputs,
            before_labels: String::new(),
            release_log: None,
            recorded: BTreeMap::new(),
            checkpoints: None,
            start: None,
            switch: MaskSwitch::default(),
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
            coins: self.coins.fork(label),
            signatory: self.signatory.clone(),
            transcript: None,
            statements: None,
            coin_commitments: Vec::new(),
            forks: BTreeSet::new(),
            outputs: Outputs::none(),
            before_labels: String::new(),
            release_log: None,
            recorded: BTreeMap::new(),
            checkpoints: None,
            start: None,
            switch: self.switch,
            against: self.against,
            heard: self.heard.as_ref().map(|_| commitment::Heard::new(&self.id, self.parties)),
            nonces: None,
            commitments: 0,
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

    /// Begins the label of every output that is revealed from here on with `before`: for a computation that is
    /// done several times in one session, each time with outputs of its own. No rounds.
    pub fn labels_after(&mut self, before: String) {
        self.before_labels = before;
    }

    /// Keeps a durable record of every release before it is sent.
    pub fn record_releases(&mut self, log: Box<dyn ReleaseLog>) {
        self.release_log = Some(log);
    }

    /// Marks an output as revealed that is no sum of shares, and records `message`, what this party says
    /// of it, before anything is sent that shows it. No traffic.
    ///
    /// # Errors
    /// As [`reveal`](Self::reveal).
    pub(crate) fn begin_reveal(&mut self, label: &str, message: &[u8]) -> Result<(), Error> {
        self.usable()?;
        let label = &format!("{}{label}", self.before_labels);
        self.outputs.spend(label)?;
        match &mut self.release_log {
            Some(log) => log.record(label, message).map_err(Error::Record),
            None => Ok(()),
        }
    }

    /// This node's index; a computing party if below [`parties`](Self::parties).
    #[must_use]
    pub fn me(&self) -> usize {
        self.me
    }

    /// Against whom this session protects.
    #[must_use]
    pub fn against(&self) -> Against {
        self.against
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

    /// What each node committed to in the handshake: the seed of its coins. Empty in a fork.
    #[must_use]
    pub fn coin_commitments(&self) -> &[[u8; 32]] {
        &self.coin_commitments
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

    /// Who signs for this node and checks the others' signatures, if anybody does.
    #[must_use]
    pub fn signatory(&self) -> Option<&Arc<dyn Signatory>> {
        self.signatory.as_ref()
    }

    /// What this node draws for itself from here on.
    pub(crate) fn coins(&mut self) -> &mut Coins {
        &mut self.coins
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

    /// What was opened in `step` is larger than can be.
    pub(crate) fn beyond_bound(&self, step: &str) -> Error {
        let suspects: Vec<_> = self.other_parties().map(|party| self.name(party)).collect();
        Error::BeyondBound { step: step.to_owned(), suspects: suspects.join(" or ") }
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

    pub(crate) fn usable(&self) -> Result<(), Error> {
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
