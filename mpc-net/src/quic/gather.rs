//! The waiting room: dials and answers until every node is there.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quinn::{RecvStream, VarInt};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::claims::{Claims, ELSEWHERE};
use super::closing::{self, abort_of, close};
use super::dialling::{Dial, Dials};
use super::door::{Door, Joined, Unread, Verdict, Visit, read, write};
use super::hello::{ConnectionId, Hello, Ready};
use super::join::{JoinEvent, Observer, Peer};
use super::links::{Links, Pen};
use super::meeting::{Judge, MET_ALL, Meeting, Wait, decides};
use super::ways::Admitted;
use crate::{Abort, NetError};

/// How long the last packets may take to reach the peers that have joined.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How often joined peers are looked after, and how often an operator hears who is missing.
const LOOK: Duration = Duration::from_millis(250);
const REPORT: Duration = Duration::from_secs(5);

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

enum Step {
    Dialled {
        index: usize,
        joined: Box<Joined>,
    },
    /// `welcomed`: whether the peer was told that it has joined.
    Visited {
        visit: Box<Visit>,
        welcomed: bool,
    },
    /// The sign of a peer, from the connection `id`.
    Signed {
        index: usize,
        id: ConnectionId,
        ready: Result<Ready, Unread>,
    },
    /// This node's own sign was sent on the connection `id`, or the connection was lost.
    Told {
        index: usize,
        id: ConnectionId,
    },
    LookedUp,
    Fatal(NetError),
}

/// A meeting in progress.
struct Room {
    links: Links,
    steps: JoinSet<Step>,
    /// The attempts to reach each peer.
    dials: BTreeMap<usize, Dials>,
    /// On the peers that this node decides about.
    claims: Claims,
    /// Welcomed visitors whose connections are not in `links` yet.
    on_the_way: Arc<AtomicUsize>,
    /// When the last node joined.
    complete: Option<Instant>,
}

impl Gather {
    /// Meets all nodes, or gives up for the reason of `leave`. The peers that are there then, and
    /// after an error, are told why before their connections are closed.
    pub(crate) async fn run(self, leave: impl Future<Output = Abort>) -> Result<Meeting, NetError> {
        let mut room = Room {
            links: Links::default(),
            steps: JoinSet::new(),
            dials: BTreeMap::new(),
            claims: Claims::default(),
            on_the_way: Arc::default(),
            complete: None,
        };
        let (error, reason) = tokio::select! {
            biased;
            reason = leave => (NetError::Stopped, reason),
            result = self.meet(&mut room) => match result {
                Ok(()) => {
                    let joined = room.links.into_joined();
                    return Ok(Meeting::new(self.door, self.judge, joined));
                }
                Err(error) => {
                    let reason = Abort::new(error.code(), error.to_string());
                    (error, reason)
                }
            },
        };
        // Nobody is dialled or answered any more.
        drop(room.steps);
        room.links.connections().for_each(|connection| close(connection, &reason));
        // Everybody who was told why has to receive it before the socket closes.
        let _ = timeout(LAST_WORDS, self.door.ways.wait_idle()).await;
        Err(error)
    }

    /// Accepts, dials and reports until everybody has met everybody.
    async fn meet(&self, room: &mut Room) -> Result<(), NetError> {
        let start = Instant::now();
        for (index, peer, hello) in self.judge.to_dial() {
            self.dial(room, index, &peer, &hello);
        }
        // Never ends; it goes with the room.
        let look_up = self.door.ways.admission.clone().look_up(self.judge.peers());
        room.steps.spawn(async move {
            look_up.await;
            Step::LookedUp
        });
        let mut stale = false;
        let mut reported: Option<(Wait, Instant)> = None;
        loop {
            stale |= self.drop_dead(room)?;
            let present = room.links.present();
            // Who was welcomed is not present yet.
            if stale && room.on_the_way.load(Ordering::Relaxed) == 0 {
                self.judge.left(&present);
                stale = false;
            }
            let Some(wait) = self.waits_for(room, &present) else { return Ok(()) };
            let now = Instant::now();
            let deadline = match room.complete {
                Some(since) => Some(since + self.ready_timeout),
                None => self.patience.map(|patience| start + patience),
            };
            if deadline.is_some_and(|deadline| now >= deadline) {
                return Err(wait.too_late(self.patience, self.ready_timeout));
            }
            if reported.as_ref().is_none_or(|(told, at)| *told != wait || now > *at + REPORT) {
                let left = deadline.map(|deadline| deadline - now);
                (self.observer)(wait.event(left));
                reported = Some((wait, now));
            }
            let wake = deadline.map_or(now + LOOK, |deadline| deadline.min(now + LOOK));
            tokio::select! {
                visitor = self.door.ways.accept() => match visitor {
                    Some(visitor) => {
                        if let Some(admitted) = self.door.ways.admit(visitor) {
                            self.answer(room, admitted);
                        }
                    }
                    None => {
                        return Err(NetError::Internal("the endpoint is closed".to_owned()));
                    }
                },
                Some(step) = room.steps.join_next() => match step {
                    Ok(Step::Dialled { index, joined }) => self.add(room, index, *joined),
                    Ok(Step::Fatal(error)) => return Err(error),
                    Ok(Step::LookedUp) => {}
                    Ok(Step::Told { index, id }) => room.links.told(index, &id),
                    Ok(Step::Signed { index, id, ready }) => self.signed(room, index, &id, ready)?,
                    Ok(Step::Visited { visit, welcomed }) => {
                        if welcomed {
                            room.on_the_way.fetch_sub(1, Ordering::Relaxed);
                            // It may have been lost on the way in.
                            stale |= matches!(*visit, Visit::Nothing);
                        }
                        self.visited(room, *visit)?;
                    }
                    Err(error) if error.is_cancelled() => {}
                    Err(error) => {
                        return Err(NetError::Internal(format!("a task failed: {error}")));
                    }
                },
                () = sleep_until(wake) => {}
            }
        }
    }

