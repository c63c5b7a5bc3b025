//! The decoders of bytes from peers, for fuzzing. None of them may panic, whatever the bytes.

use crate::frame::Expected;
use crate::{Due, Tag};

/// Checks `bytes` as a frame header against a bound and against an exact length.
pub fn frame(bytes: &[u8]) {
    let tag = Tag::new("fuzz/frame");
    for due in [Due::at_most(tag, usize::MAX), Due::exactly(tag, 16)] {
        let expected = Expected { peer: "peer", channel: "", due, sequence: 1, session: [0; 8] };
        if let Ok(length) = expected.check(bytes) {
            assert!(due.length.allows(length) && length <= crate::MAX_PAYLOAD);
        }
    }
}

/// Decodes `bytes` as a hello and as the answer to one.
#[cfg(feature = "quic")]
pub fn hello(bytes: &[u8]) {
    crate::quic::decoding::hello(bytes);
}

/// Decodes `bytes` as frames between a node and a relay, and as a datagram.
#[cfg(feature = "quic")]
pub fn relay(bytes: &[u8]) {
    crate::quic::decoding::relay(bytes);
}
