//! What the nodes sign of their transcripts (docs/protocols.md 10).

use futures_util::future::join_all;
use mpc_net::record::{Direction, Fit, Reached, STATEMENTS};
use mpc_net::{Due, PartyId, Tag, Transport};
use serde::{Deserialize, Serialize};

use super::{Session, Signatory};
use crate::error::Error;

const STATEMENT: Tag = Tag::new("transcript/statement");

/// The purpose of the signatures.
const DOMAIN: &str = "mpc transcript/1";

/// The longest statement.
const MOST: usize = 1 << 16;

const SIGNATURE: usize = 64;

/// What one node says that it sent to another, on all channels, in one session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attestation {
    /// The session.
    pub session: [u8; 32],
    /// Who says it.
    pub from: u16,
    /// To whom it sent.
    pub to: u16,
    /// Whether it says that there is no more.
    pub last: bool,
    /// How far each channel has come, in the order of their paths.
    pub reached: Vec<Reached>,
}

/// A statement under the signature of who makes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// What was signed.
    pub statement: Attestation,
    /// 64 bytes.
    pub signature: Vec<u8>,
}

impl Signed {
    /// The statement under the signature of the node that makes it.
    ///
    /// # Errors
    /// Only for a fault of the program.
    pub fn sign(statement: Attestation, signatory: &dyn Signatory) -> Result<Self, Error> {
        let signature = signatory.sign(DOMAIN, &encode(&statement)?).to_vec();
        Ok(Self { statement, signature })
    }

    /// Whether the signature is the one of the node that the statement names.
    #[must_use]
    pub fn holds(&self, signatory: &dyn Signatory) -> bool {
        let Ok(signature) = <&[u8; SIGNATURE]>::try_from(self.signature.as_slice()) else {
            return false;
        };
        encode(&self.statement).is_ok_and(|bytes| {
            signatory.verify(self.statement.from.into(), DOMAIN, &bytes, signature)
        })
    }

    fn encode(&self) -> Result<Vec<u8>, Error> {
        Ok([self.signature.clone(), encode(&self.statement)?].concat())
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (signature, rest) = bytes.split_at_checked(SIGNATURE)?;
        let (statement, rest) = postcard::take_from_bytes(rest).ok()?;
        rest.is_empty().then(|| Self { statement, signature: signature.to_vec() })
    }
}

fn encode(statement: &Attestation) -> Result<Vec<u8>, Error> {
    postcard::to_stdvec(statement).map_err(|error| Error::internal(error.to_string()))
}

impl Session {
    /// Tells each other party, and with `last` a dealer too, under this node's signature what it has
    /// sent to it so far, and takes the same from each. One round.
    ///
    /// Gives what each said, by node; nothing where the session keeps no transcript. What is still on
    /// its way when a node says that it was sent is compared with a later statement; after the `last`
    /// one nothing may be.
    ///
    /// # Errors
    /// When a round was interrupted. In the place of a node: when it is lost, its signature does not
    /// hold, or it signed something else than what arrived here.
    pub async fn attest(
        &mut self,
        last: bool,
    ) -> Result<Vec<(usize, Result<Signed, Error>)>, Error> {
        self.attest_to(last, |_| true).await
    }

    /// The same with those nodes alone that are still there: of a protocol that goes on without the others.
    ///
    /// # Errors
    /// As [`attest`](Self::attest).
    pub async fn attest_to(
        &mut self,
        last: bool,
        there: impl Fn(usize) -> bool,
    ) -> Result<Vec<(usize, Result<Signed, Error>)>, Error> {
        self.usable()?;
        let (Some(transcript), Some(signatory)) = (&self.transcript, &self.signatory) else {
            return Ok(Vec::new());
        };
        if self.statements.is_none() {
            self.statements = Some(self.transport.fork(STATEMENTS)?);
        }
        let Some(channel) = self.statements.as_deref() else { return Ok(Vec::new()) };
        let nodes = if last { self.transport.nodes() } else { self.parties };
        let peers: Vec<usize> = (0..nodes).filter(|&node| node != self.me && there(node)).collect();
        let mut outgoing = Vec::with_capacity(peers.len());
        for &to in &peers {
            let statement = Attestation {
                session: self.id,
                from: self.me as u16,
                to: to as u16,
                last,
                reached: transcript.reached(PartyId::from_index(to), Direction::Sent),
            };
            outgoing.push(Signed::sign(statement, &**signatory)?.encode()?);
        }
        let heard = peers.iter().zip(&outgoing).map(|(&peer, message)| async move {
            (peer, exchange(channel, PartyId::from_index(peer), message).await)
        });
        let heard = join_all(heard).await;
        self.transport.meter().round();
        let check = |(peer, bytes): (usize, Result<Vec<u8>, Error>)| {
            let misbehaved = |detail: &str| self.misbehaved(peer, STATEMENT, detail);
            let checked = bytes.and_then(|bytes| {
                let signed = Signed::decode(&bytes)
                    .ok_or_else(|| misbehaved("it says nothing about its transcript"))?;
                let Attestation { session, from, to, last: is_last, ref reached } =
                    signed.statement;
                let fits = session == self.id
                    && (usize::from(from), usize::from(to)) == (peer, self.me)
                    && is_last == last;
                if !fits || !signed.holds(&**signatory) {
                    return Err(misbehaved("its signature does not hold"));
                }
                match transcript.compare(PartyId::from_index(peer), reached) {
                    Fit::Not { channel } => Err(misbehaved(&format!(
                        "it signed other messages than those that arrived here, on the channel \
                         {channel:?}"
                    ))),
                    Fit::SoFar if last => {
                        Err(misbehaved("it signed another number of messages than arrived here"))
                    }
                    _ => Ok(signed),
                }
            });
            (peer, checked)
        };
        Ok(heard.into_iter().map(check).collect())
    }
}

/// Sends a statement and takes one, whichever comes first.
async fn exchange(
    channel: &dyn Transport,
    peer: PartyId,
    message: &[u8],
) -> Result<Vec<u8>, Error> {
    let due = Due::at_most(STATEMENT, MOST);
    let (_, theirs) =
        tokio::try_join!(channel.send(peer, STATEMENT, message), channel.recv(peer, due))?;
    Ok(theirs)
}
