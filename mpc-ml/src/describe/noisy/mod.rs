//! Tables with differential privacy: counts, histograms with quartiles, means and deviations over the rows of all
//! parties, each figure with noise of every party (docs/privacy.md; docs/protocols.md 16.9).
//!
//! ```text
//! NoisyPlan::new      what is counted, how much noise each figure has: public facts alone
//! Agreed::among       all parties mean the same                                  1 round
//! prepare             own sums, all of the own noise                             no round
//! release             own sums with noise, all at once (REVEALED)                1 round
//! ```
//!
//! Nothing that is counted decides what is shown, so no threshold is tested and nothing is kept back.

mod own;
mod plan;
mod results;
mod scores;
mod show;
mod words;

#[cfg(test)]
mod tests;

use std::fmt;

use mpc_core::Shared;
use mpc_core::noise::{DiscreteGaussian, NoiseStream};
use mpc_core::ring::{Ring, Z64};
use zeroize::Zeroizing;

pub use plan::{NOISY, NoisyPlan, NoisySettings};
pub use results::{NoisyHistogram, NoisyMeans, NoisyTable, NoisyTables, Off};
pub use scores::Separation;

use crate::data::Table;
use crate::error::Error;
use crate::model::{Agreed, Run};
use crate::privacy;

/// One party's sums with its noise in each of them: nobody holds these without it but its owner. Wiped on drop.
pub struct Noised(Zeroizing<Vec<i128>>);

impl fmt::Debug for Noised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Noised({} figures)", self.0.len())
    }
}

/// Adds up the own rows and draws the own noise, all of it, before a message depends on either. No rounds.
///
/// # Errors
/// [`Error::Data`] when the own rows are not those of the plan.
pub async fn prepare(
    plan: &Agreed<NoisyPlan>,
    table: &Table,
    run: &mut Run<'_>,
) -> Result<Noised, Error> {
    let mut sums = own::sums(plan, table, run.session.me())?;
    let laws = plan.laws()?;
    let noise = privacy::ahead(run.session, move |stream| noise(&laws, stream)).await?;
    sums.iter_mut().zip(&*noise).for_each(|(sum, noise)| *sum += i128::from(*noise));
    Ok(Noised(sums))
}

/// One party's noise, in the order of the figures.
fn noise(laws: &[(usize, DiscreteGaussian)], stream: &mut NoiseStream) -> Zeroizing<Vec<i64>> {
    let mut all = Zeroizing::new(Vec::with_capacity(laws.iter().map(|law| law.0).sum()));
    for (values, law) in laws {
        all.extend((0..*values).map(|_| law.draw(stream)));
    }
    all
}

/// Reveals the figures as [`NOISY`]; `None` where this party does not receive them.
///
/// # Errors
/// Network errors.
pub async fn release(
    plan: &Agreed<NoisyPlan>,
    noised: Noised,
    run: &mut Run<'_>,
) -> Result<Option<NoisyTables>, Error> {
    let own = noised.0.iter().map(|sum| Z64::from_i128(*sum)).collect();
    let sums = run.session.reveal(NOISY, &Shared::column(own), Z64::BITS, 0).await?;
    Ok(sums.map(|sums| results::tables(plan, &sums)))
}
