//! Nodes that can only make outgoing connections, and meet through a relay.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mpc_net::quic::{
    Dealer, DealerOptions, Identity, JoinEvent, Middlebox, Peer, ProxyFault, ProxyLogin,
    QuicTransport, Relay, RelayEvent, RelayFault, RelayObserver, RelayOptions, RelaySettings, Via,
    look_at_relay,
};
use mpc_net::{Due, NetError, PartyId, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::plan::{Plan, STEP, deadline, exchange, free_address, listen_in, plan};

const ANY: &str = "127.0.0.1:0";

/// A relay at work, and what it tells.
struct AtWork {
    udp: SocketAddr,
    tcp: SocketAddr,
    identity: Arc<Identity>,
    events: Arc<Mutex<Vec<RelayEvent>>>,
    task: JoinHandle<Result<(), NetError>>,
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn options() -> RelayOptions {
    let any: SocketAddr = ANY.parse().unwrap();
    RelayOptions { udp: any, tcp: Some(any), bytes_a_second: None }
}

fn relay(nodes: &[Peer], options: &RelayOptions, middlebox: Option<Middlebox>) -> AtWork {
    let identity = Arc::new(Identity::generate().unwrap());
    let events: Arc<Mutex<Vec<RelayEvent>>> = Arc::default();
    let log = Arc::clone(&events);
    let observer: RelayObserver = Arc::new(move |event| log.lock().unwrap().push(event));
    let mut relay = Relay::listen(&identity, nodes, options, &observer).unwrap();
    if let Some(middlebox) = middlebox {
        relay = relay.with_middlebox(middlebox);
    }
    let (udp, tcp) = (relay.udp_address().unwrap(), relay.tcp_address().unwrap().unwrap());
    let task = tokio::spawn(relay.serve_until(std::future::pending()));
    AtWork { udp, tcp, identity, events, task }
}

impl AtWork {
    fn settings(&self, via: Via) -> RelaySettings {
        let address = if via == Via::Tcp { self.tcp } else { self.udp };
        let (address, key) = (address.to_string(), self.identity.public_key());
        RelaySettings { address, key, via, proxy: None, login: None }
    }
}

/// Nodes that know no addresses.
fn hidden(nodes: usize) -> Plan {
    let mut plan = plan(nodes, Duration::from_secs(20));
    for node in &mut plan.roster.nodes {
        node.address = None;
    }
    plan
}

fn use_relay(plan: &mut Plan, settings: &RelaySettings) {
    for options in &mut plan.options {
        options.relay = Some(settings.clone());
        options.join_timeout = Duration::from_secs(40);
    }
}

/// What node 0 was told of how it met the others.
async fn meet(plan: &Plan) -> (Vec<QuicTransport>, Vec<JoinEvent>) {
    let (a, b, c) =
        deadline(async { tokio::join!(plan.join(0), plan.join(1), plan.join(2)) }).await;
    (vec![a.0.unwrap(), b.0.unwrap(), c.0.unwrap()], a.1)
}

fn through(events: &[JoinEvent]) -> Vec<Option<String>> {
    let joined = events.iter().filter_map(|event| match event {
        JoinEvent::Joined { relay, .. } => Some(relay.clone()),
        _ => None,
    });
    joined.collect()
}

#[tokio::test]
async fn nodes_without_addresses_meet_over_udp_and_over_tcp() {
    for (via, word) in [(Via::Auto, "over UDP"), (Via::Tcp, "over TCP")] {
        let mut plan = hidden(3);
        let relay = relay(&plan.roster.nodes, &options(), None);
        use_relay(&mut plan, &relay.settings(via));
        let (nodes, events) = meet(&plan).await;
        let how = through(&events);
        assert_eq!(how.len(), 2, "{events:?}");
        assert!(how.iter().all(|how| how.as_ref().unwrap().ends_with(word)), "{how:?}");
        // Much more than waits anywhere.
        deadline(exchange(&nodes, 5 << 20)).await;
        let finished =
            async { tokio::join!(nodes[0].finish(), nodes[1].finish(), nodes[2].finish()) };
        let (a, b, c) = deadline(finished).await;
        a.and(b).and(c).unwrap();
    }
}

/// The first node reaches nobody at the addresses that it has; the others reach each other.
#[tokio::test]
async fn the_direct_way_comes_first_where_there_is_one() {
    let mut plan = plan(3, Duration::from_secs(20));
    let relay = relay(&plan.roster.nodes, &options(), None);
    use_relay(&mut plan, &relay.settings(Via::Auto));
    let silent = UdpSocket::bind(ANY).unwrap();
    let nowhere = Some(silent.local_addr().unwrap().to_string());
    let mut behind = plan.clone();
    behind.roster.nodes[1].address.clone_from(&nowhere);
    behind.roster.nodes[2].address.clone_from(&nowhere);
    plan.roster.nodes[0].address = nowhere;
    let all = async { tokio::join!(behind.join(0), plan.join(1), plan.join(2)) };
    let (a, b, c) = deadline(all).await;
    assert!(through(&a.1).iter().all(Option::is_some), "{:?}", a.1);
    let direct = through(&b.1).iter().filter(|how| how.is_none()).count();
    assert_eq!(direct, 1, "{:?}", b.1);
    let nodes = [a.0.unwrap(), b.0.unwrap(), c.0.unwrap()];
    deadline(exchange(&nodes, 100_000)).await;
}

/// Where UDP is dropped, TCP is tried, through a proxy where there is one.
#[tokio::test]
async fn a_proxy_is_asked_where_udp_is_dropped() {
    let mut plan = hidden(3);
    let relay = relay(&plan.roster.nodes, &options(), None);
    let proxy = TcpListener::bind(ANY).await.unwrap();
    let at = proxy.local_addr().unwrap().to_string();
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = Arc::clone(&asked);
    let proxy = tokio::spawn(async move {
        loop {
            let (mut client, _) = proxy.accept().await.unwrap();
            let heard = Arc::clone(&heard);
            tokio::spawn(async move {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(client.read_u8().await.unwrap());
                }
                let request = String::from_utf8(request).unwrap();
                if !request.contains("\r\nProxy-Authorization: Basic YWxpY2U6c2VzYW1l\r\n") {
                    let _ = client.write_all(b"HTTP/1.1 407 Who are you\r\n\r\n").await;
                    return;
                }
                let address = request.split(' ').nth(1).unwrap().to_owned();
                heard.lock().unwrap().push(request);
                let mut there = TcpStream::connect(address).await.unwrap();
                client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                let _ = copy_bidirectional(&mut client, &mut there).await;
            });
        }
    });
    // Nothing answers at the UDP port of this number.
    let mut settings = relay.settings(Via::Tcp);
    settings.via = Via::Auto;
    settings.proxy = Some(at.clone());
    // It wants to know who comes, and takes no other word than the right one.
    let seen = async |settings: &RelaySettings| {
        let seen = deadline(look_at_relay(&plan.keys[0], settings)).await.tcp.unwrap();
        match seen.unwrap_err() {
            RelayFault::Proxy { proxy, fault } if proxy == at => fault,
            other => panic!("{other}"),
        }
    };
    assert!(matches!(seen(&settings).await, ProxyFault::NeedsPassword(_)));
    let login = |word: &'static str| {
        Some(ProxyLogin::new("alice", move || Ok(zeroize::Zeroizing::new(word.to_owned()))))
    };
    settings.login = login("Basic YWxpY2U6b3Blbg==");
    assert!(matches!(seen(&settings).await, ProxyFault::WrongPassword(_)));
    settings.login = Some(ProxyLogin::new("alice", || Err("there is no such file".to_owned())));
    assert!(matches!(seen(&settings).await, ProxyFault::Login(_)));
    settings.login = login("Basic YWxpY2U6c2VzYW1l\r\nX: y");
    assert!(matches!(seen(&settings).await, ProxyFault::Login(_)));
    settings.login = login("Basic YWxpY2U6c2VzYW1l");
    let found = deadline(look_at_relay(&plan.keys[0], &settings)).await;
    assert!(found.udp.unwrap().is_err() && found.tcp == Some(Ok(())));
    use_relay(&mut plan, &settings);
    let (nodes, events) = meet(&plan).await;
    assert!(through(&events)[0].as_ref().unwrap().contains("TCP and the proxy"), "{events:?}");
    assert!(asked.lock().unwrap()[0].starts_with(&format!("CONNECT {} HTTP/1.1\r\n", relay.tcp)));
    deadline(exchange(&nodes, 100_000)).await;
    proxy.abort();
}

