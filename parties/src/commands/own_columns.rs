//! The own rows as a person reads of them.

use crate::data_file::Summary;
use crate::output::wrapped;

/// The own columns, each on a line, and what is odd about them.
pub(super) fn own_columns(summary: &Summary) -> String {
    let mut text = String::new();
    let names = summary.columns.iter().map(|column| column.name.chars().count());
    let width = names.max().unwrap_or(0).min(18);
    if summary.columns.iter().any(|column| column.numbers.is_some()) {
        text += &format!(
            "  {:width$} {:>10} {:>10} {:>10} {:>10} {:>9}\n",
            "", "mean", "std. dev.", "smallest", "largest", "missing"
        );
    }
    for column in &summary.columns {
        let (name, missing) = (&column.name, column.missing);
        let long = if name.chars().count() > width { format!("  {name}\n") } else { String::new() };
        text += &long;
        let name = if long.is_empty() { name.as_str() } else { "" };
        match column.numbers {
            Some(numbers) => {
                let [mean, deviation, low, high] = numbers.map(figure);
                text += &format!(
                    "  {name:width$} {mean:>10} {deviation:>10} {low:>10} {high:>10} {missing:>9}\n"
                );
            }
            None => {
                const SHOWN: usize = 12;
                let mut parts: Vec<String> = column
                    .levels
                    .iter()
                    .take(SHOWN)
                    .map(|(level, count)| format!("{level} {count}"))
                    .collect();
                if column.levels.len() > SHOWN {
                    parts.push(format!("{} more levels", column.levels.len() - SHOWN));
                }
                if missing > 0 {
                    parts.push(format!("missing {missing}"));
                }
                text += &wrapped(&format!("  {name:width$} "), &parts.join(", "));
            }
        }
    }
    for column in &summary.columns {
        let name = &column.name;
        if !column.missing_words.is_empty() {
            let words: Vec<String> = column
                .missing_words
                .iter()
                .map(|(word, count)| format!("{word} {count}"))
                .collect();
            let words = format!("{name}: {}", words.join(", "));
            text += &wrapped("  Words read as missing in ", &words);
        }
        for (number, count) in &column.sentinels {
            text += &wrapped(
                "  Odd: ",
                &format!(
                    "{name} is {number} in {count} rows, away from all others. If it stands for a missing cell, \
                     write missing_in = {{ {name:?} = [\"{number}\"] }} below [data] in party.toml"
                ),
            );
        }
        let empty: Vec<&str> = column
            .levels
            .iter()
            .filter(|(_, count)| *count == 0)
            .map(|(level, _)| level.as_str())
            .take(5)
            .collect();
        if !empty.is_empty() {
            let what = format!("{name} has no row here with {}", empty.join(", "));
            text += &wrapped("  Odd: ", &(what + "; fine, if others have some"));
        }
        if let Some([.., low, high]) = column.numbers
            && low == high
        {
            text += &wrapped("  Odd: ", &format!("{name} is the same in all rows here"));
        }
    }
    if summary.duplicate_rows > 0 {
        let what = format!(
            "{} of {} rows are like one before in every column of the study",
            summary.duplicate_rows, summary.rows
        );
        text += &wrapped("  Odd: ", &what);
    }
    if let Some(twice) = summary.duplicate_ids.filter(|twice| *twice > 0) {
        text += &wrapped("  Odd: ", &format!("{twice} rows have an id that came before"));
    }
    text
}

/// Five digits in at most ten characters.
fn figure(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || (1e-3..999_999_999.5).contains(&size) {
        let before = if size >= 1.0 { size.log10().floor() as usize + 1 } else { 1 };
        let text = format!("{value:.*}", 5_usize.saturating_sub(before));
        match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
            false => text,
        }
    } else {
        format!("{value:.3e}")
    }
}
