//! One party's own counts.

use zeroize::Zeroizing;

use super::plan::SurvivalPlan;
use crate::data::{Column, Table};
use crate::error::Error;

/// What a row is counted as.
#[derive(Clone, Copy)]
enum Row {
    Missing,
    /// A time, and whether the event happened then.
    Seen(f64, bool),
}

/// The counts on each grid, of one party's rows: **private data**.
pub(super) fn counts(
    plan: &SurvivalPlan,
    table: &Table,
    me: usize,
) -> Result<Zeroizing<Vec<Vec<u64>>>, Error> {
    table.check_shape(plan.rows.get(me), plan.columns)?;
    let refused = |what: String| Err(Error::Data(what));
    let columns = table.columns();
    let (Some(Column::Numeric(times)), Some(Column::Categorical(events))) =
        (columns.get(plan.time), columns.get(plan.event))
    else {
        return refused("the columns of time and event are of another kind than planned".into());
    };
    let group = |row: usize| match plan.group.map(|at| &columns[at]) {
        Some(Column::Categorical(levels)) => {
            levels[row].map_or(plan.compared, |level| level as usize)
        }
        _ => 0,
    };
    let finest = &plan.settings.grids[0];
    let mut out = Zeroizing::new(
        (0..plan.settings.grids.len())
            .map(|grid| vec![0u64; plan.groups.len() * plan.cells(grid)])
            .collect::<Vec<_>>(),
    );
    for (row, (time, event)) in times.iter().zip(events).enumerate() {
        let seen = match (time, event) {
            (Some(time), Some(event)) => Row::Seen(time, *event == plan.happened),
            _ if plan.missing => Row::Missing,
            _ => return refused("a missing time or event, which the plan has no place for".into()),
        };
        if let Row::Seen(time, _) = seen {
            if time < 0.0 {
                return refused(format!("column {}: a time below 0", plan.settings.time));
            }
            let last = finest.last().copied().unwrap_or_default();
            if plan.settings.on_grid && time <= last && !finest.contains(&time) {
                return refused(format!(
                    "column {}: a time that is no point of the grid, where the agreement says on_grid = \
                     true; round the times in the same way at all parties, or agree on on_grid = false",
                    plan.settings.time
                ));
            }
        }
        let group = group(row);
        if group >= plan.groups.len() {
            return refused("a row without a group, which the plan has no place for".into());
        }
        for (grid, points) in plan.settings.grids.iter().enumerate() {
            let beyond = 2 * points.len();
            let place = match seen {
                Row::Missing => beyond + 1,
                Row::Seen(time, happened) => {
                    let interval = points.partition_point(|&point| point < time);
                    let within = interval < points.len();
                    if within { 2 * interval + usize::from(!happened) } else { beyond }
                }
            };
            out[grid][group * plan.cells(grid) + place] += 1;
        }
    }
    Ok(out)
}
