//! Medians and quartiles to a declared step, by bisection on shares (docs/protocols.md 15.7).

use std::ops::Range;

use mpc_core::correlations::{Correlations, Orders};
use mpc_core::protocols::quantile::{Bisection, Lane, bisect};
use mpc_core::protocols::threshold::ThresholdRule;
use mpc_core::{Cost, Session};
use serde::Serialize;
use zeroize::Zeroizing;

use super::plan::{Column, DescribePlan, Kind, Version};
use crate::data::{Column as Cells, Table};
use crate::error::Error;

/// The outputs of the steps have this label, with `/1`, `/2`, ..
pub const QUARTILES: &str = "describe/quartiles";

/// Which shares of a hundred.
const PERCENT: [u32; 3] = [25, 50, 75];

/// Quartiles of a column, group by group.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Quartiles {
    /// The column.
    pub name: String,
    /// Of each group the intervals in which the lower quartile, the median and the upper quartile lie: each is the
    /// smallest number that as many do not exceed. None where a group has too few numbers.
    pub groups: Vec<[Option<(f64, f64)>; 3]>,
}

/// How many times the range of a column is halved to come to the step, if it can be.
pub(super) fn levels((low, high): (f64, f64), step: f64) -> Option<u32> {
    let cells = ((high - low) / step).ceil();
    let levels = libm::ceil(libm::log2(cells.max(2.0)));
    (step > 0.0 && levels <= 24.0).then_some(levels as u32)
}

/// The quantiles of a version: for each column, group and quartile one.
fn lanes(plan: &DescribePlan, version: &Version) -> Vec<Lane> {
    let groups = version.groups(&plan.columns);
    let of = |&(_, _, levels): &(usize, f64, u32)| {
        let group = PERCENT.map(|percent| Lane { levels, percent });
        std::iter::repeat_n(group, groups).flatten()
    };
    plan.quartiles.iter().flat_map(of).collect()
}

/// The bisection of a version; none where nothing is asked for.
pub(super) fn bisection(
    plan: &DescribePlan,
    version: &Version,
    rule: ThresholdRule,
) -> Result<Option<Bisection>, Error> {
    if plan.quartiles.is_empty() {
        return Ok(None);
    }
    let rows = plan.rows.iter().sum();
    Ok(Some(Bisection::new(rule, plan.rows.len(), lanes(plan, version), rows)?))
}

/// What they cost in the finest version, if no group has too few numbers.
pub(super) fn cost(plan: &DescribePlan, me: usize) -> Cost {
    let of = bisection(plan, &plan.versions[0], plan.gate().rule()).ok().flatten();
    of.and_then(|of| of.cost(me).ok()).unwrap_or_default()
}

/// Reveals the quartiles of a version step by step.
pub(super) async fn reveal(
    plan: &DescribePlan,
    version: &Version,
    table: &Table,
    from: &mut Correlations<'_>,
    session: &mut Session,
) -> Result<Vec<Quartiles>, Error> {
    let Some(of) = bisection(plan, version, plan.gate().rule())? else { return Ok(Vec::new()) };
    let mut orders = Orders::new();
    let ordered = of.order(&mut orders)?;
    from.demand(orders)?;
    let prepared = ordered.take(from).await?;
    let own: Vec<Vec<Zeroizing<Vec<u32>>>> =
        plan.quartiles.iter().map(|of| sorted(plan, version, table, *of)).collect();
    let lanes: Vec<&[u32]> = own
        .iter()
        .flatten()
        .flat_map(|group| std::iter::repeat_n(group.as_slice(), PERCENT.len()))
        .collect();
    let told = bisect(&lanes, prepared, QUARTILES, session).await?;
    let groups = version.groups(&plan.columns);
    let by_column = plan.quartiles.iter().zip(told.chunks(PERCENT.len() * groups));
    Ok(by_column.map(|(of, told)| quartiles(&plan.columns[of.0], of.1, told)).collect())
}

/// The cells of the own numbers of a column, by groups, sorted.
fn sorted(
    plan: &DescribePlan,
    version: &Version,
    table: &Table,
    (at, step, levels): (usize, f64, u32),
) -> Vec<Zeroizing<Vec<u32>>> {
    let groups = version.groups(&plan.columns);
    let mut out: Vec<Zeroizing<Vec<u32>>> = (0..groups).map(|_| Zeroizing::default()).collect();
    let column = &plan.columns[at];
    let group = version.group.map(|group| &table.columns()[plan.columns[group].at]);
    let (Cells::Numeric(numbers), Kind::Numeric { low, .. }) =
        (&table.columns()[column.at], &column.kind)
    else {
        return out;
    };
    let last = (1u32 << levels) - 1;
    for (row, number) in numbers.iter().enumerate() {
        let Some(number) = number else { continue };
        let group = match group {
            // Rows without a group are the last one.
            Some(Cells::Categorical(levels)) => {
                levels[row].map_or(groups - 1, |level| level as usize)
            }
            _ => 0,
        };
        let cell = ((number - low) / step).max(0.0);
        out[group].push((cell as u32).min(last));
    }
    out.iter_mut().for_each(|cells| cells.sort_unstable());
    out
}

fn quartiles(column: &Column, step: f64, told: &[Option<Range<u64>>]) -> Quartiles {
    let Kind::Numeric { low, high } = column.kind else {
        return Quartiles { name: column.name.clone(), groups: Vec::new() };
    };
    let end = |cell: u64| (low + cell as f64 * step).min(high);
    let interval =
        |told: &Option<Range<u64>>| told.as_ref().map(|cells| (end(cells.start), end(cells.end)));
    let group = |told: &[Option<Range<u64>>]| {
        let [lower, median, upper] = [0, 1, 2].map(|at| told.get(at).and_then(interval));
        [lower, median, upper]
    };
    let groups = told.chunks(PERCENT.len()).map(group).collect();
    Quartiles { name: column.name.clone(), groups }
}
