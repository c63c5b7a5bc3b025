//! The socket and the parameters of QUIC, chosen by measurement (docs/cost.md).

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use quinn::congestion::CubicConfig;
use quinn::{
    AckFrequencyConfig, Connection, ConnectionId, ConnectionIdGenerator, EndpointConfig,
    IdleTimeout, MtuDiscoveryConfig, TransportConfig, VarInt,
};
use ring::hmac;
use socket2::{Domain, Protocol, Socket, Type};

use super::door::nonce;
use super::identity::Identity;
use crate::NetError;

/// Socket buffers each way. quinn sets none, and the usual default of 208 KiB drops packets.
const SOCKET_BUFFER: usize = 4 << 20;

/// How much of a stream a peer may send ahead. 64 MiB lost 67,000 packets on loopback and halved
/// the throughput; below 1 MiB the round trips of large messages show.
const STREAM_WINDOW: u64 = 2 << 20;
const MAX_STREAM_WINDOW: u64 = 32 << 20;

/// The default of 14,720 bytes makes an opening of 64 KiB take two round trips more.
const INITIAL_WINDOW: u64 = 512 << 10;
const MAX_INITIAL_WINDOW: u64 = 8 << 20;

/// Streams that a peer may have open at the same time: one for each channel, of which a study has
/// some twenty.
const MAX_STREAMS: u32 = 256;

/// How many streams may be full of what nobody has read yet. All that a peer may send ahead on all
/// streams together is the memory that it can take. Below the number of channels that run ahead of
/// the others, the rounds of a protocol would wait behind its preparation for ever.
const FULL_STREAMS: u64 = 24;

/// What a peer may send ahead before its hello was accepted.
const HELLO_WINDOW: u32 = 32 << 10;

/// Bytes of a connection id.
const ID_BYTES: usize = 8;

/// How long a connection is without any packet, as a rule, until it is lost.
pub(crate) const LOST_AFTER: Duration = Duration::from_secs(20);

/// A connection outlives three lost packets that keep it alive, which go out when nothing else does.
const KEEP_ALIVES: u32 = 4;
const LONGEST_KEEP_ALIVE: Duration = Duration::from_secs(5);

/// The size of the packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Mtu {
    /// [`Mtu::Loopback`] towards addresses of this machine on Linux, [`Mtu::Network`] elsewhere.
    #[default]
    Auto,
    /// Starts at 1200 bytes, finds out whether 1452 fit, and sends several packets per call.
    Network,
    /// 32 KiB, one packet per call: 1.7 times the bulk rate of [`Mtu::Network`] on loopback.
    Loopback,
    /// This many bytes from the start, for networks that are known to carry them. Above 6500
    /// bytes packets are sent one per call, because the batches exceed what the kernel takes.
    Fixed(u16),
}

/// What is known about the line to the peers.
///
/// A peer can make a node keep 48 MiB that nobody has read; where bandwidth and round trip are given
/// and make more than 1 MiB, 48 times their product.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkSettings {
    /// The size of the packets.
    pub mtu: Mtu,
    /// The bandwidth in bits per second; with the round trip it sets the windows.
    pub bandwidth: Option<u64>,
    /// The round-trip time.
    pub round_trip: Option<Duration>,
}

impl LinkSettings {
    /// The bytes in flight that fill the line, if it is known.
    fn bandwidth_delay(&self) -> Option<u64> {
        let (bandwidth, round_trip) = (self.bandwidth?, self.round_trip?);
        Some((bandwidth as f64 / 8.0 * round_trip.as_secs_f64()) as u64)
    }

    /// What a peer may send ahead on a stream.
    fn stream_window(&self) -> u64 {
        (2 * self.bandwidth_delay().unwrap_or(0)).clamp(STREAM_WINDOW, MAX_STREAM_WINDOW)
    }

    /// Lets a peer open streams that has joined, and begins to read from.
    pub(crate) fn open(&self, connection: &Connection) {
        connection.set_receive_window(varint(FULL_STREAMS * self.stream_window()));
        connection.set_max_concurrent_uni_streams(VarInt::from_u32(MAX_STREAMS));
    }

