//! Meeting the nodes of a study.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::checkup::Doing;
use super::door::{Door, Verdict, nonce};
use super::gather::Gather;
use super::hello::{Hello, HelloError, MAX_NODES, Role, mismatch};
use super::identity::{Identity, PublicKey};
use super::meeting::Judge;
use super::relay::RelaySettings;
use super::settings::{LOST_AFTER, LinkSettings};
use super::transport::QuicTransport;
use crate::{Abort, NetError, PartyId};

/// A node as this node's configuration has it.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The name, for messages to people. It is this node's own; peers never send names.
    pub name: String,
    /// `host:port`, resolved anew at every attempt. A node without one is not dialled: it has to dial
    /// this node.
    pub address: Option<String>,
    /// Further ones, which are dialled at the same time.
    pub also: Vec<String>,
    /// The pinned key.
    pub key: PublicKey,
}

impl Peer {
    /// All addresses that it may have.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        self.address.iter().chain(&self.also).map(String::as_str)
    }
}

/// The nodes of one study in the study's order, this node included.
#[derive(Clone, Debug)]
pub struct Roster {
    /// This node.
    pub me: PartyId,
    /// All nodes; a dealer is the last.
    pub nodes: Vec<Peer>,
    /// Whether the last node is a dealer.
    pub dealer: bool,
}

impl Roster {
    pub(crate) fn role(&self, index: usize) -> Role {
        if self.dealer && index + 1 == self.nodes.len() { Role::Dealer } else { Role::Party }
    }

    fn check(&self, me: &PublicKey, relay: Option<&RelaySettings>) -> Result<(), NetError> {
        let wrong = |text: String| Err(NetError::Configuration(text));
        let Some(myself) = self.nodes.get(self.me.index()) else {
            return wrong(format!("the roster of {} nodes has no {}", self.nodes.len(), self.me));
        };
        if self.nodes.len() < 2 || self.nodes.len() > MAX_NODES {
            return wrong(format!("a mesh of {} nodes is not possible", self.nodes.len()));
        }
        if myself.key != *me {
            return wrong(format!("the roster has {} for this node, its key is {me}", myself.key));
        }
        for (index, node) in self.nodes.iter().enumerate() {
            if self.nodes[..index].iter().any(|other| other.key == node.key) {
                return wrong(format!("{} has the same key as another node", node.name));
            }
            let dealer = self.role(index) == Role::Dealer && index != self.me.index();
            if relay.is_some_and(|relay| relay.key == node.key) {
                return wrong(format!("{} has the same key as the relay", node.name));
            }
            if dealer && node.address.is_none() && relay.is_none() {
                return wrong(format!(
                    "no address is known for the dealer {}, which dials nobody",
                    node.name
                ));
            }
        }
        Ok(())
    }
}

/// What happens while nodes meet, for an operator to see.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinEvent {
    /// The node listens.
    Listening {
        /// The address with the port that was chosen.
        address: SocketAddr,
    },
    /// These nodes are still missing. Comes when the list changes and every few seconds.
    Waiting {
        /// Their names.
        missing: Vec<String>,
        /// How long this node goes on waiting; `None` without limit.
        left: Option<Duration>,
    },
    /// All nodes have joined this one; these have not met all others yet. Comes like
    /// [`Waiting`](Self::Waiting).
    Unready {
        /// Their names.
        peers: Vec<String>,
        /// How long this node goes on waiting.
        left: Option<Duration>,
    },
    /// Nodes were lost when this one had told the others that it has met everybody: it meets all
    /// of them anew.
    Anew {
        /// Who was lost.
        lost: Vec<String>,
    },
    /// A peer has joined.
    Joined {
        /// Its name.
        peer: String,
        /// Where it is; nothing to go by where there is a relay.
        address: SocketAddr,
        /// The relay through which it is met, and what carries the packets to it.
        relay: Option<String>,
        /// Its build; differing builds work together as long as their protocol versions do.
        build: String,
    },
    /// A peer that had joined is gone again; it is waited for.
    Left {
        /// Its name.
        peer: String,
    },
    /// An attempt to reach a peer failed; it is repeated.
    Unreachable {
        /// Its name.
        peer: String,
        /// Its address.
        address: String,
        /// What went wrong.
        detail: String,
    },
    /// Somebody with a key that is not pinned tried to join and was refused.
    UnknownKey {
        /// The key.
        key: PublicKey,
        /// Where it came from.
        address: SocketAddr,
    },
    /// A peer has looked whether it reaches this node.
    Examined {
        /// Its name.
        peer: String,
    },
    /// A peer whose settings do not fit was refused; the dealer goes on waiting.
    Refused {
        /// What does not fit.
        error: String,
    },
}

