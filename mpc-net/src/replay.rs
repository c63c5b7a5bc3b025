//! The part of one node of a run again: a transport that gives it what it received then, and keeps what
//! it sends now.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::channel::forked;
use crate::frame::step;
use crate::record::{Keeper, Recorder, Transcript};
use crate::{Abort, BoxFuture, Due, Meter, NetError, PartyId, Tag, Transport};

/// A message that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The code of its step.
    pub step: u32,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// The messages that a node received in a run.
pub trait Messages: Send + Sync {
    /// Message number `number` (from 0) that `from` sent on the channel with this path; `None` where
    /// there are no more.
    ///
    /// # Errors
    /// When it cannot be read.
    fn message(&self, from: PartyId, channel: &str, number: u64) -> io::Result<Option<Kept>>;
}

/// By sender and channel.
type Lines = BTreeMap<(PartyId, String), Vec<Kept>>;

/// Messages kept in memory.
#[derive(Clone, Default)]
pub struct InMemory(Arc<Mutex<Lines>>);

impl Keeper for InMemory {
    fn keep(&self, from: PartyId, channel: &str, _: u64, tag: Tag, payload: &[u8]) {
        let kept = Kept { step: tag.code(), payload: payload.to_vec() };
        lock(&self.0).entry((from, channel.to_owned())).or_default().push(kept);
    }
}

impl Messages for InMemory {
    fn message(&self, from: PartyId, channel: &str, number: u64) -> io::Result<Option<Kept>> {
        let all = lock(&self.0);
        let of = all.get(&(from, channel.to_owned()));
        Ok(of.and_then(|of| of.get(usize::try_from(number).ok()?)).cloned())
    }
}

/// A transport on which nobody else is: it gives a node the messages that it received in an earlier
/// run, checked against what is due as a network checks them, and takes what it sends into a
/// [`Transcript`]. Where the record ends, a receive fails when nothing else of the part goes on (its runtime needs
/// a timer).
pub struct Replay {
    run: Arc<Run>,
    path: String,
    display: String,
    /// How many messages of each node were given.
    given: Mutex<Vec<u64>>,
    labels: Mutex<BTreeSet<String>>,
    meter: Meter,
}

/// What all channels have in common.
struct Run {
    me: PartyId,
    names: Vec<String>,
    messages: Box<dyn Messages>,
    transcript: Arc<Transcript>,
    work: Mutex<Work>,
}

/// How the part goes on.
struct Work {
    /// Messages sent and given, on all channels.
    messages: u64,
    last: Instant,
    /// The longest time between two of them.
    longest: Duration,
}

/// How long nothing has to happen, at least, until a part is taken for ended with its record.
const STILL: Duration = Duration::from_millis(500);

impl Run {
    /// A message was sent or given.
    fn moves(&self) {
        let mut work = lock(&self.work);
        work.messages += 1;
        work.longest = work.longest.max(work.last.elapsed());
        work.last = Instant::now();
    }

    /// Waits until nothing else of the part goes on.
    ///
    /// What is made ahead reaches the end of a record of a run that broke off before the protocol does, whose last
    /// messages were sent in that run. An error here would end the part before they are made again.
    async fn still(&self) {
        loop {
            let (messages, longest) = {
                let work = lock(&self.work);
                (work.messages, work.longest)
            };
            tokio::time::sleep(STILL + 3 * longest).await;
            if lock(&self.work).messages == messages {
                return;
            }
        }
    }
}

impl Replay {
    /// Node `me` of a mesh of nodes with these `names`, which received `messages`.
    #[must_use]
    pub fn new(
        me: PartyId,
        names: Vec<String>,
        messages: Box<dyn Messages>,
        transcript: Arc<Transcript>,
    ) -> Self {
        let meter = Meter::new(names.len(), "handshake");
        let work = Mutex::new(Work { messages: 0, last: Instant::now(), longest: Duration::ZERO });
        let run = Arc::new(Run { me, names, messages, transcript, work });
        Self::channel(run, String::new(), String::new(), meter)
    }

    fn channel(run: Arc<Run>, path: String, display: String, meter: Meter) -> Self {
        let given = Mutex::new(vec![0; run.names.len()]);
        Self { run, path, display, given, labels: Mutex::default(), meter }
    }

