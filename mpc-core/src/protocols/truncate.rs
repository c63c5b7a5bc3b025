//! Truncation (docs/protocols.md 3).
//!
//! There is no local truncation of a general share that carries on in the same ring: for two
//! parties it fails with large values, for three always (see the negative test below).

use std::fmt;

use zeroize::Zeroizing;

use crate::error::Error;
use crate::rand::{MaskSite, Prg};
use crate::ring::{Ring, Z128, wire};
#[cfg(any(test, feature = "test-util"))]
use crate::session::opened::Hidden;
use crate::session::{Batch, Kind, Recipients, Session, Slot};
use crate::share::{Fixed, Shared};

pub use crate::share::truncate_reduce;

/// A masked opening that truncates and lifts (3b): integers |x| < 2^`magnitude`, shared mod
/// 2^`ring`, are divided by 2^`drop` and may go on in any ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoundedOpening {
    /// E: |x| < 2^E. A condition of privacy, not only of correctness: to be proven from public
    /// bounds.
    pub magnitude: u32,
    /// The statistical distance is below 2^(1-sigma) an element.
    pub sigma: u32,
    /// The ring: at least E + sigma + ceil(log2(maskers + 1)) bits.
    pub ring: u32,
    /// f: how many bits are dropped, at most E.
    pub drop: u32,
    /// How many parties draw a mask.
    pub maskers: u32,
}

impl BoundedOpening {
    /// The opening with the smallest ring that holds it.
    ///
    /// # Errors
    /// [`Error::Range`] with the numbers when it needs more than 128 bits.
    pub fn new(magnitude: u32, sigma: u32, drop: u32, maskers: u32) -> Result<Self, Error> {
        let ring = magnitude + sigma + (maskers + 1).next_power_of_two().ilog2();
        if ring > 128 || drop > magnitude {
            return Err(Error::Range(format!(
                "an opening of {magnitude}-bit values with {sigma} bits of masking needs a ring \
                 of {ring} bits; at most 128 are possible"
            )));
        }
        Ok(Self { magnitude, sigma, ring, drop, maskers })
    }

    /// The number of bits of a mask rho: uniform in [0, 2^(E + sigma)).
    #[must_use]
    pub fn mask_bits(&self) -> u32 {
        self.magnitude + self.sigma
    }

    /// Adds the opening of `share` to a batch, under this party's mask `rho` (empty if this party
    /// draws none).
    ///
    /// # Errors
    /// When the mask has not the length of the share.
    pub fn push(
        &self,
        share: &Shared<Z128>,
        rho: &[Z128],
        to: Recipients,
        batch: &mut Batch,
        session: &mut Session,
    ) -> Result<Slot, Error> {
        if !rho.is_empty() && rho.len() != share.len() {
            return Err(Error::internal("a bounded opening has one mask for each element"));
        }
        let mut masked = share.clone();
        session.add_zero_share(MaskSite::ZeroShareBounded, &mut masked, self.ring)?;
        let offset = if session.me() == 0 { Z128(1 << self.magnitude) } else { Z128::ZERO };
        for (i, value) in masked.as_mut_slice().iter_mut().enumerate() {
            *value += offset;
            if let Some(&rho) = rho.get(i) {
                *value += rho;
            }
        }
        let slot = batch.push(masked.as_slice(), self.ring, to, Kind::Bounded);
        #[cfg(any(test, feature = "test-util"))]
        {
            let plain = |values: &[Z128]| values.iter().map(|value| value.0).collect();
            let (magnitude, mask_bits) = (self.magnitude, self.mask_bits());
            let (share, mask) = (plain(share.as_slice()), plain(rho));
            batch.note_hidden(slot, Hidden { magnitude, mask_bits, share, mask });
        }
        Ok(slot)
    }

