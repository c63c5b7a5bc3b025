//! What all production lines have in common: they make jobs in the order of their first use, ahead
//! of it within a bound, and hand out what they made.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::correlations::Correlation;
use crate::correlations::production::Counts;
use crate::error::Error;

/// A correlation that is ready to be taken.
pub(super) struct Ready {
    pub(super) correlation: Correlation,
    /// What keeps the line from running further ahead, until it is dropped.
    _hold: Option<OwnedSemaphorePermit>,
}

/// Permits for a line to run ahead: so many jobs of which nothing was taken yet.
///
/// The jobs of a line are made in the order of their first use, and a job gives its permit back
/// when its first correlation is taken. So the next correlation to be taken never waits for a permit
/// that only a later one could give.
#[derive(Clone)]
pub(super) struct Ahead(Arc<Semaphore>);

impl Ahead {
    pub(super) fn new(jobs: usize) -> Self {
        Self(Arc::new(Semaphore::new(jobs)))
    }

    /// Waits for a permit to begin a job.
    pub(super) async fn permit(&self) -> Result<OwnedSemaphorePermit, Error> {
        let closed = |_| Error::internal("a production line was closed");
        Arc::clone(&self.0).acquire_owned().await.map_err(closed)
    }
}

/// Hands out what was made, in the order of the places.
pub(super) fn deliver(
    places: Vec<oneshot::Sender<Ready>>,
    made: Vec<Correlation>,
    permit: impl Into<Option<OwnedSemaphorePermit>>,
    counts: &Counts,
) -> Result<(), Error> {
    if made.len() != places.len() {
        return Err(Error::internal("a job made another number of correlations than ordered"));
    }
    counts.made(made.len());
    let mut hold = permit.into();
    for (place, correlation) in places.into_iter().zip(made) {
        // Where nobody waits any more, the source was dropped.
        let _ = place.send(Ready { correlation, _hold: hold.take() });
    }
    Ok(())
}
