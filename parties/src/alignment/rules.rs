//! From the cells of a row to the bytes of its id.

use std::collections::BTreeMap;

use serde::Deserialize;
use unicode_normalization::UnicodeNormalization;

use crate::data_file::Dates;
use crate::study::place::Field;

/// Cells that show whether two programs encode alike: accents in both forms, wide digits, a ligature,
/// letters whose small form is longer, white space of all kinds, zeros.
pub(super) const TEST_IDS: [&str; 8] = [
    "M\u{fc}ller",
    "mu\u{308}ller ",
    "\u{ff11}\u{ff12}\u{ff13}-A",
    "o\u{fb03}ce",
    "\u{130}STANBUL \u{1e9e}",
    "\u{a0}a \t b\u{2003}c\u{200b}",
    "00120",
    "\u{391}\u{3a3}",
];

/// What is done to a cell. In whichever order a file has them, they are applied in this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Unicode compatibility composition: wide digits, ligatures and accents in one form.
    Nfkc,
    /// Small letters, of all scripts.
    Lower,
    /// Only letters and digits stay.
    LettersAndDigits,
    /// Only the digits 0 to 9 stay.
    Digits,
    /// No white space at the ends, and one space for any inside.
    Trim,
    /// Zeros in front of another digit go.
    NoLeadingZeros,
}

/// A column of the id, as the file has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IdColumn {
    column: String,
    rules: Option<Vec<Rule>>,
    /// How dates may be written, where the column holds dates: the id has the day.
    dates: Option<Vec<String>>,
}

/// What becomes of the cells of a column.
#[derive(Clone, Debug)]
enum Normal {
    Text(Vec<Rule>),
    /// A day in one of these forms.
    Day(Vec<String>),
}

fn usual() -> Vec<Rule> {
    vec![Rule::Nfkc, Rule::Lower, Rule::Trim]
}

/// Makes ids of cells.
#[derive(Clone, Debug)]
pub(super) struct Encoder(Vec<(String, Normal)>);

/// Makes ids of the cells of one file.
pub(super) struct OwnEncoder<'a> {
    encoder: &'a Encoder,
    /// For each column the forms that dates may have; none where it holds none.
    dates: Vec<Option<Vec<Dates>>>,
}

impl Encoder {
    pub(super) fn new(columns: Vec<IdColumn>) -> Result<Self, (Field, String)> {
        if columns.is_empty() {
            return Err((Field::from("id"), "must name a column at least".to_owned()));
        }
        let mut all: Vec<(String, Normal)> = Vec::with_capacity(columns.len());
        for (at, IdColumn { column, rules, dates }) in columns.into_iter().enumerate() {
            let wrong = |key, rule: String| (Field::from("id").item(at).key(key), rule);
            if column.is_empty() || column.trim() != column {
                let rule = "must be the name of a column, without spaces at its ends";
                return Err(wrong("column", rule.to_owned()));
            }
            if all.iter().any(|(other, _)| *other == column) {
                return Err(wrong("column", format!("{column:?} is there twice")));
            }
            let normal = match (rules, dates) {
                (rules, None) => Normal::Text(
                    text_rules(rules.unwrap_or_else(usual)).map_err(|rule| wrong("rules", rule))?,
                ),
                (None, Some(dates)) => {
                    Normal::Day(forms(dates).map_err(|rule| wrong("dates", rule))?)
                }
                (Some(_), Some(_)) => {
                    let rule =
                        "have no place beside `dates`: a date becomes the day, as 1980-03-01";
                    return Err(wrong("rules", rule.to_owned()));
                }
            };
            all.push((column, normal));
        }
        Ok(Self(all))
    }

    /// The names of the columns.
    pub(super) fn columns(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(column, _)| column.as_str())
    }

    /// For a file whose own settings say how dates are written in some columns: they are read so there.
    pub(super) fn of_file(&self, own: &BTreeMap<String, String>) -> OwnEncoder<'_> {
        let dates = self.0.iter().map(|(column, normal)| match normal {
            Normal::Text(_) => None,
            Normal::Day(forms) => Some(match own.get(column) {
                Some(own) => vec![Dates::new(own)],
                None => forms.iter().map(|form| Dates::new(form)).collect(),
            }),
        });
        OwnEncoder { encoder: self, dates: dates.collect() }
    }
}

