//! Whole sessions inside one process, for tests, examples and custom protocols: every party is a
//! real one, with its own session on the in-memory mesh, and nobody sees everything.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use curve25519_dalek::constants::RISTRETTO_BASEPOINT_TABLE;
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use futures_util::future::join_all;
use mpc_net::PartyId;
use mpc_net::memory::{MemoryTransport, MeshOptions};
use mpc_net::record::Transcript;
use mpc_net::replay::{Messages, Replay};

use crate::correlations::dealer::{self, DealerSource};
use crate::correlations::pairwise::{Expansion, PairwiseSource};
use crate::correlations::{CorrelationSource, Origin};
use crate::error::Error;
use crate::rand::{MaskSite, Master, Prg, hash};
use crate::session::{Against, Cost, Outputs, ReleaseLog, Session, SessionOptions, Signatory};

/// What a world of parties is made of.
#[derive(Clone, Debug)]
pub struct World {
    parties: usize,
    dealer: bool,
    outputs: Outputs,
    against: Against,
    deadline: Duration,
    masters: Vec<Arc<Master>>,
    transcripts: Vec<Arc<Transcript>>,
    #[cfg(feature = "insecure-test-masks")]
    without: Option<MaskSite>,
}

impl World {
    /// `parties` parties and no dealer.
    #[must_use]
    pub fn new(parties: usize) -> Self {
        // Only a protocol that hangs takes this long, also where other tests have the cores.
        let deadline = Duration::from_secs(600);
        Self {
            parties,
            dealer: false,
            outputs: Outputs::none(),
            against: Against::default(),
            deadline,
            masters: Vec::new(),
            transcripts: Vec::new(),
            #[cfg(feature = "insecure-test-masks")]
            without: None,
        }
    }

    /// With a dealer node, if correlations are to come from one.
    #[must_use]
    pub fn origin(mut self, origin: Origin) -> Self {
        self.dealer = origin == Origin::Dealer;
        self
    }

    /// Adds a dealer node.
    #[must_use]
    pub fn with_dealer(mut self) -> Self {
        self.dealer = true;
        self
    }

    /// Allows outputs to be revealed.
    #[must_use]
    pub fn outputs(mut self, outputs: Outputs) -> Self {
        self.outputs = outputs;
        self
    }

    /// Protects against others than parties that do not want to be caught.
    #[must_use]
    pub fn against(mut self, against: Against) -> Self {
        self.against = against;
        self
    }

    /// Switches a mask off in all sessions of this world, the dealer's included: its streams return
    /// zeros. For tests that show that a missing mask is noticed.
    #[cfg(feature = "insecure-test-masks")]
    #[must_use]
    pub fn insecure_without(mut self, site: Option<MaskSite>) -> Self {
        self.without = site;
        self
    }

    /// Takes the coins of node number i from the master number i, where there is one: for runs that are
    /// compared with each other.
    #[must_use]
    pub fn masters(mut self, masters: Vec<Arc<Master>>) -> Self {
        self.masters = masters;
        self
    }

    /// Keeps what node number i sends and receives in the transcript number i, for the nodes to sign.
    #[must_use]
    pub fn transcripts(mut self, transcripts: Vec<Arc<Transcript>>) -> Self {
        self.transcripts = transcripts;
        self
    }

    /// Runs `party` once more as node number `node`, with the master `master` and on the `messages`
    /// that it received. Gives what it returned, and what it sent.
    ///
    /// # Panics
    /// When a session cannot be established on these messages, or the deadline passes.
    pub fn replay<T, F: Future<Output = T>>(
        &self,
        node: usize,
        master: Arc<Master>,
        messages: Box<dyn Messages>,
        party: impl FnOnce(Session) -> F,
    ) -> (T, Arc<Transcript>) {
        let sent = Arc::new(Transcript::new(self.nodes()));
        let names = (0..self.nodes()).map(|node| format!("node {node}")).collect();
        let me = PartyId::from_index(node);
        let transport = Box::new(Replay::new(me, names, messages, Arc::clone(&sent)));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime can be made");
        let run = async {
            let session = Session::establish(transport, self.options(node).master(master)).await;
            party(session.expect("the session is established")).await
        };
        let ended = runtime.block_on(async { tokio::time::timeout(self.deadline, run).await });
        (ended.expect("the replay ended before its deadline"), sent)
    }

    fn options(&self, node: usize) -> SessionOptions {
        SessionOptions::new(self.parties, [7; 32])
            .outputs(self.outputs.clone())
            .against(self.against)
            .signatory(Arc::new(TestSignatory::new(node, self.nodes())))
    }

    /// Gives up after this time, so that a protocol that hangs fails fast.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The mesh of this world, for a test that wants to look into it before it runs.
    #[must_use]
    pub fn mesh(&self) -> Vec<MemoryTransport> {
        MeshOptions::default().timeout(self.silence()).mesh(self.nodes())
    }

    /// A party may compute for half of what all of it may take.
    fn silence(&self) -> Duration {
        self.deadline / 2
    }

    fn nodes(&self) -> usize {
        self.parties + usize::from(self.dealer)
    }

    /// Runs `party` at every party and gives what each returned, in order.
    ///
    /// # Panics
    /// When a session cannot be established, the dealer fails, or the deadline passes.
    pub fn run<T, F: Future<Output = T>>(&self, party: impl Fn(Session) -> F) -> Vec<T> {
        self.run_on(self.mesh(), party)
    }

