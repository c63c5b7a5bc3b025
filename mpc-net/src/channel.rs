//! The channel: framing, checks, time-outs and counting over any carrier.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::carrier::{Carrier, Fate, Fates};
use crate::frame::{Expected, HEADER_BYTES, Header, MAX_PAYLOAD, step};
use crate::patience::Patience;
use crate::record::Recorder;
use crate::waits::Waits;
use crate::{Abort, BoxFuture, Due, Meter, NetError, PartyId, Tag, Transport};

/// Payloads up to this size travel in one write together with their header.
const ONE_WRITE: usize = 64 << 10;

/// How long after the end of a wait the reason may take to become known.
pub(crate) const REASON_WAIT: Duration = Duration::from_secs(1);

/// The path of the channel that carries the closing barrier; forks never have it, because each
/// of their labels stands behind its length.
const DONE_PATH: &str = "done";
const DONE: Tag = Tag::new("mesh/done");

/// What all channels of one node share.
pub(crate) struct Mesh<C: Carrier> {
    pub(crate) me: PartyId,
    pub(crate) names: Vec<String>,
    pub(crate) silence: Duration,
    pub(crate) carrier: C,
    pub(crate) fates: Arc<Fates>,
    /// Who waits for whom.
    pub(crate) waits: Waits<C::Reader, C::Writer>,
    /// Who is told of all messages.
    pub(crate) recorder: OnceLock<Arc<dyn Recorder>>,
    #[cfg(feature = "test-util")]
    pub(crate) hooks: crate::fault::Hooks,
}

impl<C: Carrier> Mesh<C> {
    fn end(&self, why: &str) {
        self.fates.settle_all(&Fate::Local(why.to_owned()));
    }

    /// Leaves the mesh as if the process had died.
    pub(crate) fn leave(&self, why: &str) {
        self.carrier.leave();
        self.end(why);
    }
}

/// One direction of a channel to one peer.
struct Half<S> {
    stream: Option<S>,
    next: u64,
    /// A call is at work, or was dropped in the middle of a frame.
    busy: bool,
}

impl<S> Half<S> {
    fn new() -> tokio::sync::Mutex<Self> {
        tokio::sync::Mutex::new(Self { stream: None, next: 0, busy: false })
    }

    /// Starts a frame and returns its sequence number.
    fn start(&mut self) -> Result<u32, NetError> {
        if self.busy {
            return Err(NetError::Internal(
                "a call was dropped in the middle of a frame".to_owned(),
            ));
        }
        let sequence = u32::try_from(self.next).map_err(|_| {
            NetError::Internal("a channel carries at most 2^32 messages per direction".to_owned())
        })?;
        self.busy = true;
        Ok(sequence)
    }

    fn done(&mut self) {
        self.busy = false;
        self.next += 1;
    }
}

/// Why bytes did not come.
pub(crate) enum Broken {
    /// Nothing came for so long.
    Silent(Duration),
    Stream(io::Error),
    Frame(NetError),
}

/// A channel of the mesh. The root channel ends the node's mesh when it is dropped.
pub(crate) struct Channel<C: Carrier> {
    mesh: Arc<Mesh<C>>,
    /// How many forks lie between the root channel and this one.
    depth: u16,
    /// Unambiguous: each label behind its length.
    path: String,
    /// For people.
    display: String,
    session: Mutex<[u8; 8]>,
    outgoing: Vec<tokio::sync::Mutex<Half<C::Writer>>>,
    incoming: Vec<tokio::sync::Mutex<Half<C::Reader>>>,
    failure: Mutex<Option<NetError>>,
    labels: Mutex<BTreeSet<String>>,
    meter: Meter,
}

impl<C: Carrier> Channel<C> {
    pub(crate) fn root(mesh: Mesh<C>) -> Self {
        let meter = Meter::new(mesh.names.len(), "handshake");
        Self::new(Arc::new(mesh), 0, String::new(), String::new(), [0; 8], meter)
    }

    fn new(
        mesh: Arc<Mesh<C>>,
        depth: u16,
        path: String,
        display: String,
        session: [u8; 8],
        meter: Meter,
    ) -> Self {
        let nodes = mesh.names.len();
        Self {
            mesh,
            depth,
            path,
            display,
            session: Mutex::new(session),
            outgoing: (0..nodes).map(|_| Half::new()).collect(),
            incoming: (0..nodes).map(|_| Half::new()).collect(),
            failure: Mutex::new(None),
            labels: Mutex::new(BTreeSet::new()),
            meter,
        }
    }

    pub(crate) fn mesh(&self) -> &Arc<Mesh<C>> {
        &self.mesh
    }

    fn peer(&self, peer: PartyId) -> &str {
        self.mesh.names.get(peer.index()).map_or("an unknown node", String::as_str)
    }

