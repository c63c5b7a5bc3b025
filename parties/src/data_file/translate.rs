//! From the cell as the file has it to the one that a study is about: the party's own words for missing cells, its
//! own spelling of numbers, dates and words.

use std::borrow::Cow;
use std::collections::BTreeMap;

use mpc_ml::data::{Cell, FeatureKind, Schema, Target, look_alike};

use super::Reading;
use super::dates::{Dates, is_count};

/// What a column is read as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Number,
    /// One of these words.
    Words(Vec<String>),
    /// Any text.
    Text,
}

/// The columns that `schema` takes from a file, in the order of a row, and what each holds.
pub(super) fn columns(schema: &Schema, with_target: bool) -> Vec<(String, Kind)> {
    let features = schema.features().iter().map(|feature| {
        let kind = match &feature.kind {
            FeatureKind::Numeric(_) => Kind::Number,
            FeatureKind::Categorical(each) => Kind::Words(each.levels.clone()),
        };
        (feature.name.clone(), kind)
    });
    let mut all: Vec<_> = features.collect();
    all.extend(schema.offset().map(|offset| (offset.column.clone(), Kind::Number)));
    if with_target {
        // Rows that are predicted have neither.
        all.extend(schema.weights().map(|weights| (weights.column.clone(), Kind::Number)));
        all.extend(schema.groups().map(|groups| (groups.to_owned(), Kind::Text)));
        let kind = match schema.target() {
            Target::Binary(binary) => {
                Kind::Words(vec![binary.positive.clone(), binary.negative.clone()])
            }
            Target::Levels(target) => Kind::Words(target.levels.clone()),
            Target::Numeric(_) | Target::Count(_) => Kind::Number,
        };
        all.push((schema.target().column().to_owned(), kind));
    }
    all
}

/// The level that stands for all words that are no other level, where an agreement has it.
pub const OTHER: &str = "(other)";

/// How the cells of one column are read.
pub(super) struct Translate {
    kind: Kind,
    /// Words for a missing cell, and how often each was there.
    missing: Vec<(String, u64)>,
    /// Those of them that are numbers, by their places.
    numbers: Vec<(f64, usize)>,
    recode: BTreeMap<String, String>,
    dates: Option<(Dates, String)>,
    decimal: char,
    thousands: Option<char>,
    /// What stands beside numbers.
    units: Vec<String>,
    alike: bool,
    other: bool,
    /// Whether texts are taken as they are.
    plain: bool,
}

impl Translate {
    pub(super) fn new(reading: &Reading, column: &str, kind: Kind) -> Self {
        let mut words = reading.missing.clone();
        words.extend(reading.missing_in.get(column).into_iter().flatten().cloned());
        let parse = |(at, word): (usize, &String)| Some((word.parse::<f64>().ok()?, at));
        // Where a column holds words, -999.0 is not the word -999.
        let numbers = match kind {
            Kind::Number => words.iter().enumerate().filter_map(parse).collect(),
            Kind::Words(_) | Kind::Text => Vec::new(),
        };
        let recode = reading.recode.get(column).cloned().unwrap_or_default();
        let dates = reading.dates.get(column).filter(|_| kind == Kind::Number);
        let alike = reading.alike.iter().any(|name| name == column);
        let other = reading.other.iter().any(|name| name == column);
        let (decimal, thousands) = (reading.decimal, reading.thousands);
        let units = if kind == Kind::Number { reading.units.clone() } else { Vec::new() };
        let is_number =
            kind == Kind::Number && (decimal != '.' || thousands.is_some() || !units.is_empty());
        Self {
            plain: words.is_empty()
                && recode.is_empty()
                && dates.is_none()
                && !(alike || other || is_number),
            missing: words.into_iter().map(|word| (word, 0)).collect(),
            numbers,
            recode,
            dates: dates.map(|format| (Dates::new(format), format.clone())),
            decimal,
            thousands,
            units,
            alike,
            other,
            kind,
        }
    }

