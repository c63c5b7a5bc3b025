//! The relay: who is here, and who has named whom.
//!
//! A packet goes from one node to another only if both have shown a key that may use this relay, and
//! each has named the other. So nobody is sent what it does not want, and nothing is ever sent to an
//! address that did not come by itself.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::{interval, sleep, timeout};

use super::super::hello::MAX_NODES;
use super::super::identity::PublicKey;
use super::frame::{ECHO, Frame, VERSION};
use super::line::{Over, PING, Reader, Writer};
use super::queue::{Budget, Queue};

/// Bytes that all packets on their way through a relay may take.
const ALL_QUEUES: usize = 12 << 20;

/// How long a node that has shown its key may take to say hello.
const HELLO: Duration = Duration::from_secs(5);

/// What happens at a relay, for its operator.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RelayEvent {
    /// It listens.
    Listening {
        /// The UDP address, with the port that was chosen.
        udp: SocketAddr,
        /// The TCP address.
        tcp: Option<SocketAddr>,
    },
    /// A node has come.
    Came {
        /// Its name here.
        name: String,
        /// Where it comes from.
        address: SocketAddr,
        /// What carries its packets.
        over: Over,
    },
    /// A node has gone.
    Left {
        /// Its name here.
        name: String,
        /// Packets from it that went on to others.
        packets: u64,
        /// Bytes in them.
        bytes: u64,
        /// Packets from it that went nowhere: nobody was there to take them, or they were too many.
        dropped: u64,
    },
    /// Somebody with a key that may not use this relay was refused.
    UnknownKey {
        /// The key.
        key: PublicKey,
        /// Where it came from.
        address: SocketAddr,
    },
}

/// Is told what happens at a relay. Called from the runtime's threads; it must not block.
pub type RelayObserver = Arc<dyn Fn(RelayEvent) + Send + Sync>;

/// What a test puts between two nodes of a relay: it is given each packet with who sends it to whom,
/// and gives the packets that go on in its place.
#[cfg(feature = "test-util")]
pub type Middlebox = Arc<dyn Fn(PublicKey, PublicKey, Bytes) -> Vec<Bytes> + Send + Sync>;

/// The peers that a node has named.
#[derive(Default)]
struct Named {
    keys: HashMap<u16, PublicKey>,
    numbers: HashMap<PublicKey, u16>,
}

/// A node that is here.
struct Client {
    serial: u64,
    key: PublicKey,
    named: Mutex<Named>,
    /// Peers of which it has to hear whether they are here.
    news: Mutex<BTreeSet<u16>>,
    /// What goes to it, by the numbers that it has given.
    queue: Queue,
    /// It has come again, over another line.
    replaced: Notify,
    packets: AtomicU64,
    bytes: AtomicU64,
    dropped: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Client {
    fn number_of(&self, key: &PublicKey) -> Option<u16> {
        lock(&self.named).numbers.get(key).copied()
    }

    /// It has to hear of a peer, if it has named it.
    fn tell_of(&self, key: &PublicKey) {
        if let Some(number) = self.number_of(key) {
            lock(&self.news).insert(number);
            self.queue.wake();
        }
    }
}

/// All that the lines of a relay share.
pub(crate) struct Hub {
    /// Who may use it, and under which name.
    names: HashMap<PublicKey, String>,
    clients: Mutex<HashMap<PublicKey, Arc<Client>>>,
    serial: AtomicU64,
    budget: Arc<Budget>,
    bytes_a_second: Option<u64>,
    observer: RelayObserver,
    #[cfg(feature = "test-util")]
    pub(crate) middlebox: Option<Middlebox>,
}

impl Hub {
    pub(crate) fn new(
        names: HashMap<PublicKey, String>,
        bytes_a_second: Option<u64>,
        observer: RelayObserver,
    ) -> Self {
        Self {
            names,
            clients: Mutex::default(),
            serial: AtomicU64::new(0),
            budget: Budget::new(ALL_QUEUES),
            bytes_a_second,
            observer,
            #[cfg(feature = "test-util")]
            middlebox: None,
        }
    }

    pub(crate) fn keys(&self) -> Vec<PublicKey> {
        self.names.keys().copied().collect()
    }

    pub(crate) fn unknown(&self, key: PublicKey, address: SocketAddr) {
        (self.observer)(RelayEvent::UnknownKey { key, address });
    }

    fn client(&self, key: &PublicKey) -> Option<Arc<Client>> {
        lock(&self.clients).get(key).cloned()
    }

    /// Serves a node that has shown its key, until its line ends. `came` is called when it counts.
    pub(crate) async fn serve(
        &self,
        key: PublicKey,
        address: SocketAddr,
        (mut reader, mut writer): (Reader, Writer),
        came: impl FnOnce(),
    ) {
        let Some(name) = self.names.get(&key) else { return };
        let hello = timeout(HELLO, async {
            let hello = reader.next().await;
            // The other end compares it with its own.
            writer.control(&Frame::Hello { version: VERSION }).await?;
            hello
        });
        match hello.await {
            Ok(Ok(Frame::Hello { version: VERSION })) => {}
            _ => return,
        }
        let client = self.enter(key);
        came();
        (self.observer)(RelayEvent::Came { name: name.clone(), address, over: writer.over() });
        let end = tokio::select! {
            end = self.receive(&client, &mut reader) => end,
            end = self.send(&client, &mut writer) => end,
            () = client.replaced.notified() => Ok(()),
        };
        if let Err(error) = end {
            tracing::debug!(name, %error, "a line of the relay ended");
        }
        self.leave(&client);
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (self.observer)(RelayEvent::Left {
            name: name.clone(),
            packets: count(&client.packets),
            bytes: count(&client.bytes),
            dropped: count(&client.dropped),
        });
    }

