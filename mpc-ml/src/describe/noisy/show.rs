//! The tables as text of 80 columns.

use std::fmt::{self, Write as _};

use super::super::{cut, number};
use super::results::{NoisyHistogram, NoisyMeans, NoisyTable, NoisyTables, Off};
use super::scores::Separation;

/// Characters of the first column, and of each further one.
const FIRST: usize = 26;
const WIDTH: usize = 18;
/// Columns beside each other.
const BESIDE: usize = 3;

fn line(
    f: &mut fmt::Formatter<'_>,
    first: &str,
    cells: impl Iterator<Item = String>,
) -> fmt::Result {
    let mut text = format!("{:<FIRST$}", cut(first, FIRST - 1));
    cells.for_each(|cell| {
        // Writing to a string does not fail.
        let _ = write!(text, "{:>WIDTH$}", cut(&cell, WIDTH - 1));
    });
    writeln!(f, "{}", text.trim_end())
}

/// Words in lines of 80 characters.
fn wrapped(f: &mut fmt::Formatter<'_>, words: &str) -> fmt::Result {
    let mut text = String::new();
    for word in words.split(' ') {
        if text.len() + word.len() > 78 {
            writeln!(f, "{text}")?;
            text = "  ".to_owned();
        } else if !text.is_empty() {
            text.push(' ');
        }
        text += word;
    }
    writeln!(f, "{text}")
}

fn off(value: Option<Off>) -> String {
    let told = |it: Off| format!("{} +- {}", number(Some(it.value)), short(it.within));
    value.map_or("too noisy".to_owned(), told)
}

fn short(value: f64) -> String {
    if value >= 10.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

impl fmt::Display for NoisyTables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        wrapped(f, &format!("These figures are {}.", self.promise))?;
        wrapped(
            f,
            "After +- stands by how much the noise puts a figure off at most in 95 of 100; by how much chance would, which \
             rows there are, comes on top. A count below 0 is one of few rows.",
        )?;
        writeln!(f, "\nrows of all parties: {} (without noise)", self.rows)?;
        self.tables.iter().try_for_each(|it| table(f, it))?;
        self.means.iter().try_for_each(|it| means(f, it))?;
        self.histograms.iter().try_for_each(|it| histogram(f, it))?;
        writeln!(f)?;
        wrapped(f, "No tests and no p values: those of exact counts do not hold for noisy ones.")
    }
}

fn count(count: i64, within: u64) -> String {
    format!("{count} +- {within}")
}

fn table(f: &mut fmt::Formatter<'_>, it: &NoisyTable) -> fmt::Result {
    let [first, rest @ ..] = &it.levels[..] else { return Ok(()) };
    let Some(second) = rest.first() else {
        writeln!(f, "\n{}", cut(&it.names[0], 80))?;
        for (level, counts) in first.iter().zip(&it.counts) {
            let counts = counts.iter().map(|&it_is| count(it_is, it.within));
            line(f, &format!("  {level}"), counts)?;
        }
        return Ok(());
    };
    // Levels of the second below each other, of the first, by which it is told, beside each other.
    writeln!(f, "\n{} by {}", cut(&it.names[1], 40), cut(&it.names[0], 36))?;
    let across: Vec<usize> = (0..first.len()).collect();
    for part in across.chunks(BESIDE) {
        line(f, "", part.iter().map(|&at| first[at].clone()))?;
        for (place, level) in second.iter().enumerate() {
            let counts = part.iter().map(|&at| count(it.counts[at][place], it.within));
            line(f, &format!("  {level}"), counts)?;
        }
    }
    Ok(())
}

fn means(f: &mut fmt::Formatter<'_>, it: &NoisyMeans) -> fmt::Result {
    let (low, high) = it.cut;
    writeln!(f, "\n{}, cut to {low} and {high}", cut(&it.name, 40))?;
    line(f, "", ["mean".to_owned(), "SD".to_owned()].into_iter())?;
    for (at, group) in it.groups.iter().enumerate() {
        line(f, &format!("  {group}"), [off(it.means[at]), off(it.deviations[at])].into_iter())?;
    }
    Ok(())
}

fn histogram(f: &mut fmt::Formatter<'_>, it: &NoisyHistogram) -> fmt::Result {
    writeln!(f, "\n{}: rows in intervals, each +- {}", cut(&it.name, 40), it.within)?;
    let all: Vec<usize> = (0..it.groups.len()).collect();
    for part in all.chunks(BESIDE) {
        line(f, "", part.iter().map(|&at| it.groups[at].clone()))?;
        let mut rows: Vec<String> = it
            .ends
            .windows(2)
            .map(|ends| format!("  {} to {}", number(Some(ends[0])), number(Some(ends[1]))))
            .collect();
        if it.counts.iter().any(|counts| counts.len() > rows.len()) {
            rows.push("  (missing)".to_owned());
        }
        for (place, name) in rows.iter().enumerate() {
            line(f, name, part.iter().map(|&at| it.counts[at][place].to_string()))?;
        }
        for (quartile, name) in
            ["  lower quartile", "  median", "  upper quartile"].iter().enumerate()
        {
            let told = |&at: &usize| match it.quartiles[at][quartile] {
                Some((low, high)) => format!("{} to {}", number(Some(low)), number(Some(high))),
                None => "too noisy".to_owned(),
            };
            line(f, name, part.iter().map(told))?;
        }
    }
    it.separation.as_ref().map_or(Ok(()), |of| separated(f, it, of))
}

fn separated(f: &mut fmt::Formatter<'_>, it: &NoisyHistogram, of: &Separation) -> fmt::Result {
    let area = |value: Option<Off>| {
        let told = |it: Off| format!("{:.3} +- {:.3}", it.value, it.within);
        value.map_or("too noisy".to_owned(), told)
    };
    writeln!(
        f,
        "\n{}: how well it tells {} from the other group",
        cut(&it.name, 30),
        cut(&of.of, 20)
    )?;
    line(f, "  area under the ROC", std::iter::once(area(of.auc)))?;
    if of.auc.is_none() {
        return Ok(());
    }
    line(f, "  off by intervals by", std::iter::once(format!("at most {:.3}", of.ties)))?;
    if of.brier.is_some() {
        line(f, "  Brier score", std::iter::once(area(of.brier)))?;
    }
    line(f, "", std::iter::once(format!("share of {}", of.of)))?;
    for (ends, share) in it.ends.windows(2).zip(&of.shares) {
        let interval = format!("  {} to {}", number(Some(ends[0])), number(Some(ends[1])));
        line(f, &interval, std::iter::once(area(*share)))?;
    }
    Ok(())
}
