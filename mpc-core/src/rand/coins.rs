//! The coins of a node: everything that it draws for itself in a session follows from one seed.

use std::collections::BTreeMap;
use std::fmt;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use zeroize::Zeroizing;

use super::{Seed, drawn, hash};
use crate::error::Error;

/// Where all coins of a node in one session come from (docs/protocols.md 1): a seed, and the salt of
/// the commitment to it that the other nodes hold. Wiped on drop; never printed.
///
/// # Security
/// A master is used for one session. A second session under the same one would draw the same masks
/// for other secrets. What keeps it for an audit keeps it sealed.
pub struct Master {
    seed: Seed,
    salt: Zeroizing<[u8; 32]>,
}

impl Master {
    /// The bytes of a master: seed and salt.
    pub const BYTES: usize = 64;

    /// A fresh one from the operating system.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn fresh() -> Result<Self, Error> {
        let salt = Seed::fresh()?;
        Ok(Self { seed: Seed::fresh()?, salt: Zeroizing::new(*salt.bytes()) })
    }

    /// One that was kept, to run its session again.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let (mut seed, mut salt) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 32]));
        seed.copy_from_slice(&bytes[..32]);
        salt.copy_from_slice(&bytes[32..]);
        Self { seed: Seed::from_bytes(seed), salt }
    }

    /// The bytes to keep.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; Self::BYTES]> {
        let mut bytes = Zeroizing::new([0; Self::BYTES]);
        bytes[..32].copy_from_slice(self.seed.bytes());
        bytes[32..].copy_from_slice(&*self.salt);
        bytes
    }

    /// What the other nodes hold of it: it binds to the seed and tells nothing about it.
    #[must_use]
    pub fn commitment(&self) -> [u8; 32] {
        hash("commitment to coins", &[self.seed.bytes(), &*self.salt])
    }

    /// The coins of the handshake, which are drawn before the nodes have tossed the others.
    pub(crate) fn before(&self) -> Coins {
        Coins::of(self.seed.derive("coins of the handshake"))
    }

    /// The coins of a session: of the own seed, and of `tossed`, which names the session and holds
    /// what all others contributed after they held the commitment. Nobody chooses its own coins.
    pub(crate) fn toss(&self, tossed: &[&[u8]]) -> Coins {
        let tossed = hash("tossed", tossed);
        Coins::of(Seed::from_secret("coins of a session", &[self.seed.bytes(), &tossed]))
    }
}

impl fmt::Debug for Master {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Master([redacted])")
    }
}

/// What a session, or a part of it, draws from. Every draw follows from the seed, the label, and how
/// many draws under this label there were before *here*: concurrent work takes
/// [parts](Self::part) or forks of its own, so that what it draws does not depend on who comes first.
pub struct Coins {
    seed: Seed,
    drawn: BTreeMap<&'static str, u64>,
}

impl Coins {
    /// Coins of their own from the operating system, for what runs outside a session.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn fresh() -> Result<Self, Error> {
        Ok(Self::of(Seed::fresh()?))
    }

    /// The coins that follow from a seed.
    #[must_use]
    pub fn of(seed: Seed) -> Self {
        Self { seed, drawn: BTreeMap::new() }
    }

    /// The next seed under this label.
    pub fn seed(&mut self, label: &'static str) -> Seed {
        let number = self.drawn.entry(label).or_insert(0);
        let parts: [&[u8]; 3] = [self.seed.bytes(), label.as_bytes(), &number.to_le_bytes()];
        let seed = Seed::from_secret("coin", &parts);
        *number += 1;
        drawn::note("seed", seed.bytes());
        seed
    }

    /// Fills `out` with the next bytes under this label.
    pub fn fill(&mut self, label: &'static str, out: &mut [u8]) {
        let seed = self.seed(label);
        let mut stream = ChaCha20Rng::from_seed(*seed.bytes());
        stream.fill_bytes(out);
        // The generator has no wiping of its own; the black box keeps the overwrite alive.
        stream = ChaCha20Rng::from_seed([0; 32]);
        std::hint::black_box(&stream);
    }

    /// The next `N` bytes under this label.
    pub fn bytes<const N: usize>(&mut self, label: &'static str) -> Zeroizing<[u8; N]> {
        let mut bytes = Zeroizing::new([0; N]);
        self.fill(label, &mut *bytes);
        bytes
    }

    /// Coins for a piece of work of its own, the next under this label.
    pub fn part(&mut self, label: &'static str) -> Self {
        Self::of(self.seed(label))
    }

    /// The coins of a fork with this label, which is used once.
    pub(crate) fn fork(&self, label: &str) -> Self {
        let parts: [&[u8]; 2] = [self.seed.bytes(), label.as_bytes()];
        Self::of(Seed::from_secret("coins of a fork", &parts))
    }
}

impl fmt::Debug for Coins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Coins([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn master() -> Master {
        let mut bytes = [7; Master::BYTES];
        bytes[40] = 1;
        Master::from_bytes(&bytes)
    }

    #[test]
    fn what_is_drawn_follows_from_seed_label_and_number() {
        let draw = |coins: &mut Coins, label| coins.bytes::<40>(label).to_vec();
        let mut coins = master().before();
        let all = ["a", "a", "b", "a"].map(|label| draw(&mut coins, label));
        for (at, bytes) in all.iter().enumerate() {
            assert!(!all[..at].contains(bytes));
        }
        // Draws under other labels do not shift it.
        let mut again = master().before();
        let others = [draw(&mut again, "b"), draw(&mut again, "a")];
        assert_eq!(others, [all[2].clone(), all[0].clone()]);
    }

    #[test]
    fn parts_and_forks_have_coins_of_their_own() {
        let mut coins = master().before();
        let mut all = vec![coins.bytes::<32>("a").to_vec()];
        let mut one = coins.part("part");
        let mut two = coins.part("part");
        let mut forks = [coins.fork("part"), coins.fork("a"), one.fork("a"), two.fork("a")];
        all.extend([&mut one, &mut two].map(|part| part.bytes::<32>("a").to_vec()));
        all.extend(forks.iter_mut().map(|fork| fork.bytes::<32>("a").to_vec()));
        for (at, bytes) in all.iter().enumerate() {
            assert!(!all[..at].contains(bytes), "{at}");
        }
    }

    #[test]
    fn nobody_chooses_the_coins_of_a_session() {
        let draw = |tossed: &[&[u8]]| master().toss(tossed).bytes::<32>("a").to_vec();
        assert_eq!(draw(&[b"x", b"y"]), draw(&[b"x", b"y"]));
        assert_ne!(draw(&[b"x", b"y"]), draw(&[b"x", b"z"]));
        assert_ne!(draw(&[b"x", b"y"]), master().before().bytes::<32>("a").to_vec());
    }

    #[test]
    fn a_master_is_kept_and_bound_by_its_commitment() {
        let kept = Master::from_bytes(&master().to_bytes());
        assert_eq!(kept.commitment(), master().commitment());
        for at in [0, 31, 32, 63] {
            let mut bytes = master().to_bytes();
            bytes[at] ^= 1;
            assert_ne!(Master::from_bytes(&bytes).commitment(), master().commitment());
        }
    }

    #[test]
    fn they_are_never_printed() {
        assert_eq!(format!("{:?}", master()), "Master([redacted])");
        assert_eq!(format!("{:?}", master().before()), "Coins([redacted])");
    }
}
