//! What is counted and summed, and how much noise each figure has (docs/protocols.md 16.9).

use std::collections::BTreeMap;

use mpc_core::noise::DiscreteGaussian;
use mpc_core::{Cost, Recipients};
use serde::{Deserialize, Serialize};

use super::super::plan::joint_rows;
use crate::data::{CategoricalMissing, FeatureKind, NumericMissing, Schema};
use crate::error::Error;
use crate::model::{Canonical, Figures, Output, Plan};
use crate::privacy::{Guarantee, Neighbours};

/// The output: all figures, each with noise.
pub const NOISY: &str = "noisy tables";
/// The version of the arithmetic.
const ARITHMETIC: u32 = 1;
/// Units in half of a range: what is summed of a number is an integer.
pub(super) const UNIT: u64 = 1 << 20;
/// The most figures.
const MOST_VALUES: usize = 100_000;
/// The most parts.
const MOST_PARTS: usize = 200;
/// Ninety-five of a hundred normal numbers are within so many deviations.
pub(super) const WITHIN: f64 = 1.96;
/// What missing cells are counted as.
const MISSING: &str = "(missing)";

/// What is to be told with noise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoisySettings {
    /// What is promised.
    pub privacy: Guarantee,
    /// The column of words by whose levels all others are told; none: all rows together.
    #[serde(default)]
    pub group: Option<String>,
    /// Pairs of columns of words that are counted against each other.
    #[serde(default)]
    pub tables: Vec<(String, String)>,
    /// Columns of numbers, and into how many intervals of the same width their ranges are cut, from 2 to 1,000: how
    /// many rows lie in each, and between which ends median and quartiles lie.
    #[serde(default)]
    pub histograms: Vec<(String, u32)>,
    /// Columns of numbers of which mean and standard deviation are told.
    #[serde(default)]
    pub means: Vec<String>,
    /// To what the numbers of each column of numbers are cut, as is known without these data.
    #[serde(default)]
    pub ranges: BTreeMap<String, (f64, f64)>,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Column {
    pub(super) name: String,
    /// Of words: the levels. None: numbers.
    pub(super) levels: Option<Vec<String>>,
    /// Of numbers: what they are cut to.
    pub(super) range: (f64, f64),
    /// Whether cells may be missing.
    pub(super) missing: bool,
}

impl Column {
    /// What rows are counted as, missing ones last.
    pub(super) fn cells(&self) -> Vec<String> {
        let mut cells = self.levels.clone().unwrap_or_else(|| vec!["present".to_owned()]);
        cells.extend(self.missing.then(|| MISSING.to_owned()));
        cells
    }

    pub(super) fn size(&self) -> usize {
        self.levels.as_ref().map_or(1, Vec::len) + usize::from(self.missing)
    }
}

/// Figures to which a row adds something of a bounded length, and their noise.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Part {
    pub(super) what: What,
    /// How many.
    pub(super) values: usize,
    /// sigma^2 of each party's noise in each of them.
    pub(super) sigma_squared: u128,
}

/// What the figures of a part are; columns by their places. Those of groups stand group by group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum What {
    /// Rows by the cells of a column, or of two, the second one's beside each other.
    Cells(usize, Option<usize>),
    /// Rows by group and interval of a column, missing cells last.
    Intervals(usize, u32),
    /// By group, the sum of a column's numbers from -1 to 1, in units.
    Sums(usize),
    /// By group, the sum of their squares.
    Squares(usize),
}

impl What {
    /// Whether both are the same figures, if in another order.
    fn is(self, other: Self) -> bool {
        match (self, other) {
            (Self::Cells(a, Some(b)), Self::Cells(c, Some(d))) => {
                (a, b) == (c, d) || (a, b) == (d, c)
            }
            _ => self == other,
        }
    }
}

/// A plan of tables with noise: everything that follows from settings and public facts.
#[derive(Clone, Debug)]
pub struct NoisyPlan {
    pub(super) settings: NoisySettings,
    pub(super) columns: Vec<Column>,
    pub(super) group: Option<usize>,
    pub(super) parts: Vec<Part>,
    pub(super) rows: Vec<u64>,
    recipients: Recipients,
}

