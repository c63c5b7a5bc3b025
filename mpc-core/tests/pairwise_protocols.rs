//! What a coalition sees of each protocol when the parties make their correlations themselves, for
//! every mask of it (docs/protocols.md 0, the view rule).
//!
//! All protocols run one after the other in one session, on fixed shares of fixed values, and some
//! runs of that are looked at: single messages, less what a coalition has in common with their
//! sender, and sums, less the masks of all parties but one. With all masks everything is uniform;
//! without any one of them something is not, and there is nothing that is uniform without all of
//! them.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use crate::law;
use crate::looks;
use crate::recording;

use std::collections::BTreeSet;
use std::sync::Arc;

use law::fixed;
use looks::{Looks, Party, Run, Verdict, What, zero_shares};
use mpc_core::approx::fit::{Symmetry, Weighting, fit};
use mpc_core::correlations::pairwise::{Expansion, PairwiseSource};
use mpc_core::correlations::{
    CorrelationSource, MatrixShape, Origin, OwnRows, OwnedMatrix, OwnedProductRequest, PhasorForm,
    Request, RightRequest,
};
use mpc_core::protocols::product;
use mpc_core::protocols::solve::{
    InversePlan, InverseSettings, SolutionPlan, Start, StartBound, inverse, solution,
};
use mpc_core::protocols::truncate::BoundedOpening;
use mpc_core::rand::MaskSite;
use mpc_core::ring::{Ring, Z64, Z128};
use mpc_core::testing::{World, record_openings, take_openings};
use mpc_core::{Batch, Error, Fixed, Outputs, Recipients, Session, Shared, side_by_side};
use mpc_net::memory::MemoryTransport;
use recording::Recording;

/// Runs with all masks, and with one missing of which every element is noticed.
const RUNS: usize = 10;
const FEW: usize = 4;
/// Rows of each party and columns of the owned matrix.
const ROWS: usize = 16;
const COLUMNS: usize = 24;
/// Arguments of the series.
const COUNT: usize = 64;
/// Side of the matrices that are multiplied, and order of the one that is inverted.
const SIDE: usize = 8;
const ORDER: usize = 6;

#[test]
fn every_mask_of_a_protocol_without_a_dealer_is_needed() {
    law::check_the_checker();
    side_by_side([2, 3].into_iter(), every_mask_is_needed_among);
}

fn every_mask_is_needed_among(parties: usize) {
    let usual = seen(parties, None);
    let mut looked = BTreeSet::new();
    for (what, verdict) in usual {
        if let Verdict::Broken(why) = verdict {
            panic!("{parties} parties, with all masks: {why}");
        }
        // Of the highest bits there are but a few.
        let few = matches!(what, What::Head { .. });
        assert!(few || verdict == Verdict::Uniform, "{what:?} has too few samples");
        looked.insert(what);
    }
    let mut hidden = BTreeSet::new();
    for site in sites(parties) {
        let broken = |verdict: &Verdict| matches!(verdict, Verdict::Broken(_));
        let without = seen(parties, Some(site)).into_iter();
        let noticed: Vec<What> =
            without.filter(|(_, verdict)| broken(verdict)).map(|(what, _)| what).collect();
        println!("{parties} parties, without {site:?}: {} looks", noticed.len());
        assert!(!noticed.is_empty(), "{parties} parties: nobody misses {site:?}");
        hidden.extend(noticed);
    }
    // Single messages are under the masks of earlier ones as well, sums are not.
    let sums = looked.difference(&hidden).filter(|what| matches!(what, What::Sum { .. }));
    let sums: Vec<_> = sums.collect();
    assert!(sums.is_empty(), "{parties} parties: nothing hides {sums:?}");
}

fn sites(parties: usize) -> Vec<MaskSite> {
    let mut all = vec![
        MaskSite::ForwardMask,
        MaskSite::TransposedMask,
        MaskSite::AngleMask,
        MaskSite::TripleLeft,
        MaskSite::TripleRight,
        MaskSite::BoundedMask,
    ];
    if parties > 2 {
        // A single honest party is hidden by no zero share.
        all.extend([MaskSite::ZeroShareBounded, MaskSite::ZeroShareResult]);
    }
    all
}

