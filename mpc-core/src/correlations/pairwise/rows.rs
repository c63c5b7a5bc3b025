//! Rows of an extension: 128 of them, 128 OTs to a block.

use zeroize::Zeroizing;

use super::block::{Block, xor, xor_into};
use crate::rand::{MaskSite, MaskSwitch};

/// Rows of a batch: bits of a correlated OT.
pub(crate) const ROWS: usize = 128;

/// Blocks of each row in one pass: 128 OTs a block. Larger passes do not stay in the cache.
pub(crate) const PASS: usize = 32;

/// Buffers of one batch.
pub(crate) struct Scratch {
    pub(crate) streams: Zeroizing<Vec<Block>>,
    pub(crate) rows: Zeroizing<Vec<Block>>,
    switch: MaskSwitch,
}

impl Scratch {
    pub(crate) fn new(depth: usize, switch: MaskSwitch) -> Self {
        Self {
            streams: Zeroizing::new(vec![[0; 16]; PASS << depth]),
            rows: Zeroizing::new(vec![[0; 16]; PASS * ROWS]),
            switch,
        }
    }

    /// Leaves out what hides the choices where a test says so.
    pub(crate) fn mask(&mut self, len: usize) {
        if self.switch.is_off(MaskSite::OtChoice) {
            self.streams[..len].fill([0; 16]);
        }
    }
}

/// From streams of n blocks at places x = 0, 1, ..: row b becomes the sum over all x with bit b,
/// and the first stream the sum over all.
pub(crate) fn fold(streams: &mut [Block], n: usize, rows: &mut [Block]) {
    let mut count = streams.len() / n;
    for row in rows.chunks_exact_mut(n) {
        count /= 2;
        let (even, odd) = streams[..2 * n].split_at_mut(n);
        row.copy_from_slice(odd);
        xor_into(even, odd);
        for x in 1..count {
            let (done, rest) = streams.split_at_mut(2 * x * n);
            let (even, odd) = rest[..2 * n].split_at(n);
            xor_into(row, odd);
            for ((out, &a), &b) in done[x * n..(x + 1) * n].iter_mut().zip(even).zip(odd) {
                *out = xor(a, b);
            }
        }
    }
}

/// 128 rows of n blocks become 128 n blocks: bit r of block j is bit j of row r.
pub(crate) fn transpose(rows: &[Block], n: usize, out: &mut Vec<Block>) {
    const MASKS: [u64; 6] = [
        0x0000_0000_ffff_ffff,
        0x0000_ffff_0000_ffff,
        0x00ff_00ff_00ff_00ff,
        0x0f0f_0f0f_0f0f_0f0f,
        0x3333_3333_3333_3333,
        0x5555_5555_5555_5555,
    ];
    let mut square = Zeroizing::new([[0u64; 2]; 128]);
    for column in 0..n {
        for (to, row) in square.iter_mut().zip(rows.chunks_exact(n)) {
            let word = u128::from_le_bytes(row[column]);
            *to = [word as u64, (word >> 64) as u64];
        }
        let (low, high) = square.split_at_mut(64);
        for (a, b) in low.iter_mut().zip(high) {
            std::mem::swap(&mut a[1], &mut b[0]);
        }
        let mut shift = 32;
        for mask in MASKS {
            for pair in square.chunks_exact_mut(2 * shift) {
                let (low, high) = pair.split_at_mut(shift);
                for (a, b) in low.iter_mut().zip(high) {
                    for lane in 0..2 {
                        let t = ((a[lane] >> shift) ^ b[lane]) & mask;
                        b[lane] ^= t;
                        a[lane] ^= t << shift;
                    }
                }
            }
            shift /= 2;
        }
        out.extend(
            square.iter().map(|w| (u128::from(w[0]) | u128::from(w[1]) << 64).to_le_bytes()),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::block::fresh;
    use super::*;
    use crate::rand::Coins;

    #[test]
    fn transposition_moves_every_bit() {
        let rows = fresh(128 * 3, &mut Coins::fresh().expect("randomness"));
        let mut out = Vec::new();
        transpose(&rows, 3, &mut out);
        let bit = |block: &Block, at: usize| block[at / 8] >> (at % 8) & 1;
        for r in 0..128 {
            for j in 0..384 {
                assert_eq!(bit(&out[j], r), bit(&rows[3 * r + j / 128], j % 128));
            }
        }
    }
}
