//! What follows from the noisy figures: a function of what is revealed anyway.

use serde::Serialize;

use super::plan::{NoisyPlan, Part, UNIT, WITHIN, What, half_width};
use super::scores::{Separation, separation};

/// Tables with noise in each figure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NoisyTables {
    /// What is promised to whoever is in the rows.
    pub promise: String,
    /// What the noise does to the figures.
    pub noise: Vec<String>,
    /// The rows of all parties, which are public: without noise.
    pub rows: u64,
    /// The column by whose levels the others are told.
    pub group: Option<String>,
    /// Counts.
    pub tables: Vec<NoisyTable>,
    /// How many rows lie in which interval, by group.
    pub histograms: Vec<NoisyHistogram>,
    /// Means and deviations, by group.
    pub means: Vec<NoisyMeans>,
}

/// Rows by the levels of a column, or of two. A count may be below 0: then there are few such rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NoisyTable {
    /// The names of the columns.
    pub names: Vec<String>,
    /// The levels of each, missing cells last.
    pub levels: Vec<Vec<String>>,
    /// The counts, for each level of the first column those of the second.
    pub counts: Vec<Vec<i64>>,
    /// The deviation of the noise in each count.
    pub deviation: f64,
    /// In 95 of 100 a count is off by no more.
    pub within: u64,
}

/// Rows by intervals of a column, group by group.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NoisyHistogram {
    /// The name of the column.
    pub name: String,
    /// The ends of the intervals, the first one's lower end first; numbers beyond count in the outer ones.
    pub ends: Vec<f64>,
    /// The groups.
    pub groups: Vec<String>,
    /// The counts, for each group; missing cells last where there may be any.
    pub counts: Vec<Vec<i64>>,
    /// For each group, between which ends the lower quartile, the median and the upper quartile of its rows lie, in 95
    /// of 100; none where the noise hides how many rows there are.
    pub quartiles: Vec<[Option<(f64, f64)>; 3]>,
    /// Of two groups: how well the column tells them apart.
    pub separation: Option<Separation>,
    /// The deviation of the noise in each count.
    pub deviation: f64,
    /// In 95 of 100 a count is off by no more.
    pub within: u64,
}

/// A column of numbers, group by group.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NoisyMeans {
    /// The name of the column.
    pub name: String,
    /// To what its numbers are cut.
    pub cut: (f64, f64),
    /// The groups.
    pub groups: Vec<String>,
    /// For each group the mean; none where the noise hides it.
    pub means: Vec<Option<Off>>,
    /// For each group the standard deviation of the numbers; none where the noise hides it.
    pub deviations: Vec<Option<Off>>,
}

/// A figure, and by how much noise puts it off.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Off {
    /// The figure.
    pub value: f64,
    /// In 95 of 100 it is off by no more than this.
    pub within: f64,
}

/// A figure and the variance of its noise.
#[derive(Clone, Copy)]
struct Noisy(f64, f64);

pub(super) fn tables(plan: &NoisyPlan, sums: &[i128]) -> NoisyTables {
    let mut words = plan.in_words();
    let promise = words.remove(0);
    let mut all = NoisyTables {
        promise,
        noise: words,
        rows: plan.rows.iter().sum(),
        group: plan.group.map(|group| plan.columns[group].name.clone()),
        tables: Vec::new(),
        histograms: Vec::new(),
        means: Vec::new(),
    };
    let mut left = sums;
    let mut counted: Vec<(&Part, &[i128])> = Vec::new();
    for part in &plan.parts {
        let (own, rest) = left.split_at(part.values.min(left.len()));
        left = rest;
        match part.what {
            What::Cells(..) => all.tables.push(table(plan, part, own)),
            What::Intervals(at, _) => all.histograms.push(histogram(plan, (part, at), own)),
            What::Sums(_) => {}
            What::Squares(at) => all.means.push(means(plan, &counted, (part, at), own)),
        }
        counted.push((part, own));
    }
    all
}

fn whole(sums: &[i128]) -> Vec<i64> {
    sums.iter().map(|&sum| i64::try_from(sum).unwrap_or(i64::MAX)).collect()
}

fn table(plan: &NoisyPlan, part: &Part, sums: &[i128]) -> NoisyTable {
    let of: Vec<usize> = match part.what {
        What::Cells(a, Some(b)) => vec![a, b],
        What::Cells(a, None) => vec![a],
        _ => Vec::new(),
    };
    let levels: Vec<Vec<String>> = of.iter().map(|&at| plan.columns[at].cells()).collect();
    let wide = if levels.len() == 2 { levels[1].len() } else { 1 };
    let deviation = plan.deviation(part);
    NoisyTable {
        names: of.iter().map(|&at| plan.columns[at].name.clone()).collect(),
        counts: whole(sums).chunks(wide).map(<[i64]>::to_vec).collect(),
        levels,
        deviation,
        within: half_width(deviation),
    }
}