/// Each reason why there is no line is told from the others.
#[tokio::test]
async fn a_look_at_a_relay_names_what_is_wrong() {
    let plan = hidden(2);
    let good = relay(&plan.roster.nodes, &options(), None);
    let other = relay(&plan.roster.nodes[1..], &options(), None);
    let silent = UdpSocket::bind(ANY).unwrap();
    let at = |settings: RelaySettings, address: String| RelaySettings { address, ..settings };
    let own = plan.keys[0].public_key();
    let look = async |settings: RelaySettings| {
        let seen = deadline(look_at_relay(&plan.keys[0], &settings)).await;
        assert_eq!(seen.udp.is_some(), settings.via != Via::Tcp);
        assert_eq!(seen.tcp.is_some(), settings.via != Via::Udp);
        seen.udp.or(seen.tcp).unwrap()
    };
    let (udp, tcp) = (good.settings(Via::Udp), good.settings(Via::Tcp));
    assert_eq!((look(udp.clone()).await, look(tcp.clone()).await), (Ok(()), Ok(())));
    let nowhere = at(udp.clone(), "no-such-host.invalid:443".to_owned());
    let silence = at(udp.clone(), silent.local_addr().unwrap().to_string());
    let closed = at(udp.clone(), free_address().to_string());
    let refused = at(tcp.clone(), free_address().to_string());
    let key = other.identity.public_key();
    let (wrong, wrong_tcp) = (RelaySettings { key, ..udp }, RelaySettings { key, ..tcp });
    let all = async {
        tokio::join!(
            look(nowhere),
            look(silence),
            look(closed),
            look(refused),
            look(other.settings(Via::Udp)),
            look(other.settings(Via::Tcp)),
            look(wrong),
            look(wrong_tcp),
        )
    };
    let (nowhere, silence, closed, refused, unknown, unknown_tcp, wrong, wrong_tcp) = all.await;
    assert!(matches!(nowhere, Err(RelayFault::Name(_))), "{nowhere:?}");
    assert_eq!(silence, Err(RelayFault::Silent));
    assert_eq!(closed, Err(RelayFault::Closed));
    assert!(matches!(refused, Err(RelayFault::Tcp { refused: true, .. })), "{refused:?}");
    assert_eq!(
        (unknown, unknown_tcp),
        (Err(RelayFault::Unknown { own }), Err(RelayFault::Unknown { own }))
    );
    let shown = good.identity.public_key();
    let differs = Err(RelayFault::WrongKey { shown, pinned: key });
    assert_eq!((wrong, wrong_tcp), (differs.clone(), differs));
}

