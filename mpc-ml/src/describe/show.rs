//! The result as text of 80 columns.

use std::fmt;

use super::kept::Kept;
use super::plan::MISSING;
use super::quartiles::Quartiles;
use super::results::{
    Categories, Correlation, Crossed, Described, Description, GroupTest, Histogram, Measured,
};
use super::stats::Test;

/// Characters of the first column, and of each further one.
const FIRST: usize = 24;
const WIDTH: usize = 18;
/// Groups beside each other.
const BESIDE: usize = 3;
/// Correlations beside each other.
const MANY: usize = 6;

pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width - 2).chain("..".chars()).collect()
}

fn line(
    f: &mut fmt::Formatter<'_>,
    first: &str,
    cells: impl Iterator<Item = String>,
) -> fmt::Result {
    write!(f, "{:<FIRST$}", cut(first, FIRST))?;
    for cell in cells {
        write!(f, "{:>WIDTH$}", cut(&cell, WIDTH - 1))?;
    }
    writeln!(f)
}

/// A number with as many digits as people read.
pub(crate) fn number(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(0.0) => "0".to_owned(),
        Some(value) if !(1e-3..1e6).contains(&value.abs()) => format!("{value:.3e}"),
        Some(value) => {
            let digits = (4 - value.abs().log10().floor() as i32).clamp(0, 6) as usize;
            format!("{value:.digits$}")
        }
    }
}

pub(crate) fn p(value: f64) -> String {
    if value < 0.001 { format!("{value:.1e}") } else { format!("{value:.3}") }
}

fn share(count: u64, of: u64) -> String {
    if of == 0 {
        return count.to_string();
    }
    format!("{count} ({:.1}%)", 100.0 * count as f64 / of as f64)
}

fn told(test: &GroupTest) -> String {
    let with = |name: &str, Test { statistic, freedom, denominator, p_value }: &Test| {
        let freedom = match denominator {
            Some(more) => format!("{freedom:.0}, {more:.0}"),
            None if freedom.fract() == 0.0 => format!("{freedom:.0}"),
            None => format!("{freedom:.1}"),
        };
        format!("{name}({freedom}) = {statistic:.4}, p = {}", p(*p_value))
    };
    match test {
        GroupTest::Welch(test, difference) => {
            format!("Welch t{}; {difference:+.3} SD", with("", test))
        }
        GroupTest::Anova(test) => with("F", test),
        GroupTest::ChiSquared(test, None) => with("chi squared", test),
        GroupTest::ChiSquared(test, Some(exact)) => {
            format!("{}; Fisher p = {}", with("chi squared", test), p(*exact))
        }
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for what in &self.left_out {
            writeln!(f, "left out, because some count is too small: {what}")?;
        }
        let all: Vec<usize> = (0..self.groups.len()).collect();
        for part in all.chunks(BESIDE) {
            let by = self.group.as_ref().map_or(String::new(), |group| format!("by {group}"));
            let named = self.group.is_some();
            let name =
                |&at: &usize| if named { self.groups[at].0.clone() } else { "all".to_owned() };
            line(f, &by, part.iter().map(name))?;
            line(f, "rows", part.iter().map(|&at| self.groups[at].1.to_string()))?;
            for column in &self.columns {
                match column {
                    Described::Measured(it) => {
                        let of = self.quartiles.iter().find(|of| of.name == it.name);
                        measured(f, it, of, part)?;
                    }
                    Described::Categories(it) => categories(f, it, part)?,
                }
            }
        }
        self.kept.iter().try_for_each(|it| kept(f, it))?;
        self.tables.iter().try_for_each(|table| crossed(f, table))?;
        self.histograms.iter().try_for_each(|it| histogram(f, it))?;
        self.correlations.as_ref().map_or(Ok(()), |it| correlated(f, it))
    }
}

