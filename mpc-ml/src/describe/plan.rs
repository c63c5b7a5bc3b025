//! What is counted and summed, in which order, and what of it may be revealed.

use mpc_core::Recipients;
use mpc_core::correlations::Origin;
use mpc_core::protocols::threshold::{Gate, ThresholdRule};
use serde::{Deserialize, Serialize};

use super::{kept, quartiles};
use crate::counts;
use crate::data::{CategoricalMissing, FeatureKind, NumericMissing, Schema};
use crate::error::Error;

/// The output that says which tables may be released.
pub const WITHHELD: &str = "describe/withheld";
/// The output of all counts.
pub const COUNTS: &str = "describe/counts";
/// The output of all sums.
pub const SUMS: &str = "describe/sums";

/// Numbers are integers of so many bits within their ranges: exact to 2^-40 of the half of a range.
pub(super) const FRACTION: i32 = 40;
/// What a group of rows whose group is missing is called, and a level of cells that are missing.
pub(super) const MISSING: &str = "(missing)";

/// What is to be described.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DescribeSettings {
    /// The categorical column by whose levels all others are described; none: all rows together.
    pub group: Option<String>,
    /// Pairs of categorical columns that are counted against each other.
    pub tables: Vec<(String, String)>,
    /// Whether the correlations of the numeric columns are computed, over the rows that have all of them.
    pub correlations: bool,
    /// Numeric columns, and into how many intervals of the same width their ranges are cut, from 2 to 1,000: how
    /// many rows lie in each.
    pub histograms: Vec<(String, u32)>,
    /// Numeric columns of which medians and quartiles are found, group by group, and to which step: they are told
    /// as intervals of this width, or of a larger one where fewer numbers lie in it than may be told.
    pub quartiles: Vec<(String, f64)>,
    /// Whether single columns of words are told with small counts kept back, where none of the tables may be released.
    pub keep_back: bool,
    /// Which counts are too small to be released.
    pub threshold: ThresholdRule,
}

/// A column as it is described.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Column {
    pub(super) name: String,
    /// Where in the schema.
    pub(super) at: usize,
    /// Whether cells may be missing.
    pub(super) missing: bool,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) enum Kind {
    Numeric { low: f64, high: f64 },
    Levels(Vec<String>),
}

impl Column {
    /// What rows are counted as: its levels, and missing ones.
    pub(super) fn cells(&self) -> Vec<String> {
        let mut cells = match &self.kind {
            Kind::Numeric { .. } => vec!["present".to_owned()],
            Kind::Levels(levels) => levels.clone(),
        };
        if self.missing {
            cells.push(MISSING.to_owned());
        }
        cells
    }

    pub(super) fn is_numeric(&self) -> bool {
        matches!(self.kind, Kind::Numeric { .. })
    }
}

/// Which tables are released together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Version {
    /// The column of the groups.
    pub(super) group: Option<usize>,
    /// Pairs of columns.
    pub(super) tables: Vec<(usize, usize)>,
    pub(super) correlations: bool,
    /// Columns and their intervals.
    pub(super) histograms: Vec<(usize, u32)>,
}

/// A plan to describe: everything that follows from settings and public facts.
#[derive(Clone, Debug)]
pub struct DescribePlan {
    pub(super) settings: DescribeSettings,
    pub(super) columns: Vec<Column>,
    /// What is tried, the first that may be is released.
    pub(super) versions: Vec<Version>,
    /// Columns, their steps, and how often their ranges are halved.
    pub(super) quartiles: Vec<(usize, f64, u32)>,
    pub(super) rows: Vec<u64>,
    pub(super) recipients: Recipients,
    pub(super) origin: Origin,
    pub(super) gate: Gate,
}

