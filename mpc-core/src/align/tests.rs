use std::collections::BTreeSet;

use mpc_net::fault::{Fault, FaultPlan};
use mpc_net::memory::MemoryTransport;
use proptest::prelude::*;

use super::code::{DATA, PLACES, parity, place};
use super::*;
use crate::error::Error;
use crate::rand::MaskSite;
use crate::testing::World;

/// Ids of each party, from numbers.
fn ids(numbers: &[u32]) -> Vec<String> {
    numbers.iter().map(|number| format!("id {number}")).collect()
}

fn terms(sets: &[Vec<u32>], slack: u64, least: u64) -> Terms {
    Terms { bounds: sets.iter().map(|set| set.len() as u64 + slack).collect(), least }
}

fn run(world: &World, sets: &[Vec<u32>], terms: &Terms) -> Vec<Result<Aligned, Error>> {
    world.run(async |mut session| align(ids(&sets[session.me()]), terms, &mut session).await)
}

/// The ids that all have, as each party sees them, and in one order.
fn check(sets: &[Vec<u32>], slack: u64) {
    let world = World::new(sets.len()).outputs(outputs());
    let terms = terms(sets, slack, 0);
    let mut due: BTreeSet<u32> = sets[0].iter().copied().collect();
    sets.iter().for_each(|set| due.retain(|id| set.contains(id)));
    let lists: Vec<Vec<u32>> = run(&world, sets, &terms)
        .into_iter()
        .zip(sets)
        .map(|(aligned, set)| match aligned.expect("runs") {
            Aligned::Records(records) => records.iter().map(|&record| set[record]).collect(),
            Aligned::Below => panic!("nothing is below nothing"),
        })
        .collect();
    assert!(lists.iter().all(|list| *list == lists[0]), "{lists:?}");
    assert_eq!(lists[0].iter().copied().collect::<BTreeSet<_>>(), due, "{sets:?}");
    assert_eq!(lists[0].len(), due.len());
}

/// A few, or as many as `PROPTEST_CASES` says.
fn cases() -> ProptestConfig {
    let told = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig::with_cases(told.unwrap_or(12))
}

proptest! {
    #![proptest_config(cases())]
    #[test]
    fn all_find_what_all_have(
        sets in proptest::collection::vec(proptest::collection::btree_set(0..60u32, 0..40), 2..=7),
        slack in 0..3u64,
    ) {
        let sets: Vec<Vec<u32>> = sets.into_iter().map(|set| set.into_iter().collect()).collect();
        check(&sets, slack);
    }
}

#[test]
fn empty_equal_disjoint_and_unequal_sets() {
    check(&[vec![], vec![]], 0);
    check(&[vec![], vec![1, 2, 3]], 0);
    check(&[(0..50).collect(), (50..100).collect(), (0..100).collect()], 0);
    check(&[(0..3000).collect(), (0..3000).rev().collect()], 5);
    check(&[(0..4000).collect(), vec![3999, 17, 5000], (10..20).chain([3999]).collect()], 1);
}

#[test]
fn the_order_is_new_in_every_session_and_not_that_of_the_records() {
    let sets = [(0..40).collect::<Vec<_>>(), (0..40).collect()];
    let world = World::new(2).outputs(outputs());
    let order = || match run(&world, &sets, &terms(&sets, 0, 1)).remove(0).expect("runs") {
        Aligned::Records(records) => records,
        Aligned::Below => panic!("there are forty"),
    };
    let (one, other) = (order(), order());
    assert_ne!(one, other);
    assert!(!one.is_sorted());
}

#[test]
fn too_few_are_announced_as_below() {
    let sets = [vec![1, 2, 3, 4], vec![3, 4, 5], vec![4, 3, 9]];
    for (least, enough) in [(2, true), (3, false)] {
        let world = World::new(3).outputs(outputs());
        for end in run(&world, &sets, &terms(&sets, 0, least)) {
            assert_eq!(matches!(end.expect("runs"), Aligned::Records(_)), enough);
        }
    }
}

