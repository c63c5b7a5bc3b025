//! A party that changes one number on the way, so that what is revealed as the model is something else:
//! all parties see from one more output that it is not the model of their rows, and keep nothing.
#![allow(clippy::unwrap_used, clippy::needless_pass_by_value)]

use std::sync::Arc;

use mpc_core::correlations::Origin;
use mpc_core::correlations::dealer::DealerSource;
use mpc_core::ring::wire::element_bytes;
use mpc_core::testing::World;
use mpc_core::{Against, Recipients, Tag};
use mpc_ml::model::{Facts, Run, ledger};
use mpc_ml::models::linear::{CERTIFICATE, Linear};
use mpc_ml::models::sgd::{COEFFICIENTS, LOSS, MOST_LOSS, Sgd, Sigmoid, SigmoidFit};
use mpc_ml::{
    Agreed, Error, LinearPlan, LinearSettings, Model, Plan, Rows, SgdPlan, SgdSettings, synthetic,
};
use mpc_net::PartyId;
use mpc_net::fault::{Fault, FaultPlan};

/// Adds to one element of a message that has `bits` bits.
fn add(element: usize, bits: u32, change: u128) -> Fault {
    let width = element_bytes(bits);
    Fault::Change(Arc::new(move |payload: &mut Vec<u8>| {
        let place = &mut payload[element * width..(element + 1) * width];
        let mut word = [0; 16];
        word[..width].copy_from_slice(place);
        let mask = if bits == 128 { u128::MAX } else { (1 << bits) - 1 };
        let value = u128::from_le_bytes(word).wrapping_add(change) & mask;
        place.copy_from_slice(&value.to_le_bytes()[..width]);
    }))
}

fn sgd(parties: usize) -> (SgdPlan, Vec<Rows>) {
    let settings = SgdSettings {
        intercept: true,
        l2: 0.0,
        clip: 8.0,
        epochs: 3,
        batch: 32,
        learning_rate: 0.5,
        decay: 0.0,
        momentum: 0.0,
        seed: 1,
        sigmoid: Sigmoid { window: 128, terms: 12, fit: SigmoidFit::Weighted },
        release_bits: 20,
    };
    let data = synthetic::logistic(128, 12, parties, 1);
    let rows: Vec<u64> = data.iter().map(|rows| rows.len() as u64).collect();
    let facts = Facts::horizontal(&rows, vec![1.0; 12], Origin::Dealer);
    (Sgd::plan(&settings, &facts).unwrap(), data)
}

/// Trains with a fault of the first party. What the parties are given in the end, `release` says.
fn train<T>(
    (plan, data): &(SgdPlan, Vec<Rows>),
    fault: Option<FaultPlan>,
    release: impl AsyncFn(
        &Agreed<SgdPlan>,
        mpc_ml::models::sgd::SgdShares,
        &mpc_ml::data::Dataset,
        &mut Run<'_>,
    ) -> Result<T, Error>,
) -> Vec<Result<T, Error>> {
    // Without commitments: a party with another program would commit to what it sends.
    let world = World::new(plan.parties()).with_dealer().against(Against::SemiHonest);
    let world = world.outputs(ledger(&plan.outputs()));
    let mesh = world.mesh();
    if let Some(fault) = fault {
        mesh[0].inject(fault);
    }
    world.run_on(mesh, async |mut session| {
        let data = data[session.me()].clone().into();
        let mut source = DealerSource::start(&mut session)?;
        let plan = Agreed::among(plan.clone(), &mut session).await?;
        let progress = &mut |_| {};
        let mut run = Run { session: &mut session, source: &mut source, progress };
        let shares = Sgd::fit(&plan, &data, &mut run).await?;
        release(&plan, shares, &data, &mut run).await
    })
}

/// The first party adds a constant to its share of one residual of the second one, in the last step.
fn one_residual(plan: &SgdPlan) -> FaultPlan {
    let change = add(0, plan.residuals_opened().ring(), (1u128 << 24).wrapping_neg());
    FaultPlan::new(change)
        .to(PartyId(1))
        .in_step(Tag::new("logistic/open-residuals"))
        .at_message(plan.iterations() - 1)
}

#[test]
fn a_row_that_is_passed_off_as_a_model_is_noticed() {
    for parties in [2, 3] {
        let study = sgd(parties);
        let (plan, data) = &study;
        // What would be revealed: the row of the second party whose residual was changed.
        let seen = train(&study, Some(one_residual(plan)), async |_, shares, _, run| {
            Ok(run.session.reveal_fixed(COEFFICIENTS, shares.weights(), 20).await?.unwrap())
        });
        let last = *plan.schedule().order(plan.settings().epochs - 1).last().unwrap();
        let (row, _) = plan.schedule().parts(last)[1];
        let victim = data[1].ordered(&plan.schedule().own_order(1));
        // eta / B times 2^(24 - fe).
        let unit = 0.5 / 32.0 * 256.0;
        for result in seen {
            let revealed = result.unwrap();
            for (got, x) in revealed.iter().zip(victim.row(row as usize)) {
                assert!((got / unit - x).abs() < 0.3, "{} for {x}", got / unit);
            }
        }
        // And what becomes of it.
        let ended = train(&study, Some(one_residual(plan)), Sgd::release);
        for result in ended {
            let error = result.expect_err("is noticed");
            assert!(matches!(error, Error::Misfit(_)) && error.seen_by_all(), "{error}");
            assert!(error.to_string().contains("audited"), "{error}");
        }
        // An honest run tells its loss.
        for result in train(&study, None, Sgd::release) {
            let loss = result.unwrap().unwrap().loss.unwrap();
            assert!(loss > 0.0 && loss < 0.69 && loss < MOST_LOSS, "{loss}");
        }
    }
}

