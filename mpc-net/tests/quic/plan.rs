//! Keys and addresses of nodes that meet on loopback.

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mpc_net::quic::{
    Identity, JoinEvent, JoinOptions, Observer, Peer, QuicTransport, Roster, join, join_until,
};
use mpc_net::{Abort, AbortCode, BoxFuture, Due, NetError, PartyId, Tag, Transport};

pub(crate) const STEP: Tag = Tag::new("test/step");
pub(crate) const STUDY: [u8; 32] = [0xab; 32];

/// Keys and addresses of a mesh that is about to meet.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) keys: Vec<Arc<Identity>>,
    pub(crate) roster: Roster,
    pub(crate) options: Vec<JoinOptions>,
}

/// An address that nobody uses. Tests run side by side, and a port is free again until its node
/// listens, so none is given twice.
pub(crate) fn free_address() -> SocketAddr {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let address = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        if GIVEN.lock().unwrap().insert(address.port()) {
            return address;
        }
    }
}

pub(crate) fn plan(nodes: usize, silence: Duration) -> Plan {
    let keys: Vec<_> = (0..nodes).map(|_| Arc::new(Identity::generate().unwrap())).collect();
    let addresses: Vec<_> = (0..nodes).map(|_| free_address()).collect();
    let peer = |index: usize| Peer {
        name: format!("node {index}"),
        address: Some(addresses[index].to_string()),
        also: Vec::new(),
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

pub(crate) type Events = Arc<Mutex<Vec<JoinEvent>>>;

pub(crate) fn listen_in() -> (Events, Observer) {
    let events = Events::default();
    let log = Arc::clone(&events);
    (events, Arc::new(move |event| log.lock().unwrap().push(event)))
}

impl Plan {
    pub(crate) async fn join(
        &self,
        me: usize,
    ) -> (Result<QuicTransport, NetError>, Vec<JoinEvent>) {
        let (events, observer) = listen_in();
        let roster = Roster { me: PartyId::from_index(me), ..self.roster.clone() };
        let joined = join(&self.keys[me], &roster, &self.options[me], &observer).await;
        let events = events.lock().unwrap().clone();
        (joined, events)
    }

    pub(crate) async fn join_all(&self) -> Vec<QuicTransport> {
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

    pub(crate) async fn both(&self) -> [(Result<QuicTransport, NetError>, Vec<JoinEvent>); 2] {
        let (a, b) = tokio::join!(self.join(0), self.join(1));
        [a, b]
    }
}

pub(crate) async fn deadline<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(300), future).await.expect("the test hangs")
}

pub(crate) async fn exchange(nodes: &[QuicTransport], size: usize) {
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

/// Joins a node of a plan, which leaves after a while for a reason.
pub(crate) async fn join_and_leave(plan: &Plan, me: usize, after: Duration) -> NetError {
    let roster = Roster { me: PartyId::from_index(me), ..plan.roster.clone() };
    let leave = async {
        tokio::time::sleep(after).await;
        Abort::new(AbortCode::Stopped, "its operator stopped it")
    };
    let (_, observer) = listen_in();
    let joined = join_until(&plan.keys[me], &roster, &plan.options[me], &observer, leave).await;
    joined.err().unwrap()
}

/// A message to each peer, and one from each.
pub(crate) async fn exchange_alone(node: &QuicTransport) -> Result<(), NetError> {
    let peers = || (0..node.nodes()).map(PartyId::from_index).filter(|peer| *peer != node.id());
    for peer in peers() {
        node.send(peer, STEP, b"word").await?;
    }
    for peer in peers() {
        assert_eq!(node.recv(peer, Due::exactly(STEP, 4)).await?, b"word");
    }
    Ok(())
}
