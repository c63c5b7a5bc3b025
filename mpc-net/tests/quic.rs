//! Joining and the transport contract over real QUIC on loopback.
#![cfg(all(feature = "quic", feature = "test-util"))]
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mpc_net::contract::{self, Nodes};
use mpc_net::fault::{Fault, FaultPlan};
use mpc_net::quic::{
    Dealer, DealerOptions, Identity, JoinEvent, JoinOptions, LinkSettings, Mtu, Observer, Peer,
    PublicKey, QuicTransport, Roster, join, join_until,
};
use mpc_net::{Abort, AbortCode, BoxFuture, Due, NetError, PartyId, Tag, Transport};

const STEP: Tag = Tag::new("test/step");
const STUDY: [u8; 32] = [0xab; 32];

/// Keys and addresses of a mesh that is about to meet.
#[derive(Clone)]
struct Plan {
    keys: Vec<Arc<Identity>>,
    roster: Roster,
    options: Vec<JoinOptions>,
}

/// An address that nobody uses. Tests run side by side, and a port is free again until its node
/// listens, so none is given twice.
fn free_address() -> SocketAddr {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let address = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        if GIVEN.lock().unwrap().insert(address.port()) {
            return address;
        }
    }
}

fn plan(nodes: usize, silence: Duration) -> Plan {
    let keys: Vec<_> = (0..nodes).map(|_| Arc::new(Identity::generate().unwrap())).collect();
    let addresses: Vec<_> = (0..nodes).map(|_| free_address()).collect();
    let peer = |index: usize| Peer {
        name: format!("node {index}"),
        address: Some(addresses[index].to_string()),
        key: keys[index].public_key(),
    };
    let roster = Roster { me: PartyId(0), nodes: (0..nodes).map(peer).collect(), dealer: false };
    let options = addresses
        .iter()
        .map(|listen| JoinOptions {
            join_timeout: Duration::from_secs(10),
            silence_timeout: silence,
            ..JoinOptions::new(*listen, STUDY)
        })
        .collect();
    Plan { keys, roster, options }
}

type Events = Arc<Mutex<Vec<JoinEvent>>>;

fn listen_in() -> (Events, Observer) {
    let events = Events::default();
    let log = Arc::clone(&events);
    (events, Arc::new(move |event| log.lock().unwrap().push(event)))
}

impl Plan {
    async fn join(&self, me: usize) -> (Result<QuicTransport, NetError>, Vec<JoinEvent>) {
        let (events, observer) = listen_in();
        let roster = Roster { me: PartyId::from_index(me), ..self.roster.clone() };
        let joined = join(&self.keys[me], &roster, &self.options[me], &observer).await;
        let events = events.lock().unwrap().clone();
        (joined, events)
    }

    async fn join_all(&self) -> Vec<QuicTransport> {
        let mut tasks = Vec::new();
        for me in 0..self.keys.len() {
            let plan = self.clone();
            tasks.push(tokio::spawn(async move { plan.join(me).await.0.unwrap() }));
        }
        let mut nodes = Vec::new();
        for task in tasks {
            nodes.push(task.await.unwrap());
        }
        nodes
    }

    async fn both(&self) -> [(Result<QuicTransport, NetError>, Vec<JoinEvent>); 2] {
        let (a, b) = tokio::join!(self.join(0), self.join(1));
        [a, b]
    }
}

async fn deadline<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("the test hangs")
}

fn connect(nodes: usize, silence: Duration) -> BoxFuture<'static, Nodes> {
    Box::pin(async move {
        let nodes = plan(nodes, silence).join_all().await;
        nodes.into_iter().map(|node| Box::new(node) as Box<dyn Transport>).collect()
    })
}

#[tokio::test]
async fn the_contract_holds_for_two_nodes() {
    contract::run(&connect, 2).await;
}

