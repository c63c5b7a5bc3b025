//! What two nodes tell each other before they count as joined.
//!
//! ```text
//! bytes 0..4    length of the rest, at most 4096     u32, little-endian
//! bytes 4..12   "mpc-join"
//! bytes 12..16  oldest and newest protocol version    2 x u16, little-endian
//! bytes 16..    the message                           postcard
//! ```
//!
//! Everything in front of the message keeps its place in all versions, so that nodes of very
//! different versions can still tell their operators what is wrong.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The versions of the protocol between nodes that this build speaks.
pub(crate) const VERSIONS: (u16, u16) = (4, 4);

/// The versions, or the one that a test stages.
pub(crate) fn versions() -> (u16, u16) {
    let staged = super::staged("MPC_PROTOCOL").and_then(|version| u16::try_from(version).ok());
    staged.map_or(VERSIONS, |version| (version, version))
}

const MAGIC: [u8; 8] = *b"mpc-join";
const HEAD: usize = 12;

/// The longest message before a node has joined.
pub(crate) const MAX_MESSAGE: usize = 4096;

/// Nodes of a mesh at most, so that a [`Ready`] is not too long.
pub(crate) const MAX_NODES: usize = 250;

/// The name of a connection, which both of its ends derive from its TLS session: no other
/// connection has it, not even one between the same two processes.
pub(crate) type ConnectionId = [u8; 16];

/// What a node does in a study.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// It holds data.
    Party,
    /// It deals correlated randomness and holds no data.
    Dealer,
}

/// A node as it sees itself and the other end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) build: String,
    pub(crate) index: u16,
    pub(crate) role: Role,
    pub(crate) your_index: u16,
    pub(crate) your_role: Role,
    pub(crate) nodes: u16,
    pub(crate) context: [u8; 32],
    pub(crate) nonce: [u8; 32],
}

/// The reply to a hello.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// The other end's own hello.
    Accept(Hello),
    /// Not now: try again.
    Busy(String),
    /// Never: what does not fit, in words for the dialler.
    Refuse(String),
}

/// Sent when a node has joined all others, once on each connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ready {
    /// Its connections with all nodes in their order; zeros in its own place.
    pub(crate) connections: Vec<ConnectionId>,
}

/// Why bytes are not a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HelloError {
    #[error("it speaks versions {} to {} of the protocol, this node versions {} to {}", .0.0, .0.1, versions().0, versions().1)]
    Version((u16, u16)),
    #[error("{0}")]
    Malformed(&'static str),
}

/// A message with everything in front of it.
pub(crate) fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, postcard::Error> {
    let body = postcard::to_stdvec(message)?;
    let length = (HEAD + body.len()) as u32;
    let (oldest, newest) = versions();
    Ok([
        length.to_le_bytes().as_slice(),
        &MAGIC,
        &oldest.to_le_bytes(),
        &newest.to_le_bytes(),
        &body,
    ]
    .concat())
}

/// The message in `bytes`, which stood behind the length.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, HelloError> {
    if bytes.len() > MAX_MESSAGE {
        return Err(HelloError::Malformed("the message is too long"));
    }
    let Some((head, body)) = bytes.split_at_checked(HEAD) else {
        return Err(HelloError::Malformed("the message is too short"));
    };
    if head[..8] != MAGIC {
        return Err(HelloError::Malformed("the message is not one of this protocol"));
    }
    let oldest = u16::from_le_bytes([head[8], head[9]]);
    let newest = u16::from_le_bytes([head[10], head[11]]);
    let own = versions();
    if oldest > newest || oldest > own.1 || newest < own.0 {
        return Err(HelloError::Version((oldest, newest)));
    }
    match postcard::take_from_bytes(body) {
        Ok((message, [])) => Ok(message),
        Ok(_) => Err(HelloError::Malformed("there are bytes behind the message")),
        Err(_) => Err(HelloError::Malformed("the message cannot be read")),
    }
}

/// What does not fit between two ends, in words for the operator of `here`.
pub(crate) fn mismatch(here: &Hello, there: &Hello) -> Option<String> {
    if here.context != there.context {
        return Some(format!(
            "its study is {}, this node's study is {}",
            short(&there.context),
            short(&here.context)
        ));
    }
    if here.nodes != there.nodes {
        return Some(format!(
            "it counts {} nodes in the study, this node counts {}",
            there.nodes, here.nodes
        ));
    }
    if (here.your_index, here.index) != (there.index, there.your_index) {
        return Some(format!(
            "it takes itself for node {} and this node for node {}, here they are {} and {}",
            there.index, there.your_index, here.your_index, here.index
        ));
    }
    if (here.your_role, here.role) != (there.role, there.your_role) {
        return Some(format!(
            "it takes itself for a {} and this node for a {}, here they are {} and {}",
            word(there.role),
            word(there.your_role),
            word(here.your_role),
            word(here.role)
        ));
    }
    None
}