    /// For whom this node waits; `None` when everybody has met everybody. It gives its own sign as
    /// soon as all have joined.
    fn waits_for(&self, room: &mut Room, present: &[usize]) -> Option<Wait> {
        let missing = self.judge.missing(present);
        let mesh = self.judge.mesh().filter(|_| missing.is_empty());
        let Some((me, nodes)) = mesh else {
            room.complete = None;
            return Some(Wait::Join(missing));
        };
        room.complete.get_or_insert_with(Instant::now);
        if let Some((ready, pens)) = room.links.sign(nodes) {
            for Pen { index, id, mut stream } in pens {
                let ready = ready.clone();
                room.steps.spawn(async move {
                    // A failure shows when the peer's connection ends.
                    let _ = write(&mut stream, &ready).await;
                    Step::Told { index, id }
                });
            }
        }
        let unready = room.links.unready(me, nodes);
        let names = unready.into_iter().map(|index| self.judge.name(index)).collect();
        Some(Wait::Ready(names)).filter(|wait| *wait != Wait::Ready(Vec::new()))
    }

    fn answer(&self, room: &mut Room, admitted: Admitted) {
        let (door, judge) = (self.door.clone(), Arc::clone(&self.judge));
        let (on_the_way, claims) = (Arc::clone(&room.on_the_way), room.claims.clone());
        let relayed = admitted.relayed;
        // Those for whom the direct way is tried first.
        let young = room.dials.iter().filter(|(_, dials)| dials.direct_first());
        let young: Vec<usize> = young.map(|(index, _)| *index).collect();
        room.steps.spawn(async move {
            let welcomed = AtomicUsize::new(0);
            let claimed = Mutex::new(None);
            let pinned = judge.pinned();
            let visit = door.answer(admitted, pinned, |key, hello| {
                let verdict = judge.judge(key, hello);
                if let (Verdict::Welcome { index, .. }, Ok(hello)) = (&verdict, hello) {
                    if relayed && young.contains(index) {
                        return Verdict::Busy(ELSEWHERE.to_owned());
                    }
                    if decides(&*judge, *index) {
                        let claim = claims.visit(*index, hello.nonce);
                        if claim.is_none() {
                            return Verdict::Busy(ELSEWHERE.to_owned());
                        }
                        *claimed.lock().unwrap_or_else(PoisonError::into_inner) = claim;
                    }
                    welcomed.store(1, Ordering::Relaxed);
                    on_the_way.fetch_add(1, Ordering::Relaxed);
                }
                verdict
            });
            let mut visit = Box::new(visit.await);
            if let Visit::Joined { joined, .. } = &mut *visit {
                joined.claim = claimed.into_inner().unwrap_or_else(PoisonError::into_inner);
            }
            Step::Visited { visit, welcomed: welcomed.into_inner() == 1 }
        });
    }

    fn visited(&self, room: &mut Room, visit: Visit) -> Result<(), NetError> {
        match visit {
            Visit::Joined { index, joined } => self.add(room, index, joined),
            Visit::UnknownKey { key, address } => {
                (self.observer)(JoinEvent::UnknownKey { key, address });
            }
            Visit::Refused(error) if self.judge.goes_on_after_refusal() => {
                (self.observer)(JoinEvent::Refused { error: error.to_string() });
            }
            Visit::Refused(error) => return Err(error),
            Visit::Examined { key } => {
                let peer = self.judge.peers().into_iter().find(|peer| peer.key == key);
                let peer = peer.map_or_else(|| key.to_string(), |peer| peer.name);
                (self.observer)(JoinEvent::Examined { peer });
            }
            Visit::Nothing => {}
        }
        Ok(())
    }

