//! The sockets of a relay, and the handshakes on them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::{Endpoint, Incoming, ServerConfig, TokioRuntime, VarInt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::{TlsAcceptor, TlsStream};

use super::super::admission::{Admission, Place};
use super::super::closing;
use super::super::identity::{Identity, PublicKey};
use super::super::join::Peer;
use super::super::settings::{bind, relay_endpoint_config, relay_line};
use super::super::tls::{self, PinnedKeys, key_in, peer_key};
use super::line::{over_quic, over_tcp};
use super::server::{Hub, RelayEvent, RelayObserver};
use crate::NetError;

/// How long a handshake may take.
const ATTEMPT: Duration = Duration::from_secs(5);

/// TCP connections that the system keeps until they are looked at.
const BACKLOG: i32 = 128;

/// How a relay listens.
#[derive(Clone, Debug)]
pub struct RelayOptions {
    /// The UDP address.
    pub udp: SocketAddr,
    /// The TCP address, for nodes that reach none over UDP; `None` leaves them out.
    pub tcp: Option<SocketAddr>,
    /// How many bytes a second each node may send through it; `None` without a bound.
    pub bytes_a_second: Option<u64>,
}

/// A relay: it forwards sealed packets between nodes whose keys it knows and that have named each
/// other, and cannot open them.
///
/// What waits in it is bounded: 256 KiB from a node to another, 16 MiB in all. What is more is dropped,
/// as at any router, and sent again by the node that it came from.
pub struct Relay {
    endpoint: Endpoint,
    tcp: Option<TcpListener>,
    identity: Arc<Identity>,
    hub: Hub,
    observer: RelayObserver,
}

impl Relay {
    /// Starts listening for these nodes; their addresses mean nothing.
    ///
    /// Needs a tokio runtime, like everything of this module.
    ///
    /// # Errors
    /// [`NetError::Configuration`], for example when an address is in use.
    pub fn listen(
        identity: &Arc<Identity>,
        nodes: &[Peer],
        options: &RelayOptions,
        observer: &RelayObserver,
    ) -> Result<Self, NetError> {
        let nobody = tls::quic_server(tls::RELAY, identity, &PinnedKeys::new(Vec::new()))?;
        let mut server = ServerConfig::with_crypto(nobody);
        server.max_incoming(1024).incoming_buffer_size(4 << 10).incoming_buffer_size_total(1 << 20);
        let config = relay_endpoint_config(identity)?;
        let udp = options.udp;
        let endpoint = Endpoint::new(config, Some(server), bind(udp)?, Arc::new(TokioRuntime))
            .map_err(|error| NetError::Configuration(format!("cannot use {udp}: {error}")))?;
        let tcp = options.tcp.map(listen_tcp).transpose()?;
        let names: HashMap<_, _> = nodes.iter().map(|node| (node.key, node.name.clone())).collect();
        let hub = Hub::new(names, options.bytes_a_second, Arc::clone(observer));
        let (identity, observer) = (Arc::clone(identity), Arc::clone(observer));
        Ok(Self { endpoint, tcp, identity, hub, observer })
    }