impl DescribePlan {
    /// Plans for parties with `rows[j]` rows each of the columns that are features of `schema`; its target
    /// is not looked at. A numeric column needs a range.
    ///
    /// # Errors
    /// [`Error::Field`] with the setting or the feature that does not fit, and what to do.
    pub fn new(
        settings: &DescribeSettings,
        schema: &Schema,
        rows: &[u64],
        recipients: Recipients,
        origin: Origin,
    ) -> Result<Self, Error> {
        joint_rows(rows)?;
        let columns = columns(schema)?;
        let versions = versions(settings, &columns)?;
        let cells = versions.iter().map(|version| version.cells(&columns)).collect();
        let gate = Gate::new(settings.threshold, rows.len(), cells).map_err(|error| {
            Error::field("threshold", format!("or the tables do not fit: {error}"))
        })?;
        let quartiles = halved(settings, &columns)?;
        let plan = Self {
            settings: settings.clone(),
            columns,
            versions,
            quartiles,
            rows: rows.to_vec(),
            recipients,
            origin,
            gate,
        };
        kept::suppression(&plan)?;
        for version in &plan.versions {
            let of = quartiles::bisection(&plan, version, settings.threshold);
            of.map_err(|error| Error::field("quartiles", format!("do not fit: {error}")))?;
        }
        Ok(plan)
    }

    /// The test of the counts.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Why nothing was released, and what may be done about it.
    pub(super) fn withheld(&self) -> String {
        let rule = self.gate.rule();
        let (least, without) = (rule.least, counts::or_without_one(rule, "one"));
        format!(
            "a count of these tables{without} is below the threshold of {least}, so nothing of them was \
             released; which one it is nobody learns. Merge rare levels, leave out columns with few missing \
             cells or rare levels, or describe fewer columns in one study"
        )
    }

    pub(super) fn numeric(&self) -> Vec<&Column> {
        self.columns.iter().filter(|column| column.is_numeric()).collect()
    }
}

/// Refuses too few parties, and more rows than counts and sums have place for.
pub(crate) fn joint_rows(rows: &[u64]) -> Result<(), Error> {
    if rows.len() < 2 {
        return Err(Error::field("parties", "are too few: a joint study has at least two parties"));
    }
    let total = rows.iter().try_fold(0u64, |sum, &rows| sum.checked_add(rows));
    if total.is_none_or(|total| !(1..=1_000_000_000).contains(&total)) {
        return Err(Error::field("rows", "of all parties must be from 1 to 10^9"));
    }
    Ok(())
}

fn columns(schema: &Schema) -> Result<Vec<Column>, Error> {
    let mut columns = Vec::with_capacity(schema.features().len());
    for (at, feature) in schema.features().iter().enumerate() {
        let (missing, kind) = match &feature.kind {
            FeatureKind::Numeric(numeric) => {
                let field = format!("features.{at}.range");
                let (low, high) = numeric.range.ok_or_else(|| {
                    Error::field(
                        &field,
                        "is missing: sums are kept safe for numbers up to its ends",
                    )
                })?;
                let half = (high - low) / 2.0;
                if !(half.is_finite() && half > 0.0) {
                    return Err(Error::field(field, "has to have two ends that are apart"));
                }
                let kind = Kind::Numeric { low, high };
                (numeric.missing != NumericMissing::Refuse, kind)
            }
            FeatureKind::Categorical(it) => {
                (it.missing != CategoricalMissing::Refuse, Kind::Levels(it.levels.clone()))
            }
        };
        columns.push(Column { name: feature.name.clone(), at, missing, kind });
    }
    if columns.is_empty() {
        return Err(Error::field("features", "are missing: a description has at least one column"));
    }
    Ok(columns)
}

/// A categorical column by its name.
fn levels(columns: &[Column], field: &str, name: &str) -> Result<usize, Error> {
    let found = columns.iter().position(|column| column.name == name && !column.is_numeric());
    found.ok_or_else(|| {
        Error::field(field, format!("names {name:?}, which is no categorical feature"))
    })
}

