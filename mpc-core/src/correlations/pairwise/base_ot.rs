//! Base oblivious transfers: Masny and Rindal's endemic OT on Ristretto (docs/protocols.md 6.1;
//! "Endemic Oblivious Transfer", CCS 2019, section 5).
//!
//! Contract, for each index: the sender gets two keys k0, k1, the receiver with choice c gets k_c;
//! the sender learns nothing about c, the receiver nothing about the other key. Both messages are
//! independent of each other, so that they travel in one round.
//!
//! 1. Sender: a fresh scalar a for each OT; sends A = a G.
//! 2. Receiver: a fresh scalar b and a random point r_(1-c); r_c = b G - H(c, r_(1-c)); sends r_0
//!    and r_1.
//! 3. Sender: k_i = KDF(i, a (r_i + H(i, r_(1-i)))). Receiver: k_c = KDF(c, b A).
//!
//! H and KDF are SHA3 over the session id, the ordered pair, and the index; the KDF takes both
//! messages of the OT as well, so that nothing of another session, pair, direction or place fits.
//!
//! # Security
//! r_0 and r_1 are uniform and independent of c. The other key is a Diffie-Hellman key of A and a
//! point that the random oracle sets (DDH, random oracle). Points that are the identity or not
//! canonical are refused.

use curve25519_dalek::constants::RISTRETTO_BASEPOINT_TABLE;
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity;
use sha3::{Digest, Sha3_512};
use subtle::{Choice, ConditionallySelectable};
use zeroize::{Zeroize, Zeroizing};

use super::block::Block;
use crate::rand::{Coins, drawn, hash};

const POINT: usize = 32;

/// Bytes from the sender for each OT.
pub(super) const FROM_SENDER: usize = POINT;
/// Bytes from the receiver for each OT.
pub(super) const FROM_RECEIVER: usize = 2 * POINT;

/// What the OTs are bound to: a session, and who sends to whom.
#[derive(Clone, Copy)]
pub(super) struct Binding {
    pub(super) session: [u8; 32],
    pub(super) sender: usize,
    pub(super) receiver: usize,
}

impl Binding {
    fn bytes(&self, index: usize, branch: u8) -> [u8; 57] {
        let mut bytes = [0; 57];
        bytes[..32].copy_from_slice(&self.session);
        for (place, value) in [self.sender, self.receiver, index].into_iter().enumerate() {
            let at = 32 + 8 * place;
            bytes[at..at + 8].copy_from_slice(&(value as u64).to_le_bytes());
        }
        bytes[56] = branch;
        bytes
    }

    /// H(branch, point): a point of which nobody knows the logarithm.
    fn point(&self, index: usize, branch: u8, of: &[u8]) -> RistrettoPoint {
        let mut hasher = Sha3_512::new();
        hasher.update(b"mpc-core/1 base OT point");
        hasher.update(self.bytes(index, branch));
        hasher.update(of);
        let mut wide: [u8; 64] = hasher.finalize().into();
        let point = RistrettoPoint::from_uniform_bytes(&wide);
        wide.zeroize();
        point
    }

    fn key(&self, index: usize, branch: u8, ours: (&[u8], &[u8]), secret: RistrettoPoint) -> Block {
        let secret = Zeroizing::new(secret.compress().to_bytes());
        let (from_sender, from_receiver) = ours;
        let parts = [&self.bytes(index, branch)[..], from_sender, from_receiver, &*secret];
        let digest = Zeroizing::new(hash("base OT key", &parts));
        let mut key = [0; 16];
        key.copy_from_slice(&digest[..16]);
        key
    }
}

fn random_wide(coins: &mut Coins) -> Zeroizing<[u8; 64]> {
    let wide = coins.bytes::<64>("base OT");
    drawn::note("base OT", &*wide);
    wide
}

fn random_scalar(coins: &mut Coins) -> Zeroizing<Scalar> {
    Zeroizing::new(Scalar::from_bytes_mod_order_wide(&random_wide(coins)))
}