/// A loss below that of the own rows cannot be.
#[test]
fn a_loss_that_another_party_made_smaller_is_noticed() {
    let study = sgd(2);
    let less = add(0, 60, (1u128 << 20).wrapping_neg());
    let width = study.0.certificate_cost(0).bytes[1];
    let change = Fault::Change(Arc::new(move |payload: &mut Vec<u8>| {
        let Fault::Change(change) = &less else { return };
        assert_eq!(payload.len() as u64, width);
        payload.resize(16, 0);
        change(payload);
        payload.truncate(width as usize);
    }));
    let fault = FaultPlan::new(change).to(PartyId(1)).in_step(Tag::new("reveal")).at_message(1);
    let ended = train(&study, Some(fault), Sgd::release);
    let error = ended[1].as_ref().expect_err("is noticed");
    assert!(matches!(error, Error::Contradicted(_)) && !error.seen_by_all(), "{error}");
}

/// A training whose steps are too long ends with the same error, and no model.
#[test]
fn a_training_that_diverges_says_so() {
    let (plan, data) = sgd(2);
    let settings = SgdSettings { learning_rate: 50.0, ..plan.settings().clone() };
    let study = (Sgd::plan(&settings, plan.facts()).unwrap(), data);
    for result in train(&study, None, Sgd::release) {
        let error = result.expect_err("diverges");
        assert!(error.to_string().contains("learning_rate"), "{error}");
    }
}

#[test]
fn only_where_all_receive_the_model_it_is_certified() {
    let (plan, _) = sgd(2);
    let labels = |recipients| {
        let facts = Facts { recipients, ..plan.facts().clone() };
        let plan = Sgd::plan(plan.settings(), &facts).unwrap();
        let labels: Vec<String> = plan.outputs().into_iter().map(|it| it.label).collect();
        (labels, plan.figures().precision.join(" "))
    };
    let (all, words) = labels(Recipients::All);
    assert_eq!(all, [COEFFICIENTS, LOSS]);
    assert!(!words.contains("not all parties"));
    let (one, words) = labels(Recipients::One(1));
    assert_eq!(one, [COEFFICIENTS]);
    assert!(words.contains("not all parties"), "{words}");
}

fn linear(l2: f64) -> (LinearPlan, Vec<Rows>) {
    let settings = LinearSettings {
        intercept: true,
        l2,
        clip: 8.0,
        condition: Some(20.0),
        release_bits: 20,
        inference: false,
        ..LinearSettings::default()
    };
    let data: Vec<Rows> = synthetic::logistic(90, 6, 3, 2);
    let rows: Vec<u64> = data.iter().map(|rows| rows.len() as u64).collect();
    let facts = Facts::horizontal(&rows, vec![2.0; 6], Origin::Dealer);
    let facts = Facts { target: Some((0.0, 1.0)), ..facts };
    (Linear::plan(&settings, &facts).unwrap(), data)
}

/// Fits on `used` and releases as the owners of `data`.
fn solve(
    plan: &LinearPlan,
    (used, data): (&[Rows], &[Rows]),
    fault: Option<FaultPlan>,
) -> Vec<Result<(f64, f64), Error>> {
    let world = World::new(3).with_dealer().against(Against::SemiHonest);
    let world = world.outputs(ledger(&plan.outputs()));
    let mesh = world.mesh();
    if let Some(fault) = fault {
        mesh[1].inject(fault);
    }
    world.run_on(mesh, async |mut session| {
        let (used, data) = (used[session.me()].clone().into(), data[session.me()].clone().into());
        let mut source = DealerSource::start(&mut session)?;
        let plan = Agreed::among(plan.clone(), &mut session).await?;
        let progress = &mut |_| {};
        let mut run = Run { session: &mut session, source: &mut source, progress };
        let shares = Linear::fit(&plan, &used, &mut run).await?;
        let fit = Linear::release(&plan, shares, &data, &mut run).await?.unwrap();
        let certificate = fit.certificate.unwrap();
        Ok((certificate.value, certificate.bound))
    })
}

#[test]
fn coefficients_that_are_not_the_optimum_are_noticed() {
    for l2 in [0.0, 0.05] {
        let (plan, data) = linear(l2);
        assert!(plan.outputs().iter().any(|output| output.label == CERTIFICATE));
        for result in solve(&plan, (&data, &data), None) {
            let (value, bound) = result.unwrap();
            assert!(value <= bound && bound < 1e-4, "{value} of {bound}");
        }
        let noticed = |ended: Vec<Result<(f64, f64), Error>>| {
            for result in ended {
                let error = result.expect_err("is noticed");
                assert!(matches!(error, Error::Uncertified(_)) && error.seen_by_all(), "{error}");
            }
        };
        // One share of X^T y is another than that of the rows: by a hundredth of one target.
        let mut other = data.clone();
        let mut y = other[2].y().to_vec();
        y[0] += if y[0] > 0.5 { -0.01 } else { 0.01 };
        other[2] = Rows::new(other[2].x().to_vec(), y, 6);
        noticed(solve(&plan, (&other, &data), None));
        // One share of the solution is off by 2^-10.
        let spec = plan.solution().correction_opened()[0];
        let change = 1u128 << (spec.drop + plan.solution().fraction() - 10);
        let fault = FaultPlan::new(add(3, spec.ring, change))
            .to(PartyId(0))
            .in_step(Tag::new("solution/truncate"))
            .at_message(1);
        noticed(solve(&plan, (&data, &data), Some(fault)));
    }
}
