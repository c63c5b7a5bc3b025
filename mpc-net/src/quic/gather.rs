//! The waiting room: dials and answers until every node is there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use quinn::{Connection, VarInt};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::door::{Door, Failed, Joined, Target, Unread, Verdict, Visit, read, write};
use super::hello::{Hello, HelloError, Ready};
use super::identity::PublicKey;
use super::join::{JoinEvent, Observer, Peer};
use super::transport::{QuicTransport, abort_of, close, closing};
use crate::{Abort, NetError, PartyId};

/// Visitors that are answered at the same time.
const MAX_VISITORS: usize = 64;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How long the last packets may take to reach the peers that have joined.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How often joined peers are looked after, and how often an operator hears who is missing.
const LOOK: Duration = Duration::from_millis(250);
const REPORT: Duration = Duration::from_secs(5);

/// Who belongs to the mesh.
pub(crate) trait Judge: Send + Sync + 'static {
    fn pinned(&self) -> Vec<PublicKey>;
    fn name(&self, index: usize) -> String;
    /// The peers to dial, each with this node's hello for it.
    fn to_dial(&self) -> Vec<(usize, Peer, Hello)>;
    /// Who is missing beside those `present`.
    fn missing(&self, present: &[usize]) -> Vec<String>;
    fn judge(&self, key: &PublicKey, hello: &Result<Hello, HelloError>) -> Verdict;
    /// Peers have left; these remain.
    fn left(&self, present: &[usize]);
    fn goes_on_after_refusal(&self) -> bool;
}

/// Everything needed to meet.
pub(crate) struct Gather {
    pub(crate) door: Door,
    pub(crate) judge: Arc<dyn Judge>,
    pub(crate) observer: Observer,
    /// How long to wait for the nodes; `None` without limit.
    pub(crate) patience: Option<Duration>,
    /// How long all others may take to meet each other after that.
    pub(crate) ready_timeout: Duration,
}

/// All nodes are there.
pub(crate) struct Meeting {
    door: Door,
    links: BTreeMap<usize, Connection>,
}

impl Meeting {
    pub(crate) fn into_transport(
        mut self,
        me: PartyId,
        names: Vec<String>,
        silence: Duration,
    ) -> QuicTransport {
        let connections = (0..names.len()).map(|index| self.links.remove(&index)).collect();
        QuicTransport::new(me, names, silence, self.door.endpoint, connections)
    }
}

enum Step {
    Dialled { index: usize, joined: Box<Joined> },
    Visited(Box<Visit>),
    Fatal(NetError),
}

impl Gather {
    /// Meets all nodes, or gives up for the reason of `leave`. The peers that are there then, and
    /// after an error, are told why before their connections are closed.
    pub(crate) async fn run(self, leave: impl Future<Output = Abort>) -> Result<Meeting, NetError> {
        let mut links = BTreeMap::new();
        let (error, reason) = tokio::select! {
            biased;
            reason = leave => (NetError::Stopped, reason),
            result = self.meet(&mut links) => match result {
                Ok(()) => {
                    let links = links.into_iter();
                    let links = links.map(|(index, joined)| (index, joined.connection)).collect();
                    return Ok(Meeting { links, door: self.door });
                }
                Err(error) => {
                    let reason = Abort::new(error.code(), error.to_string());
                    (error, reason)
                }
            },
        };
        links.values().for_each(|joined| close(&joined.connection, &reason));
        // Everybody who was told why has to receive it before the socket closes.
        let _ = timeout(LAST_WORDS, self.door.endpoint.wait_idle()).await;
        Err(error)
    }