    /// Whether `opened` can be what it should: values below 2^E, and masks below 2^(E + sigma) of
    /// every masker but this party, whose mask is `own` (empty if it draws none). Free, and catches
    /// what was added to a share above the masks (docs/protocols.md 3b).
    ///
    /// # Errors
    /// [`Error::BeyondBound`] in `step` if not.
    pub fn accept(
        &self,
        opened: &[Z128],
        own: &[Z128],
        step: &str,
        session: &Session,
    ) -> Result<(), Error> {
        let others = u128::from(self.maskers) - u128::from(!own.is_empty());
        // In units of 2^E: 2 for the value and 2^sigma for each mask. As many as the ring has for 128
        // bits, where nothing is above them.
        let units = others.checked_shl(self.sigma).filter(|&u| u >> self.sigma == others);
        let limit = units.and_then(|units| (units + 2).checked_mul(1 << self.magnitude));
        let mask = wire::mask(self.ring);
        let rest = opened.iter().enumerate().map(|(i, &c)| {
            let own = own.get(i).copied().unwrap_or(Z128::ZERO);
            (c - own).0 & mask
        });
        // All of them are looked at, so that time says nothing of where one is.
        let beyond = rest.fold(false, |beyond, c| beyond | limit.is_some_and(|limit| c >= limit));
        if beyond {
            return Err(session.beyond_bound(step));
        }
        Ok(())
    }

    /// The public part of the result, for one party that saw `opened`.
    #[must_use]
    pub fn public_part(&self, opened: &[Z128]) -> Zeroizing<Vec<i128>> {
        let shift =
            if self.drop == 0 { 0 } else { u128::from(self.maskers - 1) << (self.drop - 1) };
        let offset = 1i128 << (self.magnitude - self.drop);
        // c < 2^ring <= 2^128, so the difference is taken before the signed shift.
        let part = |&Z128(c): &Z128| {
            let quotient = if c >= shift {
                ((c - shift) >> self.drop) as i128
            } else {
                -(((shift - c) + wire::mask(self.drop)) as i128 >> self.drop)
            };
            quotient - offset
        };
        Zeroizing::new(opened.iter().map(part).collect())
    }

    /// floor(rho / 2^f): a party's part of the result is minus this.
    #[must_use]
    pub fn own_part(&self, rho: &[Z128]) -> Zeroizing<Vec<i128>> {
        Zeroizing::new(rho.iter().map(|rho| (rho.0 >> self.drop) as i128).collect())
    }

    /// Payload bytes of one opening of `len` elements to one peer.
    #[must_use]
    pub fn bytes(&self, len: usize) -> u64 {
        (len * wire::element_bytes(self.ring)) as u64
    }
}

/// Values that were opened under this party's own masks, to be divided by 2^drop.
pub struct Bounded {
    spec: BoundedOpening,
    opened: Zeroizing<Vec<Z128>>,
    rho: Zeroizing<Vec<Z128>>,
}

impl Bounded {
    /// This party's share of the values over 2^`drop`, mod 2^128: party 0 holds the public part.
    /// One opening may be rounded in several ways: all of them are local.
    ///
    /// # Panics
    /// When more is dropped than the magnitude allows.
    #[must_use]
    pub fn part(&self, drop: u32, me: usize) -> Zeroizing<Vec<Z128>> {
        assert!(drop <= self.spec.magnitude, "no more is dropped than there is");
        let spec = BoundedOpening { drop, ..self.spec };
        let own = spec.own_part(&self.rho);
        let mut part: Vec<_> = own.iter().map(|&rho| Z128::from_i128(-rho)).collect();
        if me == 0 {
            for (part, &public) in part.iter_mut().zip(spec.public_part(&self.opened).iter()) {
                *part += Z128::from_i128(public);
            }
        }
        Zeroizing::new(part)
    }
}

impl fmt::Debug for Bounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bounded").field("spec", &self.spec).finish_non_exhaustive()
    }
}

