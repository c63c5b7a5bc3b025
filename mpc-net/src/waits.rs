//! Whom the nodes wait for: each tells all others when half of its patience is used up, so that one whose
//! patience ends can say more than the name of the node that it waited for itself.
//!
//! A note is three bytes on a stream of its own: the node that is waited for, and whether it still is.
//! What a node says here is its word and nothing else, and it is told as that; nothing else depends on it.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::PartyId;
use crate::carrier::Carrier;
use crate::channel::Mesh;

/// The path of the stream; forks never have it, because each of their labels stands behind its length.
const PATH: &str = "waits";

/// Bytes of a note.
const NOTE: usize = 3;

/// As many notes are sent to a node in a run, and read of one.
const MOST: usize = 1024;

/// How long a note may wait for the stream before the stream is given up.
const PATIENCE: Duration = Duration::from_secs(10);

/// A stream that is opened when it is needed, and never again once it has failed.
enum Slot<S> {
    Fresh,
    Open(S),
    Gone,
}

impl<S> Slot<S> {
    /// What was there; until it is put back the stream counts as gone.
    fn take(&mut self) -> Self {
        std::mem::replace(self, Self::Gone)
    }
}

/// The notes to one node.
struct Outgoing<W> {
    slot: Slot<W>,
    /// What it was told and is still so.
    told: BTreeSet<PartyId>,
    notes: usize,
}

/// The notes of one node.
struct Incoming<R> {
    slot: Slot<R>,
    notes: usize,
}

/// What one node knows of who waits for whom.
pub(crate) struct Waits<R, W> {
    /// For whom this node has waited for half of its patience, on how many channels.
    own: Mutex<BTreeMap<PartyId, usize>>,
    outgoing: Vec<tokio::sync::Mutex<Outgoing<W>>>,
    incoming: Vec<tokio::sync::Mutex<Incoming<R>>>,
    /// For whom each node says that it waits.
    said: Mutex<Vec<BTreeSet<PartyId>>>,
}

impl<R, W> Waits<R, W> {
    pub(crate) fn new(nodes: usize) -> Self {
        let outgoing = || Outgoing { slot: Slot::Fresh, told: BTreeSet::new(), notes: 0 };
        let incoming = || Incoming { slot: Slot::Fresh, notes: 0 };
        Self {
            own: Mutex::default(),
            outgoing: (0..nodes).map(|_| tokio::sync::Mutex::new(outgoing())).collect(),
            incoming: (0..nodes).map(|_| tokio::sync::Mutex::new(incoming())).collect(),
            said: Mutex::new(vec![BTreeSet::new(); nodes]),
        }
    }

    fn awaited(&self) -> BTreeSet<PartyId> {
        lock(&self.own).keys().copied().collect()
    }

    /// Who says that it waits for whom, beginning with `peer` and following the chain.
    pub(crate) fn chain(&self, peer: PartyId) -> Vec<(PartyId, PartyId)> {
        let said = lock(&self.said);
        let (mut chain, mut next, mut seen) = (Vec::new(), vec![peer], BTreeSet::new());
        while let Some(node) = next.pop() {
            let Some(awaited) = said.get(node.index()).filter(|_| seen.insert(node)) else {
                continue;
            };
            chain.extend(awaited.iter().map(|&awaited| (node, awaited)));
            next.extend(awaited.iter().copied());
        }
        chain
    }
}

/// A node that is waited for, as long as this lives.
pub(crate) struct Overdue<C: Carrier> {
    mesh: Arc<Mesh<C>>,
    peer: PartyId,
    ended: bool,
}

impl<C: Carrier> Overdue<C> {
    /// Tells all others that this node waits for `peer`.
    pub(crate) fn begin(mesh: &Arc<Mesh<C>>, peer: PartyId) -> Self {
        *lock(&mesh.waits.own).entry(peer).or_default() += 1;
        tell(mesh);
        Self { mesh: Arc::clone(mesh), peer, ended: false }
    }

    /// The wait has ended in vain: what was told stays so.
    pub(crate) fn in_vain(mut self) {
        self.ended = true;
    }
}

impl<C: Carrier> Drop for Overdue<C> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let mut own = lock(&self.mesh.waits.own);
        if let Some(count) = own.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                own.remove(&self.peer);
            }
        }
        drop(own);
        tell(&self.mesh);
    }
}

/// Brings all others up to date, beside the work that is going on.
fn tell<C: Carrier>(mesh: &Arc<Mesh<C>>) {
    // Without a runtime the node is on its way out.
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    for index in (0..mesh.names.len()).filter(|&index| index != mesh.me.index()) {
        let mesh = Arc::clone(mesh);
        runtime.spawn(async move {
            let _ = tokio::time::timeout(PATIENCE, update(&mesh, PartyId::from_index(index))).await;
        });
    }
}