#[tokio::test]
async fn a_dealer_is_met_through_a_relay() {
    let mut plan = hidden(3);
    plan.roster.dealer = true;
    let relay = relay(&plan.roster.nodes, &options(), None);
    use_relay(&mut plan, &relay.settings(Via::Auto));
    let mut options = DealerOptions::new(plan.options[2].listen);
    options.relay = Some(relay.settings(Via::Tcp));
    let parties = plan.roster.nodes[..2].to_vec();
    let mut dealer = Dealer::listen(&plan.keys[2], parties, options).unwrap();
    let (_, observer) = listen_in();
    let all = async { tokio::join!(plan.join(0), plan.join(1), dealer.next_study(&observer)) };
    let (a, b, dealt) = deadline(all).await;
    let nodes = [a.0.unwrap(), b.0.unwrap(), dealt.unwrap().0];
    deadline(exchange(&nodes, 100_000)).await;
}

#[tokio::test]
async fn what_is_wrong_with_a_relay_is_told_while_nodes_wait() {
    let mut base = hidden(2);
    for options in &mut base.options {
        options.join_timeout = Duration::from_secs(9);
    }
    let good = relay(&base.roster.nodes, &options(), None);
    let other = relay(&base.roster.nodes[1..], &options(), None);
    let told = async |settings: RelaySettings| {
        let mut plan = base.clone();
        plan.options[0].listen = free_address();
        plan.options[0].relay = Some(settings);
        let (error, events) = plan.join(0).await;
        assert!(matches!(error, Err(NetError::Timeout { .. })), "{:?}", error.err());
        let details = events.into_iter().filter_map(|event| match event {
            JoinEvent::Unreachable { peer, detail, .. } => Some(format!("{peer}: {detail}")),
            _ => None,
        });
        details.collect::<Vec<_>>().join("\n")
    };
    let silent = UdpSocket::bind(ANY).unwrap();
    let mut silence = good.settings(Via::Udp);
    silence.address = silent.local_addr().unwrap().to_string();
    let mut wrong_key = good.settings(Via::Udp);
    wrong_key.key = other.identity.public_key();
    let mut wrong_over_tcp = RelaySettings { via: Via::Tcp, ..wrong_key.clone() };
    wrong_over_tcp.address = good.tcp.to_string();
    let mut unnamed = good.settings(Via::Auto);
    unnamed.address = "no-such-host.invalid:443".to_owned();
    let mut no_proxy = good.settings(Via::Tcp);
    no_proxy.proxy = Some(silent.local_addr().unwrap().to_string());
    let me = base.keys[0].public_key();
    let refuses = format!("refuses this node's key {me}");
    let all = async {
        tokio::join!(
            told(good.settings(Via::Udp)),
            told(silence),
            told(other.settings(Via::Udp)),
            told(other.settings(Via::Tcp)),
            told(wrong_key),
            told(wrong_over_tcp),
            told(unnamed),
            told(no_proxy),
        )
    };
    let (alone, silence, refused, refused_tcp, wrong, wrong_tcp, unnamed, no_proxy) =
        deadline(all).await;
    assert!(alone.starts_with("node 1: not at the relay"), "{alone}");
    assert!(silence.contains("it does not answer"), "{silence}");
    assert!(refused.contains(&refuses) && refused_tcp.contains(&refuses), "{refused}{refused_tcp}");
    for text in [wrong, wrong_tcp] {
        let key = good.identity.public_key().to_string();
        assert!(text.contains("it shows the key") && text.contains(&key), "{text}");
    }
    assert!(unnamed.contains("no-such-host.invalid:443 does not resolve"), "{unnamed}");
    assert!(no_proxy.contains("the proxy 127.0.0.1"), "{no_proxy}");
    let unknown = other
        .events
        .lock()
        .unwrap()
        .iter()
        .any(|event| matches!(event, RelayEvent::UnknownKey { key, .. } if *key == me));
    assert!(unknown, "{:?}", other.events.lock().unwrap());
}

