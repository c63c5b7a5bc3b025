//! The socket of the endpoint whose packets go through a relay: a peer is an address in it.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};

use super::queue::{Budget, Queue};

/// Bytes that wait for the line to the relay before the senders have to wait.
const SENT_AHEAD: usize = 96 << 10;

/// Bytes that have come and that the endpoint has not taken; what comes on top is dropped.
const RECEIVED_AHEAD: usize = 1 << 20;

/// Packets that the endpoint gives at once.
const SEGMENTS: usize = 10;

/// The first half of the addresses: locally assigned (RFC 4193), and never seen outside.
const PREFIX: [u16; 4] = [0xfd6d, 0x7063, 0x7265, 0x6c61];

/// The address that stands for a peer in the endpoint.
pub(crate) fn address_of(number: u16) -> SocketAddr {
    let [a, b, c, d] = PREFIX;
    SocketAddr::new(Ipv6Addr::new(a, b, c, d, 0, 0, 0, number).into(), 1)
}

/// The peer that an address stands for.
pub(crate) fn number_of(address: SocketAddr) -> Option<u16> {
    let IpAddr::V6(ip) = address.ip() else { return None };
    match ip.segments() {
        [a, b, c, d, 0, 0, 0, number] if [a, b, c, d] == PREFIX => Some(number),
        _ => None,
    }
}

#[derive(Debug, Default)]
struct Inbox {
    packets: VecDeque<(u16, Bytes)>,
    bytes: usize,
    waiting: Option<Waker>,
}

/// Packets on their way between an endpoint and the line to a relay.
#[derive(Debug)]
pub(crate) struct Packets {
    /// Those that go to the relay.
    pub(crate) out: Queue,
    inbox: Mutex<Inbox>,
}

impl Packets {
    pub(crate) fn new() -> Arc<Self> {
        // As much as the flows of all peers may hold: there is one line, and the senders wait.
        let out = Queue::new(Budget::new(16 << 20));
        Arc::new(Self { out, inbox: Mutex::default() })
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A packet has come from a peer.
    pub(crate) fn received(&self, number: u16, packet: Bytes) {
        let mut inbox = self.inbox();
        if inbox.bytes + packet.len() > RECEIVED_AHEAD {
            return;
        }
        inbox.bytes += packet.len();
        inbox.packets.push_back((number, packet));
        if let Some(waker) = inbox.waiting.take() {
            waker.wake();
        }
    }
}

/// The socket.
#[derive(Debug)]
pub(crate) struct RelaySocket(pub(crate) Arc<Packets>);

impl AsyncUdpSocket for RelaySocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Room(Arc::clone(&self.0)))
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let Some(number) = number_of(transmit.destination) else { return Ok(()) };
        let segment = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        for packet in transmit.contents.chunks(segment) {
            // What does not fit is lost, as on any line.
            self.0.out.push(number, Bytes::copy_from_slice(packet));
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut inbox = self.0.inbox();
        let mut count = 0;
        for (buffer, meta) in buffers.iter_mut().zip(meta) {
            let Some((number, packet)) = inbox.packets.pop_front() else { break };
            inbox.bytes -= packet.len();
            let len = packet.len().min(buffer.len());
            buffer[..len].copy_from_slice(&packet[..len]);
            let addr = address_of(number);
            *meta = RecvMeta { addr, len, stride: len, ecn: None, dst_ip: None };
            count += 1;
        }
        if count > 0 {
            return Poll::Ready(Ok(count));
        }
        inbox.waiting = Some(context.waker().clone());
        Poll::Pending
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(address_of(u16::MAX))
    }

    fn max_transmit_segments(&self) -> usize {
        SEGMENTS
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

/// Waits for room on the way to the relay.
#[derive(Debug)]
struct Room(Arc<Packets>);

impl UdpPoller for Room {
    fn poll_writable(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.out.poll_room(SENT_AHEAD, context).map(Ok)
    }
}
