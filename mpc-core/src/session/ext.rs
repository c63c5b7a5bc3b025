//! For protocols outside this crate: zero shares, streams in common with another party, messages of
//! bytes.
//!
//! Most protocols need none of this: they open what a mask of its own hides ([`Batch::masked`]),
//! open bounded values ([`open_bounded_fixed`]), take correlations, and reveal results. What is here
//! is what those are made of. The example `replicated_product` is a protocol on it.
//!
//! # Security
//! All of it holds against the parties that keep to the protocol, up to all but one of them
//! together, and it is for the caller to see that it is enough:
//!
//! * **A mask is used once.** Every element of a stream goes into one message. All streams of a
//!   [`MaskDomain`] go on where they stopped, so that is kept as long as what is drawn is not kept
//!   and sent again.
//! * **Both ends draw alike.** The two parties of a pair, and all parties of a zero share, draw the
//!   same numbers of elements of the same widths in the same order, which follows from public facts
//!   alone; if not, shares add up to noise.
//! * **A zero share hides one party from others only where two are honest.** A single honest party's
//!   follows from all others': with two parties it hides nothing from the other one.
//! * **A stream in common with a party hides nothing from that party**, and everything from all
//!   others. One's [own stream](own_stream) hides from everybody.
//! * **What is sent says nothing.** Every message carries a fresh mask as long as itself that its
//!   reader does not know, or is public by design. Lengths, who sends, and when follow from public
//!   facts.
//! * **Results go through the ledger.** What anybody learns is revealed by
//!   [`Session::reveal_fixed`] and its like, never by a message of one's own.
//! * **Messages are checked.** Peers may send any bytes of the length that is due: decode with
//!   [`wire::decode`](crate::ring::wire::decode), and name the peer with [`misbehaved`].
//!
//! Each domain gets a test of what a coalition sees that fails when the domain is switched off
//! (feature `insecure-test-masks`, `World::insecure_without`).
//!
//! [`Batch::masked`]: crate::Batch::masked
//! [`open_bounded_fixed`]: crate::protocols::truncate::open_bounded_fixed

use mpc_net::{MAX_PAYLOAD, Tag};
use zeroize::Zeroizing;

use super::Session;
use crate::error::Error;
use crate::rand::{Coins, MaskDomain, MaskSite, Prg};
use crate::ring::Ring;
use crate::share::{Fixed, Shared};

/// Adds a fresh zero share mod 2^`bits`: the additions of all parties sum to zero, and no two or
/// more honest parties' are known to the others but for their sum (docs/protocols.md 1). No traffic.
///
/// # Errors
/// When there are no bits, or more than the ring has; when a round was interrupted.
pub fn add_zero_share<R: Ring>(
    session: &mut Session,
    domain: MaskDomain,
    share: &mut Shared<R>,
    bits: u32,
) -> Result<(), Error> {
    if !(1..=R::BITS).contains(&bits) {
        return Err(Error::internal(format!(
            "a zero share mod 2^{bits} of values mod 2^{}",
            R::BITS
        )));
    }
    session.usable()?;
    session.add_zero_share(domain.into(), share, bits)
}

/// `value` with a fresh zero share in its own ring. No traffic.
///
/// # Errors
/// When a round was interrupted.
pub fn with_zero_share(
    session: &mut Session,
    domain: MaskDomain,
    value: Fixed,
) -> Result<Fixed, Error> {
    session.usable()?;
    let (mut share, ring, fraction) = value.into_parts();
    session.add_zero_share(domain.into(), &mut share, ring)?;
    Fixed::new(share, ring, fraction)
}

/// The stream of `domain` that this party has in common with party `peer`, where it stopped.
///
/// # Errors
/// When there is no such party, or it is this one; when a round was interrupted.
pub fn pair_stream(
    session: &mut Session,
    peer: usize,
    domain: MaskDomain,
) -> Result<&mut Prg, Error> {
    if peer >= session.parties() || peer == session.me() {
        return Err(Error::internal(format!("no stream in common with party {peer}")));
    }
    session.usable()?;
    session.stream(peer, domain.into())
}

/// A stream of this party alone, a new one each time.
///
/// # Errors
/// When a round was interrupted.
pub fn own_stream(session: &mut Session, domain: MaskDomain) -> Result<Prg, Error> {
    session.usable()?;
    let seed = session.coins().seed("own stream");
    Ok(Prg::under(&seed, MaskSite::from(domain), session.switch()))
}

/// Coins of this party's own for a piece of work beside the messages, new ones each time.
///
/// # Errors
/// When a round was interrupted.
pub fn own_coins(session: &mut Session) -> Result<Coins, Error> {
    session.usable()?;
    Ok(session.coins().part("own coins"))
}

/// Sends `outgoing[j]` to each party j while it receives `incoming[j]` bytes from it, exactly; where
/// these are none, nothing is sent or awaited. One round, of which all parties know the lengths.
/// Gives what was received, by party; nothing from this one.
///
/// # Errors
/// When there is not one entry for each party, one for this party, or one longer than
/// [`MAX_PAYLOAD`]; when a peer is lost or sends another length.
pub async fn exchange(
    session: &mut Session,
    tag: Tag,
    outgoing: Vec<Zeroizing<Vec<u8>>>,
    incoming: Vec<usize>,
) -> Result<Vec<Zeroizing<Vec<u8>>>, Error> {
    let (me, parties) = (session.me(), session.parties());
    if me >= parties || outgoing.len() != parties || incoming.len() != parties {
        return Err(Error::internal("an exchange has one message to and from each party"));
    }
    if !outgoing[me].is_empty() || incoming[me] != 0 {
        return Err(Error::internal("a party exchanges nothing with itself"));
    }
    let longest = outgoing.iter().map(|bytes| bytes.len()).chain(incoming.iter().copied()).max();
    if longest > Some(MAX_PAYLOAD) {
        return Err(Error::Range(format!("a message has at most {MAX_PAYLOAD} bytes")));
    }
    session.exchange(tag, outgoing, incoming).await
}

/// The error that names `peer`: in the step `tag` it sent what cannot be what was due. `detail` says
/// what is wrong without the bytes.
#[must_use]
pub fn misbehaved(session: &Session, peer: usize, tag: Tag, detail: &str) -> Error {
    session.misbehaved(peer, tag, detail)
}
