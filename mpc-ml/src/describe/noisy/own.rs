//! What one party's own rows add to the figures.

use zeroize::Zeroizing;

use super::plan::{Column as Planned, NoisyPlan, UNIT, What};
use crate::data::{Column, Table};
use crate::error::Error;

/// The own rows, as they are counted: **private data**.
struct Cells {
    /// The cell of each row, missing ones last.
    cell: Zeroizing<Vec<u32>>,
    /// Numbers from -1 to 1, cut to that; 0 where they are missing.
    number: Zeroizing<Vec<f64>>,
}

/// The sums over the own rows, in the order of the plan's figures: **private data**. A row counts 1 in one cell of each
/// table, and to a sum adds no more than a unit, in integers, whatever is in it.
pub(super) fn sums(
    plan: &NoisyPlan,
    table: &Table,
    me: usize,
) -> Result<Zeroizing<Vec<i128>>, Error> {
    table.check_shape(plan.rows.get(me), plan.columns.len())?;
    let cells: Vec<Cells> = plan
        .columns
        .iter()
        .zip(table.columns())
        .map(|(planned, column)| Cells::of(planned, column))
        .collect::<Result<_, _>>()?;
    let group = |row: usize| plan.group.map_or(0, |group| cells[group].cell[row] as usize);
    let values = plan.parts.iter().map(|part| part.values).sum();
    let mut sums = Zeroizing::new(Vec::with_capacity(values));
    for part in &plan.parts {
        let mut part_sums = Zeroizing::new(vec![0_i128; part.values]);
        for row in 0..table.rows() {
            let (place, adds) = match part.what {
                What::Cells(a, None) => (cells[a].cell[row] as usize, 1),
                What::Cells(a, Some(b)) => {
                    let wide = plan.columns[b].size();
                    (cells[a].cell[row] as usize * wide + cells[b].cell[row] as usize, 1)
                }
                What::Intervals(at, intervals) => {
                    let wide = intervals as usize + usize::from(plan.columns[at].missing);
                    let interval = match cells[at].cell[row] {
                        0 => interval(cells[at].number[row], intervals),
                        _ => intervals as usize,
                    };
                    (group(row) * wide + interval, 1)
                }
                What::Sums(at) => (group(row), units(cells[at].number[row])),
                What::Squares(at) => (group(row), units(cells[at].number[row].powi(2))),
            };
            if let Some(sum) = part_sums.get_mut(place) {
                *sum += i128::from(adds);
            }
        }
        sums.extend_from_slice(&part_sums);
    }
    Ok(sums)
}

/// A number from -1 to 1 in units, towards zero, and never more than one.
fn units(number: f64) -> i64 {
    const MOST: i64 = UNIT as i64;
    ((number * UNIT as f64) as i64).clamp(-MOST, MOST)
}

/// In which of so many intervals of the same width a number from -1 to 1 lies; the upper end belongs to the last.
fn interval(number: f64, intervals: u32) -> usize {
    let place = (number + 1.0) / 2.0 * f64::from(intervals);
    (place.max(0.0) as usize).min(intervals as usize - 1)
}

impl Cells {
    fn of(planned: &Planned, column: &Column) -> Result<Self, Error> {
        let refused = |what: &str| {
            let name = &planned.name;
            Err(Error::Data(format!("column {name}: {what}, which the plan has no place for")))
        };
        let mut cell = Zeroizing::new(Vec::new());
        let mut number = Zeroizing::new(Vec::new());
        let cells = match (column, &planned.levels) {
            (Column::Numeric(numbers), None) => {
                let (low, high) = planned.range;
                let half = (high - low) / 2.0;
                cell.reserve_exact(numbers.len());
                number.reserve_exact(numbers.len());
                for value in numbers.iter() {
                    cell.push(u32::from(value.is_none()));
                    number.push(value.map_or(0.0, |it| ((it - low) / half - 1.0).clamp(-1.0, 1.0)));
                }
                1
            }
            (Column::Categorical(levels), Some(names)) => {
                let none = names.len() as u32;
                cell.reserve_exact(levels.len());
                cell.extend(levels.iter().map(|level| level.unwrap_or(none)));
                none
            }
            _ => return refused("another kind of cells"),
        };
        if cell.iter().any(|&cell| cell >= cells + u32::from(planned.missing)) {
            return refused("a missing cell");
        }
        Ok(Self { cell, number })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_counts_more_than_a_unit() {
        for (number, expected) in
            [(1.0, 1 << 20), (-1.0, -(1 << 20)), (f64::NAN, 0), (1e300, 1 << 20), (1e-7, 0)]
        {
            assert_eq!(units(number), expected);
        }
        assert_eq!([-1.0, -0.51, -0.5, 0.99, 1.0].map(|it| interval(it, 4)), [0, 0, 1, 3, 3]);
        assert_eq!(interval(f64::NAN, 4), 0);
    }
}
