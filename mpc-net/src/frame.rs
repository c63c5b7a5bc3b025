//! The header in front of every payload, and the check of it against what is due.
//!
//! ```text
//! bytes  0..4   length of the payload          u32, little-endian
//! bytes  4..8   code of the step's tag         u32, little-endian
//! bytes  8..12  sequence number                u32, little-endian
//! bytes 12..20  session                        8 bytes
//! ```
//!
//! Sequence numbers count per direction, channel and peer from 0 and never wrap. Nothing in a
//! header is believed: the receiver knows all four values beforehand (of the length at least a
//! bound), and a header that says anything else is an error before a payload is allocated.

use crate::{Due, Length, NetError, Tag};

/// The bytes of a frame header.
pub const HEADER_BYTES: usize = 20;

/// The longest payload of one frame, whatever is due: 1 GiB.
pub const MAX_PAYLOAD: usize = 1 << 30;

/// A frame header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) length: u32,
    pub(crate) tag: u32,
    pub(crate) sequence: u32,
    pub(crate) session: [u8; 8],
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..4].copy_from_slice(&self.length.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.tag.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.session);
        bytes
    }

    /// The header in `bytes`; `None` when there are not exactly [`HEADER_BYTES`] of them.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER_BYTES] = bytes.try_into().ok()?;
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let mut session = [0; 8];
        session.copy_from_slice(&bytes[12..20]);
        Some(Self { length: word(0), tag: word(4), sequence: word(8), session })
    }
}

/// What the receiver knows about the next frame, and how it names the sender to people.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected<'a> {
    pub(crate) peer: &'a str,
    pub(crate) channel: &'a str,
    pub(crate) due: Due,
    pub(crate) sequence: u32,
    pub(crate) session: [u8; 8],
}

impl Expected<'_> {
    /// Checks a header and returns the length of the payload that follows.
    ///
    /// # Errors
    /// [`NetError::Malformed`], [`NetError::OutOfStep`] or [`NetError::Length`].
    pub(crate) fn check(&self, bytes: &[u8]) -> Result<usize, NetError> {
        let Some(header) = Header::decode(bytes) else {
            return Err(NetError::Malformed {
                peer: self.peer.to_owned(),
                expected: self.step(),
                detail: format!("{} bytes are not a frame header", bytes.len()),
            });
        };
        if header.session != self.session {
            return Err(self.out_of_step(format!(
                "a frame of session {} (here: {})",
                hex(&header.session),
                hex(&self.session)
            )));
        }
        if header.tag != self.due.tag.code() {
            return Err(self.out_of_step(format!(
                "a frame of the step with code {:08x} (here: {:08x})",
                header.tag,
                self.due.tag.code()
            )));
        }
        if header.sequence != self.sequence {
            return Err(self.out_of_step(format!("message {}", header.sequence)));
        }
        match usize::try_from(header.length) {
            Ok(length) if length <= MAX_PAYLOAD && self.due.length.allows(length) => Ok(length),
            _ => Err(NetError::Length {
                peer: self.peer.to_owned(),
                step: self.step(),
                expected: match self.due.length {
                    Length::Exactly(due) => due.to_string(),
                    Length::AtMost(max) => format!("at most {}", max.min(MAX_PAYLOAD)),
                },
                got: u64::from(header.length),
            }),
        }
    }

    /// The step in words, for error messages.
    pub(crate) fn step(&self) -> String {
        step(self.channel, self.due.tag, self.sequence)
    }

    fn out_of_step(&self, got: String) -> NetError {
        NetError::OutOfStep { peer: self.peer.to_owned(), expected: self.step(), got }
    }
}

/// A step in words: its label, the message's number and, unless it is the root, the channel.
pub(crate) fn step(channel: &str, tag: Tag, sequence: u32) -> String {
    if channel.is_empty() {
        format!("{} (message {sequence})", tag.label())
    } else {
        format!("{} (message {sequence} of channel {channel})", tag.label())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TAG: Tag = Tag::new("logistic/open-delta");

    fn expected(length: Length, sequence: u32, session: [u8; 8]) -> Expected<'static> {
        Expected {
            peer: "clinic",
            channel: "",
            due: Due { tag: TAG, length, patient: false },
            sequence,
            session,
        }
    }

    #[test]
    fn the_header_has_not_changed() {
        let header = Header {
            length: 0x0102_0304,
            tag: TAG.code(),
            sequence: 7,
            session: [0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7],
        };
        let golden = "04030201cb9c204607000000a0a1a2a3a4a5a6a7";
        assert_eq!(hex(&header.encode()), golden);
    }

    #[test]
    fn errors_name_peer_and_step() {
        let due = expected(Length::Exactly(8), 3, [0; 8]);
        let header = Header { length: 9, tag: TAG.code(), sequence: 3, session: [0; 8] };
        let text = due.check(&header.encode()).unwrap_err().to_string();
        assert!(text.contains("clinic") && text.contains("logistic/open-delta (message 3)"));
        assert!(text.contains('9') && text.contains('8'), "{text}");
    }

    #[test]
    fn nothing_above_the_limit_is_accepted() {
        let due = expected(Length::AtMost(usize::MAX), 0, [0; 8]);
        let header = Header { length: u32::MAX, tag: TAG.code(), sequence: 0, session: [0; 8] };
        assert!(matches!(due.check(&header.encode()), Err(NetError::Length { .. })));
    }

    proptest! {
        #[test]
        fn round_trip(length in 0u32..=1 << 30, sequence: u32, session: [u8; 8]) {
            let header = Header { length, tag: TAG.code(), sequence, session };
            let due = expected(Length::Exactly(length as usize), sequence, session);
            prop_assert_eq!(Header::decode(&header.encode()), Some(header));
            prop_assert_eq!(due.check(&header.encode()).unwrap(), length as usize);
        }

        #[test]
        fn every_flipped_bit_and_every_cut_is_an_error(
            length in 0u32..=1 << 30,
            sequence: u32,
            session: [u8; 8],
        ) {
            let bytes = Header { length, tag: TAG.code(), sequence, session }.encode();
            let due = expected(Length::Exactly(length as usize), sequence, session);
            for bit in 0..HEADER_BYTES * 8 {
                let mut flipped = bytes;
                flipped[bit / 8] ^= 1 << (bit % 8);
                prop_assert!(due.check(&flipped).is_err());
            }
            for cut in 0..HEADER_BYTES {
                prop_assert!(due.check(&bytes[..cut]).is_err());
            }
        }

        #[test]
        fn random_bytes_are_a_named_error(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let due = expected(Length::AtMost(1 << 20), 5, *b"a secret");
            let error = due.check(&bytes).unwrap_err();
            prop_assert!(error.to_string().contains("clinic"));
        }
    }
}
