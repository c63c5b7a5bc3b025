//! What a party keeps for its peers: an OT extension in each direction, and how both go on.

use mpc_net::Tag;
use zeroize::Zeroizing;

use super::PairwiseOt;
use super::base_ot::{BaseReceiver, BaseSender, Binding, FROM_RECEIVER, FROM_SENDER};
use super::block::{Bits, fresh};
use super::extension::{BASE, Cots, Expansion, Keys, Receiver, Sender, base_choices};
use super::ole::{self, Task};
use crate::error::Error;
use crate::offload::offload;
use crate::session::Session;

const BASE_OT: Tag = Tag::new("ot/base");
const TREES: Tag = Tag::new("ot/trees");
const CHOICES: Tag = Tag::new("ot/choices");
const CORRECTIONS: Tag = Tag::new("ot/corrections");

/// Bytes to each peer for the base OTs of both directions.
pub(crate) const BASE_BYTES: usize = BASE * (FROM_SENDER + FROM_RECEIVER);

/// The extensions with one peer.
pub(crate) struct Link {
    /// This party sends: it holds Delta.
    pub(crate) send: Sender,
    /// This party receives: it has the choices.
    pub(crate) receive: Receiver,
}

/// One for each party; none with itself.
pub(crate) type Links = Vec<Option<Link>>;

/// What both sides of one batch hold with each peer.
pub(super) struct Batch {
    /// As the receiver of OTs.
    pub(super) chosen: Cots,
    /// As the sender.
    pub(super) sent: Cots,
}

/// Base OTs and trees with every peer, in both directions. Two rounds.
pub(crate) async fn establish(
    session: &mut Session,
    (expansion, checked): (Expansion, bool),
) -> Result<Links, Error> {
    let (me, parties, id) = (session.me(), session.parties(), session.id());
    let switch = session.switch();
    let binding = move |sender, receiver| Binding { session: id, sender, receiver };

    let (mut base_coins, mut tree_coins) =
        (session.coins().part("base OT"), session.coins().part("trees"));

    // Round 1: base OTs. The sender of the extension is the receiver of the base OTs.
    let (states, outgoing) = offload(move || {
        let mut states = Vec::new();
        let mut outgoing = vec![Zeroizing::new(Vec::new()); parties];
        for (peer, outgoing) in outgoing.iter_mut().enumerate() {
            if peer == me {
                states.push(None);
                continue;
            }
            let coins = &mut base_coins;
            let delta = fresh(1, coins)[0];
            let sender = BaseSender::new(BASE, coins);
            let choices = base_choices(&delta, expansion);
            let receiver = BaseReceiver::new(&binding(peer, me), &choices, coins);
            outgoing.extend_from_slice(sender.message());
            outgoing.extend_from_slice(receiver.message());
            states.push(Some((delta, sender, receiver)));
        }
        (states, outgoing)
    })
    .await?;
    let due = |bytes: usize| (0..parties).map(|p| if p == me { 0 } else { bytes }).collect();
    let base = session.exchange(BASE_OT, outgoing.clone(), due(BASE_BYTES)).await?;

    // Round 2: the level sums of the trees that this party owns.
    let finished = offload(move || {
        let mut halves = Vec::new();
        let mut trees = vec![Zeroizing::new(Vec::new()); parties];
        for (peer, state) in states.into_iter().enumerate() {
            let Some((delta, sender, receiver)) = state else {
                halves.push(None);
                continue;
            };
            let (ours, theirs) = (&outgoing[peer], &base[peer]);
            let (our_a, our_r) = ours.split_at(BASE * FROM_SENDER);
            let (their_a, their_r) = theirs.split_at(BASE * FROM_SENDER);
            let own = Keys::new(&binding(me, peer), our_a, their_r);
            let other = Keys::new(&binding(peer, me), their_a, our_r);
            let Some(pairs) = sender.finish(&binding(me, peer), their_r) else {
                return Err(peer);
            };
            let Some(chosen) = receiver.finish(&binding(peer, me), their_a) else {
                return Err(peer);
            };
            let how = (expansion, checked);
            let (receive, message) = Receiver::new(how, &own, &pairs, switch, &mut tree_coins);
            trees[peer] = Zeroizing::new(message);
            halves.push(Some((receive, other, delta, chosen)));
        }
        Ok((halves, trees))
    })
    .await?;
    let (halves, trees) =
        finished.map_err(|peer| session.misbehaved(peer, BASE_OT, "a point is not valid"))?;
    let theirs = session.exchange(TREES, trees, due(expansion.setup_bytes(checked))).await?;
    let mut links = Vec::with_capacity(parties);
    for (peer, half) in halves.into_iter().enumerate() {
        links.push(match half {
            None => None,
            Some((receive, keys, delta, chosen)) => {
                let how = (expansion, checked);
                let send = Sender::new(how, &keys, delta, &chosen, &theirs[peer], switch)
                    .map_err(|wrong| session.misbehaved(peer, TREES, wrong))?;
                Some(Link { send, receive })
            }
        });
    }
    Ok(links)
}

