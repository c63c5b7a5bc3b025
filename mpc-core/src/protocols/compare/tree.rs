//! Public numbers against shared bits (docs/protocols.md 14.3, steps 2 and 3).

use crate::error::Error;
use crate::protocols::bits::{AndFactors, and_both};
use crate::ring::PackedBits;
use crate::session::Session;
use crate::share::SharedBits;

/// Whether the lowest bits of z are, as a number, below the shared bits r: a plane for each z. Rounds: the
/// logarithm of the planes of r.
pub(super) async fn below_bits(
    z: &[Vec<u64>],
    r: &SharedBits,
    mut factors: Option<AndFactors>,
    session: &mut Session,
) -> Result<SharedBits, Error> {
    let (trees, lanes, leaves) = (z.len(), r.lanes(), r.planes());
    // A node of some bits: whether z is below r in them, and whether both are equal. Nodes of one tree
    // stand one behind the other, the lowest bits first.
    let of: Vec<usize> = (0..trees).flat_map(|_| 0..leaves).collect();
    let r = r.select(&of);
    let bits = PackedBits::of(trees * leaves, lanes, |plane, lane| {
        u128::from(z[plane / leaves][lane] >> (plane % leaves))
    });
    let mut below = r.and_public(&bits.not());
    let mut equal = r.xor(&SharedBits::public(&bits.not(), session));
    let mut nodes = leaves;
    while nodes > 1 {
        let pairs = nodes / 2;
        let at = |high: usize| -> Vec<usize> {
            let of = |tree: usize| (0..pairs).map(move |pair| tree * nodes + 2 * pair + high);
            (0..trees).flat_map(of).collect()
        };
        let (low, high) = (at(0), at(1));
        let factors =
            factors.as_mut().ok_or_else(|| Error::internal("a comparison without triples"))?;
        let [below_low, both] = and_both(
            &equal.select(&high),
            [&below.select(&low), &equal.select(&low)],
            factors,
            session,
        )
        .await?;
        let merged = below.select(&high).xor(&below_low);
        let left = nodes - pairs;
        if nodes.is_multiple_of(2) {
            (below, equal) = (merged, both);
        } else {
            // The highest node of each tree waits for the next level.
            let single: Vec<usize> = (0..trees).map(|tree| tree * nodes + nodes - 1).collect();
            let place: Vec<usize> = (0..trees)
                .flat_map(|tree| {
                    let own = tree * pairs..(tree + 1) * pairs;
                    own.chain([trees * pairs + tree])
                })
                .collect();
            below = merged.above(&below.select(&single)).select(&place);
            equal = both.above(&equal.select(&single)).select(&place);
        }
        nodes = left;
    }
    Ok(below)
}
