//! An aggregation over the network: a task of its own moves the messages and keeps the time, so that the others are
//! answered while this party computes.

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mpc_net::{AbortCode, Due, NetError, PartyId, Tag, Transport};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use zeroize::Zeroizing;

use super::clock::{Telling, Waiting};
use super::machine::{Bytes, Ended, Machine};
use super::masks::Masks;
use super::message::longest;
use super::{Loss, Outcome, Set, Terms};
use crate::error::Error;
use crate::offload;
use crate::ring::Z64;
use crate::session::Session;

const TAG: Tag = Tag::new("aggregate");

/// How many messages of one party wait to be taken.
const WAITING: usize = 8;

/// How long this party listens for what is there already before it holds anybody for late.
const GRACE: Duration = Duration::from_millis(200);

/// From how many elements of streams on a thread of its own computes them.
const HEAVY: usize = 1 << 16;

/// A message of a party, or why there will be none any more.
type Arrival = (usize, Result<Zeroizing<Vec<u8>>, NetError>);

struct Order {
    round: u64,
    values: Option<Zeroizing<Vec<Z64>>>,
    state: Vec<u8>,
    reply: oneshot::Sender<Result<Ended, Error>>,
}

/// One party's end of an aggregation. Dropping it is leaving.
pub struct Aggregation {
    orders: mpsc::Sender<Order>,
    losses: Arc<Mutex<Vec<Loss>>>,
    terms: Terms,
    task: JoinSet<()>,
}

impl Aggregation {
    pub(super) fn open(session: &mut Session, terms: Terms, last: Set) -> Result<Self, Error> {
        session.usable()?;
        let (me, parties) = (session.me(), session.parties());
        let own = session.coins().seed("aggregate: own masks");
        let pair = |peer| session.pair_seed(peer, "aggregate");
        let pairs = (0..parties).map(pair).collect();
        let masks = Masks::new(me, pairs, own, session.switch());
        let quorum = (terms.least, terms.threshold);
        let mut machine = Machine::new(parties, quorum, terms.len, masks);
        machine.goes_on_after(last);

        let longest = longest(terms.len, (terms.least, parties), terms.state_bytes);
        let due = Due::at_most(TAG, longest).patiently();
        let (mut hearing, mut speaking) = (JoinSet::new(), JoinSet::new());
        let (arrived, arrivals) = mpsc::channel(WAITING * parties);
        let mut outboxes = Vec::new();
        let mut names = Vec::new();
        for peer in 0..parties {
            names.push(session.name(peer));
            let (outbox, outgoing) = mpsc::unbounded_channel::<Bytes>();
            outboxes.push(Some(outbox));
            if peer == me {
                continue;
            }
            // A channel for each pair: what goes wrong with one party concerns no other.
            let (low, high) = (me.min(peer), me.max(peer));
            let line: Arc<dyn Transport> =
                session.transport().fork(&format!("aggregate {low} {high}"))?.into();
            hearing.spawn(hear(peer, Arc::clone(&line), due, arrived.clone()));
            speaking.spawn(speak(peer, line, outgoing));
        }
        let (orders, ordered) = mpsc::channel(1);
        let losses = Arc::new(Mutex::new(Vec::new()));
        let pump = Pump {
            heavy: terms.len * parties > HEAVY,
            machine: Arc::new(Mutex::new(machine)),
            arrivals,
            outboxes,
            names,
            _hearing: hearing,
            speaking,
            losses: Arc::clone(&losses),
            patience: terms.patience,
            telling: Telling::default(),
        };
        let mut task = JoinSet::new();
        task.spawn(pump.run(ordered));
        Ok(Self { orders, losses, terms, task })
    }

    /// The sum of round number `round`, of which `label` is an output that the session allows: recorded before anything of
    /// the vector is sent. `state` is the public state that this party starts from. Rounds grow. Four rounds of
    /// messages, five with a threshold; more when somebody is away.
    ///
    /// # Errors
    /// [`Error::Reveal`], when the session does not allow it, and when the vector is not as long as was agreed. A party that is lost is no error.
    pub async fn round(
        &mut self,
        (round, label): (u64, &str),
        values: Zeroizing<Vec<Z64>>,
        state: &[u8],
        session: &mut Session,
    ) -> Result<Outcome, Error> {
        session.begin_reveal(label, &[])?;
        match self.order(round, Some(values), state).await? {
            Ended::Sum(members, sum) => {
                (0..self.terms.rounds()).for_each(|_| session.meter().round());
                Ok(Outcome::Sum { members, sum })
            }
            Ended::Behind(round, state) => Ok(Outcome::Behind { round, state }),
            Ended::TooFew(left) => Ok(Outcome::TooFew { left }),
            Ended::Closed => Err(Error::internal("an aggregation was closed")),
            Ended::Fault(what) => Err(Error::internal(what)),
        }
    }

    /// Who was lost, and why, since the last call.
    pub fn losses(&mut self) -> Vec<Loss> {
        std::mem::take(&mut self.losses.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The end: `round` is the number after that of the last round, `state` what came of it, for those who are
    /// still on their way. Waits until all who are there have come to it, four times the patience at most. One round.
    ///
    /// # Errors
    /// As [`round`](Self::round).
    pub async fn close(mut self, round: u64, state: &[u8], session: &Session) -> Result<(), Error> {
        self.order(round, None, state).await?;
        session.meter().round();
        let Self { orders, mut task, .. } = self;
        drop(orders);
        task.join_next().await;
        Ok(())
    }

    async fn order(
        &mut self,
        round: u64,
        values: Option<Zeroizing<Vec<Z64>>>,
        state: &[u8],
    ) -> Result<Ended, Error> {
        if state.len() > self.terms.state_bytes {
            return Err(Error::internal("a state is longer than was agreed"));
        }
        let gone = |_| Error::internal("an aggregation has ended");
        let (reply, ended) = oneshot::channel();
        let order = Order { round, values, state: state.to_vec(), reply };
        self.orders.send(order).await.map_err(|_| Error::internal("an aggregation has ended"))?;
        ended.await.map_err(gone)?
    }
}

impl std::fmt::Debug for Aggregation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Aggregation").finish_non_exhaustive()
    }
}

