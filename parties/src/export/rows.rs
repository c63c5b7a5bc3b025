//! The rows that an export is tested with: those of a table, and invented ones that use every term.

use std::ops::Range;

use mpc_ml::artifact::Model;
use mpc_ml::data::{
    CategoricalMissing, Column, FeatureKind, Numeric, NumericMissing, Scaling, Table,
};

/// Some rows, column by column, as the cells are in the file: **private data**.
pub(super) struct Rows<'a> {
    pub count: usize,
    pub columns: Vec<(&'a str, Cells<'a>)>,
}

/// The cells of a column.
pub(super) enum Cells<'a> {
    /// NaN where one is missing.
    Numbers(Vec<f64>),
    /// Empty where one is missing.
    Words(Vec<&'a str>),
}

impl<'a> Rows<'a> {
    /// These rows of a table.
    pub(super) fn of(table: &'a Table, range: Range<usize>) -> Self {
        let schema = table.schema();
        let cells = |(feature, column): (&'a mpc_ml::data::Feature, &'a Column)| {
            let cells = match (column, &feature.kind) {
                (Column::Categorical(cells), FeatureKind::Categorical(rule)) => {
                    let word = |level: &Option<u32>| {
                        let level = level.and_then(|level| rule.levels.get(level as usize));
                        level.map_or("", String::as_str)
                    };
                    Cells::Words(cells[range.clone()].iter().map(word).collect())
                }
                (Column::Numeric(cells), _) => {
                    let cells = cells.iter().skip(range.start).take(range.len());
                    Cells::Numbers(cells.map(|cell| cell.unwrap_or(f64::NAN)).collect())
                }
                (Column::Categorical(_), FeatureKind::Numeric(_)) => {
                    unreachable!("columns are made by the kinds of the features")
                }
            };
            (feature.name.as_str(), cells)
        };
        let mut columns: Vec<_> =
            schema.features().iter().zip(table.columns()).map(cells).collect();
        if let (Some(offset), Some(values)) = (schema.offset(), table.offset()) {
            columns.push((&offset.column, Cells::Numbers(values[range.clone()].to_vec())));
        }
        Self { count: range.len(), columns }
    }

    /// The cells of a column.
    pub(super) fn column(&self, name: &str) -> Option<&Cells<'a>> {
        self.columns.iter().find(|(column, _)| *column == name).map(|(_, cells)| cells)
    }

    /// The cell of a numeric column in a row; `None` where it is missing or there is no such column.
    pub(super) fn number(&self, name: &str, row: usize) -> Option<f64> {
        match self.column(name)? {
            Cells::Numbers(cells) => cells.get(row).copied().filter(|cell| !cell.is_nan()),
            Cells::Words(_) => None,
        }
    }

    /// The cell of a column of words in a row; `None` where it is missing or there is no such column.
    pub(super) fn word(&self, name: &str, row: usize) -> Option<&'a str> {
        match self.column(name)? {
            Cells::Words(cells) => cells.get(row).copied().filter(|cell| !cell.is_empty()),
            Cells::Numbers(_) => None,
        }
    }
}

/// Rows in which every level and every missing cell occurs that the model allows, and numbers on both sides of
/// the mean.
pub(super) fn invented(model: &Model) -> Result<Table, String> {
    let schema = model.schema();
    let levels = |kind: &FeatureKind| match kind {
        FeatureKind::Categorical(rule) => rule.levels.len() + 1,
        FeatureKind::Numeric(_) => 0,
    };
    let most = schema.features().iter().map(|feature| levels(&feature.kind)).max().unwrap_or(0);
    let mut table = Table::builder_without_target(schema.clone());
    for row in 0..(2 * most).max(64) {
        let mut cells = Vec::new();
        for (at, feature) in schema.features().iter().enumerate() {
            cells.push(match &feature.kind {
                FeatureKind::Numeric(rule) => number(model, &feature.name, rule, row + 3 * at),
                FeatureKind::Categorical(rule) => {
                    let empty = usize::from(rule.missing != CategoricalMissing::Refuse);
                    let place = (row + at) % (rule.levels.len() + empty);
                    rule.levels.get(place).cloned().unwrap_or_default()
                }
            });
        }
        if let Some(offset) = schema.offset() {
            let (low, high) = offset.range;
            // Near 0, where the range allows it: the exponential of it is to stay a number.
            let value = 0.1 * (row % 7) as f64 - 0.3;
            cells.push(value.clamp(low, high).to_string());
        }
        let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
        table.push_row(&cells).map_err(|bad| {
            let columns: Vec<&str> = bad.iter().map(|cell| cell.column.as_str()).collect();
            format!("no row can be invented that has {}", columns.join(", "))
        })?;
    }
    Ok(table.finish())
}

/// A number of a column, which is within its range; empty in every fifth row, if that is allowed.
fn number(model: &Model, name: &str, rule: &Numeric, row: usize) -> String {
    if row % 5 == 4 && rule.missing != NumericMissing::Refuse {
        return String::new();
    }
    let joint = model.standardisation().iter().find(|each| each.name == name);
    let (mean, std) = match (rule.scale, joint) {
        (Scaling::Constants { mean, std }, _) => (mean, std),
        (Scaling::Joint, Some(joint)) => (joint.mean, joint.std),
        _ => (0.0, 1.0),
    };
    let value = mean + std * (0.37 * (row % 11) as f64 - 1.9);
    let (low, high) = rule.range.unwrap_or((f64::MIN, f64::MAX));
    value.clamp(low, high).to_string()
}
