//! The names of all masks.

/// Every place where a random mask hides something.
///
/// The site is part of the domain of the stream that the mask is drawn from, so no two sites ever
/// share randomness. Under the feature `insecure-test-masks` each can be switched off, and
/// `tests/views.rs` shows for each that a test of the adversary's view then fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum MaskSite {
    /// A party's share of another party's input (docs/protocols.md 1).
    InputShare = 0,
    /// The fresh zero share in the opening of a result (0, Release).
    ZeroShareResult = 1,
    /// The fresh zero share in a bounded opening (3b).
    ZeroShareBounded = 2,
    /// The bounded mask of one party in a bounded opening (3b): lambda and u of section 5.
    BoundedMask = 3,
    /// The mask r of the argument of a series (5, step 3).
    AngleMask = 4,
    /// The left factor of a Beaver triple, which masks X (2).
    TripleLeft = 5,
    /// The right factor of a Beaver triple, which masks Y (2).
    TripleRight = 6,
    /// The parties' shares of the product of a triple, which mask the dealer's correction (2).
    TripleProduct = 7,
    /// The matrix A that masks an owner's matrix in D = X - A (4).
    OwnedMatrix = 8,
    /// The parties' shares of A mu, which mask the dealer's correction (4).
    OwnedProduct = 9,
    /// The parties' shares of the phasors, which mask the dealer's correction (5).
    Phasor = 10,
    /// What hides the choices of an OT extension from the sender (6.2).
    OtChoice = 11,
    /// The pads of correlated OTs, which mask the ring corrections of a product (6.5).
    RingPad = 12,
    /// The pads of correlated OTs, which mask the level sums of a punctured tree (6.3).
    LevelPad = 13,
    /// The leaves of a punctured tree, which mask a share that enters a one-hot product (6.3).
    OneHotLeaf = 14,
    /// The error that hides a secret key in its public key (6.4).
    RlweKey = 15,
    /// a s + e, which hides an input of a product with an owner's matrix (6.4).
    RlweInput = 16,
    /// u p + e1, which hides the owner's matrix in an output of such a product (6.4).
    RlweOutput = 17,
}

impl MaskSite {
    /// All sites.
    pub const ALL: [Self; 18] = [
        Self::InputShare,
        Self::ZeroShareResult,
        Self::ZeroShareBounded,
        Self::BoundedMask,
        Self::AngleMask,
        Self::TripleLeft,
        Self::TripleRight,
        Self::TripleProduct,
        Self::OwnedMatrix,
        Self::OwnedProduct,
        Self::Phasor,
        Self::OtChoice,
        Self::RingPad,
        Self::LevelPad,
        Self::OneHotLeaf,
        Self::RlweKey,
        Self::RlweInput,
        Self::RlweOutput,
    ];

    /// The domain of the site's streams.
    #[must_use]
    pub const fn domain(self) -> &'static str {
        match self {
            Self::InputShare => "input share",
            Self::ZeroShareResult => "zero share of a result",
            Self::ZeroShareBounded => "zero share of a bounded opening",
            Self::BoundedMask => "bounded mask",
            Self::AngleMask => "angle mask",
            Self::TripleLeft => "triple left",
            Self::TripleRight => "triple right",
            Self::TripleProduct => "triple product",
            Self::OwnedMatrix => "owned matrix",
            Self::OwnedProduct => "owned product",
            Self::Phasor => "phasor",
            Self::OtChoice => "choices of an OT extension",
            Self::RingPad => "ring pad",
            Self::LevelPad => "level pad",
            Self::OneHotLeaf => "one-hot leaf",
            Self::RlweKey => "rlwe key",
            Self::RlweInput => "rlwe input",
            Self::RlweOutput => "rlwe output",
        }
    }
}

#[cfg(feature = "insecure-test-masks")]
static OFF: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);

/// Makes all streams of `site` return zeros, in the whole process, until it is called again;
/// `None` switches every mask on. For tests that show that a missing mask is noticed.
#[cfg(feature = "insecure-test-masks")]
pub fn insecure_switch_off(site: Option<MaskSite>) {
    let bits = site.map_or(0, |site| 1 << site as u8);
    OFF.store(bits, std::sync::atomic::Ordering::SeqCst);
}

/// Whether a test has switched the site off. Always false in a release binary.
#[cfg(feature = "insecure-test-masks")]
pub(crate) fn is_off(site: MaskSite) -> bool {
    OFF.load(std::sync::atomic::Ordering::SeqCst) & (1 << site as u8) != 0
}

#[cfg(not(feature = "insecure-test-masks"))]
pub(crate) const fn is_off(_: MaskSite) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn all_are_all_and_each_has_a_domain_of_its_own() {
        for (i, site) in MaskSite::ALL.into_iter().enumerate() {
            assert_eq!(site as usize, i);
            // A new site does not compile here before it stands in `ALL`, and `tests/views.rs`
            // fails for every one in `ALL` that neither it nor `tests/pairwise_views.rs` looks at.
            match site {
                MaskSite::InputShare
                | MaskSite::ZeroShareResult
                | MaskSite::ZeroShareBounded
                | MaskSite::BoundedMask
                | MaskSite::AngleMask
                | MaskSite::TripleLeft
                | MaskSite::TripleRight
                | MaskSite::TripleProduct
                | MaskSite::OwnedMatrix
                | MaskSite::OwnedProduct
                | MaskSite::Phasor
                | MaskSite::OtChoice
                | MaskSite::RingPad
                | MaskSite::LevelPad
                | MaskSite::OneHotLeaf
                | MaskSite::RlweKey
                | MaskSite::RlweInput
                | MaskSite::RlweOutput => {}
            }
        }
        let domains: BTreeSet<_> = MaskSite::ALL.iter().map(|site| site.domain()).collect();
        assert_eq!(domains.len(), MaskSite::ALL.len());
    }
}
