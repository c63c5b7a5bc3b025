//! What a coalition sees of a bisection, with every mask and without each, and that what is told follows from the
//! outcome (docs/protocols.md 15.7, 0).

use super::tests::{asked, rule, twin};
use super::*;
use crate::correlations::Origin;
use crate::protocols::compare::harness::{masked_openings, source, world};
use crate::protocols::threshold::Level;
use crate::rand::MaskSite;
use crate::session::Kind;
use crate::testing::{record_openings, take_openings};

const LANES: usize = 1600;

/// Lanes that go on and such that end, alike at all parties.
fn lanes(parties: usize) -> (Bisection, Vec<Vec<u32>>) {
    let of = |lane: usize| {
        let alike = vec![5; 20 + lane % 3];
        let spread = (0..24).map(|number| number % 8).collect::<Vec<u32>>();
        let few = vec![1, 1];
        let mut own = [alike, spread, few][lane % 3].clone();
        own.sort_unstable();
        own
    };
    let shape = |lane: usize| Lane { levels: 3, percent: [25, 50, 75][lane / 3 % 3] };
    let lanes = (0..LANES).map(shape).collect();
    let bisection = Bisection::new(rule(5, Level::Participants), parties, lanes, 200);
    (bisection.expect("fits"), (0..LANES).map(of).collect())
}

fn run(parties: usize, origin: Origin, off: Option<MaskSite>) -> Vec<Option<Range<u64>>> {
    let (of, own) = lanes(parties);
    let world = world(parties, origin).outputs(asked(&of)).insecure_without(off);
    let mut told = world.run(async |mut session| {
        let mut source = source(&mut session, origin);
        let mut from = Correlations::new(&mut *source).expect("new");
        let mut orders = Orders::new();
        let ordered = of.order(&mut orders).expect("fits");
        from.demand(orders).expect("placed");
        let prepared = ordered.take(&mut from).await.expect("made");
        let own: Vec<&[u32]> = own.iter().map(Vec::as_slice).collect();
        bisect(&own, prepared, "q", &mut session).await.expect("runs")
    });
    told.remove(0)
}

#[test]
fn every_mask_of_a_bisection_is_needed() {
    for parties in [2, 3] {
        for origin in [Origin::Dealer, Origin::Pairwise] {
            let look = |off| {
                record_openings();
                run(parties, origin, off);
                masked_openings(&[take_openings()])
            };
            for (step, uniform) in look(None) {
                assert!(uniform, "with all masks: {step}, {parties} parties, {origin:?}");
            }
            for site in [MaskSite::RandomBit, MaskSite::AndLeft, MaskSite::AndRight] {
                let seen = look(Some(site));
                let missed = seen.iter().any(|(_, uniform)| !uniform);
                assert!(missed, "{parties} parties, {origin:?}: nobody misses {site:?}");
            }
        }
    }
}

/// A simulator that has the intervals writes down every bit that is revealed on the way to them.
#[test]
fn what_is_told_follows_from_the_outcome() {
    for (parties, origin) in [(2, Origin::Dealer), (3, Origin::Pairwise)] {
        record_openings();
        let told = run(parties, origin, None);
        let opened = take_openings();
        let (of, own) = lanes(parties);
        assert_eq!(told, twin(&of, &vec![own; parties]));
        let results = opened.iter().filter(|seen| seen.party == 0 && seen.kind == Kind::Result);
        let results: Vec<Vec<u128>> = results.map(|seen| seen.sum.clone().expect("all")).collect();
        assert_eq!(results.len(), of.steps());
        let bit = |is: bool| u128::from(is);
        let mut places: Vec<Option<Range<u64>>> =
            told.iter().map(|told| told.as_ref().map(|_| 0..8)).collect();
        let enough: Vec<u128> = told.iter().map(|told| bit(told.is_some())).collect();
        assert_eq!(results[0], enough, "told beside the outcome, in the first step");
        for (step, result) in results.iter().enumerate().skip(1) {
            let (mut go, mut side) = (Vec::new(), Vec::new());
            for (place, end) in places.iter_mut().zip(&told) {
                // What has ended takes part with nothing, of which no half is small.
                let Some(now) = place.clone() else {
                    go.push(1);
                    side.push(0);
                    continue;
                };
                let end = end.as_ref().expect("it goes on");
                let middle = now.start + (now.end - now.start) / 2;
                let (goes, upper) = (*end != now, end.start >= middle);
                go.push(bit(goes));
                side.push(bit(goes && upper));
                *place = goes.then_some(if upper { middle..now.end } else { now.start..middle });
            }
            go.extend(side);
            assert_eq!(*result, go, "told beside the outcome, in step {step}");
        }
    }
}
