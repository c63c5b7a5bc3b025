//! The endpoint of a node: dialling and being dialled, up to the accepted hello.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use quinn::{
    ClientConfig, Connection, ConnectionError, Incoming, ReadError, ReadExactError, RecvStream,
    SendStream, ServerConfig, TransportConfig, VarInt,
};
use ring::rand::{SecureRandom, SystemRandom};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::checkup::{self, Doing, Says};
use super::claims::{Claim, ELSEWHERE};
use super::closing;
use super::hello::{
    Answer, ConnectionId, Hello, HelloError, MAX_MESSAGE, decode, encode, mismatch, printable,
};
use super::identity::{Identity, PublicKey};
use super::relay::RelaySettings;
use super::settings::LinkSettings;
use super::tls::{self, PinnedKeys, SERVER_NAME, peer_key};
use super::ways::{Admitted, Ways};
use crate::NetError;

/// How long a single attempt to join may take.
const ATTEMPT: Duration = Duration::from_secs(5);

/// The TLS alert `access_denied` as a QUIC error: the other end does not know the key.
pub(crate) const ACCESS_DENIED: u64 = 0x100 + 49;

/// A connection whose two ends have accepted each other's hello.
pub(crate) struct Joined {
    pub(crate) connection: Connection,
    /// The name of the connection.
    pub(crate) id: ConnectionId,
    /// The streams of the hellos, until they are used for the last time.
    pub(crate) send: Option<SendStream>,
    pub(crate) recv: Option<RecvStream>,
    pub(crate) build: String,
    /// What tells a start of the peer's process from all others.
    pub(crate) nonce: [u8; 32],
    /// Keeps other connections with this process away, where this node decides about them.
    pub(crate) claim: Option<Claim>,
    /// Whether it goes through the relay.
    pub(crate) relayed: bool,
}

impl Joined {
    fn new(connection: Connection, send: SendStream, recv: RecvStream, theirs: &Hello) -> Self {
        let mut id = ConnectionId::default();
        // Fails for lengths only that no hash gives.
        let named = connection.export_keying_material(&mut id, b"mpc-net connection 1", b"");
        debug_assert!(named.is_ok());
        let (send, recv) = (Some(send), Some(recv));
        let (build, nonce) = (printable(&theirs.build), theirs.nonce);
        Self { connection, id, send, recv, build, nonce, claim: None, relayed: false }
    }
}

/// Why an attempt to join failed.
pub(crate) enum Failed {
    /// It may succeed later.
    Retry(String),
    /// Another connection with the same node comes first.
    Elsewhere,
    /// It will not.
    Fatal(NetError),
}

/// Who is dialled.
pub(crate) struct Target<'a> {
    pub(crate) name: &'a str,
    pub(crate) key: PublicKey,
    pub(crate) address: SocketAddr,
    /// Whether the address is one of the relay's endpoint.
    pub(crate) relayed: bool,
}

/// What the node behind the door says to a hello.
pub(crate) enum Verdict {
    /// The peer is node `index`; the hello is the reply.
    Welcome { index: usize, reply: Hello },
    /// Not now.
    Busy(String),
    /// Never: once in words for the peer, once for this node.
    Refuse { to_peer: String, here: NetError },
}

/// How an incoming connection ended.
pub(crate) enum Visit {
    Joined {
        index: usize,
        joined: Joined,
    },
    UnknownKey {
        key: PublicKey,
        address: SocketAddr,
    },
    /// A peer has looked at this node, and was answered.
    Examined {
        key: PublicKey,
    },
    Refused(NetError),
    Nothing,
}

/// The ways in and out, and the identity behind them.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) ways: Ways,
    pub(crate) identity: Arc<Identity>,
    pub(crate) link: LinkSettings,
    lost_after: Duration,
    /// What it says to peers that look.
    pub(crate) says: Says,
}

impl Door {
    pub(crate) fn open(
        identity: &Arc<Identity>,
        listen: SocketAddr,
        link: LinkSettings,
        lost_after: Duration,
        (relay, peers): (Option<&RelaySettings>, Vec<PublicKey>),
    ) -> Result<Self, NetError> {
        let ways = Ways::open(identity, listen, relay, peers)?;
        let says = Says::new(Doing::Waits);
        Ok(Self { ways, identity: Arc::clone(identity), link, lost_after, says })
    }

    pub(crate) fn address(&self) -> Result<SocketAddr, NetError> {
        self.ways
            .direct
            .local_addr()
            .map_err(|error| NetError::Configuration(format!("the socket has no address: {error}")))
    }

    fn transport(&self, address: SocketAddr, relayed: bool) -> Arc<TransportConfig> {
        if relayed {
            self.link.relayed(self.lost_after)
        } else {
            self.link.transport(address, self.lost_after)
        }
    }

    /// Lets a peer send that has joined.
    pub(crate) fn open_streams(&self, connection: &Connection) {
        self.link.open(connection);
    }