async fn update<C: Carrier>(mesh: &Mesh<C>, to: PartyId) {
    let mut out = mesh.waits.outgoing[to.index()].lock().await;
    // Whatever changed while others had the stream is told at once.
    let now = mesh.waits.awaited();
    let changed: Vec<PartyId> = out.told.symmetric_difference(&now).copied().collect();
    if changed.is_empty() || out.notes + changed.len() > MOST {
        return;
    }
    let mut bytes = Vec::with_capacity(NOTE * changed.len());
    for peer in &changed {
        bytes.extend_from_slice(&peer.0.to_le_bytes());
        bytes.push(u8::from(now.contains(peer)));
    }
    let mut stream = match out.slot.take() {
        Slot::Gone => return,
        Slot::Open(stream) => stream,
        Slot::Fresh => match mesh.carrier.open(to, PATH, 0).await {
            Ok(stream) => stream,
            Err(_) => return,
        },
    };
    if stream.write_all(&bytes).await.is_ok() && stream.flush().await.is_ok() {
        out.slot = Slot::Open(stream);
        out.notes += changed.len();
        out.told = now;
    }
}

/// Takes in what all others say, as long as it is polled; it never ends.
pub(crate) async fn listen<C: Carrier>(mesh: &Mesh<C>) -> Infallible {
    let peers = (0..mesh.names.len()).filter(|&index| index != mesh.me.index());
    let mut readers: Vec<_> =
        peers.map(|index| Box::pin(read(mesh, PartyId::from_index(index)))).collect();
    std::future::poll_fn(|context| {
        readers.retain_mut(|reader| reader.as_mut().poll(context).is_pending());
        std::task::Poll::Pending
    })
    .await
}

/// Reads the notes of one node until there are no more.
async fn read<C: Carrier>(mesh: &Mesh<C>, from: PartyId) {
    let mut incoming = mesh.waits.incoming[from.index()].lock().await;
    let mut stream = match incoming.slot.take() {
        Slot::Gone => return,
        Slot::Open(stream) => stream,
        Slot::Fresh => match mesh.carrier.claim(from, PATH).await {
            Ok(stream) => stream,
            Err(_) => return,
        },
    };
    let mut note = [0; NOTE];
    while incoming.notes < MOST && stream.read_exact(&mut note).await.is_ok() {
        incoming.notes += 1;
        let awaited = PartyId(u16::from_le_bytes([note[0], note[1]]));
        // Nobody waits for itself, or for a node that is not there.
        if awaited == from || awaited.index() >= mesh.names.len() {
            return;
        }
        let mut said = lock(&mesh.waits.said);
        match note[2] {
            0 => said[from.index()].remove(&awaited),
            1 => said[from.index()].insert(awaited),
            _ => return,
        };
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Every write leaves these whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::mesh;

    const NODES: [PartyId; 3] = [PartyId(0), PartyId(1), PartyId(2)];

    /// Waits, while node 1 listens, until it has heard `due` of node 0.
    async fn hears(mesh: &Mesh<crate::memory::Pipes>, due: &[(PartyId, PartyId)]) {
        while mesh.waits.chain(NODES[0]) != due {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn listening(mesh: &Mesh<crate::memory::Pipes>, script: impl Future<Output = ()>) {
        let all = async {
            tokio::select! {
                () = script => (),
                never = listen(mesh) => match never {},
            }
        };
        tokio::time::timeout(Duration::from_secs(20), all).await.expect("it is heard");
    }

    #[tokio::test]
    async fn a_wait_is_told_and_taken_back() {
        let nodes = mesh(3);
        let (first, second) = (nodes[0].0.mesh(), nodes[1].0.mesh());
        listening(second, async {
            let one = Overdue::begin(first, NODES[2]);
            let other = Overdue::begin(first, NODES[2]);
            hears(second, &[(NODES[0], NODES[2])]).await;
            drop(one);
            let more = Overdue::begin(first, NODES[1]);
            let both = [(NODES[0], NODES[1]), (NODES[0], NODES[2])];
            hears(second, &both).await;
            more.in_vain();
            drop(other);
            hears(second, &both[..1]).await;
        })
        .await;
    }

    #[tokio::test]
    async fn notes_that_are_none_end_it_and_nothing_else() {
        for wrong in [[0, 0, 1], [3, 0, 1], [2, 0, 2], [0xff, 0xff, 0]] {
            let nodes = mesh(3);
            let (first, second) = (nodes[0].0.mesh(), nodes[1].0.mesh());
            let mut stream = first.carrier.open(NODES[1], PATH, 0).await.expect("a stream");
            let notes = [&[2, 0, 1][..], &wrong, &[2, 0, 0]].concat();
            stream.write_all(&notes).await.expect("written");
            listening(second, async {
                hears(second, &[(NODES[0], NODES[2])]).await;
                while second.waits.incoming[0].try_lock().is_err() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            })
            .await;
            assert_eq!(second.waits.chain(NODES[0]), [(NODES[0], NODES[2])], "{wrong:?}");
        }
    }

    /// Without an end a peer could keep a node busy that is about to give up.
    #[tokio::test]
    async fn no_more_notes_are_read_than_are_sent() {
        let nodes = mesh(2);
        let (first, second) = (nodes[0].0.mesh(), nodes[1].0.mesh());
        let mut stream = first.carrier.open(NODES[1], PATH, 0).await.expect("a stream");
        let last = [[1, 0, 0].repeat(MOST), vec![1, 0, 1]].concat();
        stream.write_all(&last).await.expect("written");
        listening(second, async {
            loop {
                let read = second.waits.incoming[0].try_lock().map(|incoming| incoming.notes);
                if read.is_ok_and(|notes| notes == MOST) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        assert_eq!(second.waits.chain(NODES[0]), []);
    }
}
