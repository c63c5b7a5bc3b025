//! Rows that nobody has, of the form that a study asks for.

use std::collections::HashSet;

use mpc_ml::data::{Feature, FeatureKind, Scaling, Target};

use crate::study::Study;

/// How far standardised numbers are from their mean at most: uniform ones have the deviation 1 with it.
const WIDTH: f64 = 1.7;

/// A plain sequence of numbers (SplitMix64): what is invented has nothing to hide.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// Uniform in [0, 1).
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.unit() * bound as f64) as usize
    }
}

/// The column with the number of a record, where the parties hold columns: none of the study's.
pub(super) fn record(study: &Study) -> String {
    let schema = study.schema();
    let mut taken: HashSet<&str> = schema.features().iter().map(|it| it.name.as_str()).collect();
    taken.insert(schema.target().column());
    taken.extend(schema.offset().map(|offset| offset.column.as_str()));
    taken.extend(schema.weights().map(|weights| weights.column.as_str()));
    taken.extend(schema.groups());
    let mut name = "record".to_owned();
    while taken.iter().any(|other| other.eq_ignore_ascii_case(&name)) {
        name.push('_');
    }
    name
}

/// A CSV of `count` rows for the party in this place. The target depends on the features, as in data that
/// are worth a study: the score of a row has a deviation of about 1. Where the parties hold columns, all of them
/// invent the same rows, and each keeps its columns of them.
pub(super) fn rows(study: &Study, place: usize, count: u64) -> String {
    let by_columns = study.columns().is_some();
    let alike = if by_columns { 0 } else { place };
    let mut numbers = Numbers(0x706c_616e ^ (alike as u64) << 32);
    let (whole, schema) = (study.schema(), study.schema_of(place));
    let own: HashSet<&str> = schema.features().iter().map(|it| it.name.as_str()).collect();
    let number = by_columns.then(|| record(study));
    let mut header: Vec<&str> = number.iter().map(String::as_str).collect();
    header.extend(schema.features().iter().map(|it| it.name.as_str()));
    if study.has_target(place) {
        header.push(schema.target().column());
    }
    header.extend(schema.offset().map(|offset| offset.column.as_str()));
    header.extend(schema.weights().map(|weights| weights.column.as_str()));
    header.extend(schema.groups());
    let mut text = header.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(",") + "\n";
    let scale = 1.0 / (whole.features().len().max(1) as f64).sqrt();
    let centre = if by_columns { 0.0 } else { apart(place) };
    for row in 0..count {
        let (mut score, mut cells) = (0.0, Vec::new());
        cells.extend(number.iter().map(|_| row.to_string()));
        for (index, feature) in whole.features().iter().enumerate() {
            let (cell, z) = cell(feature, &mut numbers);
            score += if index % 2 == 0 { z * scale } else { -z * scale };
            if own.contains(feature.name.as_str()) {
                cells.push(cell);
            }
        }
        let target = target(whole.target(), score + centre, &mut numbers);
        if study.has_target(place) {
            cells.push(target);
        }
        let offset = 0.1 * (numbers.unit() - 0.5);
        cells.extend(schema.offset().map(|it| within(it.range, offset).to_string()));
        cells.extend(schema.weights().map(|it| within(it.range, 0.0).to_string()));
        cells.extend(schema.groups().map(|_| format!("{place}-{}", row / 5)));
        text += &cells.join(",");
        text.push('\n');
    }
    text
}

/// By how much the scores of a party are others than what the features say. Parties are never alike, and the
/// less they are, the more passes a fit takes whose curvature comes from what each fits alone.
fn apart(place: usize) -> f64 {
    const APART: [f64; 4] = [0.6, -0.6, 0.2, -0.2];
    APART[place % APART.len()]
}

/// The place in a range: 0 is its middle, -1/2 and 1/2 are its ends.
fn within((low, high): (f64, f64), at: f64) -> f64 {
    (low + high) / 2.0 + at * (high - low)
}

/// A cell, and its part of the score.
fn cell(feature: &Feature, numbers: &mut Numbers) -> (String, f64) {
    match &feature.kind {
        FeatureKind::Categorical(categorical) => {
            let index = numbers.below(categorical.levels.len());
            let z = index as f64 - (categorical.levels.len() - 1) as f64 / 2.0;
            (quoted(&categorical.levels[index]), z.clamp(-1.0, 1.0))
        }
        FeatureKind::Numeric(numeric) => {
            let unit = numbers.unit() - 0.5;
            let value = match (numeric.scale, numeric.range) {
                (Scaling::Constants { mean, std }, range) => {
                    let value = mean + 2.0 * WIDTH * std * unit;
                    range.map_or(value, |(low, high)| value.clamp(low, high))
                }
                (_, Some(range)) => within(range, 0.5 * unit),
                (_, None) => unit,
            };
            (value.to_string(), 2.0 * WIDTH * unit)
        }
    }
}

fn target(target: &Target, score: f64, numbers: &mut Numbers) -> String {
    match target {
        Target::Binary(binary) => {
            let positive = numbers.unit() < 1.0 / (1.0 + (-score).exp());
            quoted(if positive { &binary.positive } else { &binary.negative })
        }
        Target::Levels(target) => {
            let count = target.levels.len() as f64;
            let at = (count * (0.5 + score / 6.0 + 0.3 * (numbers.unit() - 0.5))).max(0.0);
            quoted(&target.levels[(at as usize).min(target.levels.len() - 1)])
        }
        Target::Numeric(numeric) => {
            let range = numeric.range.unwrap_or((-1.0, 1.0));
            let noise = numbers.unit() - 0.5;
            within(range, (0.05 * score + 0.2 * noise).clamp(-0.5, 0.5)).to_string()
        }
        Target::Count(count) => {
            // Knuth's way to Poisson numbers; they are small.
            let (limit, mut product, mut drawn) = ((-(0.5 * score).exp()).exp(), 1.0, -1.0);
            while product > limit {
                product *= numbers.unit();
                drawn += 1.0;
            }
            let (low, high) = (count.range.0.ceil(), count.range.1.floor());
            f64::clamp(drawn, low, high.max(low)).to_string()
        }
    }
}

/// A cell as CSV has it.
fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}
