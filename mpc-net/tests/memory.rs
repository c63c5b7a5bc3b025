//! The transport contract and the injected faults on the memory mesh.
#![cfg(feature = "test-util")]
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use mpc_net::contract::{self, Nodes};
use mpc_net::fault::{Fault, FaultPlan};
use mpc_net::memory::{MemoryTransport, MeshOptions};
use mpc_net::{BoxFuture, Due, NetError, PartyId, Tag, Transport};

const STEP: Tag = Tag::new("test/step");

fn connect(nodes: usize, timeout: Duration) -> BoxFuture<'static, Nodes> {
    Box::pin(async move {
        let mesh = MeshOptions::default().timeout(timeout).mesh(nodes);
        mesh.into_iter().map(|node| Box::new(node) as Box<dyn Transport>).collect()
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

fn pair() -> (MemoryTransport, MemoryTransport) {
    let options = MeshOptions::default().timeout(Duration::from_millis(300));
    let mut nodes = options.names(["alice", "bob"]).mesh(2).into_iter();
    (nodes.next().unwrap(), nodes.next().unwrap())
}

/// Alice sends three messages, the second of which the fault strikes.
async fn struck(fault: Fault) -> Vec<Result<Vec<u8>, NetError>> {
    let (alice, bob) = pair();
    alice.inject(FaultPlan::new(fault).to(PartyId(1)).in_step(STEP).at_message(1));
    let view = bob.record();
    let send = async {
        for i in 0..3u8 {
            if alice.send(PartyId(1), STEP, &[i; 4]).await.is_err() {
                break;
            }
        }
    };
    let recv = async {
        let mut got = Vec::new();
        for _ in 0..3 {
            got.push(bob.recv(PartyId(0), Due::exactly(STEP, 4)).await);
        }
        got
    };
    let ((), got) = tokio::join!(send, recv);
    assert_eq!(got[0].as_deref().unwrap(), [0; 4]);
    let good: Vec<_> = got.iter().filter_map(|got| got.as_ref().ok().cloned()).collect();
    assert_eq!(view.payloads(STEP), good);
    for error in got.iter().filter_map(|got| got.as_ref().err()) {
        assert!(error.to_string().contains("alice"), "{error}");
    }
    got
}

#[tokio::test]
async fn every_fault_is_a_named_error() {
    use NetError::{Length, Lost, OutOfStep, Timeout};
    let second = async |fault| struck(fault).await.swap_remove(1).unwrap_err();
    assert!(matches!(second(Fault::WrongTag).await, OutOfStep { .. }));
    assert!(matches!(second(Fault::Replay).await, OutOfStep { .. }));
    assert!(matches!(second(Fault::Short { bytes: 1 }).await, Length { .. }));
    assert!(matches!(second(Fault::Silent).await, Timeout { .. }));
    assert!(matches!(second(Fault::Kill).await, Lost { .. }));
    for at in 0..20 {
        let error = second(Fault::FlipHeader { at, mask: 0x10 }).await;
        assert!(matches!(error, OutOfStep { .. } | Length { .. }), "byte {at}: {error}");
    }
}

#[tokio::test]
async fn changed_payloads_arrive_changed() {
    let got = struck(Fault::FlipPayload { at: 2, mask: 0x80 }).await;
    assert_eq!(got[1].as_deref().unwrap(), [1, 1, 0x81, 1]);
    let got = struck(Fault::Change(std::sync::Arc::new(|payload| payload.fill(9)))).await;
    assert_eq!(got[1].as_deref().unwrap(), [9; 4]);
    assert_eq!(got[2].as_deref().unwrap(), [2; 4]);
}

#[tokio::test]
async fn writing_everything_before_reading_shows_as_a_deadlock() {
    let (alice, bob) = pair();
    let block = vec![0; 2 << 20];
    let both = async {
        tokio::join!(alice.send(PartyId(1), STEP, &block), bob.send(PartyId(0), STEP, &block))
    };
    assert!(tokio::time::timeout(Duration::from_millis(200), both).await.is_err());
}

#[tokio::test]
async fn a_call_dropped_in_mid_frame_makes_the_direction_unusable() {
    let (alice, bob) = pair();
    let block = vec![0; 2 << 20];
    let send = alice.send(PartyId(1), STEP, &block);
    assert!(tokio::time::timeout(Duration::from_millis(50), send).await.is_err());
    assert!(matches!(alice.send(PartyId(1), STEP, b"x").await, Err(NetError::Internal(_))));
    drop(bob);
}

#[tokio::test]
async fn a_lost_peers_last_words_are_still_heard() {
    let (alice, bob) = pair();
    alice.send(PartyId(1), STEP, b"last").await.unwrap();
    drop(alice);
    assert_eq!(bob.recv(PartyId(0), Due::exactly(STEP, 4)).await.unwrap(), b"last");
    let next = bob.recv(PartyId(0), Due::exactly(STEP, 4)).await;
    assert!(matches!(next, Err(NetError::Lost { .. })));
}
