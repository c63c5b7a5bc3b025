//! Every protocol for 2, 3 and 5 parties against its plaintext twin, and its cost against the
//! meter.

use std::sync::Arc;

use mpc_core::approx::Series;
use mpc_core::approx::fit::{Symmetry, Weighting, fit};
use mpc_core::correlations::dealer::DealerSource;
use mpc_core::correlations::{
    CorrelationSource, Correlations, LeftFactor, Material, MatrixShape, Orders, OwnRows,
    OwnedMatrix, OwnedProductRequest, Request, RightFactor,
};
use mpc_core::protocols::owned;
use mpc_core::protocols::product::{self, FixedLeft};
use mpc_core::protocols::truncate::BoundedOpening;
use mpc_core::rand::{MaskSite, Prg, Seed};
use mpc_core::ring::{Ring, Z64, Z128};
use mpc_core::testing::World;
use mpc_core::{Batch, Error, Outputs, Recipients, Shared, ideal};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

const PARTIES: [usize; 3] = [2, 3, 5];

/// Deterministic "random" test data: a stream is as good as any.
fn numbers<R: Ring>(label: &str, count: usize, bits: u32) -> Vec<R> {
    let seed = Seed::from_secret("test data", &[label.as_bytes()]);
    Prg::new(&seed, MaskSite::InputShare).elements(count, bits).to_vec()
}

fn cases(
    strategy: impl Strategy<Value = (usize, usize, usize)>,
    test: impl Fn(usize, usize, usize),
) {
    let config = ProptestConfig { cases: 8, failure_persistence: None, ..Default::default() };
    TestRunner::new(config)
        .run(&strategy, |(a, b, c)| {
            test(a, b, c);
            Ok(())
        })
        .expect("all cases hold");
}

#[test]
fn inputs_are_shared_and_revealed() {
    for parties in PARTIES {
        let secret = numbers::<Z128>("secret", 20, 128);
        let outputs =
            Outputs::none().allow("sum", Recipients::All).allow("one", Recipients::One(1));
        let results = World::new(parties).outputs(outputs).run(async |mut session| {
            let mut sum = Shared::zero(20, 1);
            for owner in 0..session.parties() {
                let values = (session.me() == owner).then_some(secret.as_slice());
                sum += &session.share_input(owner, values, 20)?;
            }
            let to_one = session.reveal("one", &sum, 128, 0).await?;
            let to_all = session.reveal("sum", &sum, 128, 0).await?;
            assert!(matches!(session.reveal("sum", &sum, 128, 0).await, Err(Error::Reveal { .. })));
            assert!(matches!(
                session.reveal("other", &sum, 128, 0).await,
                Err(Error::Reveal { .. })
            ));
            Ok::<_, Error>((to_one, to_all))
        });
        let expected: Vec<i128> = secret
            .iter()
            .map(|v| (Z128(v.0.wrapping_mul(parties as u128))).to_signed(128))
            .collect();
        for (party, result) in results.into_iter().enumerate() {
            let (to_one, to_all) = result.expect("runs");
            assert_eq!(to_all.as_ref(), Some(&expected));
            assert_eq!(to_one.is_some(), party == 1);
        }
    }
}

fn products<R: Ring>(parties: usize, (m, k, n): (usize, usize, usize))
where
    LeftFactor<R>: Material,
    RightFactor<R>: Material,
{
    let x = numbers::<R>("x", m * k, R::BITS);
    let y = numbers::<R>("y", k * n, R::BITS);
    let results = World::new(parties)
        .with_dealer()
        .outputs(Outputs::none().allow("xy", Recipients::All).allow("xyy", Recipients::All))
        .run(async |mut session| {
            let mut source = DealerSource::start(&mut session)?;
            let mut correlations = Correlations::new(&mut source)?;
            let mut orders = Orders::new();
            let left = orders.left(m, k);
            let (right, other) = (orders.right(&left, n), orders.right(&left, n));
            correlations.demand(orders)?;
            let owner = session.parties() - 1;
            let mine = |values| (session.me() == owner).then_some(values);
            let mine_y = mine(y.as_slice());
            let x = session.share_input(0, (session.me() == 0).then_some(&x), m * k)?;
            let y = session.share_input(owner, mine_y, k * n)?;

            let x = x.reshape(m, k)?;
            let y = y.reshape(k, n)?;

            session.meter().enter("product");
            let left: LeftFactor<R> = correlations.take(left).await?;
            let right = correlations.take(right).await?;
            let mut batch = Batch::new("test/left");
            let pending = FixedLeft::push(&x, left, &mut batch)?;
            let pending_y = FixedLeft::push_right(&y, right, &mut batch)?;
            let opened = session.open(batch).await?;
            let fixed = FixedLeft::opened(pending, &opened);
            let xy = fixed.finish(pending_y, &opened, &session);
            let phase = session.meter().phase("product");
            let cost = product::cost::<R>(m, k, n, &session);
            assert_eq!(phase.rounds, cost.rounds);
            assert_eq!(phase.sent(), cost.sent());

            session.meter().enter("after");
            let other = correlations.take(other).await?;
            let again = fixed.multiply(&y, other, &mut session).await?;
            correlations.finish().await?;
            let first = session.reveal("xy", &xy, R::BITS, 0).await?;
            let second = session.reveal("xyy", &again, R::BITS, 0).await?;
            Ok::<_, Error>((first, second))
        });
    let expected: Vec<i128> =
        ideal::product(&x, &y, k, n).iter().map(|v| v.to_signed(R::BITS)).collect();
    for result in results {
        let (first, second) = result.expect("runs");
        assert_eq!(first.as_ref(), Some(&expected));
        assert_eq!(second.as_ref(), Some(&expected));
    }
}

