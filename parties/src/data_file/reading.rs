//! How a party's own export is written: private to it, in `[data]` of party.toml, and never agreed with anybody.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use encoding_rs::Encoding;
use serde::Deserialize;

use crate::output::is_plain;

/// How a data file is to be read. By default it is what the RFC says: UTF-8, commas, decimal points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What separates cells.
    pub separator: u8,
    /// The sign before the decimals of a number.
    pub decimal: char,
    /// The sign between groups of three digits; none where there is none.
    pub thousands: Option<char>,
    /// How letters are encoded; none is UTF-8.
    pub encoding: Option<&'static Encoding>,
    /// Cells that mean that nothing is known.
    pub missing: Vec<String>,
    /// More of them, for single columns.
    pub missing_in: BTreeMap<String, Vec<String>>,
    /// The names that columns have in studies, by those of the file.
    pub rename: BTreeMap<String, String>,
    /// For columns, what words stand for.
    pub recode: BTreeMap<String, BTreeMap<String, String>>,
    /// Columns that hold dates, and how these are written.
    pub dates: BTreeMap<String, String>,
    /// Columns in which a word that looks like a level of the study is taken for it.
    pub alike: Vec<String>,
    /// What stands beside numbers, and is taken away.
    pub units: Vec<String>,
    /// Lines before the header.
    pub skip: u64,
    /// The first cell of a line that is no row: `#` for a number in it, `---` for dashes.
    pub not_rows: Vec<String>,
    /// Columns in which a word that is none of the levels is read as the level [`OTHER`](super::OTHER). No setting: an agreement
    /// says so.
    pub other: Vec<String>,
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            separator: b',',
            decimal: '.',
            thousands: None,
            encoding: None,
            missing: Vec::new(),
            missing_in: BTreeMap::new(),
            rename: BTreeMap::new(),
            recode: BTreeMap::new(),
            dates: BTreeMap::new(),
            alike: Vec::new(),
            units: Vec::new(),
            skip: 0,
            not_rows: Vec::new(),
            other: Vec::new(),
        }
    }
}

/// The first cell of a line as `not_rows` names it: `#` for a number in it, `---` for dashes.
pub(super) fn no_row(cell: &str) -> String {
    let cell = cell.trim();
    if cell.len() > 2 && cell.bytes().all(|byte| matches!(byte, b'-' | b'+' | b'=')) {
        return "---".to_owned();
    }
    let mut form = String::with_capacity(cell.len());
    for letter in cell.chars() {
        match letter {
            '0'..='9' if form.ends_with('#') => {}
            '0'..='9' => form.push('#'),
            letter => form.push(letter),
        }
    }
    form
}

/// `[data]` as TOML has it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawData {
    pub path: Option<PathBuf>,
    pub command: Option<Vec<String>>,
    pub id_column: Option<String>,
    pub label: Option<String>,
    pub separator: Option<String>,
    pub decimal: Option<String>,
    pub thousands: Option<String>,
    pub encoding: Option<String>,
    #[serde(default)]
    pub missing: Vec<String>,
    #[serde(default)]
    pub missing_in: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pub rename: BTreeMap<String, String>,
    #[serde(default)]
    pub recode: BTreeMap<String, BTreeMap<String, String>>,
    #[serde(default)]
    pub dates: BTreeMap<String, String>,
    #[serde(default)]
    pub alike: Vec<String>,
    #[serde(default)]
    pub units: Vec<String>,
    #[serde(default)]
    pub skip: u64,
    #[serde(default)]
    pub not_rows: Vec<String>,
}

