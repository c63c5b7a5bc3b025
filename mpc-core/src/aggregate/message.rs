//! The messages of an aggregation, as bytes (docs/protocols.md 18.2).

use curve25519_dalek::ristretto::CompressedRistretto;
use curve25519_dalek::scalar::Scalar;
use zeroize::Zeroizing;

use super::Set;
use super::masks::OwnMask;
use super::quorum::Keys;
use super::shares::Shares;
use crate::ring::{Z64, wire};

/// Kind, round and set.
const HEAD: usize = 1 + 8 + 16;
const DIGEST: usize = 32;
const SET: usize = 16;
/// A scalar, or a point.
const SCALAR: usize = 32;

/// What the four messages to one party have beside numbers.
pub(super) const OVERHEAD: usize = VIEW + HEAD + HEAD + (HEAD + 1 + 32);
/// What the five messages to one party of so many have beside numbers, where a quorum can end a sum.
pub(super) const fn overhead_of_quorum(parties: usize) -> usize {
    let tell = HEAD + SET + SCALAR * parties;
    VIEW + (HEAD + 3 * SCALAR) + HEAD + (HEAD + SET + 1) + tell
}
/// A view.
pub(super) const VIEW: usize = HEAD + 2 * 16 + DIGEST;

/// What a party says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Report {
    /// Who is there.
    pub(super) view: Set,
    /// The attempt that it is in; nobody if it is in none.
    pub(super) attempt: Set,
    /// Whose messages of the last step it holds.
    pub(super) holds: Set,
    /// Of the public state that the round starts from.
    pub(super) digest: [u8; DIGEST],
}

/// The seed of a party's own mask, and the sum of the slices that it had.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Finish {
    pub(super) own: OwnMask,
    pub(super) sum: Zeroizing<Vec<Z64>>,
}

pub(super) enum Body {
    View {
        attempt: Set,
        holds: Set,
        digest: [u8; DIGEST],
    },
    Slice(Zeroizing<Vec<Z64>>),
    Complete,
    Finish {
        owner: usize,
        finish: Finish,
    },
    State(Vec<u8>),
    Total(Zeroizing<Vec<Z64>>),
    /// The steps of an attempt that a quorum can end; from the pieces on they name who is to be in the sum.
    Keys(Keys),
    Pieces(Set, Zeroizing<Vec<Z64>>),
    Sum(Set, usize, Zeroizing<Vec<Z64>>),
    Tell(Set, Zeroizing<Vec<Scalar>>),
}

pub(super) struct Message {
    pub(super) round: u64,
    /// The view, or the set of the attempt.
    pub(super) set: Set,
    pub(super) body: Body,
}

/// The longest message of an aggregation of vectors of `len` elements by at least `least` of `parties` parties, with states of
/// at most `state` bytes.
pub(super) fn longest(len: usize, (least, parties): (usize, usize), state: usize) -> usize {
    let slice = len.div_ceil(least.max(1)) * wire::element_bytes(64);
    let total = SET + 1 + len * wire::element_bytes(64);
    HEAD + (1 + 32 + slice)
        .max(total)
        .max(state)
        .max(VIEW - HEAD)
        .max(SET + SCALAR * parties.max(3))
}

/// A scalar in its one form.
fn scalar(bytes: [u8; SCALAR]) -> Option<Scalar> {
    Option::from(Scalar::from_canonical_bytes(bytes))
}

