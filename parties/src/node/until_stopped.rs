//! Ctrl-C and SIGTERM.

use std::future::Future;

use crate::exit::{Exit, Failure};

/// The operator stopped the node.
#[derive(Clone, Copy, Debug)]
pub struct Stopped;

impl From<Stopped> for Failure {
    fn from(_: Stopped) -> Self {
        Self::new(Exit::Stopped, "stopped by the operator")
    }
}

/// Runs `work` to its end, or until the operator stops the node.
///
/// # Errors
/// [`Stopped`], after Ctrl-C or SIGTERM; the work was dropped where it was.
pub async fn until_stopped<T>(work: impl Future<Output = T>) -> Result<T, Stopped> {
    #[cfg(unix)]
    let terminate = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    let interrupt = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        biased;
        () = interrupt => Err(Stopped),
        () = terminate => Err(Stopped),
        done = work => Ok(done),
    }
}
