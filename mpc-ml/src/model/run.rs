//! What a fit runs on.

use mpc_core::aggregate::Set;
use mpc_core::correlations::{
    Correlation, CorrelationSource, LeftFactor, OwnedMatrix, Production, Request, RightFactor,
};
use mpc_core::ring::Z128;
use mpc_core::{Session, State};
use mpc_net::BoxFuture;

use crate::error::Error;

/// How far a fit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// The own rows are in the form that the fit takes; what follows are its rounds.
    Prepared,
    /// It goes on from where a checkpoint was made.
    Resumed {
        /// Steps that were done then.
        done: u64,
        /// Steps of the fit, as in [`Step`](Self::Step).
        total: u64,
    },
    /// A step has ended.
    Step {
        /// Steps done.
        done: u64,
        /// Steps of the fit, as far as is known: where they end when a check is passed, at most so
        /// many.
        total: u64,
        /// How far the production of correlations is.
        production: Production,
    },
    /// A round of a federated fit has ended.
    Members {
        /// Its number.
        round: u64,
        /// The parties that were in it.
        members: Set,
    },
    /// The others have gone on without this party, which goes on from this round of a federated fit.
    Behind {
        /// The round.
        round: u64,
    },
    /// A party is not there any more, and a federated fit goes on without it.
    Lost {
        /// The party.
        party: usize,
    },
}

/// The session and the source of correlations that a fit uses, and who hears how far it is.
pub struct Run<'a> {
    /// The session.
    pub session: &'a mut Session,
    /// The source of correlations.
    pub source: &'a mut dyn CorrelationSource,
    /// Hears of every step. Called between rounds, so it should not take long.
    pub progress: &'a mut (dyn FnMut(Progress) + Send),
}

impl Run<'_> {
    /// Tells that `done` of `total` steps are done.
    pub fn step(&mut self, done: u64, total: u64) {
        let production = self.source.production();
        (self.progress)(Progress::Step { done, total, production });
    }

    /// The state that a fit goes on from, re-randomised for this session; none where it begins at its own
    /// start. `plan` is [`Agreed::digest`](super::Agreed::digest). Its model reads from it what it needs, says by [`goes_on`](Self::goes_on) that it uses it, and begins anew
    /// where it cannot: from what all parties hold alike, so that all do the same. No rounds.
    ///
    /// # Errors
    /// See [`Session::resumed`].
    pub fn resumed(&mut self, plan: &[u8; 32]) -> Result<Option<State>, Error> {
        Ok(self.session.resumed(plan)?)
    }

    /// Tells that the fit goes on after `done` of `total` steps.
    pub fn goes_on(&mut self, done: u64, total: u64) {
        (self.progress)(Progress::Resumed { done, total });
    }

    /// Offers `state`, from which a fit by `plan` ([`Agreed::digest`](super::Agreed::digest)) could go on in another session: its shares and public numbers
    /// after so many steps, at a place that follows from what all parties know. One round where checkpoints
    /// are kept, none where they are not ([`Plan::checkpoints`](super::Plan::checkpoints)).
    ///
    /// # Errors
    /// See [`Session::checkpoint`].
    pub async fn checkpoint(&mut self, plan: &[u8; 32], state: State) -> Result<(), Error> {
        Ok(self.session.checkpoint(plan, state).await?)
    }

    /// The factors of one product mod 2^128: the next two correlations, which were ordered so.
    ///
    /// # Errors
    /// What the source says, or that something else was ordered.
    pub async fn factors(&mut self) -> Result<(LeftFactor<Z128>, RightFactor<Z128>), Error> {
        let left = self.source.take().await?.left128()?;
        Ok((left, self.source.take().await?.right128()?))
    }
}

/// A source that tells how many of its correlations were taken as steps: for a protocol that takes
/// them at an even pace and tells no steps of its own.
pub struct Watched<'a> {
    source: &'a mut dyn CorrelationSource,
    progress: &'a mut (dyn FnMut(Progress) + Send),
    /// How many will be taken.
    all: u64,
    taken: u64,
    /// Steps that they count as.
    steps: u64,
}

impl<'a> Watched<'a> {
    /// A watched `source` from which `all` correlations will be taken, which count as `steps` steps.
    pub fn new(
        source: &'a mut dyn CorrelationSource,
        progress: &'a mut (dyn FnMut(Progress) + Send),
        all: u64,
        steps: u64,
    ) -> Self {
        Self { source, progress, all: all.max(1), taken: 0, steps }
    }
}

impl CorrelationSource for Watched<'_> {
    fn register(&mut self, matrix: OwnedMatrix) -> BoxFuture<'_, Result<u32, mpc_core::Error>> {
        self.source.register(matrix)
    }

    fn demand(&mut self, requests: Vec<Request>) -> Result<(), mpc_core::Error> {
        self.source.demand(requests)
    }

    fn take(&mut self) -> BoxFuture<'_, Result<Correlation, mpc_core::Error>> {
        Box::pin(async move {
            let correlation = self.source.take().await?;
            self.taken += 1;
            let done = self.taken * self.steps / self.all;
            let production = self.source.production();
            (self.progress)(Progress::Step { done, total: self.steps, production });
            Ok(correlation)
        })
    }

    fn production(&self) -> Production {
        self.source.production()
    }

    fn finish(&mut self) -> BoxFuture<'_, Result<(), mpc_core::Error>> {
        self.source.finish()
    }
}
