//! Openings that share a round.

use std::fmt;

use mpc_net::Tag;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::ring::wire::{element_bytes, encode, mask};
use crate::ring::{PackedBits, Ring, Z128};
use crate::share::{Shared, SharedBits};

/// Who learns an opened value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipients {
    /// Every computing party.
    All,
    /// One computing party, by its index.
    One(usize),
    /// The computing parties whose bit is set: party j at 2^j.
    Among(u64),
}

impl Recipients {
    /// Whether the party with this index learns the value.
    #[must_use]
    pub fn include(self, party: usize) -> bool {
        match self {
            Self::All => true,
            Self::One(one) => one == party,
            Self::Among(bits) => party < 64 && bits >> party & 1 == 1,
        }
    }
}

/// Which of the three kinds of opening of docs/protocols.md 0 it is: what makes it safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Each party's message carries a mask of its own, used in no other message.
    Masked,
    /// Bounded masks and a fresh zero share (3b).
    Bounded,
    /// A fresh zero share; the sum is the released value.
    Result,
}

/// Who learns the shares of a committed batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// The same parties all of it.
    Common,
    /// Each entry one party.
    Private,
}

pub(super) struct Entry {
    pub(super) values: Zeroizing<Vec<Z128>>,
    pub(super) bits: u32,
    pub(super) to: Recipients,
    pub(super) kind: Kind,
    /// How many bits they are, for bytes of shared bits: they add without carries.
    pub(super) packed: Option<usize>,
    /// The ring in which a zero share was added.
    #[cfg(any(test, feature = "test-util"))]
    pub(super) ring: u32,
    #[cfg(any(test, feature = "test-util"))]
    pub(super) hidden: Option<super::opened::Hidden>,
}

/// Values to be opened in one round.
///
/// A batch owns what it opens; [`Session::open`](crate::Session::open) consumes it and gives the
/// values by slot.
#[must_use = "nothing is opened before the batch is given to Session::open"]
pub struct Batch {
    pub(super) tag: Tag,
    pub(super) entries: Vec<Entry>,
    /// The nonce that the commitment to it has, where that is not drawn when it is made.
    pub(super) nonce: Option<Zeroizing<Vec<u8>>>,
}

/// Where in a batch a value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(usize);

impl Batch {
    /// An empty batch for the step `label`, a name that all parties give this step.
    pub const fn new(label: &'static str) -> Self {
        Self { tag: Tag::new(label), entries: Vec::new(), nonce: None }
    }

    /// Adds a *masked opening* mod 2^`bits`.
    ///
    /// # Security
    /// Every party's share must carry a mask of its own, uniform mod 2^`bits`, that is used in no
    /// other message.
    pub fn masked<R: Ring>(&mut self, share: &Shared<R>, bits: u32, to: Recipients) -> Slot {
        self.push(share.as_slice(), bits, to, Kind::Masked)
    }

    /// Adds a *masked opening* of shared bits, eight to a byte.
    ///
    /// # Security
    /// Every party's share must carry a mask of its own, uniform bits that are used in no other message.
    pub fn masked_bits(&mut self, share: &SharedBits, to: Recipients) -> Slot {
        let bytes: Zeroizing<Vec<Z128>> =
            Zeroizing::new(share.own().to_bytes().iter().map(|&b| Z128(b.into())).collect());
        let slot = self.push(&bytes, 8, to, Kind::Masked);
        self.entries[slot.0].packed = Some(share.planes() * share.lanes());
        slot
    }

    pub(crate) fn push<R: Ring>(
        &mut self,
        values: &[R],
        bits: u32,
        to: Recipients,
        kind: Kind,
    ) -> Slot {
        let mask = mask(bits);
        let values = Zeroizing::new(values.iter().map(|v| Z128(v.to_u128() & mask)).collect());
        tracing::trace!(step = self.tag.label(), ?kind, bits, "opening");
        self.entries.push(Entry {
            values,
            bits,
            to,
            kind,
            packed: None,
            #[cfg(any(test, feature = "test-util"))]
            ring: bits,
            #[cfg(any(test, feature = "test-util"))]
            hidden: None,
        });
        Slot(self.entries.len() - 1)
    }

