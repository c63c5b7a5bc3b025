//! Looking whether a node can be reached, without meeting it.
//!
//! A connection of this kind has a protocol name of its own in its TLS handshake and the same pinned keys at
//! both ends. The node that is asked says what it would say in a hello, and its clock; it does nothing
//! else, and a meeting or a run goes on beside it (docs/protocols.md 0, Checkup).

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quinn::crypto::rustls::HandshakeData;
use quinn::{ClientConfig, Connection, ConnectionError, VarInt};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::closing;
use super::door::{ACCESS_DENIED, Door, Unread, Verdict, Visit, read, write};
use super::hello::{HelloError, printable};
use super::identity::{Identity, PublicKey};
use super::join::Peer;
use super::probe::probe;
use super::settings::{LOST_AFTER, LinkSettings};
use super::tls::{self, CHECKUP, PinnedKeys, SERVER_NAME};
use crate::NetError;

/// How long a look may take until the port is tried apart, how long after that, and how long it goes on for
/// round trip and packet size.
const FIRST: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_secs(4);
const MEASURE: Duration = Duration::from_millis(500);

/// How often a node answers on one connection.
const QUESTIONS: usize = 32;

/// The TLS alert `no_application_protocol` as a QUIC error: the other end does not know this protocol.
const NO_PROTOCOL: u64 = 0x100 + 120;

/// What a node is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Doing {
    /// It examines its own connections.
    Examines,
    /// It waits for the other nodes of a study.
    Waits,
    /// It is in the middle of a run.
    Works,
    /// It waits for the parties of the next study, whichever it is.
    Deals,
}

/// What a node says of itself to peers that look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct About {
    pub(crate) build: String,
    pub(crate) doing: Doing,
    /// What it waits for.
    pub(crate) subject: Option<[u8; 32]>,
}

/// The same for all tasks of a node.
#[derive(Clone, Debug)]
pub(crate) struct Says(Arc<Mutex<About>>);

impl Says {
    pub(crate) fn new(doing: Doing) -> Self {
        let build = env!("CARGO_PKG_VERSION").to_owned();
        Self(Arc::new(Mutex::new(About { build, doing, subject: None })))
    }

    pub(crate) fn now(&self, doing: Doing, subject: Option<[u8; 32]>) {
        let mut about = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (about.doing, about.subject) = (doing, subject);
    }

    fn get(&self) -> About {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[derive(Serialize, Deserialize)]
struct Question;

#[derive(Serialize, Deserialize)]
struct Said {
    build: String,
    doing: Doing,
    subject: Option<[u8; 32]>,
    /// Milliseconds since 1970.
    clock: u64,
    /// Where the question came from.
    from: String,
}

/// Milliseconds since 1970 by the clock of this machine.
fn clock() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let ahead = crate::quic::staged("MPC_CLOCK_AHEAD_S").unwrap_or(0);
    (now.as_millis() as u64).saturating_add_signed(1000 * ahead)
}

/// Whether the other end of a connection has come to look.
pub(crate) fn asked_for(connection: &Connection) -> bool {
    let data = connection.handshake_data().and_then(|data| data.downcast::<HandshakeData>().ok());
    data.is_some_and(|data| data.protocol.as_deref() == Some(CHECKUP))
}

/// Answers a peer that looks, until it has seen enough.
pub(crate) async fn answer(connection: &Connection, says: &Says) {
    let Ok((mut send, mut recv)) = connection.accept_bi().await else { return };
    for _ in 0..QUESTIONS {
        match read::<Question>(&mut recv).await {
            // Who speaks another version is answered all the same: the answer says which this one is.
            Ok(Question) | Err(Unread::Message(HelloError::Version(_))) => {}
            Err(_) => break,
        }
        let About { build, doing, subject } = says.get();
        let from = connection.remote_address().to_string();
        let said = Said { build, doing, subject, clock: clock(), from };
        if write(&mut send, &said).await.is_err() {
            break;
        }
    }
    let _ = send.finish();
    connection.close(VarInt::from_u32(closing::GONE), b"");
}

/// What a node that answers says, and what the line to it is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answers {
    /// Its build.
    pub build: String,
    /// What it is doing.
    pub doing: Doing,
    /// What it waits for, if it says so: the digest of a study.
    pub subject: Option<[u8; 32]>,
    /// By how many milliseconds its clock is ahead of this one; as exact as the round trip.
    pub ahead: i64,
    /// The shortest round trip.
    pub round_trip: Duration,
    /// The largest packet that came through so far.
    pub packet: u16,
    /// Where this node's packets seem to come from there.
    pub seen_from: String,
}

