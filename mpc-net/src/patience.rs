//! How long a node waits for another one.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BufMut;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

use crate::PartyId;
use crate::carrier::Carrier;
use crate::channel::{Broken, Mesh, REASON_WAIT};
use crate::waits::{self, Overdue};

/// How often a wait begins anew because the peer, or one for whom it waits, says that it is at work.
const MOST_WORK: u32 = 30;

/// How long a peer is waited for.
pub(crate) struct Patience<'a, C: Carrier> {
    pub(crate) mesh: &'a Arc<Mesh<C>>,
    pub(crate) from: PartyId,
    pub(crate) limit: Option<Duration>,
}

impl<C: Carrier> Patience<'_, C> {
    /// Waits for what comes from the peer. At half of the time the others are told for whom this node waits; at its end
    /// it begins anew, a bounded number of times, where they have said meanwhile that they are at work.
    pub(crate) async fn within<T>(&self, future: impl Future<Output = T>) -> Result<T, Broken> {
        let Some(limit) = self.limit else { return Ok(future.await) };
        let mut future = std::pin::pin!(future);
        if let Ok(done) = timeout(limit / 2, &mut future).await {
            return Ok(done);
        }
        let overdue = Overdue::begin(self.mesh, self.from);
        waits::hear(self.mesh);
        let (mut rest, mut waited) = (limit - limit / 2, limit);
        let mut works = self.mesh.waits.works();
        for _ in 0..MOST_WORK {
            if let Ok(done) = timeout(rest, &mut future).await {
                return Ok(done);
            }
            // What they have said arrives now, if not before.
            if let Ok(done) = timeout(REASON_WAIT.min(limit / 4), &mut future).await {
                return Ok(done);
            }
            if !self.mesh.waits.works_since(self.from, &works) {
                break;
            }
            works = self.mesh.waits.works();
            (rest, waited) = (limit, waited + limit);
        }
        overdue.in_vain();
        Err(Broken::Silent(waited))
    }

    /// Reads until `buffer` holds `length` bytes. The clock of the silence starts anew with every
    /// piece that arrives: a long message over a slow line is not silence.
    pub(crate) async fn fill<R: AsyncRead + Unpin>(
        &self,
        stream: &mut R,
        buffer: &mut Vec<u8>,
        length: usize,
    ) -> Result<(), Broken> {
        while buffer.len() < length {
            let missing = length - buffer.len();
            let mut room = (&mut *buffer).limit(missing);
            match self.within(stream.read_buf(&mut room)).await? {
                Ok(0) => return Err(Broken::Stream(io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(error) => return Err(Broken::Stream(error)),
            }
        }
        Ok(())
    }
}
