//! A part of a result that was recorded in an earlier session, and is sent again (docs/protocols.md 0, Release).

use std::collections::BTreeMap;
use std::fmt;

use mpc_net::Tag;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::Session;
use super::batch::Recipients;
use super::commitment::{COMMITMENT, NONCE};
use crate::error::Error;
use crate::rand::hash;
use crate::ring::{Ring, Z128, wire};

const COMMIT: Tag = Tag::new("reveal again/commit");
const SHARES: Tag = Tag::new("reveal again");

/// The version of the bytes of a record.
const VERSION: u8 = 1;

/// What a revealed value looks like: public, and the same at all parties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Form {
    /// The ring of the share.
    pub bits: u32,
    /// How many of its lowest bits are dropped.
    pub drop: u32,
    pub elements: u64,
}

/// A party's part in revealing an output, as a [`ReleaseLog`](super::ReleaseLog) keeps it.
///
/// # Security
/// It holds a share of the result: whoever has those of all parties has the result. It is kept sealed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    version: u8,
    session: [u8; 32],
    pub(super) form: Form,
    /// How many batches were committed to before.
    pub(super) count: u64,
    /// What opens the commitment; nothing where there was none to all parties.
    pub(super) nonce: Option<[u8; NONCE]>,
    /// The commitments of all parties, once they are known.
    pub(super) commitments: Vec<[u8; COMMITMENT]>,
    /// The share, as it is sent.
    #[serde(with = "secret")]
    pub(super) share: Zeroizing<Vec<u8>>,
}

/// Bytes that are wiped.
pub(super) mod secret {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use zeroize::Zeroizing;

    type Bytes = Zeroizing<Vec<u8>>;

    pub(in super::super) fn serialize<S: Serializer>(
        bytes: &Bytes,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        bytes.as_slice().serialize(to)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Bytes, D::Error> {
        Vec::deserialize(from).map(Zeroizing::new)
    }
}

impl Recorded {
    pub(super) fn new(session: [u8; 32], form: Form, share: Zeroizing<Vec<u8>>) -> Self {
        let (version, nonce) = (VERSION, None);
        Self { version, session, form, count: 0, nonce, commitments: Vec::new(), share }
    }

    /// The record that a log was given; none where these bytes are no such record.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let recorded: Self = postcard::from_bytes(bytes).ok()?;
        let left = recorded.form.bits.checked_sub(recorded.form.drop)?;
        let fits = recorded.version == VERSION
            && (1..=Z128::BITS).contains(&left)
            && recorded.form.elements.checked_mul(wire::element_bytes(left) as u64)
                == Some(recorded.share.len() as u64);
        fits.then_some(recorded)
    }

    /// The bytes that a log is given.
    pub(super) fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        private_bytes(self)
    }

    /// The session in which it was recorded.
    #[must_use]
    pub fn session(&self) -> [u8; 32] {
        self.session
    }

    /// Whether it shows that every party had recorded its part: each had committed to it, which it does
    /// afterwards.
    #[must_use]
    pub fn was_recorded_by_all(&self) -> bool {
        !self.commitments.is_empty()
    }
}

/// The bytes of what a party keeps to itself.
pub(super) fn private_bytes<T: Serialize>(of: &T) -> Result<Zeroizing<Vec<u8>>, Error> {
    let bytes = postcard::to_stdvec(of).map_err(|error| Error::internal(error.to_string()))?;
    Ok(Zeroizing::new(bytes))
}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (form, shown) = (&self.form, self.was_recorded_by_all());
        f.debug_struct("Recorded")
            .field("form", form)
            .field("by all", &shown)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// What is sent in the place of a new share when an output of this name is revealed: the part that this
    /// party recorded in an earlier session. No rounds.
    ///
    /// # Security
    /// For outputs of which **every** party says that it has recorded its part, and in the same session. That
    /// an output was recorded by some and not by all means in a covert session that no share of it was sent.
    pub fn resend(&mut self, recorded: BTreeMap<String, Recorded>) {
        self.recorded = recorded;
    }

    /// Sends the recorded part of `label` once more. One round; in a covert session two before it: what all
    /// heard, and a commitment.
    pub(super) async fn reveal_again(
        &mut self,
        label: &str,
        recorded: Recorded,
        to: Recipients,
        form: Form,
    ) -> Result<Option<Vec<i128>>, Error> {
        let why = "an earlier run recorded it in another form";
        if recorded.form != form {
            return Err(Error::Reveal { label: label.to_owned(), why });
        }
        if let Some(log) = &mut self.release_log {
            log.resent(label).map_err(Error::Record)?;
        }
        let (me, left) = (self.me, form.bits - form.drop);
        let nonce = recorded.nonce.unwrap_or_default();
        let mut part = Zeroizing::new([recorded.share.as_slice(), &nonce].concat());
        let mut commitments = None;
        if self.heard.is_some() {
            self.compare().await?;
            let fresh = self.nonce()?;
            part.extend_from_slice(&fresh);
            let own = self.commitment_again(me, label, &part);
            commitments = Some(self.announce(COMMIT, &own).await?);
        }
        let learns = |party: usize| to.include(party);
        let outgoing = (0..self.parties)
            .map(|party| if learns(party) { part.clone() } else { Zeroizing::new(Vec::new()) })
            .collect();
        let due = if learns(me) { part.len() } else { 0 };
        let mut parts = self.exchange(SHARES, outgoing, vec![due; self.parties]).await?;
        if !learns(me) {
            return Ok(None);
        }
        parts[me] = part;
        // The round is not over before every share was accepted.
        self.broken = true;
        let mut values = vec![Z128::ZERO; form.elements as usize];
        let mask = wire::mask(left);
        for (from, part) in parts.iter().enumerate() {
            let wrong = |what| self.misbehaved(from, SHARES, what);
            if let Some(commitments) = &commitments {
                let due = self.commitment_again(from, label, part);
                if !bool::from(due.as_slice().ct_eq(&commitments[from])) {
                    return Err(wrong("its share is not the one that it had committed to"));
                }
            }
            let (share, rest) = part.split_at(recorded.share.len());
            if let Some(then) = recorded.commitments.get(from) {
                let due = then_committed(&recorded, from, &rest[..NONCE], share);
                if !bool::from(due.as_slice().ct_eq(then)) {
                    return Err(wrong("its share is not the one that it had committed to before"));
                }
            }
            let theirs = wire::decode::<Z128>(share, left);
            let theirs = theirs.ok_or_else(|| wrong("a share is out of range"))?;
            for (value, share) in values.iter_mut().zip(theirs.iter()) {
                *value = Z128((*value + *share).0 & mask);
            }
        }
        self.broken = false;
        Ok(Some(values.iter().map(|value| value.to_signed(left)).collect()))
    }

    fn commitment_again(&self, from: usize, label: &str, part: &[u8]) -> [u8; 32] {
        let from = (from as u64).to_le_bytes();
        hash("commitment again", &[&self.id, &from, label.as_bytes(), part])
    }
}

/// The commitment of the session in which it was recorded.
fn then_committed(recorded: &Recorded, from: usize, nonce: &[u8], share: &[u8]) -> [u8; 32] {
    super::commitment::commitment(
        &recorded.session,
        from,
        super::rounds::REVEAL,
        recorded.count,
        nonce,
        share,
    )
}

#[cfg(test)]
mod tests;