    /// What stands for a word that is none of the levels, and looks like none of them: that may be a mistake.
    fn rest(&self, word: &str) -> Option<Cell<'static>> {
        let Kind::Words(levels) = &self.kind else { return None };
        let is_rest = self.other
            && !levels.iter().any(|level| level == word)
            && look_alike(word, &levels.iter().map(String::as_str)).is_none();
        is_rest.then(|| Cell::text(OTHER))
    }

    /// Whether cells are taken as they are.
    pub(super) fn is_plain(&self) -> bool {
        self.plain
    }

    pub(super) fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The words for missing cells that were there, with their counts.
    pub(super) fn found(&self) -> impl Iterator<Item = (&str, u64)> {
        self.missing.iter().filter(|(_, count)| *count > 0).map(|(word, count)| (&**word, *count))
    }

    /// Reads a cell; otherwise the rule that it breaks.
    pub(super) fn read<'a>(&mut self, cell: Cell<'a>) -> Result<Cell<'a>, String> {
        match cell {
            cell if self.plain => Ok(cell),
            Cell::Number(number) => Ok(self.number(number)),
            Cell::Text(text) => self.text(text),
        }
    }

    fn number<'a>(&mut self, number: f64) -> Cell<'a> {
        if let Some((_, at)) = self.numbers.iter().find(|(missing, _)| *missing == number) {
            self.missing[*at].1 += 1;
            return Cell::text("");
        }
        if let Some(days) = self.dates.as_ref().and_then(|(dates, _)| dates.of_number(number)) {
            return Cell::Number(days);
        }
        match self.recode.get(&number.to_string()) {
            Some(word) => Cell::Text(Cow::Owned(word.clone())),
            None => self.rest(&number.to_string()).unwrap_or(Cell::Number(number)),
        }
    }

    fn text<'a>(&mut self, text: Cow<'a, str>) -> Result<Cell<'a>, String> {
        let word = text.trim();
        if word.is_empty() {
            return Ok(Cell::text(""));
        }
        if let Some((_, count)) = self.missing.iter_mut().find(|(missing, _)| missing == word) {
            *count += 1;
            return Ok(Cell::text(""));
        }
        if let Some(meant) = self.recode.get(word) {
            return Ok(Cell::Text(Cow::Owned(meant.clone())));
        }
        match &self.kind {
            Kind::Number => {
                let word = without_unit(word, self.units.iter().map(String::as_str));
                let counted = self.dates.as_ref().filter(|(_, format)| is_count(format));
                if let Some((dates, format)) = self.dates.as_ref().filter(|_| counted.is_none()) {
                    return dates.days(word).map(Cell::Number).ok_or_else(|| {
                        format!(
                            "the cell is not a date written as {format:?} (data.dates), with a year from \
                             1800 to 2299"
                        )
                    });
                }
                let text: Cow<'a, str> = match plain_number(word, self.decimal, self.thousands) {
                    Some(number) => Cow::Owned(number),
                    None => {
                        return Err(format!(
                            "the cell is not a number; party.toml says that {:?} stands before decimals{}, \
                             and a missing cell is empty or one of data.missing",
                            self.decimal,
                            self.thousands.map_or_else(
                                || " and nothing between thousands".to_owned(),
                                |sign| format!(" and {sign:?} between groups of three digits"),
                            ),
                        ));
                    }
                };
                if let Ok(number) = text.parse::<f64>()
                    && let Some((_, at)) = self.numbers.iter().find(|(each, _)| *each == number)
                {
                    self.missing[*at].1 += 1;
                    return Ok(Cell::text(""));
                }
                if let Some((dates, _)) = counted
                    && let Ok(number) = text.parse::<f64>()
                    && let Some(days) = dates.of_number(number)
                {
                    return Ok(Cell::Number(days));
                }
                Ok(Cell::Text(text))
            }
            Kind::Words(levels) if self.alike && !levels.iter().any(|level| level == word) => {
                let meant = look_alike(word, &levels.iter().map(String::as_str));
                Ok(match meant {
                    Some((level, _)) => Cell::Text(Cow::Owned(level.to_owned())),
                    None => self.rest(word).unwrap_or(Cell::Text(text)),
                })
            }
            Kind::Words(_) if self.other => Ok(match self.rest(word) {
                Some(rest) => rest,
                None => Cell::Text(text),
            }),
            Kind::Words(_) | Kind::Text => Ok(Cell::Text(text)),
        }
    }
}

/// A number without the unit that stands before or behind it.
pub(super) fn without_unit<'w>(word: &'w str, units: impl Iterator<Item = &'w str>) -> &'w str {
    for unit in units {
        if let Some(rest) = word.strip_suffix(unit).or_else(|| word.strip_prefix(unit)) {
            return rest.trim();
        }
    }
    word
}