#[test]
fn bad_input_ends_before_anything_is_sent() {
    let refused = |sets: &[Vec<u32>], terms: &Terms| {
        let ends = World::new(2).outputs(outputs()).run(async |mut session| {
            if session.me() == 1 {
                return None;
            }
            session.meter().enter("alignment");
            let end = align(ids(&sets[0]), terms, &mut session).await;
            assert_eq!(session.meter().phase("alignment").sent(), 0);
            Some(end.expect_err("refused").to_string())
        });
        ends[0].clone().expect("party 0 tried")
    };
    let sets = [vec![1, 2, 1], vec![1]];
    let twice = refused(&sets, &terms(&sets, 0, 0));
    assert!(twice.contains("records 1 and 3 have the same id"), "{twice}");
    let over = refused(&sets, &Terms { bounds: vec![2, 1], least: 0 });
    assert!(over.contains("3 ids, and the terms of the alignment allow this party 2"), "{over}");
}

#[test]
fn other_terms_are_named() {
    let ends = World::new(2).outputs(outputs()).run(async |mut session| {
        let terms = Terms { bounds: vec![2, 2], least: session.me() as u64 };
        align(["a", "b"], &terms, &mut session).await
    });
    for end in ends {
        let text = end.expect_err("they differ").to_string();
        assert!(text.contains("another terms of the alignment"), "{text}");
    }
}

#[test]
fn nothing_is_aligned_that_the_session_does_not_name() {
    let ends = World::new(2).run(async |mut session| {
        align(["a", "b"], &Terms { bounds: vec![2, 2], least: 0 }, &mut session).await
    });
    assert!(ends.iter().any(|end| matches!(end, Err(Error::Reveal { .. }))), "{ends:?}");
}

#[test]
fn the_declared_cost_is_what_was_sent() {
    for (sets, least) in [
        (vec![(0..300).collect::<Vec<u32>>(), (100..350).collect()], 1),
        (vec![(0..10).collect(), (5..400).collect(), (0..8).collect()], 2),
        (vec![(0..10).collect(), (5..400).collect(), (0..8).collect()], 9),
        (vec![vec![1], vec![2]], 0),
    ] {
        let terms = terms(&sets, 2, least);
        let common = sets[0].iter().filter(|id| sets.iter().all(|set| set.contains(id))).count();
        World::new(sets.len()).outputs(outputs()).run(async |mut session| {
            session.meter().enter("alignment");
            align(ids(&sets[session.me()]), &terms, &mut session).await.expect("runs");
            let spent = session.meter().phase("alignment");
            let sent: Vec<u64> = spent.peers.iter().map(|peer| peer.sent).collect();
            let due = terms.cost(&session, common as u64);
            assert_eq!((spent.rounds, sent), (due.rounds, due.bytes));
        });
    }
}

/// Several bins, with bounds so different that the smaller party's are nearly empty.
#[test]
fn ids_fall_into_bins() {
    let many: Vec<u32> = (0..1000).collect();
    let few = vec![1, 999, 2000];
    let sets = [many, few];
    let terms = Terms { bounds: vec![3 << 18, 5], least: 1 };
    assert_eq!(terms.bins(), 3);
    for end in run(&World::new(2).outputs(outputs()), &sets, &terms) {
        let Aligned::Records(records) = end.expect("runs") else { panic!("two are enough") };
        assert_eq!(records.len(), 2);
    }
}

/// What the parties received in one step, in one run.
fn seen(sets: &[Vec<u32>], slack: u64, tag: Tag, off: Option<MaskSite>) -> Vec<Vec<u8>> {
    let world = World::new(sets.len()).outputs(outputs()).insecure_without(off);
    let terms = terms(sets, slack, 0);
    let mesh = world.mesh();
    let views: Vec<_> = mesh.iter().map(MemoryTransport::record).collect();
    world.run_on(mesh, async |mut session| {
        align(ids(&sets[session.me()]), &terms, &mut session).await.expect("runs");
    });
    views.iter().flat_map(|view| view.payloads(tag)).collect()
}