fn measured(
    f: &mut fmt::Formatter<'_>,
    it: &Measured,
    quartiles: Option<&Quartiles>,
    part: &[usize],
) -> fmt::Result {
    let cells = part.iter().map(|&at| {
        let of = &it.groups[at];
        format!("{} ({})", number(of.mean), number(of.deviation))
    });
    line(f, &format!("{}, mean (SD)", cut(&it.name, FIRST - 11)), cells)?;
    if let Some(of) = quartiles {
        let told = |at: usize| {
            part.iter().map(move |&group| match of.groups.get(group).and_then(|group| group[at]) {
                Some((low, high)) => format!("{} to {}", number(Some(low)), number(Some(high))),
                None => "-".to_owned(),
            })
        };
        line(f, "  median", told(1))?;
        line(f, "  lower quartile", told(0))?;
        line(f, "  upper quartile", told(2))?;
    }
    if it.all.missing > 0 {
        line(f, "  missing", part.iter().map(|&at| it.groups[at].missing.to_string()))?;
    }
    it.test.as_ref().map_or(Ok(()), |test| writeln!(f, "  {}", told(test)))
}

fn categories(f: &mut fmt::Formatter<'_>, it: &Categories, part: &[usize]) -> fmt::Result {
    writeln!(f, "{}", cut(&it.name, 80))?;
    for (level, name) in it.levels.iter().enumerate() {
        let cells = part.iter().map(|&at| share(it.counts[at][level], it.counts[at].iter().sum()));
        line(f, &format!("  {name}"), cells)?;
    }
    if it.missing.iter().any(|&missing| missing > 0) {
        line(f, "  missing", part.iter().map(|&at| it.missing[at].to_string()))?;
    }
    it.test.as_ref().map_or(Ok(()), |test| writeln!(f, "  {}", told(test)))
}

fn kept(f: &mut fmt::Formatter<'_>, it: &Kept) -> fmt::Result {
    writeln!(f, "{}", cut(&it.name, 80))?;
    for (level, count) in &it.levels {
        let told = count.map_or("kept back".to_owned(), |count| count.to_string());
        line(f, &format!("  {level}"), std::iter::once(told))?;
    }
    if it.levels.iter().any(|(_, count)| count.is_none()) {
        line(f, "  those kept back", std::iter::once(it.together.to_string()))?;
    }
    Ok(())
}

fn crossed(f: &mut fmt::Formatter<'_>, it: &Crossed) -> fmt::Result {
    writeln!(f, "\n{} by {}", it.names[0], it.names[1])?;
    let across: Vec<usize> = (0..it.levels[1].len()).collect();
    for part in across.chunks(BESIDE) {
        line(f, "", part.iter().map(|&at| it.levels[1][at].clone()))?;
        for (name, counts) in it.levels[0].iter().zip(&it.counts) {
            line(f, name, part.iter().map(|&at| counts[at].to_string()))?;
        }
    }
    it.test.as_ref().map_or(Ok(()), |test| writeln!(f, "  {}", told(test)))
}

fn histogram(f: &mut fmt::Formatter<'_>, it: &Histogram) -> fmt::Result {
    writeln!(f, "\n{}", cut(&it.name, 80))?;
    let most = it.counts.iter().copied().max().unwrap_or(0).max(1);
    for (ends, &count) in it.ends.windows(2).zip(&it.counts) {
        let bar = "#".repeat((count * 34 / most) as usize);
        let interval = format!("  {} to {}", number(Some(ends[0])), number(Some(ends[1])));
        let text = format!("{interval:<30}{count:>12}  {bar}");
        writeln!(f, "{}", text.trim_end())?;
    }
    let quartiles = [0.25, 0.5, 0.75].map(|share| match it.quantile(share) {
        Some((low, high)) => format!("{} to {}", number(Some(low)), number(Some(high))),
        None => "-".to_owned(),
    });
    let [lower, median, upper] = quartiles;
    writeln!(f, "  median {median}; quartiles {lower}; {upper}")
}

fn correlated(f: &mut fmt::Formatter<'_>, it: &Correlation) -> fmt::Result {
    let (whole, other) = it.rows;
    writeln!(f, "\ncorrelations over the {whole} rows that have all numbers ({other} {MISSING})")?;
    let all: Vec<usize> = (0..it.names.len()).collect();
    for part in all.chunks(MANY) {
        write!(f, "{:<FIRST$}", "")?;
        part.iter().try_for_each(|&at| write!(f, "{:>9}", cut(&it.names[at], 8)))?;
        writeln!(f)?;
        for (name, row) in it.names.iter().zip(&it.matrix) {
            write!(f, "{:<FIRST$}", cut(name, FIRST))?;
            part.iter().try_for_each(|&at| write!(f, "{:>9.4}", row[at]))?;
            writeln!(f)?;
        }
    }
    Ok(())
}