    /// Dials a node once and introduces this one, unless there is no `claim` on it when it comes to
    /// that.
    pub(crate) async fn dial(
        &self,
        target: &Target<'_>,
        mine: &Hello,
        claim: impl FnOnce() -> Option<Option<Claim>>,
    ) -> Result<Joined, Failed> {
        let answers = AtomicBool::new(false);
        let dialled = timeout(ATTEMPT, self.dial_unlimited(target, mine, claim, &answers)).await;
        dialled.unwrap_or_else(|_| {
            let address = target.address;
            Err(Failed::Retry(if target.relayed {
                "it is at the relay and does not answer there".to_owned()
            } else if answers.into_inner() {
                format!("the node at {address} began to answer and fell silent")
            } else {
                format!(
                    "no packet came back from {address}: does its node run, and is UDP port {} \
                     open there?",
                    address.port()
                )
            }))
        })
    }

    /// A connection with a node that has shown its key; it may not have accepted this node's. Says
    /// whether it `answers` as soon as it does.
    pub(crate) async fn connect(
        &self,
        target: &Target<'_>,
        answers: &AtomicBool,
    ) -> Result<Connection, Failed> {
        let verifier = PinnedKeys::new(vec![target.key]);
        let crypto =
            tls::quic_client(tls::NODES, &self.identity, &verifier).map_err(Failed::Fatal)?;
        let mut config = ClientConfig::new(crypto);
        config.transport_config(self.transport(target.address, target.relayed));
        let endpoint = match &self.ways.relayed {
            Some(relayed) if target.relayed => &relayed.endpoint,
            _ => &self.ways.direct,
        };
        let mut connecting = endpoint
            .connect_with(config, target.address, SERVER_NAME)
            .map_err(|error| Failed::Retry(error.to_string()))?;
        if connecting.handshake_data().await.is_ok() {
            answers.store(true, Ordering::Relaxed);
        }
        connecting.await.map_err(|error| match verifier.refused() {
            Some(got) => Failed::Fatal(NetError::WrongKey {
                peer: target.name.to_owned(),
                address: target.address.to_string(),
                expected: target.key.to_string(),
                got: got.to_string(),
            }),
            None => self.refused(target, &error),
        })
    }

    async fn dial_unlimited(
        &self,
        target: &Target<'_>,
        mine: &Hello,
        claim: impl FnOnce() -> Option<Option<Claim>>,
        answers: &AtomicBool,
    ) -> Result<Joined, Failed> {
        let connection = self.connect(target, answers).await?;
        let claim = claim().ok_or(Failed::Elsewhere)?;
        let lost = |error: ConnectionError| self.refused(target, &error);
        let (mut send, mut recv) = connection.open_bi().await.map_err(lost)?;
        // The connection may be refused only now, when the other end has seen this node's key;
        // then writing fails like reading, and the reading end has the reason.
        let _ = write(&mut send, mine).await;
        let theirs = match read::<Answer>(&mut recv).await {
            Ok(Answer::Accept(theirs)) => theirs,
            Ok(Answer::Busy(reason)) if reason == ELSEWHERE => return Err(Failed::Elsewhere),
            Ok(Answer::Busy(reason)) => return Err(Failed::Retry(printable(&reason))),
            Ok(Answer::Refuse(reason)) => return Err(does_not_fit(target.name, &reason)),
            Err(Unread::Message(HelloError::Malformed(detail))) => {
                return Err(Failed::Fatal(NetError::Malformed {
                    peer: target.name.to_owned(),
                    expected: "the answer to this node's hello".to_owned(),
                    detail: detail.to_owned(),
                }));
            }
            Err(Unread::Message(version)) => {
                return Err(does_not_fit(target.name, &version.to_string()));
            }
            Err(Unread::Connection(error)) => return Err(self.refused(target, &error)),
            Err(Unread::Stream) => return Err(Failed::Retry("it gave no answer".to_owned())),
        };
        if let Some(reason) = mismatch(mine, &theirs) {
            return Err(does_not_fit(target.name, &reason));
        }
        if let Some(claim) = &claim {
            claim.answered(theirs.nonce);
        }
        let relayed = target.relayed;
        Ok(Joined { claim, relayed, ..Joined::new(connection, send, recv, &theirs) })
    }

    /// What a connection that ended early says about this node's chances.
    fn refused(&self, target: &Target<'_>, error: &ConnectionError) -> Failed {
        match error {
            ConnectionError::ConnectionClosed(close)
                if u64::from(close.error_code) == ACCESS_DENIED =>
            {
                does_not_fit(
                    target.name,
                    &format!(
                        "it has not pinned this node's key {}; its operator has to add it",
                        self.identity.public_key()
                    ),
                )
            }
            ConnectionError::ApplicationClosed(close)
                if close.error_code == VarInt::from_u32(closing::REFUSED) =>
            {
                does_not_fit(target.name, &String::from_utf8_lossy(&close.reason))
            }
            other => Failed::Retry(other.to_string()),
        }
    }

