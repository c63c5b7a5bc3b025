//! What a description of the rows of all parties says of their columns, for the draft of a study.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::study_new::quoted;
use crate::data_file::OTHER;
use crate::exit::{Exit, Failure};
use crate::input;

/// What missing cells are called in a result.
const MISSING: &str = "(missing)";

/// A column of all parties.
#[derive(Debug, Default)]
pub(super) struct JointColumn {
    /// Words that stand in rows, with their counts.
    levels: Option<Vec<(String, u64)>>,
    /// Whether some words are not known.
    hidden: bool,
    /// Rows with words that nobody had proposed.
    other: u64,
    /// The ends of the intervals in which numbers lie.
    range: Option<(f64, f64)>,
    /// Whether cells are missing.
    missing: bool,
}

/// As much of `result.json` as is used.
#[derive(Deserialize)]
struct File {
    protocol: String,
    result: Option<Described>,
}

#[derive(Deserialize)]
struct Described {
    group: Option<String>,
    groups: Vec<(String, u64)>,
    columns: Vec<Column>,
    histograms: Vec<Histogram>,
    #[serde(default)]
    kept: Vec<Kept>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Column {
    Measured { name: String, all: Moments },
    Categories { name: String, levels: Vec<String>, counts: Vec<Vec<u64>>, missing: Vec<u64> },
}

#[derive(Deserialize)]
struct Moments {
    missing: u64,
}

#[derive(Deserialize)]
struct Histogram {
    name: String,
    ends: Vec<f64>,
    counts: Vec<u64>,
}

#[derive(Deserialize)]
struct Kept {
    name: String,
    levels: Vec<(String, Option<u64>)>,
}

/// Reads a result.
pub(super) fn read(path: &Path) -> Result<BTreeMap<String, JointColumn>, Failure> {
    let refused = |what: String| {
        Failure::new(Exit::LocalInput, what).in_file(path).advise(
            "--joint takes the result.json that `party train` leaves of an agreement on describe/1",
        )
    };
    let bytes = input::read(path).map_err(|error| refused(format!("cannot be read: {error}")))?;
    let file: File = serde_json::from_slice(&bytes)
        .map_err(|error| refused(format!("is no result of a description: {error}")))?;
    match file.result {
        Some(described) if file.protocol == "describe/1" => Ok(columns(described)),
        _ => Err(refused("is no result of a description that this party received".to_owned())),
    }
}

fn columns(of: Described) -> BTreeMap<String, JointColumn> {
    let mut all: BTreeMap<String, JointColumn> = BTreeMap::new();
    // The column of the groups is told by them.
    if let Some(group) = of.group {
        let counts = of.groups.into_iter().map(|(name, rows)| (name, Some(rows)));
        all.entry(group).or_default().words(counts);
    }
    for column in of.columns {
        match column {
            Column::Measured { name, all: Moments { missing } } => {
                all.entry(name).or_default().missing = missing > 0;
            }
            Column::Categories { name, levels, counts, missing } => {
                let total = |at: usize| counts.iter().filter_map(|group| group.get(at)).sum();
                let levels = levels.into_iter().enumerate();
                let own = all.entry(name).or_default();
                own.words(levels.map(|(at, level)| (level, Some(total(at)))));
                own.missing = missing.iter().any(|&count| count > 0);
            }
        }
    }
    for Kept { name, levels } in of.kept {
        all.entry(name).or_default().words(levels.into_iter());
    }
    for Histogram { name, ends, counts } in of.histograms {
        let first = counts.iter().position(|&count| count > 0);
        let last = counts.iter().rposition(|&count| count > 0);
        if let (Some(first), Some(last)) = (first, last) {
            let range = ends.get(first).copied().zip(ends.get(last + 1).copied());
            all.entry(name).or_default().range = range;
        }
    }
    // A number of which nothing but its missing cells is known is the own rows' affair.
    all.retain(|_, column| column.levels.is_some() || column.range.is_some());
    all
}

impl JointColumn {
    fn words(&mut self, counts: impl Iterator<Item = (String, Option<u64>)>) {
        let mut levels = Vec::new();
        for (name, count) in counts {
            match (name.as_str(), count) {
                (MISSING, count) => self.missing = count != Some(0),
                (OTHER, count) => self.other = count.unwrap_or(1),
                (_, None) => self.hidden = true,
                (_, Some(0)) => {}
                (_, Some(count)) => levels.push((name, count)),
            }
        }
        // The most frequent first: the first is the base.
        levels.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        self.levels = Some(levels);
    }

    /// The line of a study, and what else there is to know; or why there is none.
    pub(super) fn line(&self, name: &str) -> Result<(String, Vec<String>), String> {
        let mut notes = Vec::new();
        let Some(levels) = &self.levels else {
            let (low, high) = self.range.unwrap_or_default();
            let missing = if self.missing { ", missing = \"mean\"" } else { "" };
            return Ok((
                format!("  {{ name = {name}, range = [{low}, {high}]{missing} }},"),
                notes,
            ));
        };
        if levels.len() < 2 {
            return Err("is left out: fewer than two of its words stand in enough rows".to_owned());
        }
        if self.hidden || self.other > 0 {
            notes.push(
                "words that were kept back, or that nobody had proposed, are no levels; let data.recode in \
                 party.toml say which level they are, where they stand"
                    .to_owned(),
            );
        }
        let levels: Vec<String> = levels.iter().map(|(level, _)| quoted(level)).collect();
        let missing = if self.missing { ", missing = \"level\"" } else { "" };
        Ok((format!("  {{ name = {name}, levels = [{}]{missing} }},", levels.join(", ")), notes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_says_what_the_rows_of_all_hold() {
        let text = r#"{"format": "mpc-result", "protocol": "describe/1", "result": {
            "group": "arm", "groups": [["new", 40], ["usual", 50], ["(missing)", 0]],
            "columns": [
                {"measured": {"name": "age", "all": {"missing": 7}}},
                {"categories": {"name": "sex", "levels": ["f", "m", "(other)"],
                    "counts": [[10, 30, 5], [20, 25, 0]], "missing": [0, 9]}}],
            "histograms": [{"name": "age", "ends": [0, 20, 40, 60, 80], "counts": [0, 20, 70, 0]}],
            "kept": [{"name": "ward", "levels": [["a", 20], ["b", null], ["c", 30], ["d", null]]}]
        }}"#;
        let file: File = serde_json::from_str(text).unwrap();
        let all = columns(file.result.unwrap());
        let line = |name: &str| all[name].line(name).unwrap();
        assert_eq!(line("arm").0, "  { name = arm, levels = [\"usual\", \"new\"] },");
        assert_eq!(line("age").0, "  { name = age, range = [20, 60], missing = \"mean\" },");
        let (sex, notes) = line("sex");
        assert_eq!(sex, "  { name = sex, levels = [\"m\", \"f\"], missing = \"level\" },");
        assert!(notes[0].contains("nobody had proposed"));
        let (ward, notes) = line("ward");
        assert_eq!((ward.contains("[\"c\", \"a\"]"), notes.len()), (true, 1));
    }
}
