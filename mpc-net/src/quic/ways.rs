//! The endpoints of a node: one on a socket of the system, and one whose packets go through a relay.

use std::net::SocketAddr;
use std::sync::Arc;

use quinn::{Endpoint, Incoming, ServerConfig, TokioRuntime};

use super::admission::{Admission, Place};
use super::identity::{Identity, PublicKey};
use super::relay::{Packets, RelayClient, RelaySettings, RelaySocket};
use super::settings::{bind, endpoint_config};
use super::tls::{self, PinnedKeys};
use crate::NetError;

/// Visitors that may wait until they are looked at.
const MAX_INCOMING: usize = 1024;

/// Somebody who dials this node.
pub(crate) struct Visitor {
    incoming: Incoming,
    pub(crate) relayed: bool,
}

/// Somebody whose handshake may begin.
pub(crate) struct Admitted {
    pub(crate) incoming: Incoming,
    pub(crate) place: Place,
    pub(crate) relayed: bool,
}

/// The way through the relay.
#[derive(Clone)]
pub(crate) struct Relayed {
    pub(crate) endpoint: Endpoint,
    pub(crate) client: Arc<RelayClient>,
}

/// The ways in and out.
#[derive(Clone)]
pub(crate) struct Ways {
    pub(crate) direct: Endpoint,
    pub(crate) relayed: Option<Relayed>,
    /// Whose handshakes begin.
    pub(crate) admission: Admission,
}

impl Ways {
    pub(crate) fn open(
        identity: &Arc<Identity>,
        listen: SocketAddr,
        relay: Option<&RelaySettings>,
        peers: Vec<PublicKey>,
    ) -> Result<Self, NetError> {
        let failed = |error| NetError::Configuration(format!("cannot use {listen}: {error}"));
        let socket = bind(listen)?;
        let runtime = Arc::new(TokioRuntime);
        let config = endpoint_config(identity)?;
        let server = Some(server(identity)?);
        let direct = Endpoint::new(config, server, socket, runtime.clone()).map_err(failed)?;
        let relayed = match relay {
            None => None,
            Some(settings) => {
                let packets = Packets::new();
                let socket = Arc::new(RelaySocket(Arc::clone(&packets)));
                let config = endpoint_config(identity)?;
                let server = Some(self::server(identity)?);
                let endpoint = Endpoint::new_with_abstract_socket(config, server, socket, runtime);
                let endpoint = endpoint.map_err(failed)?;
                let client = RelayClient::start(identity, settings.clone(), peers, packets);
                Some(Relayed { endpoint, client: Arc::new(client) })
            }
        };
        Ok(Self { direct, relayed, admission: Admission::new() })
    }

    /// The next who dials; `None` when an endpoint is closed.
    pub(crate) async fn accept(&self) -> Option<Visitor> {
        let relayed = async {
            match &self.relayed {
                Some(relayed) => relayed.endpoint.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            incoming = self.direct.accept() => Some(Visitor { incoming: incoming?, relayed: false }),
            incoming = relayed => Some(Visitor { incoming: incoming?, relayed: true }),
        }
    }

    /// A place for a visitor; without one it was asked to show its address, or refused.
    pub(crate) fn admit(&self, Visitor { incoming, relayed }: Visitor) -> Option<Admitted> {
        let admitted = if relayed {
            self.admission.admit_relayed(incoming)
        } else {
            self.admission.admit(incoming)
        };
        admitted.map(|(incoming, place)| Admitted { incoming, place, relayed })
    }

    /// Waits until all connections are closed and forgotten.
    pub(crate) async fn wait_idle(&self) {
        self.direct.wait_idle().await;
        if let Some(relayed) = &self.relayed {
            relayed.endpoint.wait_idle().await;
        }
    }
}

impl Visitor {
    pub(crate) fn refuse(self) {
        self.incoming.refuse();
    }
}

/// Every visitor gets a configuration of its own; this one, which pins nobody, only makes an endpoint
/// listen.
fn server(identity: &Identity) -> Result<ServerConfig, NetError> {
    let nobody = tls::quic_server(tls::NODES, identity, &PinnedKeys::new(Vec::new()))?;
    let mut server = ServerConfig::with_crypto(nobody);
    // Of those whose handshakes have not begun; they are looked at at once.
    server
        .max_incoming(MAX_INCOMING)
        .incoming_buffer_size(16 << 10)
        .incoming_buffer_size_total(4 << 20);
    Ok(server)
}
