//! Dialling a peer until it answers, by one of the ways to it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::claims::Claims;
use super::door::{Door, Failed, Joined, Target};
use super::hello::Hello;
use super::join::{JoinEvent, Observer, Peer};
use super::relay::Reached;
use crate::NetError;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How long a node leaves dialling to one with a lower index, which as a rule gets through.
const SECOND: Duration = Duration::from_secs(1);

/// How long the direct way to a peer is tried alone, where its address is known.
const DIRECT_FIRST: Duration = Duration::from_secs(2);

/// A way to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// At its address.
    Direct,
    /// Through the relay.
    Relay,
}

/// The attempts to reach a peer, which end with this.
pub(crate) struct Dials {
    since: Instant,
    direct: bool,
    tasks: Vec<AbortHandle>,
}

impl Dials {
    pub(crate) fn new(direct: bool) -> Self {
        Self { since: Instant::now(), direct, tasks: Vec::new() }
    }

    pub(crate) fn push(&mut self, task: AbortHandle) {
        self.tasks.push(task);
    }

    /// Whether the peer may still turn out to be reached directly.
    pub(crate) fn direct_first(&self) -> bool {
        self.direct && self.since.elapsed() < DIRECT_FIRST
    }
}

impl Drop for Dials {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// A peer that is dialled.
pub(crate) struct Dial {
    pub(crate) door: Door,
    pub(crate) observer: Observer,
    pub(crate) way: Way,
    /// Where, if not through the relay.
    pub(crate) host: String,
    pub(crate) index: usize,
    pub(crate) peer: Peer,
    /// What this node says to it.
    pub(crate) hello: Hello,
    /// Where this node has the lower index.
    pub(crate) claims: Option<Claims>,
}

impl Dial {
    /// A peer by all ways to it that there are; where there is none, that is told.
    pub(crate) fn by_all_ways(
        door: &Door,
        observer: &Observer,
        index: usize,
        peer: &Peer,
        hello: &Hello,
        claims: Option<&Claims>,
    ) -> Vec<Self> {
        let mut ways: Vec<(Way, String)> =
            peer.addresses().map(|host| (Way::Direct, host.to_owned())).collect();
        ways.extend(door.ways.relayed.as_ref().map(|_| (Way::Relay, String::new())));
        if ways.is_empty() {
            let (peer, address) = (peer.name.clone(), String::new());
            let detail = "no address is known here, so it has to dial this node".to_owned();
            observer(JoinEvent::Unreachable { peer, address, detail });
        }
        let dial = |(way, host)| Self {
            door: door.clone(),
            observer: Arc::clone(observer),
            way,
            host,
            index,
            peer: peer.clone(),
            hello: hello.clone(),
            claims: claims.cloned(),
        };
        ways.into_iter().map(dial).collect()
    }

    /// Dials the peer again and again, and tells what is in the way whenever that changes.
    pub(crate) async fn until_joined(self) -> Result<Joined, NetError> {
        if self.claims.is_none() {
            sleep(SECOND).await;
        }
        let mut pause = FIRST_PAUSE;
        let mut told = String::new();
        let mut seen = None;
        loop {
            let attempt = match self.way {
                Way::Direct => self.directly().await,
                Way::Relay => self.relayed(&mut seen).await,
            };
            match attempt {
                Ok(joined) => return Ok(joined),
                Err(Failed::Fatal(error)) => return Err(error),
                Err(Failed::Elsewhere) => {}
                Err(Failed::Retry(detail)) if detail == told => {}
                Err(Failed::Retry(detail)) => {
                    let (peer, address) = (self.peer.name.clone(), self.address());
                    told.clone_from(&detail);
                    (self.observer)(JoinEvent::Unreachable { peer, address, detail });
                }
            }
            match (&self.door.ways.relayed, self.way) {
                // Whoever comes to the relay is dialled at once.
                (Some(relayed), Way::Relay) => relayed.client.changed(pause).await,
                _ => sleep(pause).await,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn address(&self) -> String {
        match (&self.door.ways.relayed, self.way) {
            (Some(relayed), Way::Relay) => relayed.client.address().to_owned(),
            _ => self.host.clone(),
        }
    }

    /// One attempt at every address behind the name.
    async fn directly(&self) -> Result<Joined, Failed> {
        let host = self.host.as_str();
        let addresses = tokio::net::lookup_host(host).await.map_err(|error| {
            Failed::Retry(format!("the name in {host} does not resolve: {error}"))
        })?;
        let mut last = Failed::Retry(format!("{host} has no address of the right family"));
        let v4_only = self.door.address().is_ok_and(|address| address.is_ipv4());
        for address in addresses.filter(|address| address.is_ipv4() || !v4_only) {
            let target =
                Target { name: &self.peer.name, key: self.peer.key, address, relayed: false };
            match self.dial(&target).await {
                Err(failed @ (Failed::Retry(_) | Failed::Elsewhere)) => last = failed,
                done => return done,
            }
        }
        Err(last)
    }

    /// One attempt through the relay, if the peer is there; it may have been `seen` there since.
    async fn relayed(&self, seen: &mut Option<Instant>) -> Result<Joined, Failed> {
        let Some(relayed) = &self.door.ways.relayed else { return Err(Failed::Elsewhere) };
        let (name, key) = (&self.peer.name, self.peer.key);
        match relayed.client.reach(&key) {
            Reached::At(address) => {
                let since = *seen.get_or_insert_with(Instant::now);
                if self.peer.address.is_some() && since.elapsed() < DIRECT_FIRST {
                    return Err(Failed::Elsewhere);
                }
                self.dial(&Target { name, key, address, relayed: true }).await
            }
            Reached::Not(reason) => {
                *seen = None;
                Err(Failed::Retry(reason))
            }
            Reached::Unknown => Err(Failed::Elsewhere),
        }
    }

    async fn dial(&self, target: &Target<'_>) -> Result<Joined, Failed> {
        let claim = || match &self.claims {
            Some(claims) => claims.dial(self.index).map(Some),
            None => Some(None),
        };
        self.door.dial(target, &self.hello, claim).await
    }
}