    /// Whether calls for `peer` make sense and nothing has failed on this channel.
    fn usable(&self, peer: PartyId) -> Result<(), NetError> {
        if peer == self.mesh.me || peer.index() >= self.mesh.names.len() {
            return Err(NetError::Internal(format!("{peer} is not a peer of {}", self.mesh.me)));
        }
        lock(&self.failure).clone().map_or(Ok(()), Err)
    }

    /// Makes the channel unusable after an error.
    fn keep<T>(&self, result: Result<T, NetError>) -> Result<T, NetError> {
        if let Err(error) = &result {
            lock(&self.failure).get_or_insert_with(|| error.clone());
        }
        result
    }

    fn fated(&self, peer: PartyId, expected: String, fate: Fate) -> NetError {
        let peer = self.peer(peer).to_owned();
        match fate {
            Fate::Aborted(reason) => NetError::Aborted { peer, reason },
            Fate::Lost(detail) => NetError::Lost { peer, expected, detail },
            Fate::Finished => {
                NetError::Lost { peer, expected, detail: "it has finished".to_owned() }
            }
            Fate::Local(why) => NetError::Internal(why),
        }
    }

    /// The error of a broken stream: the peer's fate. As long as it is there it is about to give up for a
    /// reason that it says when it comes to it; it may be at work on something else before.
    async fn broken(&self, peer: PartyId, expected: String, error: &io::Error) -> NetError {
        let patience = self.mesh.silence.max(REASON_WAIT);
        match timeout(patience, self.mesh.fates.when(peer, |_| true)).await {
            Ok(fate) => self.fated(peer, expected, fate),
            Err(_) => NetError::Lost {
                peer: self.peer(peer).to_owned(),
                expected,
                detail: error.to_string(),
            },
        }
    }

    /// The error of a peer that sent nothing for so long. It may itself have waited for another one just
    /// as long: who is named besides is the one that it names, be it as it gives up or in what the nodes
    /// tell each other of their waiting.
    async fn silent(&self, peer: PartyId, expected: String, after: Duration) -> NetError {
        match timeout(REASON_WAIT, self.mesh.fates.when(peer, |_| true)).await {
            Ok(fate @ (Fate::Aborted(_) | Fate::Local(_))) => self.fated(peer, expected, fate),
            _ => {
                let chain = self.mesh.waits.chain(peer).into_iter();
                let named = |(a, b)| (self.peer(a).to_owned(), self.peer(b).to_owned());
                let waits = chain.map(named).collect();
                NetError::Timeout { peer: self.peer(peer).to_owned(), expected, after, waits }
            }
        }
    }

    async fn send_frame(&self, to: PartyId, tag: Tag, payload: &[u8]) -> Result<(), NetError> {
        let length =
            u32::try_from(payload.len()).ok().filter(|_| payload.len() <= MAX_PAYLOAD).ok_or_else(
                || NetError::Internal(format!("{} is too long for a frame", tag.label())),
            )?;
        let mut half = self.outgoing[to.index()].lock().await;
        let sequence = half.start()?;
        let session = *lock(&self.session);
        let header = Header { length, tag: tag.code(), sequence, session };
        let written = tokio::select! {
            biased;
            fate = self.mesh.fates.when(to, |_| true) => {
                return Err(self.fated(to, step(&self.display, tag, sequence), fate));
            }
            written = self.write(to, &mut half.stream, header, tag, payload) => written,
        };
        if let Err(error) = written {
            return Err(self.broken(to, step(&self.display, tag, sequence), &error).await);
        }
        half.done();
        self.meter.sent(to, payload.len(), HEADER_BYTES);
        Ok(())
    }

    async fn write(
        &self,
        to: PartyId,
        stream: &mut Option<C::Writer>,
        header: Header,
        tag: Tag,
        payload: &[u8],
    ) -> io::Result<()> {
        let stream = match stream {
            Some(stream) => stream,
            None => stream.insert(self.mesh.carrier.open(to, &self.path, self.depth).await?),
        };
        // What the protocol gives to be sent, whatever becomes of it on the way.
        self.record_sent(to, tag, payload);
        #[cfg(feature = "test-util")]
        if let Some(tampered) =
            self.mesh.hooks.tamper(to, tag, &self.path, &header.encode(), payload)
        {
            let Some(bytes) = tampered else {
                self.mesh.leave("killed by an injected fault");
                return std::future::pending().await;
            };
            stream.write_all(&bytes).await?;
            return stream.flush().await;
        }
        if payload.len() <= ONE_WRITE {
            let mut frame = Vec::with_capacity(HEADER_BYTES + payload.len());
            frame.extend_from_slice(&header.encode());
            frame.extend_from_slice(payload);
            stream.write_all(&frame).await?;
        } else {
            stream.write_all(&header.encode()).await?;
            stream.write_all(payload).await?;
        }
        stream.flush().await
    }

