//! A slow line between nodes of this machine: datagrams pass through a socket that gives each
//! direction of each pair a rate, a delay, a queue and a loss of its own.
//!
//! Two threads a direction, one that receives and one that sleeps and sends, keep the time to
//! some 0.1 ms; the timers of the asynchronous runtime have steps of a millisecond. Datagrams that
//! a node hands to the kernel in one call travel in one here too, and arrive when the last of them
//! does: one by one they took more processor time than the nodes.

use std::io::IoSliceMut;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use quinn_udp::{EcnCodepoint, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use socket2::{Domain, Protocol, Socket, Type};

/// A line in one direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// One way.
    pub delay: Duration,
    /// Bits per second, headers of UDP and IP included.
    pub rate: u64,
    /// Bytes that may wait; what comes beyond them is lost.
    pub queue: u64,
    /// The share of datagrams that is lost without a reason.
    pub loss: f64,
}

/// UDP and IPv4.
const HEADERS: u64 = 28;
const BUFFER: usize = 4 << 20;
const LOOK: Duration = Duration::from_millis(100);

impl Line {
    /// 40 ms there and back and 100 Mbit/s, with a queue of one such round trip.
    pub const SLOW: Self =
        Self { delay: Duration::from_millis(20), rate: 100_000_000, queue: 500_000, loss: 0.0 };
    /// The same with a fifth of the rate: where the nodes share a few cores, this line and not
    /// their computation is what a preparation waits for.
    pub const SLOWER: Self = Self { rate: 20_000_000, queue: 100_000, ..Self::SLOW };
}

/// The relay between all pairs of some nodes. Ends when it is dropped.
pub struct Relay {
    stop: Arc<AtomicBool>,
    lost: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

/// The node that dialled, as its datagrams show it.
type Dialler = Arc<Mutex<Option<SocketAddr>>>;

impl Relay {
    /// Begins without lines.
    pub fn new() -> Self {
        Self { stop: Arc::default(), lost: Arc::default(), threads: Vec::new() }
    }

    /// Puts a line before the node at `target`, for one other node to dial. Gives the address to
    /// dial.
    pub fn add(
        &mut self,
        line: Line,
        target: SocketAddr,
        seed: u64,
    ) -> std::io::Result<SocketAddr> {
        let (near, far) = (socket()?, socket()?);
        let address = near.local_addr()?;
        let (near, far) = (Port::of(near)?, Port::of(far)?);
        let dialler = Dialler::default();
        let (there, to_send) = channel();
        let (back, to_return) = channel();
        let known = Arc::clone(&dialler);
        let noted = move |from| *lock(&known) = Some(from);
        self.receive(Arc::clone(&near), Queue::new(line, 2 * seed), there, noted);
        self.receive(Arc::clone(&far), Queue::new(line, 2 * seed + 1), back, |_| ());
        self.send(far, to_send, move || Some(target));
        self.send(near, to_return, move || *lock(&dialler));
        Ok(address)
    }

    /// Datagrams that were lost so far.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn receive(
        &mut self,
        from: Arc<Port>,
        mut queue: Queue,
        to: Sender<Departure>,
        mut noted: impl FnMut(SocketAddr) + Send + 'static,
    ) {
        let (stop, lost) = (Arc::clone(&self.stop), Arc::clone(&self.lost));
        self.threads.push(std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            while !stop.load(Ordering::Relaxed) {
                let mut meta = [RecvMeta::default()];
                let buffers = &mut [IoSliceMut::new(&mut buffer)];
                // Time-outs, and refusals of a port that is not open yet.
                let Ok(1) = from.state.recv(UdpSockRef::from(&from.socket), buffers, &mut meta)
                else {
                    continue;
                };
                let [RecvMeta { addr, len, stride, ecn, .. }] = meta;
                noted(addr);
                let mut departure =
                    Departure { due: Instant::now(), datagrams: Vec::new(), stride, ecn };
                for datagram in buffer[..len].chunks(stride.max(1)) {
                    match queue.admit(Instant::now(), datagram.len() as u64 + HEADERS) {
                        None => {
                            lost.fetch_add(1, Ordering::Relaxed);
                        }
                        Some(due) => {
                            departure.due = due;
                            departure.datagrams.extend_from_slice(datagram);
                        }
                    }
                }
                if !departure.datagrams.is_empty() && to.send(departure).is_err() {
                    return;
                }
            }
        }));
    }

    fn send(
        &mut self,
        by: Arc<Port>,
        departures: Receiver<Departure>,
        to: impl Fn() -> Option<SocketAddr> + Send + 'static,
    ) {
        self.threads.push(std::thread::spawn(move || {
            for Departure { due, datagrams, stride, ecn } in departures {
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                if let Some(destination) = to() {
                    let transmit = Transmit {
                        destination,
                        ecn,
                        contents: &datagrams,
                        segment_size: (datagrams.len() > stride).then_some(stride),
                        src_ip: None,
                    };
                    // A node that is not there yet, or not any more, is no failure of the line.
                    let _ = by.state.send(UdpSockRef::from(&by.socket), &transmit);
                }
            }
        }));
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Datagrams of one size, but for the last.
struct Departure {
    due: Instant,
    datagrams: Vec<u8>,
    stride: usize,
    ecn: Option<EcnCodepoint>,
}

/// A socket, and what is known of the kernel's ways to take several datagrams at once.
struct Port {
    socket: UdpSocket,
    state: UdpSocketState,
}

impl Port {
    fn of(socket: UdpSocket) -> std::io::Result<Arc<Self>> {
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        // The threads here have nothing else to do.
        socket.set_nonblocking(false)?;
        Ok(Arc::new(Self { socket, state }))
    }
}

/// One direction: when it has sent what it took in so far.
struct Queue {
    line: Line,
    free: Instant,
    state: u64,
}

impl Queue {
    fn new(line: Line, seed: u64) -> Self {
        Self { line, free: Instant::now(), state: seed }
    }

    /// When a datagram of this size that comes `now` arrives; none if it is lost.
    fn admit(&mut self, now: Instant, size: u64) -> Option<Instant> {
        let time = |bytes: u64| Duration::from_secs_f64(bytes as f64 * 8.0 / self.line.rate as f64);
        let begin = self.free.max(now);
        let (waiting, transmission) = (begin - now, time(size));
        if waiting > time(self.line.queue) || self.uniform() < self.line.loss {
            return None;
        }
        self.free = begin + transmission;
        Some(self.free + self.line.delay)
    }

    /// Splitmix64.
    fn uniform(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn socket() -> std::io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_recv_buffer_size(BUFFER)?;
    socket.set_send_buffer_size(BUFFER)?;
    socket.set_read_timeout(Some(LOOK))?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    Ok(socket.into())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