/// What was found at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Seen {
    /// The node that was looked for.
    Answers(Answers),
    /// A node with another key.
    WrongKey(PublicKey),
    /// The node, which does not know this node's key, or not in what it is doing.
    NotPinned,
    /// The node, which speaks other versions of the protocol, from and to.
    Version((u16, u16)),
    /// A node that does not know how to be looked at: its program is older.
    Older,
    /// The machine says that nothing listens at the port.
    Closed,
    /// The own machine or one on the way says that no packet gets there.
    Unreachable(String),
    /// No packet came back.
    Silent,
    /// Something speaks QUIC there, and the handshake came to no end.
    FellSilent,
    /// It ended in another way.
    Failed(String),
}

/// A node that looks whether its peers can be reached, and answers those that look whether it can.
pub struct Examiner {
    door: Door,
    peers: Vec<Peer>,
}

impl fmt::Debug for Examiner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Examiner").field("peers", &self.peers).finish_non_exhaustive()
    }
}

/// How a node examines its connections.
#[derive(Clone, Debug)]
pub struct ExamineOptions {
    /// The UDP address to listen on.
    pub listen: SocketAddr,
    /// What is known about the line.
    pub link: LinkSettings,
    /// The digest of the study that is to be compared.
    pub subject: Option<[u8; 32]>,
}

impl Examiner {
    /// Listens for the pinned `peers`.
    ///
    /// # Errors
    /// [`NetError::Configuration`], for example when the address is in use.
    pub fn open(
        identity: &Arc<Identity>,
        peers: Vec<Peer>,
        options: &ExamineOptions,
    ) -> Result<Self, NetError> {
        let door =
            Door::open(identity, options.listen, options.link, LOST_AFTER, (None, Vec::new()))?;
        door.says.now(Doing::Examines, options.subject);
        Ok(Self { door, peers })
    }

    /// The address that it listens on.
    ///
    /// # Errors
    /// [`NetError::Configuration`].
    pub fn address(&self) -> Result<SocketAddr, NetError> {
        self.door.address()
    }

    /// Answers whoever comes, without an end. `heard` is told the place of each peer that has shown its
    /// key, and of others the key.
    pub async fn answer(&self, heard: impl Fn(Result<usize, PublicKey>)) {
        let keys: Vec<PublicKey> = self.peers.iter().map(|peer| peer.key).collect();
        let place = |key: &PublicKey| keys.iter().position(|other| other == key).ok_or(*key);
        let mut visits: JoinSet<Visit> = JoinSet::new();
        let look_up = self.door.ways.admission.clone().look_up(self.peers.clone());
        tokio::pin!(look_up);
        loop {
            tokio::select! {
                () = &mut look_up => {}
                visitor = self.door.ways.accept() => {
                    let Some(visitor) = visitor else { return };
                    let Some(admitted) = self.door.ways.admit(visitor) else { continue };
                    let (door, keys) = (self.door.clone(), keys.clone());
                    visits.spawn(async move {
                        let shown = Mutex::new(None);
                        let visit = door.answer(admitted, keys, |key, _| {
                            *shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(*key);
                            Verdict::Busy("it looks at its connections (party doctor)".to_owned())
                        });
                        let visit = visit.await;
                        match shown.into_inner().unwrap_or_else(PoisonError::into_inner) {
                            Some(key) => Visit::Examined { key },
                            None => visit,
                        }
                    });
                }
                Some(visit) = visits.join_next() => match visit {
                    Ok(Visit::Examined { key }) => heard(place(&key)),
                    Ok(Visit::UnknownKey { key, .. }) => heard(Err(key)),
                    _ => {}
                }
            }
        }
    }

    /// Looks what there is at an address of a peer.
    ///
    /// # Errors
    /// [`NetError::Internal`].
    pub async fn look(&self, peer: &Peer, address: SocketAddr) -> Result<Seen, NetError> {
        let answers = AtomicBool::new(false);
        let look = self.look_unlimited(peer, address, &answers);
        tokio::pin!(look);
        if let Ok(seen) = timeout(FIRST, &mut look).await {
            return seen;
        }
        let probed = tokio::select! {
            seen = &mut look => return seen,
            probed = probe(address) => probed,
        };
        if matches!(probed, Seen::Closed | Seen::Unreachable(_)) {
            return Ok(probed);
        }
        if let Ok(seen) = timeout(LOOK, look).await {
            return seen;
        }
        Ok(if answers.load(Ordering::Relaxed) { Seen::FellSilent } else { probed })
    }

