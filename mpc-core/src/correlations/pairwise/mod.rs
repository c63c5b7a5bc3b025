//! Correlations that the parties make themselves, pair by pair (docs/protocols.md 6).

mod base_ot;
mod block;
mod extension;
mod ggm;
mod link;
mod ole;
mod one_hot;
mod phasors;
mod plan;
mod triples;

use crate::error::Error;
use crate::rand::{MaskSite, Prg, Seed};
use crate::session::{Cost, Session};

pub use extension::Expansion;
pub use plan::PhasorPlan;
pub use triples::ProductShape;

/// The label of the channel between the parties.
const CHANNEL: &str = "correlations/pairwise-ot";

/// Oblivious transfer with every other party, in both directions, and what is made of it.
pub struct PairwiseOt {
    session: Session,
    expansion: Expansion,
    links: Option<link::Links>,
    own: Own,
    lefts: Vec<triples::Left>,
}

/// Streams of this party alone, from a seed that was drawn at the start.
struct Own {
    left: Prg,
    right: Prg,
    angle: Prg,
    rounding: Prg,
    roots: Prg,
}

impl PairwiseOt {
    /// Agrees on OT with every peer. Two rounds; [`establish_cost`](Self::establish_cost).
    ///
    /// # Errors
    /// When this was done before in this session, a peer sends what is no point, or the network
    /// fails.
    pub async fn establish(session: &mut Session, expansion: Expansion) -> Result<Self, Error> {
        let mut session = session.fork(CHANNEL)?;
        session.meter().enter("preparation");
        let links = link::establish(&mut session, expansion).await?;
        let seed = Seed::fresh()?;
        let stream = |site| Prg::new(&seed, site);
        let own = Own {
            left: stream(MaskSite::TripleLeft),
            right: stream(MaskSite::TripleRight),
            angle: stream(MaskSite::AngleMask),
            rounding: stream(MaskSite::Rounding),
            roots: stream(MaskSite::OneHotLeaf),
        };
        Ok(Self { session, expansion, links: Some(links), own, lefts: Vec::new() })
    }

    /// What [`establish`](Self::establish) costs.
    #[must_use]
    pub fn establish_cost(session: &Session) -> Cost {
        let bytes = link::BASE_BYTES + extension::SETUP_BYTES;
        Cost::to_all(session.me(), session.parties(), 2, bytes as u64)
    }

    /// What this channel counts.
    #[must_use]
    pub fn meter(&self) -> &mpc_net::Meter {
        self.session.meter()
    }
}
