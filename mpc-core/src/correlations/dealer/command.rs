//! What the parties tell the dealer.

use mpc_net::Tag;
use serde::{Deserialize, Serialize};

use crate::correlations::{MatrixShape, Request};
use crate::error::Error;

pub(super) const COMMAND: Tag = Tag::new("dealer/command");
pub(super) const CORRECTION: Tag = Tag::new("dealer/correction");
pub(super) const MASKED_MATRIX: Tag = Tag::new("dealer/masked-matrix");

/// The label of the channel between the parties and the dealer.
pub(super) const CHANNEL: &str = "correlations/dealer";

/// The longest command on the wire.
pub(super) const MAX_COMMAND: usize = 1 << 20;

/// The requests of one command, so that it stays below [`MAX_COMMAND`].
pub(super) const REQUESTS_A_COMMAND: usize = 512;

/// All parties send the same commands in the same order.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Command {
    Register(MatrixShape),
    Produce(Vec<Request>),
    Finish,
}

impl Command {
    pub(super) fn encode(&self) -> Result<Vec<u8>, Error> {
        postcard::to_stdvec(self)
            .map_err(|error| Error::internal(format!("a command was not encoded: {error}")))
    }

    /// `None` unless the bytes are one command and nothing more.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        match postcard::take_from_bytes(bytes) {
            Ok((command, [])) => Some(command),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_a_command_or_refused(bytes: Vec<u8>) {
            drop(Command::decode(&bytes));
        }
    }

    #[test]
    fn commands_survive_the_wire() {
        let command = Command::Produce(vec![Request::Left { m: 3, k: 4, ring: 64 }]);
        let mut bytes = command.encode().expect("encodes");
        assert_eq!(Command::decode(&bytes), Some(command));
        bytes.push(0);
        assert_eq!(Command::decode(&bytes), None);
    }
}