/// Hears a party, until it is lost.
async fn hear(peer: usize, line: Arc<dyn Transport>, due: Due, arrived: mpsc::Sender<Arrival>) {
    loop {
        let heard = line.recv(PartyId::from_index(peer), due).await;
        let over = heard.is_err();
        let arrival = heard.map(Zeroizing::new);
        if arrived.send((peer, arrival)).await.is_err() || over {
            return;
        }
    }
}

/// Sends to a party, until there is nothing more, or it is lost: who hears it will say so.
async fn speak(
    peer: usize,
    line: Arc<dyn Transport>,
    mut outgoing: mpsc::UnboundedReceiver<Bytes>,
) {
    while let Some(bytes) = outgoing.recv().await {
        if line.send(PartyId::from_index(peer), TAG, &bytes).await.is_err() {
            return;
        }
    }
}

struct Pump {
    /// Locked by one thread at a time: this one, or one that computes for it.
    machine: Arc<Mutex<Machine>>,
    /// Whether masking a vector takes long.
    heavy: bool,
    arrivals: mpsc::Receiver<Arrival>,
    /// Where what is for a party is put; none for who is lost.
    outboxes: Vec<Option<mpsc::UnboundedSender<Bytes>>>,
    names: Vec<String>,
    _hearing: JoinSet<()>,
    speaking: JoinSet<()>,
    losses: Arc<Mutex<Vec<Loss>>>,
    patience: Duration,
    telling: Telling,
}

impl Pump {
    async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut reply: Option<oneshot::Sender<Result<Ended, Error>>> = None;
        let mut step = self.machine().step();
        let mut waiting = Waiting::new(self.patience);
        loop {
            self.flush();
            let ended = self.machine().ended();
            if let Some(ended) = ended
                && let Some(reply) = reply.take()
            {
                // Who asked may have gone.
                drop(reply.send(Ok(ended)));
            }
            let now = self.machine().step();
            if now != step {
                (step, waiting) = (now, Waiting::new(self.patience));
            }
            self.grow_stale();
            tokio::select! {
                biased;
                order = orders.recv() => {
                    let Some(Order { round, values, state, reply: to }) = order else { break };
                    match self.with(move |machine| machine.begin(round, values, state)).await {
                        Ok(Ok(())) => reply = Some(to),
                        Ok(Err(error)) | Err(error) => drop(to.send(Err(error))),
                    }
                }
                Some(arrival) = self.arrivals.recv() => self.take(arrival).await,
                () = sleep_until(waiting.next()), if reply.is_some() => {
                    if !waiting.is_for(self.patience * step.1) {
                        continue;
                    }
                    // What has arrived while this computer was busy is not late.
                    let grace = Instant::now() + (self.patience / 16).min(GRACE);
                    while let Ok(Some(arrival)) = timeout_at(grace, self.arrivals.recv()).await {
                        self.take(arrival).await;
                    }
                    if self.machine().step() == step {
                        self.machine().overdue();
                    }
                }
            }
        }
        // What was said last is still heard.
        self.outboxes.clear();
        let said = async { while self.speaking.join_next().await.is_some() {} };
        // A party that takes nothing is not waited for.
        drop(timeout(self.patience, said).await);
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the machine do something that may take long.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Machine) -> T + Send + 'static,
    ) -> Result<T, Error> {
        if !self.heavy {
            return Ok(work(&mut self.machine()));
        }
        let machine = Arc::clone(&self.machine);
        offload(move || work(&mut machine.lock().unwrap_or_else(PoisonError::into_inner))).await
    }

    /// What was to be told for too long is not told any more, whatever comes now.
    fn grow_stale(&mut self) {
        let what = self.machine().is_to_tell();
        if self.telling.is_for(what, self.patience * Machine::TELLS_WITHIN) {
            self.machine().is_stale();
        }
    }

    async fn take(&mut self, (peer, arrival): Arrival) {
        // What arrived may have waited here for long: this process may have stood still.
        self.grow_stale();
        let done = match arrival {
            Ok(bytes) => self.with(move |machine| machine.receive(peer, &bytes)).await,
            Err(error) => {
                self.lost(peer, error.to_string(), error.code());
                self.with(move |machine| machine.lose(peer)).await
            }
        };
        if done.is_err() {
            // The computation panicked: this party is of no use any more.
            (0..self.outboxes.len()).for_each(|party| self.machine().lose(party));
        }
    }

    fn flush(&mut self) {
        let faults = self.machine().faults();
        for (peer, what) in faults {
            let why = format!("{} sent {what}", self.names[peer]);
            self.lost(peer, why, AbortCode::PeerMisbehaved);
        }
        while let Some((to, bytes)) = { self.machine().next() } {
            if let Some(outbox) = &self.outboxes[to] {
                // It may have ended; who hears the party will say so.
                drop(outbox.send(bytes));
            }
        }
    }

    fn lost(&mut self, party: usize, why: String, code: AbortCode) {
        self.outboxes[party] = None;
        self.losses.lock().unwrap_or_else(PoisonError::into_inner).push(Loss { party, why, code });
    }
}