impl RawData {
    /// How rows are written, by the rules of these settings; otherwise the field and its rule.
    pub(crate) fn reading(self) -> Result<Reading, (String, String)> {
        let wrong = |field: &str, rule: &str| Err((format!("data.{field}"), rule.to_owned()));
        let separator = match self.separator.as_deref() {
            None => b',',
            Some("tab") => b'\t',
            Some(text) => match text.as_bytes() {
                [byte @ (b',' | b';' | b'\t' | b'|' | b':' | b'^' | b'~' | b'!' | b'#')] => *byte,
                _ => {
                    return wrong("separator", "must be one of , ; | : ^ ~ ! # or \"tab\"");
                }
            },
        };
        let decimal = match self.decimal.as_deref() {
            None | Some(".") => '.',
            Some(",") => ',',
            Some(_) => return wrong("decimal", "must be \".\" or \",\""),
        };
        let thousands = match self.thousands.as_deref() {
            None => None,
            Some(text) => match text.chars().collect::<Vec<_>>()[..] {
                [sign @ ('.' | ',' | ' ' | '\'' | '\u{2019}' | '\u{a0}' | '\u{202f}')]
                    if sign != decimal =>
                {
                    Some(sign)
                }
                _ => {
                    let rule = "must be one of . , ' or a space, and not the decimal sign";
                    return wrong("thousands", rule);
                }
            },
        };
        let encoding = match self.encoding.as_deref() {
            None => None,
            Some(label) => match Encoding::for_label(label.as_bytes()) {
                Some(encoding) if encoding == encoding_rs::UTF_8 => None,
                Some(encoding) => Some(encoding),
                None => {
                    let rule = "is not known; such are \"utf-8\", \"latin1\", \"windows-1252\", \
                                \"iso-8859-2\", \"utf-16le\", \"shift_jis\"";
                    return wrong("encoding", rule);
                }
            },
        };
        let all = self.missing.iter().map(|word| ("missing", word));
        let each = self.missing_in.values().flatten().map(|word| ("missing_in", word));
        for (field, word) in all.chain(each) {
            if word.trim() != word || word.is_empty() {
                let rule = "holds a word that is empty or has spaces at its ends; cells are read \
                            without them, and an empty cell is always missing";
                return wrong(field, rule);
            }
        }
        for (column, date) in &self.dates {
            let has = |part: &&str| date.contains(*part);
            let whole = ["%d", "%Y"].iter().all(has) && ["%m", "%b", "%B"].iter().any(has)
                || date.contains("%F")
                || date.contains("%j") && date.contains("%Y");
            let written = whole && is_plain(date, 60) && super::dates::is_format(date);
            if !written && !super::dates::is_count(date) {
                let rule = format!(
                    "({column}) must have day, month and year in four digits, such as \"%d.%m.%Y\", \
                     \"%Y-%m-%d\" or \"%Y-%m-%d %H:%M:%S\"; or be a program whose numbers they are: {}",
                    super::dates::counts()
                );
                return Err(("data.dates".to_owned(), rule));
            }
        }
        let named = [("units", &self.units), ("not_rows", &self.not_rows)];
        for (field, words) in named {
            if words.iter().any(|word| word.trim() != word || word.is_empty()) {
                return wrong(field, "holds a word that is empty or has spaces at its ends");
            }
        }
        if self.units.iter().any(|unit| unit.contains(|it: char| it.is_ascii_digit())) {
            return wrong("units", "holds a digit, which would be taken away from numbers");
        }
        if self.skip > 1000 {
            return wrong("skip", "must be 0 to 1000: the lines before the header");
        }
        let not_rows = self.not_rows.iter().map(|cell| no_row(cell)).collect();
        let mut names: Vec<&String> = self.rename.values().collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            let rule = format!("gives two columns the name {:?}", twice[0]);
            return Err(("data.rename".to_owned(), rule));
        }
        let Self { missing, missing_in, rename, recode, dates, alike, units, skip, .. } = self;
        Ok(Reading {
            separator,
            decimal,
            thousands,
            encoding,
            missing,
            missing_in,
            rename,
            recode,
            dates,
            alike,
            units,
            skip,
            not_rows,
            other: Vec::new(),
        })
    }
}

impl Reading {
    /// The settings that differ from `other`'s, as lines of `[data]`.
    #[must_use]
    pub fn lines(&self, other: &Self) -> Vec<String> {
        let text = |text: &str| toml_edit::value(text).to_string();
        let list = |words: &[String]| {
            let words: Vec<String> = words.iter().map(|word| text(word)).collect();
            format!("[{}]", words.join(", "))
        };
        let mut lines = Vec::new();
        let mut line = |key: &str, value: String| lines.push(format!("{key} = {value}"));
        if self.separator != other.separator {
            let sign = if self.separator == b'\t' {
                "tab"
            } else {
                &char::from(self.separator).to_string()
            };
            line("separator", text(sign));
        }
        if self.skip != other.skip {
            line("skip", self.skip.to_string());
        }
        if self.not_rows != other.not_rows {
            line("not_rows", list(&self.not_rows));
        }
        if self.decimal != other.decimal {
            line("decimal", text(&self.decimal.to_string()));
        }
        if let (true, Some(sign)) = (self.thousands != other.thousands, self.thousands) {
            line("thousands", text(&sign.to_string()));
        }
        if self.units != other.units {
            line("units", list(&self.units));
        }
        if let (true, Some(encoding)) = (self.encoding != other.encoding, self.encoding) {
            line("encoding", text(&encoding.name().to_lowercase()));
        }
        if self.missing != other.missing {
            line("missing", list(&self.missing));
        }
        if self.missing_in != other.missing_in {
            line("missing_in", table(&self.missing_in, |words| list(words)));
        }
        if self.rename != other.rename {
            line("rename", table(&self.rename, |name| text(name)));
        }
        if self.recode != other.recode {
            line("recode", table(&self.recode, |words| table(words, |word| text(word))));
        }
        if self.dates != other.dates {
            line("dates", table(&self.dates, |date| text(date)));
        }
        if self.alike != other.alike {
            line("alike", list(&self.alike));
        }
        lines
    }
}

