//! The result, from counts and sums of all parties together.

use serde::Serialize;

use super::kept::Kept;
use super::plan::{Column, DescribePlan, FRACTION, Kind};
use super::quartiles::Quartiles;
use super::stats::{self, Group, Sums, Test};

/// What the rows of all parties look like together.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Description {
    /// The column of the groups, where there are groups.
    pub group: Option<String>,
    /// The groups and their rows; one without a name where there are none.
    pub groups: Vec<(String, u64)>,
    /// The columns, in the order of the study.
    pub columns: Vec<Described>,
    /// Columns counted against each other.
    pub tables: Vec<Crossed>,
    /// The correlations of the numeric columns.
    pub correlations: Option<Correlation>,
    /// How many rows lie in which interval.
    pub histograms: Vec<Histogram>,
    /// Medians and quartiles.
    pub quartiles: Vec<Quartiles>,
    /// Columns of words with counts that are kept back, where no tables could be released.
    pub kept: Vec<Kept>,
    /// What was asked for and is not here, because of a small count.
    pub left_out: Vec<String>,
}

/// A column, described.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Described {
    /// A column of numbers.
    Measured(Measured),
    /// A column of levels.
    Categories(Categories),
}

/// A column of numbers, group by group.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// Its name.
    pub name: String,
    /// Of each group.
    pub groups: Vec<Moments>,
    /// Of all rows.
    pub all: Moments,
    /// Welch's test for two groups, analysis of variance for more; rows without a group take no part.
    pub test: Option<GroupTest>,
}

/// How many numbers there are, and where they lie.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Moments {
    /// Cells that are there.
    pub count: u64,
    /// Cells that are missing.
    pub missing: u64,
    /// The mean; none without numbers.
    pub mean: Option<f64>,
    /// The standard deviation; none with fewer than two.
    pub deviation: Option<f64>,
}

/// A test of whether groups differ.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupTest {
    /// Two means, and their difference in standard deviations (of the mean of both variances).
    Welch(Test, f64),
    /// More than two means.
    Anova(Test),
    /// Counts; with the p value of Fisher's exact test for two by two cells.
    ChiSquared(Test, Option<f64>),
}

/// A column of levels, group by group.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Categories {
    /// Its name.
    pub name: String,
    /// Its levels.
    pub levels: Vec<String>,
    /// For each group, the counts of the levels.
    pub counts: Vec<Vec<u64>>,
    /// For each group, missing cells.
    pub missing: Vec<u64>,
    /// Whether the groups differ; rows without a group and missing cells take no part.
    pub test: Option<GroupTest>,
}

/// Two columns of levels, counted against each other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Crossed {
    /// The names of both.
    pub names: [String; 2],
    /// The levels of both, missing cells last.
    pub levels: [Vec<String>; 2],
    /// The counts, for each level of the first.
    pub counts: Vec<Vec<u64>>,
    /// Whether both are independent; missing cells take no part.
    pub test: Option<GroupTest>,
}

/// Correlations over the rows that have all numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Correlation {
    /// The columns.
    pub names: Vec<String>,
    /// Rows that have all numbers, and other rows.
    pub rows: (u64, u64),
    /// The matrix, row by row; not a number where a column does not vary.
    pub matrix: Vec<Vec<f64>>,
}

/// How many rows lie in intervals of the same width.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Histogram {
    /// The column.
    pub name: String,
    /// The ends of the intervals: one more than there are of them. Each has its lower end, and the last one both.
    pub ends: Vec<f64>,
    /// The rows in each.
    pub counts: Vec<u64>,
}

impl Histogram {
    /// The interval in which the smallest number lies that at least this share of all numbers does not exceed; none
    /// without numbers.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<(f64, f64)> {
        let total: u64 = self.counts.iter().sum();
        let due = (share.clamp(0.0, 1.0) * total as f64).max(f64::MIN_POSITIVE);
        let mut below = 0u64;
        let place = self.counts.iter().position(|count| {
            below += count;
            below as f64 >= due
        })?;
        Some((self.ends[place], self.ends[place + 1]))
    }
}

/// Takes numbers off a list.
struct Reader<'a, T>(&'a [T]);