impl PairwiseOt {
    /// Runs `work` on the links, on another thread.
    pub(super) async fn work<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Links) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let interrupted = || Error::internal("the making of correlations was interrupted before");
        let mut links = self.links.take().ok_or_else(interrupted)?;
        let (links, result) = offload(move || {
            let result = work(&mut links);
            (links, result)
        })
        .await?;
        self.links = Some(links);
        Ok(result)
    }

    /// OTs with every peer at once: `choices` are this party's as a receiver, `sending` counts
    /// those that it sends. One round.
    pub(super) async fn extend(
        &mut self,
        choices: Vec<Bits>,
        sending: Vec<usize>,
    ) -> Result<Vec<Option<Batch>>, Error> {
        let incoming = sending
            .iter()
            .map(|&count| self.expansion.bytes(count as u64, self.checked) as usize)
            .collect();
        let (mut chosen, outgoing) = self
            .work(move |links| {
                let mut outgoing = vec![Zeroizing::new(Vec::new()); links.len()];
                let chosen: Vec<_> = links
                    .iter_mut()
                    .zip(choices.iter().zip(&mut outgoing))
                    .map(|(link, (choices, out))| {
                        link.as_mut().map(|link| link.receive.extend(choices, out))
                    })
                    .collect();
                (chosen, outgoing)
            })
            .await?;
        let received = self.session.exchange(CHOICES, outgoing, incoming).await?;
        let sent = self
            .work(move |links| {
                links
                    .iter_mut()
                    .zip(sending.iter().zip(&received))
                    .map(|(link, (&count, message))| {
                        link.as_mut().map(|link| link.send.extend(count, message))
                    })
                    .collect::<Vec<_>>()
            })
            .await?;
        let mut batches = Vec::with_capacity(sent.len());
        for (peer, sent) in sent.into_iter().enumerate() {
            batches.push(match (chosen[peer].take(), sent) {
                (Some(chosen), Some(sent)) => {
                    let sent =
                        sent.map_err(|wrong| self.session.misbehaved(peer, CHOICES, wrong))?;
                    Some(Batch { chosen, sent })
                }
                _ => None,
            });
        }
        Ok(batches)
    }

    /// Products with every peer at once: for each, the tasks in which this party holds the scalars
    /// and those in which it holds the vectors. Gives the shares of both. Two rounds.
    pub(super) async fn products(
        &mut self,
        scalars: Vec<Vec<Task>>,
        vectors: Vec<Vec<Task>>,
    ) -> Result<Products, Error> {
        let mut choices = Vec::with_capacity(scalars.len());
        for tasks in &scalars {
            let mut bits = Bits::default();
            tasks.iter().for_each(|task| ole::choose(task, &mut bits));
            choices.push(bits);
        }
        let sending = vectors.iter().map(|tasks| tasks.iter().map(|t| t.shape.ots()).sum());
        let batches = self.extend(choices, sending.collect()).await?;

        let (batches, sent, outgoing) = self
            .work(move |links| {
                let mut outgoing = vec![Zeroizing::new(Vec::new()); links.len()];
                let mut sent = Vec::with_capacity(links.len());
                for (peer, tasks) in vectors.iter().enumerate() {
                    let mut shares = Vec::with_capacity(tasks.len());
                    if let (Some(link), Some(batch)) = (&links[peer], &batches[peer]) {
                        let bytes = tasks.iter().map(|task| task.shape.bytes()).sum();
                        outgoing[peer].reserve(bytes);
                        let mut at = 0;
                        for task in tasks {
                            let out = &mut outgoing[peer];
                            shares.push(ole::send(task, &link.send, &batch.sent, at, out));
                            at += task.shape.ots();
                        }
                    }
                    sent.push(shares);
                }
                (batches, sent, outgoing)
            })
            .await?;
        let incoming =
            scalars.iter().map(|tasks| tasks.iter().map(|t| t.shape.bytes()).sum()).collect();
        let received = self.session.exchange(CORRECTIONS, outgoing, incoming).await?;
        let chosen = self
            .work(move |links| {
                let mut all = Vec::with_capacity(links.len());
                for (peer, tasks) in scalars.iter().enumerate() {
                    let mut shares = Vec::with_capacity(tasks.len());
                    if let (Some(link), Some(batch)) = (&links[peer], &batches[peer]) {
                        let (mut at, mut rest) = (0, &received[peer][..]);
                        for task in tasks {
                            let (mine, after) = rest.split_at(task.shape.bytes());
                            let share = ole::receive(task, &link.receive, &batch.chosen, at, mine);
                            shares.push(share.ok_or(peer)?);
                            at += task.shape.ots();
                            rest = after;
                        }
                    }
                    all.push(shares);
                }
                Ok(all)
            })
            .await?
            .map_err(|peer: usize| {
                self.session.misbehaved(peer, CORRECTIONS, "a correction is out of range")
            })?;
        Ok(Products { of_scalars: chosen, of_vectors: sent })
    }
}

/// Shares of products, by peer and task.
pub(super) struct Products {
    /// Where this party held the scalars.
    pub(super) of_scalars: Vec<Vec<Zeroizing<Vec<u128>>>>,
    /// Where this party held the vectors.
    pub(super) of_vectors: Vec<Vec<Zeroizing<Vec<u128>>>>,
}
