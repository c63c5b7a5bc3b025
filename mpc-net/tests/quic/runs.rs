//! The transport contract, faults and last words.

use std::time::Duration;

use mpc_net::contract::{self, Nodes};
use mpc_net::fault::{Fault, FaultPlan};
use mpc_net::quic::{LinkSettings, Mtu};
use mpc_net::{Abort, AbortCode, BoxFuture, Due, NetError, PartyId, Transport};

use crate::plan::{STEP, deadline, exchange, plan};

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