/// The beginning of a digest, for people.
pub(crate) fn short(digest: &[u8; 32]) -> String {
    digest[..6].iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "…"
}

/// Text from a peer without anything that a terminal would obey, and not too much of it.
pub(crate) fn printable(text: &str) -> String {
    text.chars().take(1000).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn word(role: Role) -> &'static str {
    match role {
        Role::Party => "party",
        Role::Dealer => "dealer",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hello() -> Hello {
        Hello {
            build: "1.0".to_owned(),
            index: 0,
            role: Role::Party,
            your_index: 2,
            your_role: Role::Dealer,
            nodes: 3,
            context: [0xab; 32],
            nonce: [1; 32],
        }
    }

    fn turned(hello: &Hello) -> Hello {
        Hello {
            index: hello.your_index,
            role: hello.your_role,
            your_index: hello.index,
            your_role: hello.role,
            ..hello.clone()
        }
    }

    #[test]
    fn messages_survive_and_have_not_changed() {
        let bytes = encode(&hello()).unwrap();
        assert_eq!(decode::<Hello>(&bytes[4..]).unwrap(), hello());
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let golden = format!(
            "55000000{}0400040003312e300000020103{}{}",
            "6d70632d6a6f696e",
            "ab".repeat(32),
            "01".repeat(32)
        );
        assert_eq!(hex, golden);
    }

    #[test]
    fn the_sign_of_the_largest_mesh_is_no_longer_than_a_message_may_be() {
        let ready = Ready { connections: vec![[0xff; 16]; MAX_NODES] };
        let bytes = encode(&ready).unwrap();
        assert!(bytes.len() - 4 <= MAX_MESSAGE);
        assert_eq!(decode::<Ready>(&bytes[4..]).unwrap(), ready);
    }

    #[test]
    fn every_mismatch_is_named() {
        let (here, there) = (hello(), turned(&hello()));
        assert_eq!(mismatch(&here, &there), None);
        let text = mismatch(&here, &Hello { context: [0xcd; 32], ..there.clone() }).unwrap();
        assert!(text.contains("abababababab") && text.contains("cdcdcdcdcdcd"));
        assert!(mismatch(&here, &Hello { nodes: 4, ..there.clone() }).unwrap().contains('4'));
        assert!(mismatch(&here, &Hello { index: 1, ..there.clone() }).is_some());
        assert!(mismatch(&here, &Hello { your_index: 1, ..there.clone() }).is_some());
        let text = mismatch(&here, &Hello { role: Role::Party, ..there }).unwrap();
        assert!(text.contains("dealer"));
    }

    #[test]
    fn another_version_is_named_even_if_its_message_is_unknown() {
        let mut bytes = encode(&hello()).unwrap().split_off(4);
        bytes[8..12].copy_from_slice(&[7, 0, 9, 0]);
        bytes.truncate(14);
        let error = decode::<Hello>(&bytes).unwrap_err();
        assert_eq!(error, HelloError::Version((7, 9)));
        assert!(error.to_string().contains("7 to 9"));
    }

    #[test]
    fn terminals_are_safe() {
        assert_eq!(printable("a\u{1b}[2Jb\n"), "a [2Jb ");
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(decode::<Hello>(&bytes).is_err());
            prop_assert!(decode::<Answer>(&bytes).is_err());
            prop_assert!(decode::<Ready>(&bytes).is_err());
        }

        #[test]
        fn random_bodies_never_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let versions = [VERSIONS.0.to_le_bytes(), VERSIONS.1.to_le_bytes()].concat();
            let bytes = [MAGIC.as_slice(), &versions, &body].concat();
            let _ = decode::<Hello>(&bytes);
            let _ = decode::<Answer>(&bytes);
            let _ = decode::<Ready>(&bytes);
        }

        #[test]
        fn every_cut_is_an_error(cut in 0usize..85) {
            let bytes = encode(&hello()).unwrap().split_off(4);
            prop_assert_eq!(bytes.len(), 85);
            prop_assert!(decode::<Hello>(&bytes[..cut]).is_err());
        }
    }
}
