//! Everything that can be ordered, made by the parties alone, against the equation of each.

use std::sync::Arc;

use mpc_core::approx::fit::{Symmetry, Weighting, fit};
use mpc_core::correlations::pairwise::{Expansion, PairwiseSource};
use mpc_core::correlations::{
    Correlation, CorrelationSource, MatrixShape, Origin, OwnRows, OwnedMatrix, OwnedProductRequest,
    PhasorForm, Production, Request, RightRequest,
};
use mpc_core::ring::{Ring, Z64, Z128};
use mpc_core::testing::World;
use mpc_core::{Error, ideal};

const COLUMNS: usize = 5;

/// Rows of each party; the second has none in the first part.
fn rows(parties: usize) -> Vec<u64> {
    (0..parties).map(|party| [7, 4, 9, 1, 6][party]).collect()
}

/// Entries that depend on the place only, up to the largest.
fn entry(party: usize, place: usize) -> i32 {
    let mixed = (place * 7919 + party * 104_729 + 13) as i64 * 2_654_435_761 % (1 << 17);
    (mixed - (1 << 16)).clamp(-(1 << 16) + 1, (1 << 16) - 1) as i32
}

fn own(party: usize, parties: usize) -> Vec<i32> {
    (0..rows(parties)[party] as usize * COLUMNS).map(|place| entry(party, place)).collect()
}

fn part(parties: usize, whole: bool) -> Vec<(u64, u64)> {
    let part = |(party, rows): (usize, u64)| match (whole, party) {
        (true, _) => (0, rows),
        (false, 1) => (2, 2),
        (false, _) => (rows / 3, rows),
    };
    rows(parties).into_iter().enumerate().map(part).collect()
}

fn owned(parties: usize, whole: bool, transposed: bool) -> OwnedProductRequest {
    OwnedProductRequest {
        matrix: 0,
        rows: part(parties, whole),
        transposed,
        ring: if transposed { 117 } else { 64 },
        mask_bits: 90,
        drop: if transposed { 0 } else { 13 },
        public_columns: 2,
    }
}

fn requests(parties: usize) -> Vec<Request> {
    let owned = |whole, transposed| Request::OwnedProduct(owned(parties, whole, transposed));
    vec![
        owned(true, false),
        owned(false, true),
        Request::Left { m: 2, k: 3, ring: 128 },
        owned(true, true),
        owned(true, false),
        Request::Right(RightRequest { left: 0, n: 1, last: false }),
        Request::Left { m: 20, k: 20, ring: 128 },
        Request::Right(RightRequest { left: 1, n: 20, last: true }),
        owned(false, false),
        Request::Left { m: 18, k: 15, ring: 64 },
        Request::Right(RightRequest { left: 2, n: 16, last: false }),
        Request::Right(RightRequest { left: 0, n: 2, last: true }),
        Request::Right(RightRequest { left: 2, n: 1, last: true }),
        owned(false, true),
    ]
}

/// What all parties took, by request.
fn take_all(parties: usize, requests: &[Request]) -> Vec<Vec<Correlation>> {
    let results = World::new(parties).run(async |mut session| {
        let mut source = PairwiseSource::start(&mut session, Expansion::Fast)?;
        let shape =
            MatrixShape { rows: rows(parties), columns: COLUMNS as u32, entry_bits: 16, sigma: 60 };
        let own = Arc::new(OwnRows::new(own(session.me(), parties)));
        source.register(OwnedMatrix { shape, own }).await?;
        source.demand(requests.to_vec())?;
        let mut all = Vec::new();
        for _ in requests {
            all.push(source.take().await?);
        }
        let count = requests.len() as u64;
        assert_eq!(source.production(), Production { ordered: count, made: count });
        assert!(source.take().await.is_err(), "nothing more is on order");
        source.finish().await?;
        Ok::<_, Error>(all)
    });
    // Of several errors one is the reason of the others.
    let errors: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    let parties: Vec<Vec<Correlation>> = results.into_iter().flatten().collect();
    let mut by_request: Vec<Vec<Correlation>> = requests.iter().map(|_| Vec::new()).collect();
    for all in parties {
        for (of, one) in by_request.iter_mut().zip(all) {
            of.push(one);
        }
    }
    by_request
}

