//! Trees of seeds, punctured at a secret leaf (Goldreich, Goldwasser, Micali; docs/protocols.md
//! 6.3).
//!
//! The owner of a tree expands a root; for every level it sends, through one OT a level, the sum
//! (xor) of all left and the sum of all right nodes. The other side, with the leaf d, takes at
//! each level the sum on the side that the path to d leaves, and so gets every leaf but d.
//!
//! Constant time: the punctured tree is kept in *relative order*, leaf x at place x + d (+ is
//! xor), which needs one masked swap for each node and no secret index; the unknown leaf stands at
//! place 0.
//!
//! # Security
//! Both sums of a level are sent, each under the pad of one side of the level's OT: a receiver
//! gets the one that it chose. A plain tree with a length-doubling generator ([`Cipher::expand`])
//! needs no more than that the generator is one; the half tree would save 16 bytes a level under
//! an ideal-permutation argument of its own.

use zeroize::Zeroizing;

use super::block::{Block, Cipher, swap_if, xor};

/// Bytes that the sums of one level take.
pub(crate) const LEVEL_BYTES: usize = 32;

/// All leaves under `root`, and the sums of each level.
pub(crate) fn full(
    cipher: &Cipher,
    root: Block,
    depth: u32,
    leaves: &mut Vec<Block>,
    sums: &mut Vec<[Block; 2]>,
) {
    let mut nodes = Zeroizing::new(vec![root]);
    for _ in 0..depth {
        cipher.expand(&nodes, 2, leaves);
        let mut sum = [[0; 16]; 2];
        for pair in leaves.as_chunks::<2>().0 {
            sum = [xor(sum[0], pair[0]), xor(sum[1], pair[1])];
        }
        sums.push(sum);
        std::mem::swap(&mut *nodes, leaves);
    }
    std::mem::swap(&mut *nodes, leaves);
}

/// The leaves but for d, in relative order with zero at place 0. `keys[l]` is the sum of level l
/// on the side that the path to d leaves.
pub(crate) fn punctured(
    cipher: &Cipher,
    keys: &[Block],
    d: u32,
    depth: u32,
    leaves: &mut Vec<Block>,
) {
    let mut nodes = Zeroizing::new(vec![[0; 16]]);
    for (level, &key) in keys.iter().enumerate() {
        let bit = d >> (depth - 1 - level as u32) & 1;
        cipher.expand(&nodes, 2, leaves);
        let pairs = leaves.as_chunks_mut::<2>().0;
        // What was expanded from the unknown node means nothing; its sibling's sum does.
        pairs[0] = [[0; 16], key];
        let mut sibling = key;
        for [left, right] in &mut pairs[1..] {
            swap_if(bit, left, right);
            sibling = xor(sibling, *right);
        }
        pairs[0][1] = sibling;
        std::mem::swap(&mut *nodes, leaves);
    }
    std::mem::swap(&mut *nodes, leaves);
}

/// Moves what stands at place x + d to place x.
pub(crate) fn absolute_order(leaves: &mut [Block], d: u32) {
    let mut stride = 1;
    let mut bits = d;
    while stride < leaves.len() {
        for pair in leaves.chunks_exact_mut(2 * stride) {
            let (low, high) = pair.split_at_mut(stride);
            for (a, b) in low.iter_mut().zip(high) {
                swap_if(bits, a, b);
            }
        }
        stride *= 2;
        bits >>= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_punctured_tree_lacks_one_leaf() {
        for depth in 1..=7 {
            for d in 0..1u32 << depth {
                let cipher = Cipher::new(&[9; 16]).keyed(u64::from(d));
                let (mut all, mut sums) = (Vec::new(), Vec::new());
                full(&cipher, [depth as u8; 16], depth, &mut all, &mut sums);
                assert_eq!(all.len(), 1 << depth);
                let keys: Vec<Block> = (0..depth)
                    .map(|l| sums[l as usize][1 - (d >> (depth - 1 - l) & 1) as usize])
                    .collect();
                let mut some = Vec::new();
                punctured(&cipher, &keys, d, depth, &mut some);
                assert_eq!(some[0], [0; 16]);
                absolute_order(&mut some, d);
                for x in 0..1usize << depth {
                    assert_eq!(some[x] == all[x], x != d as usize, "leaf {x}, hole {d}");
                }
            }
        }
    }
}