impl<'a, T> Reader<'a, T> {
    fn take(&mut self, count: usize) -> &'a [T] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

/// What counts and sums of a version say.
pub(super) fn description(
    plan: &DescribePlan,
    version: usize,
    counts: &[u64],
    sums: &[i128],
) -> Description {
    let (columns, wanted) = (&plan.columns, &plan.versions[0]);
    let of = &plan.versions[version];
    let (mut counts, mut sums) = (Reader(counts), Reader(sums));
    let groups = of.groups(columns);
    let names = of.group.map_or_else(|| vec![String::new()], |group| columns[group].cells());
    // Rows without a group are not compared.
    let known = groups - usize::from(of.group.is_some_and(|group| columns[group].missing));
    let rows = counts.take(groups);
    let cells: Vec<(usize, Vec<&[u64]>)> = of
        .described(columns)
        .map(|(at, column)| {
            let levels = column.cells().len();
            (at, (0..groups).map(|_| counts.take(levels)).collect())
        })
        .collect();
    let tables = of.tables.iter().map(|&(a, b)| {
        let (rows, across) = (&columns[a], &columns[b]);
        let table: Vec<Vec<u64>> =
            (0..rows.cells().len()).map(|_| counts.take(across.cells().len()).to_vec()).collect();
        crossed(rows, across, table)
    });
    let tables = tables.collect();
    let described = cells.into_iter().map(|(at, cells)| {
        let column = &columns[at];
        match &column.kind {
            Kind::Levels(levels) => categories(column, levels, &cells, known),
            Kind::Numeric { low, high } => {
                let half = (high - low) / 2.0;
                let sums: Vec<(i128, i128)> =
                    sums.take(2 * groups).chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
                measured(column, (low + half, half), (&cells, &sums), known)
            }
        }
    });
    let described = described.collect();
    let correlations = of.correlations.then(|| {
        let numeric = plan.numeric();
        let names: Vec<String> = numeric.iter().map(|column| column.name.clone()).collect();
        let both = counts.take(2);
        // Those that lack another number: they were tested, and say nothing new.
        counts.take(names.len());
        let own = sums.take(names.len());
        let mut matrix = vec![vec![f64::NAN; names.len()]; names.len()];
        for i in 0..names.len() {
            for (j, &products) in (i..names.len()).zip(sums.take(names.len() - i)) {
                matrix[i][j] = stats::products_about_means(both[0], (own[i], own[j]), products);
            }
        }
        let spread: Vec<f64> = (0..names.len()).map(|i| matrix[i][i].sqrt()).collect();
        for i in 0..names.len() {
            for j in i..names.len() {
                let r = matrix[i][j] / (spread[i] * spread[j]);
                let r = if i == j && r.is_finite() { 1.0 } else { r.clamp(-1.0, 1.0) };
                (matrix[i][j], matrix[j][i]) = (r, r);
            }
        }
        Correlation { names, rows: (both[0], both[1]), matrix }
    });
    let histograms = of.histograms.iter().map(|&(at, intervals)| {
        let counts = counts.take(intervals as usize).to_vec();
        let end = |place: u32| match &columns[at].kind {
            Kind::Numeric { low, high } => {
                low + (high - low) * f64::from(place) / f64::from(intervals)
            }
            Kind::Levels(_) => f64::NAN,
        };
        let name = columns[at].name.clone();
        Histogram { name, ends: (0..=intervals).map(end).collect(), counts }
    });
    let histograms = histograms.collect();
    let mut left_out = Vec::new();
    if of.histograms != wanted.histograms {
        left_out.push("histograms".to_owned());
    }
    if of.group != wanted.group {
        left_out.extend(wanted.group.map(|group| format!("groups by {}", columns[group].name)));
    }
    if of.tables != wanted.tables {
        left_out.push("tables of two columns".to_owned());
    }
    if of.correlations != wanted.correlations {
        left_out.push("correlations".to_owned());
    }
    Description {
        group: of.group.map(|group| columns[group].name.clone()),
        groups: names.into_iter().zip(rows.iter().copied()).collect(),
        columns: described,
        tables,
        correlations,
        histograms,
        quartiles: Vec::new(),
        kept: Vec::new(),
        left_out,
    }
}

fn tested(table: &[Vec<u64>]) -> Option<GroupTest> {
    stats::chi_squared(table).map(|test| GroupTest::ChiSquared(test, stats::fisher(table)))
}

fn categories(column: &Column, levels: &[String], cells: &[&[u64]], known: usize) -> Described {
    let counts: Vec<Vec<u64>> = cells.iter().map(|cells| cells[..levels.len()].to_vec()).collect();
    let missing = cells.iter().map(|cells| cells.get(levels.len()).copied().unwrap_or(0)).collect();
    Described::Categories(Categories {
        name: column.name.clone(),
        levels: levels.to_vec(),
        test: tested(&counts[..known]),
        counts,
        missing,
    })
}

fn measured(
    column: &Column,
    (middle, half): (f64, f64),
    (cells, sums): (&[&[u64]], &[(i128, i128)]),
    known: usize,
) -> Described {
    let unit = half * libm::ldexp(1.0, -FRACTION);
    let moments = |count: u64, missing: u64, (sum, squares): (i128, i128)| {
        let about = stats::about_mean(Sums { count, sum, squares });
        let group = about.map(|(mean, squares)| Group {
            count,
            mean: middle + mean * unit,
            squares: squares * unit * unit,
        });
        let mean = group.map(|group| group.mean);
        let deviation = group.filter(|_| count > 1).map(|group| group.variance().sqrt());
        (Moments { count, missing, mean, deviation }, group)
    };
    let missing = |cells: &[u64]| cells.get(1).copied().unwrap_or(0);
    let each: Vec<(Moments, Option<Group>)> = cells
        .iter()
        .zip(sums)
        .map(|(cells, &sums)| moments(cells[0], missing(cells), sums))
        .collect();
    let total = |of: &dyn Fn(&[u64]) -> u64| cells.iter().map(|cells| of(cells)).sum();
    let joint = sums.iter().fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
    let (all, _) = moments(total(&|cells| cells[0]), total(&|cells| missing(cells)), joint);
    let groups: Vec<Group> = each[..known].iter().filter_map(|(_, group)| *group).collect();
    let test = match groups.as_slice() {
        [a, b] => stats::welch(*a, *b).map(|test| {
            let spread = ((a.variance() + b.variance()) / 2.0).sqrt();
            GroupTest::Welch(test, (a.mean - b.mean) / spread)
        }),
        groups => stats::anova(groups).map(GroupTest::Anova),
    };
    let groups = each.into_iter().map(|(moments, _)| moments).collect();
    Described::Measured(Measured { name: column.name.clone(), groups, all, test })
}

fn crossed(rows: &Column, across: &Column, counts: Vec<Vec<u64>>) -> Crossed {
    let levels = [rows.cells(), across.cells()];
    let known = [rows, across].map(|of| of.cells().len() - usize::from(of.missing));
    let table: Vec<Vec<u64>> =
        counts[..known[0]].iter().map(|row| row[..known[1]].to_vec()).collect();
    let names = [rows.name.clone(), across.name.clone()];
    Crossed { names, levels, test: tested(&table), counts }
}
