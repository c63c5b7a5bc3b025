//! What somebody does who wants to keep nodes from their work: for tests, and for campaigns against real
//! processes (`scripts/floods.sh`).
#![allow(clippy::unwrap_used, reason = "a panic is how a test ends")]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{
    AsyncUdpSocket, ClientConfig, Connection, Endpoint, EndpointConfig, Runtime, TokioRuntime,
    UdpPoller,
};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::door::{Door, Target, write};
use super::hello::{Hello, Ready, Role};
use super::identity::{Identity, PublicKey};
use super::relay::{RelaySettings, relay_line_of};
use super::settings::{LOST_AFTER, LinkSettings, bind};
use super::tls::{self, PinnedKeys, SERVER_NAME};

/// A socket that lets nothing in but the first answer to a visitor, so that every handshake that is
/// begun stays half done.
#[derive(Debug)]
struct HalfOpen(Arc<dyn AsyncUdpSocket>);

impl AsyncUdpSocket for HalfOpen {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.0).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> std::io::Result<()> {
        self.0.try_send(transmit)
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [std::io::IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<std::io::Result<usize>> {
        let got = self.0.poll_recv(context, buffers, meta);
        if let Poll::Ready(Ok(count)) = &got {
            for (buffer, meta) in buffers.iter().zip(meta).take(*count) {
                // A long header of type 3: the wish that an address be validated.
                if buffer.first().is_none_or(|first| first & 0xb0 != 0xb0) {
                    meta.len = 0;
                }
            }
        }
        got
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// Begins handshakes at `address`, a `rate` of them each second, until `stop`; counts them.
pub fn keyless(address: SocketAddr, rate: u64, stop: &AtomicBool, begun: &AtomicU64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stranger = Identity::generate().unwrap();
    let verifier = PinnedKeys::new(Vec::new());
    runtime.block_on(async {
        let socket = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let socket = TokioRuntime.wrap_udp_socket(socket).unwrap();
        let endpoint = Endpoint::new_with_abstract_socket(
            EndpointConfig::default(),
            None,
            Arc::new(HalfOpen(socket)),
            Arc::new(TokioRuntime),
        )
        .unwrap();
        let crypto = tls::quic_client(tls::NODES, &stranger, &verifier).unwrap();
        let mut config = ClientConfig::new(crypto);
        config.transport_config(LinkSettings::default().transport(address, LOST_AFTER));
        let mut pace = tokio::time::interval(Duration::from_micros(1_000_000 / rate));
        let mut attempts = VecDeque::new();
        while !stop.load(Ordering::Relaxed) {
            pace.tick().await;
            let attempt = endpoint.connect_with(config.clone(), address, SERVER_NAME).unwrap();
            begun.fetch_add(1, Ordering::Relaxed);
            // Each goes on until there are newer ones enough.
            attempts.push_back(attempt);
            if attempts.len() > 256 {
                attempts.pop_front();
            }
        }
    });
}

/// Opens streams and fills them until nothing goes on; the bytes that the other end has taken.
async fn fill(connection: &Connection, enough: usize) -> usize {
    // What waits here has not gone out.
    connection.set_send_window(1 << 20);
    let taken = Arc::new(AtomicU64::new(0));
    let mut streams = JoinSet::new();
    for number in 0..64_u64 {
        let (connection, taken) = (connection.clone(), Arc::clone(&taken));
        streams.spawn(async move {
            let Ok(mut stream) = connection.open_uni().await else { return };
            let mut name = *b"mpc1................";
            name[4..12].copy_from_slice(&number.to_le_bytes());
            let _ = stream.write_all(&name).await;
            let block = vec![0; 64 << 10];
            while let Ok(sent) = stream.write(&block).await {
                taken.fetch_add(sent as u64, Ordering::Relaxed);
            }
        });
    }
    let (mut before, mut idle) = (0, 0);
    while idle < 20 && before <= enough {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = taken.load(Ordering::Relaxed) as usize;
        idle = if now == before { idle + 1 } else { 0 };
        before = now;
    }
    before
}

/// A pinned peer that means harm: the first of two nodes.
#[derive(Debug)]
pub struct HostilePeer {
    /// Its key, which the other node has pinned.
    pub identity: Arc<Identity>,
    /// Where it comes from.
    pub listen: SocketAddr,
    /// The key of the other node.
    pub key: PublicKey,
    /// Where that listens.
    pub address: SocketAddr,
    /// What the two meet for.
    pub context: [u8; 32],
}

/// How many bytes a node has taken that nobody reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Before a hello.
    pub unmet: usize,
    /// After the hello, before all have met.
    pub joined: usize,
    /// When all have met.
    pub met: usize,
}

impl HostilePeer {
    /// Sends as much as the other node takes at each step of a meeting; `between` is called when it has
    /// been there before all had met, and when it is done.
    pub async fn attack(&self, mut between: impl FnMut()) -> Taken {
        let link = LinkSettings::default();
        let door = Door::open(
            &self.identity,
            self.listen,
            link,
            Duration::from_secs(60),
            (None, Vec::new()),
        );
        let door = door.unwrap();
        let (key, address) = (self.key, self.address);
        let target = Target { name: "the other node", key, address, relayed: false };
        // As soon as the node listens.
        let connection = loop {
            let connecting = AtomicBool::new(false);
            let connecting = door.connect(&target, &connecting);
            if let Ok(Ok(connection)) = timeout(Duration::from_secs(1), connecting).await {
                break connection;
            }
        };
        let unmet = fill(&connection, 64 << 20).await;
        let hello = Hello {
            build: String::new(),
            index: 0,
            role: Role::Party,
            your_index: 1,
            your_role: Role::Party,
            nodes: 2,
            context: self.context,
            nonce: [1; 32],
        };
        let mut met = loop {
            // It may be dialling itself just now.
            if let Ok(met) = door.dial(&target, &hello, || Some(None)).await {
                break met;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        let joined = fill(&met.connection, 64 << 20).await;
        between();
        let ready = Ready { connections: vec![[0; 16], met.id] };
        let _ = write(met.send.as_mut().unwrap(), &ready).await;
        let all = fill(&met.connection, 128 << 20).await;
        between();
        Taken { unmet, joined, met: all }
    }
}

/// How soon a node tries again that a relay has not let in: it takes a few a second from an address.
const AGAIN: Duration = Duration::from_millis(250);

/// Nodes of a relay that send as much as they can for `time`, each to the one after it, from when all are at it or
/// `gather` has passed; how many were there then, and how many packets went out.
pub async fn flood_relay(
    settings: &RelaySettings,
    identities: &[Arc<Identity>],
    (gather, time): (Duration, Duration),
) -> (usize, u64) {
    let sent = Arc::new(AtomicU64::new(0));
    let here = Arc::new(AtomicU64::new(0));
    let (go, gone) = tokio::sync::watch::channel(false);
    let mut lines = JoinSet::new();
    for (index, identity) in identities.iter().enumerate() {
        let after = identities[(index + 1) % identities.len()].public_key();
        let before = identities[(index + identities.len() - 1) % identities.len()].public_key();
        let (identity, settings) = (Arc::clone(identity), settings.clone());
        let (sent, here, mut gone) = (Arc::clone(&sent), Arc::clone(&here), gone.clone());
        lines.spawn(async move {
            let (mut reader, mut writer, endpoint) = loop {
                let peers = vec![after, before];
                match relay_line_of(Arc::clone(&identity), settings.clone(), peers).await {
                    Ok(line) => break line,
                    Err(_) => tokio::time::sleep(AGAIN).await,
                }
            };
            here.fetch_add(1, Ordering::Relaxed);
            let reads = async { while reader.next().await.is_ok() {} };
            tokio::select! {
                () = reads => return,
                _ = gone.wait_for(|go| *go) => (),
            }
            let flood = async {
                let packets = vec![(0_u16, Bytes::from_static(&[0xff; 1200])); 32];
                while writer.packets(packets.clone()).await.is_ok() {
                    sent.fetch_add(32, Ordering::Relaxed);
                }
            };
            // They read nothing at first, and then a little: the relay has to keep or to drop.
            let reads = async {
                tokio::time::sleep(Duration::from_secs(2)).await;
                while reader.next().await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::join!(flood, reads);
            drop(endpoint);
        });
    }
    let all = async {
        while (here.load(Ordering::Relaxed) as usize) < identities.len() {
            tokio::time::sleep(AGAIN).await;
        }
    };
    let _ = timeout(gather, all).await;
    let came = here.load(Ordering::Relaxed) as usize;
    let _ = go.send(true);
    let _ = timeout(time, async { while lines.join_next().await.is_some() {} }).await;
    lines.shutdown().await;
    (came, sent.load(Ordering::Relaxed))
}