/// Is told what happens while nodes meet. Called from the runtime's threads; it must not block.
pub type Observer = Arc<dyn Fn(JoinEvent) + Send + Sync>;

/// How a node meets its peers.
#[derive(Clone, Debug)]
pub struct JoinOptions {
    /// The UDP address to listen on.
    pub listen: SocketAddr,
    /// The digest of the study; nodes with different digests refuse each other.
    pub context: [u8; 32],
    /// The digest of what the nodes meet for, without their keys: what a peer is told that looks whether it
    /// reaches this node, while it waits.
    pub subject: Option<[u8; 32]>,
    /// This build, for the peers' logs.
    pub build: String,
    /// How long to wait until all nodes are there.
    pub join_timeout: Duration,
    /// How long a peer may be silent when something is due from it.
    pub silence_timeout: Duration,
    /// How long a connection may be without any packet until it is lost. A node that is at work
    /// answers packets, so this can be much shorter than the silence. Of two nodes the shorter
    /// one counts.
    pub lost_after: Duration,
    /// What is known about the line.
    pub link: LinkSettings,
    /// Through which nodes are met that cannot be reached otherwise, if they use it too.
    pub relay: Option<RelaySettings>,
}

impl JoinOptions {
    /// Ten minutes to join and two minutes of silence, because a peer may be at work on a large
    /// product; twenty seconds without any packet.
    #[must_use]
    pub fn new(listen: SocketAddr, context: [u8; 32]) -> Self {
        Self {
            listen,
            context,
            subject: None,
            build: env!("CARGO_PKG_VERSION").to_owned(),
            join_timeout: Duration::from_secs(600),
            silence_timeout: Duration::from_secs(120),
            lost_after: LOST_AFTER,
            link: LinkSettings::default(),
            relay: None,
        }
    }
}

/// Meets all nodes of `roster`, whatever the order in which they start.
///
/// Each node dials all others whose address it has, and where there is a relay those that are at it,
/// again and again until the time is up; a dealer dials nobody. Of two that dial each other the one with the lower index decides which connection
/// is kept. A peer has joined once both ends have proved their keys and have
/// agreed on protocol version, study, number of nodes, places and roles. The call returns when
/// every node has joined every other. Until then a node may be restarted, and is met anew; one that
/// is lost later shows as [`NetError::Lost`] in the first call that needs it.
///
/// # Errors
/// * [`NetError::WrongKey`] at once, when the node at an address has another key.
/// * [`NetError::Refused`] at once, when a pinned peer's study, version, place or role does not
///   fit, or when it has not pinned this node's key. Both ends say what does not fit.
/// * [`NetError::Timeout`] naming the missing nodes.
/// * [`NetError::Configuration`] for an unusable roster or address.
///
/// * [`NetError::Aborted`] at once, when a peer that has joined gives up; one that is merely gone
///   is waited for again.
///
/// Whatever the error, the peers that have joined are told that this node gives up, and why.
///
/// # Security
/// A node without a pinned key cannot open a stream; it is reported as [`JoinEvent::UnknownKey`]
/// and otherwise ignored.
pub async fn join(
    identity: &Arc<Identity>,
    roster: &Roster,
    options: &JoinOptions,
    observer: &Observer,
) -> Result<QuicTransport, NetError> {
    join_until(identity, roster, options, observer, std::future::pending()).await
}

/// The same, unless `leave` is done before; its reason is told to the peers that have joined.
///
/// # Errors
/// As [`join()`], and [`NetError::Stopped`] after `leave`.
pub async fn join_until(
    identity: &Arc<Identity>,
    roster: &Roster,
    options: &JoinOptions,
    observer: &Observer,
    leave: impl Future<Output = Abort>,
) -> Result<QuicTransport, NetError> {
    roster.check(&identity.public_key(), options.relay.as_ref())?;
    let door = open_patiently(identity, roster, options).await?;
    door.says.now(Doing::Waits, options.subject);
    observer(JoinEvent::Listening { address: door.address()? });
    let hosts = Hosts {
        roster: roster.clone(),
        context: options.context,
        build: options.build.clone(),
        nonce: nonce()?,
    };
    let gather = Gather {
        door,
        judge: Arc::new(hosts),
        observer: Arc::clone(observer),
        patience: Some(options.join_timeout),
        ready_timeout: options.join_timeout,
    };
    let meeting = gather.run(leave).await?;
    let names = roster.nodes.iter().map(|node| node.name.clone()).collect();
    Ok(meeting.into_transport(roster.me, names, options.silence_timeout))
}