/// All that passes the relay, whoever sends it.
#[derive(Default)]
struct Seen {
    all: Mutex<Vec<u8>>,
}

/// The relay sees neither what the nodes say nor who they say they are nor which study it is.
#[tokio::test]
async fn a_relay_learns_no_plaintext() {
    let mut plan = hidden(3);
    let seen = Arc::new(Seen::default());
    let record = Arc::clone(&seen);
    let middlebox: Middlebox = Arc::new(move |_, _, packet| {
        record.all.lock().unwrap().extend_from_slice(&packet);
        vec![packet]
    });
    let relay = relay(&plan.roster.nodes, &options(), Some(middlebox));
    use_relay(&mut plan, &relay.settings(Via::Auto));
    for options in &mut plan.options {
        options.build = "build of a bank".to_owned();
    }
    let (nodes, _) = meet(&plan).await;
    let word = b"the rows of one hospital are in here";
    let talk = async {
        for (from, to) in [(0, 1), (1, 2), (2, 0)] {
            let (from, to) = (&nodes[from], &nodes[to]);
            from.send(to.id(), STEP, word).await.unwrap();
            assert_eq!(to.recv(from.id(), Due::exactly(STEP, word.len())).await.unwrap(), word);
        }
        exchange(&nodes, 200_000).await;
    };
    deadline(talk).await;
    let seen = seen.all.lock().unwrap();
    assert!(seen.len() > 6 * 200_000, "{}", seen.len());
    let holds = |text: &[u8]| seen.windows(text.len()).any(|window| window == text);
    // A handshake as it is seen on any line shows its first message, and nobody's key.
    let keys: Vec<[u8; 32]> = plan.keys.iter().map(|key| *key.public_key().as_bytes()).collect();
    for text in
        [word.as_slice(), b"build of a bank", b"mpc-join", &[0xab; 32], b"mpc1", &[0x5a; 16]]
    {
        assert!(!holds(text), "{}", String::from_utf8_lossy(text));
    }
    assert!(!keys.iter().any(|key| holds(key)), "a key is in the clear");
}

