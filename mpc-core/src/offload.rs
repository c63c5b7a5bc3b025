//! Heavy computation beside the network.

use crate::error::Error;

/// Runs `work` on a thread of its own, so that the runtime that also moves the bytes goes on.
/// For work above some 200 microseconds, or work ahead that must not delay a round.
///
/// # Errors
/// [`Error::Internal`] when the work panicked.
pub async fn offload<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Error::internal("a computation on another thread failed"))
}
