//! How well a released model predicts the rows of all parties, without pooling them (docs/evaluation.md;
//! docs/protocols.md 17).
//!
//! Each party scores its own test rows in the clear with the model that all have. What is told of them are
//! counts and sums, which are shares by nature, and two products of shared histograms that nobody sees.
//!
//! ```text
//! EvaluatePlan::new     what is counted, summed and revealed: public facts and the model alone
//! Agreed::among         all parties mean the same                                          1 round
//! test                  mean and deviation of the scores (REVEALED), which say where groups end
//!                       the test of the counts (REVEALED): which groups may be told
//!                       the calibration line, step by step (REVEALED)                       at most 6
//! release               counts, then sums (REVEALED); the area under the curve and its variance (REVEALED)
//! ```

mod auc;
mod calibrate;
pub mod columns;
mod own;
mod plan;
mod results;
mod scales;
mod show;

#[cfg(test)]
mod tests;

use std::fmt;

use mpc_core::Shared;
use mpc_core::correlations::{Correlations, Orders};
use mpc_core::protocols::threshold::first_released;
use mpc_core::ring::{Ring, Z64, Z128};

pub use plan::{
    AUC, COUNTS, CURVE_VARIANCE, EvaluatePlan, EvaluateSettings, SCORES, STEPS, SUMS, WITHHELD,
    calibration,
};
pub use results::{
    Area, Calibration, Estimate, Evaluation, Figures, Group, LinearFigures, LogisticFigures,
    ModelName, PoissonFigures, RocPoint,
};

use crate::artifact::Model;
use crate::data::Table;
use crate::error::Error;
use crate::model::{Agreed, Run};
use auc::Curve;
use calibrate::{Line, Solved};
use own::Own;
use scales::Scores;

/// One party's part of an evaluation of which it is known what may be released.
pub struct Tested {
    own: Own,
    scores: Scores,
    version: usize,
    line: Option<Solved>,
    curve: Option<Curve>,
}

/// Tests the counts and finds the calibration line: reveals [`SCORES`], [`WITHHELD`] and the steps of the
/// [`calibration`]. No count is known yet.
///
/// Nothing else may have been ordered from the source of `run` before.
///
/// # Errors
/// [`Error::Data`] when the own rows do not fit the plan, before anything is sent; [`Error::Withheld`] when
/// nothing may be released, alike at all parties; network errors.
pub async fn test(
    plan: &Agreed<EvaluatePlan>,
    model: &Model,
    table: &Table,
    run: &mut Run<'_>,
) -> Result<Tested, Error> {
    let own = Own::of(plan, model, table, run.session.me())?;
    let mut from = Correlations::new(&mut *run.source)?;
    let mut orders = Orders::new();
    let gate = plan.gate().order(&mut orders)?;
    let curve = plan.curve().map(|shape| shape.order(&mut orders));
    if !orders.is_empty() {
        from.demand(orders)?;
    }
    let gate = gate.take(&mut from).await?;
    let curve = match curve {
        Some(curve) => Some(curve.take(&mut from).await?),
        None => None,
    };
    // 1. Where the scores lie.
    let sums = figure(SCORES, &own.moments(plan)?, run).await?;
    let scores = plan.scores(&sums);
    // 2. Which counts may be told.
    let counts = own.counts(plan, &scores);
    let first = first_released(&counts, gate, WITHHELD, run.session).await?;
    let version = first.ok_or_else(|| Error::untold(WITHHELD))?;
    let version = version.ok_or_else(|| Error::Withheld(plan.withheld()))?;
    // 3. The calibration line.
    let mut line = None;
    if plan.is_fitted() {
        let mut walk = Line::new(&scores);
        for step in 0..STEPS {
            let sums = own.derivatives(plan, &walk, &scores)?;
            let sums = figure(&calibration(step), &sums, run).await?;
            if walk.step(&sums) {
                break;
            }
        }
        line = Some(walk.solved());
    }
    Ok(Tested { own, scores, version, line, curve })
}

/// Reveals a figure that all see.
async fn figure(label: &str, own: &[Z128], run: &mut Run<'_>) -> Result<Vec<f64>, Error> {
    let shares = Shared::column(own.to_vec());
    let sums = run.session.reveal(label, &shares, Z128::BITS, 0).await?;
    Ok(scales::reals(&sums.ok_or_else(|| Error::untold(label))?, scales::FRACTION))
}

/// Reveals what may be: [`COUNTS`], [`SUMS`], and of a logistic model [`AUC`] and [`CURVE_VARIANCE`].
///
/// # Errors
/// [`Error::Contradicted`] when what was released breaks the thresholds, as this party can see; network
/// errors.
pub async fn release(
    plan: &Agreed<EvaluatePlan>,
    tested: Tested,
    run: &mut Run<'_>,
) -> Result<Evaluation, Error> {
    let Tested { own, scores, version, line, curve } = tested;
    let all_counts = own.counts(plan, &scores);
    let own_counts = &all_counts[version];
    let shares = Shared::column(own_counts.iter().map(|&count| Z64(count)).collect());
    let counts = run.session.reveal(COUNTS, &shares, Z64::BITS, 0).await?;
    let counts: Vec<u64> = counts
        .ok_or_else(|| Error::untold(COUNTS))?
        .iter()
        .map(|&count| u64::try_from(count).unwrap_or(u64::MAX))
        .collect();
    if !plan.gate().holds_for(&counts, own_counts) || plan.contradicts(&counts) {
        return Err(Error::Contradicted(format!(
            "the counts that were released are below the threshold of {}, or not those of all rows: one of \
             the others did not keep to the protocol; compare records (party audit)",
            plan.gate().rule().least
        )));
    }
    let shares = Shared::column(own.sums(plan, &scores, version)?);
    let sums = run.session.reveal(SUMS, &shares, Z128::BITS, 0).await?;
    let sums = scales::reals(&sums.ok_or_else(|| Error::untold(SUMS))?, scales::SUM_FRACTION);
    let classes = results::classes(&counts);
    let area = match curve {
        Some(curve) => curve.reveal(&own, &scores, classes, run).await?,
        None => None,
    };
    Ok(results::evaluation(plan, &scores, version, (&counts, &sums), (line, area)))
}

/// Evaluates a model on the rows of all parties: [`test()`], then [`release`].
///
/// # Errors
/// As those.
pub async fn evaluate(
    plan: &Agreed<EvaluatePlan>,
    model: &Model,
    table: &Table,
    run: &mut Run<'_>,
) -> Result<Evaluation, Error> {
    let tested = test(plan, model, table, run).await?;
    release(plan, tested, run).await
}

impl fmt::Debug for Tested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tested").field("version", &self.version).finish_non_exhaustive()
    }
}