impl OwnEncoder<'_> {
    /// The parts of an id, each normalised.
    ///
    /// # Errors
    /// The place of a cell that is no such date, and the rule.
    pub(super) fn parts(&self, cells: &[&str]) -> Result<Vec<String>, (usize, String)> {
        let columns = self.encoder.0.iter().zip(&self.dates).zip(cells).enumerate();
        columns
            .map(|(at, (((_, normal), dates), cell))| match (normal, dates) {
                (Normal::Text(rules), _) => Ok(normalised(cell, rules)),
                (Normal::Day(forms), dates) => {
                    let dates = dates.as_deref().unwrap_or_default();
                    day(cell.trim(), dates)
                        .map_err(|rule| (at, format!("{rule}: {}", forms.join(", "))))
                }
            })
            .collect()
    }

    /// The bytes of the id of these cells; `None` if there is none.
    pub(super) fn encode(&self, cells: &[&str]) -> Option<Vec<u8>> {
        encoded(&self.parts(cells).ok()?)
    }
}

/// The rules of a column, in their order; otherwise what is wrong with them.
fn text_rules(mut rules: Vec<Rule>) -> Result<Vec<Rule>, String> {
    let given = rules.len();
    rules.sort_unstable();
    rules.dedup();
    if rules.len() != given {
        return Err("have one twice".to_owned());
    }
    if rules.contains(&Rule::Digits) && rules.contains(&Rule::LettersAndDigits) {
        return Err("have \"digits\" and \"letters-and-digits\": choose one".to_owned());
    }
    Ok(rules)
}

/// The forms of dates; otherwise what is wrong with them.
fn forms(forms: Vec<String>) -> Result<Vec<String>, String> {
    if forms.is_empty() {
        return Err("must have a form at least, such as \"%Y-%m-%d\"".to_owned());
    }
    let wrong = forms.iter().find(|form| !Dates::new(form).is_whole());
    match wrong {
        None => Ok(forms),
        Some(wrong) => Err(format!(
            "have {wrong:?}, which must say as strftime does where the day, the month and the four digits of the \
             year stand, such as \"%d.%m.%Y\""
        )),
    }
}

/// The day that a cell means, nothing for an empty one; otherwise the rule that it breaks.
fn day(cell: &str, forms: &[Dates]) -> Result<String, String> {
    if cell.is_empty() {
        return Ok(String::new());
    }
    let mut days: Vec<String> = forms.iter().filter_map(|form| form.day(cell)).collect();
    days.dedup();
    match <[String; 1]>::try_from(days) {
        Ok([day]) => Ok(day),
        Err(days) if days.is_empty() => Err("the cell is not a date with a year from 1800 to 2299 in a form of the \
             alignment, or in that of data.dates in party.toml; the alignment has"
            .to_owned()),
        Err(_) => Err("the cell is another day in one form of the alignment than in another: say in data.dates in \
             party.toml how this file writes the column; the alignment has"
            .to_owned()),
    }
}

/// The bytes of an id: each part behind its length. `None` if a part is empty: then there is no id.
pub(super) fn encoded(parts: &[String]) -> Option<Vec<u8>> {
    let mut encoded = Vec::new();
    for part in parts {
        if part.is_empty() {
            return None;
        }
        encoded.extend((part.len() as u64).to_le_bytes());
        encoded.extend(part.as_bytes());
    }
    Some(encoded)
}

fn normalised(cell: &str, rules: &[Rule]) -> String {
    rules.iter().fold(cell.to_owned(), |cell, rule| match rule {
        Rule::Nfkc => cell.nfkc().collect(),
        // A small letter may have a form of its own again.
        Rule::Lower if rules.contains(&Rule::Nfkc) => cell.to_lowercase().nfkc().collect(),
        Rule::Lower => cell.to_lowercase(),
        Rule::LettersAndDigits => cell.chars().filter(|c| c.is_alphanumeric()).collect(),
        Rule::Digits => cell.chars().filter(char::is_ascii_digit).collect(),
        Rule::Trim => cell.split_whitespace().collect::<Vec<_>>().join(" "),
        Rule::NoLeadingZeros => {
            let rest = cell.trim_start_matches('0');
            let whole = rest.starts_with(|c: char| c.is_alphanumeric());
            if whole {
                rest.to_owned()
            } else {
                cell[(cell.len() - rest.len()).saturating_sub(1)..].to_owned()
            }
        }
    })
}

/// The form of a part: 9 for a digit, a and A for letters, everything else as it is.
pub(super) fn form(part: &str) -> String {
    let of = |c: char| match c {
        c if c.is_numeric() => '9',
        c if c.is_uppercase() => 'A',
        c if c.is_alphabetic() => 'a',
        c => c,
    };
    part.chars().map(of).collect()
}

