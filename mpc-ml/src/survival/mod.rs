//! How long it takes until something happens, of the rows of all parties: Kaplan-Meier curves with
//! Greenwood's intervals, medians and the log-rank test, by groups, on a declared grid of times
//! (docs/survival.md; docs/protocols.md 15.5).
//!
//! [`expand`] makes rows of a model of counts of them, whose fit is that of piecewise constant hazards.
//!
//! Each row is counted once: as an event or an end of follow-up in an interval of the grid, as seen beyond
//! it, or as missing. The parties' own counts *are* additive shares. They are released whole, on the
//! first of the declared grids on which none is small, or not at all.
//!
//! ```text
//! SurvivalPlan::new       what is counted, what may be revealed: public facts alone
//! Agreed::among           all parties mean the same                                  1 round
//! test                    own counts; the test; which grid (REVEALED)                some 14 rounds
//! release                 the counts on that grid (REVEALED)                         1 round
//! ```

pub mod curve;
pub mod expand;
mod own;
mod plan;
mod results;
mod show;

#[cfg(test)]
mod tests;

use std::fmt;

use mpc_core::Shared;
use mpc_core::correlations::Correlations;
use mpc_core::ring::{Ring, Z64};
use zeroize::Zeroizing;

pub use plan::{COUNTS, SurvivalPlan, SurvivalSettings, WITHHELD};
pub use results::{Curve, Point, Survival};

use crate::data::Table;
use crate::describe::{breaks, first_that_may};
use crate::error::Error;
use crate::model::{Agreed, Run};

/// One party's counts, of which it is known on which grid they may be released.
pub struct Tested {
    grid: usize,
    own: Zeroizing<Vec<u64>>,
}

/// Tests the counts, and reveals [`WITHHELD`]: on which grid they may be released. Nothing of them is known yet.
///
/// Nothing else may have been ordered from the source of `run` before.
///
/// # Errors
/// [`Error::Data`] when the own rows are not those of the plan, before anything is sent;
/// [`Error::Withheld`] when no grid may be released, alike at all parties; network errors.
pub async fn test(
    plan: &Agreed<SurvivalPlan>,
    table: &Table,
    run: &mut Run<'_>,
) -> Result<Tested, Error> {
    let mut own = own::counts(plan, table, run.session.me())?;
    let mut from = Correlations::new(&mut *run.source)?;
    let first = first_that_may(plan.gate(), &own, WITHHELD, &mut from, run.session).await?;
    let grid = first.ok_or_else(|| Error::Withheld(plan.withheld()))?;
    Ok(Tested { grid, own: Zeroizing::new(std::mem::take(&mut own[grid])) })
}

/// Reveals [`COUNTS`] on that grid. `None` where this party does not receive them.
///
/// # Errors
/// [`Error::Contradicted`] when what was released breaks the thresholds, as this party can see; network
/// errors.
pub async fn release(
    plan: &Agreed<SurvivalPlan>,
    tested: Tested,
    run: &mut Run<'_>,
) -> Result<Option<Survival>, Error> {
    let Tested { grid, own } = tested;
    let shares = Shared::column(own.iter().map(|&count| Z64(count)).collect());
    let counts = run.session.reveal(COUNTS, &shares, Z64::BITS, 0).await?;
    let Some(counts) = counts else { return Ok(None) };
    let counts: Vec<u64> = counts.iter().map(|&count| count as u64).collect();
    if !plan.gate().holds_for(&counts, &own) {
        return Err(breaks(plan.gate().rule().least));
    }
    Ok(Some(results::survival(plan, grid, &counts)))
}

/// The curves of the rows of all parties: [`test()`], then [`release`].
///
/// # Errors
/// As those.
pub async fn survival(
    plan: &Agreed<SurvivalPlan>,
    table: &Table,
    run: &mut Run<'_>,
) -> Result<Option<Survival>, Error> {
    let tested = test(plan, table, run).await?;
    release(plan, tested, run).await
}

impl fmt::Debug for Tested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tested").field("grid", &self.grid).finish_non_exhaustive()
    }
}