/// mu = sum over the parties of floor(rho / 2^drop).
fn multipliers(rho: &[&[Z128]], drop: u32) -> Vec<Z128> {
    let mut sum = vec![Z128(0); rho[0].len()];
    for rho in rho {
        for (sum, rho) in sum.iter_mut().zip(rho.iter()) {
            *sum += Z128(rho.0 >> drop);
        }
    }
    sum
}

#[test]
fn correlations_hold_their_equations() {
    for parties in [2, 3, 5] {
        let requests = requests(parties);
        // The separate roundings of the shares.
        let most = parties as i128 / 2;
        let mut lefts: Vec<Vec<Correlation>> = Vec::new();
        for (request, made) in requests.iter().zip(take_all(parties, &requests)) {
            match request {
                Request::OwnedProduct(it) if it.transposed => {
                    let made: Vec<_> =
                        made.into_iter().map(|c| c.transposed().expect("ordered")).collect();
                    let rho: Vec<&[Z128]> = made.iter().map(|c| c.rho.as_slice()).collect();
                    let u = multipliers(&rho, it.drop);
                    let mut due = [Z128(0); COLUMNS];
                    let mut at = 0;
                    for (party, &(from, to)) in it.rows.iter().enumerate() {
                        let entries = own(party, parties);
                        for row in from as usize..to as usize {
                            assert_eq!(rho[party][at], Z128(0), "an owner masks no row of its own");
                            for (j, due) in due.iter_mut().enumerate() {
                                let x = entries[row * COLUMNS + j];
                                *due += Z128::from_i128(x.into()) * u[at];
                            }
                            at += 1;
                        }
                    }
                    let shares: Vec<_> = made.iter().map(|c| c.product.clone()).collect();
                    for (sum, due) in ideal::reconstruct(&shares).iter().zip(due) {
                        let error = (*sum - due).to_signed(it.ring).abs();
                        assert!(error <= most * parties as i128, "off by {error}");
                    }
                }
                Request::OwnedProduct(it) => {
                    let made: Vec<_> =
                        made.into_iter().map(|c| c.forward().expect("ordered")).collect();
                    let rho: Vec<&[Z128]> = made.iter().map(|c| c.rho.as_slice()).collect();
                    assert!(rho.iter().all(|rho| rho.len() == COLUMNS + 2));
                    let mu = multipliers(&rho, it.drop);
                    let shares: Vec<_> = made.iter().map(|c| c.product.clone()).collect();
                    let sum = ideal::reconstruct(&shares);
                    assert_eq!(sum.len(), it.total_rows());
                    let mut sum = sum.iter();
                    for (party, &(from, to)) in it.rows.iter().enumerate() {
                        let entries = own(party, parties);
                        for row in from as usize..to as usize {
                            let due = (0..COLUMNS).fold(Z64(0), |due, j| {
                                let x = entries[row * COLUMNS + j];
                                due + Z64::from_i128(x.into()) * Z64(mu[j].0 as u64)
                            });
                            let error = (*sum.next().expect("a row") - due).to_signed(64).abs();
                            assert!(error <= most, "off by {error}");
                        }
                    }
                }
                Request::Left { .. } => lefts.push(made),
                Request::Right(it) => match lefts[it.left as usize][0] {
                    Correlation::Left64(_) => {
                        let a: Vec<_> = lefts[it.left as usize]
                            .iter()
                            .map(|c| match c {
                                Correlation::Left64(left) => left.a.clone(),
                                other => panic!("{other:?}"),
                            })
                            .collect();
                        let made: Vec<_> =
                            made.into_iter().map(|c| c.right64().expect("ordered")).collect();
                        let (b, ab): (Vec<_>, Vec<_>) =
                            made.into_iter().map(|c| (c.b, c.ab)).unzip();
                        check_factor(&a, &b, &ab, (a[0].columns(), it.n as usize));
                    }
                    _ => {
                        let a: Vec<_> = lefts[it.left as usize]
                            .iter()
                            .map(|c| match c {
                                Correlation::Left128(left) => left.a.clone(),
                                other => panic!("{other:?}"),
                            })
                            .collect();
                        let made: Vec<_> =
                            made.into_iter().map(|c| c.right128().expect("ordered")).collect();
                        let (b, ab): (Vec<_>, Vec<_>) =
                            made.into_iter().map(|c| (c.b, c.ab)).unzip();
                        check_factor(&a, &b, &ab, (a[0].columns(), it.n as usize));
                    }
                },
                _ => {}
            }
        }
    }
}

