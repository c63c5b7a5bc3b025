//! The source at a party: a task that produces ahead, on a channel of its own.

use std::collections::VecDeque;
use std::sync::Arc;

use mpc_net::{BoxFuture, Due};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use super::command::{CHANNEL, CORRECTION, Command, MASKED_MATRIX, REQUESTS_A_COMMAND};
use super::party::{MaskedRows, PartyState, Registered};
use super::streams::Streams;
use crate::correlations::production::Counts;
use crate::correlations::{Correlation, CorrelationSource, OwnedMatrix, Production, Request};
use crate::error::Error;
use crate::offload::offload;
use crate::ring::wire::{decode, element_bytes, encode};
use crate::ring::{Ring, Z128};
use crate::session::Session;

/// How many correlations wait to be taken at the most: what bounds the memory of preparation.
const AHEAD: usize = 24;

/// Entries of a masked matrix in one message.
const CHUNK: usize = 1 << 16;

enum Order {
    Register(OwnedMatrix, oneshot::Sender<u32>),
    Produce(Vec<Request>),
    Finish(oneshot::Sender<()>),
}

/// Correlations from a dealer node, which is the last node of the session's mesh.
///
/// Production runs in a task on the current tokio runtime, beside the protocol, and is counted in
/// the phase `"preparation"` of the meter.
pub struct DealerSource {
    orders: mpsc::UnboundedSender<Order>,
    ready: mpsc::Receiver<Result<Correlation, Error>>,
    task: JoinHandle<()>,
    counts: Arc<Counts>,
    /// Correlations on order that were not taken.
    pending: usize,
}

impl DealerSource {
    /// Starts production. To be called in a tokio runtime. No rounds.
    ///
    /// # Errors
    /// When the session has no dealer, or a source of this kind was started before.
    pub fn start(session: &mut Session) -> Result<Self, Error> {
        let session = session.fork(CHANNEL)?;
        session.meter().enter("preparation");
        let state = PartyState {
            me: session.me(),
            parties: session.parties(),
            streams: Streams::new(session.parties(), &session)?,
            matrices: Vec::new(),
            lefts: Vec::new(),
        };
        let (orders, queue) = mpsc::unbounded_channel();
        let (done, ready) = mpsc::channel(AHEAD);
        let counts = Arc::new(Counts::default());
        let producer = Producer { session, state: Some(state), done, counts: Arc::clone(&counts) };
        Ok(Self { orders, ready, task: tokio::spawn(producer.run(queue)), counts, pending: 0 })
    }

    fn order(&self, order: Order) -> Result<(), Error> {
        self.orders.send(order).map_err(|_| stopped())
    }

    /// Why production ended: the error that it left behind, if it did.
    async fn reason(&mut self) -> Error {
        while let Some(item) = self.ready.recv().await {
            if let Err(error) = item {
                return error;
            }
        }
        stopped()
    }
}

impl CorrelationSource for DealerSource {
    fn register(&mut self, matrix: OwnedMatrix) -> BoxFuture<'_, Result<u32, Error>> {
        Box::pin(async move {
            let (reply, number) = oneshot::channel();
            self.order(Order::Register(matrix, reply))?;
            match number.await {
                Ok(number) => Ok(number),
                Err(_) => Err(self.reason().await),
            }
        })
    }

    fn demand(&mut self, requests: Vec<Request>) -> Result<(), Error> {
        self.counts.ordered(requests.len());
        self.pending += requests.len();
        self.order(Order::Produce(requests))
    }

    fn take(&mut self) -> BoxFuture<'_, Result<Correlation, Error>> {
        Box::pin(async move {
            let nothing = || Error::internal("nothing is on order");
            self.pending = self.pending.checked_sub(1).ok_or_else(nothing)?;
            self.ready.recv().await.unwrap_or_else(|| Err(stopped()))
        })
    }

    fn production(&self) -> Production {
        self.counts.so_far()
    }

    fn finish(&mut self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let (reply, done) = oneshot::channel();
            self.order(Order::Finish(reply))?;
            match done.await {
                Ok(()) => Ok(()),
                Err(_) => Err(self.reason().await),
            }
        })
    }
}

impl Drop for DealerSource {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn stopped() -> Error {
    Error::internal("the production of correlations has stopped")
}

struct Producer {
    session: Session,
    state: Option<PartyState>,
    done: mpsc::Sender<Result<Correlation, Error>>,
    counts: Arc<Counts>,
}

impl Producer {
    async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        while let Some(order) = orders.recv().await {
            let result = match order {
                Order::Register(matrix, reply) => self.register(matrix).await.map(|number| {
                    // The source may have been dropped meanwhile; then nobody waits.
                    let _ = reply.send(number);
                }),
                Order::Produce(requests) => self.produce(requests).await,
                Order::Finish(reply) => match self.tell(&Command::Finish).await {
                    Ok(()) => {
                        let _ = reply.send(());
                        return;
                    }
                    Err(error) => Err(error),
                },
            };
            if let Err(error) = result {
                let _ = self.done.send(Err(error)).await;
                return;
            }
        }
    }