fn seen(parties: usize, off: Option<MaskSite>) -> Vec<(What, Verdict)> {
    // A missing zero share shows in the highest bits alone, and there are few of these.
    let all = matches!(off, None | Some(MaskSite::ZeroShareBounded));
    let runs = (0..if all { RUNS } else { FEW }).map(|_| run(parties, off)).collect();
    Looks::at(runs, |_, _| {}).verdicts(off.is_none()).into_iter().collect()
}

fn run(parties: usize, off: Option<MaskSite>) -> Run {
    let outputs = Outputs::none().allow("first", Recipients::All).allow("second", Recipients::All);
    let world = World::new(parties).outputs(outputs).insecure_without(off);
    let mesh = world.mesh();
    let views = mesh.iter().map(MemoryTransport::record).collect();
    record_openings();
    let parties = world.run_on(mesh, async |mut session| {
        let results = zero_shares(&session, MaskSite::ZeroShareResult);
        let bounded = zero_shares(&session, MaskSite::ZeroShareBounded);
        let source = PairwiseSource::start(&mut session, Expansion::Fast).unwrap();
        let mut source = Recording::of(source);
        protocols(&mut source, &mut session).await.unwrap();
        source.finish().await.unwrap();
        Party { taken: source.taken, matrices: source.matrices, results, bounded }
    });
    Run { views, openings: take_openings(), refused: None, parties }
}

/// Every protocol, with inputs as far apart as the bounds allow where there are bounds.
async fn protocols(source: &mut dyn CorrelationSource, session: &mut Session) -> Result<(), Error> {
    owned_products(source, session).await?;
    series(source, session).await?;
    products(source, session).await?;
    system(source, session).await?;
    let result = share::<Z128>("result", session, &secrets("result", 64, 60));
    session.reveal("first", &result, 100, 0).await?;
    session.reveal("second", &result, 100, 20).await?;
    Ok(())
}

/// Two forward and two transposed products.
async fn owned_products(
    source: &mut dyn CorrelationSource,
    session: &mut Session,
) -> Result<(), Error> {
    let (me, parties) = (session.me(), session.parties());
    let forward = BoundedOpening::new(40, 56, 12, parties as u32)?;
    let back = BoundedOpening::new(20, 57, 0, parties as u32 - 1)?;
    let rows = vec![ROWS as u64; parties];
    let shape = MatrixShape { rows, columns: COLUMNS as u32, entry_bits: 17, sigma: 56 };
    let own = fixed("rows", me, ROWS * COLUMNS, 17).iter().map(|&x| x as i32 - (1 << 16)).collect();
    let matrix = source.register(OwnedMatrix { shape, own: Arc::new(OwnRows::new(own)) }).await?;
    let request = |transposed: bool| {
        let spec = if transposed { back } else { forward };
        Request::OwnedProduct(OwnedProductRequest {
            matrix,
            rows: vec![(0, ROWS as u64); parties],
            transposed,
            ring: if transposed { 112 } else { 64 },
            mask_bits: spec.mask_bits(),
            drop: spec.drop,
            public_columns: 0,
        })
    };
    source.demand(vec![request(false), request(false), request(true), request(true)])?;
    for sign in [1, -1] {
        let v = share("v", session, &[sign * ((1 << forward.magnitude) - 1); COLUMNS]);
        let rho = source.take().await?.forward()?.rho;
        let mut batch = Batch::new("owned/forward");
        forward.push(&v, &rho, Recipients::All, &mut batch, session)?;
        session.open(batch).await?;
    }
    for sign in [1, -1] {
        let e = vec![sign * ((1 << back.magnitude) - 1); parties * ROWS];
        let e = share::<Z128>("e", session, &e);
        let product = source.take().await?.transposed()?;
        let mut batch = Batch::new("owned/transposed");
        for owner in 0..parties {
            let place = owner * ROWS..(owner + 1) * ROWS;
            let part = Shared::column(e.as_slice()[place.clone()].to_vec());
            let rho = if owner == me { &[][..] } else { &product.rho[place] };
            back.push(&part, rho, Recipients::One(owner), &mut batch, session)?;
        }
        session.open(batch).await?;
    }
    Ok(())
}

/// A series twice at the same arguments.
async fn series(source: &mut dyn CorrelationSource, session: &mut Session) -> Result<(), Error> {
    let series = fit(|z| z, Symmetry::Odd, 6, 2, Weighting::Plain, 16).series;
    let form = PhasorForm::new(Origin::Pairwise, &series, session.parties(), 80, 9)?;
    let request = || Request::Phasors(form.request(&series, COUNT as u32, 80));
    source.demand(vec![request(), request()])?;
    let z = share::<Z64>("z", session, &secrets("z", COUNT, 40));
    for _ in 0..2 {
        let phasors = source.take().await?.phasors()?;
        series.apply(&z, 36, phasors, session).await?;
    }
    Ok(())
}

