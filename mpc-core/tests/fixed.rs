//! Fixed-point shares for 2, 3 and 5 parties against the same in double precision, and the custom
//! protocol that once revealed a number of the wrong size.

use mpc_core::correlations::dealer::DealerSource;
use mpc_core::correlations::{Correlations, LeftFactor, Orders, RightFactor};
use mpc_core::protocols::product;
use mpc_core::protocols::truncate::{fixed_opening, open_bounded_fixed, own_masks};
use mpc_core::ring::{Ring, Z64, Z128};
use mpc_core::testing::World;
use mpc_core::{Cost, Error, Fixed, Outputs, Recipients, Session, Shared};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

const PARTIES: [usize; 3] = [2, 3, 5];
const SIGMA: u32 = 50;

fn cases<S: Strategy>(strategy: &S, test: impl Fn(S::Value)) {
    let config = ProptestConfig { cases: 8, failure_persistence: None, ..Default::default() };
    TestRunner::new(config)
        .run(strategy, |value| {
            test(value);
            Ok(())
        })
        .expect("all cases hold");
}

/// What a party of one session reveals as "out", after `protocol`.
fn run(
    world: &World,
    fraction: u32,
    protocol: &impl AsyncFn(&mut Session) -> Result<Fixed, Error>,
) -> Vec<f64> {
    let outputs = Outputs::none().allow("out", Recipients::All);
    let results = world.clone().outputs(outputs).run(async |mut session| {
        let out = protocol(&mut session).await?;
        session.reveal_fixed("out", &out, fraction).await
    });
    let mut results = results.into_iter().map(|result| result.expect("runs").expect("to all"));
    let first = results.next().expect("there are parties");
    results.for_each(|other| assert_eq!(other, first));
    first
}

/// A secret of party 0, mod 2^128.
fn share(
    session: &mut Session,
    values: &[f64],
    shape: (usize, usize),
    fraction: u32,
) -> Result<Fixed, Error> {
    let mine = (session.me() == 0).then_some(values);
    session.share_fixed(0, mine, shape, fraction)
}

async fn triple(
    correlations: &mut Correlations<'_>,
    (m, k, n): (usize, usize, usize),
) -> Result<(LeftFactor<Z128>, RightFactor<Z128>), Error> {
    let mut orders = Orders::new();
    let left = orders.left(m, k);
    let right = orders.right(&left, n);
    correlations.demand(orders)?;
    Ok((correlations.take(left).await?, correlations.take(right).await?))
}

fn near(got: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(expected) {
        assert!((got - expected).abs() <= tolerance, "{got} where {expected} is due");
    }
}

#[test]
fn linear_operations_are_those_of_reals() {
    let reals = prop::collection::vec(-1e4f64..1e4, 6);
    cases(&(reals.clone(), reals, -50i128..50, -3f64..3.0, 60u32..=128), |(x, y, n, c, ring)| {
        for parties in PARTIES {
            let got = run(&World::new(parties), 18, &async |session| {
                let a = share(session, &x, (2, 3), 20)?.narrow(ring)?;
                let b = share(session, &y, (2, 3), 26)?.truncate(20, session)?;
                let one = Fixed::public(&[0.5; 6], 2, 3, 20, session)?;
                let sum = a.times(n).plus(&b)?.minus(&one)?;
                assert_eq!((sum.ring(), sum.fraction()), (ring.min(122), 20));
                (-sum).times_real(c, 12)?.truncate(18, session)
            });
            // The real factor is rounded to 12 bits, and multiplies the errors of what it scales.
            let factor = (c * 4096.0).round() / 4096.0;
            let due = |(x, y): (&f64, &f64)| -(x * n as f64 + y - 0.5) * factor;
            let due: Vec<f64> = x.iter().zip(&y).map(due).collect();
            near(&got, &due, 2f64.powi(-12) * (1.0 + parties as f64 / 4.0));
        }
    });
}

#[test]
fn a_value_is_right_at_every_scale_and_in_every_ring_that_holds_it() {
    let strategy = (-1000f64..1000.0, 30u32..=128, 8u32..=18, 0u32..40);
    cases(&strategy, |(x, ring, fraction, up)| {
        for parties in PARTIES {
            let got = run(&World::new(parties), 6, &async |session| {
                let x = share(session, &[x], (1, 1), fraction)?.narrow(ring)?;
                let x = x.raise(fraction + up)?;
                assert_eq!(x.ring(), (ring + up).min(128));
                x.truncate(8, session)
            });
            near(&got, &[x], parties as f64 * (1.0 / 256.0 + 1.0 / 64.0));
        }
    });
}

