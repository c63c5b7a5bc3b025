//! From the cells of a row to the bytes of its id.

use serde::Deserialize;
use unicode_normalization::UnicodeNormalization;

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
    #[serde(default = "usual")]
    rules: Vec<Rule>,
}

fn usual() -> Vec<Rule> {
    vec![Rule::Nfkc, Rule::Lower, Rule::Trim]
}

/// Makes ids of cells.
#[derive(Clone, Debug)]
pub(super) struct Encoder(Vec<IdColumn>);

impl Encoder {
    pub(super) fn new(mut columns: Vec<IdColumn>) -> Result<Self, (Field, String)> {
        if columns.is_empty() {
            return Err((Field::from("id"), "must name a column at least".to_owned()));
        }
        for at in 0..columns.len() {
            let field = |key| Field::from("id").item(at).key(key);
            let (before, rest) = columns.split_at_mut(at);
            let IdColumn { column, rules } = &mut rest[0];
            if column.is_empty() || column.trim() != column {
                let rule = "must be the name of a column, without spaces at its ends".to_owned();
                return Err((field("column"), rule));
            }
            if before.iter().any(|other| other.column == *column) {
                return Err((field("column"), format!("{column:?} is there twice")));
            }
            let given = rules.len();
            rules.sort_unstable();
            rules.dedup();
            if rules.len() != given {
                return Err((field("rules"), "have one twice".to_owned()));
            }
            if rules.contains(&Rule::Digits) && rules.contains(&Rule::LettersAndDigits) {
                let rule = "have \"digits\" and \"letters-and-digits\": choose one".to_owned();
                return Err((field("rules"), rule));
            }
        }
        Ok(Self(columns))
    }

    /// The names of the columns.
    pub(super) fn columns(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|column| column.column.as_str())
    }

    /// The parts of an id, each normalised.
    pub(super) fn parts(&self, cells: &[&str]) -> Vec<String> {
        let cells = self.0.iter().zip(cells);
        cells.map(|(column, cell)| normalised(cell, &column.rules)).collect()
    }

    /// The bytes of the id of these cells; `None` if there is none.
    pub(super) fn encode(&self, cells: &[&str]) -> Option<Vec<u8>> {
        encoded(&self.parts(cells))
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

    #[test]
    fn parts_do_not_run_together_and_empty_ones_are_no_id() {
        let column = |name: &str| IdColumn { column: name.to_owned(), rules: usual() };
        let encoder = Encoder::new(vec![column("a"), column("b")]).unwrap();
        assert_ne!(encoder.encode(&["ab", "c"]), encoder.encode(&["a", "bc"]));
        assert_eq!(encoder.encode(&["ab", " "]), None);
        assert!(Encoder::new(vec![column("a"), column("a")]).is_err());
        assert!(Encoder::new(vec![]).is_err());
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
