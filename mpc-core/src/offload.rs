//! Heavy computation beside the network.

use mpc_net::AtWork;

use crate::error::Error;

/// Runs `work` on a thread of its own, so that the runtime that also moves the bytes goes on.
/// For work above some 200 microseconds, or work ahead that must not delay a round. While it goes on, a node can tell
/// others who wait for it that it is at work ([`AtWork`]).
///
/// # Errors
/// [`Error::Internal`] when the work panicked.
pub async fn offload<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    let at_work = AtWork::begin();
    let work = move || {
        let _at_work = at_work;
        work()
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Error::internal("a computation on another thread failed"))
}
