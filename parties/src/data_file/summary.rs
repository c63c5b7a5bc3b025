//! What an operator should know of the own rows before others are met: one entry for each column. It stays on this
//! machine.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use mpc_ml::data::{Column, FeatureKind, Table, Target};
use serde::Serialize;

use super::DataFile;

/// Numbers that often stand for nothing.
pub(super) const SENTINELS: [f64; 11] = [
    -9.0,
    -99.0,
    -999.0,
    -9999.0,
    -99_999.0,
    99.0,
    999.0,
    9999.0,
    99_999.0,
    999_999.0,
    9_999_999.0,
];

/// As many cells with such a number are a coincidence.
const SENTINEL_CELLS: u64 = 3;

/// What is said of a party's own rows. **Private data.**
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// How many rows there are.
    pub rows: u64,
    /// How many of them are like one that came before, in every column that the study uses.
    pub duplicate_rows: u64,
    /// How many ids came before; none where there are no ids.
    pub duplicate_ids: Option<u64>,
    /// The columns, in the order of the study, the target last.
    pub columns: Vec<ColumnSummary>,
}

/// What is said of one column. **Private data.**
#[derive(Clone, Debug, Serialize)]
pub struct ColumnSummary {
    /// Its name.
    pub name: String,
    /// Cells in which nothing stands, or a word for it.
    pub missing: u64,
    /// The words for missing cells, with their counts.
    pub missing_words: Vec<(String, u64)>,
    /// Mean, standard deviation (by n), smallest and largest of its numbers.
    pub numbers: Option<[f64; 4]>,
    /// Its levels or classes, with their counts.
    pub levels: Vec<(String, u64)>,
    /// Numbers that may stand for nothing, with their counts.
    pub sentinels: Vec<(f64, u64)>,
}

impl Summary {
    /// Of rows that were read.
    #[must_use]
    pub fn of(file: &DataFile) -> Self {
        let table = &file.table;
        let mut columns = Vec::new();
        for (feature, cells) in table.schema().features().iter().zip(table.columns()) {
            columns.push(match (&feature.kind, cells) {
                (_, Column::Numeric(cells)) => of_numbers(&feature.name, cells.iter()),
                (FeatureKind::Categorical(categorical), Column::Categorical(cells)) => {
                    let mut counts = vec![0; categorical.levels.len()];
                    cells.iter().flatten().for_each(|level| counts[*level as usize] += 1);
                    let missing = cells.iter().filter(|cell| cell.is_none()).count() as u64;
                    let levels = categorical.levels.iter().cloned().zip(counts).collect();
                    ColumnSummary { levels, missing, ..named(&feature.name) }
                }
                _ => named(&feature.name),
            });
        }
        let schema = table.schema();
        if let (Some(offset), Some(cells)) = (schema.offset(), table.offset()) {
            columns.push(of_numbers(&offset.column, cells.iter().copied().map(Some)));
        }
        if let (Some(weights), Some(cells)) = (schema.weights(), table.weights()) {
            columns.push(of_numbers(&weights.column, cells.iter().copied().map(Some)));
        }
        if let Some(cells) = table.target() {
            columns.push(match schema.target() {
                Target::Binary(binary) => {
                    let positive = cells.iter().filter(|cell| **cell == 1.0).count() as u64;
                    let classes = [&binary.positive, &binary.negative].map(Clone::clone);
                    let counts = [positive, cells.len() as u64 - positive];
                    let levels = classes.into_iter().zip(counts).collect();
                    ColumnSummary { levels, ..named(&binary.column) }
                }
                Target::Levels(target) => {
                    let count = |at: usize| cells.iter().filter(|cell| **cell == at as f64).count();
                    let levels = target.levels.iter().enumerate();
                    let levels =
                        levels.map(|(at, level)| (level.clone(), count(at) as u64)).collect();
                    ColumnSummary { levels, ..named(&target.column) }
                }
                target => of_numbers(target.column(), cells.iter().copied().map(Some)),
            });
        }
        for column in &mut columns {
            let words = file.missing_words.0.get(&column.name);
            column.missing_words = words.cloned().unwrap_or_default();
        }
        let duplicate_ids = file.ids.as_ref().map(|ids| {
            let distinct: HashSet<&String> = ids.0.iter().collect();
            (ids.0.len() - distinct.len()) as u64
        });
        Self {
            rows: table.rows() as u64,
            duplicate_rows: duplicate_rows(table),
            duplicate_ids,
            columns,
        }
    }
}

fn named(name: &str) -> ColumnSummary {
    ColumnSummary {
        name: name.to_owned(),
        missing: 0,
        missing_words: Vec::new(),
        numbers: None,
        levels: Vec::new(),
        sentinels: Vec::new(),
    }
}

fn of_numbers(name: &str, cells: impl Iterator<Item = Option<f64>> + Clone) -> ColumnSummary {
    let missing = cells.clone().filter(Option::is_none).count() as u64;
    let there = cells.flatten();
    let count = there.clone().count() as f64;
    if count == 0.0 {
        return ColumnSummary { missing, ..named(name) };
    }
    let mean = there.clone().map(|cell| cell / count).sum::<f64>();
    let square = there.clone().map(|cell| (cell - mean).powi(2) / count).sum::<f64>();
    let low = there.clone().fold(f64::INFINITY, f64::min);
    let high = there.clone().fold(f64::NEG_INFINITY, f64::max);
    // A sentinel stands at an end, away from all others.
    let ends = SENTINELS.iter().filter(|&&sentinel| sentinel == low || sentinel == high);
    let lonely = |sentinel: &f64| {
        let nearest = there.clone().filter(|cell| cell != sentinel);
        let nearest = nearest.map(|cell| (cell - sentinel).abs()).fold(f64::INFINITY, f64::min);
        nearest > 0.1 * sentinel.abs()
    };
    let counted = ends
        .filter(|sentinel| lonely(sentinel))
        .map(|&sentinel| (sentinel, there.clone().filter(|cell| *cell == sentinel).count() as u64));
    let sentinels = counted.filter(|(_, count)| *count >= SENTINEL_CELLS).collect();
    let numbers = Some([mean, square.sqrt(), low, high]);
    ColumnSummary { missing, numbers, sentinels, ..named(name) }
}

/// How many rows are like one before, by hashes under a key of this run.
fn duplicate_rows(table: &Table) -> u64 {
    if table.columns().is_empty() {
        return 0;
    }
    let key = RandomState::new();
    let mut rows = vec![0_u64; table.rows()];
    let mut take = |cells: &mut dyn Iterator<Item = u64>| {
        rows.iter_mut().zip(cells).for_each(|(row, cell)| *row = key.hash_one((*row, cell)));
    };
    for column in table.columns() {
        match column {
            Column::Numeric(cells) => {
                take(&mut cells.iter().map(|cell| cell.map_or(u64::MAX, f64::to_bits)));
            }
            Column::Categorical(cells) => {
                take(&mut cells.iter().map(|cell| cell.map_or(u64::MAX, u64::from)));
            }
        }
    }
    for cells in [table.target(), table.offset(), table.weights()].into_iter().flatten() {
        take(&mut cells.iter().map(|cell| cell.to_bits()));
    }
    let distinct: HashSet<u64> = rows.iter().copied().collect();
    (rows.len() - distinct.len()) as u64
}
