//! The ways to a relay: over UDP, over TCP, through an HTTP proxy.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quinn::{ClientConfig, ConnectionError, Endpoint, TokioRuntime};
use rustls::AlertDescription;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::{TlsConnector, TlsStream};

use super::super::checkup::Seen;
use super::super::door::ACCESS_DENIED;
use super::super::identity::{Identity, PublicKey};
use super::super::probe::probe;
use super::super::settings::{bind, relay_endpoint_config, relay_line};
use super::super::tls::{self, PinnedKeys, SERVER_NAME};
use super::fault::{ProxyFault, RelayFault};
use super::frame::{ECHO, Frame, VERSION};
use super::line::{Reader, Writer, over_quic, over_tcp};
use super::proxy::{self, ProxyLogin};

/// How long an attempt may take.
const ATTEMPT: Duration = Duration::from_secs(5);

/// How long each of the two steps at a proxy may take, within that.
const PROXY: Duration = Duration::from_secs(2);

/// How long UDP is tried alone.
const UDP_FIRST: Duration = Duration::from_secs(1);

/// The packet that shows that the line carries those of a handshake, and how often it is sent.
const FULL: [u8; 1200] = [0; 1200];
const ECHOES: u32 = 3;
const ECHO_WAIT: Duration = Duration::from_millis(700);

/// How a relay is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Via {
    /// Over UDP, and over TCP where that does not work within a second.
    #[default]
    Auto,
    /// Over UDP only.
    Udp,
    /// Over TCP only.
    Tcp,
}

/// The relay of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelaySettings {
    /// `host:port`, for UDP as for TCP.
    pub address: String,
    /// Its pinned key.
    pub key: PublicKey,
    /// How it is reached.
    pub via: Via,
    /// `host:port` of an HTTP proxy, through which TCP goes.
    pub proxy: Option<String>,
    /// What the proxy is told of this node, where it wants to know that.
    pub login: Option<ProxyLogin>,
}

/// Makes lines to a relay.
pub(crate) struct Connector {
    identity: Arc<Identity>,
    pub(crate) settings: RelaySettings,
}

/// A line, and the endpoint that it lives by, where it has one.
type Made = ((Reader, Writer), Option<Endpoint>);

impl Connector {
    pub(crate) fn new(identity: Arc<Identity>, settings: RelaySettings) -> Self {
        Self { identity, settings }
    }

    /// A line to the relay, or why there is none.
    pub(crate) async fn connect(&self) -> Result<Made, RelayFault> {
        let (over_udp, over_tcp) = (limited(self.over_udp()), limited(self.over_tcp()));
        match self.settings.via {
            Via::Udp => over_udp.await,
            Via::Tcp => over_tcp.await,
            Via::Auto => {
                tokio::pin!(over_udp, over_tcp);
                let first = tokio::select! {
                    made = &mut over_udp => Some(made),
                    () = sleep(UDP_FIRST) => None,
                };
                match first {
                    Some(Ok(made)) => Ok(made),
                    Some(Err(udp)) => over_tcp.await.map_err(|tcp| both(udp, &tcp)),
                    None => tokio::select! {
                        made = &mut over_udp => match made {
                            Ok(made) => Ok(made),
                            Err(udp) => over_tcp.await.map_err(|tcp| both(udp, &tcp)),
                        },
                        made = &mut over_tcp => match made {
                            Ok(made) => Ok(made),
                            Err(tcp) => over_udp.await.map_err(|udp| both(udp, &tcp)),
                        },
                    },
                }
            }
        }
    }

    /// The addresses behind `host:port`.
    async fn addresses(&self, host: &str) -> Result<Vec<SocketAddr>, RelayFault> {
        let found = tokio::net::lookup_host(host).await;
        let found = found.map_err(|error| format!("the name in {host} does not resolve: {error}"));
        let found: Vec<SocketAddr> = found.map_err(RelayFault::Name)?.collect();
        if found.is_empty() {
            return Err(RelayFault::Name(format!("{host} has no address")));
        }
        Ok(found)
    }

    async fn over_udp(&self) -> Result<Made, RelayFault> {
        let mut last = RelayFault::Silent;
        for address in self.addresses(&self.settings.address).await? {
            match self.quic(address).await {
                Ok(made) => return Ok(made),
                Err(reason) => last = reason,
            }
        }
        Err(last)
    }