/// A table on one line.
fn table<V>(entries: &BTreeMap<String, V>, value: impl Fn(&V) -> String) -> String {
    let mut text = "{".to_owned();
    for (at, (key, entry)) in entries.iter().enumerate() {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        let key = if !key.is_empty() && key.bytes().all(plain) {
            key.clone()
        } else {
            toml_edit::value(key).to_string()
        };
        let comma = if at > 0 { "," } else { "" };
        let _ = write!(text, "{comma} {key} = {}", value(entry));
    }
    text + " }"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Reading, (String, String)> {
        toml::from_str::<RawData>(text).unwrap().reading()
    }

    #[test]
    fn settings_survive_their_lines() {
        let text = "separator = \"tab\"\ndecimal = \",\"\nthousands = \".\"\nencoding = \"windows-1252\"\n\
                    missing = [\"NA\", \"k.A. \\\"x\\\"\"]\nmissing_in = { income = [\"-999\"] }\n\
                    rename = { \"Alter (Jahre)\" = \"age\" }\nrecode = { sex = { 1 = \"m\", 2 = \"f\" } }\n\
                    dates = { admitted = \"%d.%m.%Y\", left = \"excel\" }\nalike = [\"sex\"]\nunits = [\"\u{20ac}\"]\n\
                    skip = 2\nnot_rows = [\"Summe\", \"(# rows)\", \"---\"]";
        let reading = read(text).unwrap();
        let lines = reading.lines(&Reading::default());
        assert_eq!(lines.len(), 13, "{lines:?}");
        assert_eq!(read(&lines.join("\n")).unwrap(), reading);
        assert!(reading.lines(&reading).is_empty());
        assert_eq!(read("").unwrap(), Reading::default());
        assert_eq!(read("encoding = \"UTF-8\"").unwrap(), Reading::default());
    }

    #[test]
    fn first_cells_of_lines_that_are_no_rows_have_a_form() {
        for (cell, form) in [
            (" Summe ", "Summe"),
            ("(1204 rows)", "(# rows)"),
            ("-----", "---"),
            ("--", "--"),
            ("-5", "-#"),
        ] {
            assert_eq!(no_row(cell), form, "{cell}");
        }
    }

    /// What is proposed has to be possible.
    #[test]
    fn all_forms_of_dates_that_are_proposed_are_settings() {
        for form in super::super::dates::FORMS {
            assert!(read(&format!("dates = {{ a = {form:?} }}")).is_ok(), "{form}");
        }
    }

    #[test]
    fn settings_have_rules() {
        for (text, field) in [
            ("separator = \"x\"", "data.separator"),
            ("decimal = \";\"", "data.decimal"),
            ("thousands = \".\"", "data.thousands"),
            ("encoding = \"morse\"", "data.encoding"),
            ("missing = [\"\"]", "data.missing"),
            ("missing_in = { a = [\" x\"] }", "data.missing_in"),
            ("rename = { a = \"c\", b = \"c\" }", "data.rename"),
            ("dates = { a = \"%d.%m.%y\" }", "data.dates"),
            ("dates = { a = \"%d.%m.%Y %Q\" }", "data.dates"),
            ("dates = { a = \"%d %Y\" }", "data.dates"),
            ("dates = { a = \"calc\" }", "data.dates"),
            ("units = [\"m2\"]", "data.units"),
            ("not_rows = [\"\"]", "data.not_rows"),
            ("skip = 2000", "data.skip"),
        ] {
            assert_eq!(read(text).unwrap_err().0, field, "{text}");
        }
    }
}
