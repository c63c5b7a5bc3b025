//! The rule against its plain twin, at the threshold and around it; what is revealed; what nobody can
//! work out of what was released.

use proptest::prelude::*;

use super::*;
use crate::correlations::Origin;
use crate::ideal::releasable;
use crate::protocols::compare::harness::{source, world};
use crate::ring::Ring;
use crate::session::{Outputs, Recipients};
use crate::testing::assert_cost;

fn outputs() -> Outputs {
    Outputs::none().allow("withheld", Recipients::All).allow("bits", Recipients::All)
}

/// `counts[party][family][cell]`: what is revealed, at every party alike.
fn gated(
    rule: ThresholdRule,
    origin: Origin,
    counts: &[Vec<Vec<u64>>],
    costs: bool,
) -> Option<usize> {
    let families: Vec<usize> = counts[0].iter().map(Vec::len).collect();
    let gate = Gate::new(rule, counts.len(), families).expect("fits");
    let results = world(counts.len(), origin).outputs(outputs()).run(async |mut session| {
        let mut source = source(&mut session, origin);
        let mut from = Correlations::new(&mut *source).expect("new");
        let mut orders = Orders::new();
        let ordered = gate.order(&mut orders).expect("fits");
        from.demand(orders).expect("placed");
        let prepared = ordered.take(&mut from).await.expect("made");
        session.meter().enter("gate");
        let own = &counts[session.me()];
        let first = first_released(own, prepared, "withheld", &mut session).await.expect("runs");
        if costs {
            assert_cost(&session, "gate", &gate.cost(session.me()).expect("fits"));
        }
        from.finish().await.expect("ends");
        first.expect("for all")
    });
    assert!(results.iter().all(|result| *result == results[0]));
    results[0]
}