    /// Notes in which ring the zero share of an entry was added, for tests.
    #[cfg(any(test, feature = "test-util"))]
    pub(super) fn note_ring(&mut self, slot: Slot, ring: u32) {
        self.entries[slot.0].ring = ring;
    }

    /// Notes what a bounded entry hides, for tests.
    #[cfg(any(test, feature = "test-util"))]
    pub(crate) fn note_hidden(&mut self, slot: Slot, hidden: super::opened::Hidden) {
        self.entries[slot.0].hidden = Some(hidden);
    }

    /// Who learns the same of a batch whose shares are committed to first: none if all of it is masked
    /// in its whole ring.
    pub(super) fn scope(&self) -> Option<Result<Scope, Error>> {
        self.entries.iter().find(|entry| entry.kind != Kind::Masked)?;
        let one = |entry: &Entry| matches!(entry.to, Recipients::One(_));
        let first = self.entries[0].to;
        Some(if self.entries.iter().all(one) {
            Ok(Scope::Private)
        } else if self.entries.iter().all(|entry| entry.to == first) {
            Ok(Scope::Common)
        } else {
            Err(Error::internal("what is committed to goes to the same parties, or to one each"))
        })
    }

    /// Whether a result is among what is opened.
    pub(super) fn reveals(&self) -> bool {
        self.entries.iter().any(|entry| entry.kind == Kind::Result)
    }

    /// Whether all of it is opened to all parties.
    pub(super) fn is_for_all(&self) -> bool {
        self.entries.iter().all(|entry| entry.to == Recipients::All)
    }

    /// The bytes of the message to `party`.
    pub(crate) fn message_to(&self, party: usize) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(self.length_to(party)));
        for entry in self.entries.iter().filter(|entry| entry.to.include(party)) {
            encode(&entry.values, entry.bits, &mut bytes);
        }
        bytes
    }

    /// The own share at `slot`, as it is sent.
    pub(super) fn share(&self, slot: Slot) -> Zeroizing<Vec<u8>> {
        let Entry { values, bits, .. } = &self.entries[slot.0];
        let mut bytes = Zeroizing::new(Vec::with_capacity(values.len() * element_bytes(*bits)));
        encode(values, *bits, &mut bytes);
        bytes
    }

    /// The length of a message to `party`.
    pub(crate) fn length_to(&self, party: usize) -> usize {
        self.entries
            .iter()
            .filter(|entry| entry.to.include(party))
            .map(|entry| entry.values.len() * element_bytes(entry.bits))
            .sum()
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batch({:?}, {} entries)", self.tag, self.entries.len())
    }
}

/// The values that a round opened.
pub struct Opened {
    pub(super) values: Vec<Option<Zeroizing<Vec<Z128>>>>,
}

impl Opened {
    /// The value at `slot`, in [0, 2^bits).
    ///
    /// # Panics
    /// When this party is not among the recipients: which slots are its own is public.
    #[must_use]
    pub fn at(&self, slot: Slot) -> &[Z128] {
        self.values[slot.0].as_ref().expect("only recipients ask for an opened value")
    }

    /// The bits at `slot`, so many planes and lanes as were opened.
    ///
    /// # Panics
    /// When this party is not among the recipients, or other things were opened.
    #[must_use]
    pub fn bits_at(&self, slot: Slot, planes: usize, lanes: usize) -> PackedBits {
        let bytes: Vec<u8> = self.at(slot).iter().map(|byte| byte.0 as u8).collect();
        PackedBits::from_bytes(&bytes, planes, lanes).expect("the bits that were opened")
    }

    /// The value at `slot` if this party learns it.
    #[must_use]
    pub fn get(&self, slot: Slot) -> Option<&[Z128]> {
        self.values[slot.0].as_ref().map(|values| values.as_slice())
    }
}

/// Opened values may be known to a few parties only, so they are not printed either.
impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opened({} values)", self.values.len())
    }
}