    /// [`run`](Self::run) on a mesh made before.
    ///
    /// # Panics
    /// See [`run`](Self::run).
    pub fn run_on<T, F: Future<Output = T>>(
        &self,
        mesh: Vec<MemoryTransport>,
        party: impl Fn(Session) -> F,
    ) -> Vec<T> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime can be made");
        let nodes = join_all(mesh.into_iter().enumerate().map(|(node, transport)| {
            let party = &party;
            async move {
                let mut options = self.options(node);
                options.master = self.masters.get(node).cloned();
                options.transcript = self.transcripts.get(node).cloned();
                if let Some(transcript) = &options.transcript {
                    transport.record_with(transcript.clone());
                }
                let mut session = Session::establish(Box::new(transport), options)
                    .await
                    .expect("the session is established");
                #[cfg(feature = "insecure-test-masks")]
                session.insecure_switch_off(self.without);
                if node < self.parties {
                    return Some(party(session).await);
                }
                match dealer::serve(&mut session).await {
                    Ok(()) => {}
                    // A test that lets a party fail leaves the dealer alone.
                    Err(error) => tracing::debug!(%error, "the dealer ended"),
                }
                None
            }
        }));
        let all = runtime
            .block_on(async { tokio::time::timeout(self.deadline, nodes).await })
            .expect("the protocol ended before its deadline");
        all.into_iter().flatten().collect()
    }
}

/// Starts a source of correlations in a session of a world that was told of the same [`World::origin`].
///
/// # Errors
/// As the source itself.
pub fn source(session: &mut Session, origin: Origin) -> Result<Box<dyn CorrelationSource>, Error> {
    Ok(match origin {
        Origin::Dealer => Box::new(DealerSource::start(session)?),
        Origin::Pairwise => Box::new(PairwiseSource::start(session, Expansion::Fast)?),
    })
}

/// Holds what a phase took, in rounds and in bytes sent, against what is declared for a session that trusts all.
///
/// # Panics
/// When it is not that.
#[track_caller]
pub fn assert_cost(session: &Session, phase: &str, declared: &Cost) {
    let (phase, me) = (session.meter().phase(phase), session.me());
    let cost = declared.clone().under(session.against(), me);
    assert_eq!((phase.rounds, phase.sent()), (cost.rounds, cost.sent()));
}

/// The labels of what a party released, in order. A copy writes into the same list.
#[derive(Clone, Debug, Default)]
pub struct Labels(Arc<Mutex<Vec<String>>>);

impl Labels {
    /// All so far.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All so far, which are forgotten.
    #[must_use]
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ReleaseLog for Labels {
    fn record(&mut self, label: &str, _: &[u8]) -> Result<(), String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(label.to_owned());
        Ok(())
    }
}

/// A signatory of a world: Schnorr signatures under keys that are no secret, because each follows from
/// the number of its node. For tests.
#[derive(Clone, Debug)]
pub struct TestSignatory {
    secret: Scalar,
    keys: Vec<[u8; 32]>,
}

impl TestSignatory {
    /// The signatory of `node` in a world of `nodes` nodes, a dealer included.
    #[must_use]
    pub fn new(node: usize, nodes: usize) -> Self {
        let key = |node| (&test_key(node) * RISTRETTO_BASEPOINT_TABLE).compress().to_bytes();
        Self { secret: test_key(node), keys: (0..nodes).map(key).collect() }
    }

    fn challenge(commitment: &[u8], key: &[u8], domain: &str, message: &[u8]) -> Scalar {
        let parts = [commitment, key, domain.as_bytes(), message];
        Scalar::from_bytes_mod_order(hash("test signature", &parts))
    }
}

fn test_key(node: usize) -> Scalar {
    Scalar::from_bytes_mod_order(hash("test key", &[&(node as u64).to_le_bytes()]))
}

impl Signatory for TestSignatory {
    fn sign(&self, domain: &str, message: &[u8]) -> [u8; 64] {
        let key = (&self.secret * RISTRETTO_BASEPOINT_TABLE).compress().to_bytes();
        let parts = [self.secret.as_bytes().as_slice(), domain.as_bytes(), message];
        let once = Scalar::from_bytes_mod_order(hash("test signature, once", &parts));
        let commitment = (&once * RISTRETTO_BASEPOINT_TABLE).compress().to_bytes();
        let answer = once + Self::challenge(&commitment, &key, domain, message) * self.secret;
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&commitment);
        signature[32..].copy_from_slice(answer.as_bytes());
        signature
    }

    fn verify(&self, node: usize, domain: &str, message: &[u8], signature: &[u8; 64]) -> bool {
        let Some(key) = self.keys.get(node) else { return false };
        let (commitment, answer) = signature.split_at(32);
        let answer: [u8; 32] = answer.try_into().expect("half of 64 bytes");
        let point = |bytes: &[u8]| -> Option<RistrettoPoint> {
            CompressedRistretto::from_slice(bytes).ok()?.decompress()
        };
        let (Some(at), Some(public)) = (point(commitment), point(key)) else { return false };
        let Some(answer) = Option::<Scalar>::from(Scalar::from_canonical_bytes(answer)) else {
            return false;
        };
        let challenge = Self::challenge(commitment, key, domain, message);
        &answer * RISTRETTO_BASEPOINT_TABLE == at + public * challenge
    }
}

/// The stream that a node shares with `peer` for `site`, from its beginning: what a coalition with
/// this node in it knows of the masks of `peer`. A test of a view takes it off before it looks at
/// what is left.
///
/// # Errors
/// When no seed is shared with `peer`.
pub fn stream_with(session: &Session, peer: usize, site: MaskSite) -> Result<Prg, Error> {
    session.new_stream(peer, site)
}

#[cfg(feature = "test-util")]
pub use crate::rand::drawn::{Drawn, record as record_drawn, take as take_drawn};
#[cfg(any(test, feature = "test-util"))]
pub use crate::session::Kind;
#[cfg(any(test, feature = "test-util"))]
pub use crate::session::opened::{
    Hidden, Opening, Size, bounded_sizes, record as record_openings, take as take_openings,
};
