//! What the cells of a file look like.

use std::collections::{BTreeMap, BTreeSet};

use encoding_rs::Encoding;
use mpc_ml::data::{FeatureKind, Schema, look_alike};

use super::{Kind, Reading, lists, plain_number};
use crate::data_file::dates::{Dates, FORMS, counted};
use crate::data_file::summary::SENTINELS;
use crate::data_file::translate::without_unit;

/// Encodings from before UTF-8, the most frequent first.
pub(super) const LEGACY: [&Encoding; 4] = [
    encoding_rs::WINDOWS_1252,
    encoding_rs::WINDOWS_1250,
    encoding_rs::WINDOWS_1251,
    encoding_rs::MACINTOSH,
];

/// Words that programs and people write where nothing is known.
const MISSING: &[&str] = &[
    "NA",
    "N/A",
    "n/a",
    "na",
    "#N/A",
    "#NV",
    "<NA>",
    "NULL",
    "null",
    "Null",
    "(null)",
    "NaN",
    "nan",
    "NAN",
    ".",
    "-",
    "--",
    "?",
    "None",
    "none",
    "NONE",
    "missing",
    "Missing",
    "MISSING",
    "unknown",
    "Unknown",
    "UNKNOWN",
    "unbekannt",
    "k.A.",
    "k. A.",
    "n.d.",
    "ND",
    "s/d",
    "NR",
    "N.A.",
    "n.a.",
    "#NULL!",
    "#N/D!",
    "#N/D",
    "NaT",
    "\\N",
    "leer",
    "inconnu",
];

/// A number that stands for nothing where it lies outside of what the study calls possible, and is too usual to be
/// one of the [`SENTINELS`] elsewhere.
const OUTSIDE: f64 = -1.0;

/// How numbers are written, the most frequent first.
const SPELLINGS: &[(char, Option<char>)] = &[
    ('.', None),
    (',', None),
    (',', Some('.')),
    (',', Some(' ')),
    ('.', Some(',')),
    ('.', Some('\'')),
    ('.', Some(' ')),
];

/// What was seen of one column.
struct Seen {
    name: String,
    kind: Kind,
    range: Option<(f64, f64)>,
    cells: u64,
    /// Words for missing cells.
    missing: BTreeMap<&'static str, u64>,
    /// Cells that are no number, under each spelling.
    misspelt: [u64; SPELLINGS.len()],
    /// A sum over the numbers under each spelling, by which readings are told apart.
    read: [u64; SPELLINGS.len()],
    /// Cells that are no date, under each form.
    undated: Vec<u64>,
    sentinels: BTreeMap<i64, u64>,
    alike: u64,
    /// What stands beside numbers.
    units: BTreeSet<&'static str>,
    /// Usual words for the classes of the study.
    classes: BTreeMap<String, String>,
    /// Numbers in the range of the study, and those that are when each program's numbers of dates are read.
    inside: u64,
    counted: BTreeMap<&'static str, u64>,
}

/// What was seen of all of them.
pub(super) struct Guess {
    columns: Vec<Seen>,
    dates: Vec<Dates>,
    recoded: Vec<bool>,
}

impl Guess {
    pub(super) fn new(reading: &Reading, schema: &Schema, columns: &[(String, Kind)]) -> Self {
        let range = |name: &str| {
            let feature = schema.features().iter().find(|feature| feature.name == name)?;
            match &feature.kind {
                FeatureKind::Numeric(numeric) => numeric.range,
                FeatureKind::Categorical(_) => None,
            }
        };
        let seen = columns.iter().map(|(name, kind)| Seen {
            name: name.clone(),
            kind: kind.clone(),
            range: range(name),
            cells: 0,
            missing: BTreeMap::new(),
            misspelt: [0; SPELLINGS.len()],
            read: [0; SPELLINGS.len()],
            undated: vec![0; FORMS.len()],
            sentinels: BTreeMap::new(),
            alike: 0,
            units: BTreeSet::new(),
            classes: BTreeMap::new(),
            inside: 0,
            counted: BTreeMap::new(),
        });
        // Who has said how dates or words of a column are written is not told better.
        let set =
            |name: &String| reading.recode.contains_key(name) || reading.dates.contains_key(name);
        Self {
            columns: seen.collect(),
            dates: FORMS.iter().map(|form| Dates::new(form)).collect(),
            recoded: columns.iter().map(|(name, _)| set(name)).collect(),
        }
    }