/// How long an address in use may take to become free: QUIC keeps the socket for three seconds
/// when an attempt to dial was broken off.
const BIND_WAIT: Duration = Duration::from_secs(5);

/// Opens the door; the socket of a mesh that this process has just left closes a moment later.
async fn open_patiently(
    identity: &Arc<Identity>,
    roster: &Roster,
    options: &JoinOptions,
) -> Result<Door, NetError> {
    let me = identity.public_key();
    let peers = || roster.nodes.iter().map(|node| node.key).filter(|key| *key != me).collect();
    let deadline = tokio::time::Instant::now() + BIND_WAIT;
    loop {
        let JoinOptions { listen, link, lost_after, .. } = *options;
        let relay = (options.relay.as_ref(), peers());
        match Door::open(identity, listen, link, lost_after, relay) {
            Err(NetError::Configuration(_)) if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            result => return result,
        }
    }
}

/// A party of a study: it knows everybody beforehand.
struct Hosts {
    roster: Roster,
    context: [u8; 32],
    build: String,
    nonce: [u8; 32],
}

impl Judge for Hosts {
    fn peers(&self) -> Vec<Peer> {
        let me = self.roster.me.index();
        let nodes = self.roster.nodes.iter().enumerate();
        nodes.filter(|(index, _)| *index != me).map(|(_, node)| node.clone()).collect()
    }

    fn name(&self, index: usize) -> String {
        self.roster.nodes.get(index).map_or_else(String::new, |node| node.name.clone())
    }

    fn to_dial(&self) -> Vec<(usize, Peer, Hello)> {
        let me = self.roster.me.index();
        let nodes = self.roster.nodes.iter().enumerate();
        let others = nodes.filter(|(index, _)| *index != me);
        others.map(|(index, node)| (index, node.clone(), self.hello(index))).collect()
    }

    fn mesh(&self) -> Option<(usize, usize)> {
        Some((self.roster.me.index(), self.roster.nodes.len()))
    }

    fn missing(&self, present: &[usize]) -> Vec<String> {
        let me = self.roster.me.index();
        (0..self.roster.nodes.len())
            .filter(|index| *index != me && !present.contains(index))
            .map(|index| self.name(index))
            .collect()
    }

    fn judge(&self, key: &PublicKey, hello: &Result<Hello, HelloError>) -> Verdict {
        let Some(index) = self.roster.nodes.iter().position(|node| node.key == *key) else {
            return Verdict::Busy("this key is not pinned".to_owned());
        };
        let mine = self.hello(index);
        judge(&self.name(index), index, mine, hello)
    }

    fn left(&self, _present: &[usize]) {}

    fn goes_on_after_refusal(&self) -> bool {
        false
    }
}

impl Hosts {
    fn hello(&self, index: usize) -> Hello {
        let me = self.roster.me.index();
        Hello {
            build: self.build.clone(),
            index: me as u16,
            role: self.roster.role(me),
            your_index: index as u16,
            your_role: self.roster.role(index),
            nodes: self.roster.nodes.len() as u16,
            context: self.context,
            nonce: self.nonce,
        }
    }
}

/// Compares a visitor's hello with this node's own for it.
pub(crate) fn judge(
    name: &str,
    index: usize,
    mine: Hello,
    hello: &Result<Hello, HelloError>,
) -> Verdict {
    let (to_peer, reason) = match hello {
        Ok(theirs) => match (mismatch(theirs, &mine), mismatch(&mine, theirs)) {
            (Some(to_peer), Some(reason)) => (to_peer, reason),
            _ => return Verdict::Welcome { index, reply: mine },
        },
        Err(error) => ("it could not read this node's hello".to_owned(), error.to_string()),
    };
    Verdict::Refuse { to_peer, here: NetError::Refused { peer: name.to_owned(), reason } }
}