/// A stream of bounded masks of this party alone, a new one each time.
///
/// # Errors
/// When a round was interrupted.
pub fn own_masks(session: &mut Session) -> Result<Prg, Error> {
    session.usable()?;
    let seed = session.coins().seed("own masks");
    Ok(Prg::under(&seed, MaskSite::BoundedMask, session.switch()))
}

/// Opens all `items` to all parties, each under a fresh mask of every party from `masks`
/// ([`own_masks`]). One round; [`BoundedOpening::bytes`] of each item to each peer.
///
/// # Security
/// The magnitude of every item must be proven from public bounds. MaskSites: `BoundedMask`,
/// `ZeroShareBounded`.
///
/// # Errors
/// When a spec does not count every party as a masker, or the network fails.
pub async fn open_bounded(
    label: &'static str,
    items: &[(BoundedOpening, &Shared<Z128>)],
    masks: &mut Prg,
    session: &mut Session,
) -> Result<Vec<Bounded>, Error> {
    let mut batch = Batch::new(label);
    let mut pending = Vec::with_capacity(items.len());
    for &(spec, share) in items {
        if spec.maskers as usize != session.parties() {
            return Err(Error::internal("every party masks what is opened to all"));
        }
        masks.follow(session.switch());
        let rho = masks.elements::<Z128>(share.len(), spec.mask_bits());
        let slot = spec.push(share, &rho, Recipients::All, &mut batch, session)?;
        pending.push((spec, slot, rho));
    }
    let opened = session.open(batch).await?;
    let mut bounded = Vec::with_capacity(pending.len());
    for (spec, slot, rho) in pending {
        spec.accept(opened.at(slot), &rho, label, session)?;
        let opened = Zeroizing::new(opened.at(slot).to_vec());
        bounded.push(Bounded { spec, opened, rho });
    }
    Ok(bounded)
}

/// The opening of reals below 2^`bound` in magnitude at scale 2^`fraction`, by all parties.
///
/// # Errors
/// [`Error::Range`] with the numbers when it does not fit 128 bits.
pub fn fixed_opening(
    bound: i32,
    fraction: u32,
    sigma: u32,
    parties: usize,
) -> Result<BoundedOpening, Error> {
    let magnitude = i64::from(bound) + i64::from(fraction);
    let magnitude = u32::try_from(magnitude).ok().filter(|&magnitude| magnitude <= Z128::BITS);
    let magnitude = magnitude.ok_or_else(|| {
        Error::Range(format!("values below 2^{bound} at scale 2^{fraction} cannot be opened"))
    })?;
    BoundedOpening::new(magnitude, sigma, 0, parties as u32)
}

/// Reals that were opened under the masks of all parties and may go on in the whole ring.
pub struct BoundedFixed {
    opened: Bounded,
    rows: usize,
    columns: usize,
    fraction: u32,
    me: usize,
}

impl BoundedFixed {
    /// The values mod 2^128, rounded to `fraction` fractional bits: off by at most
    /// (parties + 1) / 2 units, on average by none; exact at the scale of the opening and above.
    /// May be called again with another number. Local.
    ///
    /// # Errors
    /// When more is dropped than the bound of the opening allows, or the scale is too large.
    pub fn at(&self, fraction: u32) -> Result<Fixed, Error> {
        let drop = self.fraction.saturating_sub(fraction);
        if drop > self.opened.spec.magnitude {
            return Err(Error::internal(format!(
                "nothing is left of values below 2^{} when {drop} bits are dropped",
                self.opened.spec.magnitude
            )));
        }
        let values = self.opened.part(drop, self.me).to_vec();
        let share = Shared::new(values, self.rows, self.columns);
        Fixed::new(share, Z128::BITS, self.fraction - drop)?.raise(fraction)
    }
}

impl fmt::Debug for BoundedFixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundedFixed")
            .field("rows", &self.rows)
            .field("columns", &self.columns)
            .field("fraction", &self.fraction)
            .finish_non_exhaustive()
    }
}

