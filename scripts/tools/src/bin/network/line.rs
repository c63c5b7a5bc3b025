//! Lines between nodes that lose, delay, turn round and refuse what they carry, in user space: so that a campaign
//! needs no right to set a network up, and no part of a kernel that many do not have. The dice are seeded.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::chance::Chance;

/// How soon a line notices that it is to be another one.
const LOOK: Duration = Duration::from_millis(20);
/// What waits longer than this before a slow line is dropped, as by a router.
const QUEUE: Duration = Duration::from_millis(400);

/// What one direction of a line does.
#[derive(Clone, Copy, Default)]
pub struct Side {
    /// Packets of a hundred that are lost, doubled, kept back and changed.
    pub lost: u64,
    pub doubled: u64,
    pub late: u64,
    pub changed: u64,
    /// Milliseconds that each takes, and at most so many more.
    pub delay: u64,
    pub jitter: u64,
    /// Bytes a second.
    pub rate: Option<u64>,
    /// Nothing comes through, and nobody is told.
    pub cut: bool,
}

/// What a line does.
#[derive(Clone, Copy)]
pub struct Conditions {
    /// From the node that is named first, and back.
    pub sides: [Side; 2],
    /// Larger packets are dropped without a word.
    pub largest: usize,
    /// The machine at the other end says that nothing listens there (ICMP).
    pub refused: bool,
    /// UDP is dropped, TCP is not.
    pub no_udp: bool,
    /// Whoever has another number before and after comes from another port now.
    pub mapping: u64,
    /// The address that packets come from.
    pub from: Ipv4Addr,
    /// TCP connections of before this number are closed.
    pub closed: u64,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            sides: [Side::default(); 2],
            largest: usize::MAX,
            refused: false,
            no_udp: false,
            mapping: 0,
            from: Ipv4Addr::LOCALHOST,
            closed: 0,
        }
    }
}

impl Conditions {
    /// Both directions.
    pub fn both(&mut self, change: impl Fn(&mut Side)) {
        self.sides.iter_mut().for_each(change);
    }
}

/// A line between two nodes, or a node and its relay: every way between the two is subject to it.
pub struct Line {
    conditions: Mutex<Conditions>,
    dice: Mutex<Chance>,
    /// When each direction is free again, where it is slow.
    free: Mutex<[Instant; 2]>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Line {
    pub fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            conditions: Mutex::default(),
            dice: Mutex::new(Chance::new(seed)),
            free: Mutex::new([Instant::now(); 2]),
        })
    }

    pub fn change(&self, change: impl FnOnce(&mut Conditions)) {
        change(&mut lock(&self.conditions));
    }

    fn now(&self) -> Conditions {
        *lock(&self.conditions)
    }

    /// How long what has this length waits before a slow direction; a packet that would wait too long is dropped.
    fn turn(&self, side: usize, length: usize, drops: bool) -> Duration {
        let Some(rate) = self.now().sides[side].rate else { return Duration::ZERO };
        let (now, mut free) = (Instant::now(), lock(&self.free));
        let begin = free[side].max(now);
        // What is dropped takes no time of the line.
        if !drops || begin - now <= QUEUE {
            free[side] = begin + Duration::from_secs_f64(length as f64 / rate as f64);
        }
        begin - now
    }

    /// After which times a packet comes out: not at all, once or twice. It may come out changed.
    fn pass(&self, side: usize, packet: &mut [u8]) -> Vec<Duration> {
        let now = self.now();
        let Side { lost, doubled, late, changed, delay, jitter, cut, .. } = now.sides[side];
        if cut || now.no_udp || packet.len() > now.largest {
            return Vec::new();
        }
        let mut dice = lock(&self.dice);
        if dice.below(100) < lost {
            return Vec::new();
        }
        if dice.below(100) < changed && !packet.is_empty() {
            let at = dice.below(packet.len() as u64) as usize;
            packet[at] ^= 1 << dice.below(8);
        }
        let copies = 1 + usize::from(dice.below(100) < doubled);
        let turn = self.turn(side, packet.len(), true);
        if turn > QUEUE {
            return Vec::new();
        }
        let time = |dice: &mut Chance| {
            let back = if dice.below(100) < late { 20 + dice.below(20) } else { 0 };
            turn + Duration::from_millis(delay + dice.below(jitter + 1) + back)
        };
        (0..copies).map(|_| time(&mut dice)).collect()
    }

    /// Sends a packet through this line.
    fn send(&self, side: usize, mut packet: Vec<u8>, socket: &Arc<UdpSocket>, to: SocketAddr) {
        for after in self.pass(side, &mut packet) {
            if after.is_zero() {
                // A full buffer is one more loss.
                let _ = socket.try_send_to(&packet, to);
                continue;
            }
            let (socket, packet) = (Arc::clone(socket), packet.clone());
            tokio::spawn(async move {
                sleep(after).await;
                let _ = socket.try_send_to(&packet, to);
            });
        }
    }
}

