//! One party's own counts and sums.

use zeroize::Zeroizing;

use super::plan::{Column as Described, DescribePlan, FRACTION, Kind, Version};
use crate::data::{Column, Table};
use crate::error::Error;

/// The counts and the sums of each version, of one party's rows: **private data**.
pub(super) struct Own {
    pub(super) counts: Vec<Zeroizing<Vec<u64>>>,
    pub(super) sums: Vec<Zeroizing<Vec<i128>>>,
    /// The counts of each column of words by itself.
    pub(super) one_way: Vec<Zeroizing<Vec<u64>>>,
}

/// The cells of one column: which of its levels, missing ones last; numbers beside it.
struct Cells {
    level: Zeroizing<Vec<u32>>,
    number: Zeroizing<Vec<i64>>,
    levels: usize,
}

impl Own {
    pub(super) fn of(plan: &DescribePlan, table: &Table, me: usize) -> Result<Self, Error> {
        table.check_shape(plan.rows.get(me), plan.columns.len())?;
        let cells: Vec<Cells> = plan
            .columns
            .iter()
            .map(|column| Cells::of(column, &table.columns()[column.at]))
            .collect::<Result<_, _>>()?;
        let rows = table.rows();
        let counted = |version: &Version| counts(plan, version, (&cells, table), rows);
        let summed = |version: &Version| sums(plan, version, &cells, rows);
        let alone = |cells: &Cells| {
            let mut counts = Zeroizing::new(vec![0u64; cells.levels]);
            cells.level.iter().for_each(|&level| counts[level as usize] += 1);
            counts
        };
        let words = plan.columns.iter().zip(&cells).filter(|(column, _)| !column.is_numeric());
        let one_way = words.map(|(_, cells)| alone(cells)).collect();
        Ok(Self {
            one_way,
            counts: plan.versions.iter().map(counted).collect(),
            sums: plan.versions.iter().map(summed).collect(),
        })
    }
}

impl Cells {
    fn of(described: &Described, column: &Column) -> Result<Self, Error> {
        let levels = described.cells().len();
        let refused = |what: &str| {
            Err(Error::Data(format!(
                "column {}: {what}, which the plan has no place for",
                described.name
            )))
        };
        let mut level = Zeroizing::new(Vec::new());
        let mut number = Zeroizing::new(Vec::new());
        match (column, &described.kind) {
            (Column::Numeric(numbers), Kind::Numeric { low, high }) => {
                let half = (high - low) / 2.0;
                let middle = low + half;
                let one = (1i64 << FRACTION) as f64;
                level.reserve_exact(numbers.len());
                number.reserve_exact(numbers.len());
                for cell in numbers.iter() {
                    let value = cell.map(|cell| (cell - middle) / half);
                    if value.is_some_and(|value| value.is_nan() || value.abs() > 1.0 + 1e-9) {
                        return refused("a number beyond the range");
                    }
                    level.push(u32::from(value.is_none()));
                    number.push(value.map_or(0, |value| libm::rint(value * one) as i64));
                }
            }
            (Column::Categorical(cells), Kind::Levels(names)) => {
                let none = names.len() as u32;
                level.reserve_exact(cells.len());
                level.extend(cells.iter().map(|cell| cell.unwrap_or(none)));
            }
            _ => return refused("another kind of cells"),
        }
        if level.iter().any(|&level| level as usize >= levels) {
            return refused("a missing cell");
        }
        Ok(Self { level, number, levels })
    }
}

/// The group of each row.
fn group(version: &Version, cells: &[Cells], row: usize) -> usize {
    version.group.map_or(0, |group| cells[group].level[row] as usize)
}

/// Whether the row has all numbers.
fn complete(plan: &DescribePlan, cells: &[Cells], row: usize) -> bool {
    let numeric = plan.columns.iter().zip(cells).filter(|(column, _)| column.is_numeric());
    numeric.into_iter().all(|(_, cells)| cells.level[row] == 0)
}

fn counts(
    plan: &DescribePlan,
    version: &Version,
    (cells, table): (&[Cells], &Table),
    rows: usize,
) -> Zeroizing<Vec<u64>> {
    let columns = &plan.columns;
    let mut out = Zeroizing::new(Vec::with_capacity(version.cells(columns)));
    let groups = version.groups(columns);
    let tally = |places: usize, place: &dyn Fn(usize) -> usize| {
        let mut counts = Zeroizing::new(vec![0u64; places]);
        (0..rows).for_each(|row| counts[place(row)] += 1);
        counts
    };
    out.extend_from_slice(&tally(groups, &|row| group(version, cells, row)));
    for (at, _) in version.described(columns) {
        let Cells { level, levels, .. } = &cells[at];
        let place = |row: usize| group(version, cells, row) * levels + level[row] as usize;
        out.extend_from_slice(&tally(groups * levels, &place));
    }
    for &(a, b) in &version.tables {
        let place = |row: usize| {
            cells[a].level[row] as usize * cells[b].levels + cells[b].level[row] as usize
        };
        out.extend_from_slice(&tally(cells[a].levels * cells[b].levels, &place));
    }
    if version.correlations {
        let incomplete = |row: usize| usize::from(!complete(plan, cells, row));
        let both = tally(2, &incomplete);
        out.extend_from_slice(&both);
        for (column, cells) in columns.iter().zip(cells).filter(|(column, _)| column.is_numeric()) {
            let missing = cells.level.iter().filter(|&&level| level > 0).count() as u64;
            debug_assert!(column.missing || missing == 0);
            out.push(both[1] - missing);
        }
    }
    for &(at, intervals) in &version.histograms {
        let mut tally = Zeroizing::new(vec![0u64; intervals as usize]);
        if let (Column::Numeric(numbers), Kind::Numeric { low, high }) =
            (&table.columns()[columns[at].at], &columns[at].kind)
        {
            for value in numbers.iter().flatten() {
                // The upper end of the range belongs to the last interval.
                let place = (value - low) * f64::from(intervals) / (high - low);
                tally[(place.max(0.0) as usize).min(intervals as usize - 1)] += 1;
            }
        }
        out.extend_from_slice(&tally);
    }
    out
}

fn sums(
    plan: &DescribePlan,
    version: &Version,
    cells: &[Cells],
    rows: usize,
) -> Zeroizing<Vec<i128>> {
    let columns = &plan.columns;
    let groups = version.groups(columns);
    let numeric: Vec<&Cells> = columns
        .iter()
        .zip(cells)
        .filter(|(it, _)| it.is_numeric())
        .map(|(_, cells)| cells)
        .collect();
    let mut out = Zeroizing::new(Vec::with_capacity(version.sums(columns)));
    for Cells { number, .. } in &numeric {
        let mut sums = Zeroizing::new(vec![0i128; 2 * groups]);
        for (row, &number) in number.iter().enumerate() {
            // A missing cell is 0.
            let at = 2 * group(version, cells, row);
            sums[at] += i128::from(number);
            sums[at + 1] += i128::from(number) * i128::from(number);
        }
        out.extend_from_slice(&sums);
    }
    if version.correlations {
        let whole: Vec<usize> = (0..rows).filter(|&row| complete(plan, cells, row)).collect();
        for Cells { number, .. } in &numeric {
            out.push(whole.iter().map(|&row| i128::from(number[row])).sum());
        }
        for (i, a) in numeric.iter().enumerate() {
            for b in &numeric[i..] {
                let product = |&row: &usize| i128::from(a.number[row]) * i128::from(b.number[row]);
                out.push(whole.iter().map(product).sum());
            }
        }
    }
    out
}
