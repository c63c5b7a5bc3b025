//! Tests with clients and strangers that want to do harm to a relay.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quinn::Endpoint;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::super::identity::Identity;
use super::super::join::Peer;
use super::connect::{Connector, RelaySettings, Via};
use super::frame::Frame;
use super::line::{Reader, Writer};
use super::listen::{Relay, RelayOptions};
use super::server::RelayObserver;

struct AtWork {
    udp: SocketAddr,
    tcp: SocketAddr,
    key: Arc<Identity>,
    nodes: Vec<Arc<Identity>>,
    task: JoinHandle<()>,
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn relay(nodes: usize, bytes_a_second: Option<u64>) -> AtWork {
    let key = Arc::new(Identity::generate().unwrap());
    let nodes: Vec<_> = (0..nodes).map(|_| Arc::new(Identity::generate().unwrap())).collect();
    let peers = nodes.iter().map(|node| Peer {
        name: "a node".to_owned(),
        address: None,
        also: Vec::new(),
        key: node.public_key(),
    });
    let any = "127.0.0.1:0".parse().unwrap();
    let options = RelayOptions { udp: any, tcp: Some(any), bytes_a_second };
    let observer: RelayObserver = Arc::new(|_| {});
    let peers: Vec<Peer> = peers.collect();
    let relay = Relay::listen(&key, &peers, &options, &observer).unwrap();
    let (udp, tcp) = (relay.udp_address().unwrap(), relay.tcp_address().unwrap().unwrap());
    let task = tokio::spawn(async move {
        let _ = relay.serve_until(std::future::pending()).await;
    });
    AtWork { udp, tcp, key, nodes, task }
}

/// A node's line to the relay. The endpoint lives as long as this.
struct Client {
    reader: Reader,
    writer: Writer,
    _endpoint: Option<Endpoint>,
}

impl AtWork {
    fn connector(&self, identity: &Arc<Identity>, via: Via) -> Connector {
        let address = if via == Via::Tcp { self.tcp } else { self.udp }.to_string();
        let settings =
            RelaySettings { address, key: self.key.public_key(), via, proxy: None, login: None };
        Connector::new(Arc::clone(identity), settings)
    }

    /// A node that has named these, in their order.
    async fn client(&self, me: usize, via: Via, named: &[usize]) -> Client {
        let connector = self.connector(&self.nodes[me], via);
        let ((reader, mut writer), endpoint) = connector.connect().await.unwrap();
        for (number, node) in named.iter().enumerate() {
            let (number, key) = (number as u16, self.nodes[*node].public_key());
            writer.control(&Frame::Peer { number, key }).await.unwrap();
        }
        Client { reader, writer, _endpoint: endpoint }
    }
}

impl Client {
    /// Waits until a peer is here.
    async fn sees(&mut self, number: u16) {
        while self.next().await != (Frame::Presence { number, here: true }) {}
    }

    async fn next(&mut self) -> Frame {
        timeout(Duration::from_secs(30), self.reader.next()).await.unwrap().unwrap()
    }
}

/// Sends without an end.
fn flood(client: Client, number: u16) -> JoinHandle<()> {
    let Client { mut reader, mut writer, _endpoint } = client;
    tokio::spawn(async move {
        let _endpoint = _endpoint;
        let flood = async {
            let packets = vec![(number, Bytes::from_static(&[0xff; 1200])); 32];
            while writer.packets(packets.clone()).await.is_ok() {}
        };
        let reads = async { while reader.next().await.is_ok() {} };
        tokio::select! {
            () = flood => {}
            () = reads => {}
        }
    })
}

/// Node 0 floods node 1 as fast as it can; node 2 has few things to say to node 1.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_one_node_takes_nothing_from_another() {
    for via in [Via::Udp, Via::Tcp] {
        let relay = relay(3, None);
        let mut victim = relay.client(1, via, &[0, 2]).await;
        let mut hostile = relay.client(0, via, &[1]).await;
        let mut honest = relay.client(2, via, &[1]).await;
        hostile.sees(0).await;
        honest.sees(0).await;
        let flood = flood(hostile, 0);
        let mut got = 0;
        let talk = async {
            // One at a time, sent again when it is lost on the way to the relay.
            while got < 20 {
                honest.writer.packets(vec![(0, Bytes::from(vec![got; 50]))]).await.unwrap();
                let answer = async {
                    loop {
                        if let Frame::Packet { number: 1, packet } = victim.next().await {
                            return packet[0];
                        }
                    }
                };
                if timeout(Duration::from_secs(2), answer).await == Ok(got) {
                    got += 1;
                }
            }
        };
        timeout(Duration::from_secs(60), talk).await.expect("the honest node is not heard");
        assert!(!flood.is_finished(), "the flood has ended by itself");
        flood.abort();
    }
}