    async fn quic(&self, address: SocketAddr) -> Result<Made, RelayFault> {
        let any: SocketAddr = match address {
            SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
            SocketAddr::V6(_) => ([0; 16], 0).into(),
        };
        let verifier = PinnedKeys::new(vec![self.settings.key]);
        let own = |error: crate::NetError| RelayFault::Other(error.to_string());
        let crypto = tls::quic_client(tls::RELAY, &self.identity, &verifier).map_err(own)?;
        let config = relay_endpoint_config(&self.identity).map_err(own)?;
        let socket = bind(any).map_err(own)?;
        let endpoint = Endpoint::new(config, None, socket, Arc::new(TokioRuntime))
            .map_err(|error| RelayFault::Other(error.to_string()))?;
        let mut config = ClientConfig::new(crypto);
        config.transport_config(relay_line(1));
        let connecting = endpoint.connect_with(config, address, SERVER_NAME);
        let connecting = connecting.map_err(|error| RelayFault::Other(error.to_string()))?;
        let lost = |error: ConnectionError| match verifier.refused() {
            Some(key) => self.wrong_key(&key),
            None => self.ended(&error),
        };
        let connection = connecting.await.map_err(lost)?;
        let streams = connection.open_bi().await.map_err(lost)?;
        let (mut reader, mut writer) = over_quic(&connection, streams);
        let said = hello(&mut reader, &mut writer).await;
        said.map_err(|reason| match connection.close_reason() {
            Some(error) => self.ended(&error),
            None => RelayFault::Other(reason.to_string()),
        })?;
        full_packets(&mut reader, &mut writer).await?;
        Ok(((reader, writer), Some(endpoint)))
    }

    fn ended(&self, error: &ConnectionError) -> RelayFault {
        match error {
            ConnectionError::ConnectionClosed(close)
                if u64::from(close.error_code) == ACCESS_DENIED =>
            {
                self.refuses()
            }
            ConnectionError::TimedOut => RelayFault::Silent,
            other => RelayFault::Other(other.to_string()),
        }
    }

    fn refuses(&self) -> RelayFault {
        RelayFault::Unknown { own: self.identity.public_key() }
    }

    fn wrong_key(&self, shown: &PublicKey) -> RelayFault {
        RelayFault::WrongKey { shown: *shown, pinned: self.settings.key }
    }

    /// A connection through the proxy, which is blamed for its own silence.
    async fn through(&self, proxy: &str) -> Result<TcpStream, ProxyFault> {
        let unreached = |fault: RelayFault| ProxyFault::Unreached(Box::new(fault));
        let mut stream = limited_to(PROXY, self.tcp(proxy)).await.map_err(unreached)?;
        let asked =
            proxy::connect(&mut stream, &self.settings.address, self.settings.login.as_ref());
        match timeout(PROXY, asked).await {
            Ok(answer) => answer.map(|()| stream),
            Err(_) => Err(unreached(RelayFault::Silent)),
        }
    }

    async fn over_tcp(&self) -> Result<Made, RelayFault> {
        let stream = match &self.settings.proxy {
            None => self.tcp(&self.settings.address).await?,
            Some(proxy) => {
                let told = |fault| RelayFault::Proxy { proxy: proxy.clone(), fault };
                self.through(proxy).await.map_err(told)?
            }
        };
        // What waits here would only come later.
        let _ = stream.set_nodelay(true);
        let verifier = PinnedKeys::new(vec![self.settings.key]);
        let config = tls::client_for(tls::RELAY, &self.identity, &verifier);
        let own = |error: String| RelayFault::Other(error);
        let config = config.map_err(|error| own(error.to_string()))?;
        let name = ServerName::try_from(SERVER_NAME).map_err(|error| own(error.to_string()))?;
        let tls = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
        let tls = tls.map_err(|error| match verifier.refused() {
            Some(key) => self.wrong_key(&key),
            None => self.failed(&error),
        })?;
        let (mut reader, mut writer) = over_tcp(TlsStream::Client(tls));
        hello(&mut reader, &mut writer).await.map_err(|error| self.failed(&error))?;
        Ok(((reader, writer), None))
    }

