//! Marks against their plain twin, and what an auditor can work out of everything that is released.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::correlations::Origin;
use crate::ideal::suppressed;
use crate::protocols::compare::harness::{source, world};
use crate::rand::MaskSite;
use crate::session::{Outputs, Recipients};
use crate::testing::assert_cost;

/// `counts[party][list][cell]`.
pub(super) fn run(
    least: u32,
    (origin, off): (Origin, Option<MaskSite>),
    counts: &[Vec<Vec<u64>>],
) -> Vec<Vec<bool>> {
    let lists: Vec<usize> = counts[0].iter().map(Vec::len).collect();
    let rows = counts.iter().map(|own| own[0].iter().sum::<u64>()).sum::<u64>().max(1);
    let of = Suppression::new(least, counts.len(), lists, rows.max(1000)).expect("fits");
    let outputs = Outputs::none().allow("marks", Recipients::All);
    let world = world(counts.len(), origin).outputs(outputs).insecure_without(off);
    let results = world.run(async |mut session| {
        let mut source = source(&mut session, origin);
        let mut from = Correlations::new(&mut *source).expect("new");
        let mut orders = Orders::new();
        let ordered = of.order(&mut orders).expect("fits");
        from.demand(orders).expect("placed");
        let prepared = ordered.take(&mut from).await.expect("made");
        assert_eq!(prepared.factors.left(), of.triples());
        session.meter().enter("marks");
        let own = &counts[session.me()];
        let told = marked(own, prepared, "marks", &mut session).await.expect("runs");
        assert_cost(&session, "marks", &of.cost(session.me()).expect("fits"));
        from.finish().await.expect("ends");
        told
    });
    assert!(results.iter().all(|result| *result == results[0]));
    results[0].clone()
}

pub(super) fn twin(least: u32, counts: &[Vec<Vec<u64>>]) -> Vec<Vec<bool>> {
    let list = |at: usize| {
        let own: Vec<Vec<u64>> = counts.iter().map(|own| own[at].clone()).collect();
        suppressed(least, &own)
    };
    (0..counts[0].len()).map(list).collect()
}

#[test]
fn small_counts_and_one_beside_them_are_marked() {
    let counts = [
        vec![vec![9, 30, 2, 0, 40], vec![8, 9], vec![1, 9, 9], vec![5, 5]],
        vec![vec![7, 20, 9, 0, 30], vec![9, 9], vec![9, 9, 9], vec![4, 9]],
        vec![vec![8, 25, 9, 0, 35], vec![7, 7], vec![9, 9, 9], vec![9, 9]],
    ];
    for (parties, origin) in [(3, Origin::Pairwise), (2, Origin::Dealer)] {
        let told = run(5, (origin, None), &counts[..parties]);
        assert_eq!(told, twin(5, &counts[..parties]));
        assert_eq!(told[0], [true, false, true, false, false]);
        assert_eq!(told[1], [false, false]);
        // 1 and 9 is not much together, but 2 + 7 of one and the other leave 1 to 4.
        assert_eq!(told[2], [true, true, false]);
        // Of two cells both.
        assert_eq!(told[3], [true, true]);
    }
}

/// Every table of few rows: whoever sees the marks, the counts that are not marked and the number of rows of each party, and
/// knows its own counts, finds each value below the threshold possible for each count of the others that is small.
#[test]
fn an_auditor_cannot_tell_a_small_count() {
    const LEAST: u32 = 3;
    let rows = 12u64;
    let mut own: Vec<Vec<u64>> = Vec::new();
    for a in 0..=rows {
        for b in 0..=rows - a {
            own.push(vec![a, b, rows - a - b]);
        }
    }
    // What the first party sees, for each of its own tables: of each joint table the others' counts.
    for mine in own.iter().step_by(3) {
        let mut seen: HashMap<Vec<Option<u64>>, Vec<&Vec<u64>>> = HashMap::new();
        for theirs in &own {
            let marks = suppressed(LEAST, &[mine.clone(), theirs.clone()]);
            let told = marks.iter().zip(mine.iter().zip(theirs));
            let told = told.map(|(&mark, (a, b))| (!mark).then_some(a + b)).collect();
            seen.entry(told).or_default().push(theirs);
        }
        for (told, tables) in &seen {
            for (cell, told) in told.iter().enumerate() {
                let values: Vec<u64> = tables.iter().map(|table| table[cell]).collect();
                let small: Vec<u64> =
                    (1..u64::from(LEAST)).filter(|value| values.contains(value)).collect();
                if told.is_some() {
                    assert!(small.is_empty(), "{mine:?}: {tables:?}");
                } else {
                    assert!(small.len() != 1, "{mine:?}: {tables:?}");
                }
            }
        }
    }
}

#[test]
fn what_is_out_of_range_is_refused() {
    assert!(Suppression::new(3, 2, vec![2, 5], 10).is_ok());
    assert!(Suppression::new(2, 2, vec![2, 5], 10).is_err());
    assert!(Suppression::new(5, 2, vec![1], 10).is_err());
    assert!(Suppression::new(5, 2, vec![], 10).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn marks_are_those_of_the_twin(
        counts in proptest::collection::vec(proptest::collection::vec(0u64..12, 9), 2..5),
        least in 3u32..7,
        many in 0u64..200,
    ) {
        let lists = |own: Vec<u64>| -> Vec<Vec<u64>> {
            let mut lists = vec![own[..4].to_vec(), own[4..6].to_vec(), own[6..].to_vec()];
            lists[0][1] += many;
            lists[2][2] += many;
            lists
        };
        let counts: Vec<Vec<Vec<u64>>> = counts.into_iter().map(lists).collect();
        let told = run(least, (Origin::Dealer, None), &counts);
        prop_assert_eq!(&told, &twin(least, &counts));
        for (list, marks) in told.iter().enumerate() {
            let kept: Vec<usize> = (0..marks.len()).filter(|&cell| marks[cell]).collect();
            prop_assert!(kept.len() != 1);
            for own in &counts {
                for (cell, mark) in marks.iter().enumerate() {
                    let count = own[list][cell];
                    prop_assert!(*mark || count == 0 || count >= u64::from(least));
                }
            }
        }
    }
}
