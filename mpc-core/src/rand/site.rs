//! The names of all masks.

use super::Seed;

/// Every place where a random mask hides something.
///
/// The site is part of the domain of the stream that the mask is drawn from, so no two sites ever
/// share randomness. Under the feature `insecure-test-masks` each can be switched off in a session,
/// and `tests/views.rs` shows for each that a test of the adversary's view then fails. Protocols
/// outside this crate have sites of their own, by name: [`MaskDomain`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum MaskSite {
    /// A party's share of another party's input (docs/protocols.md 1).
    InputShare,
    /// The fresh zero share in the opening of a result (0, Release).
    ZeroShareResult,
    /// The fresh zero share in a bounded opening (3b).
    ZeroShareBounded,
    /// The bounded mask of one party in a bounded opening (3b), where nothing is made ahead.
    BoundedMask,
    /// One party's mask rho of the columns of a forward owned product (4): lambda of section 5.
    ForwardMask,
    /// One party's mask rho of the others' rows of a transposed owned product (4): u of section 5.
    TransposedMask,
    /// The mask r of the argument of a series (5, step 3).
    AngleMask,
    /// The left factor of a Beaver triple, which masks X (2).
    TripleLeft,
    /// The right factor of a Beaver triple, which masks Y (2).
    TripleRight,
    /// The rows of a left factor that are opened, with others added, to check a product (6.6).
    TripleCheck,
    /// The parties' shares of the product of a triple, which mask the dealer's correction (2).
    TripleProduct,
    /// The matrix A that masks an owner's matrix in D = X - A (4).
    OwnedMatrix,
    /// The parties' shares of A mu, which mask the dealer's correction (4).
    OwnedProduct,
    /// The parties' shares of the phasors, which mask the dealer's correction (5).
    Phasor,
    /// What hides the choices of an OT extension from the sender (6.2).
    OtChoice,
    /// The choices that are thrown away, which hide the others in the check of an OT extension (6.2).
    OtCheck,
    /// The pads of correlated OTs, which mask the ring corrections of a product (6.5).
    RingPad,
    /// The pads of correlated OTs, which mask the level sums of a punctured tree (6.3).
    LevelPad,
    /// The leaves of a punctured tree, which mask a share that enters a one-hot product (6.3).
    OneHotLeaf,
    /// The secret key s: a s + e hides an input of a product with an owner's matrix (6.4).
    RlweSecret,
    /// The error that hides a secret key in its public key (6.4).
    RlweKey,
    /// The error e in a s + e: without it the key follows from an input (6.4).
    RlweInput,
    /// The secret u: u p + e1 hides the owner's matrix in an output of such a product (6.4).
    RlweOutput,
    /// The error e1 in u p + e1: without it u follows from an output (6.4).
    RlweOutputError,
    /// The nonce of a commitment, which hides a share until it is sent (0, Covert).
    Commitment,
    /// The fresh zero share in each share that a session goes on from (0, Checkpoints).
    ZeroShareResumed,
    /// What hides an evaluator's key-value store from a key holder (11.2).
    AlignRequest,
    /// The elements of a hint that no id determines, which hide how many ids there are (11.3).
    AlignHint,
    /// One party's own bits of a random number, whose bits and value are shared (14.1): what masks a
    /// comparison.
    RandomBit,
    /// The parties' shares of such a number, which mask the dealer's correction (14.1).
    RandomBitValue,
    /// The first factor of a product of bits, which masks X (14.2).
    AndLeft,
    /// The second factors of a product of bits, which mask Y (14.2).
    AndRight,
    /// A further second factor, which masks what is opened to check a product of bits (14.2).
    AndCheck,
    /// The parties' shares of a product of bits, which mask the dealer's correction (14.2).
    AndProduct,
    /// The pads of correlated OTs, which mask the corrections of a product of bits (14.2).
    BitPad,
    /// What masks one party's vector and another one's in a sum, and cancels (18.1).
    AggregateZero,
    /// A party's mask of its own vector in a sum, which is told in the end (18.1).
    AggregateSelf,
    /// The polynomials that hide a party's secrets of a sum in the shares that a quorum of others gets (18.7).
    AggregateShares,
    /// A mask of a protocol outside this crate.
    Custom(MaskDomain),
}

/// The name of a mask of a protocol outside this crate: the domain of its streams.
///
/// ```
/// use mpc_core::rand::MaskDomain;
///
/// const BLINDING: MaskDomain = MaskDomain::new("my-protocols/blinding");
/// ```
///
/// Begin it with the name of your crate. Streams of one name in one session are one stream, so two
/// protocols that happen to use the same name do not use a mask twice; but a test that switches
/// the one's off switches the other's off as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MaskDomain(&'static str);

impl MaskDomain {
    /// The domain with this name.
    ///
    /// # Panics
    /// When the name is empty; in a constant when it is compiled.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        assert!(!name.is_empty(), "a mask has a name");
        Self(name)
    }

    /// The name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.0
    }
}

impl From<MaskDomain> for MaskSite {
    fn from(domain: MaskDomain) -> Self {
        Self::Custom(domain)
    }
}

