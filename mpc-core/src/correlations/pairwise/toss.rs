//! What parties show each other at the same time, and coins that none of them chooses
//! (docs/protocols.md 6.6).

use mpc_net::Tag;
use zeroize::Zeroizing;

use super::block::{Block, Cipher};
use crate::error::Error;
use crate::rand::{MaskSite, Prg, hash};
use crate::ring::Z128;
use crate::session::Session;

const TOSS: [Tag; 2] = [Tag::new("toss/commit"), Tag::new("toss/coin")];

const DIGEST: usize = 32;
const NONCE: usize = 32;
const COIN: usize = 32;

/// Rounds of [`show`], and of [`toss`].
pub(super) const ROUNDS: u64 = 2;
/// Bytes to each peer of [`toss`].
pub(super) const TOSS_BYTES: usize = shown_bytes(COIN);

/// Bytes to each peer that [`show`] takes for a message of `len` bytes.
pub(super) const fn shown_bytes(len: usize) -> usize {
    DIGEST + NONCE + len
}

/// Shows all others `message` and gives theirs, all of one length, so that none of them depends on
/// another: each party sends a commitment first, whose nonce is a mask (`Commitment`). `number` counts in this session what is shown. Two
/// rounds.
pub(super) async fn show(
    session: &mut Session,
    [commit, tag]: [Tag; 2],
    number: &mut u64,
    message: &[u8],
) -> Result<Vec<Zeroizing<Vec<u8>>>, Error> {
    let (me, parties, id) = (session.me(), session.parties(), session.id());
    let now = number.to_le_bytes();
    *number += 1;
    let digest = |party: usize, bytes: &[u8]| {
        let (label, party) = (tag.label().as_bytes(), (party as u64).to_le_bytes());
        hash("shown together", &[&id, label, &now, &party, bytes])
    };
    let mut own = Zeroizing::new(Vec::with_capacity(NONCE + message.len()));
    let seed = session.coins().seed("nonce");
    let mut nonce = Prg::under(&seed, MaskSite::Commitment, session.switch());
    for word in nonce.elements::<Z128>(2, 128).iter() {
        own.extend_from_slice(&word.0.to_le_bytes());
    }
    own.extend_from_slice(message);
    let committed = Zeroizing::new(digest(me, &own).to_vec());
    let committed =
        session.exchange(commit, vec![committed; parties], vec![DIGEST; parties]).await?;
    let due = vec![own.len(); parties];
    let mut shown = session.exchange(tag, vec![own.clone(); parties], due).await?;
    for (party, theirs) in shown.iter_mut().enumerate() {
        if party == me {
            theirs.clone_from(&own);
        } else if digest(party, theirs)[..] != committed[party][..] {
            return Err(session.misbehaved(party, tag, "not what it had committed to"));
        }
        theirs.drain(..NONCE);
    }
    Ok(shown)
}

/// Coins that no party knew before all had committed to their part. Two rounds.
pub(super) async fn toss(session: &mut Session, number: &mut u64) -> Result<Public, Error> {
    let mut own = Zeroizing::new([0; COIN]);
    session.coins().fill("toss", &mut *own);
    let all = show(session, TOSS, number, &*own).await?;
    let parts: Vec<&[u8]> = all.iter().map(|part| part.as_slice()).collect();
    let mut key: Block = [0; 16];
    key.copy_from_slice(&hash("toss", &parts)[..16]);
    Ok(Public { cipher: Cipher::new(&key), next: 0 })
}

/// A stream of coins that all parties hold alike.
pub(super) struct Public {
    cipher: Cipher,
    next: u64,
}

impl Public {
    /// 64 coins.
    pub(super) fn word(&mut self) -> u64 {
        let mut block = [[0; 16]];
        self.cipher.stream(self.next, &mut block);
        self.next += 1;
        u128::from_le_bytes(block[0]) as u64
    }

    /// `count` different numbers below `most`, in order; all choices are alike but for 2^-50.
    pub(super) fn choose(&mut self, count: usize, most: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..most).collect();
        for place in 0..count.min(most) {
            let left = (most - place) as u64;
            all.swap(place, place + (self.word() % left) as usize);
        }
        all.truncate(count);
        all.sort_unstable();
        all
    }
}

/// The error that names those of whom one at least deviates: all others, where that cannot be told.
pub(super) fn caught(session: &Session, tag: Tag, detail: &str) -> Error {
    let others = (0..session.parties()).filter(|&party| party != session.me());
    let names: Vec<_> = others.map(|party| session.name(party)).collect();
    let (step, detail) = (tag.label().to_owned(), detail.to_owned());
    Error::Misbehaved { peer: names.join(" or "), step, detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_chosen_is_a_fair_part() {
        let mut coins = Public { cipher: Cipher::new(&[3; 16]), next: 0 };
        let mut seen = [0; 17];
        for _ in 0..3400 {
            let chosen = coins.choose(3, 17);
            assert!(chosen.len() == 3 && chosen.windows(2).all(|w| w[0] < w[1]));
            chosen.iter().for_each(|&at| seen[at] += 1);
        }
        // 600 on average, with a standard deviation of 22.
        assert!(seen.iter().all(|&times| (480..720).contains(&times)), "{seen:?}");
        assert_eq!(coins.choose(2, 2), [0, 1]);
    }
}
