//! The loop for every processor.

use super::{Four, ONES, TILE, Tile};

pub(super) fn add(rows: usize, a: &[Four], b: [&[Four]; 2], c: [&mut [Tile]; 2]) {
    let [c0, c1] = c;
    let mut tiles = c0.iter_mut().zip(c1);
    for (i, a) in a.chunks_exact(rows).enumerate() {
        let groups = b[0].chunks_exact(rows).zip(b[1].chunks_exact(rows)).skip(i);
        for ((b0, b1), (c0, c1)) in groups.zip(&mut tiles) {
            add_tile(a, b0, c0);
            add_tile(a, b1, c1);
        }
    }
}

fn add_tile(a: &[Four], b: &[Four], c: &mut Tile) {
    let mut sums = [[ONES; TILE]; TILE];
    for (a, b) in a.iter().zip(b) {
        for (sums, a) in sums.iter_mut().zip(a) {
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum += a * b;
            }
        }
    }
    for (c, sum) in c.iter_mut().flatten().zip(sums.iter().flatten()) {
        let sum = (sum.to_bits() as i64).wrapping_sub(ONES.to_bits() as i64);
        *c = c.wrapping_add(sum);
    }
}
