//! The result, from the counts of all parties together.

use serde::Serialize;

use super::curve::{self, Interval, LogRank, Step};
use super::plan::SurvivalPlan;

/// Survival of the rows of all parties: what docs/survival.md says of `result.json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Survival {
    /// The column of times.
    pub time: String,
    /// The column of events, and the word for one.
    pub event: [String; 2],
    /// The column of the groups, where there are groups.
    pub group: Option<String>,
    /// The points of the grid that was released.
    pub grid: Vec<f64>,
    /// How many finer grids were asked for, and not released because of a small count.
    pub coarsened: usize,
    /// Whether all times are points of this grid: curves are then those of the times as they are.
    pub exact: bool,
    /// The kind of the intervals.
    pub interval: Interval,
    /// Their confidence.
    pub confidence: f64,
    /// The curves, group by group; rows without a group have one too, which is not compared.
    pub curves: Vec<Curve>,
    /// Whether the groups survive alike.
    pub log_rank: Option<LogRank>,
}

/// The curve of a group.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Curve {
    /// The group; empty where there are no groups.
    pub name: String,
    /// Rows that have a time and an event.
    pub rows: u64,
    /// Rows that lack one of them.
    pub missing: u64,
    /// Events up to the last point of the grid.
    pub events: u64,
    /// Rows that are seen beyond the last point of the grid.
    pub beyond: u64,
    /// The first point at which the curve is at or below one half; none where it is not.
    pub median: Option<f64>,
    /// Where the intervals of the curve are there: the interval of the median. An end that is not reached is none.
    pub median_interval: [Option<f64>; 2],
    /// The curve at each point of the grid.
    pub points: Vec<Point>,
}

/// A curve at a point of the grid: of the times rounded up to the grid.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// The point, which ends an interval.
    pub time: f64,
    /// Rows at risk in the interval.
    pub at_risk: u64,
    /// Events in it.
    pub events: u64,
    /// Rows of which nothing is known beyond it.
    pub censored: u64,
    /// The share that survives it.
    pub survival: f64,
    /// Greenwood's standard error; none where nobody is left.
    pub std_error: Option<f64>,
    /// The interval; none where nobody is left.
    pub low: Option<f64>,
    /// The upper end of it.
    pub high: Option<f64>,
    /// The curve of the times as they are lies from here to `survival`.
    pub least: f64,
}

/// What counts on a grid say.
pub(super) fn survival(plan: &SurvivalPlan, grid: usize, counts: &[u64]) -> Survival {
    let settings = &plan.settings;
    let points = &settings.grids[grid];
    let exact = settings.on_grid && grid == 0;
    let groups: Vec<(Vec<Step>, &[u64])> = counts
        .chunks_exact(plan.cells(grid))
        .map(|cells| (steps(points.len(), cells), cells))
        .collect();
    let curves = plan.groups.iter().zip(&groups).map(|(name, (steps, cells))| {
        let estimates = curve::kaplan_meier(steps, settings.interval, settings.confidence);
        let of = |value: &dyn Fn(&curve::Estimate) -> Option<f64>| {
            curve::median(points, &estimates.iter().map(value).collect::<Vec<_>>())
        };
        let beyond = 2 * points.len();
        let drawn = points.iter().zip(steps).zip(&estimates);
        Curve {
            name: name.clone(),
            rows: cells[..=beyond].iter().sum(),
            missing: cells.get(beyond + 1).copied().unwrap_or(0),
            events: steps.iter().map(|step| step.events).sum(),
            beyond: cells[beyond],
            median: of(&|at| Some(at.survival)),
            median_interval: [
                of(&|at| at.interval.map(|(low, _)| low)),
                of(&|at| at.interval.map(|(_, high)| high)),
            ],
            points: drawn
                .map(|((&time, step), at)| Point {
                    time,
                    at_risk: step.at_risk,
                    events: step.events,
                    censored: step.censored,
                    survival: at.survival,
                    std_error: at.error,
                    low: at.interval.map(|(low, _)| low),
                    high: at.interval.map(|(_, high)| high),
                    least: if exact { at.survival } else { at.least },
                })
                .collect(),
        }
    });
    let curves = curves.collect();
    let compared: Vec<Vec<Step>> =
        groups[..plan.compared].iter().map(|(steps, _)| steps.clone()).collect();
    Survival {
        time: settings.time.clone(),
        event: [settings.event.clone(), settings.happened.clone()],
        group: settings.group.clone(),
        grid: points.clone(),
        coarsened: grid,
        exact,
        interval: settings.interval,
        confidence: settings.confidence,
        curves,
        log_rank: curve::log_rank(&compared),
    }
}

/// The rows at risk, from those that leave.
fn steps(points: usize, cells: &[u64]) -> Vec<Step> {
    let mut at_risk: u64 = cells[..=2 * points].iter().sum();
    let step = |leaving: &[u64]| {
        let step = Step { at_risk, events: leaving[0], censored: leaving[1] };
        at_risk -= leaving[0] + leaving[1];
        step
    };
    cells[..2 * points].chunks_exact(2).map(step).collect()
}
