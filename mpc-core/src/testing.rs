//! Whole sessions inside one process, for tests, examples and custom protocols: every party is a
//! real one, with its own session on the in-memory mesh, and nobody sees everything.

use std::future::Future;
use std::time::Duration;

use futures_util::future::join_all;
use mpc_net::memory::{MemoryTransport, MeshOptions};

use crate::correlations::dealer;
use crate::error::Error;
use crate::rand::{MaskSite, Prg};
use crate::session::{Outputs, Session, SessionOptions};

/// What a world of parties is made of.
#[derive(Clone, Debug)]
pub struct World {
    parties: usize,
    dealer: bool,
    outputs: Outputs,
    deadline: Duration,
    #[cfg(feature = "insecure-test-masks")]
    without: Option<MaskSite>,
}

impl World {
    /// `parties` parties and no dealer.
    #[must_use]
    pub fn new(parties: usize) -> Self {
        let deadline = Duration::from_secs(60);
        Self {
            parties,
            dealer: false,
            outputs: Outputs::none(),
            deadline,
            #[cfg(feature = "insecure-test-masks")]
            without: None,
        }
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

    /// Switches a mask off in all sessions of this world, the dealer's included: its streams return
    /// zeros. For tests that show that a missing mask is noticed.
    #[cfg(feature = "insecure-test-masks")]
    #[must_use]
    pub fn insecure_without(mut self, site: Option<MaskSite>) -> Self {
        self.without = site;
        self
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
        MeshOptions::default().mesh(self.parties + usize::from(self.dealer))
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
                let options = SessionOptions {
                    parties: self.parties,
                    context: [7; 32],
                    outputs: self.outputs.clone(),
                };
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
