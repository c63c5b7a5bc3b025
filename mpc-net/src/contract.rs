//! The contract of [`Transport`] as a test suite that every implementation has to pass.
//!
//! Each check has a deadline of its own, so that a hang is a failure and names itself.

use std::future::Future;
use std::sync::Mutex;
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::{Abort, AbortCode, BoxFuture, Due, HEADER_BYTES, NetError, PartyId, Tag, Transport};

const STEP: Tag = Tag::new("contract/step");
const OTHER: Tag = Tag::new("contract/other");

/// No check takes longer than this.
const DEADLINE: Duration = Duration::from_secs(20);

/// The time-out of the meshes that are to run into it.
const SHORT: Duration = Duration::from_millis(500);
const LONG: Duration = Duration::from_secs(15);

/// The transports of one mesh, in the order of the nodes.
pub type Nodes = Vec<Box<dyn Transport>>;

/// Builds a mesh of so many nodes with so long a time-out. Nodes are called `node 0`, `node 1`...
pub type Connect = dyn Fn(usize, Duration) -> BoxFuture<'static, Nodes> + Send + Sync;

/// Runs every check with meshes of `nodes` nodes.
///
/// # Panics
/// When an implementation breaks the contract or a check takes too long.
pub async fn run(connect: &Connect, nodes: usize) {
    within("order and sizes", order_and_sizes(connect(nodes, LONG).await)).await;
    within("exchange", exchange(connect(nodes, LONG).await, 8 << 20)).await;
    within("forks", forks(connect(nodes, LONG).await)).await;
    within("wrong frames", wrong_frames(connect, nodes)).await;
    within("sessions", sessions(connect(nodes, LONG).await)).await;
    within("unusable after an error", unusable(connect(nodes, SHORT).await)).await;
    within("abort", abort(connect(nodes, LONG).await)).await;
    within("time-out", silence(connect(nodes, SHORT).await)).await;
    within("chain of waits", chain(connect(nodes, SHORT).await)).await;
    within("lost peer", lost(connect(nodes, LONG).await)).await;
    within("meter", meter(connect(nodes, LONG).await)).await;
    within("finish", finish(connect(nodes, SHORT).await)).await;
    within("finish without a peer", finish_lost(connect(nodes, LONG).await)).await;
    within("finish with a limit", finish_limited(connect(nodes, LONG).await)).await;
}

async fn within(check: &str, future: impl Future<Output = ()>) {
    let done = tokio::time::timeout(DEADLINE, future).await;
    assert!(done.is_ok(), "the check of {check:?} hangs");
}

fn payload(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|i| (i.wrapping_mul(31) ^ (i >> 8) ^ seed.wrapping_mul(97)) as u8).collect()
}

/// Runs one future for each node at the same time.
async fn everyone<'a>(
    nodes: &'a Nodes,
    each: impl Fn(usize, &'a dyn Transport) -> BoxFuture<'a, ()>,
) {
    all(nodes.iter().enumerate().map(|(i, node)| each(i, &**node)).collect()).await;
}

