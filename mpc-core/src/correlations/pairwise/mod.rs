//! Correlations that the parties make themselves, pair by pair (docs/protocols.md 6).
//!
//! [`PairwiseSource`] is what studies use: it takes orders as any source does, and makes them in
//! production lines beside the protocol. Underneath, and for protocols of one's own:
//!
//! * [`PairwiseOt::establish`] agrees on oblivious transfer (OT) between every two parties, in both
//!   directions. On it stand products of an integer that one party knows with one that another
//!   knows ([`PairwiseOt::product`]), Beaver factors ([`PairwiseOt::left`],
//!   [`PairwiseOt::right`]), and phasors ([`PairwiseOt::phasors`]).
//! * [`rlwe`] multiplies a matrix that one party knows with vectors that the others know: owned
//!   products, and factors too large for transfers.
//!
//! # Rounds and bytes
//!
//! | call | rounds | bytes |
//! |---|---|---|
//! | `establish` | 2 | 16 KiB to each peer; covert 1,056 (or 544) more |
//! | `left` | 0 | 0 |
//! | `right` (covert: 5 more), `product` | 2 a pass | 4 (or 2) bytes an OT one way, covert 560 (or 304) more a batch; ceil((m - i) / 8) a correction of bit i the other |
//! | `phasors`, one-hot | N a pass of 4,096, covert 4 more | see `PhasorPlan::cost` |
//! | `phasors`, bit by bit | 2 (N - 1) a pass of 4,096, covert 4 more | see `PhasorPlan::cost` |
//! | `random_bits` | N a pass of 2^19 bits, covert 4 more | see `random_bits_cost` |
//! | `bit_triples` | 2 a pass of 2^18, covert 5 more | see `bit_triples_cost` |
//! | products by RLWE | 2 a job, 1 for each new key, covert 5 for each factor of a triple | see `rlwe::Plan` |
//!
//! All sizes follow from public shapes. In every round a party sends to all while it receives from
//! all.
//!
//! # Security
//!
//! Against up to N - 1 static corruptions that keep to the protocol; in a covert session the checks of
//! docs/protocols.md 6.2 and 6.6 notice what a party that deviates could do in an extension, and errors
//! that depend on what others hide. Privacy is computational. Every message, and what carries it:
//!
//! | step | message | carried by |
//! |---|---|---|
//! | `ot/base` | A = a G; r_0, r_1 | DDH and SHA3 as a random oracle (Masny-Rindal); r_0, r_1 are uniform |
//! | `ot/trees` | level sums of the extension's trees + keys of base OTs | the key that the base OT did not give; AES in the ideal-cipher model for the trees |
//! | the same, covert | sums of the leaves' hashes; a digest of all | SHA3 as a random oracle: the leaf that is missing stays hidden |
//! | `ot/choices` | u + choice bits | `MaskSite::OtChoice`: AES as a pseudorandom function under the seed that the sender lacks |
//! | the same, covert | the choices' sum under a public challenge; a digest | `MaskSite::OtCheck`: random choices that are thrown away |
//! | `ot/corrections` | h0 - h1 + x mod 2^(m - i) | `MaskSite::RingPad`: the pad not chosen; tweakable correlation-robust hash from AES |
//! | `ot/one-hot-stage`, level sums | sums + h0, h1 | `MaskSite::LevelPad`: the same hash |
//! | the same, covert | sum of the hashes of a tree's leaves; a value of all hashes | a block of the missing leaf's stream that is used for nothing else |
//! | `ot/one-hot-stage`, corrections | x - U mod 2^ring_k | `MaskSite::OneHotLeaf`: the leaf that the receiver lacks |
//! | `toss/commit`, `ot/open-commit`, `factor/rest-commit`, covert | commitments | a nonce |
//! | `toss/coin`, covert | coins | nothing to hide |
//! | `ot/open`, covert | angles, sums of shares | of phasors that are used nowhere |
//! | `factor/rows`, covert | A' + L A | `MaskSite::TripleCheck`: rows A' of their own |
//! | `factor/rest`, covert | shares of zero | the product of A', used nowhere else |
//! | `bits/stage` | h0 - h1 + s mod 2^(m - b - 1) | `MaskSite::RingPad` |
//! | `bits/products` | h0 + h1 + b, b' | `MaskSite::BitPad`: the pad not chosen |
//! | `bits/open-commit`, `bits/rest-commit`, covert | commitments | a nonce |
//! | `bits/open`, covert | bits and shares | of numbers that are used nowhere |
//! | `bits/check`, covert | X b + X' b' + b'' | `MaskSite::AndCheck`: b'' used nowhere else |
//! | `bits/rest`, covert | sums of shares of zero | the product a b'', used nowhere else |
//! | `rlwe/keys` | p s + e; new ones after some jobs | `MaskSite::RlweSecret`, `RlweKey`: RLWE under s |
//! | `rlwe/inputs` | a s + e + round(q v / t) | `MaskSite::RlweSecret`, `RlweInput`: RLWE under s, every a used once |
//! | `rlwe/outputs` | X a + u p + e1 | `MaskSite::RlweOutput`, `RlweOutputError`: RLWE under a fresh u |
//!
//! Nothing that is used is opened here. What a party draws for itself (`TripleLeft`, `TripleRight`,
//! `ForwardMask`, `TransposedMask`, `AngleMask`, the dice of stochastic rounding) comes from a
//! fresh seed and never leaves the party but as its share of an opening (docs/protocols.md 2 to 5).
//!
//! *Tweaks.* Each ordered pair has a Delta and an AES key of its own, the key bound to the session
//! id, the direction, and all messages of the base OTs, which are fresh at every start (also in a
//! second fork and after a restart). Under one key the tweak counts all OTs ever made, so none is
//! used twice; the AES key of a tree is derived from the tweak of its first OT.
//!
//! *Constant time.* Choices, digits and Delta enter masks only, never an index, a branch or a
//! length; tables of the own phasors are read by scanning them.

