//! Exact sums of products of integers that stand in floating point: the inner loop of the normal
//! equations (docs/protocols.md 7.2).
//!
//! A multiplication of doubles is the widest that every processor does in vectors. As long as
//! all sums stay below 2^51 nothing is rounded, in whatever order is added.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod portable;

use super::Level;

/// Rows and columns of a tile.
pub const TILE: usize = 4;
/// What the magnitudes of the products in one sum may add up to.
pub const LARGEST_SUM: f64 = (1u64 << 51) as f64;

/// Four neighbouring entries of a row.
pub type Four = [f64; TILE];
/// Sums of products for four columns of A, by row, and four of B.
pub type Tile = [[i64; TILE]; TILE];

/// 3 x 2^51: a double of this magnitude counts in ones, up to 2^51 in both directions.
const ONES: f64 = 3.0 * (1u64 << 51) as f64;

/// The tiles that [`add`] adds to, for A of `m` and B of `n` groups of four columns.
#[must_use]
pub const fn tiles(m: usize, n: usize) -> usize {
    assert!(m <= n, "A has no more columns than B");
    m * n - m * m.saturating_sub(1) / 2
}

/// C += A^T B for each of two B, all of the same rows. A matrix is laid out by groups of four
/// columns, and within a group by rows; of C there are the tiles on the diagonal and right of it,
/// row by row.
///
/// The entries are integers. Where those of a column of A times those of one of B add up to more
/// than [`LARGEST_SUM`] in magnitude, the sums are wrong, as they are where C itself overflows.
///
/// # Panics
/// Unless the matrices are whole groups of `rows` rows, A has no more of them than B, and C has
/// [`tiles`].
pub fn add(level: Level, rows: usize, a: &[Four], b: [&[Four]; 2], c: [&mut [Tile]; 2]) {
    if rows == 0 {
        return;
    }
    let whole = [a, b[0], b[1]].iter().all(|matrix| matrix.len().is_multiple_of(rows));
    assert!(whole && b[0].len() == b[1].len(), "whole groups, and both B equally large");
    let tiles = tiles(a.len() / rows, b[0].len() / rows);
    assert!(c.iter().all(|c| c.len() == tiles), "a tile for each pair of groups");
    match level {
        Level::Portable => portable::add(rows, a, b, c),
        #[cfg(target_arch = "x86_64")]
        Level::Avx2(level) => level.add_gram(rows, a, b, c),
        // Twice the width leaves more of the tiles on the wrong side of the diagonal.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512(level) => level.avx2().add_gram(rows, a, b, c),
    }
}