    fn add(&self, room: &mut Room, index: usize, mut joined: Joined) {
        if joined.connection.close_reason().is_some() {
            // The other end has thought better of it.
            drop(joined);
            if !room.links.present().contains(&index) {
                self.dial_again(room, &[index]);
            }
            return;
        }
        // The attempts that go on end here.
        room.dials.remove(&index);
        let peer = self.judge.name(index);
        let (address, build) = (joined.connection.remote_address(), joined.build.clone());
        let relay = self.door.ways.relayed.as_ref().filter(|_| joined.relayed);
        let relay = relay.map(|relayed| relayed.client.describe());
        if let Some(recv) = joined.recv.take() {
            let id = joined.id;
            room.steps.spawn(read_sign(index, id, recv));
        }
        if let Some(old) = room.links.remove(index) {
            // The same key again: the node was started anew before its old connection ended.
            old.connection.close(VarInt::from_u32(closing::REPLACED), b"");
            self.meet_anew(room, &[index]);
        }
        room.links.insert(index, joined);
        (self.observer)(JoinEvent::Joined { peer, address, relay, build });
    }

    fn signed(
        &self,
        room: &mut Room,
        index: usize,
        id: &ConnectionId,
        ready: Result<Ready, Unread>,
    ) -> Result<(), NetError> {
        let malformed = |detail: String| NetError::Malformed {
            peer: self.judge.name(index),
            expected: MET_ALL.to_owned(),
            detail,
        };
        match ready {
            Ok(ready) => {
                // A peer that counts other nodes has not joined.
                let Some(mesh) = self.judge.mesh() else { return Ok(()) };
                room.links
                    .signed_by(index, id, mesh, ready)
                    .map_err(|detail| malformed(detail.to_owned()))
            }
            Err(Unread::Message(error)) => Err(malformed(error.to_string())),
            // The next look finds the connection closed.
            Err(Unread::Connection(_)) => Ok(()),
            Err(Unread::Stream) => {
                room.links.close(index, id);
                Ok(())
            }
        }
    }

    /// Forgets peers that have gone away, and dials them again. One that gave up does not come
    /// back by itself: it ends the wait, unless this node goes on without it.
    fn drop_dead(&self, room: &mut Room) -> Result<bool, NetError> {
        let closed = room.links.take_closed();
        let mut lost = Vec::new();
        for (index, joined) in &closed {
            let peer = self.judge.name(*index);
            let reason = joined.connection.close_reason();
            if let Some(reason) = reason.as_ref().and_then(abort_of)
                && !self.judge.goes_on_after_refusal()
            {
                return Err(NetError::Aborted { peer, reason });
            }
            (self.observer)(JoinEvent::Left { peer });
            lost.push(*index);
        }
        if !lost.is_empty() {
            self.meet_anew(room, &lost);
            self.dial_again(room, &lost);
        }
        Ok(!lost.is_empty())
    }

    /// The connections of the peers `lost` are gone or others: what this node signed, if it did, is
    /// not true any more, and all others have to meet it anew.
    fn meet_anew(&self, room: &mut Room, lost: &[usize]) {
        let names: Vec<String> = lost.iter().map(|index| self.judge.name(*index)).collect();
        let why = format!("{} was lost while the nodes met", names.join(" and "));
        let again = room.links.withdraw(&why);
        if !again.is_empty() {
            (self.observer)(JoinEvent::Anew { lost: names });
            self.dial_again(room, &again);
        }
    }

    fn dial_again(&self, room: &mut Room, peers: &[usize]) {
        for (index, peer, hello) in self.judge.to_dial() {
            if peers.contains(&index) {
                self.dial(room, index, &peer, &hello);
            }
        }
    }

    /// Dials a peer by all ways that there are, until it has joined.
    fn dial(&self, room: &mut Room, index: usize, peer: &Peer, hello: &Hello) {
        let claims = decides(&*self.judge, index).then(|| room.claims.clone());
        let mut dials = Dials::new(peer.address.is_some());
        for dial in
            Dial::by_all_ways(&self.door, &self.observer, index, peer, hello, claims.as_ref())
        {
            dials.push(room.steps.spawn(async move {
                match dial.until_joined().await {
                    Ok(joined) => Step::Dialled { index, joined: Box::new(joined) },
                    Err(error) => Step::Fatal(error),
                }
            }));
        }
        room.dials.insert(index, dials);
    }
}

/// Waits for the sign of a peer.
async fn read_sign(index: usize, id: ConnectionId, mut recv: RecvStream) -> Step {
    let ready = read::<Ready>(&mut recv).await;
    Step::Signed { index, id, ready }
}