#[test]
fn beaver_products_are_products() {
    for parties in PARTIES {
        cases((1usize..6, 1usize..6, 1usize..6), |m, k, n| {
            products::<Z64>(parties, (m, k, n));
            products::<Z128>(parties, (m, k, n));
        });
    }
}

#[test]
fn bounded_openings_truncate_and_lift() {
    for parties in PARTIES {
        let spec = BoundedOpening::new(54, 57, 19, parties as u32).expect("fits");
        let values: Vec<i128> = [0, 1, -1, (1 << 53), -(1 << 53), 123_456_789_012].to_vec();
        let shares = World::new(parties).run(async |mut session| {
            let secret: Vec<Z128> = values.iter().map(|&v| Z128::from_i128(v)).collect();
            let mine = (session.me() == 0).then_some(secret.as_slice());
            let share = session.share_input(0, mine, 6)?;
            let rho = numbers::<Z128>(&format!("rho {}", session.me()), 6, spec.mask_bits());
            let mut batch = Batch::new("test/bounded");
            let slot = spec.push(&share, &rho, Recipients::All, &mut batch, &mut session)?;
            let opened = session.open(batch).await?;
            let mut part: Vec<i128> = spec.own_part(&rho).iter().map(|r| -r).collect();
            if session.me() == 0 {
                for (part, public) in part.iter_mut().zip(&*spec.public_part(opened.at(slot))) {
                    *part += public;
                }
            }
            assert_eq!(session.meter().phase("session").sent(), 0);
            Ok::<_, Error>(part)
        });
        let shares: Vec<Vec<i128>> = shares.into_iter().map(|s| s.expect("runs")).collect();
        for (i, &value) in values.iter().enumerate() {
            let sum: i128 = shares.iter().map(|share| share[i]).sum();
            let error = sum - ideal::truncate(value, 19);
            assert!(error.abs() <= parties as i128, "{value}: off by {error}");
        }
    }
}

