//! The columns of a source as they are, where there is no study yet.

use std::collections::BTreeMap;

use mpc_ml::data::Cell;

use super::header::renamed;
use super::translate::{Kind, Translate};
use super::{DataError, Source, read_columns};

/// Distinct words that are kept of a column.
const WORDS: usize = 200;

/// What is in a column. **Private data.**
pub struct Profile {
    /// Its name, as studies have it.
    pub name: String,
    /// How many rows there are.
    pub rows: u64,
    /// In how many of them the cell is missing.
    pub missing: u64,
    /// What the others are.
    pub shape: Shape,
    /// The distinct ones with their counts, as far as there is room.
    pub words: BTreeMap<String, u64>,
    /// Whether there are more of them.
    pub more_words: bool,
}

impl std::fmt::Debug for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Profile({:?})", self.name)
    }
}

/// What the cells of a column are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// Numbers, or dates.
    Numbers {
        /// The smallest.
        low: f64,
        /// The largest.
        high: f64,
        /// Whether all are whole.
        whole: bool,
    },
    /// Words.
    Words,
}

/// Reads all columns of a source.
///
/// # Errors
/// When it cannot be read.
pub fn profile(source: &Source) -> Result<Vec<Profile>, DataError> {
    let mut columns: Vec<Profile> = Vec::new();
    let mut numbers: Vec<Translate> = Vec::new();
    let mut words: Vec<Translate> = Vec::new();
    let mut rows = 0_u64;
    // The names are known when the rows are: the settings of each column are looked up then.
    let (header, _) = read_columns(source, &[], |_| {
        rows += 1;
        Ok(())
    })?;
    for name in renamed(header.iter(), &source.reading) {
        numbers.push(Translate::new(&source.reading, &name, Kind::Number));
        words.push(Translate::new(&source.reading, &name, Kind::Text));
        let shape = Shape::Numbers { low: f64::INFINITY, high: f64::NEG_INFINITY, whole: true };
        let words = BTreeMap::new();
        columns.push(Profile { name, rows, missing: 0, shape, words, more_words: false });
    }
    read_columns(source, &[], |cells| {
        for (at, (column, cell)) in columns.iter_mut().zip(cells.all).enumerate() {
            column.cell(cell, &mut numbers[at], &mut words[at]);
        }
        Ok(())
    })?;
    for column in &mut columns {
        // A column of nothing holds no numbers.
        if column.missing == column.rows {
            column.shape = Shape::Words;
        }
    }
    Ok(columns)
}

impl Profile {
    fn cell(&mut self, cell: &str, numbers: &mut Translate, words: &mut Translate) {
        let word = match words.read(Cell::text(cell)) {
            Ok(cell) => cell.words().into_owned(),
            Err(_) => cell.trim().to_owned(),
        };
        if word.is_empty() {
            self.missing += 1;
            return;
        }
        if let Shape::Numbers { low, high, whole } = &mut self.shape {
            let number = match numbers.read(Cell::text(cell)) {
                Ok(Cell::Number(number)) => Some(number),
                Ok(Cell::Text(text)) if text.is_empty() => {
                    // A number that stands for a missing cell, written in another way.
                    self.missing += 1;
                    return;
                }
                Ok(Cell::Text(text)) => text.trim().parse().ok(),
                Err(_) => None,
            };
            match number.filter(|number: &f64| number.is_finite()) {
                Some(number) => {
                    (*low, *high) = (low.min(number), high.max(number));
                    *whole &= number.fract() == 0.0;
                }
                None => self.shape = Shape::Words,
            }
        }
        let full = self.words.len() == WORDS;
        match self.words.get_mut(&word) {
            Some(count) => *count += 1,
            None if full => self.more_words = true,
            None => {
                self.words.insert(word, 1);
            }
        }
    }
}