/// Whether a spreadsheet made the number of a long id: `3.71E+17`, which stands for many ids.
pub(super) fn is_rounded(cell: &str) -> bool {
    let Some((digits, power)) = cell.trim().split_once(['E', 'e']) else { return false };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = digits.split_once(['.', ',']).unwrap_or((digits, "0"));
    is_number(whole) && is_number(fraction) && power.strip_prefix('+').is_some_and(is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(rules: &[Rule], cell: &str) -> String {
        normalised(cell, rules)
    }

    #[test]
    fn rules_do_what_they_say() {
        use Rule::{Digits, LettersAndDigits, Lower, Nfkc, NoLeadingZeros, Trim};
        assert_eq!(with(&usual(), " M\u{fc}ller \t Jr "), with(&usual(), "mu\u{308}LLER jr"));
        assert_eq!(with(&[Nfkc], "\u{ff11}\u{ff12}"), "12");
        assert_eq!(with(&[LettersAndDigits], "A-12/\u{e9} "), "A12\u{e9}");
        assert_eq!(with(&[Digits], "+49 (0)30 1"), "490301");
        assert_eq!(with(&[Trim], "\u{a0} a  b "), "a b");
        for (cell, due) in
            [("0012", "12"), ("000", "0"), ("", ""), ("0-1", "0-1"), ("7", "7"), ("00a", "a")]
        {
            assert_eq!(with(&[NoLeadingZeros], cell), due, "{cell}");
        }
        assert_eq!(with(&[Lower, Trim], " \u{391}\u{3a3} "), "\u{3b1}\u{3c2}");
    }

    fn column(name: &str, dates: Option<&[&str]>) -> IdColumn {
        let dates = dates.map(|forms| forms.iter().map(|form| (*form).to_owned()).collect());
        IdColumn { column: name.to_owned(), rules: None, dates }
    }

    #[test]
    fn parts_do_not_run_together_and_empty_ones_are_no_id() {
        let encoder = Encoder::new(vec![column("a", None), column("b", None)]).unwrap();
        let encoder = encoder.of_file(&BTreeMap::new());
        assert_ne!(encoder.encode(&["ab", "c"]), encoder.encode(&["a", "bc"]));
        assert_eq!(encoder.encode(&["ab", " "]), None);
        assert!(Encoder::new(vec![column("a", None), column("a", None)]).is_err());
        assert!(Encoder::new(vec![]).is_err());
    }

    #[test]
    fn a_day_is_one_however_it_is_written() {
        let forms: &[&str] = &["%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y"];
        let encoder = Encoder::new(vec![column("born", Some(forms))]).unwrap();
        let here = encoder.of_file(&BTreeMap::new());
        let days = ["1980-03-01", "01.03.1980", " 1.3.1980 ", "01/03/1980"];
        for day in days {
            assert_eq!(here.parts(&[day]).unwrap(), ["1980-03-01"], "{day}");
        }
        assert_eq!(here.parts(&[" "]).unwrap(), [""]);
        for cell in ["01.03.80", "31.02.1980", "03/13/1980", "1980", "unknown", "1.3.9999"] {
            let (at, rule) = here.parts(&[cell]).unwrap_err();
            assert!(
                at == 0 && rule.contains("not a date") && !rule.contains(cell),
                "{cell}: {rule}"
            );
        }
        // Who writes the month first says so in its own settings.
        let own = BTreeMap::from([("born".to_owned(), "%m/%d/%Y".to_owned())]);
        let there = encoder.of_file(&own);
        assert_eq!(there.encode(&["03/01/1980"]), here.encode(&["01.03.1980"]));
        assert!(there.parts(&["1980-03-01"]).is_err());
        // A form that is another day in another one is no day.
        let both = column("born", Some(&["%d/%m/%Y", "%m/%d/%Y"]));
        let encoder = Encoder::new(vec![both]).unwrap();
        let here = encoder.of_file(&BTreeMap::new());
        assert_eq!(here.parts(&["13/03/1980"]).unwrap(), ["1980-03-13"]);
        assert_eq!(here.parts(&["03/03/1980"]).unwrap(), ["1980-03-03"]);
        assert!(here.parts(&["01/03/1980"]).unwrap_err().1.contains("another day"));
    }

    #[test]
    fn what_a_spreadsheet_rounded_is_seen() {
        for cell in ["3.71E+17", "1E+05", " 9,9e+10 "] {
            assert!(is_rounded(cell), "{cell}");
        }
        for cell in ["E+17", "12E5", "a3.1E+17", "3.71", "1.E+", "2.5E+1x", ""] {
            assert!(!is_rounded(cell), "{cell}");
        }
    }
}