/// `None` unless the bytes are the canonical form of a point other than the identity.
fn read_point(bytes: &[u8]) -> Option<RistrettoPoint> {
    CompressedRistretto::from_slice(bytes).ok()?.decompress().filter(|point| !point.is_identity())
}

/// The sender between its message and the receiver's. A scalar is used for one OT.
pub(super) struct BaseSender {
    scalars: Vec<Zeroizing<Scalar>>,
    message: Vec<u8>,
}

impl BaseSender {
    pub(super) fn new(count: usize, coins: &mut Coins) -> Self {
        let mut it = Self {
            scalars: Vec::with_capacity(count),
            message: Vec::with_capacity(count * FROM_SENDER),
        };
        for _ in 0..count {
            let a = random_scalar(coins);
            it.message.extend_from_slice((&*a * RISTRETTO_BASEPOINT_TABLE).compress().as_bytes());
            it.scalars.push(a);
        }
        it
    }

    pub(super) fn message(&self) -> &[u8] {
        &self.message
    }

    /// Step 3: both keys of each OT; `None` if the receiver's message is not one.
    pub(super) fn finish(
        self,
        binding: &Binding,
        theirs: &[u8],
    ) -> Option<Zeroizing<Vec<[Block; 2]>>> {
        if theirs.len() != self.scalars.len() * FROM_RECEIVER {
            return None;
        }
        let mut keys = Zeroizing::new(Vec::with_capacity(self.scalars.len()));
        let messages = theirs.chunks_exact(FROM_RECEIVER).zip(self.message.chunks_exact(POINT));
        for (index, (a, (theirs, ours))) in self.scalars.iter().zip(messages).enumerate() {
            let (r0, r1) = theirs.split_at(POINT);
            let m0 = read_point(r0)? + binding.point(index, 0, r1);
            let m1 = read_point(r1)? + binding.point(index, 1, r0);
            if m0.is_identity() || m1.is_identity() {
                return None;
            }
            keys.push([
                binding.key(index, 0, (ours, theirs), m0 * **a),
                binding.key(index, 1, (ours, theirs), m1 * **a),
            ]);
        }
        Some(keys)
    }
}

/// The receiver between its message and the sender's.
pub(super) struct BaseReceiver {
    scalars: Vec<Zeroizing<Scalar>>,
    choices: Zeroizing<Vec<u8>>,
    message: Vec<u8>,
}

impl BaseReceiver {
    /// Step 2, for choices that are 0 or 1; in constant time.
    pub(super) fn new(binding: &Binding, choices: &[u8], coins: &mut Coins) -> Self {
        let mut it = Self {
            scalars: Vec::with_capacity(choices.len()),
            choices: Zeroizing::new(choices.iter().map(|c| c & 1).collect()),
            message: Vec::with_capacity(choices.len() * FROM_RECEIVER),
        };
        for (index, &choice) in it.choices.iter().enumerate() {
            let b = random_scalar(coins);
            let other = RistrettoPoint::from_uniform_bytes(&random_wide(coins)).compress();
            let chosen =
                &*b * RISTRETTO_BASEPOINT_TABLE - binding.point(index, choice, other.as_bytes());
            let (mut r0, mut r1) = (chosen.compress().to_bytes(), other.to_bytes());
            for (a, b) in r0.iter_mut().zip(&mut r1) {
                u8::conditional_swap(a, b, Choice::from(choice));
            }
            it.message.extend_from_slice(&r0);
            it.message.extend_from_slice(&r1);
            it.scalars.push(b);
        }
        it
    }

    pub(super) fn message(&self) -> &[u8] {
        &self.message
    }