    pub(super) fn row(&mut self, cells: &[&str]) {
        let Self { columns, dates, recoded } = self;
        for ((seen, cell), recoded) in columns.iter_mut().zip(cells).zip(recoded) {
            let cell = cell.trim();
            if !cell.is_empty() && !*recoded {
                seen.cell(cell, dates);
            }
        }
    }

    /// Writes down what settings follow, and tells what only the operator can know.
    pub(super) fn settle(self, reading: &mut Reading) -> Vec<String> {
        let mut open = Vec::new();
        let is_level = |word: &str| {
            self.columns.iter().any(|seen| match &seen.kind {
                Kind::Words(levels) => levels.iter().any(|level| level == word),
                Kind::Number | Kind::Text => false,
            })
        };
        let (mut numeric, mut read) = ([0; SPELLINGS.len()], [0_u64; SPELLINGS.len()]);
        for seen in &self.columns {
            let dated: Vec<usize> = (0..FORMS.len()).filter(|&at| seen.undated[at] == 0).collect();
            let is_date = seen.kind == Kind::Number
                && seen.cells > 0
                && !dated.is_empty()
                && seen.misspelt.iter().all(|misspelt| 2 * misspelt > seen.cells);
            if is_date {
                let twin =
                    |form: &str| form.replace("%d", "%_").replace("%m", "%d").replace("%_", "%m");
                let form = FORMS[dated[0]];
                match dated.iter().find(|&&at| FORMS[at] == twin(form) && FORMS[at] != form) {
                    Some(&other) => open.push(format!(
                        "The column {:?} holds dates of which nobody can tell day and month apart: write \
                         dates = {{ {:?} = {form:?} }} or {:?} below [data] in party.toml.",
                        seen.name, seen.name, FORMS[other]
                    )),
                    None => {
                        reading.dates.insert(seen.name.clone(), form.to_owned());
                    }
                }
            } else {
                for at in 0..SPELLINGS.len() {
                    numeric[at] += seen.misspelt[at];
                    read[at] = read[at].wrapping_add(seen.read[at]);
                }
            }
            for unit in &seen.units {
                if !reading.units.iter().any(|each| each == unit) {
                    reading.units.push((*unit).to_owned());
                }
            }
            if !seen.classes.is_empty() {
                reading.recode.entry(seen.name.clone()).or_default().extend(seen.classes.clone());
            }
            // Only where nothing is possible as it stands, and one program's dates all are.
            let whole: Vec<_> =
                seen.counted.iter().filter(|(_, count)| **count == seen.cells).collect();
            if let ([(program, _)], 0) = (&whole[..], seen.inside)
                && !reading.dates.contains_key(&seen.name)
            {
                reading.dates.insert(seen.name.clone(), (**program).to_owned());
            }
            for word in seen.missing.keys() {
                if is_level(word) {
                    reading
                        .missing_in
                        .entry(seen.name.clone())
                        .or_default()
                        .push((*word).to_owned());
                } else if !reading.missing.iter().any(|each| each == word) {
                    reading.missing.push((*word).to_owned());
                }
            }
            for number in seen.sentinels.keys() {
                reading.missing_in.entry(seen.name.clone()).or_default().push(number.to_string());
            }
            if seen.alike > 0 && !reading.alike.contains(&seen.name) {
                reading.alike.push(seen.name.clone());
            }
        }
        let now = SPELLINGS
            .iter()
            .position(|spelling| *spelling == (reading.decimal, reading.thousands))
            .map_or(u64::MAX, |at| numeric[at]);
        // Of several that read the same, the first: it asks for the least.
        let best = (0..SPELLINGS.len()).min_by_key(|&at| numeric[at]);
        if let Some(at) = best.filter(|&at| numeric[at] < now) {
            let other = (at..SPELLINGS.len())
                .find(|&other| numeric[other] == numeric[at] && read[other] != read[at]);
            match other.map(|other| [SPELLINGS[at], SPELLINGS[other]]) {
                None => (reading.decimal, reading.thousands) = SPELLINGS[at],
                Some(ways) => {
                    let line = |(decimal, thousands): (char, Option<char>)| {
                        let thousands = thousands
                            .map(|sign| format!(" and thousands = \"{sign}\""))
                            .unwrap_or_default();
                        format!("decimal = \"{decimal}\"{thousands}")
                    };
                    open.push(format!(
                        "The numbers can be read in two ways, and nobody but you can tell which: write {}, or {}, \
                         below [data] in party.toml.",
                        line(ways[0]),
                        line(ways[1])
                    ));
                }
            }
        }
        open
    }
}