    /// The key that nodes have to pin.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.identity.public_key()
    }

    /// The UDP address that it listens on.
    ///
    /// # Errors
    /// [`NetError::Configuration`].
    pub fn udp_address(&self) -> Result<SocketAddr, NetError> {
        self.endpoint.local_addr().map_err(|error| no_address(&error))
    }

    /// The TCP address that it listens on.
    ///
    /// # Errors
    /// [`NetError::Configuration`].
    pub fn tcp_address(&self) -> Result<Option<SocketAddr>, NetError> {
        self.tcp
            .as_ref()
            .map(|tcp| tcp.local_addr().map_err(|error| no_address(&error)))
            .transpose()
    }

    /// Puts a test between all nodes.
    #[cfg(feature = "test-util")]
    #[must_use]
    pub fn with_middlebox(mut self, middlebox: super::server::Middlebox) -> Self {
        self.hub.middlebox = Some(middlebox);
        self
    }

    /// Serves until `leave` is done.
    ///
    /// # Errors
    /// [`NetError`] when the sockets fail.
    pub async fn serve_until(self, leave: impl Future<Output = ()>) -> Result<(), NetError> {
        let (udp, tcp) = (self.udp_address()?, self.tcp_address()?);
        (self.observer)(RelayEvent::Listening { udp, tcp });
        let Self { endpoint, tcp, identity, hub, .. } = self;
        let visitors = Visitors { identity, hub: Arc::new(hub), admission: Admission::new() };
        let mut lines = JoinSet::new();
        tokio::pin!(leave);
        loop {
            tokio::select! {
                () = &mut leave => break,
                incoming = endpoint.accept() => match incoming {
                    Some(incoming) => {
                        if let Some(admitted) = visitors.admission.admit(incoming) {
                            lines.spawn(visitors.clone().over_udp(admitted));
                        }
                    }
                    None => return Err(NetError::Internal("the endpoint is closed".to_owned())),
                },
                accepted = accept(tcp.as_ref()) => match accepted {
                    Ok((stream, address)) => {
                        // Whoever gets no place hears nothing, and may come again.
                        if let Some(place) = visitors.admission.place_now(address) {
                            lines.spawn(visitors.clone().over_tcp(stream, address, place));
                        }
                    }
                    Err(error) => {
                        // As a rule there are no file descriptors left for the moment.
                        tracing::warn!(%error, "a TCP connection cannot be accepted");
                        sleep(Duration::from_millis(100)).await;
                    }
                },
                Some(_) = lines.join_next() => {}
            }
        }
        drop(lines);
        endpoint.close(VarInt::from_u32(closing::GONE), b"the relay stops");
        let _ = timeout(Duration::from_secs(1), endpoint.wait_idle()).await;
        Ok(())
    }
}

fn no_address(error: &std::io::Error) -> NetError {
    NetError::Configuration(format!("the socket has no address: {error}"))
}

fn listen_tcp(address: SocketAddr) -> Result<TcpListener, NetError> {
    let make = || -> std::io::Result<TcpListener> {
        use socket2::{Domain, Protocol, Socket, Type};
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(!address.ip().is_unspecified())?;
        }
        // Connections of an earlier process that have ended do not keep the address.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    };
    make().map_err(|error| {
        NetError::Configuration(format!("cannot listen on TCP address {address}: {error}"))
    })
}

async fn accept(listener: Option<&TcpListener>) -> std::io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

/// What it takes to answer those who come.
#[derive(Clone)]
struct Visitors {
    identity: Arc<Identity>,
    hub: Arc<Hub>,
    admission: Admission,
}

impl Visitors {
    async fn over_udp(self, (incoming, place): (Incoming, Place)) {
        let address = incoming.remote_address();
        let verifier = PinnedKeys::new(self.hub.keys());
        let Ok(crypto) = tls::quic_server(tls::RELAY, &self.identity, &verifier) else { return };
        let mut config = ServerConfig::with_crypto(crypto);
        config.transport_config(relay_line(self.hub.keys().len()));
        let handshake = async {
            let connection = incoming.accept_with(Arc::new(config)).ok()?.await.ok()?;
            let streams = connection.accept_bi().await.ok()?;
            Some((connection, streams))
        };
        let Ok(Some((connection, streams))) = timeout(ATTEMPT, handshake).await else {
            return self.refused(&verifier, address);
        };
        let Some(key) = peer_key(&connection) else { return };
        let line = over_quic(&connection, streams);
        self.hub.serve(key, address, line, || drop(place)).await;
        connection.close(VarInt::from_u32(closing::GONE), b"");
    }

    async fn over_tcp(self, stream: TcpStream, address: SocketAddr, place: Place) {
        let verifier = PinnedKeys::new(self.hub.keys());
        let config = tls::server_for(tls::RELAY, &self.identity, &verifier);
        let Ok(config) = config else { return };
        // What waits here would only come later.
        let _ = stream.set_nodelay(true);
        let handshake = TlsAcceptor::from(Arc::new(config)).accept(stream);
        let Ok(Ok(stream)) = timeout(ATTEMPT, handshake).await else {
            return self.refused(&verifier, address);
        };
        let key = stream.get_ref().1.peer_certificates().and_then(key_in);
        let Some(key) = key else { return };
        let line = over_tcp(TlsStream::Server(stream));
        self.hub.serve(key, address, line, || drop(place)).await;
    }

    fn refused(&self, verifier: &PinnedKeys, address: SocketAddr) {
        if let Some(key) = verifier.refused() {
            self.hub.unknown(key, address);
        }
    }
}
