//! Correlations of which a party made its part wrong: who opens a part of them, or checks a product,
//! notices (docs/protocols.md 6.6).

use std::sync::Arc;

use mpc_core::approx::fit::{Symmetry, Weighting, fit};
use mpc_core::correlations::pairwise::{Expansion, PairwiseOt, PairwiseSource, PhasorPlan};
use mpc_core::correlations::{
    CorrelationSource, PhasorMethod, PhasorRequest, Request, RightRequest,
};
use mpc_core::testing::World;
use mpc_core::{Error, Tag};
use mpc_net::PartyId;
use mpc_net::fault::{Fault, FaultPlan};

/// Party `from` flips the lowest bits of these bytes (number, of how many) in what it sends `to` in
/// `step`, the first time.
fn flipped(
    world: &World,
    (from, to): (usize, usize),
    step: &'static str,
    at: impl Fn(usize, usize) -> bool + Send + Sync + 'static,
) -> Vec<mpc_net::memory::MemoryTransport> {
    let mesh = world.mesh();
    let change = move |payload: &mut Vec<u8>| {
        let all = payload.len();
        let bytes = payload.iter_mut().enumerate().filter(|(i, _)| at(*i, all));
        bytes.for_each(|(_, byte)| *byte ^= 1);
    };
    let fault = FaultPlan::new(Fault::Change(Arc::new(change))).in_step(Tag::new(step));
    mesh[from].inject(fault.to(PartyId::from_index(to)));
    mesh
}

fn request(parties: usize, count: u32, method: PhasorMethod) -> PhasorRequest {
    let series = fit(|z| z, Symmetry::Odd, 5, 3, Weighting::Plain, 16).series;
    PhasorPlan::request(&series, parties, count, (6, 40), (method, 8))
}

async fn phasors(mut session: mpc_core::Session, request: &PhasorRequest) -> Result<(), Error> {
    let mut ot = PairwiseOt::establish(&mut session, Expansion::Fast).await?;
    ot.phasors(std::slice::from_ref(request)).await.map(|_| ())
}

fn assert_named(result: &Result<(), Error>, who: &str, what: &str) {
    match result {
        Err(Error::Misbehaved { peer, detail, .. }) => {
            assert!(peer == who && detail.contains(what), "{peer}: {detail}");
        }
        other => panic!("{other:?} in place of {what}"),
    }
}

/// One bit of each side of one level of one tree: whichever side the digit leaves, the leaves are not
/// those of the sender. Without the check one of 17 such evaluations was noticed.
#[test]
fn one_wrong_tree_is_named() {
    for parties in [2, 3] {
        let request = request(parties, 40, PhasorMethod::OneHot);
        for level in [0, 3] {
            let world = World::new(parties);
            let both = move |i, _| i == 32 * level + 7 || i == 32 * level + 16 + 7;
            let mesh = flipped(&world, (0, 1), "ot/one-hot-stage", both);
            let results = world.run_on(mesh, |session| phasors(session, &request));
            assert_named(&results[1], "node 0", "do not hang together");
        }
    }
}

/// Every byte of a stage is part of what its digests stand behind.
#[test]
fn a_stage_of_which_anything_was_changed_is_named() {
    let request = request(2, 150, PhasorMethod::OneHot);
    // In the first group, the last one, the first digest, and the last one.
    let places: [fn(usize) -> usize; 4] = [|_| 200, |all| all - 40, |all| all - 32, |all| all - 1];
    for place in places {
        let world = World::new(2);
        let mesh = flipped(&world, (0, 1), "ot/one-hot-stage", move |i, all| i == place(all));
        let results = world.run_on(mesh, |session| phasors(session, &request));
        assert_named(&results[1], "node 0", "do not hang together");
    }
}

