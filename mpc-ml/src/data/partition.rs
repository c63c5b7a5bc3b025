//! Who holds which part of the joint table.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// A rectangle of the joint table that one party holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// The party that knows the entries, by its place in the study.
    pub owner: usize,
    /// Its rows in the joint table.
    pub rows: Range<u64>,
    /// Its columns in the encoded design matrix, the intercept not counted.
    pub columns: Range<u32>,
}

/// How the joint table is cut into blocks: public, and the same at every party. X w and X^T e are
/// sums over the blocks, whichever way it is cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    parties: usize,
    blocks: Vec<Block>,
}

/// Which way a table is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// Each party holds whole rows.
    Horizontal,
    /// Each party holds some columns of all rows.
    Vertical,
    /// Neither the one nor the other.
    Mixed,
}

impl Cut {
    /// What it is, in words that go on after "the parties".
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Horizontal => "hold whole rows",
            Self::Vertical => "hold different columns of the same rows",
            Self::Mixed => "hold some columns of some rows",
        }
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Horizontal => "horizontal",
            Self::Vertical => "vertical",
            Self::Mixed => "mixed",
        })
    }
}

impl Partition {
    /// Each party holds whole rows of `columns` columns, `rows[j]` of them party j; the joint table
    /// has the rows of party 0 first.
    #[must_use]
    pub fn horizontal(rows: &[u64], columns: u32) -> Self {
        let mut end = 0u64;
        let blocks = rows.iter().enumerate().map(|(owner, &own)| {
            let begin = end;
            end = end.saturating_add(own);
            Block { owner, rows: begin..end, columns: 0..columns }
        });
        Self { parties: rows.len(), blocks: blocks.collect() }
    }

    /// Each party holds some columns of all `rows` rows, `columns[j]` of them party j: those of party 0
    /// come first. A party may hold none.
    #[must_use]
    pub fn vertical(rows: u64, columns: &[u32]) -> Self {
        let mut end = 0u32;
        let blocks = columns.iter().enumerate().map(|(owner, &own)| {
            let begin = end;
            end = end.saturating_add(own);
            Block { owner, rows: 0..rows, columns: begin..end }
        });
        Self { parties: columns.len(), blocks: blocks.collect() }
    }