    fn enter(&self, key: PublicKey) -> Arc<Client> {
        let client = Arc::new(Client {
            serial: self.serial.fetch_add(1, Ordering::Relaxed),
            key,
            named: Mutex::default(),
            news: Mutex::default(),
            queue: Queue::new(Arc::clone(&self.budget)),
            replaced: Notify::new(),
            packets: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        });
        let before = lock(&self.clients).insert(key, Arc::clone(&client));
        if let Some(before) = before {
            before.queue.clear();
            before.replaced.notify_one();
            self.tell_all_of(&key);
        }
        client
    }

    fn leave(&self, client: &Client) {
        let mut clients = lock(&self.clients);
        if clients.get(&client.key).is_some_and(|now| now.serial == client.serial) {
            clients.remove(&client.key);
            drop(clients);
            self.tell_all_of(&client.key);
        }
    }

    fn tell_all_of(&self, key: &PublicKey) {
        let all: Vec<_> = lock(&self.clients).values().cloned().collect();
        all.iter().for_each(|client| client.tell_of(key));
    }

    /// Takes what comes from a node.
    async fn receive(&self, client: &Client, reader: &mut Reader) -> std::io::Result<()> {
        let mut rate = self.bytes_a_second.map(Rate::new);
        loop {
            match reader.next().await? {
                Frame::Packet { number: ECHO, packet } => {
                    client.queue.push(ECHO, packet);
                }
                Frame::Packet { number, packet } => {
                    if let Some(rate) = &mut rate {
                        // What comes meanwhile waits in the line, and is dropped there if it is much.
                        sleep(rate.pause(packet.len())).await;
                    }
                    self.forward(client, number, packet);
                }
                Frame::Peer { number, key } => self.name(client, number, key)?,
                Frame::Ping => {}
                Frame::Hello { .. } | Frame::Presence { .. } => {
                    return Err(std::io::Error::other("a frame that a node does not send"));
                }
            }
        }
    }

    fn name(&self, client: &Client, number: u16, key: PublicKey) -> std::io::Result<()> {
        let wrong = |what: &str| Err(std::io::Error::other(what.to_owned()));
        let mut named = lock(&client.named);
        if named.keys.len() >= MAX_NODES || number == ECHO || key == client.key {
            return wrong("more peers than a mesh has, or one that cannot be");
        }
        if named.keys.contains_key(&number) || named.numbers.contains_key(&key) {
            return wrong("a peer was named twice");
        }
        named.keys.insert(number, key);
        named.numbers.insert(key, number);
        drop(named);
        client.tell_of(&key);
        if let Some(peer) = self.client(&key) {
            peer.tell_of(&client.key);
        }
        Ok(())
    }

    fn forward(&self, from: &Client, number: u16, packet: Bytes) {
        let to = lock(&from.named).keys.get(&number).copied();
        let to = to.and_then(|key| self.client(&key));
        let Some((to, number)) =
            to.and_then(|to| Some((to.number_of(&from.key)?, to))).map(|(number, to)| (to, number))
        else {
            from.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        };
        #[cfg(feature = "test-util")]
        let packets = match &self.middlebox {
            Some(middlebox) => middlebox(from.key, to.key, packet),
            None => vec![packet],
        };
        #[cfg(not(feature = "test-util"))]
        let packets = [packet];
        for packet in packets {
            let size = packet.len() as u64;
            if to.queue.push(number, packet) {
                from.packets.fetch_add(1, Ordering::Relaxed);
                from.bytes.fetch_add(size, Ordering::Relaxed);
            } else {
                from.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Sends to a node what there is for it.
    async fn send(&self, client: &Client, writer: &mut Writer) -> std::io::Result<()> {
        let mut ping = interval(PING);
        loop {
            let news = std::mem::take(&mut *lock(&client.news));
            for number in news {
                let key = lock(&client.named).keys.get(&number).copied();
                let peer = key.and_then(|key| self.client(&key));
                let here = peer.is_some_and(|peer| peer.number_of(&client.key).is_some());
                writer.control(&Frame::Presence { number, here }).await?;
            }
            let packets = client.queue.take();
            if !packets.is_empty() {
                writer.packets(packets).await?;
                continue;
            }
            tokio::select! {
                () = client.queue.changed() => {}
                _ = ping.tick() => {
                    if writer.over() == Over::Tcp {
                        writer.control(&Frame::Ping).await?;
                    }
                }
            }
        }
    }
}

/// A bound on the bytes that come from a node.
struct Rate {
    per_second: f64,
    /// What may come at once, a second's worth at most.
    left: f64,
    at: Instant,
}

impl Rate {
    fn new(per_second: u64) -> Self {
        let per_second = per_second.max(1) as f64;
        Self { per_second, left: per_second, at: Instant::now() }
    }

    /// How long to wait before the next packet is looked at.
    fn pause(&mut self, bytes: usize) -> Duration {
        let now = Instant::now();
        let gained = now.duration_since(self.at).as_secs_f64() * self.per_second;
        self.left = (self.left + gained).min(self.per_second) - bytes as f64;
        self.at = now;
        Duration::from_secs_f64((-self.left / self.per_second).max(0.0))
    }
}