/// A way over a line: who sends to `front` reaches `to`. `side` is the direction of what goes there.
#[derive(Clone)]
pub struct Way {
    pub line: Arc<Line>,
    pub front: SocketAddr,
    pub to: SocketAddr,
    pub side: usize,
}

/// Who has sent something, and from where it goes on.
struct Flow {
    mapping: (u64, Ipv4Addr),
    socket: Arc<UdpSocket>,
    _back: JoinSet<()>,
}

impl Way {
    /// Carries UDP until it is dropped.
    pub async fn udp(self) -> io::Result<()> {
        let front: Arc<Mutex<Option<Arc<UdpSocket>>>> = Arc::default();
        let mut flows: HashMap<SocketAddr, Flow> = HashMap::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            let now = self.line.now();
            if now.refused {
                // The system says to who sends here that nothing listens.
                *lock(&front) = None;
                sleep(LOOK).await;
                continue;
            }
            let open = lock(&front).clone();
            let socket = match open {
                Some(socket) => socket,
                None => {
                    let socket = Arc::new(UdpSocket::bind(self.front).await?);
                    *lock(&front) = Some(Arc::clone(&socket));
                    socket
                }
            };
            let Ok(received) = timeout(LOOK, socket.recv_from(&mut buffer)).await else { continue };
            // What an earlier packet came upon.
            let Ok((length, from)) = received else { continue };
            let mapping = (now.mapping, now.from);
            if flows.get(&from).is_none_or(|flow| flow.mapping != mapping) {
                let socket = Arc::new(UdpSocket::bind((now.from, 0)).await?);
                let mut back = JoinSet::new();
                back.spawn(self.clone().back(Arc::clone(&socket), Arc::clone(&front), from));
                flows.insert(from, Flow { mapping, socket, _back: back });
            }
            let out = &flows[&from].socket;
            self.line.send(self.side, buffer[..length].to_vec(), out, self.to);
        }
    }

    async fn back(
        self,
        socket: Arc<UdpSocket>,
        front: Arc<Mutex<Option<Arc<UdpSocket>>>>,
        client: SocketAddr,
    ) {
        let mut buffer = vec![0; 1 << 16];
        loop {
            let Ok((length, _)) = socket.recv_from(&mut buffer).await else { continue };
            let open = lock(&front).clone();
            if let Some(front) = open {
                self.line.send(1 - self.side, buffer[..length].to_vec(), &front, client);
            }
        }
    }

    /// Carries TCP connections until it is dropped.
    pub async fn tcp(self) -> io::Result<()> {
        let listener = TcpListener::bind(self.front).await?;
        let mut connections = JoinSet::new();
        loop {
            let (client, _) = listener.accept().await?;
            let way = self.clone();
            connections.spawn(async move {
                let closed = way.line.now().closed;
                if way.line.now().refused {
                    return;
                }
                let Ok(there) = TcpStream::connect(way.to).await else { return };
                let _ = (client.set_nodelay(true), there.set_nodelay(true));
                let (mut from, mut to) = client.into_split();
                let (mut answers, mut questions) = there.into_split();
                let ends = async {
                    while way.line.now().closed == closed {
                        sleep(LOOK).await;
                    }
                };
                tokio::select! {
                    () = way.bytes(way.side, &mut from, &mut questions) => (),
                    () = way.bytes(1 - way.side, &mut answers, &mut to) => (),
                    () = ends => (),
                }
            });
        }
    }

    /// One direction of a TCP connection. What a cut line keeps back comes later, as it does where TCP repeats it.
    async fn bytes(
        &self,
        side: usize,
        from: &mut (impl AsyncReadExt + Unpin),
        to: &mut (impl AsyncWriteExt + Unpin),
    ) {
        let mut buffer = vec![0; 1 << 14];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            while self.line.now().sides[side].cut {
                sleep(LOOK).await;
            }
            let delay = Duration::from_millis(self.line.now().sides[side].delay);
            sleep(delay + self.line.turn(side, length, false)).await;
            if to.write_all(&buffer[..length]).await.is_err() {
                return;
            }
        }
    }
}