    async fn tcp(&self, host: &str) -> Result<TcpStream, RelayFault> {
        let mut last = RelayFault::Silent;
        for address in self.addresses(host).await? {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => {
                    let refused = error.kind() == io::ErrorKind::ConnectionRefused;
                    let detail = format!("no TCP connection with {address}: {error}");
                    last = RelayFault::Tcp { refused, detail };
                }
            }
        }
        Err(last)
    }

    fn failed(&self, error: &io::Error) -> RelayFault {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match inner {
            Some(rustls::Error::AlertReceived(AlertDescription::AccessDenied)) => self.refuses(),
            Some(other) => RelayFault::Other(format!("no TLS over TCP: {other}")),
            None => RelayFault::Other(format!("over TCP: {error}")),
        }
    }
}

type Attempt<T> = Result<T, RelayFault>;

async fn limited<T>(attempt: impl Future<Output = Attempt<T>>) -> Attempt<T> {
    limited_to(ATTEMPT, attempt).await
}

async fn limited_to<T>(limit: Duration, attempt: impl Future<Output = Attempt<T>>) -> Attempt<T> {
    timeout(limit, attempt).await.unwrap_or(Err(RelayFault::Silent))
}

/// What is wrong where neither way works.
fn both(udp: RelayFault, tcp: &RelayFault) -> RelayFault {
    if udp == *tcp { udp } else { RelayFault::Other(format!("{udp}; {tcp}")) }
}

/// What was found on the way to a relay. Where something is wrong with all ways, there is no line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelaySeen {
    /// Over UDP, where that may be used.
    pub udp: Option<Result<(), RelayFault>>,
    /// Over TCP, where that may be used, and through the proxy, where there is one.
    pub tcp: Option<Result<(), RelayFault>>,
}

/// Looks whether a relay can be reached by the ways that `settings` allow, and whether it takes this node. A
/// line of the same node that is there meanwhile is replaced, and comes back by itself.
pub async fn look_at_relay(identity: &Arc<Identity>, settings: &RelaySettings) -> RelaySeen {
    let connector = Connector::new(Arc::clone(identity), settings.clone());
    let udp = async {
        if settings.via == Via::Tcp {
            return None;
        }
        let seen = limited(connector.over_udp()).await.map(drop);
        let Err(RelayFault::Silent) = seen else { return Some(seen) };
        // Systems say that a port is closed to another kind of socket.
        for address in connector.addresses(&settings.address).await.unwrap_or_default() {
            if matches!(probe(address).await, Seen::Closed) {
                return Some(Err(RelayFault::Closed));
            }
        }
        Some(seen)
    };
    // One after the other: the relay keeps one line a key.
    let udp = udp.await;
    let tcp = match settings.via {
        Via::Udp => None,
        _ => Some(limited(connector.over_tcp()).await.map(drop)),
    };
    RelaySeen { udp, tcp }
}

/// The first frame of each end.
async fn hello(reader: &mut Reader, writer: &mut Writer) -> Result<(), io::Error> {
    writer.control(&Frame::Hello { version: VERSION }).await?;
    match reader.next().await? {
        Frame::Hello { version: VERSION } => Ok(()),
        Frame::Hello { version } => Err(io::Error::other(format!(
            "it speaks version {version} of the protocol, this node version {VERSION}"
        ))),
        _ => Err(io::Error::other("it does not keep to the protocol")),
    }
}

/// Whether the line carries the packets of a handshake, which cannot be shorter.
async fn full_packets(reader: &mut Reader, writer: &mut Writer) -> Result<(), RelayFault> {
    for _ in 0..ECHOES {
        let lost = |error: io::Error| RelayFault::Other(error.to_string());
        writer.echo(Bytes::from_static(&FULL)).await.map_err(lost)?;
        let back = async {
            loop {
                if let Frame::Packet { number: ECHO, .. } = reader.next().await? {
                    return Ok::<_, io::Error>(());
                }
            }
        };
        if let Ok(back) = timeout(ECHO_WAIT, back).await {
            return back.map_err(lost);
        }
    }
    Err(RelayFault::SmallPackets)
}

/// A line to a relay that has named these peers, for tests.
#[cfg(any(test, feature = "test-util"))]
pub(crate) async fn relay_line_of(
    identity: Arc<Identity>,
    settings: RelaySettings,
    peers: Vec<PublicKey>,
) -> io::Result<(Reader, Writer, Option<Endpoint>)> {
    let made = Connector::new(identity, settings).connect().await;
    let ((reader, mut writer), endpoint) =
        made.map_err(|fault| io::Error::other(fault.to_string()))?;
    for (number, key) in peers.into_iter().enumerate() {
        writer.control(&Frame::Peer { number: number as u16, key }).await?;
    }
    Ok((reader, writer, endpoint))
}
