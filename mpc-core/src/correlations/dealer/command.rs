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

/// Decodes a command and checks what it orders, as a dealer of three parties does before it makes
/// anything, with a matrix registered and a factor ordered before.
#[cfg(feature = "test-util")]
pub(crate) fn check(bytes: &[u8]) {
    let Some(command) = Command::decode(bytes) else { return };
    let again = command.encode().map(|bytes| Command::decode(&bytes));
    assert_eq!(again.ok().flatten().as_ref(), Some(&command));
    let mut matrices =
        vec![MatrixShape { rows: vec![9, 0, 4], columns: 3, entry_bits: 16, sigma: 57 }];
    let mut lefts = vec![(2, 3, 64)];
    match command {
        Command::Register(shape) if shape.check(3).is_ok() => matrices.push(shape),
        Command::Produce(requests) => {
            for request in requests {
                if request.check(&matrices, &lefts).is_err() {
                    return;
                }
                if let Request::Left { m, k, ring } = request {
                    lefts.push((m, k, ring));
                }
            }
        }
        Command::Register(_) | Command::Finish => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::correlations::{OwnedProductRequest, PhasorRequest, RightRequest};

    proptest! {
        #[test]
        fn any_bytes_are_a_command_or_refused(bytes: Vec<u8>) {
            drop(Command::decode(&bytes));
        }

        /// Bytes that are almost a command get further than random ones.
        #[test]
        fn commands_that_were_tampered_with_are_read_or_refused(
            words: [u64; 6],
            at: usize,
            byte: u8,
            cut: usize,
        ) {
            let [a, b, c, d, e, f] = words;
            let rows = vec![(a, b), (c % 10, d % 10), (e, f)];
            let small = |word: u64| word as u32;
            let owned = OwnedProductRequest {
                matrix: small(a % 2),
                rows,
                transposed: b % 2 == 0,
                ring: small(c),
                mask_bits: small(d),
                drop: small(e),
                public_columns: small(f),
            };
            let phasors = PhasorRequest {
                count: small(a),
                harmonics: vec![small(b), small(c)],
                fraction: small(d % 40),
                ring: small(e % 140),
                angle_bits: small(f % 32),
                rounding: None,
            };
            let commands = [
                Command::Register(MatrixShape {
                    rows: vec![a, b, c],
                    columns: small(d),
                    entry_bits: small(e % 40),
                    sigma: small(f % 80),
                }),
                Command::Produce(vec![
                    Request::Left { m: small(a), k: small(b), ring: 64 << (c % 2) },
                    Request::Right(RightRequest {
                        left: small(d % 3),
                        n: small(e),
                        last: f % 2 == 0,
                    }),
                ]),
                Command::Produce(vec![Request::OwnedProduct(owned)]),
                Command::Produce(vec![Request::Phasors(phasors)]),
            ];
            for command in commands {
                let mut bytes = command.encode().expect("encodes");
                #[cfg(feature = "test-util")]
                check(&bytes);
                let place = at % bytes.len();
                bytes[place] = byte;
                drop(Command::decode(&bytes));
                #[cfg(feature = "test-util")]
                check(&bytes);
                bytes.truncate(cut % bytes.len());
                drop(Command::decode(&bytes));
            }
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