impl Message {
    pub(super) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let kind = match self.body {
            Body::View { .. } => 1,
            Body::Slice(_) => 2,
            Body::Complete => 3,
            Body::Finish { .. } => 4,
            Body::State(_) => 5,
            Body::Total(_) => 6,
            Body::Keys(_) => 7,
            Body::Pieces(..) => 8,
            Body::Sum(..) => 9,
            Body::Tell(..) => 10,
        };
        let elements = match &self.body {
            Body::Slice(values) | Body::Total(values) => values.len(),
            Body::Pieces(_, values) | Body::Sum(_, _, values) => values.len(),
            Body::Tell(_, shares) => 4 * shares.len(),
            Body::Finish { finish, .. } => finish.sum.len(),
            _ => 0,
        };
        // In one piece, so that no copy of it is left behind.
        let mut out = Zeroizing::new(Vec::with_capacity(HEAD + 96 + 8 * elements));
        out.push(kind);
        out.extend_from_slice(&self.round.to_le_bytes());
        out.extend_from_slice(&self.set.to_bytes());
        match &self.body {
            Body::View { attempt, holds, digest } => {
                out.extend_from_slice(&attempt.to_bytes());
                out.extend_from_slice(&holds.to_bytes());
                out.extend_from_slice(digest);
            }
            Body::Slice(values) | Body::Total(values) => wire::encode(values, 64, &mut out),
            Body::Complete => {}
            Body::Finish { owner, finish } => {
                out.push(u8::try_from(*owner).unwrap_or(u8::MAX));
                out.extend_from_slice(&*finish.own);
                wire::encode(&finish.sum, 64, &mut out);
            }
            Body::State(state) => out.extend_from_slice(state),
            Body::Keys(Keys { point, shares }) => {
                out.extend_from_slice(point.as_bytes());
                out.extend_from_slice(shares.key.as_bytes());
                out.extend_from_slice(shares.own.as_bytes());
            }
            Body::Pieces(of, values) => {
                out.extend_from_slice(&of.to_bytes());
                wire::encode(values, 64, &mut out);
            }
            Body::Sum(of, owner, values) => {
                out.extend_from_slice(&of.to_bytes());
                out.push(u8::try_from(*owner).unwrap_or(u8::MAX));
                wire::encode(values, 64, &mut out);
            }
            Body::Tell(of, shares) => {
                out.extend_from_slice(&of.to_bytes());
                shares.iter().for_each(|share| out.extend_from_slice(share.as_bytes()));
            }
        }
        out
    }

    /// The message with these bytes; `None` if they are none.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (round, rest) = rest.split_first_chunk::<8>()?;
        let (set, rest) = rest.split_first_chunk::<16>()?;
        let (round, set) = (u64::from_le_bytes(*round), Set::from_bytes(*set));
        let body = match kind {
            1 => {
                let (attempt, rest) = rest.split_first_chunk::<16>()?;
                let (holds, rest) = rest.split_first_chunk::<16>()?;
                let digest = rest.try_into().ok()?;
                let (attempt, holds) = (Set::from_bytes(*attempt), Set::from_bytes(*holds));
                Body::View { attempt, holds, digest }
            }
            2 => Body::Slice(wire::decode(rest, 64)?),
            3 if rest.is_empty() => Body::Complete,
            4 => {
                let (&owner, rest) = rest.split_first()?;
                let (own, rest) = rest.split_first_chunk::<32>()?;
                let finish = Finish { own: Zeroizing::new(*own), sum: wire::decode(rest, 64)? };
                Body::Finish { owner: owner.into(), finish }
            }
            5 => Body::State(rest.to_vec()),
            6 => Body::Total(wire::decode(rest, 64)?),
            7 => {
                let (point, rest) = rest.split_first_chunk::<SCALAR>()?;
                let (key, rest) = rest.split_first_chunk::<SCALAR>()?;
                let (key, own) = (scalar(*key)?, scalar(rest.try_into().ok()?)?);
                let shares = Shares { key: Zeroizing::new(key), own: Zeroizing::new(own) };
                Body::Keys(Keys { point: CompressedRistretto(*point), shares })
            }
            8..=10 => {
                let (of, rest) = rest.split_first_chunk::<SET>()?;
                let of = Set::from_bytes(*of);
                match kind {
                    8 => Body::Pieces(of, wire::decode(rest, 64)?),
                    9 => {
                        let (&owner, rest) = rest.split_first()?;
                        Body::Sum(of, owner.into(), wire::decode(rest, 64)?)
                    }
                    _ => {
                        let (shares, left) = rest.as_chunks::<SCALAR>();
                        let mut told = Zeroizing::new(Vec::with_capacity(shares.len()));
                        for share in shares.iter().filter(|_| left.is_empty()) {
                            told.push(scalar(*share)?);
                        }
                        if !left.is_empty() {
                            return None;
                        }
                        Body::Tell(of, told)
                    }
                }
            }
            _ => return None,
        };
        Some(Self { round, set, body })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::shares::Secrets;
    use super::*;
    use crate::rand::{MaskSwitch, Seed};

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_refused(kind in 0u8..12, rest: Vec<u8>) {
            let bytes = [&[kind], rest.as_slice()].concat();
            if let Some(message) = Message::decode(&bytes) {
                prop_assert_eq!(&*message.encode(), &bytes);
            }
        }
    }

    #[test]
    fn messages_survive_the_wire_and_are_no_longer_than_said() {
        let (own, sum) = (Zeroizing::new([9; 32]), Zeroizing::new(vec![Z64(7), Z64(u64::MAX)]));
        let seed = Seed::from_secret("test", &[b"message"]);
        let secrets = Secrets::new(&seed, 3, MaskSwitch::default());
        let bodies = [
            Body::View { attempt: Set::below(2), holds: Set::default(), digest: [5; 32] },
            Body::Slice(sum.clone()),
            Body::Complete,
            Body::Finish { owner: 3, finish: Finish { own, sum } },
            Body::State(vec![1, 2, 3]),
            Body::Total(Zeroizing::new(vec![Z64(1); 5])),
            Body::Keys(Keys { point: secrets.point(), shares: secrets.shares(1) }),
            Body::Pieces(Set::below(3), Zeroizing::new(vec![Z64(3); 5])),
            Body::Sum(Set::below(3), 2, Zeroizing::new(vec![Z64(4); 5])),
            Body::Tell(Set::below(3), Zeroizing::new(vec![*secrets.own; 4])),
        ];
        for body in bodies {
            let bytes = Message { round: 77, set: Set::below(5), body }.encode();
            let again = Message::decode(&bytes).expect("is one");
            assert_eq!((again.round, again.set), (77, Set::below(5)));
            assert_eq!(*again.encode(), *bytes);
            assert!(bytes.len() <= longest(5, (3, 4), 3));
        }
    }
}