    fn record_sent(&self, to: PartyId, tag: Tag, payload: &[u8]) {
        if let Some(recorder) = self.mesh.recorder.get() {
            recorder.sent(to, &self.path, tag, payload);
        }
    }

    async fn recv_frame(&self, from: PartyId, due: Due) -> Result<Vec<u8>, NetError> {
        let mut half = self.incoming[from.index()].lock().await;
        let sequence = half.start()?;
        let expected = Expected {
            peer: self.peer(from),
            channel: &self.display,
            due,
            sequence,
            session: *lock(&self.session),
        };
        let patience =
            Patience { mesh: &self.mesh, from, limit: (!due.patient).then_some(self.mesh.silence) };
        let fates = &self.mesh.fates;
        // What a lost peer sent before is still read; an abort overtakes it.
        let result = tokio::select! {
            biased;
            fate = fates.when(from, Fate::is_urgent) => {
                return Err(self.fated(from, expected.step(), fate));
            }
            result = self.read(&patience, &self.path, &mut half.stream, &expected) => result,
            fate = fates.when(from, |_| true) => {
                return Err(self.fated(from, expected.step(), fate));
            }
        };
        let payload = match result {
            Ok(payload) => payload,
            Err(Broken::Frame(error)) => return Err(error),
            Err(Broken::Stream(error)) => {
                return Err(self.broken(from, expected.step(), &error).await);
            }
            Err(Broken::Silent(after)) => {
                return Err(self.silent(from, expected.step(), after).await);
            }
        };
        half.done();
        self.meter.received(from, payload.len(), HEADER_BYTES);
        if let Some(recorder) = self.mesh.recorder.get() {
            recorder.received(from, &self.path, due.tag, &payload);
        }
        #[cfg(feature = "test-util")]
        self.mesh.hooks.seen(from, &self.display, due.tag, &payload);
        Ok(payload)
    }

    async fn read(
        &self,
        patience: &Patience<'_, C>,
        path: &str,
        stream: &mut Option<C::Reader>,
        expected: &Expected<'_>,
    ) -> Result<Vec<u8>, Broken> {
        let stream = match stream {
            Some(stream) => stream,
            None => {
                let claim = self.mesh.carrier.claim(patience.from, path);
                let claimed = patience.within(claim).await?;
                stream.insert(claimed.map_err(Broken::Stream)?)
            }
        };
        let mut header = Vec::with_capacity(HEADER_BYTES);
        patience.fill(stream, &mut header, HEADER_BYTES).await?;
        let length = expected.check(&header).map_err(Broken::Frame)?;
        let mut payload = Vec::with_capacity(length);
        patience.fill(stream, &mut payload, length).await?;
        Ok(payload)
    }

    /// The closing barrier with one peer.
    async fn finish_with(&self, peer: PartyId, limit: Option<Duration>) -> Result<(), NetError> {
        let expected = Expected {
            peer: self.peer(peer),
            channel: "",
            due: Due::exactly(DONE, 0),
            sequence: 0,
            session: *lock(&self.session),
        };
        let header = Header { length: 0, tag: DONE.code(), sequence: 0, session: expected.session };
        let carrier = &self.mesh.carrier;
        let tell = async {
            let mut writer = carrier.open(peer, DONE_PATH, 0).await.map_err(Broken::Stream)?;
            writer.write_all(&header.encode()).await.map_err(Broken::Stream)?;
            writer.flush().await.map_err(Broken::Stream)?;
            Ok(writer)
        };
        let mut stream = None;
        let patience = Patience { mesh: &self.mesh, from: peer, limit };
        let hear = self.read(&patience, DONE_PATH, &mut stream, &expected);
        let both = async {
            let (writer, _) = tokio::try_join!(tell, hear)?;
            carrier.drain(writer).await;
            Ok(())
        };
        let fates = &self.mesh.fates;
        let (error, fate) = tokio::select! {
            biased;
            fate = fates.when(peer, Fate::is_urgent) => (None, Some(fate)),
            result = both => match result {
                Ok(()) => return Ok(()),
                Err(Broken::Frame(error)) => return Err(error),
                Err(Broken::Silent(after)) => {
                    let (peer, expected) = (self.peer(peer).to_owned(), expected.step());
                    return Err(NetError::Timeout { peer, expected, after, waits: Vec::new() });
                }
                Err(Broken::Stream(error)) => {
                    match timeout(REASON_WAIT, fates.when(peer, |_| true)).await {
                        Ok(fate) => (None, Some(fate)),
                        Err(_) => (Some(error), None),
                    }
                }
            },
            fate = fates.when(peer, |_| true) => (None, Some(fate)),
        };
        match fate {
            // A peer closes only once it has this node's frame and this node has its own.
            Some(Fate::Finished) => Ok(()),
            Some(fate) => Err(self.fated(peer, expected.step(), fate)),
            None => Err(NetError::Lost {
                peer: expected.peer.to_owned(),
                expected: expected.step(),
                detail: error.map_or_else(|| "no answer".to_owned(), |error| error.to_string()),
            }),
        }
    }