    async fn look_unlimited(
        &self,
        peer: &Peer,
        address: SocketAddr,
        answers: &AtomicBool,
    ) -> Result<Seen, NetError> {
        let verifier = PinnedKeys::new(vec![peer.key]);
        let crypto = tls::quic_client(CHECKUP, &self.door.identity, &verifier)?;
        let mut config = ClientConfig::new(crypto);
        config.transport_config(self.door.link.transport(address, LOST_AFTER));
        let connecting = self.door.ways.direct.connect_with(config, address, SERVER_NAME);
        let mut connecting = match connecting {
            Ok(connecting) => connecting,
            Err(error) => return Ok(Seen::Failed(error.to_string())),
        };
        if connecting.handshake_data().await.is_ok() {
            answers.store(true, Ordering::Relaxed);
        }
        let connection = match connecting.await {
            Ok(connection) => connection,
            Err(error) => {
                return Ok(match verifier.refused() {
                    Some(key) => Seen::WrongKey(key),
                    // The own connection gave up before this look did: nothing came.
                    None if matches!(error, ConnectionError::TimedOut) => Seen::Silent,
                    None => seen(&error),
                });
            }
        };
        Ok(ask(&connection).await.unwrap_or_else(|unseen| unseen))
    }

    /// Waits until what was said last has arrived, a moment at most.
    pub async fn leave(self) {
        self.door.ways.direct.close(VarInt::from_u32(closing::GONE), b"");
        let _ = timeout(Duration::from_secs(1), self.door.ways.wait_idle()).await;
    }
}

/// What an error says about the other end.
fn seen(error: &ConnectionError) -> Seen {
    match error {
        ConnectionError::ConnectionClosed(close) => match u64::from(close.error_code) {
            ACCESS_DENIED => Seen::NotPinned,
            NO_PROTOCOL => Seen::Older,
            _ => Seen::Failed(error.to_string()),
        },
        other => Seen::Failed(other.to_string()),
    }
}

/// Asks a node that has shown its key, again and again for a while.
async fn ask(connection: &Connection) -> Result<Seen, Seen> {
    let lost = |error: ConnectionError| seen(&error);
    let (mut send, mut recv) = connection.open_bi().await.map_err(lost)?;
    let begin = Instant::now();
    let mut best: Option<Answers> = None;
    for _ in 0..QUESTIONS {
        let (asked, own) = (Instant::now(), clock());
        // The reading end has the reason where this one fails.
        let _ = write(&mut send, &Question).await;
        let said = match read::<Said>(&mut recv).await {
            Ok(said) => said,
            Err(Unread::Message(HelloError::Version(versions))) => {
                return Err(Seen::Version(versions));
            }
            Err(Unread::Message(error)) => return Err(Seen::Failed(error.to_string())),
            Err(Unread::Connection(error)) => return Err(seen(&error)),
            Err(Unread::Stream) => return Err(Seen::Failed("it gave no answer".to_owned())),
        };
        let round_trip = asked.elapsed();
        let shorter = best.as_ref().is_none_or(|best| round_trip < best.round_trip);
        if shorter {
            let middle = own.saturating_add(round_trip.as_millis() as u64 / 2);
            best = Some(Answers {
                build: printable(&said.build),
                doing: said.doing,
                subject: said.subject,
                ahead: said.clock.cast_signed().saturating_sub(middle.cast_signed()),
                round_trip,
                packet: 0,
                seen_from: printable(&said.from),
            });
        }
        let packet = connection.stats().path.current_mtu;
        if begin.elapsed() >= MEASURE {
            break;
        }
        if let Some(best) = &mut best {
            best.packet = best.packet.max(packet);
        }
        sleep(MEASURE / QUESTIONS as u32).await;
    }
    let packet = connection.stats().path.current_mtu;
    let _ = send.finish();
    connection.close(VarInt::from_u32(closing::GONE), b"");
    best.map(|best| Seen::Answers(Answers { packet: packet.max(best.packet), ..best }))
        .ok_or_else(|| Seen::Failed("it gave no answer".to_owned()))
}