    async fn meet(&self, links: &mut BTreeMap<usize, Joined>) -> Result<(), NetError> {
        let start = Instant::now();
        let deadline = self.patience.map(|patience| start + patience);
        let mut steps = JoinSet::new();
        for (index, peer, hello) in self.judge.to_dial() {
            self.dial(&mut steps, index, peer, hello);
        }
        let mut visitors = 0;
        let mut stale = false;
        let mut reported: Option<(Vec<String>, Instant)> = None;
        loop {
            stale |= self.drop_dead(links, &mut steps)?;
            let present: Vec<usize> = links.keys().copied().collect();
            // Not while somebody is at the door: who was welcomed there is not present yet.
            if stale && visitors == 0 {
                self.judge.left(&present);
                stale = false;
            }
            let missing = self.judge.missing(&present);
            if missing.is_empty() {
                break;
            }
            let now = Instant::now();
            if deadline.is_some_and(|deadline| now >= deadline) {
                return Err(NetError::Timeout {
                    peer: missing.join(", "),
                    expected: "joining the study".to_owned(),
                    after: self.patience.unwrap_or_default(),
                });
            }
            if reported.as_ref().is_none_or(|(list, at)| *list != missing || now > *at + REPORT) {
                let left = deadline.map(|deadline| deadline - now);
                (self.observer)(JoinEvent::Waiting { missing: missing.clone(), left });
                reported = Some((missing, now));
            }
            let wake = deadline.map_or(now + LOOK, |deadline| deadline.min(now + LOOK));
            tokio::select! {
                incoming = self.door.endpoint.accept() => match incoming {
                    Some(incoming) if visitors < MAX_VISITORS => {
                        visitors += 1;
                        let (door, judge) = (self.door.clone(), Arc::clone(&self.judge));
                        steps.spawn(async move {
                            let pinned = judge.pinned();
                            let visit = door.answer(incoming, pinned, |key, hello| {
                                judge.judge(key, hello)
                            });
                            Step::Visited(Box::new(visit.await))
                        });
                    }
                    Some(incoming) => incoming.refuse(),
                    None => {
                        return Err(NetError::Internal("the endpoint is closed".to_owned()));
                    }
                },
                Some(step) = steps.join_next() => match step {
                    Ok(Step::Dialled { index, joined }) => self.add(links, index, *joined),
                    Ok(Step::Fatal(error)) => return Err(error),
                    Ok(Step::Visited(visit)) => {
                        visitors -= 1;
                        // It may have been welcomed and lost on the way in.
                        stale |= matches!(*visit, Visit::Nothing);
                        self.visited(links, *visit)?;
                    }
                    Err(error) => {
                        return Err(NetError::Internal(format!("a task failed: {error}")));
                    }
                },
                () = sleep_until(wake) => {}
            }
        }
        self.everyone_ready(links).await
    }

    fn visited(&self, links: &mut BTreeMap<usize, Joined>, visit: Visit) -> Result<(), NetError> {
        match visit {
            Visit::Joined { index, joined } => self.add(links, index, joined),
            Visit::UnknownKey { key, address } => {
                (self.observer)(JoinEvent::UnknownKey { key, address });
            }
            Visit::Refused(error) if self.judge.goes_on_after_refusal() => {
                (self.observer)(JoinEvent::Refused { error: error.to_string() });
            }
            Visit::Refused(error) => return Err(error),
            Visit::Nothing => {}
        }
        Ok(())
    }

    fn add(&self, links: &mut BTreeMap<usize, Joined>, index: usize, joined: Joined) {
        let peer = self.judge.name(index);
        let (address, build) = (joined.connection.remote_address(), joined.build.clone());
        if let Some(old) = links.insert(index, joined) {
            // The same key again: the node was started anew before its old connection ended.
            old.connection.close(VarInt::from_u32(closing::REPLACED), b"");
        }
        (self.observer)(JoinEvent::Joined { peer, address, build });
    }

