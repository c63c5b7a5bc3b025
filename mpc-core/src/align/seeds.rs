//! The trees of every ordered pair, from oblivious transfers (docs/protocols.md 11.3, step 2).

use zeroize::Zeroizing;

use super::oprf::{Delta, Evaluator, KeyHolder, Pair, TRANSFERS, TREES_BYTES};
use super::{CHOICES, TREES};
use crate::correlations::pairwise::Expansion;
use crate::correlations::pairwise::extension::Cots;
use crate::correlations::pairwise::link::{BASE_BYTES, Link, establish};
use crate::error::Error;
use crate::offload::offload;
use crate::session::Session;

/// Rounds of [`keys`].
pub(super) const ROUNDS: u64 = 4;

/// Few transfers are made, so that either expansion will do.
const EXPANSION: Expansion = Expansion::Fast;

/// What a party has with each other: the key of its function there, and what it evaluates the other's
/// with.
#[derive(Default)]
pub(super) struct Keys {
    pub(super) held: Vec<Option<KeyHolder>>,
    pub(super) evaluated: Vec<Option<Evaluator>>,
}

/// Whether there is a function with this key holder; the leader holds none.
fn holds(party: usize, leader: usize) -> bool {
    party != leader
}

/// Bytes that `me` sends to `peer`.
pub(super) fn bytes(me: usize, peer: usize, leader: usize) -> u64 {
    let mut bytes = (BASE_BYTES + EXPANSION.setup_bytes(false)) as u64;
    if holds(me, leader) {
        bytes += EXPANSION.bytes(TRANSFERS as u64, false);
    }
    if holds(peer, leader) {
        bytes += TREES_BYTES as u64;
    }
    bytes
}

/// Oblivious transfers with every peer, then trees in both directions. Four rounds.
pub(super) async fn keys(session: &mut Session, leader: usize) -> Result<Keys, Error> {
    let (me, parties, id) = (session.me(), session.parties(), session.id());
    let switch = session.switch();
    let mut links = establish(session, (EXPANSION, false)).await?;
    let mut coins = session.coins().part("alignment");

    // The key holder receives: its choices are its Delta.
    let mut deltas: Vec<Option<(Delta, Cots)>> = Vec::with_capacity(parties);
    let mut outgoing = vec![Zeroizing::new(Vec::new()); parties];
    for (link, out) in links.iter_mut().zip(&mut outgoing) {
        deltas.push(link.as_mut().filter(|_| holds(me, leader)).map(|link| {
            let delta = Delta::new(&mut coins);
            let cots = link.receive.extend(&delta.choices(), out);
            (delta, cots)
        }));
    }
    let choices = EXPANSION.bytes(TRANSFERS as u64, false) as usize;
    let due = |from: usize, bytes| if from != me && holds(from, leader) { bytes } else { 0 };
    let incoming = (0..parties).map(|from| due(from, choices)).collect();
    let received = session.exchange(CHOICES, outgoing, incoming).await?;

    // The evaluator sends: it knows both sides of each level.
    let (links, made) = offload(move || {
        let mut made = Vec::with_capacity(parties);
        for (peer, message) in received.iter().enumerate() {
            let link: Option<&mut Link> = links[peer].as_mut();
            made.push(match link.filter(|_| holds(peer, leader)) {
                None => Ok(None),
                Some(link) => link.send.extend(TRANSFERS, message).map(|cots| {
                    let mut pads = [(); 2].map(|()| Zeroizing::new(vec![[0; 16]; TRANSFERS]));
                    let [zero, one] = &mut pads;
                    link.send.pads(&cots, 0, 1, [zero, one]);
                    let pair = Pair { holder: peer, evaluator: me };
                    let pads = [&pads[0][..], &pads[1][..]];
                    Some(Evaluator::new(&id, pair, pads, switch, &mut coins))
                }),
            });
        }
        (links, made)
    })
    .await?;
    let mut keys = Keys::default();
    let mut outgoing = vec![Zeroizing::new(Vec::new()); parties];
    for (peer, made) in made.into_iter().enumerate() {
        let made = made.map_err(|wrong| session.misbehaved(peer, CHOICES, wrong))?;
        keys.evaluated.push(made.map(|(evaluator, message)| {
            outgoing[peer] = message;
            evaluator
        }));
    }
    let incoming = (0..parties)
        .map(|from| if from != me && holds(me, leader) { TREES_BYTES } else { 0 })
        .collect();
    let received = session.exchange(TREES, outgoing, incoming).await?;
    keys.held = offload(move || {
        let mut held = Vec::with_capacity(parties);
        for (peer, delta) in deltas.into_iter().enumerate() {
            held.push(delta.and_then(|(delta, cots)| {
                let link = links[peer].as_ref()?;
                let mut pads = Zeroizing::new(vec![[0; 16]; TRANSFERS]);
                link.receive.pads(&cots, 0, 1, &mut pads);
                let pair = Pair { holder: me, evaluator: peer };
                Some(KeyHolder::new(&id, pair, delta, &pads, &received[peer], switch))
            }));
        }
        held
    })
    .await?;
    Ok(keys)
}
