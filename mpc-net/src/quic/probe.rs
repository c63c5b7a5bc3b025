//! Whether anything is at an address.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::checkup::Seen;

/// The first packet of a handshake is at least so long.
const FIRST_PACKET: usize = 1200;

/// How long to wait for an answer to one.
const WAIT: Duration = Duration::from_millis(500);

/// Sends a packet that everything that speaks QUIC answers, from a socket of its own: systems tell such a
/// one that a port is closed.
pub(crate) async fn probe(address: SocketAddr) -> Seen {
    let unreachable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::ConnectionRefused => Seen::Closed,
        _ => Seen::Unreachable(error.to_string()),
    };
    let any: SocketAddr = if address.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let send = async {
        let socket = UdpSocket::bind(any).await?;
        socket.connect(address).await?;
        // A long header of a version that nobody has (RFC 9000, 15): it is answered with the versions
        // that there are.
        let mut packet = vec![0; FIRST_PACKET];
        packet[..7].copy_from_slice(&[0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 8, 1]);
        for _ in 0..3 {
            socket.send(&packet).await?;
            let mut answer = [0; FIRST_PACKET];
            let received = socket.recv(&mut answer);
            if let Ok(received) = timeout(WAIT, received).await {
                return received.map(|_| true);
            }
        }
        Ok(false)
    };
    match send.await {
        Ok(true) => Seen::FellSilent,
        Ok(false) => Seen::Silent,
        Err(error) => unreachable(error),
    }
}