    /// The parameters for connections with `peer`, which is lost when no packet at all comes from it
    /// for so long. Of the limits of both ends the shorter one counts.
    pub(crate) fn transport(&self, peer: SocketAddr, lost_after: Duration) -> Arc<TransportConfig> {
        let mut config = self.common(lost_after);
        match self.mtu {
            Mtu::Auto if cfg!(target_os = "linux") && is_local(peer) => {
                fixed_mtu(&mut config, 32768);
            }
            Mtu::Auto | Mtu::Network => {}
            Mtu::Loopback => fixed_mtu(&mut config, 32768),
            Mtu::Fixed(mtu) => fixed_mtu(&mut config, mtu.clamp(1200, 65527)),
        }
        Arc::new(config)
    }

    /// The same for connections through a relay.
    pub(crate) fn relayed(&self, lost_after: Duration) -> Arc<TransportConfig> {
        let mut config = self.common(lost_after);
        let mut search = MtuDiscoveryConfig::default();
        // The lines to the relay may be measuring themselves at the first time.
        search.upper_bound(RELAYED_MTU).interval(Duration::from_secs(30));
        config.mtu_discovery_config(Some(search));
        Arc::new(config)
    }

    fn common(&self, lost_after: Duration) -> TransportConfig {
        let in_flight = self.bandwidth_delay().unwrap_or(0);
        let window = self.stream_window();
        let mut cubic = CubicConfig::default();
        cubic.initial_window(in_flight.clamp(INITIAL_WINDOW, MAX_INITIAL_WINDOW));
        let mut acks = AckFrequencyConfig::default();
        acks.ack_eliciting_threshold(VarInt::from_u32(20));

        let mut config = TransportConfig::default();
        config
            .keep_alive_interval(Some((lost_after / KEEP_ALIVES).min(LONGEST_KEEP_ALIVE)))
            .max_idle_timeout(IdleTimeout::try_from(lost_after).ok())
            // Until the peer has joined: see `open`.
            .max_concurrent_uni_streams(VarInt::from_u32(0))
            .max_concurrent_bidi_streams(VarInt::from_u32(1))
            .receive_window(VarInt::from_u32(HELLO_WINDOW))
            .datagram_receive_buffer_size(None)
            .stream_receive_window(varint(window))
            .send_window(8 * window)
            .send_fairness(false)
            .ack_frequency_config(Some(acks))
            .congestion_controller_factory(Arc::new(cubic));
        if let Some(round_trip) = self.round_trip {
            config.initial_rtt(round_trip.max(Duration::from_millis(1)));
        }
        config
    }
}

fn fixed_mtu(config: &mut TransportConfig, mtu: u16) {
    // A burst of losses makes quinn fall back to small packets; the search brings it back. The
    // lower bound stays at its default: handshake packets are padded to it, and their length
    // field ends at 16 KiB.
    let mut search = MtuDiscoveryConfig::default();
    search.upper_bound(mtu).black_hole_cooldown(Duration::from_secs(5));
    config.initial_mtu(mtu).mtu_discovery_config(Some(search));
    // Ten segments of a batch have to fit into the 64 KiB of one call. If they do not, the error
    // is swallowed, the MTU collapses and transfers hang.
    config.enable_segmentation_offload(mtu <= 6500);
}

/// Packets between a node and a relay from the start: with the headers of IPv4 and UDP they are as
/// long as the 1280 bytes that nearly every line carries, and a packet of 1200 bytes fits into one.
const RELAY_MTU: u16 = 1252;

/// Datagrams between a node and a relay that nobody has read, or that wait to be sent: for one line, and for
/// all lines of a relay together, which share it. Less than the least is too little for a burst.
const RELAY_RECEIVED: usize = 256 << 10;
const RELAY_SENT: usize = 64 << 10;
const ALL_RECEIVED: usize = 8 << 20;
const ALL_SENT: usize = 4 << 20;
const LEAST_WAITING: usize = 16 << 10;

/// The longest packets through a relay: as long as its own may be, less what stands around them.
const RELAYED_MTU: u16 = 1400;