/// Every cell with counts of the parties around zero and around the threshold.
#[test]
fn what_is_small_is_found_at_every_edge() {
    let at = [0u64, 1, 4, 5, 6, 1 << 40];
    for (parties, origin) in [(3, Origin::Pairwise), (3, Origin::Dealer), (4, Origin::Dealer)] {
        let mut cells: Vec<Vec<u64>> = vec![Vec::new()];
        for _ in 0..parties {
            let longer = |cell: &Vec<u64>| {
                at.map(|count| cell.iter().copied().chain([count]).collect::<Vec<_>>())
            };
            cells = cells.iter().flat_map(longer).collect();
        }
        for level in [Level::Outsiders, Level::Participants] {
            for zeros in [true, false] {
                let rule = ThresholdRule { least: 5, zeros, level };
                let gate = Gate::new(rule, parties, vec![cells.len()]).expect("fits");
                let results = world(parties, origin).outputs(outputs()).run(async |mut session| {
                    let mut source = source(&mut session, origin);
                    let mut from = Correlations::new(&mut *source).expect("new");
                    let mut orders = Orders::new();
                    let of = gate.comparison().expect("fits").expect("not local");
                    let ordered = of.order(&mut orders);
                    from.demand(orders).expect("placed");
                    let prepared = ordered.take(&mut from).await.expect("made");
                    let own = vec![cells.iter().map(|cell| cell[session.me()]).collect()];
                    let small = small(&gate, &own, prepared, &mut session).await.expect("runs");
                    let bits = session.reveal("bits", &small.modulo_two(), 1, 0).await;
                    bits.expect("runs").expect("for all")
                });
                let mut found = results[0].iter();
                for cell in &cells {
                    let total: u64 = cell.iter().sum();
                    let due: Vec<bool> = match level {
                        Level::Outsiders => vec![rule.is_small(total)],
                        Level::Participants => {
                            cell.iter().map(|own| rule.is_small(total - own)).collect()
                        }
                    };
                    for due in due {
                        assert_eq!(*found.next().expect("a test") != 0, due, "{cell:?} {rule:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_family_is_released_whole_or_not_and_the_first_that_may_be() {
    let rule = ThresholdRule::default();
    // The finest family has a cell that party 0 alone does not fill; the second one merges cells.
    let fine = [vec![9, 0, 7, 2], vec![8, 0, 6, 1], vec![7, 9, 5, 0]];
    let merged = [vec![9, 0, 9], vec![8, 0, 7], vec![7, 9, 5]];
    let all = [vec![18], vec![15], vec![21]];
    let parties = |families: &[[Vec<u64>; 3]]| -> Vec<Vec<Vec<u64>>> {
        (0..3).map(|party| families.iter().map(|family| family[party].clone()).collect()).collect()
    };
    for origin in [Origin::Dealer, Origin::Pairwise] {
        let tried = |families: &[[Vec<u64>; 3]]| gated(rule, origin, &parties(families), true);
        assert_eq!(tried(std::slice::from_ref(&fine)), None);
        assert_eq!(tried(std::slice::from_ref(&merged)), Some(0));
        assert_eq!(tried(&[fine.clone(), merged.clone(), all.clone()]), Some(1));
        assert_eq!(tried(&[fine.clone(), fine.clone()]), None);
        assert_eq!(tried(&[all.clone(), fine.clone()]), Some(0));
    }
    // Two parties: what is left of a joint count is the other's.
    for (counts, due) in [([5, 5], Some(0)), ([4, 90], None), ([90, 4], None), ([0, 5], Some(0))] {
        let counts = counts.map(|count| vec![vec![count]]);
        assert_eq!(gated(rule, Origin::Pairwise, &counts, true), due);
        let outsiders = ThresholdRule { level: Level::Outsiders, ..rule };
        assert_eq!(gated(outsiders, Origin::Dealer, &counts, true), Some(0));
    }
}

/// Ten by ten cells of three parties: as many rounds and bytes as docs/protocols.md says.
#[test]
fn a_table_of_a_hundred_cells_is_cheap() {
    let gate = Gate::new(ThresholdRule::default(), 3, vec![100]).expect("fits");
    let cost = gate.cost(0).expect("fits");
    assert_eq!(cost.rounds, 13);
    assert!(cost.sent() * 3 < 6_500, "{}", cost.sent());
    assert_eq!(gate.comparison().expect("fits").expect("some").triples() + gate.triples(), 2_099);
}

#[test]
fn rules_are_compared_and_refused() {
    let rule = ThresholdRule::default();
    let stricter =
        [ThresholdRule { least: 6, ..rule }, ThresholdRule { zeros: false, ..rule }, rule];
    assert!(stricter.iter().all(|it| it.is_as_strict_as(&rule)));
    let laxer = [
        ThresholdRule { least: 4, ..rule },
        ThresholdRule { level: Level::Outsiders, ..rule },
        ThresholdRule { least: 3, zeros: false, ..rule },
    ];
    assert!(laxer.iter().all(|it| !it.is_as_strict_as(&rule)));
    assert!(Gate::new(ThresholdRule { least: 0, ..rule }, 3, vec![1]).is_err());
    assert!(Gate::new(ThresholdRule { least: MOST + 1, ..rule }, 3, vec![1]).is_err());
    assert!(Gate::new(rule, 3, vec![]).is_err() && Gate::new(rule, 3, vec![4, 0]).is_err());
    let gate = Gate::new(rule, 3, vec![2]).expect("fits");
    assert!(gate.holds_for(&[9, 30], &[4, 25]) && !gate.holds_for(&[9, 30], &[4, 26]));
    assert!(!gate.holds_for(&[3, 30], &[4, 20]));
    assert_eq!(Z64(u64::MAX).to_signed(1), -1);
}

/// With two parties nobody is made to release what it knows to be small.
#[test]
fn a_bit_that_was_turned_is_seen_by_whose_count_is_small() {
    let gate = Gate::new(ThresholdRule::default(), 2, vec![1]).expect("fits");
    let counts = [[vec![3]], [vec![90]]];
    let results = world(2, Origin::Dealer).outputs(outputs()).run(async |mut session| {
        let mut source = source(&mut session, Origin::Dealer);
        let mut from = Correlations::new(&mut *source)?;
        let mut orders = Orders::new();
        let ordered = gate.order(&mut orders)?;
        from.demand(orders)?;
        let mut prepared = ordered.take(&mut from).await?;
        if session.me() == 1 {
            // The other party's bit is taken for its opposite.
            let all = SharedBits::new(PackedBits::of(1, 2, |_, lane| u128::from(lane == 0)));
            let turned = bits::any(&all, prepared.factors.as_mut().expect("some"), &mut session);
            let turned = turned.await?.modulo_two();
            return session.reveal("withheld", &turned, 1, 0).await.map(|_| None);
        }
        first_released(&counts[0], prepared, "withheld", &mut session).await
    });
    assert!(matches!(&results[0], Err(Error::BeyondBound { .. })), "{:?}", results[0]);
}

/// A two-way table with its missing cells, at each of some parties.
fn tables() -> impl Strategy<Value = (Vec<Vec<u64>>, usize)> {
    (2usize..5, 1usize..4, 1usize..4).prop_flat_map(|(parties, rows, columns)| {
        let count = prop_oneof![Just(0u64), 0u64..12, 3u64..40];
        let table = prop::collection::vec(count, rows * columns);
        (prop::collection::vec(table, parties), Just(columns))
    })
}

/// Whether a party, or somebody outside, has a small count in what was released: any sum of cells, hence
/// every margin, total, complement, and every coarser table.
fn leaks(rule: ThresholdRule, counts: &[Vec<u64>]) -> bool {
    let cells = counts[0].len();
    (1u32..1 << cells).any(|chosen| {
        let sum = |own: &Vec<u64>| -> u64 {
            own.iter().enumerate().filter(|(at, _)| chosen >> at & 1 == 1).map(|(_, n)| n).sum()
        };
        let total: u64 = counts.iter().map(sum).sum();
        counts.iter().any(|own| rule.is_small(total - sum(own))) || rule.is_small(total)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]
    #[test]
    fn nothing_small_follows_from_what_is_released(
        (counts, columns) in tables(),
        least in 1u32..9,
        zeros: bool,
    ) {
        let rule = ThresholdRule { least, zeros, level: Level::Participants };
        // Whoever sees a table that may be released finds nothing small in it.
        if releasable(rule, &counts) {
            prop_assert!(!leaks(rule, &counts));
        }
        // The margins of a table that may not be: only if they may be by themselves.
        let margin = |own: &Vec<u64>| -> Vec<u64> {
            own.chunks(columns).map(|row| row.iter().sum()).collect()
        };
        let margins: Vec<Vec<u64>> = counts.iter().map(margin).collect();
        if releasable(rule, &margins) {
            prop_assert!(!leaks(rule, &margins));
        } else {
            prop_assert!(!releasable(rule, &counts), "a table, and not its margins");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..Default::default() })]
    /// The protocol decides as the plain rule does.
    #[test]
    fn random_tables_are_released_as_the_rule_says(
        (counts, columns) in tables(),
        least in 1u32..9,
        zeros: bool,
        outsiders: bool,
    ) {
        let level = if outsiders { Level::Outsiders } else { Level::Participants };
        let rule = ThresholdRule { least, zeros, level };
        let margin = |own: &Vec<u64>| -> Vec<u64> {
            own.chunks(columns).map(|row| row.iter().sum()).collect()
        };
        let margins: Vec<Vec<u64>> = counts.iter().map(margin).collect();
        let both: Vec<Vec<Vec<u64>>> =
            counts.iter().zip(&margins).map(|(a, b)| vec![a.clone(), b.clone()]).collect();
        let due = [&counts, &margins].into_iter().position(|table| releasable(rule, table));
        prop_assert_eq!(gated(rule, Origin::Dealer, &both, false), due);
    }
}
