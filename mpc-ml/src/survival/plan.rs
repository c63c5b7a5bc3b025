//! What is counted on which grid, and what of it may be revealed.

use mpc_core::correlations::Origin;
use mpc_core::protocols::threshold::{Gate, ThresholdRule};
use mpc_core::{Cost, Recipients};
use serde::{Deserialize, Serialize};

use super::curve::Interval;
use crate::counts;
use crate::data::{CategoricalMissing, FeatureKind, NumericMissing, Schema};
use crate::describe::joint_rows;
use crate::error::Error;
use crate::model::{Canonical, Figures, Output, Plan};

/// The output that says on which grid the counts may be released.
pub const WITHHELD: &str = "survival/withheld";
/// The output of all counts.
pub const COUNTS: &str = "survival/counts";

/// The version of the arithmetic.
const ARITHMETIC: u32 = 1;
/// The most points of a grid, and the most grids.
const MOST_POINTS: usize = 1000;
const MOST_GRIDS: usize = 16;
/// What the group of rows is called whose group is missing.
pub(super) const MISSING: &str = "(missing)";

/// What is to be estimated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SurvivalSettings {
    /// The numeric column of times: until the event, or until follow-up ended.
    pub time: String,
    /// The categorical column that says whether the event happened.
    pub event: String,
    /// The level of it that means that it did; all others mean that follow-up ended without it.
    pub happened: String,
    /// The categorical column by whose levels there is a curve each; none: one curve.
    pub group: Option<String>,
    /// The grids, each of growing times above 0; the one that is wanted most first, and each a part of the one
    /// before. The first without a small count is released.
    pub grids: Vec<Vec<f64>>,
    /// Whether all times up to the last point of the first grid are points of it. Other times are then refused, and
    /// curves on that grid are exact.
    #[serde(default)]
    pub on_grid: bool,
    /// The kind of the intervals.
    #[serde(default)]
    pub interval: Interval,
    /// Their confidence, between 0.5 and 0.9999.
    #[serde(default = "confidence")]
    pub confidence: f64,
    /// Which counts are too small to be released.
    #[serde(default)]
    pub threshold: ThresholdRule,
}

const fn confidence() -> f64 {
    0.95
}

/// A plan of survival curves: everything that follows from settings and public facts.
#[derive(Clone, Debug)]
pub struct SurvivalPlan {
    pub(super) settings: SurvivalSettings,
    /// Where in the schema the columns are.
    pub(super) time: usize,
    pub(super) event: usize,
    pub(super) group: Option<usize>,
    /// The level of the event that means that it happened.
    pub(super) happened: u32,
    /// The names of the groups; one without a name where there are none.
    pub(super) groups: Vec<String>,
    /// How many of them are compared: rows without a group are not.
    pub(super) compared: usize,
    /// Whether times, events may be missing.
    pub(super) missing: bool,
    pub(super) rows: Vec<u64>,
    /// Columns of a table, those that are not looked at too.
    pub(super) columns: usize,
    levels: Vec<String>,
    recipients: Recipients,
    origin: Origin,
    gate: Gate,
}

impl SurvivalPlan {
    /// Plans for parties with `rows[j]` rows each of the columns that are features of `schema`; its target is not
    /// looked at.
    ///
    /// # Errors
    /// [`Error::Field`] with the setting that does not fit, and what to do.
    pub fn new(
        settings: &SurvivalSettings,
        schema: &Schema,
        rows: &[u64],
        recipients: Recipients,
        origin: Origin,
    ) -> Result<Self, Error> {
        joint_rows(rows)?;
        check(settings)?;
        let time = place(schema, "time", &settings.time)?;
        let FeatureKind::Numeric(times) = &schema.features()[time].kind else {
            return Err(Error::field("time", "has to be a column of numbers"));
        };
        let (event, events) = words(schema, "event", &settings.event)?;
        let happened = events.levels.iter().position(|level| *level == settings.happened);
        let Some(happened) = happened.and_then(|at| u32::try_from(at).ok()) else {
            let rule =
                format!("is {:?}, which is no level of {}", settings.happened, settings.event);
            return Err(Error::field("happened", rule));
        };
        let group = settings.group.as_ref().map(|name| words(schema, "group", name)).transpose()?;
        let (group, groups, compared) = match group {
            None => (None, vec![String::new()], 1),
            Some((at, kind)) => {
                let known = kind.levels.len();
                let mut groups = kind.levels.clone();
                if kind.missing != CategoricalMissing::Refuse {
                    groups.push(MISSING.to_owned());
                }
                (Some(at), groups, known)
            }
        };
        if group == Some(event) {
            return Err(Error::field("group", "is the column of the event"));
        }
        let missing =
            times.missing != NumericMissing::Refuse || events.missing != CategoricalMissing::Refuse;
        let cells = |grid: &Vec<f64>| groups.len() * (2 * grid.len() + 1 + usize::from(missing));
        let families = settings.grids.iter().map(cells).collect();
        let gate = Gate::new(settings.threshold, rows.len(), families).map_err(|error| {
            Error::field("threshold", format!("or the grids do not fit: {error}"))
        })?;
        Ok(Self {
            settings: settings.clone(),
            time,
            event,
            group,
            happened,
            groups,
            compared,
            missing,
            rows: rows.to_vec(),
            columns: schema.features().len(),
            levels: events.levels.clone(),
            recipients,
            origin,
            gate,
        })
    }

