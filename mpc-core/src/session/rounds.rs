//! Rounds of messages: openings, results, public facts.

use futures_util::future::try_join_all;
use mpc_net::{BoxFuture, Due, PartyId, Tag};
use zeroize::Zeroizing;

use super::Session;
use super::batch::{Batch, Kind, Opened, Recipients};
use super::commitment::NONCE;
#[cfg(any(test, feature = "test-util"))]
use super::opened;
use super::resend::{Form, Recorded};
use crate::error::Error;
use crate::rand::MaskSite;
use crate::ring::{Ring, Z128, wire};
use crate::share::{Shared, truncate_reduce};

/// The step in which results are opened.
pub(super) const REVEAL: &str = "reveal";

impl Session {
    /// Opens a batch: each party sends its shares to those who learn the values, and adds what it
    /// receives. One round; in a covert session one more, of commitments, unless all of the batch is
    /// masked (docs/protocols.md 0, Covert).
    ///
    /// # Errors
    /// When a peer is lost, or sends something that is not due.
    pub async fn open(&mut self, batch: Batch) -> Result<Opened, Error> {
        self.open_recorded(batch, None).await
    }

    /// Opens a batch with the record that is kept of it, which gets the commitments of all as soon as they are
    /// known and before a share is sent.
    async fn open_recorded(
        &mut self,
        batch: Batch,
        recorded: Option<(&str, Recorded)>,
    ) -> Result<Opened, Error> {
        #[cfg(any(test, feature = "test-util"))]
        let seen = opened::begin(self.me, &batch);
        let mut outgoing: Vec<_> = (0..self.parties).map(|to| batch.message_to(to)).collect();
        let committed = self.commit(&batch, &outgoing).await?;
        if let (Some(committed), Some((label, mut recorded))) = (&committed, recorded)
            && recorded.nonce.is_some()
            && let Some(log) = &mut self.release_log
        {
            recorded.commitments = committed.of_all();
            log.committed(label, &recorded.to_bytes()?).map_err(Error::Record)?;
        }
        let mut length = batch.length_to(self.me);
        let awaits = committed.as_ref().is_some_and(|committed| committed.awaits);
        if awaits {
            length += NONCE;
        }
        let (me, uncommitted) = (self.me, committed.is_none() && batch.is_for_all());
        if uncommitted {
            self.note_heard(me, batch.tag, &outgoing[me]);
        }
        if let Some(committed) = &committed {
            for (to, message) in outgoing.iter_mut().enumerate() {
                message.extend_from_slice(committed.nonce_to(to));
            }
        }
        let incoming = vec![length; self.parties];
        let messages = self.exchange(batch.tag, outgoing, incoming).await?;
        // The round is not over before every share was accepted.
        self.broken = true;

        let mut values: Vec<_> = batch
            .entries
            .into_iter()
            .map(|entry| {
                let mine = entry.to.include(self.me);
                (mine.then_some(entry.values), entry.bits, entry.packed)
            })
            .collect();
        for (from, bytes) in messages.iter().enumerate().filter(|&(from, _)| from != me) {
            let mut rest: &[u8] = bytes;
            match &committed {
                Some(committed) if awaits => {
                    rest = self.opens(committed, batch.tag, from, rest)?;
                }
                None if uncommitted => self.note_heard(from, batch.tag, rest),
                _ => {}
            }
            for (values, bits, packed) in &mut values {
                let Some(values) = values else { continue };
                let (mine, after) = rest.split_at(values.len() * wire::element_bytes(*bits));
                rest = after;
                let theirs = wire::decode::<Z128>(mine, *bits)
                    .ok_or_else(|| self.misbehaved(from, batch.tag, "a share is out of range"))?;
                let mask = wire::mask(*bits);
                if let Some(bits) = packed {
                    // There is one way to write bits: nothing is behind the last one.
                    let last = theirs.last().map_or(0, |last| last.0);
                    if !bits.is_multiple_of(8) && last >> (*bits % 8) != 0 {
                        return Err(self.misbehaved(from, batch.tag, "bits behind the last one"));
                    }
                    let both = values.iter_mut().zip(theirs.iter());
                    both.for_each(|(value, share)| value.0 ^= share.0);
                    continue;
                }
                for (value, share) in values.iter_mut().zip(theirs.iter()) {
                    *value = Z128((*value + *share).0 & mask);
                }
            }
        }
        self.broken = false;
        let opened = Opened { values: values.into_iter().map(|(values, ..)| values).collect() };
        #[cfg(any(test, feature = "test-util"))]
        opened::end(seen, &opened);
        Ok(opened)
    }