/// [`open_bounded`] for reals, each with the bound that it stays below: |v| < 2^bound. One round;
/// [`BoundedOpening::bytes`] of each item's [`fixed_opening`] to each peer.
///
/// # Security
/// Every bound must be proven from public facts; a larger value is not only wrong but visible. The
/// statistical distance is below 2^(1 - `sigma`) an element. MaskSites: `BoundedMask`,
/// `ZeroShareBounded`.
///
/// # Errors
/// [`Error::Range`] when the ring of a value does not hold it under its mask; before anything is
/// sent. When the network fails.
pub async fn open_bounded_fixed(
    label: &'static str,
    items: &[(&Fixed, i32)],
    sigma: u32,
    masks: &mut Prg,
    session: &mut Session,
) -> Result<Vec<BoundedFixed>, Error> {
    let mut specs = Vec::with_capacity(items.len());
    for &(value, bound) in items {
        let spec = fixed_opening(bound, value.fraction(), sigma, session.parties())?;
        if spec.ring > value.ring() {
            return Err(Error::Range(format!(
                "values below 2^{bound} at scale 2^{} are opened under masks mod 2^{}, but live \
                 mod 2^{}",
                value.fraction(),
                spec.ring,
                value.ring()
            )));
        }
        specs.push((spec, value.share()));
    }
    let opened = open_bounded(label, &specs, masks, session).await?;
    let me = session.me();
    let with = |(opened, &(value, _)): (_, &(&Fixed, i32))| BoundedFixed {
        opened,
        rows: value.rows(),
        columns: value.columns(),
        fraction: value.fraction(),
        me,
    };
    Ok(opened.into_iter().zip(items).map(with).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(value: i128, bits: u32, noise: &[u128]) -> Vec<Z128> {
        let mut shares: Vec<_> = noise.iter().map(|&v| Z128(v & wire::mask(bits))).collect();
        let sum = shares.iter().fold(Z128::ZERO, |a, &b| a + b);
        shares.push(Z128::from_i128(value) - sum);
        shares
    }

    proptest! {
        #[test]
        fn bounded_openings_are_within_their_bound(
            value in -(1i128 << 50)..(1i128 << 50),
            rho in prop::collection::vec(0u128..1 << 90, 2..7),
            drop in 0u32..=50,
        ) {
            let n = rho.len() as u32;
            let spec = BoundedOpening::new(50, 40, drop, n).expect("fits");
            let rho: Vec<_> = rho.into_iter().map(Z128).collect();
            let c = (value + (1 << 50)) as u128 + rho.iter().map(|r| r.0).sum::<u128>();
            prop_assert!(c <= wire::mask(spec.ring));
            let mut got = spec.public_part(&[Z128(c)])[0];
            for rho in &rho {
                got -= spec.own_part(&[*rho])[0];
            }
            let exact = value as f64 / 2f64.powi(drop as i32);
            let bound = if drop == 0 { 0.0 } else { (f64::from(n) + 1.0) / 2.0 };
            prop_assert!((got as f64 - exact).abs() <= bound, "{got} against {exact}");
        }
    }

    /// 3c: truncating shares of a general value locally and going on in the same ring is wrong.
    #[test]
    fn local_truncation_in_the_same_ring_is_not_sound() {
        let wrong = |value: i128, noise: &[u128]| {
            let sum = split(value, 128, noise)
                .into_iter()
                .fold(Z128::ZERO, |a, b| a + Z128::from_i128((b.0 as i128) >> 16));
            (sum.to_signed(128) - (value >> 16)).abs() > 1 << 64
        };
        // Two parties, a large value; three parties, any value.
        assert!(wrong(1 << 126, &[(1u128 << 127) + (1 << 126) - 5]));
        assert!(wrong(5, &[3 << 125, 3 << 125]));
    }
}
