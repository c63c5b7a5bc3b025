//! A dealer and the parties of one study after the other.

use std::sync::Arc;
use std::time::Duration;

use mpc_net::quic::{Dealer, DealerOptions, Identity, JoinEvent, JoinOptions, Peer, Roster};
use mpc_net::{Abort, AbortCode, NetError, PartyId, Transport};

use crate::plan::{Plan, deadline, exchange, free_address, join_and_leave, listen_in, plan};

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
async fn a_dealer_serves_one_study_after_the_other() {
    let mut plan = plan(3, Duration::from_secs(5));
    plan.roster.dealer = true;
    // The dealer lists the parties in an order of its own, and one who is not in this study.
    let mut pinned = vec![plan.roster.nodes[1].clone(), plan.roster.nodes[0].clone()];
    let other = Arc::new(Identity::generate().unwrap());
    pinned.push(Peer {
        name: "other".to_owned(),
        address: None,
        also: Vec::new(),
        key: other.public_key(),
    });
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
                    Peer {
                        name: "other".to_owned(),
                        address: None,
                        also: Vec::new(),
                        key: other.public_key(),
                    },
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