fn histogram(plan: &NoisyPlan, (part, at): (&Part, usize), sums: &[i128]) -> NoisyHistogram {
    let column = &plan.columns[at];
    let groups = plan.groups();
    let wide = sums.len() / groups.len().max(1);
    let intervals = wide - usize::from(column.missing);
    let (low, high) = column.range;
    let end = |at: usize| low + (high - low) * at as f64 / intervals as f64;
    let ends: Vec<f64> = (0..=intervals).map(end).collect();
    let counts: Vec<Vec<i64>> = whole(sums).chunks(wide).map(<[i64]>::to_vec).collect();
    let deviation = plan.deviation(part);
    let quartiles = counts.iter().map(|counts| {
        let counts = &counts[..intervals.min(counts.len())];
        [0.25, 0.5, 0.75].map(|share| {
            let (first, last) = quantile(counts, deviation, share)?;
            Some((ends[first], ends[last + 1]))
        })
    });
    let quartiles = quartiles.collect();
    let levels = plan.group.and_then(|group| plan.columns[group].levels.as_ref());
    let separation = match (levels.map(Vec::as_slice), &counts[..]) {
        (Some([_, second]), [other, own, ..]) => {
            let both = (&other[..intervals], &own[..intervals]);
            Some(separation(second, both, deviation, column.range))
        }
        _ => None,
    };
    let (name, within) = (column.name.clone(), half_width(deviation));
    NoisyHistogram { name, ends, groups, counts, quartiles, separation, deviation, within }
}

/// The first and the last interval in which the smallest number may lie that a share of all do not exceed, in 95 of 100;
/// none where the noise hides how many there are. It is the first interval at whose end D(k) = C(k) - share C(all) is not
/// negative; D has the noise of k counts times 1 - share and of the others times share.
pub(super) fn quantile(counts: &[i64], deviation: f64, share: f64) -> Option<(usize, usize)> {
    let all = counts.len();
    let total = counts.iter().map(|&count| count as f64).sum::<f64>();
    if total <= WITHIN * deviation * libm::sqrt(all as f64) {
        return None;
    }
    let mut below = 0.0;
    let (mut first, mut last) = (None, 0);
    for (at, &count) in counts.iter().enumerate() {
        below += count as f64;
        let (before, after) = ((at + 1) as f64, (all - at - 1) as f64);
        let variance = before * (1.0 - share).powi(2) + after * share * share;
        let off = WITHIN * deviation * libm::sqrt(variance);
        let over = below - share * total;
        if over + off >= 0.0 && first.is_none() {
            first = Some(at);
        }
        // The last interval whose end may still be below it, and so the one after that.
        if over - off < 0.0 && at + 1 < all {
            last = at + 1;
        }
    }
    let first = first.unwrap_or(all - 1);
    Some((first, last.max(first)))
}

/// Means and deviations of a column from its counts, sums and sums of squares.
fn means(
    plan: &NoisyPlan,
    counted: &[(&Part, &[i128])],
    (part, at): (&Part, usize),
    squares: &[i128],
) -> NoisyMeans {
    let column = &plan.columns[at];
    let groups = plan.groups();
    let (low, high) = column.range;
    let half = (high - low) / 2.0;
    let find = |what: What| counted.iter().find(|(part, _)| part.what == what);
    let noisy = |found: Option<&(&Part, &[i128])>, place: usize, unit: f64| {
        let (part, sums) = found?;
        let deviation = plan.deviation(part) / unit;
        Some(Noisy(*sums.get(place)? as f64 / unit, deviation * deviation))
    };
    let unit = UNIT as f64;
    let each = |group: usize| {
        let count = match plan.group {
            None if !column.missing => Noisy(plan.rows.iter().sum::<u64>() as f64, 0.0),
            None => noisy(find(What::Cells(at, None)), 0, 1.0)?,
            Some(of) if !column.missing => noisy(find(What::Cells(of, None)), group, 1.0)?,
            Some(of) => noisy(find(What::Cells(of, Some(at))), 2 * group, 1.0)?,
        };
        let sum = noisy(find(What::Sums(at)), group, unit)?;
        let square = noisy(Some(&(part, squares)), group, unit)?;
        // The noise of a small count is no small part of it: nothing is told of it then.
        if count.0 < 1.0 || count.0 < 10.0 * libm::sqrt(count.1) {
            return None;
        }
        let mean = sum.0 / count.0;
        let mean_off = libm::sqrt(sum.1 + mean * mean * count.1) / count.0;
        if mean.abs() > 1.0 || WITHIN * mean_off > 0.5 {
            return None;
        }
        let middle = low + half;
        let told = Off { value: middle + half * mean, within: WITHIN * mean_off * half };
        let raw = square.0 / count.0;
        let variance = (raw - mean * mean) * count.0 / (count.0 - 1.0).max(1.0);
        // How the variance follows from the three figures.
        let slope = [1.0, -2.0 * mean, 2.0 * mean * mean - raw];
        let off = slope[0] * slope[0] * square.1
            + slope[1] * slope[1] * sum.1
            + slope[2] * slope[2] * count.1;
        let off = WITHIN * libm::sqrt(off) / count.0;
        let deviation = (variance > 2.0 * off).then(|| {
            let value = libm::sqrt(variance);
            Off { value: half * value, within: half * off / (2.0 * value) }
        });
        Some((told, deviation))
    };
    let each: Vec<_> = (0..groups.len()).map(each).collect();
    NoisyMeans {
        name: column.name.clone(),
        cut: column.range,
        groups,
        means: each.iter().map(|it| it.map(|(mean, _)| mean)).collect(),
        deviations: each.iter().map(|it| it.and_then(|(_, deviation)| deviation)).collect(),
    }
}
