//! What a coalition sees while it is found which counts are kept back, with every mask and without each
//! (docs/protocols.md 15.8, 0).

use super::tests::{run, twin};
use crate::correlations::Origin;
use crate::protocols::compare::harness::masked_openings;
use crate::rand::MaskSite;
use crate::testing::{record_openings, take_openings};

/// So many runs are looked at together.
const RUNS: usize = 40;

/// Lists of which some have small counts, alike at all parties.
fn counts(parties: usize) -> Vec<Vec<Vec<u64>>> {
    let list = |at: usize| match at % 3 {
        0 => vec![9, 30, 2, 0],
        1 => vec![8, 9, 40, 7],
        _ => vec![1, 5, 30, 9],
    };
    vec![(0..32).map(list).collect(); parties]
}

#[test]
fn every_mask_of_kept_counts_is_needed() {
    for (parties, origin) in [(3, Origin::Dealer), (2, Origin::Pairwise)] {
        let look = |off: Option<MaskSite>| {
            let runs: Vec<_> = (0..RUNS)
                .map(|_| {
                    record_openings();
                    run(5, (origin, off), &counts(parties));
                    take_openings()
                })
                .collect();
            masked_openings(&runs)
        };
        for (step, uniform) in look(None) {
            assert!(uniform, "with all masks: {step}, {parties} parties, {origin:?}");
        }
        for site in [
            MaskSite::RandomBit,
            MaskSite::AndLeft,
            MaskSite::AndRight,
            MaskSite::TripleLeft,
            MaskSite::TripleRight,
        ] {
            let seen = look(Some(site));
            let missed = seen.iter().any(|(_, uniform)| !uniform);
            assert!(missed, "{parties} parties, {origin:?}: nobody misses {site:?}");
        }
    }
}

/// What is beside a small count has to hide it: with too little together all is kept back.
#[test]
fn too_little_together_is_kept_back_as_a_whole() {
    let counts = [vec![vec![1, 5, 30]], vec![vec![9, 9, 30]], vec![vec![9, 9, 30]]];
    let told = run(5, (Origin::Dealer, None), &counts);
    assert_eq!(told, twin(5, &counts));
    assert_eq!(told[0], [true; 3], "1 and 5 beside each other pin the 1 down");
}