    fn peer(&self, peer: PartyId) -> Result<&str, NetError> {
        let name = self.run.names.get(peer.index()).filter(|_| peer != self.run.me);
        let none = || NetError::Internal(format!("{peer} is not a peer of {}", self.run.me));
        name.map(String::as_str).ok_or_else(none)
    }

    fn next(&self, from: PartyId, due: Due) -> Result<Vec<u8>, NetError> {
        let peer = self.peer(from)?.to_owned();
        let mut given = lock(&self.given);
        let number = given[from.index()];
        let expected = step(&self.display, due.tag, u32::try_from(number).unwrap_or(u32::MAX));
        let kept = match self.run.messages.message(from, &self.path, number) {
            Ok(Some(kept)) => kept,
            Ok(None) => {
                let detail = "the record ends here".to_owned();
                return Err(NetError::Lost { peer, expected, detail });
            }
            Err(error) => {
                return Err(NetError::Internal(format!("the record cannot be read: {error}")));
            }
        };
        if kept.step != due.tag.code() {
            let got = format!("a message of the step with code {:08x}", kept.step);
            return Err(NetError::OutOfStep { peer, expected, got });
        }
        if !due.length.allows(kept.payload.len()) {
            let (due, got) = (format!("{:?}", due.length), kept.payload.len() as u64);
            return Err(NetError::Length { peer, step: expected, expected: due, got });
        }
        given[from.index()] += 1;
        self.run.transcript.received(from, &self.path, due.tag, &kept.payload);
        self.run.moves();
        self.meter.received(from, kept.payload.len(), crate::HEADER_BYTES);
        Ok(kept.payload)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Counters are whole after every write.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Transport for Replay {
    fn id(&self) -> PartyId {
        self.run.me
    }

    fn nodes(&self) -> usize {
        self.run.names.len()
    }

    fn name(&self, node: PartyId) -> String {
        self.run.names.get(node.index()).cloned().unwrap_or_else(|| node.to_string())
    }

    fn send<'a>(
        &'a self,
        to: PartyId,
        tag: Tag,
        payload: &'a [u8],
    ) -> BoxFuture<'a, Result<(), NetError>> {
        Box::pin(async move {
            self.peer(to)?;
            self.run.transcript.sent(to, &self.path, tag, payload);
            self.run.moves();
            self.meter.sent(to, payload.len(), crate::HEADER_BYTES);
            Ok(())
        })
    }

    fn recv(&self, from: PartyId, due: Due) -> BoxFuture<'_, Result<Vec<u8>, NetError>> {
        Box::pin(async move {
            // Everything is there at once; work beside this one has its turn all the same.
            tokio::task::yield_now().await;
            let next = self.next(from, due);
            if matches!(next, Err(NetError::Lost { .. })) {
                self.run.still().await;
            }
            next
        })
    }

    fn fork(&self, label: &str) -> Result<Box<dyn Transport>, NetError> {
        let (path, display) = forked(&self.path, &self.display, &self.labels, label)?;
        Ok(Box::new(Self::channel(Arc::clone(&self.run), path, display, self.meter.fork())))
    }

    /// Frames are not kept, and so not bound.
    fn bind_session(&self, _: [u8; 8]) {}

    fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Nobody hears it.
    fn abort(&self, _: Abort) {}

    fn finish_within(&self, _: Option<Duration>) -> BoxFuture<'_, Result<(), NetError>> {
        Box::pin(async { Ok(()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Direction;

    /// A part of which one task waits for more than was recorded, while another one sends.
    #[tokio::test]
    async fn the_end_of_a_record_does_not_cut_off_what_is_on_its_way() {
        let transcript = Arc::new(Transcript::new(2));
        let names = vec!["a".to_owned(), "b".to_owned()];
        let me = PartyId::from_index(0);
        let other = PartyId::from_index(1);
        let messages = Box::new(InMemory::default());
        let replay = Replay::new(me, names, messages, Arc::clone(&transcript));
        let ahead =
            async { replay.recv(other, Due::exactly(Tag::new("ahead"), 1)).await.map(drop) };
        let last = async {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            replay.send(other, Tag::new("last"), &[1]).await
        };
        let ended = tokio::try_join!(ahead, last);
        assert!(matches!(ended, Err(NetError::Lost { .. })), "{ended:?}");
        let sent = transcript.entries(other, Direction::Sent);
        assert_eq!(sent.values().map(Vec::len).sum::<usize>(), 1);
    }
}