/// The number in the form that programs read; none where the signs do not stand as they must: with decimal commas,
/// `1.234` is no number, since nobody knows which one. What is no number at all, such as `NA`, comes as it is.
pub(super) fn plain_number(word: &str, decimal: char, thousands: Option<char>) -> Option<String> {
    let is_space = |letter: char| matches!(letter, ' ' | '\u{a0}' | '\u{202f}' | '\u{2009}');
    let is_group = |letter: char| match thousands {
        Some(sign) if is_space(sign) => is_space(letter),
        Some('\'' | '\u{2019}') => matches!(letter, '\'' | '\u{2019}'),
        Some(sign) => letter == sign,
        None => false,
    };
    let (whole, rest) = match word.find(decimal) {
        Some(at) => (&word[..at], &word[at + decimal.len_utf8()..]),
        None => match word.find(['e', 'E']) {
            Some(at) => (&word[..at], &word[at..]),
            None => (word, ""),
        },
    };
    let foreign = |letter: char| matches!(letter, '.' | ',') || is_group(letter);
    if rest.chars().any(foreign) {
        return None;
    }
    let has_point = word.contains(decimal);
    let mut plain = String::with_capacity(word.len());
    if whole.chars().any(is_group) {
        let digits = whole.trim_start_matches(['-', '+', '\u{2212}']);
        let groups: Vec<&str> = digits.split(is_group).collect();
        let digits_only = |group: &&str| group.bytes().all(|byte| byte.is_ascii_digit());
        let right = groups.iter().all(digits_only)
            && (1..=3).contains(&groups[0].len())
            && groups[1..].iter().all(|group| group.len() == 3);
        if !right {
            return None;
        }
        plain.extend(whole.chars().filter(|letter| !is_group(*letter)));
    } else if whole.contains(['.', ',']) {
        return None;
    } else {
        plain.push_str(whole);
    }
    if has_point {
        plain.push('.');
    }
    plain.push_str(rest);
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_they_are_written() {
        let plain = |word: &str, decimal, thousands| plain_number(word, decimal, thousands);
        let is = |word: &str, decimal, thousands, number: f64| {
            assert_eq!(
                plain(word, decimal, thousands).unwrap().parse::<f64>().unwrap(),
                number,
                "{word}"
            );
        };
        is("1,5", ',', None, 1.5);
        is("-1,5e3", ',', None, -1500.0);
        is("1.234,5", ',', Some('.'), 1234.5);
        is("1.234.567", ',', Some('.'), 1_234_567.0);
        is("1\u{202f}234,5", ',', Some(' '), 1234.5);
        is("-1'234.5", '.', Some('\''), -1234.5);
        assert_eq!(without_unit("1.5 kg", ["€", "kg"].into_iter()), "1.5");
        assert_eq!(without_unit("€1.5", ["€", "kg"].into_iter()), "1.5");
        is("1,234.5", '.', Some(','), 1234.5);
        is("12", ',', Some('.'), 12.0);
        // What could be two numbers is none.
        for (word, decimal, thousands) in [
            ("1.234", ',', None),
            ("1.5", ',', Some('.')),
            ("12.34,5", ',', Some('.')),
            ("1,234", '.', None),
            ("1234.567", ',', Some('.')),
            ("1,234,5", ',', None),
            ("1,2.3", ',', Some('.')),
            (".123", ',', Some('.')),
        ] {
            assert_eq!(plain(word, decimal, thousands), None, "{word}");
        }
        assert_eq!(plain("NA", ',', None).as_deref(), Some("NA"));
    }

    #[test]
    fn words_that_are_no_level_are_the_rest_where_there_is_one() {
        let reading = Reading { other: vec!["ward".into()], ..Reading::default() };
        let levels = Kind::Words(vec!["north".into(), "7".into(), OTHER.into()]);
        let mut ward = Translate::new(&reading, "ward", levels.clone());
        let mut is = |cell: Cell<'static>, due: &str| {
            assert_eq!(ward.read(cell).unwrap().words(), due);
        };
        is(Cell::text("north"), "north");
        is(Cell::text("south"), OTHER);
        is(Cell::Number(7.0), "7");
        is(Cell::Number(8.0), OTHER);
        is(Cell::text(" "), "");
        // It may be a mistake, and is refused where levels are compared.
        is(Cell::text("North"), "North");
        let mut other = Translate::new(&reading, "site", levels);
        assert_eq!(other.read(Cell::text("south")).unwrap().words(), "south");
    }

    #[test]
    fn missing_words_are_counted_and_numbers_are_numbers() {
        let reading = Reading {
            missing: vec!["NA".into(), "-999".into()],
            decimal: ',',
            ..Reading::default()
        };
        let mut number = Translate::new(&reading, "age", Kind::Number);
        for cell in ["NA", " -999", "-999,0"] {
            assert_eq!(number.read(Cell::text(cell)).unwrap(), Cell::text(""), "{cell}");
        }
        assert_eq!(number.read(Cell::Number(-999.0)).unwrap(), Cell::text(""));
        assert_eq!(number.read(Cell::text("3,5")).unwrap(), Cell::text("3.5"));
        assert!(number.read(Cell::text("3.5")).unwrap_err().contains("stands before decimals"));
        assert_eq!(number.found().collect::<Vec<_>>(), [("NA", 1), ("-999", 3)]);
        let mut word = Translate::new(&reading, "code", Kind::Text);
        assert_eq!(word.read(Cell::text("-999.0")).unwrap(), Cell::text("-999.0"));
    }
}
