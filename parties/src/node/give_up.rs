//! How a node leaves a study that failed.

use std::time::Duration;

use mpc_core::Session;
use mpc_net::quic::Linger;
use mpc_net::{Abort, AbortCode};

use crate::exit::{Exit, Failure};

/// How long the last packets may take to reach the peers.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Waits, after a failure that all parties see alike, until each of them has seen it: a node that
/// closed its connections at once could take the messages with it from which another one is about
/// to learn the same. One round; how it ends does not matter any more.
pub(super) async fn refuse_together(session: &mut Session) {
    if let Err(error) = session.agree("refusal", &[]).await {
        tracing::debug!(%error, "while the parties refused the study together");
    }
}

/// Tells the peers why this node gives up, and waits until they have heard it. Without a session
/// they are told nothing more than the transport told them.
pub async fn give_up(session: Option<&Session>, linger: Linger, failure: &Failure) {
    if let Some(session) = session {
        session.abort(abort_for(failure));
    }
    linger.wait(LAST_WORDS).await;
}

/// What the peers are told when this node fails: the class, and never a word about the data.
fn abort_for(failure: &Failure) -> Abort {
    let (code, reason) = match failure.exit {
        Exit::Stopped => (AbortCode::Stopped, "its operator stopped it"),
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