/// The chain: all that is wanted; without histograms; without groups; without tables of two columns and
/// correlations.
fn versions(settings: &DescribeSettings, columns: &[Column]) -> Result<Vec<Version>, Error> {
    let group = settings.group.as_ref().map(|name| levels(columns, "group", name)).transpose()?;
    let mut tables = Vec::new();
    for (at, (rows, across)) in settings.tables.iter().enumerate() {
        let field = format!("tables.{at}");
        let pair = (levels(columns, &field, rows)?, levels(columns, &field, across)?);
        if pair.0 == pair.1 {
            return Err(Error::field(field, "counts a column against itself"));
        }
        tables.push(pair);
    }
    let numeric = columns.iter().filter(|column| column.is_numeric()).count();
    if settings.correlations && numeric < 2 {
        return Err(Error::field("correlations", "need two numeric features at least"));
    }
    let mut histograms = Vec::new();
    for (at, (name, intervals)) in settings.histograms.iter().enumerate() {
        let field = format!("histograms.{at}");
        let found = columns.iter().position(|column| column.name == *name && column.is_numeric());
        let Some(column) = found else {
            return Err(Error::field(
                field,
                format!("names {name:?}, which is no numeric feature"),
            ));
        };
        if !(2..=1000).contains(intervals) {
            return Err(Error::field(
                field,
                format!("has {intervals} intervals, and must have 2 to 1000"),
            ));
        }
        histograms.push((column, *intervals));
    }
    let all = Version { group, tables, correlations: settings.correlations, histograms };
    let plain = Version { histograms: Vec::new(), ..all.clone() };
    let mut versions = vec![all, plain.clone(), Version { group: None, ..plain.clone() }];
    versions.push(Version { group: None, tables: Vec::new(), correlations: false, ..plain });
    versions.dedup();
    Ok(versions)
}

/// The columns of which quartiles are found.
fn halved(
    settings: &DescribeSettings,
    columns: &[Column],
) -> Result<Vec<(usize, f64, u32)>, Error> {
    let mut out: Vec<(usize, f64, u32)> = Vec::new();
    for (at, (name, step)) in settings.quartiles.iter().enumerate() {
        let field = format!("quartiles.{at}");
        let found = columns.iter().position(|column| column.name == *name);
        let Some((place, Kind::Numeric { low, high })) =
            found.map(|place| (place, &columns[place].kind))
        else {
            return Err(Error::field(
                field,
                format!("names {name:?}, which is no numeric feature"),
            ));
        };
        if out.iter().any(|before| before.0 == place) {
            return Err(Error::field(field, format!("names {name:?} a second time")));
        }
        let Some(levels) = quartiles::levels((*low, *high), *step) else {
            let rule =
                format!("has a step of {step}: above 0, and at least a 16-millionth of the range");
            return Err(Error::field(field, rule));
        };
        out.push((place, *step, levels));
    }
    Ok(out)
}

impl Version {
    /// How many groups there are.
    pub(super) fn groups(&self, columns: &[Column]) -> usize {
        self.group.map_or(1, |group| columns[group].cells().len())
    }

    /// The columns that are described by groups.
    pub(super) fn described<'a>(
        &self,
        columns: &'a [Column],
    ) -> impl Iterator<Item = (usize, &'a Column)> + use<'a> {
        let group = self.group;
        columns.iter().enumerate().filter(move |(at, _)| group != Some(*at))
    }

    /// The counts of this version: of the groups; for each column and group its cells; for each table its cells; of
    /// complete and other rows, and for each numeric column those that have it and are not complete; of intervals.
    pub(super) fn cells(&self, columns: &[Column]) -> usize {
        let groups = self.groups(columns);
        let described: usize =
            self.described(columns).map(|(_, it)| groups * it.cells().len()).sum();
        let crossed: usize = self
            .tables
            .iter()
            .map(|&(a, b)| columns[a].cells().len() * columns[b].cells().len())
            .sum();
        let numeric = columns.iter().filter(|column| column.is_numeric()).count();
        let intervals: usize =
            self.histograms.iter().map(|&(_, intervals)| intervals as usize).sum();
        groups + described + crossed + intervals + if self.correlations { 2 + numeric } else { 0 }
    }

    /// The sums: for each numeric column and group of the numbers and their squares; of complete rows for
    /// each numeric column, and for each pair of them (a column with itself too) of the products.
    pub(super) fn sums(&self, columns: &[Column]) -> usize {
        let numeric = columns.iter().filter(|column| column.is_numeric()).count();
        let pairs = numeric + numeric * (numeric + 1) / 2;
        2 * self.groups(columns) * numeric + if self.correlations { pairs } else { 0 }
    }
}
