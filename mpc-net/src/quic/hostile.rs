//! Tests with peers and strangers that want to do harm.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::floods::{HostilePeer, Taken, keyless};
use super::identity::Identity;
use super::settings::bind;
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
            also: Vec::new(),
            key: self.keys[index].public_key(),
        };
        let roster =
            Roster { me: PartyId::from_index(me), nodes: vec![peer(0), peer(1)], dealer: false };
        let mut options = JoinOptions::new(self.addresses[me], [7; 32]);
        options.join_timeout = self.patience;
        let observer: Observer = Arc::new(|_| {});
        join(&self.keys[me], &roster, &options, &observer).await
    }
}

#[tokio::test]
async fn a_pinned_peer_takes_little_memory_before_and_after_it_has_joined() {
    let two = Two::new(Duration::from_secs(60));
    let peer = HostilePeer {
        identity: Arc::clone(&two.keys[0]),
        listen: two.addresses[0],
        key: two.keys[1].public_key(),
        address: two.addresses[1],
        context: [7; 32],
    };
    let (joined, taken) = tokio::join!(two.join(1), peer.attack(|| {}));
    joined.unwrap();
    let Taken { unmet, joined, met } = taken;
    assert_eq!((unmet, joined), (0, 0), "no streams before all have met");
    assert!(met < 64 << 20, "{met} bytes that nobody reads");
    assert!(met > 32 << 20, "{met} bytes are too few for the channels of a study");
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
