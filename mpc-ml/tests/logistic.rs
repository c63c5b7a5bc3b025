//! Joint training against the same training in the clear.

use mpc_core::correlations::dealer::DealerSource;
use mpc_core::correlations::pairwise::{Expansion, PairwiseSource};
use mpc_core::correlations::{CorrelationSource, Origin};
use mpc_core::protocols::fit::Weighting;
use mpc_core::testing::World;
use mpc_core::{Outputs, Recipients};
use mpc_ml::solvers::sgd::{self, COEFFICIENTS, Training};
use mpc_ml::{Error, Rows, SgdPlan, SgdSettings, plaintext, synthetic};

fn settings(data: &[Rows]) -> SgdSettings {
    SgdSettings {
        origin: Origin::Dealer,
        rows: data.iter().map(|rows| rows.len() as u64).collect(),
        columns: data[0].columns() as u32,
        intercept: true,
        l2: 0.0,
        clip: 8.0,
        epochs: 5,
        batch: 128,
        learning_rate: 0.5,
        decay: 0.0,
        momentum: 0.0,
        seed: 1,
        window: 7,
        terms: 12,
        weighting: Weighting::Weighted,
        release_fraction: 20,
    }
}

/// Trains jointly, checks rounds and bytes against the plan, and gives the coefficients.
fn train(plan: &SgdPlan, data: &[Rows]) -> Vec<f64> {
    let origin = plan.settings().origin;
    let world =
        World::new(data.len()).outputs(Outputs::none().allow(COEFFICIENTS, Recipients::All));
    let world = if origin == Origin::Dealer { world.with_dealer() } else { world };
    let results = world.run(async |mut session| {
        let me = session.me();
        let rows = data[me].ordered(&plan.schedule().own_order(me));
        let mut source: Box<dyn CorrelationSource> = match origin {
            Origin::Dealer => Box::new(DealerSource::start(&mut session)?),
            Origin::Pairwise => Box::new(PairwiseSource::start(&mut session, Expansion::Fast)?),
        };
        let training = Training::begin(plan, &rows, &mut *source, &mut session).await?;
        session.meter().enter("training");
        let weights = training.run(&mut session, |_, _| {}).await?;
        let phase = session.meter().phase("training");
        let cost = plan.training_cost(me);
        assert_eq!(phase.rounds, 3 * plan.iterations());
        assert_eq!(phase.rounds, cost.rounds);
        for peer in 0..data.len() {
            assert_eq!(phase.peers[peer].sent, cost.bytes[peer], "bytes to {peer}");
        }
        let framing = phase.sent_framed() as f64 / phase.sent() as f64 - 1.0;
        assert!(plan.settings().batch < 128 || framing < 0.1, "framing is {framing}");
        session.meter().enter("release");
        let coefficients = sgd::release(plan, &weights, &mut session).await?;
        assert_eq!(session.meter().phase("release").sent(), plan.release_cost(me).sent());
        source.finish().await?;
        Ok::<_, Error>(coefficients.expect("everybody receives the model"))
    });
    let models: Vec<_> = results.into_iter().map(|r| r.expect("trains")).collect();
    assert!(models.windows(2).all(|pair| pair[0] == pair[1]), "all parties learn the same model");
    models[0].clone()
}

fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

fn compare(settings: SgdSettings, data: &[Rows], bound: f64) {
    let plan = SgdPlan::new(settings).expect("the plan fits");
    let joint = train(&plan, data);
    let ordered: Vec<_> = data
        .iter()
        .enumerate()
        .map(|(party, rows)| rows.ordered(&plan.schedule().own_order(party)))
        .collect();
    let clear = plaintext::train(&plan, &ordered);
    let difference = largest_difference(&joint, &clear);
    assert!(difference <= bound, "largest difference {difference} above {bound}");
    assert!(clear.iter().any(|w| w.abs() > 0.1), "the model is not trivial");
}

#[test]
fn the_study_of_the_design_with_the_default_window() {
    for parties in [2, 3, 5] {
        for l2 in [0.0, 0.01] {
            let data = synthetic::logistic(10_000, 100, parties, 1);
            compare(SgdSettings { l2, ..settings(&data) }, &data, 4e-3);
        }
    }
}

#[test]
fn the_study_of_the_design_with_an_accurate_sigmoid() {
    for parties in [2, 3, 5] {
        for l2 in [0.0, 0.01] {
            let data = synthetic::logistic(10_000, 100, parties, 1);
            let accurate = SgdSettings {
                l2,
                window: 6,
                terms: 16,
                weighting: Weighting::Plain,
                ..settings(&data)
            };
            compare(accurate, &data, 5e-4);
        }
    }
}

/// Without a dealer the phasors have a few bits, and noise without a mean in place of the others.
#[test]
fn the_study_of_the_design_without_a_dealer() {
    let pairwise = |data: &[Rows]| SgdSettings { origin: Origin::Pairwise, ..settings(data) };
    let data = synthetic::logistic(10_000, 100, 3, 1);
    compare(pairwise(&data), &data, 4e-3);
    for parties in [2, 5] {
        let data = synthetic::logistic(2_000, 20, parties, 1);
        let (window, terms, weighting) = (6, 16, Weighting::Plain);
        let accurate = SgdSettings { window, terms, weighting, l2: 0.01, ..pairwise(&data) };
        compare(accurate, &data, 4e-3);
    }
}

#[test]
fn momentum_decay_and_uneven_owners() {
    // The second owner has fewer rows than there are batches.
    let whole = synthetic::logistic(1200, 7, 1, 3).remove(0);
    let part = |from: usize, to: usize| whole.ordered(&(from..to).collect::<Vec<_>>());
    let data = [part(0, 700), part(700, 705), part(705, 1200)];
    let base = SgdSettings {
        batch: 50,
        epochs: 8,
        window: 6,
        terms: 16,
        weighting: Weighting::Plain,
        learning_rate: 0.1,
        ..settings(&data)
    };
    compare(SgdSettings { momentum: 0.9, l2: 0.01, ..base.clone() }, &data, 1e-3);
    compare(SgdSettings { decay: 0.3, learning_rate: 0.7, ..base.clone() }, &data, 1e-3);
    compare(SgdSettings { intercept: false, ..base.clone() }, &data, 1e-3);
    let pairwise = SgdSettings { origin: Origin::Pairwise, ..base };
    compare(SgdSettings { momentum: 0.9, l2: 0.01, ..pairwise.clone() }, &data, 2e-2);
    compare(SgdSettings { decay: 0.3, learning_rate: 0.7, ..pairwise }, &data, 1e-2);
}

#[test]
fn parties_with_different_plans_do_not_begin() {
    let data = synthetic::logistic(100, 3, 2, 1);
    let results = World::new(2).with_dealer().run(async |mut session| {
        let me = session.me();
        let mut own = SgdSettings { batch: 10, ..settings(&data) };
        own.learning_rate += me as f64 * 0.1;
        let plan = SgdPlan::new(own).expect("fits");
        let mut source = DealerSource::start(&mut session)?;
        let error = Training::begin(&plan, &data[me], &mut source, &mut session).await.err();
        Ok::<_, Error>(error.map(|e| e.to_string()))
    });
    for result in results {
        let error = result.expect("runs").expect("refused");
        assert!(error.contains("another plan"), "{error}");
    }
}
