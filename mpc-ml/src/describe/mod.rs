//! What the rows of all parties look like together: table one by groups, contingency tables, tests,
//! correlations (docs/describe.md; docs/protocols.md 15).
//!
//! Everything is a count or a sum that each party takes of its own rows, so the parties' numbers *are*
//! additive shares, and nothing is multiplied. The counts are released as a family, whole or not at all,
//! under a threshold that is tested on shares before ([`mpc_core::protocols::threshold`]). Where they may
//! not be, coarser tables are tried in the same step.
//!
//! ```text
//! DescribePlan::new        what is counted and summed, what may be revealed: public facts alone
//! Agreed::among            all parties mean the same                                  1 round
//! describe                 own counts and sums; the test; which tables (REVEALED)     some 14 rounds
//!                          their counts (REVEALED), then their sums (REVEALED)        2 rounds
//! ```

mod dominance;
mod kept;
pub mod noisy;
mod own;
mod plan;
mod quartiles;
mod results;
mod show;
pub mod stats;
mod told;

#[cfg(test)]
mod tests;

use std::fmt;

use mpc_core::correlations::{Correlations, Orders};
use mpc_core::protocols::threshold::{Gate, first_released};
use mpc_core::ring::{Ring, Z64, Z128};
use mpc_core::{Session, Shared};
use zeroize::Zeroizing;

pub use dominance::Dominated;
pub use kept::{KEPT, Kept};
pub(crate) use plan::joint_rows;
pub use plan::{COUNTS, DescribePlan, DescribeSettings, SUMS, WITHHELD};
pub use quartiles::{QUARTILES, Quartiles};
pub use results::{
    Categories, Correlation, Crossed, Described, Description, GroupTest, Histogram, Measured,
    Moments,
};
pub(crate) use show::{cut, number, p};

use crate::data::Table;
use crate::error::Error;
use crate::model::{Agreed, Run};

/// One party's part of a description of which it is known what may be released.
pub struct Tested(May);

/// What may be released.
enum May {
    /// The tables of a version.
    Version(usize, own::Own, Vec<Quartiles>),
    /// Single columns of words, but for some counts.
    KeptBack(kept::Marked),
}

/// Tests the counts, and reveals [`WITHHELD`]: which tables may be released. Nothing of them is known yet. Then the
/// steps to the quartiles that are asked for are revealed ([`QUARTILES`]).
///
/// Nothing else may have been ordered from the source of `run` before.
///
/// # Errors
/// [`Error::Data`] when the own rows are not those of the plan, before anything is sent;
/// [`Error::Withheld`] when no table may be released, alike at all parties; network errors.
pub async fn test(
    plan: &Agreed<DescribePlan>,
    table: &Table,
    run: &mut Run<'_>,
) -> Result<Tested, Error> {
    let own = own::Own::of(plan, table, run.session.me())?;
    let counts: Zeroizing<Vec<Vec<u64>>> =
        Zeroizing::new(own.counts.iter().map(|counts| counts.to_vec()).collect());
    let mut from = Correlations::new(&mut *run.source)?;
    let version = first_that_may(plan.gate(), &counts, WITHHELD, &mut from, run.session).await?;
    let Some(version) = version else {
        let of = kept::suppression(plan)?.ok_or_else(|| Error::Withheld(plan.withheld()))?;
        let marked = kept::mark(&of, own.one_way, &mut from, run.session).await?;
        return Ok(Tested(May::KeptBack(marked)));
    };
    let of = &plan.versions[version];
    let quartiles = quartiles::reveal(plan, of, table, &mut from, run.session).await?;
    Ok(Tested(May::Version(version, own, quartiles)))
}

/// Orders what a gate needs, and reveals as `label` which is the first family that may be released, if one is.
pub(crate) async fn first_that_may(
    gate: &Gate,
    counts: &[Vec<u64>],
    label: &str,
    from: &mut Correlations<'_>,
    session: &mut Session,
) -> Result<Option<usize>, Error> {
    let mut orders = Orders::new();
    let ordered = gate.order(&mut orders)?;
    if !orders.is_empty() {
        from.demand(orders)?;
    }
    let prepared = ordered.take(from).await?;
    let first = first_released(counts, prepared, label, session).await?;
    first.ok_or_else(|| Error::untold(label))
}

/// What is released breaks the rule, as this party can see.
pub(crate) fn breaks(least: u32) -> Error {
    Error::Contradicted(format!(
        "the counts that were released are below the threshold of {least} as this party sees them: one of \
         the others did not keep to the protocol; compare records (party audit)"
    ))
}

/// Reveals the tables that may be: [`COUNTS`], then [`SUMS`]. `None` where this party does not receive them.
///
/// # Errors
/// [`Error::Contradicted`] when what was released breaks the thresholds, as this party can see; network
/// errors.
pub async fn release(
    plan: &Agreed<DescribePlan>,
    tested: Tested,
    run: &mut Run<'_>,
) -> Result<Option<Description>, Error> {
    let (version, own, quartiles) = match tested.0 {
        May::Version(version, own, quartiles) => (version, own, quartiles),
        May::KeptBack(marked) => return kept::release(plan, marked, run.session).await,
    };
    let own_counts = &own.counts[version];
    let shares = Shared::column(own_counts.iter().map(|&count| Z64(count)).collect());
    let counts = run.session.reveal(COUNTS, &shares, Z64::BITS, 0).await?;
    let counts: Option<Vec<u64>> =
        counts.map(|counts| counts.iter().map(|&count| count as u64).collect());
    if counts.as_ref().is_some_and(|all| !plan.gate().holds_for(all, own_counts)) {
        return Err(breaks(plan.gate().rule().least));
    }
    let shares = own.sums[version].iter().map(|&sum| Z128::from_i128(sum)).collect();
    let sums = run.session.reveal(SUMS, &Shared::column(shares), Z128::BITS, 0).await?;
    Ok(match (counts, sums) {
        (Some(counts), Some(sums)) => {
            let described = results::description(plan, version, &counts, &sums);
            Some(Description { quartiles, ..described })
        }
        _ => None,
    })
}

/// Describes the rows of all parties: [`test()`], then [`release`].
///
/// # Errors
/// As those.
pub async fn describe(
    plan: &Agreed<DescribePlan>,
    table: &Table,
    run: &mut Run<'_>,
) -> Result<Option<Description>, Error> {
    let tested = test(plan, table, run).await?;
    release(plan, tested, run).await
}

impl fmt::Debug for Tested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            May::Version(version, ..) => {
                f.debug_tuple("Version").field(version).finish_non_exhaustive()
            }
            May::KeptBack(_) => f.debug_tuple("KeptBack").finish_non_exhaustive(),
        }
    }
}