/// Waits for all futures concurrently.
async fn all(mut running: Vec<BoxFuture<'_, ()>>) {
    std::future::poll_fn(|context| {
        running.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if running.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

fn peers(nodes: usize, me: usize) -> impl Iterator<Item = PartyId> {
    (0..nodes).filter(move |peer| *peer != me).map(PartyId::from_index)
}

/// Sends `bytes` to all and receives as much from all, everything at the same time.
async fn swap(node: &dyn Transport, tag: Tag, bytes: &[u8]) -> Vec<Vec<u8>> {
    let received: Vec<Mutex<Vec<u8>>> = (0..node.nodes()).map(|_| Mutex::default()).collect();
    let mut work: Vec<BoxFuture<'_, ()>> = Vec::new();
    for peer in peers(node.nodes(), node.id().index()) {
        work.push(Box::pin(async move { node.send(peer, tag, bytes).await.expect("send") }));
        let slot = &received[peer.index()];
        work.push(Box::pin(async move {
            let got = node.recv(peer, Due::exactly(tag, bytes.len())).await.expect("recv");
            *slot.lock().expect("slot") = got;
        }));
    }
    all(work).await;
    received.into_iter().map(|slot| slot.into_inner().expect("slot")).collect()
}

async fn order_and_sizes(nodes: Nodes) {
    const SIZES: [usize; 10] =
        [0, 1, 19, 20, 21, 1_452, 65_535, 65_537, (1 << 20) + 1, (3 << 20) + 7];
    let n = nodes.len();
    for (i, node) in nodes.iter().enumerate() {
        assert_eq!((node.id().index(), node.nodes()), (i, n));
        assert_eq!(node.name(PartyId::from_index(i)), format!("node {i}"));
    }
    everyone(&nodes, |me, node| {
        Box::pin(async move {
            for (turn, size) in SIZES.into_iter().enumerate() {
                let got = swap(node, STEP, &payload(size, me + turn)).await;
                for peer in peers(n, me) {
                    assert!(got[peer.index()] == payload(size, peer.index() + turn));
                }
            }
        })
    })
    .await;
    // Many small messages without an answer stay in order.
    let (first, last) = (&nodes[0], &nodes[n - 1]);
    let send = async {
        for i in 0..500u32 {
            first.send(last.id(), STEP, &i.to_le_bytes()).await.expect("send");
        }
    };
    let recv = async {
        for i in 0..500u32 {
            let got = last.recv(first.id(), Due::at_most(STEP, 100)).await.expect("recv");
            assert_eq!(got, i.to_le_bytes());
        }
    };
    tokio::join!(send, recv);
}

async fn exchange(nodes: Nodes, size: usize) {
    everyone(&nodes, |me, node| {
        Box::pin(async move {
            let got = swap(node, STEP, &payload(size, me)).await;
            for peer in peers(node.nodes(), me) {
                assert!(got[peer.index()] == payload(size, peer.index()));
            }
        })
    })
    .await;
}

async fn forks(nodes: Nodes) {
    everyone(&nodes, |me, node| {
        Box::pin(async move {
            // The order of forks and of their first use differs between the nodes.
            let mut labels = ["a", "b", "a/b", "1:a"];
            labels.rotate_left(me % 4);
            let forks: Vec<_> =
                labels.iter().map(|label| (*label, node.fork(label).expect("fork"))).collect();
            assert!(matches!(node.fork("a"), Err(NetError::Internal(_))), "a label is used once");
            let nested = forks[0].1.fork("nested").expect("fork");
            let work = forks.iter().map(|(label, fork)| -> BoxFuture<'_, ()> {
                Box::pin(async move {
                    for size in [10, 200_000] {
                        let got = swap(&**fork, STEP, &payload(size, label.len())).await;
                        for peer in peers(fork.nodes(), me) {
                            assert!(got[peer.index()] == payload(size, label.len()));
                        }
                    }
                })
            });
            all(work.collect()).await;
            drop(nested);
            let _ = swap(node, OTHER, b"the root is untouched").await;
        })
    })
    .await;
}

async fn wrong_frames(connect: &Connect, nodes: usize) {
    let cases: [(Tag, usize, Due); 4] = [
        (OTHER, 4, Due::exactly(STEP, 4)),
        (STEP, 3, Due::exactly(STEP, 4)),
        (STEP, 5, Due::exactly(STEP, 4)),
        (STEP, 101, Due::at_most(STEP, 100)),
    ];
    for (tag, size, due) in cases {
        let nodes = connect(nodes, LONG).await;
        let bytes = payload(size, 0);
        let (_, got) =
            tokio::join!(nodes[1].send(PartyId(0), tag, &bytes), nodes[0].recv(PartyId(1), due),);
        let error = got.expect_err("the frame is not the one that is due");
        if tag == OTHER {
            assert!(matches!(error, NetError::OutOfStep { .. }), "{error}");
        } else {
            assert!(matches!(error, NetError::Length { .. }), "{error}");
        }
        let text = error.to_string();
        assert!(text.contains("node 1") && text.contains("contract/step"), "{text}");
        assert_eq!(error.code(), AbortCode::PeerMisbehaved);
    }
}

async fn sessions(nodes: Nodes) {
    everyone(&nodes, |_, node| {
        Box::pin(async move {
            let _ = swap(node, STEP, b"before").await;
            node.bind_session(*b"session1");
            let _ = swap(node, STEP, b"after").await;
            let fork = node.fork("later").expect("fork");
            let _ = swap(&*fork, STEP, b"in a fork").await;
        })
    })
    .await;
    nodes[1].bind_session(*b"session2");
    let (_, got) = tokio::join!(
        nodes[1].send(PartyId(0), STEP, b"x"),
        nodes[0].recv(PartyId(1), Due::exactly(STEP, 1)),
    );
    assert!(matches!(got, Err(NetError::OutOfStep { .. })), "{got:?}");
}

async fn unusable(nodes: Nodes) {
    let first = nodes[0].recv(PartyId(1), Due::exactly(STEP, 1)).await;
    assert!(first.is_err());
    let again = nodes[0].recv(PartyId(1), Due::exactly(STEP, 1)).await;
    assert_eq!(format!("{again:?}"), format!("{first:?}"));
    assert!(nodes[0].send(PartyId(1), STEP, b"x").await.is_err());
    let fork = nodes[0].fork("still good").expect("fork");
    fork.send(PartyId(1), STEP, b"x").await.expect("another channel works");
    for nobody in [PartyId(0), PartyId(999)] {
        assert!(matches!(fork.send(nobody, STEP, b"x").await, Err(NetError::Internal(_))));
    }
}

async fn abort(nodes: Nodes) {
    let n = nodes.len();
    let reason = Abort::new(AbortCode::LocalInput, "line 7 of the data file is not a number");
    everyone(&nodes, |me, node| {
        let reason = reason.clone();
        Box::pin(async move {
            if me == n - 1 {
                tokio::time::sleep(Duration::from_millis(100)).await;
                node.abort(reason.clone());
                node.abort(Abort::new(AbortCode::Internal, "a second call changes nothing"));
                return;
            }
            let last = PartyId::from_index(n - 1);
            let stuck = async {
                // Nobody reads: the sender is waiting for room when the abort comes.
                let block = vec![0; 1 << 20];
                loop {
                    node.send(last, STEP, &block).await?;
                }
            };
            let (received, sent): (_, Result<(), NetError>) =
                tokio::join!(node.recv(last, Due::exactly(STEP, 1)), stuck);
            for error in [received.map(drop), sent, node.send(last, STEP, b"x").await] {
                match error {
                    Err(NetError::Aborted { peer, reason: got }) => {
                        assert_eq!(peer, format!("node {}", n - 1));
                        assert_eq!(got, reason);
                    }
                    other => panic!("expected an abort, got {other:?}"),
                }
            }
        })
    })
    .await;
    assert!(nodes[n - 1].send(PartyId(0), STEP, b"x").await.is_err());
}

async fn silence(nodes: Nodes) {
    let started = Instant::now();
    let error = nodes[0].recv(PartyId(1), Due::exactly(STEP, 1)).await.expect_err("silence");
    assert!(matches!(error, NetError::Timeout { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("node 1") && text.contains("contract/step"), "{text}");
    assert!(started.elapsed() >= SHORT);
}

/// The last node is silent; the first waits for it, the next for the first, and so on. All run out of time
/// at once, and each names the last node.
async fn chain(nodes: Nodes) {
    let n = nodes.len();
    everyone(&nodes, |me, node| {
        Box::pin(async move {
            if me + 1 == n {
                return;
            }
            let awaited = PartyId::from_index((me + n - 1) % n);
            let error = node.recv(awaited, Due::exactly(STEP, 1)).await.expect_err("silence");
            let text = error.to_string();
            for named in [awaited, PartyId::from_index(n - 1)] {
                assert!(text.contains(&named.to_string()), "{me}: {text}");
            }
        })
    })
    .await;
}

async fn lost(mut nodes: Nodes) {
    let last = PartyId::from_index(nodes.len() - 1);
    let leaver = nodes.pop();
    let (error, ()) = tokio::join!(nodes[0].recv(last, Due::exactly(STEP, 1)), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(leaver);
    });
    let error = error.expect_err("the peer is gone");
    assert!(matches!(error, NetError::Lost { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(&last.to_string()) && text.contains("contract/step"), "{text}");
}

async fn meter(nodes: Nodes) {
    const SIZES: [usize; 3] = [0, 17, 100_000];
    let n = nodes.len();
    everyone(&nodes, |me, node| {
        Box::pin(async move {
            node.meter().enter("exchange");
            for size in SIZES {
                let _ = swap(node, STEP, &payload(size, 0)).await;
            }
            let fork = node.fork("meter").expect("fork");
            fork.meter().enter("beside");
            let _ = swap(&*fork, STEP, b"x").await;
            let bytes: u64 = SIZES.iter().map(|size| *size as u64).sum();
            for (phase, bytes, messages) in [("exchange", bytes, 3), ("beside", 1, 1)] {
                let totals = node.meter().phase(phase);
                assert_eq!(totals.peers[me], crate::Traffic::default());
                for peer in peers(n, me) {
                    let traffic = totals.peers[peer.index()];
                    let headers = messages * HEADER_BYTES as u64;
                    assert_eq!((traffic.sent, traffic.received), (bytes, bytes));
                    assert_eq!(traffic.overhead_sent, headers);
                    assert_eq!(traffic.overhead_received, headers);
                    assert_eq!(traffic.messages_sent, messages);
                    assert_eq!(traffic.messages_received, messages);
                }
            }
        })
    })
    .await;
}

async fn finish(nodes: Nodes) {
    everyone(&nodes, |me, node| {
        Box::pin(async move {
            let got = swap(node, STEP, &payload(1 << 20, me)).await;
            for peer in peers(node.nodes(), me) {
                assert!(got[peer.index()] == payload(1 << 20, peer.index()));
            }
            // One node works longer than the time-out; the others wait for it.
            if me == 0 {
                tokio::time::sleep(SHORT * 3).await;
            }
            node.finish().await.expect("finish");
            let peer = PartyId::from_index(usize::from(me == 0));
            assert!(node.send(peer, STEP, b"too late").await.is_err());
        })
    })
    .await;
}

async fn finish_lost(mut nodes: Nodes) {
    let last = PartyId::from_index(nodes.len() - 1);
    let leaver = nodes.pop();
    let (error, ()) = tokio::join!(nodes[0].finish(), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(leaver);
    });
    match error {
        Err(NetError::Lost { peer, .. }) => assert_eq!(peer, last.to_string()),
        other => panic!("expected a lost peer, got {other:?}"),
    }
}

/// A peer that is there and does not finish is named when the time is up.
async fn finish_limited(nodes: Nodes) {
    let begin = Instant::now();
    match nodes[0].finish_within(Some(SHORT)).await {
        Err(NetError::Timeout { peer, after, .. }) => {
            assert_eq!((peer, after), (PartyId(1).to_string(), SHORT));
        }
        other => panic!("expected a time-out, got {other:?}"),
    }
    assert!(begin.elapsed() >= SHORT);
}