mod base_ot;
mod bit_triples;
pub(crate) mod block;
mod consistency;
pub(crate) mod extension;
pub(crate) mod ggm;
pub(crate) mod link;
mod ole;
mod one_hot;
mod opened;
mod phasors;
mod plan;
mod random_bits;
pub mod rlwe;
pub(crate) mod rows;
mod sacrifice;
mod source;
mod toss;
mod triples;

use crate::error::Error;
use crate::rand::{MaskSite, Prg};
use crate::session::{Against, Cost, Session};

#[cfg(all(feature = "test-util", feature = "insecure-test-masks"))]
pub use consistency::choices_are_hidden;
pub use extension::Expansion;
#[cfg(feature = "test-util")]
pub use extension::measure_extension;
#[cfg(all(feature = "test-util", feature = "insecure-test-masks"))]
pub use one_hot::level_sums_are_hidden;
pub use plan::PhasorPlan;
pub use source::PairwiseSource;
pub use triples::ProductShape;

/// The label of the channel between the parties.
const CHANNEL: &str = "correlations/pairwise-ot";

/// Oblivious transfer with every other party, in both directions, and what is made of it.
pub struct PairwiseOt {
    session: Session,
    expansion: Expansion,
    /// Whether deviations are looked for: in a covert session.
    checked: bool,
    links: Option<link::Links>,
    own: Own,
    lefts: triples::Lefts,
    /// How often something was shown together.
    shown: u64,
}

/// Whether deviations are looked for in this session.
fn is_checked(session: &Session) -> bool {
    session.against() == Against::Covert
}

/// Streams of this party alone, from a seed that was drawn at the start.
struct Own {
    right: Prg,
    /// Rows of left factors that are given up in checks.
    spare: Prg,
    angle: Prg,
    rounding: Prg,
    roots: Prg,
    bits: Prg,
    and_left: Prg,
    and_right: Prg,
    and_check: Prg,
}

impl PairwiseOt {
    /// Agrees on OT with every peer. Two rounds; [`establish_cost`](Self::establish_cost).
    ///
    /// # Errors
    /// When this was done before in this session, a peer sends what is no point, or the network
    /// fails.
    pub async fn establish(session: &mut Session, expansion: Expansion) -> Result<Self, Error> {
        let session = session.fork(CHANNEL)?;
        session.meter().enter("preparation");
        Self::on(session, expansion).await
    }

    /// [`establish`](Self::establish) on a session that is this one's alone.
    async fn on(mut session: Session, expansion: Expansion) -> Result<Self, Error> {
        let checked = is_checked(&session);
        let links = link::establish(&mut session, (expansion, checked)).await?;
        let seed = session.coins().seed("own part of transfers");
        let switch = session.switch();
        let stream = |site| Prg::under(&seed, site, switch);
        let own = Own {
            right: stream(MaskSite::TripleRight),
            spare: stream(MaskSite::TripleCheck),
            angle: stream(MaskSite::AngleMask),
            rounding: Prg::under(&seed.derive("rounding"), MaskSite::AngleMask, switch),
            roots: stream(MaskSite::OneHotLeaf),
            bits: stream(MaskSite::RandomBit),
            and_left: stream(MaskSite::AndLeft),
            and_right: stream(MaskSite::AndRight),
            and_check: stream(MaskSite::AndCheck),
        };
        Ok(Self {
            session,
            expansion,
            checked,
            links: Some(links),
            own,
            lefts: triples::Lefts::new(&seed, switch),
            shown: 0,
        })
    }

    /// What [`establish`](Self::establish) costs.
    #[must_use]
    pub fn establish_cost(session: &Session, expansion: Expansion) -> Cost {
        let bytes = link::BASE_BYTES + expansion.setup_bytes(is_checked(session));
        Cost::to_all(session.me(), session.parties(), 2, bytes as u64)
    }

    fn parties(&self) -> usize {
        self.session.parties()
    }

    /// What this channel counts.
    #[must_use]
    pub fn meter(&self) -> &mpc_net::Meter {
        self.session.meter()
    }
}