/// A request is a word of the code at each place, and is hidden: without the mask its parities are right.
#[test]
fn a_request_without_its_mask_is_made_of_words() {
    let sets = [(0..200).collect::<Vec<u32>>(), (100..300).collect(), (0..300).collect()];
    let words = |off| -> (usize, usize) {
        let (mut right, mut all) = (0, 0);
        for request in seen(&sets, 0, REQUESTS, off) {
            // One pass: 192 rows of n blocks.
            let n = request.len() / 16 / PLACES;
            let bit = |at: usize, word: usize| {
                u128::from(request[16 * (at * n + word / 128) + word % 128 / 8] >> (word % 8) & 1)
            };
            for word in 0..128 * n {
                let data = (0..DATA).fold(0, |sum, at| sum | bit(at, word) << at);
                let parity = parity(data);
                let fits = (DATA..PLACES).all(|at| bit(at, word) == place(data, parity, at));
                right += usize::from(fits);
                all += 1;
            }
        }
        (right, all)
    };
    let (right, all) = words(None);
    assert!(right == 0 && all > 2000, "{right} of {all}");
    let (right, all) = words(Some(MaskSite::AlignRequest));
    assert_eq!(right, all);
}

/// A hint has as many random elements as its bound makes room for, however few ids there are.
#[test]
fn a_hint_without_its_mask_shows_how_many_ids_there_are() {
    let sets = [vec![1, 2, 3], (0..40).collect::<Vec<u32>>()];
    let zeros = |off| -> usize {
        let hints = seen(&sets, 300, HINTS, off);
        hints.iter().flat_map(|hint| hint.as_chunks::<8>().0).filter(|it| **it == [0; 8]).count()
    };
    assert_eq!(zeros(None), 0);
    let (len, used) = (band::elements(340), 40);
    assert_eq!(zeros(Some(MaskSite::AlignHint)), len - used);
}

#[test]
fn requests_and_hints_look_the_same_whatever_the_ids_outside() {
    let bytes = |outside: u32| -> Vec<Vec<u8>> {
        let sets: Vec<Vec<u32>> = (0..3u32)
            .map(|party| (0..20).chain((0..100).map(|i| outside + 1000 * party + i)).collect())
            .collect();
        let mut all = seen(&sets, 10, REQUESTS, None);
        all.extend(seen(&sets, 10, HINTS, None));
        all
    };
    for views in [bytes(100), bytes(50_000)] {
        let all = views.concat();
        let mut counts = [0f64; 256];
        all.iter().for_each(|&byte| counts[usize::from(byte)] += 1.0);
        let due = all.len() as f64 / 256.0;
        let chi: f64 = counts.iter().map(|count| (count - due).powi(2) / due).sum();
        // Twelve deviations: below 2^-60.
        assert!((chi - 255.0) / (2.0 * 255f64).sqrt() < 12.0, "{chi} over {} bytes", all.len());
    }
}

/// A leader that shows a record which another party does not have.
#[test]
fn a_tag_that_a_party_lacks_names_the_leader() {
    let ends = |at: usize| {
        let sets = [vec![1, 2, 3], vec![2, 3, 4, 5]];
        let terms = terms(&sets, 0, 0);
        let world = World::new(2).outputs(outputs());
        let mesh = world.mesh();
        mesh[0].inject(FaultPlan::new(Fault::FlipPayload { at, mask: 1 }).in_step(TAGS));
        world.run_on(mesh, async |mut session| {
            align(ids(&sets[session.me()]), &terms, &mut session).await
        })
    };
    for at in [0, 7, 15] {
        let ends = ends(at);
        let text = ends[1].as_ref().expect_err("noticed").to_string();
        assert!(text.contains("node 0 did not keep to the protocol in align/tags"), "{text}");
    }
}