#[test]
fn parts_and_wholes_keep_their_values() {
    let x: Vec<f64> = (0..12).map(|i| f64::from(i) - 5.25).collect();
    for parties in PARTIES {
        let got = run(&World::new(parties), 10, &async |session| {
            let x = share(session, &x, (3, 4), 10)?;
            let top = x.row_range(0..1)?.narrow(90)?;
            let rest = x.select_rows(&[1, 2])?;
            let again = Fixed::stack(&[&top, &rest])?;
            assert_eq!(again.ring(), 90);
            let halves = [again.column_range(0..2)?, again.column_range(2..4)?];
            let again = Fixed::beside(&[&halves[0], &halves[1]])?.transposed();
            let flat = again.reshape(12, 1)?;
            let sum = flat.sum();
            Fixed::stack(&[&flat.slice(0..4)?, &flat.select(&[11, 0])?, &sum])
        });
        let sum = x.iter().sum();
        near(&got, &[x[0], x[4], x[8], x[1], x[11], x[0], sum], 0.0);
    }
}

#[test]
fn products_have_the_sum_of_the_scales_and_the_smaller_ring() {
    let reals = |n| prop::collection::vec(-100f64..100.0, n);
    cases(&(reals(6), reals(3), 70u32..=128, 70u32..=128), |(x, y, ring_x, ring_y)| {
        for parties in PARTIES {
            let got = run(&World::new(parties).with_dealer(), 20, &async |session| {
                let mut source = DealerSource::start(session)?;
                let mut correlations = Correlations::new(&mut source)?;
                let (left, right) = triple(&mut correlations, (2, 3, 1)).await?;
                let a = share(session, &x, (2, 3), 20)?.narrow(ring_x)?;
                let b = share(session, &y, (3, 1), 24)?.narrow(ring_y)?;
                session.meter().enter("product");
                let product = product::multiply_fixed(&a, &b, left, right, session).await?;
                let counted = session.meter().phase("product");
                session.meter().enter("after");
                let ring = ring_x.min(ring_y);
                let cost = product::cost_fixed(ring, (2, 3, 1), session);
                assert_eq!((counted.rounds, counted.sent()), (cost.rounds, cost.sent()));
                assert_eq!((product.ring(), product.fraction()), (ring, 44));
                correlations.finish().await?;
                Ok(product)
            });
            let due: Vec<f64> =
                x.chunks(3).map(|row| row.iter().zip(&y).map(|(x, y)| x * y).sum()).collect();
            near(&got, &due, 1e-3);
        }
    });
}

#[test]
fn bounded_openings_lift_reals_into_the_whole_ring() {
    let strategy = (prop::collection::vec(-100f64..100.0, 4), 85u32..=128, 5u32..40);
    cases(&strategy, |(x, ring, fraction)| {
        for parties in PARTIES {
            let got = run(&World::new(parties), fraction.min(20), &async |session| {
                let x = share(session, &x, (2, 2), 20)?.narrow(ring)?;
                let mut masks = own_masks(session)?;
                session.meter().enter("open");
                let opened =
                    open_bounded_fixed("test", &[(&x, 7)], SIGMA, &mut masks, session).await?;
                let counted = session.meter().phase("open");
                session.meter().enter("after");
                let spec = fixed_opening(7, 20, SIGMA, session.parties())?;
                let (me, parties) = (session.me(), session.parties());
                let cost = Cost::to_all(me, parties, 1, spec.bytes(4)).bounded(1);
                let cost = cost.under(session.against(), me);
                assert_eq!((counted.rounds, counted.sent()), (cost.rounds, cost.sent()));
                assert_eq!(opened[0].at(20)?.ring(), 128);
                let lifted = opened[0].at(fraction)?;
                assert_eq!((lifted.rows(), lifted.columns(), lifted.fraction()), (2, 2, fraction));
                Ok(lifted)
            });
            let unit = 2f64.powi(-(fraction.min(20) as i32));
            near(&got, &x, unit * (parties as f64 + 1.0));
        }
    });
}

#[test]
fn openings_that_would_wrap_are_refused_before_they_are_sent() {
    let results = World::new(2).run(async |mut session| {
        let mut masks = own_masks(&mut session)?;
        session.meter().enter("open");
        let x = Fixed::zero(1, 1, 20)?.narrow(78)?;
        let mut open = async |x: &Fixed, bound| {
            open_bounded_fixed("test", &[(x, bound)], SIGMA, &mut masks, &mut session).await
        };
        // 7 + 20 bits, 50 bits of masking, two maskers.
        assert!(matches!(open(&x, 7).await, Err(Error::Range(_))));
        assert!(matches!(open(&x, -21).await, Err(Error::Range(_))));
        assert!(matches!(open(&x, i32::MAX).await, Err(Error::Range(_))));
        let opened = open(&x, 6).await?;
        assert!(opened[0].at(128).is_err());
        // Commitments, and the opening.
        assert_eq!(session.meter().phase("open").rounds, 2);
        Ok::<_, Error>(())
    });
    results.into_iter().for_each(|result| result.expect("runs"));
}

