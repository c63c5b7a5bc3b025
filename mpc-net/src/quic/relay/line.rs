//! A line between a node and a relay, over QUIC or over TLS on TCP, once both have shown their keys.

use std::fmt;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use quinn::{Connection, RecvStream, SendDatagramError, SendStream};
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsStream;

use super::frame::{ECHO, Frame, Frames, decode_datagram, encode_datagram};

/// Over TCP each end says something at least so often, and hears something in so long.
pub(crate) const PING: Duration = Duration::from_secs(5);
const DEAD: Duration = Duration::from_secs(20);

/// What carries the packets between a node and a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Over {
    /// QUIC datagrams.
    Udp,
    /// TLS on TCP.
    Tcp,
}

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        })
    }
}

type Tls = TlsStream<TcpStream>;

/// What comes from the other end.
pub(crate) enum Reader {
    Quic { connection: Connection, control: Frames<RecvStream> },
    Tcp(Frames<ReadHalf<Tls>>),
}

/// What goes there.
pub(crate) enum Writer {
    Quic { connection: Connection, control: SendStream },
    Tcp(WriteHalf<Tls>),
}

/// Both directions over QUIC.
pub(crate) fn over_quic(
    connection: &Connection,
    (send, recv): (SendStream, RecvStream),
) -> (Reader, Writer) {
    let reader = Reader::Quic { connection: connection.clone(), control: Frames::new(recv) };
    (reader, Writer::Quic { connection: connection.clone(), control: send })
}

/// Both directions over TCP.
pub(crate) fn over_tcp(stream: Tls) -> (Reader, Writer) {
    let (read, write) = tokio::io::split(stream);
    (Reader::Tcp(Frames::new(read)), Writer::Tcp(write))
}

impl Reader {
    /// The next frame; a packet that cannot be read is passed over.
    pub(crate) async fn next(&mut self) -> io::Result<Frame> {
        match self {
            Self::Tcp(frames) => timeout(DEAD, frames.next()).await?,
            Self::Quic { connection, control } => loop {
                tokio::select! {
                    datagram = connection.read_datagram() => {
                        let (number, packet) = match decode_datagram(datagram?) {
                            Ok(both) => both,
                            Err(error) => {
                                tracing::debug!(%error, "a datagram of a relay cannot be read");
                                continue;
                            }
                        };
                        return Ok(Frame::Packet { number, packet });
                    }
                    frame = control.next() => return frame,
                }
            },
        }
    }
}

impl Writer {
    pub(crate) fn over(&self) -> Over {
        match self {
            Self::Quic { .. } => Over::Udp,
            Self::Tcp(_) => Over::Tcp,
        }
    }

    /// Sends a frame that is no packet.
    pub(crate) async fn control(&mut self, frame: &Frame) -> io::Result<()> {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        match self {
            Self::Quic { control, .. } => Ok(control.write_all(&bytes).await?),
            Self::Tcp(stream) => write(stream, &bytes).await,
        }
    }

    /// Sends packets; one that is too long for the line is lost.
    pub(crate) async fn packets(&mut self, packets: Vec<(u16, Bytes)>) -> io::Result<()> {
        match self {
            Self::Quic { connection, .. } => {
                for (number, packet) in packets {
                    let datagram = encode_datagram(number, &packet);
                    match connection.send_datagram_wait(datagram).await {
                        Ok(()) | Err(SendDatagramError::TooLarge) => {}
                        Err(error) => return Err(io::Error::other(error)),
                    }
                }
                Ok(())
            }
            Self::Tcp(stream) => {
                let mut bytes = Vec::new();
                for (number, packet) in packets {
                    Frame::Packet { number, packet }.encode(&mut bytes);
                }
                write(stream, &bytes).await
            }
        }
    }

    /// Sends a packet that the relay sends back.
    pub(crate) async fn echo(&mut self, packet: Bytes) -> io::Result<()> {
        self.packets(vec![(ECHO, packet)]).await
    }
}

async fn write(stream: &mut WriteHalf<Tls>, bytes: &[u8]) -> io::Result<()> {
    timeout(DEAD, async {
        stream.write_all(bytes).await?;
        stream.flush().await
    })
    .await?
}