impl MaskSite {
    /// All sites of this crate.
    pub const ALL: [Self; 38] = [
        Self::InputShare,
        Self::ZeroShareResult,
        Self::ZeroShareBounded,
        Self::BoundedMask,
        Self::ForwardMask,
        Self::TransposedMask,
        Self::AngleMask,
        Self::TripleLeft,
        Self::TripleRight,
        Self::TripleCheck,
        Self::TripleProduct,
        Self::OwnedMatrix,
        Self::OwnedProduct,
        Self::Phasor,
        Self::OtChoice,
        Self::OtCheck,
        Self::RingPad,
        Self::LevelPad,
        Self::OneHotLeaf,
        Self::RlweSecret,
        Self::RlweKey,
        Self::RlweInput,
        Self::RlweOutput,
        Self::RlweOutputError,
        Self::Commitment,
        Self::ZeroShareResumed,
        Self::AlignRequest,
        Self::AlignHint,
        Self::RandomBit,
        Self::RandomBitValue,
        Self::AndLeft,
        Self::AndRight,
        Self::AndCheck,
        Self::AndProduct,
        Self::BitPad,
        Self::AggregateZero,
        Self::AggregateSelf,
        Self::AggregateShares,
    ];

    /// The seed of the site's streams under `seed`. The names of others have a domain around them,
    /// so that none of them is one of ours.
    pub(super) fn seed(self, seed: &Seed) -> Seed {
        match self {
            Self::Custom(domain) => seed.derive("custom mask").derive(domain.name()),
            own => seed.derive(own.domain()),
        }
    }

    /// The domain of the site's streams; of another crate's site its name.
    #[must_use]
    pub const fn domain(self) -> &'static str {
        match self {
            Self::InputShare => "input share",
            Self::ZeroShareResult => "zero share of a result",
            Self::ZeroShareBounded => "zero share of a bounded opening",
            Self::BoundedMask => "bounded mask",
            Self::ForwardMask => "forward mask",
            Self::TransposedMask => "transposed mask",
            Self::AngleMask => "angle mask",
            Self::TripleLeft => "triple left",
            Self::TripleRight => "triple right",
            Self::TripleCheck => "triple check",
            Self::TripleProduct => "triple product",
            Self::OwnedMatrix => "owned matrix",
            Self::OwnedProduct => "owned product",
            Self::Phasor => "phasor",
            Self::OtChoice => "choices of an OT extension",
            Self::OtCheck => "check of an OT extension",
            Self::RingPad => "ring pad",
            Self::LevelPad => "level pad",
            Self::OneHotLeaf => "one-hot leaf",
            Self::RlweSecret => "rlwe secret",
            Self::RlweKey => "rlwe key",
            Self::RlweInput => "rlwe input",
            Self::RlweOutput => "rlwe output",
            Self::RlweOutputError => "rlwe output error",
            Self::Commitment => "nonce of a commitment",
            Self::ZeroShareResumed => "zero share of a resumed state",
            Self::AlignRequest => "request of an alignment",
            Self::AlignHint => "hint of an alignment",
            Self::RandomBit => "random bit",
            Self::RandomBitValue => "value of random bits",
            Self::AndLeft => "left factor of bits",
            Self::AndRight => "right factors of bits",
            Self::AndCheck => "check of a product of bits",
            Self::AndProduct => "product of bits",
            Self::BitPad => "bit pad",
            Self::AggregateZero => "zero share of a sum by slices",
            Self::AggregateSelf => "own mask in a sum by slices",
            Self::AggregateShares => "shares of the secrets of a sum by slices",
            Self::Custom(domain) => domain.name(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn all_are_all_and_each_has_a_domain_of_its_own() {
        for site in MaskSite::ALL {
            // A new site does not compile here before it stands in `ALL`, and `tests/views.rs`
            // fails for every one in `ALL` that neither it nor `tests/pairwise_views.rs` looks at.
            match site {
                MaskSite::InputShare
                | MaskSite::ZeroShareResult
                | MaskSite::ZeroShareBounded
                | MaskSite::BoundedMask
                | MaskSite::ForwardMask
                | MaskSite::TransposedMask
                | MaskSite::AngleMask
                | MaskSite::TripleLeft
                | MaskSite::TripleRight
                | MaskSite::TripleCheck
                | MaskSite::TripleProduct
                | MaskSite::OwnedMatrix
                | MaskSite::OwnedProduct
                | MaskSite::Phasor
                | MaskSite::OtChoice
                | MaskSite::OtCheck
                | MaskSite::RingPad
                | MaskSite::LevelPad
                | MaskSite::OneHotLeaf
                | MaskSite::RlweSecret
                | MaskSite::RlweKey
                | MaskSite::RlweInput
                | MaskSite::RlweOutput
                | MaskSite::RlweOutputError
                | MaskSite::Commitment
                | MaskSite::ZeroShareResumed
                | MaskSite::AlignRequest
                | MaskSite::AlignHint
                | MaskSite::RandomBit
                | MaskSite::RandomBitValue
                | MaskSite::AndLeft
                | MaskSite::AndRight
                | MaskSite::AndCheck
                | MaskSite::AndProduct
                | MaskSite::BitPad
                | MaskSite::AggregateZero
                | MaskSite::AggregateSelf
                | MaskSite::AggregateShares => {}
                MaskSite::Custom(_) => panic!("`ALL` has our own sites"),
            }
        }
        let domains: BTreeSet<_> = MaskSite::ALL.iter().map(|site| site.domain()).collect();
        assert_eq!(domains.len(), MaskSite::ALL.len());
    }

    #[test]
    fn a_custom_name_is_never_one_of_ours() {
        let seed = Seed::from_secret("test", &[b"site"]);
        let own = MaskSite::InputShare;
        let same = MaskSite::from(MaskDomain::new(own.domain()));
        assert_ne!(own.seed(&seed).bytes(), same.seed(&seed).bytes());
        let other = MaskSite::from(MaskDomain::new("other"));
        assert_ne!(same.seed(&seed).bytes(), other.seed(&seed).bytes());
    }
}