impl NoisyPlan {
    /// Plans for parties with `rows[j]` rows each of the columns that are features of `schema`; its target is not
    /// looked at.
    ///
    /// # Errors
    /// [`Error::Field`] with the setting or the feature that does not fit, and what to do.
    pub fn new(
        settings: &NoisySettings,
        schema: &Schema,
        rows: &[u64],
        recipients: Recipients,
    ) -> Result<Self, Error> {
        settings.privacy.validate()?;
        joint_rows(rows)?;
        let all: u64 = rows.iter().sum();
        settings.privacy.suits(all)?;
        let columns = columns(settings, schema)?;
        let find = |field: &str, name: &str, words: bool| {
            let found =
                columns.iter().position(|it| it.name == name && it.levels.is_some() == words);
            found.ok_or_else(|| {
                let kind = if words { "words" } else { "numbers" };
                Error::field(field, format!("names {name:?}, which is no column of {kind}"))
            })
        };
        let group = settings.group.as_ref().map(|name| find("group", name, true)).transpose()?;
        let groups = group.map_or(1, |group| columns[group].size());
        let mut whats = Vec::new();
        whats.extend(group.map(|group| What::Cells(group, None)));
        for (at, _) in columns.iter().enumerate().filter(|(_, it)| it.levels.is_some()) {
            match group {
                Some(group) if group == at => {}
                Some(group) => whats.push(What::Cells(group, Some(at))),
                None => whats.push(What::Cells(at, None)),
            }
        }
        for (a, b) in &settings.tables {
            let (a, b) = (find("tables", a, true)?, find("tables", b, true)?);
            if a == b {
                let rule = format!("count {:?} against itself", columns[a].name);
                return Err(Error::field("tables", rule));
            }
            whats.push(What::Cells(a, Some(b)));
        }
        for (name, intervals) in &settings.histograms {
            if !(2..=1000).contains(intervals) {
                let rule =
                    format!("cut {name:?} into {intervals} intervals: from 2 to 1000 may be");
                return Err(Error::field("histograms", rule));
            }
            whats.push(What::Intervals(find("histograms", name, false)?, *intervals));
        }
        for name in &settings.means {
            let at = find("means", name, false)?;
            // Of how many numbers: of all rows where none are missing and there are no groups.
            let counted = match group {
                None if !columns[at].missing => None,
                None => Some(What::Cells(at, None)),
                Some(_) if !columns[at].missing => None,
                Some(group) => Some(What::Cells(group, Some(at))),
            };
            whats.extend(counted);
            whats.extend([What::Sums(at), What::Squares(at)]);
        }
        if let Some(twice) =
            (1..whats.len()).find(|at| whats[..*at].iter().any(|it| it.is(whats[*at])))
        {
            let rule = format!(
                "are asked for twice ({}), which would only add noise: name each once",
                what_of(&columns, group, whats[twice])
            );
            return Err(Error::field("tables", rule));
        }
        for (at, column) in columns.iter().enumerate().filter(|(_, it)| it.levels.is_none()) {
            let used =
                |what: &What| matches!(what, What::Intervals(of, _) | What::Sums(of) if *of == at);
            if !whats.iter().any(used) {
                let rule = format!(
                    "has {:?}, of which nothing is asked: name it in `histograms` or `means`, or leave it out",
                    column.name
                );
                return Err(Error::field("columns", rule));
            }
        }
        let size = |what: &What| match *what {
            What::Cells(a, None) => columns[a].size(),
            What::Cells(a, Some(b)) => columns[a].size() * columns[b].size(),
            What::Intervals(at, intervals) => {
                groups * (intervals as usize + usize::from(columns[at].missing))
            }
            What::Sums(_) | What::Squares(_) => groups,
        };
        let values: usize = whats.iter().map(size).sum();
        if whats.is_empty() || whats.len() > MOST_PARTS || values > MOST_VALUES {
            let rule = format!(
                "give {} tables of {values} figures: from 1 to {MOST_PARTS} of {MOST_VALUES} may be",
                whats.len()
            );
            return Err(Error::field("columns", rule));
        }
        let each = settings.privacy.rho()?.part(whats.len() as u64);
        let part = |what: What| -> Result<Part, Error> {
            let sigma_squared = each.noise(moved_squared(&settings.privacy, what))?;
            let sigma_squared = DiscreteGaussian::at_least(sigma_squared)?.parameter();
            Ok(Part { what, values: size(&what), sigma_squared })
        };
        let parts = whats.into_iter().map(part).collect::<Result<Vec<_>, _>>()?;
        let plan = Self {
            settings: settings.clone(),
            columns,
            group,
            parts,
            rows: rows.to_vec(),
            recipients,
        };
        // No sum leaves 64 bits: sixty-four deviations are never seen.
        let most = all as f64 * UNIT as f64;
        if plan.parts.iter().any(|part| most + 64.0 * plan.deviation(part) > libm::ldexp(1.0, 62)) {
            return Err(Error::field("rows", "are too many: sums of them do not fit 64 bits"));
        }
        Ok(plan)
    }