    /// Step 3: the chosen key of each OT; `None` if the sender's message is not one.
    pub(super) fn finish(self, binding: &Binding, theirs: &[u8]) -> Option<Zeroizing<Vec<Block>>> {
        if theirs.len() != self.scalars.len() * FROM_SENDER {
            return None;
        }
        let mut keys = Zeroizing::new(Vec::with_capacity(self.scalars.len()));
        let messages = theirs.chunks_exact(POINT).zip(self.message.chunks_exact(FROM_RECEIVER));
        let own = self.scalars.iter().zip(self.choices.iter());
        for (index, ((b, &choice), (theirs, ours))) in own.zip(messages).enumerate() {
            let secret = read_point(theirs)? * **b;
            keys.push(binding.key(index, choice, (theirs, ours), secret));
        }
        Some(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BINDING: Binding = Binding { session: [3; 32], sender: 0, receiver: 1 };

    /// The ideal functionality: the receiver holds the chosen one of the sender's keys.
    fn ideal(keys: &[[Block; 2]], choices: &[u8]) -> Vec<Block> {
        keys.iter().zip(choices).map(|(keys, &c)| keys[usize::from(c)]).collect()
    }

    fn coins() -> Coins {
        Coins::fresh().expect("randomness")
    }

    fn choices(count: usize) -> Vec<u8> {
        (0..count).map(|i| (i * i % 7 % 2) as u8).collect()
    }

    #[test]
    fn the_receiver_holds_the_chosen_keys_and_no_other() {
        let choices = choices(20);
        let sender = BaseSender::new(20, &mut coins());
        let receiver = BaseReceiver::new(&BINDING, &choices, &mut coins());
        let (a, r) = (sender.message().to_vec(), receiver.message().to_vec());
        assert_eq!((a.len(), r.len()), (20 * FROM_SENDER, 20 * FROM_RECEIVER));
        let keys = sender.finish(&BINDING, &r).expect("valid");
        let chosen = receiver.finish(&BINDING, &a).expect("valid");
        assert_eq!(*chosen, ideal(&keys, &choices));
        let others: Vec<u8> = choices.iter().map(|c| 1 - c).collect();
        assert!(chosen.iter().zip(ideal(&keys, &others)).all(|(a, b)| *a != b));
    }

    #[test]
    fn points_that_are_none_are_refused() {
        let bad: [[u8; 32]; 3] = [[0; 32], [0xff; 32], {
            // p + 1, little-endian: the identity in a form that is not canonical.
            let mut bytes = [0xff; 32];
            bytes[0] = 0xee;
            bytes[31] = 0x7f;
            bytes
        }];
        for bad in bad {
            let receiver = BaseReceiver::new(&BINDING, &[0, 1], &mut coins());
            let mut a = BaseSender::new(2, &mut coins()).message().to_vec();
            a[32..].copy_from_slice(&bad);
            assert!(receiver.finish(&BINDING, &a).is_none());
            for place in 0..4 {
                let sender = BaseSender::new(2, &mut coins());
                let receiver = BaseReceiver::new(&BINDING, &[0, 1], &mut coins());
                let mut r = receiver.message().to_vec();
                r[32 * place..32 * (place + 1)].copy_from_slice(&bad);
                assert!(sender.finish(&BINDING, &r).is_none());
            }
        }
    }

    #[test]
    fn messages_of_another_length_are_refused() {
        let sender = BaseSender::new(2, &mut coins());
        let receiver = BaseReceiver::new(&BINDING, &[0, 1], &mut coins());
        let (a, r) = (sender.message().to_vec(), receiver.message().to_vec());
        assert!(sender.finish(&BINDING, &r[..r.len() - 1]).is_none());
        assert!(receiver.finish(&BINDING, &a[..32]).is_none());
    }

    #[test]
    fn messages_of_another_session_or_direction_give_no_common_key() {
        for other in [
            Binding { session: [4; 32], ..BINDING },
            Binding { sender: 1, receiver: 0, ..BINDING },
            Binding { receiver: 2, ..BINDING },
        ] {
            let sender = BaseSender::new(4, &mut coins());
            let receiver = BaseReceiver::new(&BINDING, &[0, 1, 0, 1], &mut coins());
            let (a, r) = (sender.message().to_vec(), receiver.message().to_vec());
            let keys = sender.finish(&other, &r).expect("valid points");
            let chosen = receiver.finish(&BINDING, &a).expect("valid points");
            assert!(keys.iter().zip(chosen.iter()).all(|(keys, k)| !keys.contains(k)));
        }
    }
}