    /// Answers one visitor who has to show one of the `pinned` keys.
    pub(crate) async fn answer(
        &self,
        Admitted { incoming, place: _place, relayed }: Admitted,
        pinned: Vec<PublicKey>,
        judge: impl Fn(&PublicKey, &Result<Hello, HelloError>) -> Verdict,
    ) -> Visit {
        let address = incoming.remote_address();
        let visit = self.answer_unlimited(incoming, pinned, (address, relayed), judge);
        timeout(ATTEMPT, visit).await.unwrap_or(Visit::Nothing)
    }

    async fn answer_unlimited(
        &self,
        incoming: Incoming,
        pinned: Vec<PublicKey>,
        (address, relayed): (SocketAddr, bool),
        judge: impl Fn(&PublicKey, &Result<Hello, HelloError>) -> Verdict,
    ) -> Visit {
        let verifier = PinnedKeys::new(pinned);
        let Ok(crypto) = tls::quic_server(tls::NODES, &self.identity, &verifier) else {
            return Visit::Nothing;
        };
        let mut config = ServerConfig::with_crypto(crypto);
        config.transport_config(self.transport(address, relayed));
        let Ok(connecting) = incoming.accept_with(Arc::new(config)) else {
            return Visit::Nothing;
        };
        let connection = match connecting.await {
            Ok(connection) => connection,
            Err(error) => {
                tracing::debug!(%address, %error, "a visitor did not get in");
                return verifier
                    .refused()
                    .map_or(Visit::Nothing, |key| Visit::UnknownKey { key, address });
            }
        };
        let Some(key) = peer_key(&connection) else {
            return Visit::Nothing;
        };
        if checkup::asked_for(&connection) {
            checkup::answer(&connection, &self.says).await;
            return Visit::Examined { key };
        }
        let Ok((mut send, mut recv)) = connection.accept_bi().await else {
            return Visit::Nothing;
        };
        let hello = match read::<Hello>(&mut recv).await {
            Ok(hello) => Ok(hello),
            Err(Unread::Message(error)) => Err(error),
            Err(_) => return Visit::Nothing,
        };
        match judge(&key, &hello) {
            Verdict::Welcome { index, reply } => {
                let Ok(theirs) = hello else { return Visit::Nothing };
                if write(&mut send, &Answer::Accept(reply)).await.is_err() {
                    return Visit::Nothing;
                }
                let joined = Joined::new(connection, send, recv, &theirs);
                Visit::Joined { index, joined: Joined { relayed, ..joined } }
            }
            Verdict::Busy(reason) => {
                turn_away(&connection, send, &Answer::Busy(reason), closing::GONE, "").await;
                Visit::Nothing
            }
            Verdict::Refuse { to_peer, here } => {
                let answer = Answer::Refuse(to_peer.clone());
                turn_away(&connection, send, &answer, closing::REFUSED, &to_peer).await;
                Visit::Refused(here)
            }
        }
    }
}

/// Sends a last answer, waits until it has arrived, and closes with the same words.
async fn turn_away(
    connection: &Connection,
    mut send: SendStream,
    answer: &Answer,
    code: u32,
    reason: &str,
) {
    if write(&mut send, answer).await.is_ok() && send.finish().is_ok() {
        let _ = timeout(Duration::from_secs(1), send.stopped()).await;
    }
    let reason = &reason.as_bytes()[..reason.len().min(800)];
    connection.close(VarInt::from_u32(code), reason);
}

fn does_not_fit(peer: &str, reason: &str) -> Failed {
    Failed::Fatal(NetError::Refused { peer: peer.to_owned(), reason: printable(reason) })
}

/// 32 bytes that make a hello unique.
pub(crate) fn nonce() -> Result<[u8; 32], NetError> {
    let mut nonce = [0; 32];
    SystemRandom::new()
        .fill(&mut nonce)
        .map_err(|_| NetError::Internal("the system gives no random bytes".to_owned()))?;
    Ok(nonce)
}

/// Why a message could not be read.
pub(crate) enum Unread {
    Connection(ConnectionError),
    Message(HelloError),
    Stream,
}

pub(crate) async fn write<T: Serialize>(send: &mut SendStream, message: &T) -> Result<(), Unread> {
    let bytes = encode(message)
        .map_err(|_| Unread::Message(HelloError::Malformed("the message cannot be written")))?;
    send.write_all(&bytes).await.map_err(|_| Unread::Stream)
}

pub(crate) async fn read<T: DeserializeOwned>(recv: &mut RecvStream) -> Result<T, Unread> {
    let unread = |error: ReadExactError| match error {
        ReadExactError::ReadError(ReadError::ConnectionLost(error)) => Unread::Connection(error),
        _ => Unread::Stream,
    };
    let mut length = [0; 4];
    recv.read_exact(&mut length).await.map_err(unread)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_MESSAGE {
        return Err(Unread::Message(HelloError::Malformed("the message is too long")));
    }
    let mut bytes = vec![0; length];
    recv.read_exact(&mut bytes).await.map_err(unread)?;
    decode(&bytes).map_err(Unread::Message)
}