    /// Reveals the output `label`: the shared values mod 2^`bits`, less their lowest `drop` bits,
    /// rounded. One round.
    ///
    /// The share gets a fresh zero share in its own ring first, is then truncate-reduced
    /// (docs/protocols.md 3a) and opened, once: truncating first would leave a carry that depends
    /// on bits that no zero share hides. What is sent is recorded first. Gives the signed values
    /// to the recipients and `None` to the others.
    ///
    /// # Errors
    /// [`Error::Reveal`] when the study does not name the output, or it was revealed before;
    /// [`Error::Record`] when the release cannot be recorded; network errors.
    pub async fn reveal<R: Ring>(
        &mut self,
        label: &str,
        share: &Shared<R>,
        bits: u32,
        drop: u32,
    ) -> Result<Option<Vec<i128>>, Error> {
        // Before the label is spent and anything is recorded that could never be sent.
        self.usable()?;
        let label = &format!("{}{label}", self.before_labels);
        let to = self.outputs.spend(label)?;
        let form = Form { bits, drop, elements: share.as_slice().len() as u64 };
        if let Some(recorded) = self.recorded.remove(label) {
            return self.reveal_again(label, recorded, to, form).await;
        }
        let mut share = share.clone();
        self.add_zero_share(MaskSite::ZeroShareResult, &mut share, bits)?;
        truncate_reduce(&mut share, bits, drop, self.me, self.parties);
        let mut batch = Batch::new(REVEAL);
        let left = bits - drop;
        let slot = batch.push(share.as_slice(), left, to, Kind::Result);
        #[cfg(any(test, feature = "test-util"))]
        batch.note_ring(slot, bits);
        let mut recorded = Recorded::new(self.id, form, batch.share(slot));
        if self.heard.is_some() && !matches!(to, Recipients::One(_)) {
            let nonce = self.nonce()?;
            (recorded.count, recorded.nonce) = (self.commitments, nonce.as_slice().try_into().ok());
            batch.nonce = Some(nonce);
        }
        if let Some(log) = &mut self.release_log {
            log.record(label, &recorded.to_bytes()?).map_err(Error::Record)?;
        }
        let opened = self.open_recorded(batch, Some((label, recorded))).await?;
        if let Some(log) = &mut self.release_log {
            log.opened(label);
        }
        Ok(opened
            .get(slot)
            .map(|values| values.iter().map(|value| value.to_signed(left)).collect()))
    }

    /// Tells every party `message` and gives everybody's, the own one included. For facts that are
    /// public by design; all messages have the same length. One round.
    ///
    /// # Errors
    /// Network errors.
    pub async fn announce(&mut self, tag: Tag, message: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
        let outgoing = vec![Zeroizing::new(message.to_vec()); self.parties];
        let incoming = vec![message.len(); self.parties];
        let mut all: Vec<Vec<u8>> = self
            .exchange(tag, outgoing, incoming)
            .await?
            .into_iter()
            .map(|bytes| bytes.to_vec())
            .collect();
        all[self.me] = message.to_vec();
        for (from, bytes) in all.iter().enumerate() {
            self.note_heard(from, tag, bytes);
        }
        Ok(all)
    }

    /// Makes sure that all parties hold the same public bytes, called `what`. One round.
    ///
    /// # Errors
    /// [`Error::Disagreement`] with the first party that holds others.
    pub async fn agree(&mut self, what: &str, bytes: &[u8]) -> Result<(), Error> {
        const AGREE: Tag = Tag::new("session/agree");
        let digest = crate::rand::hash("agree", &[what.as_bytes(), bytes]);
        let all = self.announce(AGREE, &digest).await?;
        match all.iter().position(|theirs| *theirs != digest) {
            None => Ok(()),
            Some(peer) => Err(Error::Disagreement { peer: self.name(peer), what: what.to_owned() }),
        }
    }

    /// Sends `outgoing[j]` to each party j while receiving `incoming[j]` bytes from it; empty
    /// messages are not sent. One round.
    pub(crate) async fn exchange(
        &mut self,
        tag: Tag,
        outgoing: Vec<Zeroizing<Vec<u8>>>,
        incoming: Vec<usize>,
    ) -> Result<Vec<Zeroizing<Vec<u8>>>, Error> {
        self.enter()?;
        let me = self.me;
        let transport = &*self.transport;
        let transfers = (0..self.parties).filter(|&peer| peer != me).flat_map(|peer| {
            let id = PartyId::from_index(peer);
            let message = &outgoing[peer];
            let due = incoming[peer];
            let send: BoxFuture<'_, Result<_, Error>> = Box::pin(async move {
                if !message.is_empty() {
                    transport.send(id, tag, message).await?;
                }
                Ok(None)
            });
            let receive: BoxFuture<'_, Result<_, Error>> = Box::pin(async move {
                if due == 0 {
                    return Ok(Some((peer, Vec::new())));
                }
                Ok(Some((peer, transport.recv(id, Due::exactly(tag, due)).await?)))
            });
            [send, receive]
        });
        let mut received = vec![Zeroizing::new(Vec::new()); self.parties];
        for (peer, bytes) in try_join_all(transfers).await?.into_iter().flatten() {
            received[peer] = Zeroizing::new(bytes);
        }
        transport.meter().round();
        self.broken = false;
        Ok(received)
    }

    /// Sends one message to one node, outside the rounds between the parties.
    pub(crate) async fn send(&mut self, to: usize, tag: Tag, bytes: &[u8]) -> Result<(), Error> {
        self.enter()?;
        self.transport.send(PartyId::from_index(to), tag, bytes).await?;
        self.broken = false;
        Ok(())
    }

    /// Receives one message from one node, outside the rounds between the parties.
    pub(crate) async fn receive(&mut self, from: usize, due: Due) -> Result<Vec<u8>, Error> {
        self.enter()?;
        let bytes = self.transport.recv(PartyId::from_index(from), due).await?;
        self.broken = false;
        Ok(bytes)
    }
}