    /// Forgets peers that have gone away, and dials them again. One that gave up does not come
    /// back by itself: it ends the wait, unless this node goes on without it.
    fn drop_dead(
        &self,
        links: &mut BTreeMap<usize, Joined>,
        steps: &mut JoinSet<Step>,
    ) -> Result<bool, NetError> {
        let mut dead = Vec::new();
        for (index, joined) in links.iter() {
            let Some(closed) = joined.connection.close_reason() else { continue };
            if let Some(reason) = abort_of(&closed).filter(|_| !self.judge.goes_on_after_refusal())
            {
                return Err(NetError::Aborted { peer: self.judge.name(*index), reason });
            }
            dead.push(*index);
        }
        links.retain(|index, _| !dead.contains(index));
        for index in &dead {
            (self.observer)(JoinEvent::Left { peer: self.judge.name(*index) });
        }
        if !dead.is_empty() {
            for (index, peer, hello) in self.judge.to_dial() {
                if dead.contains(&index) {
                    self.dial(steps, index, peer, hello);
                }
            }
        }
        Ok(!dead.is_empty())
    }

    fn dial(&self, steps: &mut JoinSet<Step>, index: usize, peer: Peer, hello: Hello) {
        let (door, observer) = (self.door.clone(), Arc::clone(&self.observer));
        steps.spawn(async move {
            let mut pause = FIRST_PAUSE;
            let mut told = String::new();
            loop {
                let detail = match dial_once(&door, &peer, &hello).await {
                    Ok(joined) => return Step::Dialled { index, joined: Box::new(joined) },
                    Err(Failed::Fatal(error)) => return Step::Fatal(error),
                    Err(Failed::Retry(detail)) => detail,
                };
                if detail != told {
                    observer(JoinEvent::Unreachable {
                        peer: peer.name.clone(),
                        address: peer.address.clone().unwrap_or_default(),
                        detail: detail.clone(),
                    });
                    told = detail;
                }
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        });
    }

    /// Waits until all others have met everybody too; without this, a node would take another
    /// one's waiting for a silence.
    async fn everyone_ready(&self, links: &mut BTreeMap<usize, Joined>) -> Result<(), NetError> {
        let step = || "the sign that it has met all nodes".to_owned();
        for joined in links.values_mut() {
            // A failure shows when the peer's own sign does not come.
            let _ = write(&mut joined.send, &Ready).await;
        }
        let deadline = Instant::now() + self.ready_timeout;
        for (index, joined) in links {
            let peer = self.judge.name(*index);
            match tokio::time::timeout_at(deadline, read::<Ready>(&mut joined.recv)).await {
                Ok(Ok(Ready)) => {}
                Ok(Err(Unread::Message(error))) => {
                    let detail = error.to_string();
                    return Err(NetError::Malformed { peer, expected: step(), detail });
                }
                Ok(Err(Unread::Connection(error))) => {
                    if let Some(reason) = abort_of(&error) {
                        return Err(NetError::Aborted { peer, reason });
                    }
                    let detail = error.to_string();
                    return Err(NetError::Lost { peer, expected: step(), detail });
                }
                Ok(Err(Unread::Stream)) => {
                    let detail = "the stream ended".to_owned();
                    return Err(NetError::Lost { peer, expected: step(), detail });
                }
                Err(_) => {
                    let after = self.ready_timeout;
                    return Err(NetError::Timeout { peer, expected: step(), after });
                }
            }
        }
        Ok(())
    }
}

/// One attempt at every address of a peer.
async fn dial_once(door: &Door, peer: &Peer, hello: &Hello) -> Result<Joined, Failed> {
    let host = peer.address.as_deref().unwrap_or_default();
    let addresses = tokio::net::lookup_host(host)
        .await
        .map_err(|error| Failed::Retry(format!("{host} is no address: {error}")))?;
    let mut last = Failed::Retry(format!("{host} has no address of the right family"));
    let v4_only = door.address().is_ok_and(|address| address.is_ipv4());
    for address in addresses.filter(|address| address.is_ipv4() || !v4_only) {
        let target = Target { name: &peer.name, key: peer.key, address };
        match door.dial(&target, hello).await {
            Err(Failed::Retry(detail)) => last = Failed::Retry(detail),
            done => return done,
        }
    }
    Err(last)
}