    /// The test of the counts.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Counts of a group on this grid: of each interval the events, and the ends of follow-up without one; rows
    /// that are seen beyond it; missing ones.
    pub(super) fn cells(&self, grid: usize) -> usize {
        2 * self.settings.grids[grid].len() + 1 + usize::from(self.missing)
    }

    /// Why nothing was released, and what may be done about it.
    pub(super) fn withheld(&self) -> String {
        let rule = self.gate.rule();
        let (least, without) = (rule.least, counts::or_without_one(rule, "one"));
        format!(
            "on each of the grids a count of events, of rows whose follow-up ended or of missing ones{without} is \
             below the threshold of {least}, so nothing was released; which one it is nobody learns. Agree on \
             a coarser grid as a further one (a year, or only the ends of follow-up), on fewer groups, or on one curve"
        )
    }
}

fn check(settings: &SurvivalSettings) -> Result<(), Error> {
    let SurvivalSettings { grids, confidence, .. } = settings;
    if grids.is_empty() || grids.len() > MOST_GRIDS {
        let rule = format!("are {}, and must be 1 to {MOST_GRIDS}", grids.len());
        return Err(Error::field("grids", rule));
    }
    for (at, grid) in grids.iter().enumerate() {
        let field = format!("grids.{at}");
        if grid.is_empty() || grid.len() > MOST_POINTS {
            let rule = format!("has {} times, and must have 1 to {MOST_POINTS}", grid.len());
            return Err(Error::field(field, rule));
        }
        let above = grid.iter().all(|&time| time.is_finite() && time > 0.0);
        if !above || !grid.is_sorted_by(|a, b| a < b) {
            return Err(Error::field(field, "must be times above 0, the smaller first, each once"));
        }
        if let Some(finer) = at.checked_sub(1).map(|at| &grids[at])
            && (grid.len() >= finer.len() || !grid.iter().all(|time| finer.contains(time)))
        {
            let rule = "must be a part of the grid before it: some of its times, and not all";
            return Err(Error::field(field, rule));
        }
    }
    if !(0.5..=0.9999).contains(confidence) {
        let rule = format!("is {confidence}, and must be from 0.5 to 0.9999");
        return Err(Error::field("confidence", rule));
    }
    Ok(())
}

fn place(schema: &Schema, field: &str, name: &str) -> Result<usize, Error> {
    let found = schema.features().iter().position(|feature| feature.name == name);
    found.ok_or_else(|| Error::field(field, format!("names {name:?}, which is no column")))
}

fn words<'a>(
    schema: &'a Schema,
    field: &str,
    name: &str,
) -> Result<(usize, &'a crate::data::Categorical), Error> {
    let at = place(schema, field, name)?;
    match &schema.features()[at].kind {
        FeatureKind::Categorical(kind) => Ok((at, kind)),
        FeatureKind::Numeric(_) => {
            Err(Error::field(field, format!("names {name:?}, which has to be a column of words")))
        }
    }
}

impl Plan for SurvivalPlan {
    fn outputs(&self) -> Vec<Output> {
        let below = counts::below(self.gate.rule());
        let SurvivalSettings { time, event, happened, grids, .. } = &self.settings;
        let by =
            self.settings.group.as_ref().map_or(String::new(), |group| format!(", by {group}"));
        let points: Vec<String> = grids.iter().map(|grid| grid.len().to_string()).collect();
        vec![
            Output::figure(
                WITHHELD,
                format!(
                    "which of {} grids of times is the first without a count {below}",
                    grids.len()
                ),
                "the counts on a grid are released whole or not at all; that a finer one is not tells that \
                 it has some small count",
            ),
            Output::result(
                COUNTS,
                self.recipients,
                format!(
                    "in each of {} intervals of {time}, how often {event} is {happened} and how many rows end without, \
                     the rows beyond, and missing ones{by}",
                    points.join(" or ")
                ),
                "survival curves, medians and the log-rank test follow from them; no count is released before \
                 all were tested",
            ),
        ]
    }

    fn canonical(&self) -> Result<Canonical, Error> {
        let recipients: Vec<bool> =
            (0..self.rows.len()).map(|party| self.recipients.include(party)).collect();
        Canonical::new("survival", ARITHMETIC)
            .with(&self.settings)?
            .field("levels", &self.levels)?
            .field("groups", &self.groups)?
            .field("missing", &self.missing)?
            .field("rows", &self.rows)?
            .field("recipients", &recipients)?
            .field("origin", &self.origin)
    }

    /// On the finest grid.
    fn cost(&self, me: usize) -> Cost {
        let counts = 8 * (self.groups.len() * self.cells(0)) as u64;
        let gate = self.gate.cost(me).unwrap_or_default();
        gate + Cost::to_all(me, self.rows.len(), 1, counts).results(1)
    }

    fn figures(&self) -> Figures {
        Figures {
            precision: vec![
                "counts are exact; a curve is that of times rounded up to the grid".to_owned(),
            ],
            ..Figures::default()
        }
    }
}
