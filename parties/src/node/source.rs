//! Where the correlated randomness of a study comes from.

use mpc_core::correlations::dealer::DealerSource;
use mpc_core::correlations::pairwise::{Expansion, PairwiseSource};
use mpc_core::correlations::{Correlation, CorrelationSource, OwnedMatrix, Production, Request};
use mpc_core::{Error, Session};
use mpc_net::BoxFuture;

use crate::exit::Failure;
use crate::study::Correlations;

/// The source of a computation that needs none: no task, no message.
pub(super) struct Nothing;

impl CorrelationSource for Nothing {
    fn register(&mut self, _: OwnedMatrix) -> BoxFuture<'_, Result<u32, Error>> {
        Box::pin(async { Err(none()) })
    }

    fn demand(&mut self, _: Vec<Request>) -> Result<(), Error> {
        Err(none())
    }

    fn take(&mut self) -> BoxFuture<'_, Result<Correlation, Error>> {
        Box::pin(async { Err(none()) })
    }

    fn production(&self) -> Production {
        Production::default()
    }

    fn finish(&mut self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }
}

fn none() -> Error {
    Error::Internal("this computation was planned without correlations".to_owned())
}

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
