//! How nodes part: in good order, or with a word to the others about why not.

use std::time::Duration;

use mpc_core::{Session, SessionOptions};
use mpc_net::quic::{Linger, QuicTransport};
use mpc_net::{Abort, AbortCode};

use super::receipt::now;
use super::{State, StopSignal};
use crate::exit::{Exit, Failure};
use crate::study::StudyDigest;

/// How long the last packets may take to reach the peers.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(2);

/// Agrees on a session with the nodes that have met; the peers are told when that fails here.
///
/// # Errors
/// As [`Session::establish`], and when the operator stops the node.
pub async fn establish(
    transport: QuicTransport,
    options: SessionOptions,
    stop: &mut StopSignal,
) -> Result<(Session, Linger), Failure> {
    let linger = transport.linger();
    let mut establishing = Box::pin(Session::establish(Box::new(transport), options));
    let failure = tokio::select! {
        biased;
        stopped = stop.stopped() => {
            // Before the transport is dropped, which says no more than that it is gone.
            linger.abort(&stopped.into());
            Failure::from(stopped)
        }
        established = &mut establishing => match established {
            Ok(session) => return Ok((session, linger)),
            Err(error) => error.into(),
        },
    };
    drop(establishing);
    linger.wait(LAST_WORDS).await;
    Err(failure)
}

/// Waits, after a failure that all parties see alike, until each of them has seen it: a node that
/// closed its connections at once could take the messages with it from which another one is about
/// to learn the same. Then all sign what they have sent: where somebody signs something else than what
/// arrived, that is the reason, and it is what this gives. Two rounds; how they end does not matter any
/// more otherwise.
pub(super) async fn refuse_together(session: &mut Session) -> Option<Failure> {
    let said = match session.agree("refusal", &[]).await {
        Ok(()) => session.attest(false).await,
        Err(error) => Err(error),
    };
    let failed = |error| tracing::debug!(%error, "while the parties refused the study together");
    let errors = said.map_err(failed).ok()?.into_iter().filter_map(|(_, said)| said.err());
    let mut deviating = errors.filter(|error| error.code() == AbortCode::PeerMisbehaved);
    deviating.next().map(Failure::from)
}

/// A failure that all parties see alike follows from what was revealed; and a party that sends wrong
/// shares can bring it about, without anybody seeing which one it was.
pub(super) fn doubt(failure: Failure, session: &Session) -> Failure {
    if !failure.seen_by_all {
        return failure;
    }
    let others = (0..session.parties()).filter(|&party| party != session.me());
    let others: Vec<String> = others.map(|party| session.name(party)).collect();
    let advice = failure.advice.clone().map(|advice| advice + "; ").unwrap_or_default();
    failure.advise(format!(
        "{advice}where the study and the rows give no reason for this, {} may not have kept to the protocol: \
         wrong shares look the same",
        others.join(" or ")
    ))
}

/// Tells the peers why this node gives up, and waits until they have heard it.
pub async fn give_up(session: &Session, linger: Linger, failure: &Failure) {
    leave(session, linger, abort_for(failure)).await;
}

/// Tells the peers `reason`, and waits until they have heard it.
pub(super) async fn leave(session: &Session, linger: Linger, reason: Abort) {
    session.abort(reason);
    linger.wait(LAST_WORDS).await;
}

/// The end of a study at a node whose part is done: it waits for the others, but none of them can
/// take anything away any more.
#[must_use = "the others are told that this node is gone when this is dropped"]
pub struct Closing {
    session: Session,
    linger: Linger,
    /// How long a peer may take.
    limit: Duration,
    /// The memory in which the end of a study is noted, which stays this node's until then.
    study: Option<(State, StudyDigest)>,
}

impl Closing {
    /// The end of a session in which this node has nothing left to do; a peer may take `limit`.
    pub fn new(session: Session, linger: Linger, limit: Duration) -> Self {
        Self { session, linger, limit, study: None }
    }

    /// Notes it in the memory of this node when all are done.
    pub(super) fn noting(self, state: State, study: StudyDigest) -> Self {
        Self { study: Some((state, study)), ..self }
    }

    /// Waits until all nodes are done, one is lost or takes too long, or the operator has enough.
    ///
    /// # Errors
    /// Why not all are done, in a sentence. What this node has stays complete.
    pub async fn wait(self, stop: &mut StopSignal) -> Result<(), Failure> {
        let finished = match stop.until(self.session.finish_within(self.limit)).await {
            Ok(finished) => finished.map_err(Failure::from),
            Err(stopped) => Err(stopped.into()),
        };
        if finished.is_err() {
            self.linger.wait(LAST_WORDS).await;
            return finished;
        }
        match &self.study {
            Some((state, study)) => state.store().finish_study(study, now()),
            None => Ok(()),
        }
    }
}

/// What the peers are told when this node fails: the class, and never a word about the data.
pub(super) fn abort_for(failure: &Failure) -> Abort {
    let (code, reason) = match failure.exit {
        // Who did it is told in any case: they may not see it themselves, and would name this node.
        Exit::Configuration if failure.accuses => {
            return Abort::new(AbortCode::Configuration, failure.what.clone());
        }
        Exit::Stopped => return super::Stopped.into(),
        Exit::LocalInput => (AbortCode::LocalInput, "its own data or files do not fit the study"),
        Exit::PeerMisbehaved | Exit::PeerLost => {
            let code = if failure.exit == Exit::PeerLost {
                AbortCode::PeerLost
            } else {
                AbortCode::PeerMisbehaved
            };
            return Abort::new(code, failure.what.clone());
        }
        Exit::Configuration | Exit::Usage | Exit::Exists => {
            (AbortCode::Configuration, "its settings do not allow the study to go on")
        }
        _ => (AbortCode::Internal, "a fault of the program there"),
    };
    Abort::new(code, reason)
}