#[test]
fn integers_are_revealed_at_the_scale_that_was_asked_for() {
    let outputs = Outputs::none()
        .allow("narrow", Recipients::All)
        .allow("none", Recipients::One(0))
        .allow("late", Recipients::All);
    let results = World::new(3).outputs(outputs).run(async |mut session| {
        let share = Shared::column(vec![Z64::from_i128(-7), Z64(40)]);
        // Party 1 alone holds it; what is above 2^50 means nothing.
        let mut own = if session.me() == 1 { share } else { Shared::zero(2, 1) };
        own.as_mut_slice()[0] += Z64(1 << 60);
        let value = Fixed::widened(&own, 50, 2)?;
        let exact = session.reveal_integers("narrow", &value, 2).await?;
        assert_eq!(exact, Some(vec![-7, 40]));
        let some = session.reveal_integers("none", &value.sum(), 2).await?;
        assert_eq!(some, (session.me() == 0).then(|| vec![33]));
        // A scale that the value does not have spends no label.
        assert!(matches!(session.reveal_fixed("late", &value, 3).await, Err(Error::Internal(_))));
        assert_eq!(session.reveal_fixed("late", &value, 2).await?, Some(vec![-1.75, 10.0]));
        assert!(matches!(session.reveal_fixed("late", &value, 2).await, Err(Error::Reveal { .. })));
        Ok::<_, Error>(())
    });
    results.into_iter().for_each(|result| result.expect("runs"));
}

/// A hidden model as training leaves it: coefficients at scale 2^45 that are known mod 2^112 only.
/// What is above is another number at every party.
fn hidden_model(session: &mut Session, w: &[f64]) -> Result<Fixed, Error> {
    let mut model = share(session, w, (w.len(), 1), 45)?.into_parts().0;
    let above = 0x1234 + 77 * session.me() as u128;
    model.as_mut_slice().iter_mut().for_each(|w| *w += Z128(above << 112));
    Fixed::new(model, 112, 45)
}

/// Each party's rows, two columns and a one.
fn rows(party: usize) -> Vec<[f64; 3]> {
    (0..4 + party).map(|i| [0.25 * i as f64 - 1.0, (party as f64 - i as f64) / 3.0, 1.0]).collect()
}

/// The mean score of all parties' rows under a model that stays hidden.
async fn mean_score(
    model: &Fixed,
    correlations: &mut Correlations<'_>,
    session: &mut Session,
) -> Result<Fixed, Error> {
    let (left, right) = triple(correlations, (1, 3, 1)).await?;
    let mine = rows(session.me());
    let sums = [0, 1, 2].map(|column| mine.iter().map(|row| row[column]).sum());
    let sums = Fixed::own_part(&sums, 1, 3, 24)?;
    let total = product::multiply_fixed(&sums, model, left, right, session).await?;
    let count: usize = (0..session.parties()).map(|party| rows(party).len()).sum();
    total.truncate(40, session)?.times_real(1.0 / count as f64, 30)
}

#[test]
fn the_mean_score_of_a_hidden_model_is_the_number_that_it_is() {
    let w = [0.31, -0.47, 0.125];
    for parties in PARTIES {
        let got = run(&World::new(parties).with_dealer(), 20, &async |session| {
            let mut source = DealerSource::start(session)?;
            let mut correlations = Correlations::new(&mut source)?;
            let model = hidden_model(session, &w)?;
            let score = mean_score(&model, &mut correlations, session).await?;
            correlations.finish().await?;
            Ok(score)
        });
        let all: Vec<f64> = (0..parties)
            .flat_map(rows)
            .map(|row| row.iter().zip(&w).map(|(x, w)| x * w).sum::<f64>())
            .collect();
        near(&got, &[all.iter().sum::<f64>() / all.len() as f64], 1e-5);
    }
}

#[test]
fn a_hidden_model_is_not_mistaken_for_another_scale_or_ring() {
    let results = World::new(2).run(async |mut session| {
        let model = hidden_model(&mut session, &[0.5])?;
        // The mistakes that once gave a number of the wrong size are refused.
        assert!(model.clone().narrow(128).is_err());
        let other = Fixed::public(&[1.0], 1, 1, 24, &session)?;
        assert!(model.clone().plus(&other).is_err());
        assert!(model.clone().minus(&other).is_err());
        assert!(Fixed::stack(&[&model, &other]).is_err());
        assert!(model.clone().truncate(46, &session).is_err());
        let sum = model.plus(&other.raise(45)?)?;
        assert_eq!((sum.ring(), sum.fraction()), (112, 45));
        Ok::<_, Error>(())
    });
    results.into_iter().for_each(|result| result.expect("runs"));
}
