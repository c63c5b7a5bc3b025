//! Sums of which one row has nearly all: what an owner should know before it takes part.

use super::plan::{DescribePlan, Kind, MISSING};
use crate::data::{Column, Table};

/// Fewer own rows say nothing about how large one of them is.
const LEAST: u64 = 3;

/// A sum that is made of one row more than of all others of its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dominated {
    /// The column.
    pub column: String,
    /// The group of the rows, where there are groups.
    pub group: Option<String>,
}

impl DescribePlan {
    /// Where one of these rows, which are one party's own, makes up more than half of what they add to a sum that is
    /// released, in magnitude: that sum tells its number nearly to whoever knows the others'. No threshold on counts
    /// sees it. For the owner alone.
    #[must_use]
    pub fn dominated(&self, table: &Table) -> Vec<Dominated> {
        let by = self.versions[0].group.map(|group| &self.columns[group]);
        let groups = by.map_or(1, |column| column.cells().len());
        let mut out = Vec::new();
        for column in &self.columns {
            let (Kind::Numeric { .. }, Some(Column::Numeric(numbers))) =
                (&column.kind, table.columns().get(column.at))
            else {
                continue;
            };
            // How many there are, the largest, and all together.
            let mut sums = vec![(0u64, 0.0f64, 0.0f64); groups];
            for (row, number) in numbers.iter().enumerate() {
                let group = match by.map(|column| &table.columns()[column.at]) {
                    Some(Column::Categorical(levels)) => {
                        levels[row].map_or(groups - 1, |level| level as usize)
                    }
                    _ => 0,
                };
                if let (Some(number), Some(sum)) = (number, sums.get_mut(group)) {
                    *sum = (sum.0 + 1, sum.1.max(number.abs()), sum.2 + number.abs());
                }
            }
            let names = by.map(super::plan::Column::cells);
            for (group, &(count, largest, all)) in sums.iter().enumerate() {
                if count >= LEAST && largest > all / 2.0 {
                    let name = names.as_ref().map(|names| names[group].clone());
                    let group = name.filter(|name| name != MISSING);
                    out.push(Dominated { column: column.name.clone(), group });
                }
            }
        }
        out
    }
}