fn check_factor<R: Ring>(
    a: &[mpc_core::Shared<R>],
    b: &[mpc_core::Shared<R>],
    ab: &[mpc_core::Shared<R>],
    (k, n): (usize, usize),
) {
    let due = ideal::product(&ideal::reconstruct(a), &ideal::reconstruct(b), k, n);
    let most = (a.len() * a.len() / 2) as i128;
    for (sum, due) in ideal::reconstruct(ab).iter().zip(&due) {
        let error = (*sum - *due).to_signed(R::BITS).abs();
        assert!(error <= most, "off by {error}");
    }
}

#[test]
fn phasors_are_made_together_and_handed_out_one_by_one() {
    let series = fit(|z| z, Symmetry::Odd, 6, 5, Weighting::Plain, 16).series;
    for parties in [2, 3, 4] {
        let form = PhasorForm::new(Origin::Pairwise, &series, parties, 80, 9).expect("fits");
        let counts = [3, 1500, 1500, 1500, 7];
        let requests: Vec<_> = counts
            .iter()
            .map(|&count| Request::Phasors(form.request(&series, count, 80)))
            .collect();
        for (count, made) in counts.into_iter().zip(take_all(parties, &requests)) {
            let made: Vec<_> = made.into_iter().map(|c| c.phasors().expect("ordered")).collect();
            let angle = |e: usize| {
                let turn: u64 = made.iter().map(|p| p.mask[e].0).sum();
                turn as f64 / 2f64.powi(made[0].angle_bits as i32) * std::f64::consts::TAU
            };
            let cosine =
                ideal::reconstruct(&made.iter().map(|p| p.cosine.clone()).collect::<Vec<_>>());
            let unit = 2f64.powi(form.fraction as i32);
            let mut noise = 0.0f64;
            for (e, cosine) in cosine[..count as usize].iter().enumerate() {
                let got = cosine.to_signed(80 + form.fraction) as f64 / unit;
                let gain = made[0].gains[0] as f64 / 2f64.powi(30);
                noise = noise.max((got * gain - angle(e).cos()).abs());
            }
            assert!(noise < 0.03, "{parties} parties: off by {noise}");
        }
    }
}

#[test]
fn a_party_that_is_lost_ends_production_with_its_name() {
    let requests = requests(3);
    let results = World::new(3).run(async |mut session| {
        let mut source = PairwiseSource::start(&mut session, Expansion::Fast)?;
        if session.me() == 2 {
            return Ok::<_, Error>(());
        }
        let shape =
            MatrixShape { rows: rows(3), columns: COLUMNS as u32, entry_bits: 16, sigma: 60 };
        let own = Arc::new(OwnRows::new(own(session.me(), 3)));
        source.register(OwnedMatrix { shape, own }).await?;
        source.demand(requests.clone())?;
        loop {
            source.take().await?;
        }
    });
    for result in &results[..2] {
        let error = result.as_ref().expect_err("the third is gone").to_string();
        // The one that notices second may have lost the first to notice.
        assert!(error.contains("node ") && error.contains("lost"), "{error}");
    }
}