#[test]
fn wrong_phasors_are_seen_by_all() {
    let world = World::new(3);
    let mesh = flipped(&world, (1, 2), "ot/corrections", |i, _| i % 5 == 0);
    // A third of them is wrong, of which 38 are opened: none of these with 2^-22.
    let request = request(3, 600, PhasorMethod::Bits);
    let results = world.run_on(mesh, |session| phasors(session, &request));
    let what = "not the product of the parties' own";
    for (me, others) in
        ["node 1 or node 2", "node 0 or node 2", "node 0 or node 1"].iter().enumerate()
    {
        assert_named(&results[me], others, what);
    }
}

/// One wrong phasor of two that were made: seen if it is the one that is opened.
#[test]
fn one_wrong_phasor_is_seen_as_often_as_it_is_opened() {
    const RUNS: usize = 24;
    let request = request(2, 1, PhasorMethod::Bits);
    let mut seen = 0;
    for _ in 0..RUNS {
        let world = World::new(2);
        // All corrections of the evaluation in which party 0 is first.
        let mesh = flipped(&world, (0, 1), "ot/corrections", |_, _| true);
        let results = world.run_on(mesh, |session| phasors(session, &request));
        assert_eq!(results[0].is_err(), results[1].is_err());
        seen += usize::from(results[1].is_err());
    }
    // 12 on average; beyond these bounds once in 20,000 tests.
    assert!((3..=21).contains(&seen), "{seen} of {RUNS}");
}

#[test]
fn what_is_shown_is_what_was_committed_to() {
    for (step, at) in [("ot/open", 40), ("toss/coin", 33)] {
        let world = World::new(3);
        let mesh = flipped(&world, (1, 2), step, move |i, _| i == at);
        let request = request(3, 40, PhasorMethod::OneHot);
        let results = world.run_on(mesh, |session| phasors(session, &request));
        assert_named(&results[2], "node 1", "committed");
    }
}

#[test]
fn wrong_factors_are_seen() {
    // By transfers.
    let world = World::new(2);
    let mesh = flipped(&world, (0, 1), "ot/corrections", |i, _| i % 3 == 0);
    let results = world.run_on(mesh, async |mut session| {
        let mut ot = PairwiseOt::establish(&mut session, Expansion::Fast).await?;
        ot.left(3, 2, 64)?;
        ot.right(&RightRequest { left: 0, n: 2, last: true }).await.map(|_| ())
    });
    for (me, result) in results.iter().enumerate() {
        assert_named(result, ["node 1", "node 0"][me], "a product of factors");
    }
    // By RLWE.
    for ring in [64, 128] {
        let world = World::new(2);
        let mesh = flipped(&world, (0, 1), "rlwe/outputs", |i, _| i % 7 == 6);
        let results = world.run_on(mesh, async |mut session| {
            let mut source = PairwiseSource::start(&mut session, Expansion::Fast)?;
            source.demand(vec![
                Request::Left { m: 20, k: 20, ring },
                Request::Right(RightRequest { left: 0, n: 20, last: true }),
            ])?;
            source.take().await?;
            source.take().await.map(|_| ())
        });
        assert_named(&results[1], "node 0", "a product of factors");
    }
}

/// One row of a product is off by as little as one unit: the row that is given up has a random multiple of
/// it, which is zero with 2^-(64 - v) where the unit is 2^v, and that it is at least that with 2^-v.
#[test]
fn one_wrong_row_is_seen() {
    // Of the corrections of the first scalar's bit i, those of the first of 17 rows.
    let starts = (0..64).scan(0, |at, bit: usize| {
        let start = *at;
        *at += 17 * (64 - bit).div_ceil(8);
        Some(start)
    });
    let places: Vec<usize> = starts.collect();
    for _ in 0..4 {
        let (world, places) = (World::new(2), places.clone());
        let mesh = flipped(&world, (0, 1), "ot/corrections", move |i, _| places.contains(&i));
        let results = world.run_on(mesh, async |mut session| {
            let mut ot = PairwiseOt::establish(&mut session, Expansion::Fast).await?;
            ot.left(16, 2, 64)?;
            ot.right(&RightRequest { left: 0, n: 1, last: true }).await.map(|_| ())
        });
        for (me, result) in results.iter().enumerate() {
            assert_named(result, ["node 1", "node 0"][me], "a product of factors");
        }
    }
}
