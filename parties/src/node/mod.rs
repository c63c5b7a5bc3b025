//! The node at work: it meets the other nodes of a study and runs it with them.

mod mesh;
mod progress;
mod receipt;
mod release;
mod study_run;
mod until_stopped;

pub use mesh::{context, link_settings, pinned};
pub use progress::{observer, say};
pub use receipt::{PhaseReceipt, Receipt, Revealed};
pub use release::StudyFolder;
pub use study_run::{Finished, Participant, rows_of, sgd_settings};
pub use until_stopped::{Stopped, until_stopped};

use mpc_net::{Abort, AbortCode};

use crate::exit::{Exit, Failure};

/// What the peers are told when this node fails: the class, and never a word about the data.
#[must_use]
pub fn abort_for(failure: &Failure) -> Abort {
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
