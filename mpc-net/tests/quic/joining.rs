//! Who meets, and what does not fit.

use std::net::UdpSocket;
use std::time::Duration;

use mpc_net::quic::{Identity, JoinEvent, Peer, PublicKey, Roster};
use mpc_net::{Abort, AbortCode, NetError};

use crate::plan::{deadline, exchange, join_and_leave, plan};

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

/// The last node has the addresses of all others and the first of nobody.
#[tokio::test]
async fn a_node_without_an_address_dials() {
    let plan = plan(3, Duration::from_secs(5));
    let join = async |me: usize| {
        let mut plan = plan.clone();
        for node in &mut plan.roster.nodes[me..] {
            node.address = None;
        }
        plan.join(me).await
    };
    let ((a, events), (b, _), (c, _)) =
        deadline(async { tokio::join!(join(0), join(1), join(2)) }).await;
    deadline(exchange(&[a.unwrap(), b.unwrap(), c.unwrap()], 1000)).await;
    let told = |event: &JoinEvent| match event {
        JoinEvent::Unreachable { peer, detail, .. } => {
            peer == "node 2" && detail.contains("has to dial this node")
        }
        _ => false,
    };
    assert!(events.iter().any(told), "{events:?}");
}

/// The first node reaches nobody at the addresses that it has, and a node that is started again is
/// met again, whoever dials.
#[tokio::test]
async fn either_side_may_dial_and_meet_again() {
    let plan = plan(3, Duration::from_secs(5));
    let mut blind = plan.clone();
    let silent: Vec<_> = (0..2).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    for (node, socket) in blind.roster.nodes[1..].iter_mut().zip(&silent) {
        node.address = Some(socket.local_addr().unwrap().to_string());
    }
    let restarting = async {
        let first = tokio::time::timeout(Duration::from_millis(2500), plan.join(1)).await;
        assert!(first.is_err(), "node 2 is not there yet");
        plan.join(1).await
    };
    let late = async {
        tokio::time::sleep(Duration::from_millis(3000)).await;
        plan.join(2).await
    };
    let (a, b, c) = deadline(async { tokio::join!(blind.join(0), restarting, late) }).await;
    assert!(a.1.contains(&JoinEvent::Left { peer: "node 1".to_owned() }), "{:?}", a.1);
    let nodes = [a.0.unwrap(), b.0.unwrap(), c.0.unwrap()];
    deadline(exchange(&nodes, 1000)).await;
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
async fn why_a_peer_is_not_reached_is_told() {
    let told = |events: &[JoinEvent], text: &str| {
        events.iter().any(
            |event| matches!(event, JoinEvent::Unreachable { detail, .. } if detail.contains(text)),
        )
    };
    let mut nowhere = plan(2, Duration::from_secs(5));
    nowhere.options[0].join_timeout = Duration::from_secs(8);
    let mut unnamed = nowhere.clone();
    // Somebody has the port and says nothing.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    nowhere.roster.nodes[1].address = Some(address.to_string());
    unnamed.roster.nodes[1].address = Some("no-such-host.invalid:7400".to_owned());
    unnamed.options[0].listen = crate::plan::free_address();
    let both = async { tokio::join!(nowhere.join(0), unnamed.join(0)) };
    let ((one, silence), (other, names)) = deadline(both).await;
    assert!(matches!(one, Err(NetError::Timeout { .. })) && other.is_err());
    assert!(told(&silence, &format!("no packet came back from {address}")), "{silence:?}");
    assert!(told(&names, "no-such-host.invalid:7400 does not resolve"), "{names:?}");
}

/// Of several addresses the one counts at which the peer answers, wherever it stands in the list.
#[tokio::test]
async fn all_addresses_of_a_peer_are_tried() {
    let mut plan = plan(2, Duration::from_secs(20));
    // Only this side can dial.
    let mut other = plan.clone();
    other.roster.nodes[0].address = None;
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let real = plan.roster.nodes[1].address.replace(silent.local_addr().unwrap().to_string());
    plan.roster.nodes[1].also = vec!["no-such-host.invalid:7400".to_owned(), real.unwrap()];
    let (one, other) = deadline(async { tokio::join!(plan.join(0), other.join(1)) }).await;
    let nodes = [one.0.unwrap(), other.0.unwrap()];
    deadline(exchange(&nodes, 10_000)).await;
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
        also: Vec::new(),
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
    nowhere.roster.dealer = true;
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
