//! A slow line between nodes of this machine: datagrams pass through a socket that gives each
//! direction of each pair a rate, a delay, a queue and a loss of its own.
//!
//! Two threads a direction, one that receives and one that sleeps and sends, keep the time to
//! some 0.1 ms; the timers of the asynchronous runtime have steps of a millisecond.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

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
        let dialler = Dialler::default();
        let (there, to_send) = channel();
        let (back, to_return) = channel();
        let known = Arc::clone(&dialler);
        let noted = move |from| *lock(&known) = Some(from);
        self.receive(near.try_clone()?, Queue::new(line, 2 * seed), there, noted);
        self.receive(far.try_clone()?, Queue::new(line, 2 * seed + 1), back, |_| ());
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
        from: UdpSocket,
        mut queue: Queue,
        to: Sender<Departure>,
        mut noted: impl FnMut(SocketAddr) + Send + 'static,
    ) {
        let (stop, lost) = (Arc::clone(&self.stop), Arc::clone(&self.lost));
        self.threads.push(std::thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            while !stop.load(Ordering::Relaxed) {
                // Time-outs, and refusals of a port that is not open yet.
                let Ok((size, address)) = from.recv_from(&mut buffer) else { continue };
                noted(address);
                match queue.admit(Instant::now(), size as u64 + HEADERS) {
                    None => {
                        lost.fetch_add(1, Ordering::Relaxed);
                    }
                    Some(due) => {
                        if to.send(Departure { due, datagram: buffer[..size].to_vec() }).is_err() {
                            return;
                        }
                    }
                }
            }
        }));
    }

    fn send(
        &mut self,
        socket: UdpSocket,
        departures: Receiver<Departure>,
        to: impl Fn() -> Option<SocketAddr> + Send + 'static,
    ) {
        self.threads.push(std::thread::spawn(move || {
            for Departure { due, datagram } in departures {
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                if let Some(to) = to() {
                    // A node that is not there yet, or not any more, is no failure of the line.
                    let _ = socket.send_to(&datagram, to);
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

struct Departure {
    due: Instant,
    datagram: Vec<u8>,
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