/// What nobody wants goes nowhere, and nobody hears of a node that has not named it.
#[tokio::test]
async fn nobody_is_sent_what_it_has_not_asked_for() {
    let relay = relay(3, None);
    let mut victim = relay.client(1, Via::Tcp, &[2]).await;
    let mut hostile = relay.client(0, Via::Tcp, &[1]).await;
    assert_eq!(hostile.next().await, Frame::Presence { number: 0, here: false });
    for number in [0, 1, 7, 0xfffe] {
        let packet = Bytes::from_static(&[0xff; 1200]);
        hostile.writer.packets(vec![(number, packet)]).await.unwrap();
    }
    // The third node comes afterwards, and its packet is the first that arrives.
    let mut honest = relay.client(2, Via::Tcp, &[1]).await;
    victim.sees(0).await;
    honest.writer.packets(vec![(0, Bytes::from_static(b"word"))]).await.unwrap();
    loop {
        match victim.next().await {
            Frame::Packet { number, packet } => {
                assert_eq!((number, packet.as_ref()), (0, b"word".as_slice()));
                break;
            }
            Frame::Ping | Frame::Presence { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_client_that_does_not_keep_to_the_protocol_is_put_out_and_nobody_else() {
    let relay = relay(4, None);
    let mut honest = relay.client(1, Via::Tcp, &[2]).await;
    let _peer = relay.client(2, Via::Udp, &[1]).await;
    honest.sees(0).await;
    let own = relay.nodes[0].public_key();
    let key = relay.nodes[1].public_key();
    let wrong: [Vec<Frame>; 6] = [
        vec![Frame::Hello { version: 1 }],
        vec![Frame::Presence { number: 0, here: true }],
        vec![Frame::Peer { number: 0, key: own }],
        vec![Frame::Peer { number: u16::MAX, key }],
        vec![Frame::Peer { number: 0, key }, Frame::Peer { number: 1, key }],
        (0..300_u16)
            .map(|number| {
                let mut bytes = [0; 32];
                bytes[..2].copy_from_slice(&number.to_le_bytes());
                Frame::Peer { number, key: super::super::identity::PublicKey::from_bytes(bytes) }
            })
            .collect(),
    ];
    for frames in wrong {
        let mut hostile = relay.client(0, Via::Tcp, &[]).await;
        for frame in &frames {
            let _ = hostile.writer.control(frame).await;
        }
        let ended = async { while hostile.reader.next().await.is_ok() {} };
        timeout(Duration::from_secs(20), ended).await.unwrap_or_else(|_| panic!("{frames:?}"));
    }
    // The honest node is still served.
    honest.writer.echo(Bytes::from_static(b"still here")).await.unwrap();
    loop {
        if let Frame::Packet { packet, .. } = honest.next().await {
            assert_eq!(packet.as_ref(), b"still here");
            break;
        }
    }
}

/// A new line of the same key ends the old one.
#[tokio::test]
async fn a_node_has_one_line() {
    let relay = relay(2, None);
    let mut old = relay.client(0, Via::Udp, &[1]).await;
    let mut peer = relay.client(1, Via::Udp, &[0]).await;
    peer.sees(0).await;
    let mut new = relay.client(0, Via::Tcp, &[1]).await;
    new.sees(0).await;
    let ended = async { while old.reader.next().await.is_ok() {} };
    timeout(Duration::from_secs(20), ended).await.expect("the old line goes on");
    peer.writer.packets(vec![(0, Bytes::from_static(b"to the new one"))]).await.unwrap();
    while !matches!(new.next().await, Frame::Packet { number: 0, .. }) {}
}

/// Strangers fill the places of their own address, and no others.
#[tokio::test]
async fn strangers_that_say_nothing_keep_nobody_out() {
    let relay = relay(2, None);
    let mut silent: Vec<TcpStream> = Vec::new();
    for _ in 0..60 {
        let socket = TcpSocket::new_v4().unwrap();
        // Another host of this machine.
        socket.bind("127.0.0.9:0".parse().unwrap()).unwrap();
        silent.push(socket.connect(relay.tcp).await.unwrap());
    }
    let _client = relay.client(0, Via::Tcp, &[1]).await;
    // All but those that have a place were closed at once, without a byte.
    let mut open = 0;
    for stream in &mut silent {
        let read = timeout(Duration::from_millis(20), stream.read_u8()).await;
        open += usize::from(read.is_err());
    }
    assert!(open <= 8, "{open} strangers have a place");
}

#[tokio::test]
async fn a_stranger_is_refused_on_both_ways() {
    let relay = relay(2, None);
    let stranger = Arc::new(Identity::generate().unwrap());
    for via in [Via::Udp, Via::Tcp] {
        let reason = relay.connector(&stranger, via).connect().await.err().unwrap();
        let key = stranger.public_key().to_string();
        let reason = reason.to_string();
        assert!(reason.contains("refuses this node's key") && reason.contains(&key), "{reason}");
    }
}

/// A bound on the bytes a second is kept to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_sends_no_more_than_it_may() {
    let relay = relay(2, Some(200_000));
    let mut victim = relay.client(1, Via::Tcp, &[0]).await;
    let mut hostile = relay.client(0, Via::Tcp, &[1]).await;
    hostile.sees(0).await;
    let begin = std::time::Instant::now();
    let flood = flood(hostile, 0);
    let mut bytes = 0;
    while bytes < 600_000 {
        if let Frame::Packet { packet, .. } = victim.next().await {
            bytes += packet.len();
        }
    }
    // A second's worth may come at once.
    assert!(begin.elapsed() > Duration::from_millis(1500), "{:?}", begin.elapsed());
    flood.abort();
}
