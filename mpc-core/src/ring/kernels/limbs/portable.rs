//! The loop for every processor.

use super::{LANES, Sums, Tables};

pub(super) fn sums(tables: &Tables, streams: &[[u8; 16]], out: &mut Vec<Sums>) {
    let blocks = tables.blocks;
    for block in 0..blocks {
        let mut sums = [[0i32; LANES]; 3];
        let entries = tables.entries[0].iter().zip(&tables.entries[1]).skip(block).step_by(blocks);
        let leaves = streams.chunks_exact(2 * blocks);
        for (pair, (f, g)) in leaves.zip(entries) {
            let leaves = [&pair[block], &pair[blocks + block]];
            for (which, stream) in leaves.into_iter().enumerate() {
                for lane in 0..LANES {
                    let s = i16::from_le_bytes([stream[2 * lane], stream[2 * lane + 1]]);
                    let (s, at) = (i32::from(s), 2 * lane + which);
                    sums[0][lane] = sums[0][lane].wrapping_add(s);
                    sums[1][lane] = sums[1][lane].wrapping_add(s.wrapping_mul(f[at].into()));
                    sums[2][lane] = sums[2][lane].wrapping_add(s.wrapping_mul(g[at].into()));
                }
            }
        }
        out.push(sums);
    }
}
