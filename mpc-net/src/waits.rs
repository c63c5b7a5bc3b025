//! Whom the nodes wait for: each tells all others when half of its patience is used up, so that one whose
//! patience ends can say more than the name of the node that it waited for itself.
//!
//! A note is three bytes on a stream of its own: the node that is waited for, and whether it still is. A node that names
//! itself says that it is at work: that it computed for at least half of the time since it said so last. Who waits for
//! it, or for one who waits for it, waits on, a bounded number of times; a node that hangs says nothing.
//! What a node says here is its word and nothing else, and it is told as that; nothing else depends on it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
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
const MOST: usize = 4096;

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
    /// How often each node said that it is at work.
    works: Mutex<Vec<usize>>,
    /// Whether all of them are listened to.
    hears: AtomicBool,
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
            works: Mutex::new(vec![0; nodes]),
            hears: AtomicBool::new(false),
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

impl<R, W> Waits<R, W> {
    /// How often each node said so far that it is at work.
    pub(crate) fn works(&self) -> Vec<usize> {
        lock(&self.works).clone()
    }

    /// Whether `peer`, or a node for which it says that it waits, has said since that it is at work.
    pub(crate) fn works_since(&self, peer: PartyId, before: &[usize]) -> bool {
        let works = self.works();
        let chain = self.chain(peer).into_iter().map(|(_, awaited)| awaited);
        let mut nodes = std::iter::once(peer).chain(chain).map(PartyId::index);
        nodes.any(|node| works.get(node) > before.get(node))
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
    let notes: Vec<_> = changed.iter().map(|peer| note(*peer, now.contains(peer))).collect();
    if write(mesh, to, &mut out, &notes).await {
        out.told = now;
    }
}

fn note(node: PartyId, is: bool) -> [u8; NOTE] {
    let [low, high] = node.0.to_le_bytes();
    [low, high, u8::from(is)]
}

/// Whether the notes were sent.
async fn write<C: Carrier>(
    mesh: &Mesh<C>,
    to: PartyId,
    out: &mut Outgoing<C::Writer>,
    notes: &[[u8; NOTE]],
) -> bool {
    let mut stream = match out.slot.take() {
        Slot::Gone => return false,
        Slot::Open(stream) => stream,
        Slot::Fresh => match mesh.carrier.open(to, PATH, 0).await {
            Ok(stream) => stream,
            Err(_) => return false,
        },
    };
    let sent = stream.write_all(notes.as_flattened()).await.is_ok() && stream.flush().await.is_ok();
    if sent {
        out.slot = Slot::Open(stream);
        out.notes += notes.len();
    }
    sent
}

/// Tells all others that this node is at work.
#[cfg(feature = "quic")]
async fn tell_of_work<C: Carrier>(mesh: &Mesh<C>) {
    let peers = (0..mesh.names.len()).filter(|&index| index != mesh.me.index());
    for to in peers.map(PartyId::from_index) {
        let told = async {
            let mut out = mesh.waits.outgoing[to.index()].lock().await;
            if out.notes < MOST {
                write(mesh, to, &mut out, &[note(mesh.me, true)]).await;
            }
        };
        let _ = tokio::time::timeout(PATIENCE, told).await;
    }
}

/// Tells the others now and then whether this node is at work, until the mesh is gone.
#[cfg(feature = "quic")]
pub(crate) async fn tell_while_at_work<C: Carrier>(
    mesh: std::sync::Weak<Mesh<C>>,
    silence: Duration,
) {
    // Others hear of it well before their patience ends.
    let pause = silence / 4;
    let mut before = crate::work::so_far();
    loop {
        tokio::time::sleep(pause).await;
        let now = crate::work::so_far();
        let at_work = now - before >= pause / 2;
        before = now;
        let Some(mesh) = mesh.upgrade() else { return };
        if at_work {
            tell_of_work(&mesh).await;
        }
    }
}

/// Takes in what all others say from now on, until their fates are known: once for a mesh, since a stream is claimed
/// once.
pub(crate) fn hear<C: Carrier>(mesh: &Arc<Mesh<C>>) {
    // Without a runtime the node is on its way out.
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    if mesh.waits.hears.swap(true, Ordering::Relaxed) {
        return;
    }
    for index in (0..mesh.names.len()).filter(|&index| index != mesh.me.index()) {
        let (mesh, peer) = (Arc::clone(mesh), PartyId::from_index(index));
        runtime.spawn(async move {
            tokio::select! {
                () = read(&mesh, peer) => (),
                _ = mesh.fates.when(peer, |_| true) => (),
            }
        });
    }
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
        if awaited == from && note[2] == 1 {
            lock(&mesh.waits.works)[from.index()] += 1;
            continue;
        }
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
mod tests;