/// Products of one left factor with two right ones, and of numbers that are known in a small ring.
async fn products(source: &mut dyn CorrelationSource, session: &mut Session) -> Result<(), Error> {
    const NARROW: u32 = 90;
    let side = SIDE as u32;
    let left = |ring| Request::Left { m: side, k: side, ring };
    let right = |left, last| Request::Right(RightRequest { left, n: side, last });
    source.demand(vec![left(64), right(0, false), right(0, true), left(128), right(1, true)])?;
    let square = SIDE * SIDE;
    let matrix = |label, session: &Session| {
        share::<Z64>(label, session, &secrets(label, square, 63)).reshape(SIDE, SIDE)
    };
    let (x, y) = (matrix("x", session)?, matrix("y", session)?);
    let factors = (source.take().await?.left64()?, source.take().await?.right64()?);
    let mut batch = Batch::new("product/first");
    let pending = product::FixedLeft::push(&x, factors.0, &mut batch)?;
    let first = product::FixedLeft::push_right(&y, factors.1, &mut batch)?;
    let opened = session.open(batch).await?;
    let fixed_left = product::FixedLeft::opened(pending, &opened);
    drop(fixed_left.finish(first, &opened, session));
    fixed_left.multiply(&y, source.take().await?.right64()?, session).await?;

    let narrow = |label, session: &Session| {
        let whole = share::<Z128>(label, session, &secrets(label, square, 80));
        let ring = |v: &Z128| Z128(v.0 & ((1 << NARROW) - 1));
        let share = whole.as_slice().iter().map(ring).collect();
        Fixed::new(Shared::new(share, SIDE, SIDE), NARROW, 20)
    };
    let (x, y) = (narrow("x", session)?, narrow("y", session)?);
    let (left, right) = (source.take().await?.left128()?, source.take().await?.right128()?);
    product::multiply_fixed(&x, &y, left, right, session).await?;
    Ok(())
}

/// The inverse of G = I / 2, and the solution of a system with it.
async fn system(source: &mut dyn CorrelationSource, session: &mut Session) -> Result<(), Error> {
    /// Left factors before.
    const LEFTS: u32 = 2;
    let plan = InversePlan::new(InverseSettings {
        order: ORDER,
        parties: session.parties() as u32,
        sigma: 60,
        diagonal: 0.5,
        least: 0.25,
        start: StartBound::Identity,
        reuse: true,
    })?;
    let half = 1 << (plan.fraction() - 1);
    let at = |place: usize| if place.is_multiple_of(ORDER + 1) { half } else { 0 };
    let g: Vec<i128> = (0..ORDER * ORDER).map(at).collect();
    let g = share::<Z128>("g", session, &g).reshape(ORDER, ORDER)?;
    source.demand(plan.requests(LEFTS))?;
    let inverted = inverse(&plan, &g, Start::Identity, source, session).await?;

    let system = SolutionPlan::new(&plan, 0, 1.0, 1)?;
    let mut c = [0; ORDER];
    c[0] = libm::ldexp(libm::sqrt(0.5), system.right_fraction() as i32) as i128;
    let c = share::<Z128>("c", session, &c);
    source.demand(system.requests(LEFTS, LEFTS + plan.lefts()))?;
    solution(&system, &inverted, &c, source, session).await?;
    Ok(())
}

fn secrets(label: &str, count: usize, bits: u32) -> Vec<i128> {
    fixed(label, 99, count, 127).iter().map(|&v| v as i128 >> (127 - bits)).collect()
}

/// This party's fixed share of fixed values: the others' are arbitrary, party 0's makes them right.
fn share<R: Ring>(label: &str, session: &Session, values: &[i128]) -> Shared<R> {
    let of = |party| fixed(label, party, values.len(), R::BITS).into_iter().map(R::from_u128);
    if session.me() > 0 {
        return Shared::column(of(session.me()).collect());
    }
    let mut mine: Vec<R> = values.iter().map(|&v| R::from_i128(v)).collect();
    for party in 1..session.parties() {
        mine.iter_mut().zip(of(party)).for_each(|(mine, theirs)| *mine -= theirs);
    }
    Shared::column(mine)
}