    async fn finish_all(&self, limit: Option<Duration>) -> Result<(), NetError> {
        if self.depth > 0 {
            return Err(NetError::Internal("only the root channel finishes".to_owned()));
        }
        if let Some(error) = lock(&self.failure).clone() {
            return Err(error);
        }
        // All at once, and each to its end: the first error wins, in the order of the nodes.
        let mut waits: Vec<BoxFuture<'_, Result<(), NetError>>> = Vec::new();
        for index in 0..self.mesh.names.len() {
            let peer = PartyId::from_index(index);
            if peer != self.mesh.me {
                waits.push(Box::pin(self.finish_with(peer, limit)));
            }
        }
        let result = try_all(waits).await;
        self.keep(result)?;
        self.mesh.carrier.close().await;
        self.mesh.end("the mesh has finished");
        Ok(())
    }
}

impl<C: Carrier> Drop for Channel<C> {
    fn drop(&mut self) {
        self.mesh.carrier.release(&self.path);
        if self.depth == 0 {
            self.mesh.leave("the root channel was dropped");
        }
    }
}

impl<C: Carrier> Transport for Channel<C> {
    fn id(&self) -> PartyId {
        self.mesh.me
    }

    fn nodes(&self) -> usize {
        self.mesh.names.len()
    }

    fn name(&self, node: PartyId) -> String {
        self.mesh.names.get(node.index()).cloned().unwrap_or_else(|| node.to_string())
    }

    fn send<'a>(
        &'a self,
        to: PartyId,
        tag: Tag,
        payload: &'a [u8],
    ) -> BoxFuture<'a, Result<(), NetError>> {
        Box::pin(async move {
            self.usable(to)?;
            let result = self.send_frame(to, tag, payload).await;
            self.keep(result)
        })
    }

    fn recv(&self, from: PartyId, due: Due) -> BoxFuture<'_, Result<Vec<u8>, NetError>> {
        Box::pin(async move {
            self.usable(from)?;
            let result = self.recv_frame(from, due).await;
            self.keep(result)
        })
    }

    fn fork(&self, label: &str) -> Result<Box<dyn Transport>, NetError> {
        let (path, display) = forked(&self.path, &self.display, &self.labels, label)?;
        let mesh = Arc::clone(&self.mesh);
        let session = *lock(&self.session);
        Ok(Box::new(Self::new(
            mesh,
            self.depth.saturating_add(1),
            path,
            display,
            session,
            self.meter.fork(),
        )))
    }

    fn bind_session(&self, session: [u8; 8]) {
        *lock(&self.session) = session;
    }

    fn meter(&self) -> &Meter {
        &self.meter
    }

    fn abort(&self, reason: Abort) {
        self.mesh.carrier.abort(&reason);
        self.mesh.end(&format!("this node gave up: {reason}"));
    }

    fn finish_within(&self, limit: Option<Duration>) -> BoxFuture<'_, Result<(), NetError>> {
        Box::pin(self.finish_all(limit))
    }
}

/// Waits for all futures concurrently; the first error ends the wait.
async fn try_all(mut waits: Vec<BoxFuture<'_, Result<(), NetError>>>) -> Result<(), NetError> {
    std::future::poll_fn(|context| {
        let mut failed = None;
        waits.retain_mut(|wait| match wait.as_mut().poll(context) {
            std::task::Poll::Pending => true,
            std::task::Poll::Ready(result) => {
                if let Err(error) = result {
                    failed.get_or_insert(error);
                }
                false
            }
        });
        match failed {
            Some(error) => std::task::Poll::Ready(Err(error)),
            None if waits.is_empty() => std::task::Poll::Ready(Ok(())),
            None => std::task::Poll::Pending,
        }
    })
    .await
}

/// The path and the name for people of the fork `label` of a channel with these, which was forked under
/// `labels` before. A run that is done again finds its messages by the path.
pub(crate) fn forked(
    path: &str,
    display: &str,
    labels: &Mutex<BTreeSet<String>>,
    label: &str,
) -> Result<(String, String), NetError> {
    if !lock(labels).insert(label.to_owned()) {
        return Err(NetError::Internal(format!("a channel was forked twice as {label:?}")));
    }
    let name = if display.is_empty() { label.to_owned() } else { format!("{display}/{label}") };
    Ok((format!("{path}/{}:{label}", label.len()), name))
}

/// What these locks hold is valid after every single write; a panic elsewhere changes nothing.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
