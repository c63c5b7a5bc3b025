//! Shares of the secrets of an attempt, of which `t` parties' determine them (docs/protocols.md 18.7).

use curve25519_dalek::constants::RISTRETTO_BASEPOINT_TABLE;
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use zeroize::Zeroizing;

use super::Set;
use crate::rand::{MaskSite, MaskSwitch, Prg, Seed};
use crate::ring::Z128;

/// A party's secrets of one attempt.
pub(super) struct Secrets {
    /// k: with another party's point it gives the mask in common with that party.
    pub(super) key: Zeroizing<Scalar>,
    /// beta: what the own mask follows from.
    pub(super) own: Zeroizing<Scalar>,
    /// The polynomials of both without what they are at 0, from the factor of x on.
    rest: [Vec<Zeroizing<Scalar>>; 2],
}

/// One party's shares of the two secrets of another one.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Shares {
    pub(super) key: Zeroizing<Scalar>,
    pub(super) own: Zeroizing<Scalar>,
}

fn scalar(stream: &mut Prg) -> Zeroizing<Scalar> {
    let words = stream.elements::<Z128>(4, 128);
    let mut wide = Zeroizing::new([0; 64]);
    wide.as_chunks_mut::<16>().0.iter_mut().zip(&*words).for_each(|(bytes, word)| {
        *bytes = word.0.to_le_bytes();
    });
    Zeroizing::new(Scalar::from_bytes_mod_order_wide(&wide))
}

/// Where a party's share lies: not at 0, where the secret is.
fn place(party: usize) -> Scalar {
    Scalar::from(party as u64 + 1)
}

impl Secrets {
    /// The secrets that follow from `seed`, which belongs to one attempt, for a quorum of `threshold`.
    pub(super) fn new(seed: &Seed, threshold: usize, switch: MaskSwitch) -> Self {
        let site = MaskSite::AggregateShares;
        let mut secrets = Prg::new(&seed.derive("secrets"), site);
        let mut polynomials = Prg::under(&seed.derive("polynomials"), site, switch);
        let mut rest = || (1..threshold).map(|_| scalar(&mut polynomials)).collect();
        let rest = [rest(), rest()];
        Self { key: scalar(&mut secrets), own: scalar(&mut secrets), rest }
    }

    pub(super) fn point(&self) -> CompressedRistretto {
        (&*self.key * RISTRETTO_BASEPOINT_TABLE).compress()
    }

    /// What `party` gets.
    pub(super) fn shares(&self, party: usize) -> Shares {
        let at = |secret: &Scalar, rest: &[Zeroizing<Scalar>]| {
            let x = place(party);
            let sum = rest.iter().rev().fold(Scalar::ZERO, |sum, factor| (sum + **factor) * x);
            Zeroizing::new(sum + secret)
        };
        let [key, own] = &self.rest;
        Shares { key: at(&self.key, key), own: at(&self.own, own) }
    }
}

/// The factors of the shares of these parties in the secret.
pub(super) fn factors(parties: Set) -> Vec<Scalar> {
    let factor = |party: usize| {
        parties.without(party).iter().fold((Scalar::ONE, Scalar::ONE), |(above, below), other| {
            (above * place(other), below * (place(other) - place(party)))
        })
    };
    parties
        .iter()
        .map(|party| {
            let (above, below) = factor(party);
            // Never of zero: places differ.
            above * below.invert()
        })
        .collect()
}

/// The seed of the mask in common of the owner of `key` and the one of `point`.
pub(super) fn in_common(domain: &str, key: &Scalar, point: &RistrettoPoint) -> Seed {
    let agreed = Zeroizing::new((key * point).compress().to_bytes());
    Seed::from_secret(domain, &[&*agreed])
}

/// The seed of the own mask.
pub(super) fn own_mask(domain: &str, own: &Scalar) -> Seed {
    Seed::from_secret(domain, &[b"own", own.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(of: Set, shares: impl Fn(usize) -> Scalar) -> Scalar {
        of.iter().zip(factors(of)).map(|(party, factor)| shares(party) * factor).sum()
    }

    #[test]
    fn as_many_as_the_quorum_have_the_secret_and_fewer_have_not() {
        let seed = Seed::from_secret("test", &[b"shares"]);
        let secrets = Secrets::new(&seed, 4, MaskSwitch::default());
        for of in [[0, 1, 2, 3], [9, 3, 127, 4]] {
            let of: Set = of.into_iter().collect();
            assert_eq!(secret(of, |party| *secrets.shares(party).key), *secrets.key);
            assert_eq!(secret(of, |party| *secrets.shares(party).own), *secrets.own);
            let fewer = of.without(of.first().unwrap());
            assert_ne!(secret(fewer, |party| *secrets.shares(party).own), *secrets.own);
        }
        // The two are of polynomials of their own.
        let difference = |party| *secrets.shares(party).key - *secrets.shares(party).own;
        assert_ne!(difference(0), difference(1));
    }

    #[test]
    fn both_ends_have_the_mask_in_common() {
        let secrets = |name: &[u8]| {
            Secrets::new(&Seed::from_secret("test", &[name]), 2, MaskSwitch::default())
        };
        let (one, other) = (secrets(b"1"), secrets(b"2"));
        let point = |of: &Secrets| of.point().decompress().unwrap();
        let seed = in_common("attempt", &one.key, &point(&other)).to_bytes();
        assert_eq!(seed, in_common("attempt", &other.key, &point(&one)).to_bytes());
        assert_ne!(seed, in_common("another", &one.key, &point(&other)).to_bytes());
    }
}