    /// The standard deviation of the noise of all parties in each figure of a part.
    pub(super) fn deviation(&self, part: &Part) -> f64 {
        libm::sqrt(part.sigma_squared as f64 * self.rows.len() as f64)
    }

    /// What each party adds to the figures, in their order.
    pub(super) fn laws(&self) -> Result<Vec<(usize, DiscreteGaussian)>, Error> {
        let law = |part: &Part| Ok((part.values, DiscreteGaussian::at_least(part.sigma_squared)?));
        self.parts.iter().map(law).collect()
    }

    pub(super) fn groups(&self) -> Vec<String> {
        self.group.map_or_else(|| vec!["all".to_owned()], |group| self.columns[group].cells())
    }

    /// What a part is, for people.
    pub(super) fn name(&self, part: &Part) -> String {
        what_of(&self.columns, self.group, part.what)
    }
}

/// The least h so that a count with this deviation is off by at most h in 95 of 100.
pub(super) fn half_width(deviation: f64) -> u64 {
    libm::ceil(WITHIN * deviation) as u64
}

/// How far a part may move between neighbours, squared. A row is in one cell of each table: without it that cell has one
/// row less; with another in its place a second cell has one more.
fn moved_squared(guarantee: &Guarantee, what: What) -> u128 {
    let persons = u128::from(guarantee.persons);
    let replace = guarantee.neighbours == Neighbours::Replace;
    let each = match (what, replace) {
        (What::Cells(..) | What::Intervals(..), false) => 1,
        (What::Cells(..) | What::Intervals(..), true) => 2,
        (What::Sums(_) | What::Squares(_), false) => u128::from(UNIT).pow(2),
        // From one end of the range to the other; squares are never negative.
        (What::Sums(_), true) => 4 * u128::from(UNIT).pow(2),
        (What::Squares(_), true) => 2 * u128::from(UNIT).pow(2),
    };
    persons * persons * each
}

fn what_of(columns: &[Column], group: Option<usize>, what: What) -> String {
    let by = group.map_or(String::new(), |group| format!(" by {}", columns[group].name));
    match what {
        What::Cells(a, None) => columns[a].name.clone(),
        What::Cells(a, Some(b)) => format!("{} by {}", columns[b].name, columns[a].name),
        What::Intervals(at, intervals) => {
            format!("{intervals} intervals of {}{by}", columns[at].name)
        }
        What::Sums(at) => format!("the sum of {}{by}", columns[at].name),
        What::Squares(at) => format!("the sum of squares of {}{by}", columns[at].name),
    }
}

fn columns(settings: &NoisySettings, schema: &Schema) -> Result<Vec<Column>, Error> {
    let column = |feature: &crate::data::Feature| {
        let name = feature.name.clone();
        match &feature.kind {
            FeatureKind::Numeric(numeric) => {
                let given = settings.ranges.get(&name).copied();
                let range =
                    given.filter(|(low, high)| ((high - low) / 2.0).is_finite() && high > low);
                let range = range.ok_or_else(|| {
                    let rule = format!(
                        "has to give two ends for {name:?}, the lower first, to which its numbers are cut"
                    );
                    Error::field("ranges", rule)
                })?;
                let missing = numeric.missing != NumericMissing::Refuse;
                Ok(Column { name, levels: None, range, missing })
            }
            FeatureKind::Categorical(it) => {
                let missing = it.missing != CategoricalMissing::Refuse;
                let levels = Some(it.levels.clone());
                Ok(Column { name, levels, range: (0.0, 0.0), missing })
            }
        }
    };
    schema.features().iter().map(column).collect()
}

impl Plan for NoisyPlan {
    fn outputs(&self) -> Vec<Output> {
        let names: Vec<String> = self.parts.iter().map(|part| self.name(part)).collect();
        vec![Output::result(
            NOISY,
            self.recipients,
            format!("with noise of every party in each figure: rows of {}", names.join(", ")),
            self.settings.privacy.in_words(),
        )]
    }

    fn canonical(&self) -> Result<Canonical, Error> {
        let recipients: Vec<bool> =
            (0..self.rows.len()).map(|party| self.recipients.include(party)).collect();
        Canonical::new("noisy tables", ARITHMETIC)
            .with(&self.settings)?
            .field("columns", &self.columns)?
            .field("rows", &self.rows)?
            .field("parts", &self.parts)?
            .field("recipients", &recipients)
    }

    fn cost(&self, me: usize) -> Cost {
        let values: usize = self.parts.iter().map(|part| part.values).sum();
        Cost::to_all(me, self.rows.len(), 1, 8 * values as u64).results(1)
    }

    fn figures(&self) -> Figures {
        Figures { precision: self.in_words(), ..Figures::default() }
    }
}