    async fn tell(&mut self, command: &Command) -> Result<(), Error> {
        let dealer = self.session.parties();
        let bytes = command.encode()?;
        self.session.send(dealer, super::command::COMMAND, &bytes).await
    }

    async fn produce(&mut self, requests: Vec<Request>) -> Result<(), Error> {
        let mut requests = VecDeque::from(requests);
        while !requests.is_empty() {
            let some: Vec<_> = requests.drain(..requests.len().min(REQUESTS_A_COMMAND)).collect();
            let command = Command::Produce(some);
            self.tell(&command).await?;
            let Command::Produce(some) = command else { return Err(stopped()) };
            for request in some {
                let correlation = self.one(request).await?;
                self.counts.made(1);
                if self.done.send(Ok(correlation)).await.is_err() {
                    return Ok(()); // The source was dropped; nobody waits any more.
                }
            }
        }
        Ok(())
    }

    async fn one(&mut self, request: Request) -> Result<Correlation, Error> {
        let mut state = self.state.take().ok_or_else(stopped)?;
        let shapes: Vec<_> = state.matrices.iter().map(|m| m.shape.clone()).collect();
        request.check(&shapes, &state.lefts)?;
        let dealer = self.session.parties();
        let due = state.correction_bytes(&request);
        let correction = if state.me + 1 == state.parties && due > 0 {
            let due = Due::exactly(CORRECTION, due);
            Some(Zeroizing::new(self.session.receive(dealer, due).await?))
        } else {
            None
        };
        let (state, correlation) = offload(move || {
            let correlation = state.produce(&request, correction.as_ref().map(|c| c.as_slice()));
            (state, correlation)
        })
        .await?;
        self.state = Some(state);
        correlation.ok_or_else(|| {
            self.session.misbehaved(dealer, CORRECTION, "the correction is out of range")
        })
    }

    /// Tells the dealer the shape, and publishes D = X - A to the other parties.
    async fn register(&mut self, matrix: OwnedMatrix) -> Result<u32, Error> {
        let OwnedMatrix { shape, own } = matrix;
        let me = self.session.me();
        shape.check(self.session.parties())?;
        shape.check_masked()?;
        let columns = shape.columns as usize;
        let entries: Vec<usize> = shape.rows.iter().map(|&rows| rows as usize * columns).collect();
        shape.check_own(me, &own)?;
        self.tell(&Command::Register(shape.clone())).await?;

        let bits = shape.wire_bits();
        let width = element_bytes(bits);
        let state = self.state.as_mut().ok_or_else(stopped)?;
        state.streams.register(&shape, me);
        let number = state.matrices.len();
        let mut owners: Vec<_> =
            entries.iter().map(|&entries| MaskedRows::with_capacity(entries)).collect();
        let rows_a_chunk = (CHUNK / columns).max(1);
        let most = shape.rows.iter().copied().max().unwrap_or(0) as usize;
        for first in (0..most).step_by(rows_a_chunk) {
            let part = |party: usize| {
                let rows = shape.rows[party] as usize;
                first.min(rows)..(first + rows_a_chunk).min(rows)
            };
            let mine = part(me);
            let masks =
                state.streams.matrix_rows(number, &shape, (mine.start as u64, mine.end as u64));
            let masked: Vec<Z128> = own.entries()[mine.start * columns..mine.end * columns]
                .iter()
                .zip(masks.iter())
                .map(|(&x, &a)| Z128::from_i128(i128::from(x)) - a)
                .collect();
            let mut message = Zeroizing::new(Vec::new());
            encode(&masked, bits, &mut message);
            let outgoing = (0..shape.rows.len()).map(|_| message.clone()).collect();
            let incoming = (0..shape.rows.len()).map(|p| part(p).len() * columns * width).collect();
            let received = self.session.exchange(MASKED_MATRIX, outgoing, incoming).await?;
            for (party, bytes) in received.iter().enumerate() {
                if party == me {
                    owners[me].extend(&masked, bits);
                } else if !bytes.is_empty() {
                    let theirs = decode::<Z128>(bytes, bits).ok_or_else(|| {
                        self.session.misbehaved(party, MASKED_MATRIX, "an entry is out of range")
                    })?;
                    owners[party].extend(&theirs, bits);
                }
            }
        }
        debug_assert!(owners.iter().zip(&entries).all(|(owner, &n)| owner.len() == n));
        state.matrices.push(Registered { shape, owners });
        Ok(u32::try_from(number).unwrap_or(u32::MAX))
    }
}