#[tokio::test]
async fn the_contract_holds_for_three_nodes() {
    contract::run(&connect, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contract_holds_for_four_nodes_on_two_threads() {
    contract::run(&connect, 4).await;
}

async fn exchange(nodes: &[QuicTransport], size: usize) {
    let block = vec![0x5a; size];
    let mut work: Vec<BoxFuture<'_, ()>> = Vec::new();
    for node in nodes {
        for peer in (0..nodes.len()).map(PartyId::from_index).filter(|peer| *peer != node.id()) {
            let block = &block;
            work.push(Box::pin(async move { node.send(peer, STEP, block).await.unwrap() }));
            work.push(Box::pin(async move {
                let got = node.recv(peer, Due::exactly(STEP, block.len())).await.unwrap();
                assert!(got == *block);
            }));
        }
    }
    std::future::poll_fn(|context| {
        work.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if work.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

#[tokio::test]
async fn ten_mebibytes_each_way_with_either_packet_size() {
    for mtu in [Mtu::Network, Mtu::Loopback] {
        let mut plan = plan(3, Duration::from_secs(20));
        for options in &mut plan.options {
            options.link = LinkSettings { mtu, ..LinkSettings::default() };
        }
        deadline(async { exchange(&plan.join_all().await, 10 << 20).await }).await;
    }
}

#[tokio::test]
async fn nodes_start_in_any_order() {
    let plan = plan(3, Duration::from_secs(5));
    let later = async |me: usize, delay: u64| {
        tokio::time::sleep(Duration::from_millis(delay)).await;
        plan.join(me).await
    };
    let all = async { tokio::join!(later(0, 0), later(1, 700), later(2, 1500)) };
    let ((a, events), (b, _), (c, _)) = deadline(all).await;
    let (_a, _b, _c) = (a.unwrap(), b.unwrap(), c.unwrap());
    assert!(matches!(events[0], JoinEvent::Listening { .. }));
    let waiting = |names: &[&str]| {
        events.iter().any(|event| {
            matches!(event, JoinEvent::Waiting { missing, left: Some(_) } if missing == names)
        })
    };
    assert!(waiting(&["node 1", "node 2"]) && waiting(&["node 2"]), "{events:?}");
    let joined = |name: &str| {
        events.iter().any(|event| matches!(event, JoinEvent::Joined { peer, .. } if peer == name))
    };
    assert!(joined("node 1") && joined("node 2"));

    let all = async { tokio::join!(later(2, 0), later(1, 300), later(0, 600)) };
    drop((_a, _b, _c));
    let ((a, _), (b, _), (c, _)) = deadline(all).await;
    for result in [a, b, c] {
        assert!(result.is_ok(), "{:?}", result.err());
    }
}

#[tokio::test]
async fn a_missing_node_is_named_when_the_time_is_up() {
    let mut plan = plan(3, Duration::from_secs(5));
    for options in &mut plan.options {
        options.join_timeout = Duration::from_millis(1500);
    }
    let (a, b) = deadline(async { tokio::join!(plan.join(0), plan.join(1)) }).await;
    for (result, _) in [a, b] {
        match result.err().unwrap() {
            NetError::Timeout { peer, .. } => assert!(peer.contains("node 2"), "{peer}"),
            // Whose time is up first tells the other.
            NetError::Aborted { reason, .. } => {
                assert_eq!(reason.code, AbortCode::PeerLost);
                assert!(reason.reason.contains("node 2"), "{reason}");
            }
            other => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn a_wrong_key_is_named_at_once() {
    let mut plan = plan(2, Duration::from_secs(5));
    plan.options[1].join_timeout = Duration::from_secs(2);
    let pinned = Identity::generate().unwrap().public_key();
    let shown = plan.keys[1].public_key();
    let mut theirs = plan.clone();
    plan.roster.nodes[1].key = pinned;
    theirs.roster.nodes[1].key = shown;
    let ((error, _), listener) =
        deadline(async { tokio::join!(plan.join(0), theirs.join(1)) }).await;
    match error.err().unwrap() {
        NetError::WrongKey { peer, expected, got, .. } => {
            assert_eq!(peer, "node 1");
            assert_eq!(expected.parse::<PublicKey>().unwrap(), pinned);
            assert_eq!(got.parse::<PublicKey>().unwrap(), shown);
        }
        other => panic!("{other}"),
    }
    assert!(matches!(listener.0, Err(NetError::Timeout { .. })));
}

#[tokio::test]
async fn an_unpinned_key_is_reported_and_refused_by_name() {
    let mut dialler = plan(2, Duration::from_secs(5));
    dialler.options[1].join_timeout = Duration::from_secs(2);
    let mut listener = dialler.clone();
    listener.roster.nodes[0].key = Identity::generate().unwrap().public_key();
    let stranger = dialler.keys[0].public_key();
    let (a, b) = deadline(async { tokio::join!(dialler.join(0), listener.join(1)) }).await;
    let error = a.0.err().unwrap();
    assert!(matches!(error, NetError::Refused { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("node 1") && text.contains(&stranger.to_string()), "{text}");
    assert!(matches!(b.0, Err(NetError::Timeout { .. })), "the listener goes on waiting");
    let reported =
        b.1.iter()
            .any(|event| matches!(event, JoinEvent::UnknownKey { key, .. } if *key == stranger));
    assert!(reported, "{:?}", b.1);
}

#[tokio::test]
async fn what_does_not_fit_is_named_at_both_ends() {
    let silence = Duration::from_secs(5);
    let mut study = plan(2, silence);
    study.options[1].context = [0xcd; 32];
    for (result, _) in deadline(study.both()).await {
        let text = result.err().unwrap().to_string();
        assert!(text.contains("abababababab") && text.contains("cdcdcdcdcdcd"), "{text}");
    }

    // The listener counts a third node, which is a dealer.
    let both = async |change: &dyn Fn(&mut Roster)| {
        let ours = plan(2, silence);
        let mut theirs = ours.clone();
        change(&mut theirs.roster);
        deadline(async { tokio::join!(ours.join(0), theirs.join(1)) }).await
    };
    let third = Peer {
        name: "third".to_owned(),
        address: Some("127.0.0.1:9".to_owned()),
        key: Identity::generate().unwrap().public_key(),
    };
    let ((a, _), (b, _)) = both(&|roster| roster.nodes.push(third.clone())).await;
    for result in [a, b] {
        let error = result.err().unwrap();
        assert!(matches!(error, NetError::Refused { .. }), "{error}");
        assert!(error.to_string().contains('3') && error.to_string().contains('2'), "{error}");
    }
    let ((a, _), (b, _)) = both(&|roster| roster.dealer = true).await;
    for result in [a, b] {
        let text = result.err().unwrap().to_string();
        assert!(text.contains("dealer") && text.contains("party"), "{text}");
    }
}

#[tokio::test]
async fn unusable_settings_are_configuration_errors() {
    let good = plan(2, Duration::from_secs(5));
    let mut swapped = good.clone();
    swapped.roster.nodes.swap(0, 1);
    let mut nowhere = good.clone();
    nowhere.roster.nodes[1].address = None;
    let mut twins = good.clone();
    twins.roster.nodes[1].key = twins.roster.nodes[0].key;
    let mut taken = good.clone();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    taken.options[0].listen = socket.local_addr().unwrap();
    for plan in [swapped, nowhere, twins, taken] {
        let error = plan.join(0).await.0.err().unwrap();
        assert!(matches!(error, NetError::Configuration(_)), "{error}");
    }
}

#[tokio::test]
async fn faults_and_deaths_are_named() {
    type Fits = fn(&NetError) -> bool;
    let cases: [(Fault, Fits); 5] = [
        (Fault::Short { bytes: 1 }, |error| matches!(error, NetError::Length { .. })),
        (Fault::WrongTag, |error| matches!(error, NetError::OutOfStep { .. })),
        (Fault::Silent, |error| matches!(error, NetError::Timeout { .. })),
        (Fault::Kill, |error| matches!(error, NetError::Lost { .. })),
        (Fault::Replay, |error| matches!(error, NetError::OutOfStep { .. })),
    ];
    for (fault, fits) in cases {
        let nodes = deadline(plan(3, Duration::from_secs(1)).join_all()).await;
        nodes[1].inject(FaultPlan::new(fault.clone()).at_message(1));
        let ((), error) = deadline(async {
            tokio::join!(
                async {
                    nodes[1].send(PartyId(0), STEP, b"one").await.unwrap();
                    // A node that dies takes with it what is still on its way.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    let _ = nodes[1].send(PartyId(0), STEP, b"two").await;
                },
                async {
                    nodes[0].recv(PartyId(1), Due::exactly(STEP, 3)).await.unwrap();
                    nodes[0].recv(PartyId(1), Due::exactly(STEP, 3)).await.unwrap_err()
                }
            )
        })
        .await;
        assert!(fits(&error) && error.to_string().contains("node 1"), "{fault:?}: {error}");
    }
}

#[tokio::test]
async fn an_abort_with_a_long_reason_arrives_cut() {
    let nodes = deadline(plan(2, Duration::from_secs(5)).join_all()).await;
    nodes[1].abort(Abort::new(AbortCode::Stopped, format!("stop\u{1b}{}", "é".repeat(5000))));
    let error = nodes[0].recv(PartyId(1), Due::exactly(STEP, 3)).await.unwrap_err();
    match error {
        NetError::Aborted { reason, .. } => {
            assert_eq!(reason.code, AbortCode::Stopped);
            assert!(reason.reason.starts_with("stop é") && reason.reason.len() <= 600);
        }
        other => panic!("{other}"),
    }
    let linger = nodes[1].linger();
    drop(nodes);
    linger.wait(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn a_node_that_restarts_while_others_wait_joins_again() {
    let plan = plan(3, Duration::from_secs(5));
    let restarting = async {
        let first = tokio::time::timeout(Duration::from_millis(700), plan.join(1)).await;
        assert!(first.is_err(), "node 2 is not there yet");
        plan.join(1).await
    };
    let late = async {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        plan.join(2).await
    };
    let (a, b, c) = deadline(async { tokio::join!(plan.join(0), restarting, late) }).await;
    assert!(b.0.is_ok(), "{:?}", b.0.err());
    assert!(a.1.contains(&JoinEvent::Left { peer: "node 1".to_owned() }), "{:?}", a.1);
    let nodes = [a.0.unwrap(), b.0.unwrap(), c.0.unwrap()];
    deadline(exchange(&nodes, 1000)).await;
}

/// Joins a node of a plan, which leaves after a while for a reason.
async fn join_and_leave(plan: &Plan, me: usize, after: Duration) -> NetError {
    let roster = Roster { me: PartyId::from_index(me), ..plan.roster.clone() };
    let leave = async {
        tokio::time::sleep(after).await;
        Abort::new(AbortCode::Stopped, "its operator stopped it")
    };
    let (_, observer) = listen_in();
    let joined = join_until(&plan.keys[me], &roster, &plan.options[me], &observer, leave).await;
    joined.err().unwrap()
}

#[tokio::test]
async fn a_node_that_gives_up_while_others_wait_is_named_by_them() {
    // Whoever dials whom: node 0 dials the other one, node 1 is dialled.
    for (leaves, stays) in [(0, 1), (1, 0)] {
        let plan = plan(3, Duration::from_secs(5));
        let leaving = join_and_leave(&plan, leaves, Duration::from_millis(700));
        let (left, (stayed, _)) = deadline(async { tokio::join!(leaving, plan.join(stays)) }).await;
        assert!(matches!(left, NetError::Stopped), "{left}");
        match stayed.err().unwrap() {
            NetError::Aborted { peer, reason } => {
                assert_eq!(peer, format!("node {leaves}"));
                assert_eq!(reason, Abort::new(AbortCode::Stopped, "its operator stopped it"));
            }
            other => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn nodes_that_refuse_each_other_tell_the_third() {
    let mut plan = plan(3, Duration::from_secs(5));
    plan.options[2].context = [0xcd; 32];
    let all = async { tokio::join!(plan.join(0), plan.join(1), plan.join(2)) };
    let ((a, _), (b, _), (c, _)) = deadline(all).await;
    for result in [a, b, c] {
        let error = result.err().unwrap();
        assert!(error.to_string().contains("cdcdcdcdcdcd"), "{error}");
    }
}

#[tokio::test]
async fn a_dealer_goes_on_without_a_party_that_gave_up_and_tells_why_it_leaves() {
    let mut plan = plan(3, Duration::from_secs(5));
    plan.roster.dealer = true;
    let pinned = plan.roster.nodes[..2].to_vec();
    let options = DealerOptions::new(plan.options[2].listen);
    let mut dealer = Dealer::listen(&plan.keys[2], pinned, options).unwrap();
    let (events, observer) = listen_in();
    let leave = async {
        // The party came, gave up, and came again.
        assert!(matches!(
            join_and_leave(&plan, 0, Duration::from_millis(500)).await,
            NetError::Stopped
        ));
        // At another address: that of a dial that was broken off stays in use for seconds.
        let mut plan = plan.clone();
        plan.options[0].listen = free_address();
        plan.join(0).await.0.err().unwrap()
    };
    let dealing = async {
        let reason = Abort::new(AbortCode::Stopped, "the dealer is stopped");
        let leave = async {
            tokio::time::sleep(Duration::from_millis(2500)).await;
            reason
        };
        dealer.next_study_until(&observer, leave).await.err().unwrap()
    };
    let (party, dealt) = deadline(async { tokio::join!(leave, dealing) }).await;
    assert!(matches!(dealt, NetError::Stopped), "{dealt}");
    match party {
        NetError::Aborted { peer, reason } => {
            assert_eq!(
                (peer.as_str(), reason.reason.as_str()),
                ("node 2", "the dealer is stopped")
            );
        }
        other => panic!("{other}"),
    }
    let left = JoinEvent::Left { peer: "node 0".to_owned() };
    assert!(events.lock().unwrap().contains(&left), "{:?}", events.lock().unwrap());
}

#[tokio::test]
async fn a_last_word_comes_before_the_transport_is_dropped() {
    let mut nodes = deadline(plan(2, Duration::from_secs(5)).join_all()).await;
    let leaver = nodes.pop().unwrap();
    let linger = leaver.linger();
    linger.abort(&Abort::new(AbortCode::Stopped, "stopped"));
    drop(leaver);
    linger.wait(Duration::from_secs(2)).await;
    let error = nodes[0].recv(PartyId(1), Due::exactly(STEP, 3)).await.unwrap_err();
    assert!(
        matches!(&error, NetError::Aborted { reason, .. } if reason.reason == "stopped"),
        "{error}"
    );
}

#[tokio::test]
async fn a_dealer_serves_one_study_after_the_other() {
    let mut plan = plan(3, Duration::from_secs(5));
    plan.roster.dealer = true;
    // The dealer lists the parties in an order of its own, and one who is not in this study.
    let mut pinned = vec![plan.roster.nodes[1].clone(), plan.roster.nodes[0].clone()];
    let other = Arc::new(Identity::generate().unwrap());
    pinned.push(Peer { name: "other".to_owned(), address: None, key: other.public_key() });
    let options = DealerOptions::new(plan.options[2].listen);
    let mut dealer = Dealer::listen(&plan.keys[2], pinned, options).unwrap();
    for study in [[1; 32], [2; 32]] {
        for options in &mut plan.options {
            options.context = study;
        }
        // A party of another study comes first and leaves; another one has to wait.
        let (events, observer) = listen_in();
        let stray = Plan {
            keys: vec![Arc::clone(&other), Arc::clone(&plan.keys[1]), Arc::clone(&plan.keys[2])],
            roster: Roster {
                nodes: vec![
                    Peer { name: "other".to_owned(), address: None, key: other.public_key() },
                    plan.roster.nodes[1].clone(),
                    plan.roster.nodes[2].clone(),
                ],
                ..plan.roster.clone()
            },
            options: vec![
                JoinOptions {
                    join_timeout: Duration::from_millis(600),
                    ..JoinOptions::new(free_address(), [9; 32])
                };
                3
            ],
        };
        let parties = async {
            assert!(stray.join(0).await.0.is_err());
            tokio::join!(plan.join(0), plan.join(1))
        };
        let met = async { tokio::join!(dealer.next_study(&observer), parties) };
        let (dealt, ((a, _), (b, _))) = deadline(met).await;
        let (dealt, context) = dealt.unwrap();
        assert_eq!(context, study);
        assert!(!events.lock().unwrap().is_empty());
        let nodes = [a.unwrap(), b.unwrap(), dealt];
        assert_eq!((nodes[2].id(), nodes[2].nodes()), (PartyId(2), 3));
        assert_eq!(nodes[2].name(PartyId(0)), "node 0");
        assert_eq!(nodes[2].name(PartyId(1)), "node 1");
        deadline(exchange(&nodes, 100_000)).await;
        let finished =
            async { tokio::join!(nodes[0].finish(), nodes[1].finish(), nodes[2].finish()) };
        let (a, b, c) = deadline(finished).await;
        a.and(b).and(c).unwrap();
    }
}