fn owned_products(parties: usize, columns: usize, rows: usize, uneven: usize) {
    let counts: Vec<u64> =
        (0..parties).map(|p| if p == 1 { 0 } else { (rows + p * uneven) as u64 }).collect();
    let blocks: Vec<Vec<i32>> = (0..parties)
        .map(|p| {
            numbers::<Z64>(&format!("block {p}"), counts[p] as usize * columns, 17)
                .iter()
                .map(|v| v.0 as i32 - (1 << 16))
                .collect()
        })
        .collect();
    let total: usize = counts.iter().sum::<u64>() as usize;
    let v: Vec<i128> =
        numbers::<Z64>("v", columns, 30).iter().map(|v| i128::from(v.0) - (1 << 29)).collect();
    let e: Vec<i128> =
        numbers::<Z64>("e", total, 16).iter().map(|v| i128::from(v.0) - (1 << 15)).collect();

    let results = World::new(parties).with_dealer().run(async |mut session| {
        let me = session.me();
        let forward_spec = BoundedOpening::new(35, 57, 0, parties as u32)?;
        let back_spec = BoundedOpening::new(20, 57, 0, parties as u32 - 1)?;
        let mut source = DealerSource::start(&mut session)?;
        let shape = MatrixShape {
            rows: counts.clone(),
            columns: columns as u32,
            entry_bits: 17,
            sigma: 57,
        };
        let own = Arc::new(OwnRows::new(blocks[me].clone()));
        let mut correlations = Correlations::new(&mut source)?;
        let matrix =
            correlations.register(OwnedMatrix { shape: shape.clone(), own: own.clone() }).await?;
        let sent = session.meter().phase("preparation").peers[(me + 1) % parties].sent;
        assert_eq!(sent, shape.masked_bytes(counts[me]));
        let rows: Vec<_> = counts.iter().map(|&n| (0, n)).collect();
        let request = |transposed: bool, spec: &BoundedOpening| OwnedProductRequest {
            matrix,
            rows: rows.clone(),
            transposed,
            ring: if transposed { 112 } else { 64 },
            mask_bits: spec.mask_bits(),
            drop: 0,
            public_columns: 0,
        };
        let mut orders = Orders::new();
        let forward = orders.forward(request(false, &forward_spec));
        let transposed = orders.transposed(request(true, &back_spec));
        correlations.demand(orders)?;

        // Forward.
        let secret: Vec<Z128> = v.iter().map(|&v| Z128::from_i128(v)).collect();
        let share = session.share_input(0, (me == 0).then_some(&secret), columns)?;
        let material = correlations.take(forward).await?;
        let mut batch = Batch::new("test/forward");
        let slot =
            forward_spec.push(&share, &material.rho, Recipients::All, &mut batch, &mut session)?;
        let opened = session.open(batch).await?;
        let start = counts[..me].iter().sum::<u64>() as usize;
        let place = start..start + counts[me] as usize;
        let public = forward_spec.public_part(opened.at(slot));
        let z = owned::forward(own.entries(), place.clone(), &public, material.product);

        // Transposed: each party's part of e is opened to it alone.
        let secret: Vec<Z128> = e.iter().map(|&v| Z128::from_i128(v)).collect();
        let share = session.share_input(0, (me == 0).then_some(&secret), total)?;
        let material = correlations.take(transposed).await?;
        let mut batch = Batch::new("test/transposed");
        let mut mine = None;
        let mut at = 0;
        for (owner, &count) in counts.iter().enumerate() {
            let range = at..at + count as usize;
            at = range.end;
            let part = share.slice(range.clone())?;
            let rho = if owner == me { &[][..] } else { &material.rho[range] };
            let to = Recipients::One(owner);
            let slot = back_spec.push(&part, rho, to, &mut batch, &mut session)?;
            if owner == me {
                mine = Some(slot);
            }
        }
        let opened = session.open(batch).await?;
        let public = back_spec.public_part(opened.at(mine.expect("every party owns a slot")));
        let g = owned::transposed(own.entries(), &public, material.product);
        correlations.finish().await?;
        Ok::<_, Error>((z, g))
    });
    let (z, g): (Vec<_>, Vec<_>) = results.into_iter().map(|r| r.expect("runs")).unzip();
    let all: Vec<i32> = blocks.concat();
    let z: Vec<i128> = ideal::reconstruct(&z).iter().map(|z| z.to_signed(64)).collect();
    assert_eq!(z, ideal::owned_product(&all, &v, false));
    let g: Vec<i128> = ideal::reconstruct(&g).iter().map(|g| g.to_signed(112)).collect();
    let expected = if total == 0 { vec![0; columns] } else { ideal::owned_product(&all, &e, true) };
    assert_eq!(g, expected);
}

#[test]
fn products_with_an_owners_matrix() {
    for parties in PARTIES {
        cases((1usize..9, 0usize..12, 0usize..4), |columns, rows, uneven| {
            owned_products(parties, columns, rows, uneven);
        });
    }
}

#[test]
fn a_series_evaluates_its_function() {
    let sigmoid = |z: f64| 1.0 / (1.0 + (-z).exp()) - 0.5;
    let fit = fit(sigmoid, Symmetry::Odd, 6, 16, Weighting::Plain, 18);
    let z: Vec<f64> = (-60..=60).map(|i| f64::from(i) * 0.25).collect();
    for parties in PARTIES {
        let series: &Series = &fit.series;
        let results = World::new(parties).with_dealer().run(async |mut session| {
            let mut source = DealerSource::start(&mut session)?;
            let mut correlations = Correlations::new(&mut source)?;
            let mut orders = Orders::new();
            let phasors = orders.phasors(series.demand(z.len() as u32, 18, 104));
            correlations.demand(orders)?;
            let secret: Vec<Z64> =
                z.iter().map(|z| Z64::from_i128((z * 2f64.powi(36)) as i128)).collect();
            let share = session.share_input(1, (session.me() == 1).then_some(&secret), z.len())?;
            let phasors = correlations.take(phasors).await?;
            session.meter().enter("series");
            let value = series.apply(&share, 36, phasors, &mut session).await?;
            let phase = session.meter().phase("series");
            let cost = series.cost(z.len(), &session);
            assert_eq!((phase.rounds, phase.sent()), (cost.rounds, cost.sent()));
            correlations.finish().await?;
            Ok::<_, Error>(value)
        });
        let shares: Vec<_> = results.into_iter().map(|r| r.expect("runs")).collect();
        for (value, &z) in ideal::reconstruct(&shares).iter().zip(&z) {
            let got = value.to_signed(104) as f64 / 2f64.powi(36);
            assert!((got - sigmoid(z)).abs() < 1e-4, "{z}: {got} against {}", sigmoid(z));
            assert!((got - ideal::series(series, &[z])[0]).abs() < 5e-5);
        }
    }
}

#[test]
fn a_correlation_of_another_kind_is_an_error() {
    World::new(2).with_dealer().run(async |mut session| {
        let mut source = DealerSource::start(&mut session).expect("starts");
        source.demand(vec![Request::Left { m: 1, k: 1, ring: 64 }]).expect("ordered");
        let error = source.take().await.expect("made").phasors().expect_err("refused");
        assert!(error.to_string().contains("Left64"), "{error}");
        source.finish().await.expect("ends");
    });
}
