//! What a node and a relay say to each other once both have shown their keys.
//!
//! ```text
//! on the stream:   bytes 0..2  length of the rest, at least 1   u16, little-endian
//!                  byte  2     kind
//!                  bytes 3..   as the kind says
//!
//!   0 hello        "mpc-relay", version u16     first, from the node; the relay answers with its own
//!   1 peer         number u16, key 32 bytes     the node names a peer, whose packets it also wants
//!   2 presence     number u16, 0 or 1           whether that peer is here and has named this node
//!   3 packet       number u16, 1 to 1472 bytes  to or from that peer; where the carrier is TCP
//!   4 ping                                      so that a dead line is noticed; where it is TCP
//!
//! in a datagram:   number u16, the packet       to or from that peer; where the carrier is QUIC
//! ```

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::super::identity::PublicKey;

/// The version of this protocol.
pub(crate) const VERSION: u16 = 1;

/// The longest packet that a relay carries.
pub(crate) const MAX_PACKET: usize = 1472;

/// A datagram with this number comes back as it is, which shows how long packets may be.
pub(crate) const ECHO: u16 = u16::MAX;

const MAGIC: &[u8] = b"mpc-relay";
const LENGTH: usize = 2;
const MAX_FRAME: usize = 1 + 2 + MAX_PACKET;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Hello { version: u16 },
    Peer { number: u16, key: PublicKey },
    Presence { number: u16, here: bool },
    Packet { number: u16, packet: Bytes },
    Ping,
}

/// Why bytes are not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct FrameError(&'static str);

impl Frame {
    /// Appends the frame with its length.
    pub(crate) fn encode(&self, to: &mut Vec<u8>) {
        let start = to.len();
        to.extend_from_slice(&[0; LENGTH]);
        match self {
            Self::Hello { version } => {
                to.push(0);
                to.extend_from_slice(MAGIC);
                to.extend_from_slice(&version.to_le_bytes());
            }
            Self::Peer { number, key } => {
                to.push(1);
                to.extend_from_slice(&number.to_le_bytes());
                to.extend_from_slice(key.as_bytes());
            }
            Self::Presence { number, here } => {
                to.push(2);
                to.extend_from_slice(&number.to_le_bytes());
                to.push(u8::from(*here));
            }
            Self::Packet { number, packet } => {
                to.push(3);
                to.extend_from_slice(&number.to_le_bytes());
                to.extend_from_slice(packet);
            }
            Self::Ping => to.push(4),
        }
        let length = (to.len() - start - LENGTH) as u16;
        to[start..start + LENGTH].copy_from_slice(&length.to_le_bytes());
    }

    /// The frame that stood behind its length.
    pub(crate) fn decode(mut bytes: Bytes) -> Result<Self, FrameError> {
        let kind = bytes.try_get_u8().map_err(|_| FrameError("the frame is empty"))?;
        let number = |bytes: &mut Bytes| {
            bytes.try_get_u16_le().map_err(|_| FrameError("the frame has no number"))
        };
        match kind {
            0 => {
                let body = bytes.strip_prefix(MAGIC).ok_or(FrameError("this is not a relay"))?;
                let version = body.try_into().map_err(|_| FrameError("a hello has a version"))?;
                Ok(Self::Hello { version: u16::from_le_bytes(version) })
            }
            1 => {
                let number = number(&mut bytes)?;
                let key = bytes.as_ref().try_into();
                let key = key.map_err(|_| FrameError("a key has 32 bytes"))?;
                Ok(Self::Peer { number, key: PublicKey::from_bytes(key) })
            }
            2 => {
                let number = number(&mut bytes)?;
                match *bytes {
                    [0] => Ok(Self::Presence { number, here: false }),
                    [1] => Ok(Self::Presence { number, here: true }),
                    _ => Err(FrameError("a peer is here or is not")),
                }
            }
            3 => {
                let (number, packet) = decode_datagram(bytes)?;
                Ok(Self::Packet { number, packet })
            }
            4 if bytes.is_empty() => Ok(Self::Ping),
            4 => Err(FrameError("there are bytes behind a ping")),
            _ => Err(FrameError("there is no such kind of frame")),
        }
    }
}

/// The number and the packet in a datagram.
pub(crate) fn decode_datagram(mut bytes: Bytes) -> Result<(u16, Bytes), FrameError> {
    let number = bytes.try_get_u16_le().map_err(|_| FrameError("the frame has no number"))?;
    if bytes.is_empty() || bytes.len() > MAX_PACKET {
        return Err(FrameError("the packet is empty or too long"));
    }
    Ok((number, bytes))
}

/// A datagram for the peer with this number.
pub(crate) fn encode_datagram(number: u16, packet: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(2 + packet.len());
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes.extend_from_slice(packet);
    bytes.freeze()
}