impl Seen {
    /// Looks whether a number is possible, as it stands and as a date.
    fn count(&mut self, cell: &str) {
        let Some((low, high)) = self.range else { return };
        let spelt =
            SPELLINGS[..2].iter().find_map(|(decimal, _)| plain_number(cell, *decimal, None));
        let Some(number) = spelt.and_then(|number| number.parse::<f64>().ok()) else { return };
        self.inside += u64::from((low..=high).contains(&number));
        for (program, _) in counted(number).filter(|(_, days)| (low..=high).contains(days)) {
            *self.counted.entry(program).or_default() += 1;
        }
    }

    fn cell(&mut self, cell: &str, dates: &[Dates]) {
        let word = MISSING.iter().find(|word| **word == cell);
        match &self.kind {
            Kind::Text => {}
            Kind::Words(levels) if levels.iter().any(|level| level == cell) => {}
            Kind::Words(levels) => {
                if let Some(word) = word {
                    *self.missing.entry(word).or_default() += 1;
                } else if look_alike(cell, &levels.iter().map(String::as_str)).is_some() {
                    self.alike += 1;
                } else if let Some(level) = lists::class_of(cell, levels) {
                    self.classes.insert(cell.to_owned(), level.to_owned());
                }
            }
            Kind::Number => {
                if let Some(word) = word {
                    *self.missing.entry(word).or_default() += 1;
                    return;
                }
                self.cells += 1;
                let unit = lists::unit_of(cell);
                self.units.extend(unit);
                let cell = without_unit(cell, unit.into_iter());
                self.count(cell);
                let mut is_number = false;
                for (at, (decimal, thousands)) in SPELLINGS.iter().enumerate() {
                    let number = plain_number(cell, *decimal, *thousands);
                    let number = number.and_then(|number| number.parse::<f64>().ok());
                    self.misspelt[at] += u64::from(number.is_none());
                    let bits = number.map_or(0, |number| (number + 0.0).to_bits());
                    self.read[at] = self.read[at].wrapping_add(bits.wrapping_mul(self.cells | 1));
                    is_number |= number.is_some();
                    let outside = |number: &f64| {
                        self.range.is_some_and(|(low, high)| *number < low || *number > high)
                    };
                    if let Some(number) = number.filter(outside)
                        && *decimal == '.'
                        && thousands.is_none()
                        && (number == OUTSIDE || SENTINELS.contains(&number))
                    {
                        *self.sentinels.entry(number as i64).or_default() += 1;
                    }
                }
                // Dates are looked for where there are other cells than numbers.
                if !is_number || self.undated.iter().any(|undated| *undated < self.cells - 1) {
                    for (undated, dates) in self.undated.iter_mut().zip(dates) {
                        *undated += u64::from(dates.days(cell).is_none());
                    }
                } else {
                    self.undated.iter_mut().for_each(|undated| *undated += 1);
                }
            }
        }
    }
}