/// A relay that wants to be one of the nodes is not believed, because it has not their keys.
#[tokio::test]
async fn a_relay_cannot_stand_between_two_nodes() {
    let plan = hidden(2);
    let (mut one, mut other) = (plan.clone(), plan.clone());
    // The man in the middle has a key of his own, which neither has pinned.
    let mallory = Arc::new(Identity::generate().unwrap());
    let mut wants = plan.clone();
    wants.keys[1] = Arc::clone(&mallory);
    wants.roster.nodes[1].key = mallory.public_key();
    let mut all = plan.roster.nodes.clone();
    all.push(wants.roster.nodes[1].clone());
    let relay = relay(&all, &options(), None);
    for plan in [&mut one, &mut other, &mut wants] {
        use_relay(plan, &relay.settings(Via::Auto));
        plan.options[0].join_timeout = Duration::from_secs(5);
        plan.options[1].join_timeout = Duration::from_secs(5);
    }
    let (a, m) = deadline(async { tokio::join!(one.join(0), wants.join(1)) }).await;
    assert!(matches!(a.0, Err(NetError::Timeout { .. })), "{:?}", a.0.err());
    assert!(matches!(m.0, Err(NetError::Timeout { .. })), "{:?}", m.0.err());
    drop(other);
}

/// Packets that are lost, come late, come twice, or come again from long ago change nothing but time.
#[tokio::test]
async fn a_relay_that_plays_with_packets_changes_nothing_but_time() {
    let mut plan = hidden(3);
    let count = AtomicU64::new(0);
    type Held = (Vec<bytes::Bytes>, std::collections::HashMap<(String, String), bytes::Bytes>);
    let held: Mutex<Held> = Mutex::default();
    let old: Mutex<std::collections::HashMap<(String, String), Vec<bytes::Bytes>>> =
        Mutex::default();
    let middlebox: Middlebox = Arc::new(move |from, to, packet| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let flow = (from.to_string(), to.to_string());
        let mut old = old.lock().unwrap();
        let old = old.entry(flow.clone()).or_default();
        if old.len() < 200 {
            old.push(packet.clone());
        }
        let again = old[number as usize % old.len()].clone();
        let mut held = held.lock().unwrap();
        match number % 40 {
            0 => vec![],
            10 => vec![packet.clone(), packet],
            20 => vec![packet, again],
            // Kept back until the next such packet of the same flow.
            30 => held.1.insert(flow, packet).into_iter().collect(),
            31 => {
                let mut turned = vec![packet];
                turned.extend(held.1.remove(&flow));
                turned
            }
            _ => vec![packet],
        }
    });
    let relay = relay(&plan.roster.nodes, &options(), Some(middlebox));
    use_relay(&mut plan, &relay.settings(Via::Auto));
    let (nodes, _) = meet(&plan).await;
    deadline(exchange(&nodes, 1 << 20)).await;
    let finished = async { tokio::join!(nodes[0].finish(), nodes[1].finish(), nodes[2].finish()) };
    let (a, b, c) = deadline(finished).await;
    a.and(b).and(c).unwrap();
}

/// A relay that is started again in the middle of a run is found again, and the run goes on.
#[tokio::test]
async fn a_relay_may_be_started_again_during_a_run() {
    let mut plan = hidden(3);
    let dark = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&dark);
    let middlebox: Middlebox =
        Arc::new(
            move |_, _, packet| {
                if switch.load(Ordering::Relaxed) { Vec::new() } else { vec![packet] }
            },
        );
    let first = relay(&plan.roster.nodes, &options(), Some(middlebox));
    use_relay(&mut plan, &first.settings(Via::Tcp));
    let (nodes, _) = meet(&plan).await;
    deadline(exchange(&nodes, 10_000)).await;
    // Lines that end, and nobody who answers for a while.
    dark.store(true, Ordering::Relaxed);
    let (identity, tcp) = (Arc::clone(&first.identity), first.tcp);
    first.task.abort();
    drop(first);
    let again = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let options = RelayOptions { tcp: Some(tcp), ..options() };
        let observer: RelayObserver = Arc::new(|_| {});
        let relay = loop {
            if let Ok(relay) = Relay::listen(&identity, &plan.roster.nodes, &options, &observer) {
                break relay;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        relay.serve_until(std::future::pending()).await
    };
    tokio::select! {
        end = again => panic!("{end:?}"),
        () = deadline(exchange(&nodes, 1 << 20)) => {}
    }
    assert_eq!(nodes[0].id(), PartyId(0));
}