/// The frames of a stream, each no longer than the longest.
pub(crate) struct Frames<R> {
    stream: R,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub(crate) fn new(stream: R) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }

    /// The next frame. What was read stays when this is dropped midway.
    pub(crate) async fn next(&mut self) -> std::io::Result<Frame> {
        loop {
            if let Some(frame) = take(&mut self.buffer).map_err(std::io::Error::other)? {
                return Ok(frame);
            }
            // Room for some packets, and never for more than that.
            self.buffer.reserve(16 << 10);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// The first frame of the buffer, once all of it is there.
fn take(buffer: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
    let Some(length) = buffer.first_chunk::<LENGTH>() else { return Ok(None) };
    let length = usize::from(u16::from_le_bytes(*length));
    if length > MAX_FRAME {
        return Err(FrameError("the frame is too long"));
    }
    if buffer.len() < LENGTH + length {
        return Ok(None);
    }
    buffer.advance(LENGTH);
    Frame::decode(buffer.split_to(length).freeze()).map(Some)
}

/// Decodes whatever a relay or a node may send.
#[cfg(any(test, feature = "test-util"))]
pub(crate) fn decode_all(bytes: &[u8]) {
    let mut buffer = BytesMut::from(bytes);
    while let Ok(Some(frame)) = take(&mut buffer) {
        let mut again = Vec::new();
        frame.encode(&mut again);
        assert_eq!(Frame::decode(Bytes::from(again).split_off(LENGTH)), Ok(frame));
    }
    if let Ok((number, packet)) = decode_datagram(Bytes::copy_from_slice(bytes)) {
        assert_eq!(encode_datagram(number, &packet), bytes);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(frame: &Frame) -> Vec<u8> {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        bytes
    }

    fn samples() -> [Frame; 5] {
        let key = PublicKey::from_bytes([0xab; 32]);
        let packet = Bytes::from_static(&[7; MAX_PACKET]);
        [
            Frame::Hello { version: VERSION },
            Frame::Peer { number: 2, key },
            Frame::Presence { number: 258, here: true },
            Frame::Packet { number: 1, packet },
            Frame::Ping,
        ]
    }

    #[test]
    fn frames_have_not_changed() {
        let hex = |frame: &Frame| {
            encoded(frame).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        let [hello, peer, presence, _, ping] = samples();
        assert_eq!(hex(&hello), "0c00006d70632d72656c61790100");
        assert_eq!(hex(&peer), format!("2300010200{}", "ab".repeat(32)));
        assert_eq!(hex(&presence), "040002020101");
        assert_eq!(hex(&ping), "010004");
        assert_eq!(encode_datagram(258, b"packet").as_ref(), b"\x02\x01packet");
    }

    #[tokio::test]
    async fn frames_are_read_in_whatever_pieces_they_come() {
        let all: Vec<u8> = samples().iter().flat_map(encoded).collect();
        for piece in [1, 7, 4096] {
            let (mut there, here) = tokio::io::duplex(64);
            let all = all.clone();
            let sends = async move {
                for bytes in all.chunks(piece) {
                    tokio::io::AsyncWriteExt::write_all(&mut there, bytes).await.unwrap();
                }
            };
            let receives = async {
                let mut frames = Frames::new(here);
                for due in samples() {
                    assert_eq!(frames.next().await.unwrap(), due);
                }
                let end = frames.next().await.unwrap_err();
                assert_eq!(end.kind(), std::io::ErrorKind::UnexpectedEof);
            };
            tokio::join!(sends, receives);
        }
    }

    #[test]
    fn a_length_that_no_frame_has_is_refused_before_the_frame_is_there() {
        for length in [MAX_FRAME + 1, usize::from(u16::MAX)] {
            let mut buffer = BytesMut::from(&(length as u16).to_le_bytes()[..]);
            assert!(take(&mut buffer).is_err());
        }
        assert!(take(&mut BytesMut::from(&[0, 0][..])).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            decode_all(&bytes);
        }

        #[test]
        fn no_bytes_of_the_right_length_panic(
            kind in 0u8..6,
            body in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            let length = (1 + body.len() as u16).to_le_bytes();
            decode_all(&[&length[..], &[kind], &body].concat());
        }

        #[test]
        fn every_cut_is_an_error_or_another_packet(which in 0usize..5, cut in 0usize..50) {
            let bytes = encoded(&samples()[which]);
            let body = Bytes::from(bytes).split_off(LENGTH);
            let cut = cut.min(body.len() - 1);
            let frame = Frame::decode(body.slice(..cut));
            let fits = matches!(frame, Err(_) | Ok(Frame::Packet { .. }));
            prop_assert!(fits);
        }
    }
}