/// The parameters for the connection of a node with a relay, at both ends: at one that has so many lines.
pub(crate) fn relay_line(lines: usize) -> Arc<TransportConfig> {
    let part = |all: usize, most: usize| (all / lines.max(1)).clamp(LEAST_WAITING, most);
    let (received, sent) = (part(ALL_RECEIVED, RELAY_RECEIVED), part(ALL_SENT, RELAY_SENT));
    let mut cubic = CubicConfig::default();
    cubic.initial_window(INITIAL_WINDOW);
    let mut acks = AckFrequencyConfig::default();
    acks.ack_eliciting_threshold(VarInt::from_u32(20));
    let mut config = TransportConfig::default();
    config
        .keep_alive_interval(Some(LONGEST_KEEP_ALIVE))
        .max_idle_timeout(IdleTimeout::try_from(LOST_AFTER).ok())
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .receive_window(VarInt::from_u32(HELLO_WINDOW))
        .stream_receive_window(VarInt::from_u32(HELLO_WINDOW))
        .send_window(u64::from(HELLO_WINDOW))
        .datagram_receive_buffer_size(Some(received))
        .datagram_send_buffer_size(sent)
        .initial_mtu(RELAY_MTU)
        .min_mtu(RELAY_MTU)
        .ack_frequency_config(Some(acks))
        .congestion_controller_factory(Arc::new(cubic));
    Arc::new(config)
}

/// The parameters of a relay's endpoint, and of a node's towards it.
pub(crate) fn relay_endpoint_config(identity: &Identity) -> Result<EndpointConfig, NetError> {
    let mut config = endpoint_config(identity)?;
    config
        .max_udp_payload_size(1472)
        .map_err(|error| NetError::Internal(format!("endpoint configuration: {error}")))?;
    Ok(config)
}

fn is_local(peer: SocketAddr) -> bool {
    peer.ip().to_canonical().is_loopback()
}

fn varint(value: u64) -> VarInt {
    VarInt::from_u64(value).unwrap_or(VarInt::MAX)
}

/// The parameters of the endpoint: packets of any size are received. A node that was started anew
/// can say to a peer's packets of an old connection, so that the peer believes it, that it does not
/// know that connection: the tokens of such resets (RFC 9000, 10.3) follow from the identity.
pub(crate) fn endpoint_config(identity: &Identity) -> Result<EndpointConfig, NetError> {
    let reset = identity.derive("stateless resets/1");
    let ids = nonce()?;
    let mut config = EndpointConfig::new(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &*reset)));
    config
        .cid_generator(move || Box::new(Ids::new(&ids)))
        .max_udp_payload_size(65527)
        .map_err(|error| NetError::Internal(format!("endpoint configuration: {error}")))?;
    Ok(config)
}

/// Connection ids, pseudorandom. quinn's own carry a mark of their process, and packets of a
/// connection with an earlier process would be dropped without a reset.
struct Ids {
    key: hmac::Key,
    given: u64,
}

impl Ids {
    fn new(key: &[u8; 32]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key), given: 0 }
    }
}

impl ConnectionIdGenerator for Ids {
    fn generate_cid(&mut self) -> ConnectionId {
        self.given += 1;
        let hash = hmac::sign(&self.key, &self.given.to_le_bytes());
        ConnectionId::new(&hash.as_ref()[..ID_BYTES])
    }

    fn cid_len(&self) -> usize {
        ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

/// A socket bound to `listen`.
///
/// # Errors
/// [`NetError::Configuration`], for example when the port is in use.
pub(crate) fn bind(listen: SocketAddr) -> Result<UdpSocket, NetError> {
    let make = || -> std::io::Result<UdpSocket> {
        let socket = Socket::new(Domain::for_address(listen), Type::DGRAM, Some(Protocol::UDP))?;
        if listen.is_ipv6() {
            // One socket for both families where the address allows it.
            socket.set_only_v6(!listen.ip().is_unspecified())?;
        }
        // Large buffers are a wish: a kernel that grants less still works.
        if socket.set_recv_buffer_size(SOCKET_BUFFER).is_err()
            || socket.set_send_buffer_size(SOCKET_BUFFER).is_err()
        {
            tracing::debug!("the kernel grants no socket buffers of {SOCKET_BUFFER} bytes");
        }
        socket.set_nonblocking(true)?;
        socket.bind(&listen.into())?;
        Ok(socket.into())
    };
    make().map_err(|error| {
        NetError::Configuration(format!("cannot listen on UDP address {listen}: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_kept_alive_until_it_is_lost() {
        let peer = "192.0.2.1:7400".parse().unwrap();
        for (lost, idle, alive) in [(5, 5_000, "1.25s"), (20, 20_000, "5s"), (600, 600_000, "5s")] {
            let config = LinkSettings::default().transport(peer, Duration::from_secs(lost));
            // quinn shows its settings in no other way.
            let text = format!("{config:?}");
            assert!(text.contains(&format!("max_idle_timeout: Some({idle})")), "{text}");
            assert!(text.contains(&format!("keep_alive_interval: Some({alive})")), "{text}");
        }
    }
}
