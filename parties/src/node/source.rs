//! Where the correlated randomness of a study comes from.

use mpc_core::Session;
use mpc_core::correlations::CorrelationSource;
use mpc_core::correlations::dealer::DealerSource;
use mpc_core::correlations::pairwise::{Expansion, PairwiseSource};

use crate::exit::Failure;
use crate::study::Correlations;

/// Starts the source that the parties have agreed on.
pub(super) fn start(
    correlations: Correlations,
    session: &mut Session,
) -> Result<Box<dyn CorrelationSource>, Failure> {
    Ok(match correlations {
        Correlations::Pairwise => Box::new(PairwiseSource::start(session, Expansion::Fast)?),
        Correlations::Dealer => Box::new(DealerSource::start(session)?),
    })
}
