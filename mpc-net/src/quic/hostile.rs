//! Tests with peers and strangers that want to do harm.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{
    AsyncUdpSocket, ClientConfig, Connection, Endpoint, EndpointConfig, Runtime, TokioRuntime,
    UdpPoller,
};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::door::{Door, Target, write};
use super::hello::{Hello, Ready, Role};
use super::identity::Identity;
use super::settings::{LOST_AFTER, LinkSettings, bind};
use super::tls::{self, PinnedKeys, SERVER_NAME};
use super::{JoinOptions, Observer, Peer, QuicTransport, Roster, join};
use crate::{NetError, PartyId};

/// Two nodes, of which the first dials the second.
struct Two {
    keys: [Arc<Identity>; 2],
    addresses: [SocketAddr; 2],
    patience: Duration,
}

impl Two {
    fn new(patience: Duration) -> Self {
        let key = || Arc::new(Identity::generate().unwrap());
        let any = "127.0.0.1:0".parse().unwrap();
        let free = [bind(any).unwrap(), bind(any).unwrap()];
        let addresses = free.map(|socket| socket.local_addr().unwrap());
        Self { keys: [key(), key()], addresses, patience }
    }

    async fn join(&self, me: usize) -> Result<QuicTransport, NetError> {
        let peer = |index: usize| Peer {
            name: format!("node {index}"),
            address: Some(self.addresses[index].to_string()),
            key: self.keys[index].public_key(),
        };
        let roster =
            Roster { me: PartyId::from_index(me), nodes: vec![peer(0), peer(1)], dealer: false };
        let mut options = JoinOptions::new(self.addresses[me], [7; 32]);
        options.join_timeout = self.patience;
        let observer: Observer = Arc::new(|_| {});
        join(&self.keys[me], &roster, &options, &observer).await
    }

    fn hostile(&self) -> (Door, Target<'static>) {
        let door = Door::open(
            &self.keys[0],
            self.addresses[0],
            LinkSettings::default(),
            Duration::from_secs(60),
            (None, Vec::new()),
        );
        let (key, address) = (self.keys[1].public_key(), self.addresses[1]);
        (door.unwrap(), Target { name: "node 1", key, address, relayed: false })
    }
}

/// Opens streams and fills them until nothing goes on; the bytes that the other end has taken.
async fn flood(connection: &Connection, enough: usize) -> usize {
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

#[tokio::test]
async fn a_pinned_peer_takes_little_memory_before_and_after_it_has_joined() {
    let two = Two::new(Duration::from_secs(60));
    let (door, target) = two.hostile();
    let host = two.join(1);
    let attack = async {
        // As soon as the node listens.
        let connection = loop {
            if let Ok(Ok(connection)) =
                timeout(Duration::from_secs(1), door.connect(&target, &AtomicBool::new(false)))
                    .await
            {
                break connection;
            }
        };
        assert_eq!(flood(&connection, 64 << 20).await, 0, "no streams before the hello");
        let hello = Hello {
            build: String::new(),
            index: 0,
            role: Role::Party,
            your_index: 1,
            your_role: Role::Party,
            nodes: 2,
            context: [7; 32],
            nonce: [1; 32],
        };
        let Ok(mut joined) = door.dial(&target, &hello, || Some(None)).await else {
            panic!("not joined")
        };
        let taken = flood(&joined.connection, 64 << 20).await;
        assert_eq!(taken, 0, "no streams before all have met");
        let ready = Ready { connections: vec![[0; 16], joined.id] };
        let _ = write(joined.send.as_mut().unwrap(), &ready).await;
        let taken = flood(&joined.connection, 128 << 20).await;
        assert!(taken < 64 << 20, "{taken} bytes that nobody reads");
        assert!(taken > 32 << 20, "{taken} bytes are too few for the channels of a study");
    };
    let (joined, ()) = tokio::join!(host, attack);
    joined.unwrap();
}

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
fn keyless(address: SocketAddr, rate: u64, stop: &AtomicBool, begun: &AtomicU64) {
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
        let mut attempts = std::collections::VecDeque::new();
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

/// Two nodes, both flooded by somebody without a key. One waits while so many handshakes are begun,
/// then the other one comes; how long they take from then on.
fn meet_in_a_flood(rate: u64, first: u64) -> Duration {
    let two = Two::new(Duration::from_secs(15 + 2 * first / rate));
    let (stop, begun) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for address in two.addresses {
            let (stop, begun) = (&stop, &begun);
            scope.spawn(move || keyless(address, rate, stop, begun));
        }
        let late = async {
            while begun.load(Ordering::Relaxed) < first {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let came = Instant::now();
            (two.join(0).await, came.elapsed())
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (one, (other, took)) = runtime.block_on(async { tokio::join!(two.join(1), late) });
        stop.store(true, Ordering::Relaxed);
        assert!(one.is_ok() && other.is_ok(), "{:?}, {:?}", one.err(), other.err());
        took
    })
}

#[test]
fn nodes_meet_while_somebody_without_a_key_begins_handshakes() {
    let took = meet_in_a_flood(600, 1200);
    assert!(took < Duration::from_secs(15), "took {took:?}");
}

/// Takes a minute; says how long the meeting took then, and the memory of this process, in which
/// the strangers have theirs too.
#[test]
#[ignore = "takes a minute"]
fn nodes_meet_after_a_minute_of_a_thousand_keyless_handshakes_a_second() {
    let took = meet_in_a_flood(1000, 120_000);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    let report = format!("met after {took:?}, {peak}");
    assert!(took < Duration::from_secs(15), "{report}");
    // With --nocapture.
    std::io::Write::write_all(&mut std::io::stdout(), format!("{report}\n").as_bytes()).unwrap();
}