    /// A table cut into these blocks among `parties` parties.
    ///
    /// # Errors
    /// [`Error::Field`] of `partition` when an owner is not among the parties, or the blocks do not
    /// cover a table, each entry once.
    pub fn new(parties: usize, blocks: Vec<Block>) -> Result<Self, Error> {
        let wrong = |rule: &str| Err(Error::field("partition", rule));
        if blocks.iter().any(|block| block.owner >= parties) {
            return wrong("has a block of nobody among the parties");
        }
        let rows = blocks.iter().map(|block| block.rows.end).max().unwrap_or(0);
        let columns = blocks.iter().map(|block| block.columns.end).max().unwrap_or(0);
        let area = |block: &Block| {
            let rows = u128::from(block.rows.end.saturating_sub(block.rows.start));
            rows * u128::from(block.columns.end.saturating_sub(block.columns.start))
        };
        let overlap = |a: &Block, b: &Block| {
            let rows = a.rows.start < b.rows.end && b.rows.start < a.rows.end;
            let columns = a.columns.start < b.columns.end && b.columns.start < a.columns.end;
            rows && columns && area(a) > 0 && area(b) > 0
        };
        let pairs = (0..blocks.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
        if pairs.into_iter().any(|(i, j)| overlap(&blocks[i], &blocks[j])) {
            return wrong("gives an entry to two parties");
        }
        // Without overlaps, blocks cover the table when their areas add up to it.
        if blocks.iter().map(area).sum::<u128>() != u128::from(rows) * u128::from(columns) {
            return wrong("leaves an entry to nobody");
        }
        Ok(Self { parties, blocks })
    }

    /// The blocks.
    #[must_use]
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The number of parties.
    #[must_use]
    pub fn parties(&self) -> usize {
        self.parties
    }

    /// The columns of the joint table.
    #[must_use]
    pub fn columns(&self) -> u32 {
        self.blocks.iter().map(|block| block.columns.end).max().unwrap_or(0)
    }

    /// The rows of the joint table.
    #[must_use]
    pub fn total_rows(&self) -> u64 {
        self.blocks.iter().map(|block| block.rows.end).max().unwrap_or(0)
    }

    /// Which way the table is cut.
    #[must_use]
    pub fn cut(&self) -> Cut {
        let (rows, columns) = (self.total_rows(), self.columns());
        let length = |block: &Block| block.rows.end.saturating_sub(block.rows.start);
        // Without columns, blocks of the same rows are told from blocks of different ones by their length.
        let each_row_once = self.blocks.iter().map(length).sum::<u64>() == rows;
        if each_row_once && self.blocks.iter().all(|block| block.columns == (0..columns)) {
            Cut::Horizontal
        } else if self.blocks.iter().all(|block| block.rows == (0..rows)) {
            Cut::Vertical
        } else {
            Cut::Mixed
        }
    }

    /// The rows of which each party holds something: its own where it holds whole rows, and all where
    /// it holds columns.
    ///
    /// # Errors
    /// [`Error::Field`] of `partition` for a table that is cut both ways.
    pub fn rows(&self) -> Result<Vec<u64>, Error> {
        match self.cut() {
            Cut::Vertical => Ok(vec![self.total_rows(); self.parties]),
            Cut::Horizontal => {
                let mut rows = vec![0; self.parties];
                for block in &self.blocks {
                    rows[block.owner] += block.rows.end - block.rows.start;
                }
                Ok(rows)
            }
            Cut::Mixed => {
                let rule = "gives the parties some columns of some rows, which no model takes";
                Err(Error::field("partition", rule))
            }
        }
    }

    /// The columns of a party: all where it holds whole rows, none for who is not among the owners.
    ///
    /// # Errors
    /// [`Error::Field`] of `partition` when the columns of a party are not in one piece.
    pub fn columns_of(&self, party: usize) -> Result<Range<u32>, Error> {
        if self.cut() == Cut::Horizontal {
            return Ok(0..self.columns());
        }
        let mut own = self.blocks.iter().filter(|block| block.owner == party);
        match (own.next(), own.next()) {
            (None, _) => Ok(0..0),
            (Some(block), None) => Ok(block.columns.clone()),
            (Some(_), Some(_)) => {
                let rule = "gives a party columns in more than one piece, which no model takes: name \
                            the columns of each party one after the other";
                Err(Error::field("partition", rule))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(owner: usize, rows: Range<u64>, columns: Range<u32>) -> Block {
        Block { owner, rows, columns }
    }

    #[test]
    fn whole_rows_are_a_horizontal_partition() {
        let partition = Partition::horizontal(&[5, 0, 7], 3);
        assert_eq!(partition.cut(), Cut::Horizontal);
        assert_eq!(partition.rows().expect("whole rows"), [5, 0, 7]);
        assert_eq!((partition.total_rows(), partition.columns()), (12, 3));
        assert_eq!(partition.blocks()[2], block(2, 5..12, 0..3));
        // No columns at all: rows that have a target alone.
        assert_eq!(Partition::horizontal(&[2, 3], 0).rows().expect("whole rows"), [2, 3]);
    }

    #[test]
    fn other_ways_are_known() {
        let vertical = vec![block(0, 0..4, 0..2), block(1, 0..4, 2..3)];
        let vertical = Partition::new(2, vertical).expect("covers the table");
        assert_eq!(vertical.cut(), Cut::Vertical);
        assert_eq!(vertical.rows().expect("all rows"), [4, 4]);
        let mixed = vec![block(0, 0..4, 0..2), block(1, 0..2, 2..3), block(0, 2..4, 2..3)];
        let mixed = Partition::new(2, mixed).expect("covers the table");
        assert_eq!(mixed.cut(), Cut::Mixed);
        let error = mixed.rows().expect_err("refused").to_string();
        assert!(error.contains("partition") && error.contains("some rows"), "{error}");
    }

    #[test]
    fn columns_of_all_rows_are_a_vertical_partition() {
        let partition = Partition::vertical(9, &[2, 0, 3]);
        assert_eq!(partition.cut(), Cut::Vertical);
        assert_eq!(partition.rows().expect("all rows"), [9; 3]);
        assert_eq!((partition.total_rows(), partition.columns()), (9, 5));
        let of = |party| partition.columns_of(party).expect("in one piece");
        assert_eq!([of(0), of(1), of(2), of(3)], [0..2, 2..2, 2..5, 0..0]);
        assert_eq!(Partition::horizontal(&[4, 5], 3).columns_of(1).expect("all"), 0..3);
        let apart = vec![block(0, 0..4, 0..1), block(1, 0..4, 1..2), block(0, 0..4, 2..3)];
        let apart = Partition::new(2, apart).expect("covers the table");
        assert!(apart.columns_of(0).is_err() && apart.columns_of(1).is_ok());
        // Columns at one party, or none at all, are still columns of the same rows.
        for columns in [[3, 0], [0, 0]] {
            assert_eq!(Partition::vertical(9, &columns).cut(), Cut::Vertical);
        }
        assert_eq!(Partition::horizontal(&[9, 0], 3).cut(), Cut::Horizontal);
    }

    #[test]
    fn blocks_cover_every_entry_once() {
        let refused = |blocks| Partition::new(2, blocks).expect_err("refused").to_string();
        let hole = vec![block(0, 0..4, 0..2), block(1, 0..3, 2..3)];
        assert!(refused(hole).contains("to nobody"));
        let twice = vec![block(0, 0..4, 0..2), block(1, 3..6, 0..2)];
        assert!(refused(twice).contains("two parties"));
        assert!(refused(vec![block(2, 0..4, 0..2)]).contains("among the parties"));
    }
}
