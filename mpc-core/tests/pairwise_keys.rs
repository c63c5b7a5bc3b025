//! What an owner that makes up its half of a product reads in the share of another party, and that
//! it is of no use with the keys of later products (docs/protocols.md 6.4, Keys).

use std::sync::Arc;

use mpc_core::correlations::pairwise::{Expansion, PairwiseSource};
use mpc_core::correlations::{
    CorrelationSource, MatrixShape, OwnRows, OwnedMatrix, OwnedProductRequest, Request,
};
use mpc_core::testing::World;
use mpc_core::{Error, Tag};
use mpc_net::fault::{Fault, FaultPlan};

const ROWS: u64 = 300;
const COLUMNS: usize = 100;
const TOGETHER: usize = 5;
/// Orders, each of which is one job: more than enough for new keys.
const ORDERS: usize = 2;

/// Coefficients per polynomial of an output mod 2^64, and bits of each.
const DEGREE: usize = 4096;
const WIDTH: usize = 84;

/// In place of each output: one coefficient of 2^-20 of the modulus at x^0, all others zero. The share
/// of a receiver is then 2^44 times coefficients of its secret key.
fn made_up(payload: &mut [u8]) {
    let len = DEGREE * WIDTH / 8;
    assert_eq!(payload.len() % len, 0);
    payload.fill(0);
    for output in payload.chunks_exact_mut(len) {
        let bit = WIDTH - 20;
        output[bit / 8] |= 1 << (bit % 8);
    }
}

/// What party 0 reads of the keys of party 1, order by order; and how many keys it was sent.
fn read_keys() -> (Vec<Vec<i64>>, usize) {
    let mesh = World::new(2).mesh();
    let view = mesh[0].record();
    for order in 0..ORDERS {
        let fault =
            FaultPlan::new(Fault::Change(Arc::new(|payload: &mut Vec<u8>| made_up(payload))));
        mesh[0].inject(fault.in_step(Tag::new("rlwe/outputs")).at_message(order as u64));
    }
    let results = World::new(2).run_on(mesh, async |mut session| {
        let mut source = PairwiseSource::start(&mut session, Expansion::Fast)?;
        let rows = vec![ROWS; 2];
        let shape = MatrixShape { rows, columns: COLUMNS as u32, entry_bits: 16, sigma: 60 };
        let own = Arc::new(OwnRows::new(vec![7; ROWS as usize * COLUMNS]));
        let matrix = source.register(OwnedMatrix { shape, own }).await?;
        let request = Request::OwnedProduct(OwnedProductRequest {
            matrix,
            rows: vec![(0, ROWS); 2],
            transposed: false,
            ring: 64,
            mask_bits: 80,
            drop: 0,
            public_columns: 0,
        });
        let mut read = Vec::new();
        for _ in 0..ORDERS {
            source.demand(vec![request.clone(); TOGETHER])?;
            let mut shares = Vec::new();
            for _ in 0..TOGETHER {
                let product = source.take().await?.forward()?.product;
                // The rows of party 0 come first.
                shares.extend(product.as_slice()[..ROWS as usize].iter().map(|share| share.0));
            }
            read.push(shares);
        }
        source.finish().await?;
        Ok::<_, Error>(read)
    });
    let [_, shares]: [_; 2] = results.try_into().expect("two parties");
    let coefficient = |share: u64| {
        let unit = 1i64 << 44;
        assert_eq!(share as i64 % unit, 0, "not a multiple of a coefficient");
        -(share as i64 / unit)
    };
    let shares = shares.expect("nothing is noticed here");
    let keys = shares.into_iter().map(|order| order.into_iter().map(coefficient).collect());
    (keys.collect(), view.payloads(Tag::new("rlwe/keys")).len())
}

#[test]
fn coefficients_of_a_key_say_nothing_of_the_next() {
    let (read, keys) = read_keys();
    let alike = |a: &[i64], b: &[i64]| {
        a.iter().zip(b).filter(|(a, b)| a == b).count() as f64 / a.len() as f64
    };
    for key in &read {
        // The attack works: these are coefficients of a ternary secret.
        assert!(key.len() == TOGETHER * ROWS as usize && key.iter().all(|c| c.abs() <= 1));
        for value in -1..=1 {
            let share = key.iter().filter(|&&c| c == value).count() as f64 / key.len() as f64;
            // What is read overlaps: some 300 places at least are different, so this is five deviations.
            assert!((share - 1.0 / 3.0).abs() < 0.14, "{value}: {share}");
        }
    }
    assert_eq!(keys, ORDERS, "a key for each of these orders");
    // The same places of another key: alike by chance only.
    let alike = alike(&read[0], &read[1]);
    assert!(
        (alike - 1.0 / 3.0).abs() < 0.14,
        "{alike} of the coefficients are those of the key before"
    );
}
